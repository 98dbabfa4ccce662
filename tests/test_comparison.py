"""The comparison: ranked by Dice, with intervals over images, from the scores alone."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.methods import method_facts
from bakeoff.config import read_config
from bakeoff.datasets.splits.split import split
from bakeoff.evaluation.comparison import KINDS, PAIR_COLUMNS, compare_scores, image_means, label, labels, with_areas
from bakeoff.evaluation.paired import compare_paired, holm
from bakeoff.tasks.comparing import compare
from bakeoff.tasks.evaluate import evaluate
from conftest import ROOT
from ellipses import EXPERIMENTS, MARGIN, RESAMPLES, TASKS, build, copy

OTSU = {"family": "thresholds", "method": "otsu", "foreground": "train"}
UNET = {"family": "networks", "model": "unet"}


def with_facts(experiment: dict) -> dict:
    """As `experiment.json` has it."""
    return {**experiment, "facts": method_facts(experiment)}


def told_apart(experiments: dict[str, dict]) -> dict[str, str]:
    return labels({name: with_facts(experiment) for name, experiment in experiments.items()})


def scores(dice: dict[str, list[float]]) -> pd.DataFrame:
    """`scores.csv` with the Dice of each image's seeds, and some figure for every other score."""
    rows = [(id_, seed, value) for id_, values in dice.items() for seed, value in enumerate(values)]
    table = pd.DataFrame(rows, columns=["id", "seed", "dice"])
    others = dict.fromkeys(["iou", "precision", "recall", "pixel_accuracy", "hd95", "assd"], 0.5)
    return table.assign(hospital=np.where(table["id"] < "c", "north", "south"), **others)


