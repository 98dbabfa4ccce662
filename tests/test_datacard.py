"""The data card: every count on it is that of the prepared files, and it can be read by everyone."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared
from bakeoff.report.cards_charts import (
    balance_chart,
    coverage_chart,
    coverage_limit,
    pixel_ticks,
    size_cells,
    size_chart,
)
from bakeoff.report.charts import chart
from bakeoff.report.datacard import (
    audit_summary,
    balance_words,
    card,
    class_shares,
    coverage_words,
    evenly_spaced,
    example_positions,
    examples,
    groups_words,
    label_counts,
    mean_image,
    provenance,
    published_check,
    size_words,
    split_table,
)
from bakeoff.report.files import file_uri
from jinja2 import Environment, PackageLoader, StrictUndefined

SIDE = 16
FINDINGS = pd.DataFrame(
    [
        ("scans/normal/1.png", "wrong mode", "converted", "RGBA"),
        ("scans/lesion/1.png", "wrong mode", "converted", "16 bit, <b>scaled</b>"),
        ("scans/lesion/2.png", "blank mask", "dropped", "the mask is empty"),
        ("scans/lesion/3.png", "wrong mode", "dropped", 'animated, "three" frames, ä'),
    ],
    columns=["file", "finding", "consequence", "detail"],
)
ABOUT: dict[str, Any] = {
    "name": "scans",
    "title": "Scans of squares",
    "classes": ["background", "lesion", "rim"],
    "targets": ["diagnosis"],
    "strata": ["hospital", "diagnosis"],
    "geometry": "stretch",
    "size": [SIDE, SIDE],
    "channels": 1,
    "counts": {"listed": 14, "used": 12, "dropped": 2},
    "published": {"listed": 1400, "labels": {"diagnosis": {"lesion": 1000, "normal": 400}}},
    "provenance": {
        "synthetic": False,
        "files": [
            {
                "name": "scans.zip",
                "url": "https://example.org/scans.zip",
                "sha256": "0" * 64,
                "bytes": 1234567,
                "official": True,
                "note": "",
            }
        ],
    },
    "licence": "CC0",
    "citation": "Nobody (2024), Squares & other <i>scans</i>.",
    "synthetic": False,
}


def write_scans(folder: Path) -> None:
    """Twelve grey images: 8 with a lesion, a square of 16 of 256 pixels within a rim of 20, and 4 without."""
    folder.mkdir(parents=True)
    masks = np.zeros((12, SIDE, SIDE), np.uint8)
    masks[:8, 4:10, 4:10] = 2
    masks[:8, 5:9, 5:9] = 1
    images = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None, None], (12, SIDE, SIDE, 1))
    ids = [f"scan ({number})" for number in range(12)]
    index = pd.DataFrame(
        {
            "id": ids,
            "group": ["scan (0)", "scan (0)", "scan (0)", *ids[3:8], "scan (8)", "scan (8)", *ids[10:]],
            "hospital": ["north", "north", "south", "north", "north", "north", "north", "north", *["south"] * 4],
            "diagnosis": ["lesion"] * 8 + ["normal"] * 4,
            "source": [f"scans/{id_}.png" for id_ in ids],
            "original_height": [12, *[100] * 11],
            "original_width": [8, 400, *[200] * 10],
        }
    )
    _write(folder, images, index, ABOUT)
    np.save(folder / "masks.npy", masks)


def write_photographs(folder: Path) -> None:
    """Forty colour images, one each of 37 breeds and three more of the first; no masks, no published counts."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)
    ids = [f"{number:02}" for number in range(40)]
    index = pd.DataFrame(
        {
            "id": ids,
            "group": ids,
            "breed": [f"breed_{max(0, number - 3):02}" for number in range(40)],
            "source": [f"{id_}.jpg" for id_ in ids],
            "original_height": 375,
            "original_width": 500,
        }
    )
    about = {
        **ABOUT,
        "name": "photographs",
        "title": "Photographs of noise",
        "classes": [],
        "targets": ["breed"],
        "strata": [],
        "counts": {"listed": 40, "used": 40, "dropped": 0},
        "published": None,
        "provenance": {"synthetic": False, "files": []},
    }
    _write(folder, images, index, about)


