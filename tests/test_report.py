"""The report: pages from files alone, that open from disk in a real browser and say nothing that is not there."""

import base64
import io
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.colours import class_colours
from bakeoff.artefacts.cost import added_cost
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.comparison import KINDS, draw
from bakeoff.report import wording
from bakeoff.report.charts import CostPoint, ThresholdLine, histogram_chart, inline, pareto_chart
from bakeoff.report.costs import costs, pareto_front
from bakeoff.report.gallery import extremes
from bakeoff.report.page import LARGEST_PAGE, LARGEST_PAGE_ELSEWHERE, PICTURE_SIDES, fitting
from bakeoff.report.pictures import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    mask_key,
    mask_picture,
    outlined,
    picture,
    png_uri,
    webp_uri,
)
from bakeoff.report.reading import Task, read_task
from bakeoff.report.sections import threshold_line
from bakeoff.report.transfer import transfer
from bakeoff.report.verdicts import answer, matrix
from ellipses import CHECKS, EXPERIMENTS, MARGIN, TASKS, build, copy, evaluate_again
from ellipses import write_pages as write
from matplotlib.backends.backend_agg import FigureCanvasAgg

PAGES = ("index.html", "claims.html", "lungs.html", "data-lungs.html")


EVALUATION = "results/evaluation/lungs"
UNET = f"{EVALUATION}/experiments/lungs-unet"


def read(root: Path) -> Task:
    return read_task("lungs", TASKS["lungs"], Project(root), margin=MARGIN)


BOTH = ("lungs-unet", "lungs-deeplabv3plus")


def ranking(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / EVALUATION / "comparison.csv")


def changed_about(root: Path, name: str, **changes: Any) -> None:
    """Other contents of an experiment's `experiment.json`."""
    path = root / EVALUATION / "experiments" / name / "experiment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    build(root)
    return root


@pytest.fixture(scope="module")
def pages(project: Path) -> dict[str, str]:
    return write(project)


@pytest.fixture(scope="module")
def html(pages: dict[str, str]) -> str:
    """The page of the task."""
    return pages["lungs.html"]