def compared(
    experiments: dict, tables: dict[str, pd.DataFrame], groups: dict[str, str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = next(iter(tables.values()))["id"].unique()
    by_id = pd.Series(groups or {id_: id_ for id_ in ids})
    costs = {name: {"parameters": 3, "training_seconds": 1.5} for name in experiments}
    metrics: dict[str, dict] = {name: {} for name in experiments}
    segmentation = KINDS["segmentation"]
    experiments = {name: with_facts(experiment) for name, experiment in experiments.items()}
    table, pairs = compare_scores(
        segmentation, experiments, tables, metrics, costs, ["hospital"], by_id, resamples=400, margin=0.01
    )
    return table.set_index("experiment"), pairs


def ranked(experiments: dict, tables: dict[str, pd.DataFrame], groups: dict[str, str] | None = None) -> pd.DataFrame:
    return compared(experiments, tables, groups)[0]


def test_seeds_are_averaged_within_an_image_before_anything_else() -> None:
    table = scores({"a": [0.2, 0.4], "b": [1.0]})
    assert image_means(table, "dice").to_dict() == {"a": pytest.approx(0.3), "b": 1.0}


def test_best_first_with_the_distance_to_the_best_on_the_same_images() -> None:
    table = ranked(
        {"low": OTSU, "high": UNET},
        {
            "low": scores({"a": [0.5], "b": [0.6], "c": [0.1], "d": [0.4]}),
            "high": scores({"a": [0.7, 0.9], "b": [0.9, 0.9], "c": [0.4, 0.4], "d": [0.7, 0.7]}),
        },
    )
    assert table.index.tolist() == ["high", "low"]
    assert table.loc["high", "dice_mean"] == pytest.approx(0.7)
    assert table.loc["high", ["images", "seeds"]].tolist() == [4, 2]
    assert table.loc["high", ["dice_behind_mean", "dice_behind_low", "dice_behind_high"]].tolist() == [0, 0, 0]
    # Every image's difference is 0.3: the interval of the difference is a point, though those of the means are wide.
    assert table.loc["low", ["dice_behind_mean", "dice_behind_low", "dice_behind_high"]].tolist() == pytest.approx(
        [0.3] * 3
    )
    assert table.loc["low", "dice_high"] > table.loc["high", "dice_low"]


def test_the_difference_is_taken_by_id_and_not_by_row() -> None:
    forwards = scores({"a": [0.9], "b": [0.5], "c": [0.7]})
    table = ranked(
        {"x": UNET, "y": OTSU}, {"x": forwards, "y": forwards.iloc[::-1].assign(dice=forwards["dice"] - 0.1)[::-1]}
    )
    assert table.loc["y", ["dice_behind_low", "dice_behind_high"]].tolist() == pytest.approx([0.1, 0.1])
    reordered = ranked({"x": UNET, "y": OTSU}, {"x": forwards, "y": forwards.iloc[::-1]})
    assert reordered.loc["y", ["dice_behind_low", "dice_behind_high"]].tolist() == [0, 0]


def test_strata_have_a_dice_of_their_own() -> None:
    table = ranked({"x": UNET}, {"x": scores({"a": [0.2], "b": [0.4], "c": [0.9], "d": [0.7]})})
    assert table.loc["x", ["dice_north_mean", "dice_south_mean"]].tolist() == pytest.approx([0.3, 0.8])
    assert 0.2 <= table.loc["x", "dice_north_low"] < table.loc["x", "dice_north_high"] <= 0.4


def test_images_of_a_group_are_drawn_together() -> None:
    dice = scores({"a": [0.0], "b": [1.0], "c": [0.0], "d": [1.0]})
    assert ranked({"x": UNET}, {"x": dice}).loc["x", "dice_low"] < 0.5
    pairs = ranked({"x": UNET}, {"x": dice}, {"a": "1", "b": "1", "c": "2", "d": "2"})
    assert pairs.loc["x", ["dice_low", "dice_high"]].tolist() == [0.5, 0.5]


def test_an_oracle_is_ranked_where_it_stands_and_is_nobodys_measure() -> None:
    table = ranked(
        {"bound": {**OTSU, "foreground": "oracle"}, "method": OTSU},
        {"bound": scores({"a": [0.9], "b": [0.9]}), "method": scores({"a": [0.7], "b": [0.7]})},
    )
    assert table.index.tolist() == ["bound", "method"]
    assert table["dice_behind_mean"].tolist() == pytest.approx([-0.2, 0.0])


def images(**dice: np.ndarray) -> dict[str, pd.DataFrame]:
    return {name: scores({f"i{row:03}": [each] for row, each in enumerate(values)}) for name, values in dice.items()}


def test_methods_that_cannot_be_told_apart_share_their_ranks() -> None:
    rng = np.random.default_rng(0)
    good = rng.beta(9, 2, 60)
    tables = images(
        best=good, twin=good + rng.normal(-0.001, 0.02, 60), far=good - 0.3, bound=np.minimum(good + 0.1, 1.0)
    )
    experiments = dict.fromkeys(tables, UNET) | {"bound": {**OTSU, "foreground": "oracle"}}
    table, pairs = compared(experiments, tables)
    assert set(table.index[1:3]) == {"best", "twin"}
    assert table["rank_low"].tolist() == [pd.NA, 1, 1, 3]
    assert table["rank_high"].tolist() == [pd.NA, 2, 2, 3]
    assert pairs[["first", "second"]].apply(tuple, axis=1).tolist() == [
        *[("bound", each) for each in table.index[1:]],
        *[(table.index[1], each) for each in table.index[2:]],
        (table.index[2], "far"),
    ]
    assert pairs.set_index(["first", "second"]).loc[(table.index[2], "far"), "verdict"] == "better"


def test_a_pairs_row_is_the_two_methods_comparison_corrected_for_all_rows() -> None:
    rng = np.random.default_rng(1)
    values = {name: rng.beta(9, 2, 40) - drop for name, drop in [("x", 0.0), ("y", 0.02), ("z", 0.1)]}
    table, pairs = compared(dict.fromkeys(values, UNET), images(**values))
    assert pairs.columns.tolist() == list(PAIR_COLUMNS)
    for _, row in pairs.iterrows():
        paired = compare_paired(values[row["first"]], values[row["second"]], binary=False, resamples=400)
        for name in ("images", "difference", "low", "high", "test", "p_value", "effect"):
            assert row[name] == pytest.approx(getattr(paired, name)), name
    assert pairs["p_holm"].tolist() == holm(pairs["p_value"].to_numpy()).tolist()
    assert pairs["images_to_decide"].notna().tolist() == (pairs["verdict"] == "undecided").tolist()
    of_best = pairs[pairs["first"] == table.index[0]].set_index("second")
    for end, column in [("mean", "difference"), ("low", "low"), ("high", "high")]:
        assert table.loc[of_best.index, f"dice_behind_{end}"].tolist() == of_best[column].tolist()


def test_areas_are_corrected_for_the_same_family() -> None:
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"first": ["bound", "bound", "x"], "second": ["x", "y", "y"], "p_holm": [np.nan, np.nan, 0.5]})
    truth = np.arange(40) % 2
    probabilities = {
        name: rng.random((1, 40, 2)) + truth[:, None] * gain for name, gain in zip("xy", (1, 0), strict=True)
    }
    found = with_areas(pairs, truth, {**probabilities, "bound": np.eye(2)[truth][None]}, np.arange(40))
    assert found["auc_p_value"].notna().all()
    assert found["auc_p_holm"].isna().tolist() == [True, True, False]
    assert found.loc[2, "auc_p_holm"] == found.loc[2, "auc_p_value"]