def _write(folder: Path, images: np.ndarray, index: pd.DataFrame, about: dict[str, Any]) -> None:
    np.save(folder / "images.npy", images)
    np.save(folder / "histograms.npy", np.zeros((len(images), 256), "u4"))  # a card has no use for them
    index.to_csv(folder / "index.csv", index=False)
    (folder / "dataset.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared") / "scans"
    write_scans(folder)
    return open_prepared(folder)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared") / "photographs"
    write_photographs(folder)
    return open_prepared(folder)


def folds(*letters: str) -> list[Fold]:
    """A split from a letter an image and fold: t(rain), v(alidation), e(valuation, that is test), . for left out."""
    return [
        Fold(number, *(np.array([row for row, each in enumerate(text) if each == part], int) for part in "tve"))
        for number, text in enumerate(letters)
    ]


SPLITS = {"grouped": ("ttttttvvee..",), "divided": ("tvtttttvteee",), "crossed": ("tttttttveeee", "eeetttttttvt")}


@pytest.fixture(scope="module")
def whole(scans: Prepared) -> dict[str, Any]:
    return card(scans, FINDINGS, 64)


@pytest.fixture(scope="module")
def unmasked(photographs: Prepared) -> dict[str, Any]:
    return card(photographs, FINDINGS.head(0), 64)