class Page(HTMLParser):
    """Ids, links, pictures and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        if tag == "a":
            self.links.append(given.get("href") or "")
        if tag == "img":
            self.images.append(given)
        self.loaded += [given[key] or "" for key in ("src", "srcset", "data") if key in given]
        self.loaded += [given["href"] or ""] if tag in ("link", "image", "script") and "href" in given else []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_an_index_a_page_a_task_and_a_page_a_data_set(pages: dict[str, str]) -> None:
    assert set(pages) == set(PAGES)


def test_the_matrix_of_who_learned_from_whom(project: Path) -> None:
    everything = read(project)
    unet = next(each for each in everything.experiments if each.name == "lungs-unet")
    alone = replace(
        everything,
        name="lungs-from-shenzhen",
        split={**everything.split, "learn_from": {"label": "hospital", "value": "shenzhen"}},
        experiments=[replace(unet, name="one", entry={**unet.entry, "task": "lungs-from-shenzhen"})],
    )
    (matrix,) = transfer(everything, [everything, alone])
    assert matrix == transfer(alone, [everything, alone])[0]
    assert (matrix["method"], matrix["label"]) == ("U-Net", "hospital")
    index = everything.prepared.index.iloc[everything.tested]
    assert {each["value"]: each["images"] for each in matrix["columns"]} == dict(index["hospital"].value_counts())
    assert [row["learned"] for row in matrix["rows"]] == ["shenzhen", "all"]
    assert [cell["value"] for cell in matrix["rows"][1]["cells"]] == [
        unet.row[f"dice_{each['value']}_mean"] for each in matrix["columns"]
    ]
    # The same network stands for both, so that learning from all changes nothing on the images of shenzhen.
    (found,) = matrix["differences"]
    assert (found["tested"], found["learned"], found["change"]["text"]) == ("shenzhen", "all", "+0.000")
    assert found["images"] == (index["hospital"] == "shenzhen").sum()
    worse = alone.experiments[0].scores.assign(dice=lambda scores: scores["dice"] - 0.1)
    (matrix,) = transfer(
        everything, [everything, replace(alone, experiments=[replace(alone.experiments[0], scores=worse)])]
    )
    (found,) = matrix["differences"]
    assert (found["change"]["text"], found["change"]["span"]) == ("+0.100", "0.100 to 0.100")
    assert transfer(everything, [everything]) == []
    elsewhere = replace(alone, folds=[replace(alone.folds[0], test=alone.folds[0].test[1:])])
    assert transfer(everything, [everything, elsewhere]) == [], "tested on other images"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small_and_loads_nothing(pages: dict[str, str], name: str) -> None:
    html = pages[name]
    assert len(html.encode()) < LARGEST_PAGE["sample"]
    page = Page(html)
    assert page.loaded
    assert all(uri.startswith("data:") for uri in page.loaded)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique_and_links_lead_somewhere(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert len(page.ids) == len(set(page.ids))
    links = [link for link in page.links if not link.startswith("data:")]
    assert "#main" in links
    for link in links:
        file, _, anchor = link.partition("#")
        if file == "summary.md":
            continue
        assert anchor in ["", *Page(pages[file or name]).ids], link


def test_the_model_card_of_the_best_method_comes_with_the_page(project: Path, html: str) -> None:
    card = f"{UNET}/card.md"
    (link,) = re.findall(rf'<a download="lungs-unet.md" href="([^"]*)">Its model card</a>, <code>{card}</code>', html)
    assert base64.b64decode(link.partition("base64,")[2]).decode() == (project / card).read_text()


def test_of_ones_own_images_alone_nothing_is_claimed(project: Path, pages: dict[str, str], tmp_path: Path) -> None:
    mine = copy(project, tmp_path / "p")
    path = mine / "data" / "prepared" / "lungs" / "dataset.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "source": None, "provenance": {"files": [], "folder": "../mine"}}))
    found = write(mine)
    assert not {name for name in found if "claims.html" in Page(found[name]).links}
    assert {name for name in pages if "claims.html" in Page(pages[name]).links} == {"claims.html", "index.html"}
    assert "No data set here is a published one" in Page(found["claims.html"]).text
    assert "S9 Ellipses" not in "".join(found.values())
    table = pd.read_csv(mine / "results" / "report" / "claims.csv")
    assert table.empty
    assert "verdict" in table


def test_the_index_links_to_every_page_and_every_page_back(pages: dict[str, str]) -> None:
    assert set(pages) - {"index.html"} <= set(Page(pages["index.html"]).links)
    assert all("index.html" in Page(html).links for html in pages.values())
    assert "data-lungs.html" in Page(pages["lungs.html"]).links


def test_the_index_says_of_every_task_and_data_set_what_its_page_says(project: Path, pages: dict[str, str]) -> None:
    text = Page(pages["index.html"]).text
    best = ranking(project).iloc[0]
    found = pairs(project).set_index(["first", "second"]).loc[("lungs-unet", "lungs-deeplabv3plus")]
    score = f"Dice {best['dice_mean']:.3f} {best['dice_low']:.3f} to {best['dice_high']:.3f}; n = 24, 2 seeds"
    ends = wording.interval(found["low"], found["high"])
    lead = f"{found['difference']:+.3f} ({ends}) over DeepLabV3+: {found['verdict']}"
    cost = "trained in 12.4 s a seed, 29.7 ms an image, 8.63 M parameters"
    for said in (score, lead, cost, "✗ 1 failed, 1 warned"):
        assert said in text
    made = re.search(r'<a class="made" href="([^"]*)">Dice', pages["index.html"])
    assert made
    assert made[1] == "lungs.html#lungs-provenance-lungs-unet"
    assert "lungs Chest X-rays of ellipses 60 3 4 " in text  # used, dropped, findings


def test_every_picture_and_chart_can_be_read_aloud(pages: dict[str, str]) -> None:
    charts = {name: re.findall(r"<svg[^>]*>", html) for name, html in pages.items()}
    assert len(charts["lungs.html"]) == 1 + 2 + 2 + 2  # comparison, two histograms, two networks, two of cost
    assert len(charts["data-lungs.html"]) == 2 + 1 + 1  # two labels, original sizes, coverage of the lungs
    for name, html in pages.items():
        assert all(image.get("alt") for image in Page(html).images)
        assert all('role="img"' in head and re.search('aria-label="[^"]{20,}"', head) for head in charts[name])


def test_every_method_stands_in_the_ranking_with_its_interval(project: Path, html: str) -> None:
    text = Page(html).text
    for _, row in ranking(project).iterrows():
        assert row["label"] in text
        assert f"{row['dice_mean']:.3f} {row['dice_low']:.3f} to {row['dice_high']:.3f}" in text
        assert f"{row['dice_montgomery_mean']:.3f} {row['dice_montgomery_low']:.3f} to" in text
        assert f"{row['hd95_mean']:.1f} {row['hd95_low']:.1f} to {row['hd95_high']:.1f}" in text


def pairs(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / EVALUATION / "pairs.csv")


def test_the_first_screen_answers(project: Path, html: str) -> None:
    table = ranking(project).set_index("experiment")
    answer = Page(html[: html.index('id="lungs-ranking"')]).text
    found = pairs(project).set_index(["first", "second"])
    cheap = next(name for name in table.index if "oracle" not in name and EXPERIMENTS[name]["family"] == "thresholds")
    assert "<h1>U-Net</h1>" in html
    assert f"95 % interval {table.loc['lungs-unet', 'dice_low']:.3f}" in answer
    assert "n = 24 test images, 2 seeds" in answer
    said = {
        "lungs-deeplabv3plus": ("undecided", "Whether U-Net is better than DeepLabV3+ is undecided: they differ by"),
        cheap: ("better", f"U-Net is better than {table.loc[cheap, 'label']} by"),
    }
    for name, (verdict, words) in said.items():
        pair = found.loc[("lungs-unet", name)]
        assert pair["verdict"] == verdict
        assert f"{words} {pair['difference']:.3f} Dice ({wording.interval(pair['low'], pair['high'])}; " in answer
    assert "Not distinguished from U-Net by these images: DeepLabV3+." in answer
    assert "Latency, one image 29.7 ms" in answer
    assert "task lungs : which method? Segmentation of lung; " in answer
    assert "24 test images. U-Net" in answer
    assert "8,629,921 parameters" in answer


def test_ties_are_shown_as_ties(project: Path, html: str) -> None:
    table = ranking(project)
    rows = html[html.index('id="lungs-ranking-table"') : html.index('id="lungs-pairs"')]
    shown = re.findall(r'<td class="number" data-sort="\d+">([^<]*)</td>\s*<th', rows)
    ranks = [wording.rank(row["rank_low"], row["rank_high"]) or "oracle" for _, row in table.iterrows()]
    assert shown == ranks
    assert any(wording.EN_DASH in each for each in shown)
    assert shown[table["experiment"].tolist().index("lungs-otsu-oracle")] == "oracle"
    assert html.count("(oracle)") == 0, "its label says so already"


def test_every_two_methods_are_compared_in_a_table_and_at_a_glance(project: Path, html: str) -> None:
    section = html[html.index('id="lungs-pairs"') : html.index('id="lungs-strata"')]
    text = Page(section).text
    labels = ranking(project).set_index("experiment")["label"]
    for _, row in pairs(project).iterrows():
        ends = wording.interval(row["low"], row["high"])
        assert f"{labels[row['first']]} {labels[row['second']]} {row['difference']:+.3f} {ends}" in text
    methods = len(EXPERIMENTS) - 1  # the oracle is none
    matrix = section[section.index('class="matrix"') : section.index("</table>")]
    assert matrix.count("<td") == methods**2
    assert matrix.count(">✓<") == matrix.count(">✗<") > 0


def test_a_matrix_turns_the_verdict_for_the_other_method() -> None:
    rows = [("a", "b", "better"), ("a", "c", "equivalent"), ("b", "c", "undecided")]
    table = pd.DataFrame(rows, columns=["first", "second", "verdict"])
    found = matrix([("a", "A"), ("b", "B"), ("c", "C")], table.to_dict("records"))
    assert [[mark for mark, *_ in row["cells"]] for row in found] == [["", "✓", "="], ["✗", "", "?"], ["=", "?", ""]]
    assert found[1]["cells"][0][1:] == ("B: worse against A", "worse")


def test_pareto_front_holds_what_nothing_surpasses() -> None:
    costs, scores = [1.0, 2.0, 2.0, 3.0, 4.0, 1.0], [0.5, 0.7, 0.6, 0.7, 0.9, 0.5]
    assert pareto_front(costs, scores).tolist() == [True, True, False, False, True, True]
    # 1.0 and 1.2 s are one and the same on a shared machine, and the better of the two surpasses.
    assert pareto_front([1.0, 1.2, 2.0], [0.5, 0.6, 0.7], noise=1.25).tolist() == [False, True, True]


def test_a_method_that_is_given_masks_costs_what_they_cost_too(project: Path, tmp_path: Path) -> None:
    told = copy(project, tmp_path / "p")
    about = {name: json.loads((told / EVALUATION / f"experiments/{name}/experiment.json").read_text()) for name in BOTH}
    unet, other = (about[name]["cost"] for name in BOTH)
    given = {"segmenter": "lungs-segmenter", "segmenter_cost": unet}
    changed_about(told, BOTH[1], entry={**about[BOTH[1]]["entry"], **given})
    both = next(each for each in read(told).experiments if each.name == BOTH[1])
    assert {**added_cost(other, unet), "segmenter": "lungs-segmenter"} == both.cost
    for name in ("parameters", "latency_ms", "training_seconds"):
        assert both.cost[name] == unet[name] + other[name]
    rate = "predict_images_per_second"
    assert 1 / both.cost[rate] == pytest.approx(1 / unet[rate] + 1 / other[rate])
    task = read(told)
    note = "with the cost of lungs-segmenter, which predicts its masks"
    assert {"methods": "DeepLabV3+", "note": note} in costs(task)["notes"]
    assert "with lungs-segmenter, which predicts" in answer(replace(task, experiments=[both]))["cost"]


def test_numbers_of_crowded_points_stand_apart() -> None:
    points = [CostPoint(number, "thresholds", 1 + number / 50, 0.5, 0.4, 0.6) for number in range(1, 6)]
    axes = pareto_chart([*points, CostPoint(6, "networks", 900, 0.9, 0.8, 0.95)], np.ones(6, bool), "ms", "Dice").axes[
        0
    ]
    places = [text.get_position() for text in axes.texts]
    at = axes.transData.transform([(point.cost, point.mean) for point in points]) * 72 / axes.figure.dpi
    shown = [np.add(*pair) for pair in zip(at, places, strict=False)]
    assert all((np.abs(one - other) > (8, 7)).any() for one, other in itertools.combinations(shown, 2))
    assert [text.get_text() for text in axes.texts] == list("123456")


def test_cost_stands_beside_quality(html: str) -> None:
    text = Page(html[html.index('id="lungs-cost"') : html.index('id="lungs-split"')]).text
    assert "U-Net 8,629,921 1.79 G 32.9 12.4 s 148 29.7" in text
    front = re.findall(r"No method is both cheaper and better than ([^.]*)\.", text)
    assert front
    assert all("U-Net (1)" in each and "DeepLabV3+" not in each for each in front[:1])


@pytest.mark.parametrize(
    ("threads", "other_load", "busy"),
    [(2, 0.4, False), (2, 0.6, True), (1, 1.2, False), (1, 1.6, True), (2, None, False)],
)
def test_times_measured_beside_other_work_are_marked(
    project: Path, tmp_path: Path, threads: int, other_load: float | None, busy: bool
) -> None:
    told = copy(project, tmp_path / "p")
    cost = json.loads((told / UNET / "experiment.json").read_text())["cost"]
    cost |= {"cores": 2, "manifest": {**cost["manifest"], "threads": threads}}
    if other_load is not None:
        cost["other_load"] = other_load
    changed_about(told, "lungs-unet", cost=cost)
    task = read(told)
    notes = costs(replace(task, experiments=[each for each in task.experiments if each.name == "lungs-unet"]))["notes"]
    marked = [each["methods"] for each in notes if "other work" in each["note"]]
    assert marked == ["U-Net"] * busy


def test_overlap_is_shown_as_others_count_it(project: Path, html: str) -> None:
    text = Page(html[html.index('id="lungs-conventions"') : html.index('id="lungs-thresholds"')]).text
    metrics = json.loads((project / UNET / "metrics.json").read_text())
    for name in ("iou", "boundary_iou", "dataset_iou"):
        figure = metrics[name]
        assert f"{figure['mean']:.3f} {figure['low']:.3f} to {figure['high']:.3f}" in text
    assert "border" not in text, "these data have none"


@pytest.mark.parametrize(("dearest", "least"), [(1.5, 1), (3.0, 2), (60.0, 3), (5000.0, 3)])
def test_an_axis_of_costs_has_numbers_however_short_it_is(dearest: float, least: int) -> None:
    points = [CostPoint(1, "networks", 1.05, 0.5, 0.4, 0.6), CostPoint(2, "networks", dearest, 0.6, 0.5, 0.7)]
    figure = pareto_chart(points, np.ones(2, bool), "s", "Dice")
    FigureCanvasAgg(figure).draw()
    low, high = figure.axes[0].get_xlim()
    numbers = [each for each in figure.axes[0].xaxis.get_ticklabels() if low <= each.get_position()[0] <= high]
    assert sum(bool(each.get_text()) for each in numbers) >= least


def test_images_with_nothing_to_find_have_a_sentence_of_their_own(project: Path) -> None:
    task = read(project)
    best = task.methods[0]
    assert answer(task)["on_empty"] == "", "every image has something to find"
    scores = best.scores.copy()
    empty = scores["id"].isin(scores["id"].unique()[:2])
    scores.loc[empty, ["tp", "fn", "fp"]] = 0
    scores.loc[scores["id"] == scores["id"].unique()[0], "fp"] = 5
    scores.loc[~empty, "dice"] = 0.75
    spoilt = replace(task, experiments=[replace(best, scores=scores)])
    assert answer(spoilt)["on_empty"] == (
        f"2 test images have nothing to find. There {best.label} finds something (Dice 0) in 50.0 % of its answers, "
        "and nothing (Dice 1) in 50.0 %. On the other "
        f"{scores['id'].nunique() - 2} images its mean is 0.750."
    )


def test_methods_that_score_alike_everywhere_are_named_together(project: Path) -> None:
    task = read(project)
    assert not [each for each in answer(task)["not_worse"] if each.startswith("Same Dice")]
    first, second, *rest = task.experiments
    twins = replace(task, experiments=[first, replace(second, scores=first.scores), *rest])
    said = f"Same Dice on every image: {first.label} and {second.label}."
    assert said in answer(twins)["not_worse"]


def test_the_colours_of_masks_are_named() -> None:
    assert mask_key(["background", "lung"]) == [
        {"name": "background", "colour": "#000000"},
        {"name": "lung", "colour": "#f0e442"},
    ]
    colours = class_colours()
    assert len({tuple(colour) for colour in colours[:23]}) == 23
    assert colours[VOID].tolist() == [128, 128, 128]


def test_an_oracle_is_marked_in_the_figure_unless_its_name_says_so(project: Path) -> None:
    table = ranking(project)
    unet = table["experiment"] == "lungs-unet"
    bound = table.assign(rank_low=table["rank_low"].where(~unet))
    names = [each.get_text() for each in draw(KINDS["segmentation"], bound, "Lungs").axes[0].get_yticklabels()]
    assert "U-Net (oracle)" in names
    assert "Otsu, oracle" in names


@pytest.mark.parametrize("families", [("networks", "pretrained", "thresholds"), ("classical", "pretrained", "derived")])
def test_the_legend_of_a_comparison_fits_its_figure(project: Path, families: tuple[str, ...]) -> None:
    table = ranking(project).head(6)
    figure = draw(KINDS["segmentation"], table.assign(family=[*families, *families], label="U"), "Lungs")
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 < figure.axes[0].xaxis.label.get_window_extent().y0


def test_a_leak_that_the_split_has_not_is_not_called_one(project: Path, tmp_path: Path) -> None:
    other = copy(project, tmp_path / "p")
    path = other / EVALUATION / "leakage.csv"
    pd.read_csv(path).assign(other_reasons="It also trained on more images.").to_csv(path, index=False)
    html = write(other)["lungs.html"]
    text = Page(html[html.index('id="lungs-audit"') :]).text
    assert "? other reasons possible" in text
    assert "✗ higher score" not in text


def test_a_border_is_counted_in_three_ways(project: Path, tmp_path: Path) -> None:
    bordered = copy(project, tmp_path / "p")
    folder = bordered / "data" / "prepared" / "lungs"
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**about, "classes": ["background", "lung", "border"]}))
    evaluate_again(bordered)
    html = write(bordered)["lungs.html"]
    text = Page(html[html.index('id="lungs-conventions"') : html.index('id="lungs-thresholds"')]).text
    assert (
        "IoU IoU, border counted in IoU, border ignored Mean IoU of classes Boundary IoU Dice over the data set" in text
    )
    scores = pd.read_csv(bordered / UNET / "scores.csv")
    row = text[text.index("U-Net") :]
    shown = [float(each) for each in re.findall(r"(\d\.\d{3}) \d\.\d{3} to", row)[:3]]
    columns = ["iou", "iou_border_as_foreground", "iou_border_ignored"]
    assert shown == scores[columns].mean().round(3).tolist()


def test_the_audit_says_its_verdict_in_words_and_signs(pages: dict[str, str]) -> None:
    text = Page(pages["lungs.html"][pages["lungs.html"].index('id="lungs-audit"') :]).text
    places = [
        text.index(words)
        for words in (
            "✗ fails near-duplicates",
            "! warns metadata: hospital",
            f"{wording.EN_DASH} not tested metadata: diagnosis",
            "✓ passes groups",
        )
    ]
    assert places == sorted(places), "the gravest first"
    assert "True mask added to the image lungs-li minus lungs-otsu +0.125 +0.050 to +0.200 ✗ higher score" in text
    index = Page(pages["index.html"]).text
    assert all((check.finding in index) == (check.verdict in ("warn", "fail")) for check in CHECKS)
    assert "True mask added to the image (lungs-li and lungs-otsu): Dice rises from 0.500 to 0.625." in index
    assert "<b>look</b>" not in "".join(pages.values())


def test_claims_stand_beside_what_their_files_show_and_what_is_found(pages: dict[str, str]) -> None:
    page = Page(pages["claims.html"])
    said = "S9 Ellipses its README Dice .95 dice; ellipses Dice .75 | in its log ✗ contradicted by its own files"
    assert said in page.text
    assert "no the images are synthetic" in page.text
    assert {"lungs.html#lungs-provenance-lungs-otsu", "lungs.html#lungs-provenance-lungs-li"} <= set(page.links)


def test_the_summary_is_markdown_that_says_the_same(project: Path, pages: dict[str, str]) -> None:
    text = (project / "results" / "report" / "summary.md").read_text()
    best = ranking(project).iloc[0]
    lines = text.splitlines()
    row = next(line for line in lines if line.startswith("| lungs |"))
    score = f"{best['dice_mean']:.3f} ({best['dice_low']:.3f} to {best['dice_high']:.3f})"
    assert f"| **U-Net** (tied: rank 1{wording.EN_DASH}2) | Dice {score} | 24 |" in row
    assert row.count("|") == lines[lines.index(row) - 1].count("|")
    assert "over DeepLabV3+: undecided; more images alone would not decide" in row
    assert "- **lungs**: ✗ near-duplicates: 2 of 24 tested images &lt;b>look&lt;/b> alike." in text
    assert len(text) < 4000


def test_an_oracle_neither_wins_nor_has_a_rank(project: Path, tmp_path: Path) -> None:
    spoilt = copy(project, tmp_path / "p")
    path = spoilt / EVALUATION / "comparison.csv"
    table = pd.read_csv(path)
    oracle = table["experiment"] == "lungs-otsu-oracle"
    table.loc[oracle, "dice_mean"] = 0.999
    table.sort_values("dice_mean", ascending=False).to_csv(path, index=False)
    compared = path.with_name("pairs.csv")
    found = pd.read_csv(compared)
    turned = found["second"] == "lungs-otsu-oracle"
    found.loc[turned, ["first", "second"]] = found.loc[turned, ["second", "first"]].to_numpy()
    found.to_csv(compared, index=False)
    html = write(spoilt)["lungs.html"]
    assert "<h1>U-Net</h1>" in html
    first_row = re.search(r"<tr class=\"oracle\">\s*<td[^>]*>(.*?)</td>\s*<th[^>]*>.*?(Otsu, oracle)", html, re.DOTALL)
    assert first_row
    assert first_row.groups() == ("oracle", "Otsu, oracle")
    assert "an upper bound, not a method" in html


SYNTHETIC = "are synthetic"
DRAWN_WEIGHTS = "random weights instead of pretrained ones"
MIRROR = "come from a mirror: ellipses.zip is not the official"
MIRROR_WEIGHTS = "started from weights from a mirror"


@pytest.mark.parametrize(
    ("synthetic", "random", "of_data", "of_weights"),
    [(True, True, SYNTHETIC, DRAWN_WEIGHTS), (False, False, MIRROR, MIRROR_WEIGHTS)],
)
def test_what_forbids_trust_is_said_first(
    tmp_path: Path, synthetic: bool, random: bool, of_data: str, of_weights: str
) -> None:
    build(tmp_path, synthetic=synthetic, random=random, images=20)
    for name, html in write(tmp_path).items():
        banner = html[html.index('class="warning"') : html.index("<h1")]
        assert of_data in banner
        assert (of_weights in banner) == (name == "lungs.html"), "weights are the task's affair"
        others = {SYNTHETIC, DRAWN_WEIGHTS, MIRROR, MIRROR_WEIGHTS} - {of_data, of_weights}
        assert not any(words in html for words in others)


def test_official_data_and_weights_raise_no_banner(project: Path, tmp_path: Path) -> None:
    honest = copy(project, tmp_path / "p")
    checks = honest / EVALUATION / "audit.csv"
    pd.read_csv(checks).query("verdict != 'fail'").to_csv(checks, index=False)
    path = honest / "data" / "prepared" / "lungs" / "dataset.json"
    about = json.loads(path.read_text())
    about["synthetic"] = False
    about["provenance"]["files"][0]["official"] = True
    path.write_text(json.dumps(about))
    for name in EXPERIMENTS:
        fits = json.loads((honest / EVALUATION / f"experiments/{name}/experiment.json").read_text())["trainings"]
        official = [{**fit, "weights": fit["weights"] and {"official": True, "random": False}} for fit in fits]
        changed_about(honest, name, trainings=official)
    assert not any('class="warning"' in html for html in write(honest, "full").values())
    warned = {name for name, html in write(honest, "small").items() if "at profile small, not full" in html}
    assert warned == {"index.html", "lungs.html"}
    as_at_full = {"lungs": {**TASKS["lungs"], "shortened": False}}
    assert not any("at profile small" in html for html in write(honest, "small", as_at_full).values())


def test_the_audit_and_the_provenance_are_on_the_page_of_the_data(pages: dict[str, str]) -> None:
    text = Page(pages["data-lungs.html"]).text
    assert re.search(r"missing mask dropped 2 CHNCXR_0901_1.png.* CHNCXR_0902_1.png", text)
    assert "https://example.org/ellipses.zip" in text
    assert "Nobody (2024), Ellipses & other ovals." in text


def test_the_split_is_on_the_page_of_the_task(pages: dict[str, str]) -> None:
    text = Page(pages["lungs.html"]).text
    assert "Images by part" in text
    assert "test 24 40.0 24" in text  # images, their share, groups
    assert "Images by part" not in Page(pages["data-lungs.html"]).text


def test_what_files_say_is_never_markup(pages: dict[str, str]) -> None:
    assert not any("<script>alert(1)</script>" in html for html in pages.values())


def test_every_number_says_how_to_make_it_again(project: Path, html: str) -> None:
    assert "<code>dvc repro evaluate@lungs</code>" in html
    for name in ("lungs-otsu", *BOTH):
        folder = Project(project).experiment("lungs", name, EXPERIMENTS[name]["family"])
        cost = json.loads((folder.predictions / "cost.json").read_text())
        assert cost["manifest"]["packages"]["numpy"] in html
        assert cost["manifest"]["cpu"] in html
        record = Page(html[html.index(f'id="lungs-provenance-{name}"') :].split("</details>")[0]).text
        assert ("augmentation.rotate: 10" if "recipe" in EXPERIMENTS[name] else "method: otsu") in record
        assert ("2 trainings: seeds 0 and 1" in record) == ("recipe" in EXPERIMENTS[name])
        assert (f"SHA-256 {'1' * 64}" in record) == (name == "lungs-deeplabv3plus")
    assert f"SHA-256 {'0' * 64}" in Page(html[html.index('id="lungs-data-files"') :]).text


def test_the_same_files_give_the_same_pages(project: Path, pages: dict[str, str], tmp_path: Path) -> None:
    assert write(copy(project, tmp_path / "p")) == pages


def test_more_pictures_than_fit_make_them_smaller(
    project: Path, pages: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pictures = ("lungs.html", "data-lungs.html")
    least = min(len(pages[name].encode()) for name in with_pictures)
    monkeypatch.setitem(LARGEST_PAGE, "sample", least - 1)
    smaller = write(copy(project, tmp_path / "p"))
    assert all(len(smaller[name]) < len(pages[name]) for name in with_pictures)


def sized(fixed: int, *, pictures: int) -> Callable[[int], str]:
    """A page of so many bytes, and as many again for every pixel of its pictures' sides."""
    return lambda side: "x" * (fixed + pictures * side)