def test_a_lead_that_another_seed_would_undo_is_no_lead() -> None:
    rng = np.random.default_rng(2)
    image = rng.beta(9, 2, 200)
    trained = {name: image[:, None] + rng.normal(0, 0.01, (200, 3)) for name in ("steady", "moody")}
    trained["moody"] += np.array([-0.15, 0.0, 0.1])
    tables = {
        name: scores({f"i{row:03}": each.tolist() for row, each in enumerate(values)})
        for name, values in trained.items()
    }
    averaged = compared({"steady": UNET, "moody": UNET}, images(**{n: v.mean(axis=1) for n, v in trained.items()}))[1]
    assert averaged.loc[0, "verdict"] == "better"
    _, pairs = compared({"steady": UNET, "moody": UNET}, tables)
    assert pairs.loc[0, "verdict"] == "undecided"
    assert pd.isna(pairs.loc[0, "images_to_decide"])
    assert pairs.loc[0, "low"] < 0 < pairs.loc[0, "difference"]


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        (OTSU, "Otsu"),
        ({**OTSU, "method": "multiotsu", "classes": 4}, "Multi-Otsu, 4 classes"),
        ({**OTSU, "foreground": "bright"}, "Otsu, bright class"),
        ({**OTSU, "foreground": 1}, "Otsu, class 1"),
        ({**OTSU, "foreground": "oracle"}, "Otsu, oracle"),
        (UNET, "U-Net"),
        ({"family": "networks", "model": "segnet", "settings": {}}, "SegNet"),
        ({"family": "pretrained", "model": "timm_classifier", "settings": {"backbone": "resnet34"}}, "ResNet34"),
        (
            {"family": "pretrained", "model": "timm_classifier", "settings": {"backbone": "convnext_tiny"}},
            "ConvNeXt-Tiny",
        ),
        ({"family": "pretrained", "model": "smp_reference", "settings": {"architecture": "fpn"}}, "FPN (smp)"),
        ({"family": "pretrained", "model": "resnet50_classifier", "settings": {}}, "ResNet50, frozen"),
        ({"family": "classical", "method": "svm", "features": "grey", "settings": {}}, "SVM, grey pixels"),
        ({"family": "classical", "method": "majority", "features": "none", "settings": {}}, "Majority class"),
    ],
)
def test_labels_are_what_readers_call_a_method(experiment: dict, words: str) -> None:
    assert label(with_facts(experiment)) == words


def test_equal_labels_are_told_apart() -> None:
    assert told_apart({"deep": UNET, "wide": UNET, "o": OTSU}) == {
        "deep": "U-Net (deep)",
        "wide": "U-Net (wide)",
        "o": "Otsu",
    }


def test_equal_labels_are_told_apart_by_what_differs() -> None:
    def resnet(**entry: object) -> dict:
        settings = {"backbone": "resnet101", **entry.pop("settings", {})}  # type: ignore[dict-item]
        named = {"family": "pretrained", "dataset": "scans", "images": "scans", "model": "timm_classifier"}
        return {**named, "recipe": "a", "settings": settings, **entry}

    drawn = resnet(images="scans-predicted-overlay")
    assert told_apart({"raw": resnet(), "drawn": drawn})["drawn"] == "ResNet101, predicted overlay"
    assert told_apart({"raw": resnet(), "drawn": resnet(images="overlay"), "plain": UNET}) == {
        "raw": "ResNet101, the image itself",
        "drawn": "ResNet101, overlay",
        "plain": "U-Net",
    }
    assert told_apart({"a": {**UNET, "settings": {"norm": "batch"}}, "b": {**UNET, "settings": {"norm": "none"}}}) == {
        "a": "U-Net, batch norm",
        "b": "U-Net, no norm",
    }
    # One distinction alone does not do for three.
    assert told_apart({"a": resnet(), "b": resnet(recipe="b"), "c": resnet(images="overlay")}) == {
        "a": "ResNet101, the image itself, a",
        "b": "ResNet101, the image itself, b",
        "c": "ResNet101, overlay, a",
    }
    same = told_apart({"a": resnet(), "b": resnet(), "c": resnet(images="overlay")})
    assert same["a"] == "ResNet101, the image itself (a)"


def test_the_bundled_configurations_labels_say_what_differs() -> None:
    config = read_config(ROOT / "params.yaml")
    by_task: dict[str, dict[str, dict]] = {}
    for name in config.experiment_names():
        entry = config.experiment(name)
        by_task.setdefault(entry["task"], {})[name] = entry
    for experiments in by_task.values():
        found = told_apart(experiments)
        assert not any(f"({name})" in each for name, each in found.items()), found
    ultrasound = told_apart(by_task["ultrasound"])
    assert ultrasound["ultrasound-raw"] == "ResNet101, the image itself"
    assert ultrasound["ultrasound-in-sample-overlay"] == "ResNet101, in-sample overlay"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    build(root)
    return root


EVALUATION = "results/evaluation/lungs"