def render(each: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("_datacard.html").render(dataset={"card": each})


class TestSplits:
    """Images, groups and labels of every part, counted by hand."""

    def rows(self, scans: Prepared, split: str) -> dict[str, list[str]]:
        table = split_table(scans.index, folds(*SPLITS[split]), ["diagnosis", "hospital"])
        return {row["part"]: [cell["text"] for cell in row["cells"]] for row in table["rows"]}

    def test_columns_are_the_labels_the_most_frequent_first(self, scans: Prepared) -> None:
        assert split_table(scans.index, folds(*SPLITS["grouped"]), ["diagnosis", "hospital"])["heads"] == [
            ("lesion", "diagnosis"),
            ("normal", "diagnosis"),
            ("north", "hospital"),
            ("south", "hospital"),
        ]

    def test_every_part_is_counted(self, scans: Prepared) -> None:
        rows = self.rows(scans, "grouped")
        # images, share, groups, groups of several images, lesion, normal, north, south
        assert rows["all images"] == ["12", "100.0", "9", "2", "8", "4", "7", "5"]
        assert rows["train"] == ["6", "50.0", "4", "1", "6", "0", "5", "1"]
        assert rows["validation"] == ["2", "16.7", "2", "0", "2", "0", "2", "0"]
        assert rows["test"] == ["2", "16.7", "1", "1", "0", "2", "0", "2"]
        assert rows["left out"] == ["2", "16.7", "2", "0", "0", "2", "0", "2"]
        assert "left out" not in self.rows(scans, "divided")

    def test_folds_of_unlike_sizes_are_a_range(self, scans: Prepared) -> None:
        rows = self.rows(scans, "crossed")
        assert rows["test"][:4] == ["3 to 4", "29.2", "1 to 3", "1"]
        assert rows["validation"] == ["1", "8.3", "1", "0", *["0 to 1"] * 4]

    @pytest.mark.parametrize(
        ("letters", "said"),
        [
            (SPLITS["grouped"], "No group of near-duplicates has images in more than one part."),
            (
                SPLITS["divided"],
                "2 groups of near-duplicates have images in more than one part. 1 of them is tested: near-duplicates "
                "of test images were seen before.",
            ),
            (SPLITS["crossed"], "No group of near-duplicates has images in more than one part."),
            (
                ("tvttttttee.e",),
                "1 group of near-duplicates has images in more than one part. None of them is tested.",
            ),
            ((".ttttttvvee.",), "1 group of near-duplicates has images in more than one part."),
            ((".ttttttvee..",), "No group of near-duplicates has images in more than one part."),
        ],
    )
    def test_groups_that_a_split_divides_are_counted(
        self, scans: Prepared, letters: tuple[str, ...], said: str
    ) -> None:
        assert split_table(scans.index, folds(*letters), [])["between"].startswith(said)

    def test_a_label_of_many_values_gets_no_columns(self, photographs: Prepared) -> None:
        assert split_table(photographs.index, folds("t" * 40), ["breed"])["heads"] == []

    def test_an_image_without_the_label_is_counted_as_such(self, scans: Prepared) -> None:
        index = scans.index.assign(hospital=[""] * 5 + ["north"] * 7)
        table = split_table(index, folds("t" * 12), ["hospital"])
        assert table["heads"] == [("north", "hospital"), ("(none)", "hospital")]
        assert [cell["text"] for cell in table["rows"][0]["cells"][-2:]] == ["7", "5"]


class TestCounts:
    """What is said of labels, sizes, groups and masks."""

    def test_labels_the_most_frequent_first(self) -> None:
        assert label_counts(pd.Series(["b", "c", "", "b", "a"])) == {"b": 2, "(none)": 1, "a": 1, "c": 1}

    def test_few_labels_are_named_one_by_one(self) -> None:
        assert balance_words({"b": 3, "a": 1}) == (
            "b 3 (75.0 %) and a 1 (25.0 %). Always predicting the most frequent is right for 75.0 %."
        )

    def test_of_many_labels_the_ends_are_named(self, photographs: Prepared) -> None:
        assert balance_words(label_counts(photographs.index["breed"])) == (
            "37 values, from 1 (breed_36) to 4 images (breed_00). Always predicting the most frequent is right for "
            "10.0 %."
        )

    def test_sizes(self, scans: Prepared) -> None:
        heights, widths = (scans.index[f"original_{side}"].to_numpy() for side in ("height", "width"))
        assert size_words(heights, widths, Geometry("stretch", SIDE, SIDE)) == (
            "Width 8 to 400, median 200; height 12 to 100, median 100 (pixels). "
            "1 of 12 images have a side shorter than prepared and are enlarged."
        )
        assert size_words(np.array([1500]), np.array([2000]), Geometry("stretch", SIDE, SIDE)) == (
            "Width 2,000; height 1,500 (pixels). None is enlarged."
        )

    def test_groups(self, scans: Prepared, photographs: Prepared) -> None:
        assert groups_words(scans.index) == (
            "12 images in 9 groups. 5 of them have near-duplicates or share a subject: 2 groups of several images, the "
            "largest of 3."
        )
        assert groups_words(photographs.index) == "40 images, without near-duplicates or shared subjects."

    def test_shares_of_the_classes_add_up(self) -> None:
        masks = np.array([[[0, 0], [1, 2]], [[0, 0], [0, 0]]], np.uint8)
        assert class_shares(masks, 3).tolist() == [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]

    def test_images_without_a_class_are_told_apart(self) -> None:
        assert coverage_words("lesion", np.array([0.0, 0.25, 0.5, 0.75])) == (
            "lesion: median 50.0 %, from 25.0 % to 75.0 % of the image; 1 image without."
        )
        assert coverage_words("lesion", np.zeros(3)) == "lesion: in no image."

    def test_mean_image_is_of_evenly_spaced_images(self) -> None:
        levels = np.arange(2000) % 256
        images = np.broadcast_to(levels.astype(np.uint8)[:, None, None, None], (2000, 2, 3, 1))
        mean = mean_image(images, lambda _: (slice(None), slice(None)))
        assert (mean.shape, mean.dtype) == ((2, 3, 1), np.uint8)
        assert (mean == round(levels[evenly_spaced(2000, 500)].mean())).all()

    def test_evenly_spaced(self) -> None:
        assert evenly_spaced(9, 3).tolist() == [0, 4, 8]
        assert evenly_spaced(2, 5).tolist() == [0, 1]
        assert evenly_spaced(5, 1).tolist() == [0]
        assert len(set(evenly_spaced(2000, 500))) == 500


class TestExamples:
    """Which images are shown, and what is drawn into them."""

    def test_every_combination_of_labels_is_there(self, scans: Prepared) -> None:
        # lesion north: 0 1 3 4 5 6 7; lesion south: 2; normal south: 8 to 11
        assert example_positions(scans.index, ["diagnosis", "hospital"], most=6) == [0, 7, 2, 8, 11]

    def test_of_more_combinations_than_fit_some_are_shown(self, photographs: Prepared) -> None:
        assert example_positions(photographs.index, ["breed"], most=3) == [0, 21, 39]

    def test_without_labels_they_are_evenly_spaced(self, photographs: Prepared) -> None:
        assert example_positions(photographs.index, [], most=3) == [0, 20, 39]

    def test_masks_are_outlined(self, scans: Prepared) -> None:
        shown = examples(scans, 64)
        for example in shown:
            picture = decoded(example["uri"])
            assert picture.shape == (64, 64, 3)
            drawn = picture.max(axis=2) > 80  # the images are no brighter than 11, the outline's blue is 233
            # The rim spans pixels 16 to 40 of 64, the lesion within it 20 to 36.
            assert not drawn[:12].any()
            assert not drawn[24:32, 24:32].any()
            assert (drawn.sum() > 100) == ("lesion" in example["labels"])
        assert shown[0]["alt"] == "Image scan (0), lesion, north, with its mask outlined"

    def test_images_without_masks_are_shown_as_they_are(self, photographs: Prepared) -> None:
        shown = examples(photographs, 64)
        assert len(shown) == 14
        assert (shown[0]["labels"], shown[0]["alt"]) == ("breed_00", "Image 00, breed_00")


def decoded(uri: str) -> np.ndarray:
    """RGB pixels of a picture in a data URI."""
    data = base64.b64decode(uri.split(",", 1)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


class TestProvenance:
    """Whose bytes they are, and whether they are those that were published."""

    @pytest.mark.parametrize(
        ("synthetic", "official", "kind", "words"),
        [
            (False, [True, True], "official", "Official (2 files)."),
            (False, [True, False], "mirror", "From a mirror: b.zip is not the official file."),
            (False, [False, False], "mirror", "From a mirror: a.zip and b.zip are not the official files."),
            (False, [], "unrecorded", "Not recorded."),
            (True, [False, False], "synthetic", "Synthetic: a program drew the images"),
        ],
    )
    def test_in_words(self, synthetic: bool, official: list[bool], kind: str, words: str) -> None:
        files = [{"name": name, "official": each} for name, each in zip(["a.zip", "b.zip"], official, strict=False)]
        found = provenance({"synthetic": synthetic, "provenance": {"files": files}})
        assert found["kind"] == kind
        assert found["words"].startswith(words)

    def test_a_folder_of_ones_own_is_ones_own(self) -> None:
        found = provenance({"synthetic": False, "provenance": {"files": [], "folder": "../mine", "synthetic": False}})
        assert found == {"kind": "own", "words": "Your own images, read from ../mine."}

    def test_counts_that_agree_are_given(self) -> None:
        assert published_check(ABOUT, FINDINGS) == {
            "status": "agrees",
            "words": "The counts are those published: 1,400 images listed; diagnosis lesion 1,000 and normal 400.",
        }

    def test_counts_that_differ_are_the_audits(self) -> None:
        finding = ("scans.zip", "unexpected count", "kept", "14 images are listed, 1400 were published")
        audit = pd.concat([FINDINGS, pd.DataFrame([finding], columns=FINDINGS.columns)])
        found = published_check(ABOUT, audit)
        assert found["status"] == "differs"
        assert found["words"].endswith("14 images are listed, 1400 were published.")

    def test_synthetic_and_unpublished_counts_are_not_checked(self) -> None:
        assert published_check({**ABOUT, "synthetic": True}, FINDINGS)["status"] == "unchecked"
        assert published_check({**ABOUT, "published": None}, FINDINGS)["status"] == "unchecked"


class TestAudit:
    """The faults, in short and in full."""

    def test_findings_are_counted_by_consequence(self) -> None:
        assert audit_summary(FINDINGS) == [
            {
                "finding": "wrong mode",
                "consequence": "converted",
                "count": 2,
                "files": "normal/1.png, lesion/1.png",
            },
            {"finding": "blank mask", "consequence": "dropped", "count": 1, "files": "lesion/2.png"},
            {"finding": "wrong mode", "consequence": "dropped", "count": 1, "files": "lesion/3.png"},
        ]

    def test_the_whole_audit_comes_as_csv(self) -> None:
        head, data = file_uri(FINDINGS.to_csv(index=False)).split(",", 1)
        assert head == "data:text/csv;charset=utf-8;base64"
        pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(base64.b64decode(data)), dtype=str), FINDINGS)