@pytest.mark.parametrize(("largest", "side"), [(3060, 256), (3059, 192), (2420, 192), (2419, 128), (980, 48)])
def test_a_page_gets_the_largest_pictures_with_which_it_fits(largest: int, side: int) -> None:
    assert len(fitting(sized(500, pictures=10), largest=largest, name="a.html")) == 500 + 10 * side


def test_a_page_that_no_pictures_make_fit_is_said_to_be_large(caplog: pytest.LogCaptureFixture) -> None:
    found = fitting(sized(500, pictures=1), largest=100, name="text.html")
    assert len(found) == 500 + PICTURE_SIDES[-1]
    assert "text.html is large" in caplog.text


def test_every_page_can_be_mailed() -> None:
    assert max(*LARGEST_PAGE.values(), LARGEST_PAGE_ELSEWHERE) <= 5_000_000


@pytest.mark.parametrize(
    ("file", "command"),
    [
        (f"{EVALUATION}/comparison.svg", "evaluate@lungs"),
        (f"{EVALUATION}/comparison.csv", "evaluate@lungs"),
        (f"{EVALUATION}/pairs.csv", "evaluate@lungs"),
        (f"{EVALUATION}/audit.csv", "evaluate@lungs"),
        (f"{EVALUATION}/leakage.csv", "evaluate@lungs"),
        (f"{UNET}/experiment.json", "evaluate@lungs"),
        (f"{UNET}/metrics.json", "evaluate@lungs"),
        ("data/splits/lungs.csv", "split@lungs"),
        ("data/prepared/lungs/audit.csv", "prepare@lungs"),
    ],
)
def test_a_missing_file_is_named_with_the_command_that_makes_it(
    project: Path, tmp_path: Path, file: str, command: str
) -> None:
    spoilt = copy(project, tmp_path / "p")
    (spoilt / file).unlink()
    with pytest.raises(BakeoffError, match=rf"{re.escape(file)} is missing: run `dvc repro {command}`"):
        write(spoilt)