def run(root: Path) -> None:
    """The comparison alone, in place."""
    project = Project(root)
    folders = project.experiments("lungs")
    costs = {name: json.loads((each.predictions / "cost.json").read_text()) for name, each in folders.items()}
    compare(
        "lungs",
        {"kind": "segmentation"},
        {name: with_facts(experiment) for name, experiment in EXPERIMENTS.items()},
        costs,
        {name: each.predictions for name, each in folders.items()},
        project.prepared("lungs"),
        project.split("lungs"),
        project.evaluation("lungs"),
        resamples=RESAMPLES,
        margin=MARGIN,
    )


def test_the_table_agrees_with_each_experiments_own_metrics(project: Path) -> None:
    table = pd.read_csv(project / EVALUATION / "comparison.csv").set_index("experiment")
    assert set(table.index) == set(EXPERIMENTS)
    assert table["dice_mean"].is_monotonic_decreasing
    assert table.index[0] == "lungs-unet"
    for name, row in table.iterrows():
        metrics = json.loads((project / EVALUATION / "experiments" / str(name) / "metrics.json").read_text())
        for score in ("dice", "iou", "pixel_accuracy", "hd95", "assd"):
            for end in ("mean", "low", "high"):
                assert row[f"{score}_{end}"] == pytest.approx(metrics[score][end], rel=1e-4, abs=2e-6), (
                    name,
                    score,
                    end,
                )
        assert (row["images"], row["seeds"]) == (metrics["images"], metrics["seeds"])
    columns = {"dice_montgomery_mean", "dice_shenzhen_low", "dice_tuberculosis_high", "weights", "peak_memory_mib"}
    assert columns <= set(table.columns)


def test_the_same_scores_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    again = copy(project, tmp_path / "p")
    names = ("comparison.csv", "pairs.csv", "comparison.svg")
    for name in names:
        (again / EVALUATION / name).unlink()
    run(again)
    for name in names:
        assert (again / EVALUATION / name).read_bytes() == (project / EVALUATION / name).read_bytes()


def test_the_figure_names_every_method_its_axis_and_how_many_images(project: Path) -> None:
    svg = (project / EVALUATION / "comparison.svg").read_text()
    words = " ".join(ET.fromstring(svg).itertext())
    table = pd.read_csv(project / EVALUATION / "comparison.csv")
    for name, dice in zip(table["label"], table["dice_mean"], strict=True):
        assert name in words
        assert f"{dice:.3f}" in words
    assert "Dice (1 = the masks are equal" in words
    assert "n = 24 test images" in words


def test_what_is_missing_is_named_with_the_command_that_makes_it(project: Path, tmp_path: Path) -> None:
    spoilt = copy(project, tmp_path / "p")
    (spoilt / EVALUATION / "experiments" / "lungs-unet" / "metrics.json").unlink()
    with pytest.raises(BakeoffError, match=r"lungs-unet/metrics\.json is missing: run `dvc repro evaluate@lungs`\."):
        run(spoilt)


def test_scores_of_other_images_are_refused(project: Path, tmp_path: Path) -> None:
    spoilt = copy(project, tmp_path / "p")
    path = spoilt / EVALUATION / "experiments" / "lungs-li" / "scores.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(BakeoffError, match=r"scores of 'lungs-li' are of other images than the test split of .*lungs"):
        run(spoilt)


def test_predictions_of_a_split_drawn_anew_are_refused(project: Path, tmp_path: Path) -> None:
    spoilt = Project(copy(project, tmp_path / "p"))
    other = {**TASKS["lungs"], "split": {**TASKS["lungs"]["split"], "seed": 1}}
    split("lungs", other, spoilt.prepared("lungs"), spoilt.split("lungs"))
    with pytest.raises(BakeoffError, match="are of other images than the test split"):
        run(spoilt.root)
    before = (spoilt.evaluation("lungs") / "pairs.csv").read_bytes()
    with pytest.raises(BakeoffError, match="was made from another test split"):
        evaluate("lungs", other, EXPERIMENTS, spoilt, resamples=RESAMPLES, margin=MARGIN)
    assert (spoilt.evaluation("lungs") / "pairs.csv").read_bytes() == before, "whole or not at all"


def test_experiments_and_the_configuration_have_to_agree(project: Path, tmp_path: Path) -> None:
    spoilt = Project(copy(project, tmp_path / "p"))
    fewer = [name for name in EXPERIMENTS if name != "lungs-li"]
    with pytest.raises(BakeoffError, match=r"baselines/lungs-li belongs to no experiment of params\.yaml"):
        evaluate("lungs", TASKS["lungs"], fewer, spoilt, resamples=RESAMPLES, margin=MARGIN)
    with pytest.raises(BakeoffError, match=r"holds no predictions of 'new': run `dvc repro evaluate@lungs`"):
        evaluate("lungs", TASKS["lungs"], [*EXPERIMENTS, "new"], spoilt, resamples=RESAMPLES, margin=MARGIN)