class TestCharts:
    """What the charts draw, read back from them."""

    def test_bars_are_the_counts_in_their_order(self) -> None:
        axes = balance_chart({"a": 30, "b": 20, "c": 0}).axes[0]
        assert [bar.get_width() for bar in axes.patches] == [30, 20, 0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
        assert axes.yaxis_inverted()

    def test_a_label_is_text_and_neither_formula_nor_markup(self) -> None:
        svg = chart(balance_chart({"$a$ <b>": 1, "x" * 40: 1}), "p", "d")
        assert "$a$ &lt;b&gt;" in svg
        assert "x" * 27 + "…" in svg
        assert "x" * 28 not in svg

    def test_every_image_is_in_one_cell_of_the_size_chart(self) -> None:
        heights, widths = np.array([100, 100, 375, 2000]), np.array([100, 100, 500, 3000])
        edges, counts = size_cells(heights, widths)
        assert counts.sum() == 4
        assert counts.max() == 2
        ratios = edges[1:] / edges[:-1]
        assert np.allclose(ratios, ratios[0])

    @pytest.mark.parametrize(("images", "legend"), [(1, ["1 to 9"]), (120, ["1 to 9", "10 to 99", "100 or more"])])
    def test_images_of_one_size_are_one_cell(self, images: int, legend: list[str]) -> None:
        figure = size_chart(np.full(images, 375), np.full(images, 500), (128, 128))
        (cell,) = figure.axes[0].patches
        (left, bottom), (right, top) = cell.get_bbox().get_points()
        assert left < 500 < right < 1.1 * left
        assert bottom < 375 < top < 1.1 * bottom
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [*legend, "as prepared"]

    @pytest.mark.parametrize(
        ("low", "high", "ticks"),
        [(100, 410, [100, 150, 200, 300, 400]), (90, 9000, [100, 200, 400, 1000, 2000, 4000]), (190, 260, [200, 250])],
    )
    def test_ticks_are_round_pixels(self, low: int, high: int, ticks: list[int]) -> None:
        assert pixel_ticks(low, high) == ticks

    def test_coverage_counts_every_image_of_every_class(self) -> None:
        shares = {"pet": np.array([0.05, 0.31, 0.32]), "border": np.array([0.1])}
        pet, border = coverage_chart(shares).axes
        assert [sum(bar.get_height() for bar in axes.patches) for axes in (pet, border)] == [3, 1]
        assert [axes.lines[0].get_xdata()[0] for axes in (pet, border)] == [31.0, 10.0]
        assert pet.get_xlim() == (0, 40)

    @pytest.mark.parametrize(("largest", "limit"), [(0.004, 10), (0.31, 40), (1.0, 100)])
    def test_coverage_ends_at_the_next_ten(self, largest: float, limit: int) -> None:
        assert coverage_limit({"a": np.array([largest]), "b": np.array([])}) == limit


class TestCard:
    """The card as a whole, and as a page."""

    def test_its_charts(self, whole: dict[str, Any], unmasked: dict[str, Any]) -> None:
        assert [each["title"] for each in whole["charts"]] == [
            "Images by diagnosis",
            "Images by hospital",
            "Sizes in the archive",
            "How much the masks cover",
        ]
        assert [(each["title"], each["tall"]) for each in unmasked["charts"]] == [
            ("Images by breed", True),
            ("Sizes in the archive", False),
        ]

    def test_its_words(self, whole: dict[str, Any]) -> None:
        assert whole["size"] == "stretched to 16 x 16 pixels; grey levels"
        assert whole["charts"][-1]["words"] == (
            "lesion: median 6.2 %, from 6.2 % to 6.2 % of the image; 4 images without. "
            "rim: median 7.8 %, from 7.8 % to 7.8 % of the image; 4 images without."
        )
        assert whole["mean"]["words"] == "Mean of all 12 images."
        assert np.abs(decoded(whole["mean"]["uri"]).astype(int) - 6).max() <= 2  # 0 to 11, on average 5.5

    def test_all_is_shown(self, whole: dict[str, Any]) -> None:
        html = render(whole)
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
        assert "Scans of squares: 14 images listed, 12 used, 2 dropped." in text
        assert "Examples, with the outlines of lesion and rim" in text
        assert "wrong mode converted 2 normal/1.png, lesion/1.png" in text
        assert "All 4 findings, file by file" in text
        assert "https://example.org/scans.zip" in text
        assert "Nobody (2024), Squares &amp; other &lt;i&gt;scans&lt;/i&gt;." in text

    def test_a_card_without_masks_or_findings(self, unmasked: dict[str, Any]) -> None:
        html = render(unmasked)
        assert "outlines" not in html
        assert "Nothing: every file listed could be used as it is." in html
        assert "breed_36" in html

    def test_everything_can_be_read_aloud_and_ids_are_unique(
        self, whole: dict[str, Any], unmasked: dict[str, Any]
    ) -> None:
        html = render(whole) + render(unmasked)
        pictures = re.findall(r"<img[^>]*>", html)
        assert len(pictures) == (len(whole["examples"]) + 1) + (14 + 1)
        assert all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures)
        charts = re.findall(r"<svg[^>]*>", html)
        assert len(charts) == 4 + 2
        assert all('role="img"' in head and re.search('aria-label="[^"]{20,}"', head) for head in charts)
        ids = re.findall(r'\bid="([^"]*)"', html)
        assert len(ids) == len(set(ids))
        assert not any(" " in each for each in ids)

    def test_the_same_files_give_the_same_card(self, scans: Prepared, whole: dict[str, Any]) -> None:
        assert card(scans, FINDINGS, 64) == whole

    def test_smaller_pictures_make_it_smaller(self, scans: Prepared, whole: dict[str, Any]) -> None:
        assert len(render(card(scans, FINDINGS, 32))) < len(render(whole))


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark")])
def test_in_a_browser_nothing_sticks_out_and_the_audit_comes_as_csv(
    chromium: Any, whole: dict[str, Any], unmasked: dict[str, Any], tmp_path: Path, width: int, scheme: str
) -> None:
    templates = Path(str(card.__code__.co_filename)).parent / "templates"
    path = tmp_path / "card.html"
    style = (templates / "style.css").read_text(encoding="utf-8")
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = f"<main>{render(whole)}{render(unmasked)}</main>"
    path.write_text(f"<!doctype html>{meta}<style>{style}</style>{body}", encoding="utf-8")
    page = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert min(page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")) > 0
    letters = page.eval_on_selector_all("svg text", "all => all.map(text => text.getBoundingClientRect().height)")
    assert min(letters) > 9  # pixels from the top of a letter to the bottom of a line
    with page.expect_download() as caught:
        page.locator("a[download='scans-audit.csv']").click()
    assert Path(caught.value.path()).read_text(encoding="utf-8") == FINDINGS.to_csv(index=False)
    page.context.close()