def test_with_folds_the_curves_are_those_of_the_first_and_every_training_is_named(
    project: Path, tmp_path: Path
) -> None:
    folded = copy(project, tmp_path / "p")
    history = Project(folded).experiment("lungs", "lungs-unet", "networks").history
    fits = json.loads((folded / UNET / "experiment.json").read_text())["trainings"]
    with_folds = [{**fit, "fold": fold, "best_epoch": 3 + fold} for fit in fits for fold in (0, 1)]
    changed_about(folded, "lungs-unet", trainings=with_folds)
    for seed in (0, 1):
        for fold in (0, 1):
            shutil.copytree(history / f"seed{seed}", history / f"seed{seed}-fold{fold}")
        shutil.rmtree(history / f"seed{seed}")
        # Curves of the second fold that would be drawn, were they read.
        (history / f"seed{seed}-fold1" / "history.csv").write_text("epoch\n")
    experiment = next(each for each in read(folded).experiments if each.name == "lungs-unet")
    assert list(experiment.history) == [0, 1]
    assert len(experiment.fits) == 4
    html = write(folded)["lungs.html"]
    words = re.search(r"<strong>U-Net</strong>.*?</figcaption>", html, re.DOTALL)
    assert words
    kept = re.findall(r"Seed (\d), fold (\d): best .*? at epoch (\d) of 8\.", words[0])
    assert sorted(kept) == [("0", "0", "3"), ("0", "1", "4"), ("1", "0", "3"), ("1", "1", "4")]
    assert "The curves are those of fold 0." in words[0]
    text = Page(html[html.index('id="lungs-provenance"') :]).text
    trainings = ", ".join(f"training, seed {seed}, fold {fold}" for seed in (0, 1) for fold in (0, 1))
    assert f"prediction, {trainings}" in text
    assert "4 trainings: seeds 0 and 1, folds 0 and 1" in text


def test_a_network_that_stopped_at_its_best_epoch_is_said_to_have_been_improving(html: str) -> None:
    words = re.search(r"<strong>U-Net</strong>.*?</figcaption>", html[html.index('id="lungs-curves"') :], re.DOTALL)
    assert words
    assert "at epoch 7 of 8. Seed 1: best validation Dice 0.917 at epoch 8 of 8, its last: " in words[0]
    assert words[0].count("it stopped while still improving") == 1


def test_best_median_and_worst_are_rows_of_the_scores() -> None:
    scores = pd.DataFrame({"id": list("abcd"), "seed": 0, "dice": [0.3, 0.9, 0.5, 0.9], "tp": 5, "fn": 1})
    assert [(name, row["id"]) for name, row in extremes(scores)] == [("Best", "b"), ("Median", "d"), ("Worst", "a")]
    # An image with nothing to find has Dice 0 or 1, and nothing to show; where there are no others it has to do.
    empty = scores.assign(tp=[5, 0, 5, 5], fn=[1, 0, 1, 1])
    assert [(name, row["id"]) for name, row in extremes(empty)] == [("Best", "d"), ("Median", "c"), ("Worst", "a")]
    assert [row["id"] for _, row in extremes(scores.assign(tp=0, fn=0))] == ["b", "d", "a"]


def test_the_pictures_of_the_best_case_are_its_mask(project: Path, html: str) -> None:
    folder = Project(project).experiment("lungs", "lungs-unet", "networks").predictions
    scores = pd.read_csv(project / UNET / "scores.csv")
    best = scores.sort_values(["dice", "id", "seed"], ascending=[False, True, True]).iloc[0]
    ids = scores.loc[scores["seed"] == best["seed"], "id"].tolist()
    mask = np.load(folder / f"seed{best['seed']}" / "masks.npy")[ids.index(best["id"])]
    shown = next(image for image in Page(html).images if image["alt"] == f"Predicted mask of {best['id']}, U-Net")
    assert np.array_equal(decoded(shown["src"]) > 127, mask.astype(bool))


def decoded(uri: str | None) -> np.ndarray:
    """Grey levels of a picture in a data URI."""
    data = base64.b64decode((uri or "").split(",", 1)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def test_thresholds_are_those_of_the_predictions(project: Path) -> None:
    experiment = next(each for each in read(project).experiments if each.name == "lungs-multiotsu4")
    row = experiment.masks.table.iloc[0]
    line = threshold_line(experiment, row["id"])
    assert line.thresholds == tuple(round(float(level), 1) for level in row["thresholds"].split())
    assert len(line.thresholds) == 3
    assert line.foreground == int(row["foreground"])


class TestPictures:
    """Pictures of arrays small enough to check by eye."""

    IMAGE = np.full((8, 8), 100, np.uint8)
    SQUARE = np.pad(np.ones((4, 4), np.uint8), 2)

    def test_where_masks_agree_both_outlines_show(self) -> None:
        drawn = outlined(self.IMAGE, self.SQUARE, self.SQUARE, 8)
        truth = (drawn == rgb(TRUTH_COLOUR)).all(axis=2)
        prediction = (drawn == rgb(PREDICTION_COLOUR)).all(axis=2)
        hollow = self.SQUARE.copy()
        hollow[3:5, 3:5] = 0
        assert np.array_equal(prediction, hollow.astype(bool))
        assert truth.sum() == 16  # four on each side, none at the corners
        assert not (truth & self.SQUARE.astype(bool)).any()

    def test_an_empty_prediction_has_no_outline(self) -> None:
        drawn = outlined(self.IMAGE, self.SQUARE, np.zeros_like(self.SQUARE), 8)
        assert not (drawn == rgb(PREDICTION_COLOUR)).all(axis=2).any()

    def test_nothing_borders_on_void(self) -> None:
        void = np.where(self.SQUARE > 0, 0, VOID).astype(np.uint8)
        assert (outlined(self.IMAGE, void, void, 8) == 100).all()
        half = void.copy()
        half[:, 4:][half[:, 4:] == 0] = 1
        truth = (outlined(self.IMAGE, half, None, 8) == rgb(TRUTH_COLOUR)).all(axis=2)
        assert truth.nonzero()[1].tolist() == [3] * 4

    def test_longer_side_is_as_asked(self) -> None:
        assert picture(np.zeros((10, 20, 1), np.uint8), 40).shape == (20, 40, 3)
        assert picture(np.zeros((100, 50, 3), np.uint8), 40).shape == (40, 20, 3)

    def test_masks_survive_as_png(self) -> None:
        colours = mask_picture(self.SQUARE)
        assert np.array_equal(decoded(png_uri(colours)), cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))

    def test_classes_have_colours_of_their_own(self) -> None:
        colours = mask_picture(np.array([[0, 1, 2, 3]], np.uint8))[0]
        assert len({tuple(colour) for colour in colours}) == 4

    def test_photographs_are_webp(self) -> None:
        assert webp_uri(picture(self.IMAGE, 16)).startswith("data:image/webp;base64,UklGR")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def test_a_chart_takes_the_pages_colours_and_ids_of_its_own() -> None:
    svg = '<?xml?>\n<svg width="9pt" viewBox="0 0 9 9"><metadata>x</metadata><g id="a" clip-path="url(#a)"/></svg>'
    assert inline(svg, "one", 'says "so"') == (
        '<svg viewBox="0 0 9 9" role="img" aria-label="says &quot;so&quot;">'
        '<g id="one-a" clip-path="url(#one-a)"/></svg>'
    )


def test_a_method_without_threshold_is_an_empty_row() -> None:
    lines = [ThresholdLine("none found", (), 0), ThresholdLine("Otsu", (128.0,), 0)]
    axes = histogram_chart(np.ones(256), lines).axes[1]
    thick = [line.get_xydata().tolist() for line in axes.lines if line.get_linewidth() > 5]
    assert thick == [[[0.0, 1.0], [128.0, 1.0]]]


class TestWording:
    """Numbers in words."""

    PAIR: ClassVar = {
        "images": 30,
        "difference": 0.0124,
        "low": 0.004,
        "high": 0.02,
        "p_holm": 0.0123,
        "effect": 0.4,
        "verdict": "better",
        "images_to_decide": None,
    }
    FOUND = "by 0.012 Dice (0.004 to 0.020; p = 0.012 after Holm's correction)"

    def test_a_lead_says_by_how_much_and_how_surely(self) -> None:
        said = wording.lead("U-Net", "Otsu", self.PAIR, 21, margin=0.01)
        assert said == f"U-Net is better than Otsu {self.FOUND}. U-Net has the higher score on 21 of 30 images."
        assert wording.verdict(self.PAIR, 0.01, seeds=2) == "better"

    def test_a_lead_of_one_training_run_is_a_lead_of_that_run(self) -> None:
        assert wording.verdict(self.PAIR, 0.01, seeds=1) == "better, with one seed"

    def test_what_is_equivalent_is_so_within_the_margin(self) -> None:
        pair = {**self.PAIR, "verdict": "equivalent"}
        assert wording.verdict(pair, 0.02) == "equivalent within 0.02"
        said = wording.lead("A", "B", pair, 21, margin=0.02, losses=9)
        assert said.startswith("A and B are equivalent: they differ by 0.012 Dice")
        assert said.endswith(
            "(0.004 to 0.020), less than the margin of 0.02, although it is significant (p = 0.012 after Holm's "
            "correction). Of 30 images A does better on 21, B on 9."
        )
        alike = {**pair, "low": -0.0001, "p_holm": 0.4}
        assert wording.lead("A", "B", alike, 21, margin=0.02).endswith(
            "(-0.0001 to 0.0200), less than the margin of 0.02. A has the higher score on 21 of 30 images."
        )

    @pytest.mark.parametrize(
        ("needed", "words"),
        [(4200, "about 4,200 images would decide"), (pd.NA, "more images alone would not decide")],
    )
    def test_what_is_undecided_says_what_would_decide(self, needed: Any, words: str) -> None:
        pair = {**self.PAIR, "verdict": "undecided", "images_to_decide": needed}
        assert wording.verdict(pair, 0.01, seeds=1) == f"undecided; {words}"
        said = wording.lead("A", "B", pair, 16, margin=0.01)
        assert said.startswith(f"Whether A is better than B is undecided: they differ {self.FOUND}, and {words}.")

    def test_ranks_p_values_and_large_counts(self) -> None:
        assert [wording.rank(1, 1), wording.rank(2, 4.0), wording.rank(float("nan"), None)] == ["1", "2\u20134", ""]
        assert [wording.p_value(0.0004), wording.p_value(0.0123)] == ["p < 0.001", "p = 0.012"]
        found = [wording.magnitude(value) for value in (1_786_576_896, 4360, 12, None)]
        assert found == ["1.79 G", "4.36 k", "12.0", "—"]
        assert [wording.milliseconds(value) for value in (0.0441, 2350, None)] == ["0.0441 ms", "2.35 s", "—"]

    def test_thresholds_have_no_seeds(self) -> None:
        network, threshold = {"family": "networks", "seeds": 3}, {"family": "thresholds", "seeds": 1}
        assert wording.fewest_seeds(network, threshold) == 3
        assert wording.fewest_seeds(network, {"family": "pretrained", "seeds": 1}) == 1
        assert wording.fewest_seeds(threshold, threshold) is None

    @pytest.mark.parametrize(
        ("south", "half", "margin", "said"),
        [
            # Half-widths of 0.03 and 0.04 make one of 0.05 for the difference.
            (0.8, 0.04, 0.01, "Otsu does better on north (0.900) than on south (0.800), by 0.100 (0.050 to 0.150)."),
            (
                *(0.86, 0.04, 0.01),
                "Otsu: no difference is shown between north (0.900) and south (0.860), which differ by 0.040 "
                "(-0.010 to 0.090).",
            ),
            (
                *(0.86, 0.04, 0.1),
                "Otsu does equally well on north (0.900) and south (0.860): they differ by 0.040 (-0.010 to 0.090), "
                "within the margin of 0.1.",
            ),
            (
                *(0.86, np.nan, 0.1),
                "Otsu: north (0.900) and south (0.860) cannot be compared, since one of them has no interval.",
            ),
        ],
    )
    def test_groups_differ_as_far_as_their_difference_shows(
        self, south: float, half: float, margin: float, said: str
    ) -> None:
        row = {
            f"dice_{group}_{end}": value
            for group, mean, width in (("north", 0.9, 0.03), ("south", south, half))
            for end, value in (("mean", mean), ("low", mean - width), ("high", mean + width))
        }
        assert wording.across_groups("Otsu", row, ["north", "south"], margin=margin) == said

    @pytest.mark.parametrize(
        ("low", "high", "methods", "seeds", "said"),
        [
            (1, 1, 5, 3, "rank 1"),
            (1, 1, 5, None, "rank 1"),
            (1, 1, 5, 1, "rank 1 with one seed"),
            (1, 1, 1, 3, "the only method"),
            (1, 3, 5, 1, "tied: rank 1\u20133"),
            (np.nan, np.nan, 2, 3, "an oracle, without a rank"),
        ],
    )
    def test_a_rank_of_one_training_run_is_a_rank_of_that_run(
        self, low: float, high: float, methods: int, seeds: int | None, said: str
    ) -> None:
        assert wording.standing({"rank_low": low, "rank_high": high}, methods, seeds=seeds) == said

    @pytest.mark.parametrize(
        ("choice", "taken", "classes", "words"),
        [
            ("train", ["0"], 2, "dark class, chosen on the training images"),
            ("train", ["1"], 3, "class 2 of 3, counted from dark, chosen on the training images"),
            ("bright", ["1"], 2, "bright class, fixed in the configuration"),
            (2, ["2"], 4, "class 3 of 4, counted from dark, fixed in the configuration"),
            ("oracle", ["0", "1"], 2, "chosen on each test image by its true mask: an upper bound, not a method"),
        ],
    )
    def test_the_choice_of_class_is_explicit(self, choice: Any, taken: list[str], classes: int, words: str) -> None:
        assert wording.foreground_choice(choice, taken, classes) == words

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0.004, "under 0.1 s"), (0, "0 s"), (12.34, "12.3 s"), (90, "1.5 min"), (7200, "2.0 h"), (None, "—")],
    )
    def test_durations(self, seconds: float | None, words: str) -> None:
        assert wording.duration(seconds) == words

    @pytest.mark.parametrize(
        ("value", "words"), [(0.01234, "0.0123"), (123.4, "123"), (8623.7, "8,624"), (float("nan"), "—"), (0, "0")]
    )
    def test_figures_have_three_digits(self, value: float, words: str) -> None:
        assert wording.figure(value) == words

    def test_lists(self) -> None:
        assert [wording.listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
            "",
            "a",
            "a and b",
            "a, b and c",
        ]
        assert wording.listed(["U-Net, batch norm", "Otsu", "Li"]) == "U-Net, batch norm; Otsu and Li"


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desktop-light", "phone-dark"])
def window(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    """An empty page; afterwards what was opened in it must have complained of nothing and asked for nothing."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    yield page
    assert requests, "a page was opened"
    assert complaints == []
    assert [url[:80] for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


@pytest.fixture
def opened(window: Any, project: Path, pages: dict[str, str]) -> Any:
    """The page of the task, opened from disk."""
    window.goto(address(project, "lungs.html"))
    return window


def address(project: Path, name: str) -> str:
    return (project / "results" / "report" / name).as_uri()


@pytest.mark.browser
class TestEveryPageInABrowser:
    """Each page from disk; `window` looks for complaints."""

    @pytest.mark.parametrize("name", PAGES)
    def test_it_renders(self, window: Any, project: Path, pages: dict[str, str], name: str) -> None:
        window.goto(address(project, name))
        assert window.locator("h1").count() == 1
        widths = window.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        assert len(widths) == pages[name].count("<img ")
        assert all(widths)
        assert window.evaluate("document.documentElement.scrollWidth") <= window.viewport_size["width"]
        for chart in window.locator("svg").all():
            assert chart.bounding_box()["height"] > 50

    @pytest.mark.parametrize("name", PAGES)
    def test_its_tables_sort(self, window: Any, project: Path, pages: dict[str, str], name: str) -> None:
        window.goto(address(project, name))
        window.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
        for table in window.locator("table.sortable").all():
            head = table.locator("thead th").first
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == "ascending"

    def test_links_lead_from_the_index_to_the_pages_and_back(
        self, window: Any, project: Path, pages: dict[str, str]
    ) -> None:
        window.goto(address(project, "index.html"))
        window.locator("main a", has_text="lungs").first.click()
        window.wait_for_url(address(project, "lungs.html"))
        window.locator("nav a", has_text="Data").click()
        window.wait_for_url(address(project, "data-lungs.html"))
        window.locator("nav a.brand").click()
        window.wait_for_url(address(project, "index.html"))


@pytest.mark.browser
class TestInABrowser:
    """Headless Chromium at the width of a desk and of a phone."""

    def test_every_picture_is_there(self, opened: Any) -> None:
        widths = opened.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        assert len(widths) >= 12 * 3 * 4
        assert min(widths) > 0

    def test_nothing_sticks_out(self, opened: Any) -> None:
        assert opened.evaluate("document.documentElement.scrollWidth") <= opened.viewport_size["width"]

    def test_the_answer_is_on_the_first_screen(self, opened: Any) -> None:
        assert opened.locator("h1").bounding_box()["y"] < 600
        big = opened.locator(".tile .big").first.bounding_box()
        assert big["y"] + big["height"] < 900

    def test_text_stands_out_from_its_background(self, opened: Any) -> None:
        ink, paper = opened.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
            ".map(text => text.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"
        )
        assert abs(ink - paper) > 180

    def test_colours_of_the_legend_are_set(self, opened: Any) -> None:
        for key, colour in (("truth", TRUTH_COLOUR), ("prediction", PREDICTION_COLOUR)):
            shown = opened.locator(f".key.{key}").first.evaluate("key => getComputedStyle(key).backgroundColor")
            assert shown == f"rgb{rgb(colour)}"

    def test_a_click_on_a_head_sorts_and_another_turns_it(self, opened: Any) -> None:
        table = opened.locator("#lungs-ranking-table")
        head = table.locator("thead th", has_text="Dice")
        for order in ("ascending", "descending"):
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == order
            dice = table.locator("tbody tr td:nth-child(3)").evaluate_all(
                "cells => cells.map(cell => +cell.dataset.sort)"
            )
            assert dice == sorted(dice, reverse=order == "descending")
        assert len(dice) == len(EXPERIMENTS)

    def test_the_keyboard_sorts_too(self, opened: Any) -> None:
        opened.locator("#lungs-costs thead th").first.locator("button").focus()
        opened.keyboard.press("Enter")
        names = opened.locator("#lungs-costs tbody th").all_inner_texts()
        assert names == sorted(names, key=str.lower)

    def test_tables_come_as_csv(self, opened: Any, project: Path) -> None:
        with opened.expect_download() as caught:
            opened.locator("#lungs-ranking .save").click()
        table = pd.read_csv(io.StringIO(Path(caught.value.path()).read_text()))
        ranked = ranking(project)
        assert caught.value.suggested_filename == "lungs-ranking-table.csv"
        assert table["Method"].tolist() == ranked["label"].tolist()
        assert table["Dice"].tolist() == ranked["dice_mean"].round(3).tolist()
        assert table["Dice 95 % interval"][0] == f"{ranked['dice_low'][0]:.3f} to {ranked['dice_high'][0]:.3f}"

    def test_the_unrounded_table_is_the_comparisons_own_file(self, opened: Any, project: Path) -> None:
        with opened.expect_download() as caught:
            opened.locator("a[download='lungs.csv']").click()
        assert Path(caught.value.path()).read_bytes() == (project / EVALUATION / "comparison.csv").read_bytes()

    def test_links_of_the_bar_lead_to_their_sections(self, opened: Any) -> None:
        opened.locator("nav a", has_text="Provenance").click()
        opened.wait_for_function(
            "Math.abs(document.querySelector('#lungs-provenance').getBoundingClientRect().top) < 120"
        )

    def test_a_number_leads_to_where_it_comes_from(self, opened: Any) -> None:
        record = opened.locator("#lungs-provenance-lungs-unet")
        assert not record.is_visible()
        opened.locator("#lungs-ranking-table a.made").first.click()
        record.wait_for(state="visible")
        assert opened.evaluate("location.hash") == "#lungs-provenance-lungs-unet"

    def test_pairs_unfold_sort_and_come_as_csv(self, opened: Any, project: Path) -> None:
        opened.locator("#lungs-pairs summary").focus()
        opened.keyboard.press("Enter")
        opened.locator("#lungs-pairs-table thead th", has_text="Effect").locator("button").click()
        with opened.expect_download() as caught:
            opened.locator("#lungs-pairs .save").click()
        table, found = pd.read_csv(io.StringIO(Path(caught.value.path()).read_text())), pairs(project)
        assert table["Effect size"].tolist() == [float(f"{effect:.2f}") for effect in sorted(found["effect"])]
