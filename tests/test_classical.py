"""Classical classifiers: what they see, what they answer, what is kept of them, and what is refused."""

import json
import operator
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.predictions import read_probabilities
from bakeoff.baselines.classical import (
    METHODS,
    Classifier,
    build,
    describe_estimator,
    draws_at_random,
    extract_features,
    fit_estimator,
    load_classifier,
    save_classifier,
)
from bakeoff.baselines.classical_experiment import fit, predict
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.splits.split import split as draw_split
from skimage.feature import hog
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

SIDE = 16
BREEDS = ["beagle", "persian", "siamese"]
SMALL = {"random-forest": {"n_estimators": 7}, "gradient-boosting": {"max_iter": 5, "min_samples_leaf": 3}}


def entry(method: str, **changes: Any) -> dict[str, Any]:
    features, side = ("none", 0) if method == "majority" else ("grey", 8)
    return {"method": method, "features": features, "side": side, "settings": SMALL.get(method, {}), **changes}


def draw(breeds: list[str], channels: int = 3) -> np.ndarray:
    """Pictures in which the brightness of a third of the rows, and noise, tells the breed."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 120, (len(breeds), SIDE, SIDE, channels), np.uint8)
    for picture, breed in zip(pictures, breeds, strict=True):
        third = BREEDS.index(breed) * SIDE // 3
        picture[third : third + SIDE // 3] += 100
    return pictures


class Project:
    """A prepared data set, a split, and where fits and predictions go."""

    def __init__(self, root: Path, breeds: list[str], parts: list[list[str]]) -> None:
        self.prepared, self.split = root / "prepared", root / "breeds.csv"
        self.models, self.results = root / "models", root / "results"
        self.prepared.mkdir()
        self.ids = [f"{number:03}" for number in range(len(breeds))]
        self.draw(draw(breeds))
        np.save(self.prepared / "histograms.npy", np.zeros((len(breeds), 256), np.uint32))
        pd.DataFrame({"id": self.ids, "group": self.ids, "breed": breeds}).to_csv(
            self.prepared / "index.csv", index=False
        )
        about = {"name": "stripes", "synthetic": True, "targets": ["breed"], "classes": []}
        about |= {"geometry": "stretch", "size": [SIDE, SIDE]}
        (self.prepared / "dataset.json").write_text(json.dumps(about))
        self.write_split(parts)

    def draw(self, images: np.ndarray) -> None:
        np.save(self.prepared / "images.npy", images)

    def write_split(self, parts: list[list[str]]) -> None:
        tables = [pd.DataFrame({"fold": fold, "id": self.ids, "split": part}) for fold, part in enumerate(parts)]
        pd.concat(tables).to_csv(self.split, index=False)

    def fit(self, settings: dict[str, Any], seeds: int = 1) -> None:
        fit("mine", settings, "breed", seeds, self.prepared, self.split, self.models)

    def predict(self) -> pd.DataFrame:
        predict("mine", "breed", self.prepared, self.split, self.models, self.results)
        return pd.read_csv(self.results / "predictions.csv", dtype={"id": str})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Twenty pictures of each breed: the first half trains, three validate, the others are for the test."""
    parts = (["train"] * 10 + ["validation"] * 3 + ["test"] * 7) * len(BREEDS)
    return Project(tmp_path, [breed for breed in BREEDS for _ in range(20)], [parts])


# -- features ---------------------------------------------------------------------------------------------------------


def test_pixels_are_in_rows_from_0_to_1() -> None:
    image = np.array([[[0], [51]], [[102], [255]]], np.uint8)
    assert extract_features([image], "grey", 2).tolist() == [pytest.approx([0, 0.2, 0.4, 1])]
    assert extract_features([image], "rgb", 2).tolist() == [pytest.approx(np.repeat([0, 0.2, 0.4, 1], 3))]
    colours = np.array([[[255, 0, 0], [0, 0, 51]]] * 2, np.uint8)
    assert extract_features([colours], "rgb", 2).tolist() == [pytest.approx([1, 0, 0, 0, 0, 0.2] * 2)]
    luma = np.round([0.299 * 255, 0.114 * 51]) / 255
    assert extract_features([colours], "grey", 2).tolist() == [pytest.approx([*luma, *luma])]


def test_pixels_are_averaged_when_the_picture_shrinks() -> None:
    image = np.array([[0, 100, 30, 30], [100, 200, 30, 30]], np.uint8).repeat(2, axis=0)[..., None]
    assert extract_features([image], "grey", 2).tolist() == [pytest.approx(np.array([50, 30, 150, 30]) / 255)]


def test_hog_is_that_of_scikit_image_in_order_of_the_images() -> None:
    pictures = draw(["beagle", "persian"], channels=1)
    found = extract_features(pictures, "hog", SIDE)
    assert (found.shape, found.dtype) == ((2, 36), np.float32)
    for row, picture in zip(found, pictures, strict=True):
        assert row == pytest.approx(hog(picture[..., 0] / 255.0, 9, (8, 8), (2, 2)), abs=1e-5)


@pytest.mark.parametrize(("features", "length"), [("none", 0), ("grey", 400), ("rgb", 1200), ("hog", 36)])
@pytest.mark.parametrize("channels", [1, 3])
def test_length_of_the_features_where_cells_do_not_fill_the_side(features: str, length: int, channels: int) -> None:
    assert extract_features(draw(BREEDS, channels), features, 20).shape == (3, length)


# -- estimators -------------------------------------------------------------------------------------------------------


def points(classes: int = 2, images: int = 60, apart: float = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = np.arange(images) % classes
    return (rng.normal(size=(images, 4)) + apart * np.eye(4)[labels]).astype(np.float32), labels


def fitted(method: str, settings: dict[str, Any] | None = None, classes: int = 2, seed: int = 0) -> Any:
    return fit_estimator(build(method, settings or {}, seed, 1), *points(classes))[0]


def test_the_machine_is_scikit_learns_with_its_defaults_on_features_as_they_are() -> None:
    features, labels = points()
    machine = fitted("svm").calibrated_classifiers_[0].estimator
    assert np.array_equal(machine.decision_function(features), SVC().fit(features, labels).decision_function(features))


def test_the_machine_is_calibrated_on_images_it_has_not_seen() -> None:
    """Noise without classes: a machine is sure of what it has seen; whoever has not is not."""
    features, labels = points(apart=0)
    unseen, _ = fit_estimator(build("svm", {"gamma": 1.0}, 0, 1), features, labels)
    assert unseen.predict_proba(features).max() < 0.85
    seen = np.concatenate([features, features + 50]), np.concatenate([labels, [2] + [0] * 59])
    estimator, remarks = fit_estimator(build("svm", {"gamma": 1.0}, 0, 1), *seen)
    assert estimator.predict_proba(features).max() > 0.95
    assert remarks == ["a class has one training image: probabilities were fitted on the training images themselves"]


def test_classes_of_few_images_take_fewer_folds() -> None:
    features, labels = points(images=20)
    keep = np.r_[np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:2]]
    estimator, remarks = fit_estimator(build("svm", {}, 0, 1), features[keep], labels[keep])
    assert (estimator.cv, remarks) == (2, [])


@pytest.mark.parametrize("method", [method for method in METHODS if method != "majority"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_method_tells_apart_what_can_be_told_apart(method: str, classes: int) -> None:
    features, labels = points(classes)
    estimator = fitted(method, {}, classes)
    probabilities = estimator.predict_proba(features)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(labels)))
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.9


def test_forests_are_scikit_learns_of_the_same_seed_whatever_the_threads() -> None:
    features, labels = points()
    expected = RandomForestClassifier(9, random_state=5).fit(features, labels).predict_proba(features)
    for threads in (1, 2):
        found, _ = fit_estimator(build("random-forest", {"n_estimators": 9}, 5, threads), features, labels)
        assert np.array_equal(found.predict_proba(features), expected)
        assert found[-1].n_jobs is None
    assert not np.array_equal(fitted("random-forest", {"n_estimators": 9}, seed=6).predict_proba(features), expected)


def test_preprocessing_is_what_the_settings_say() -> None:
    def steps(method: str, settings: dict[str, Any]) -> list[str]:
        return [name for name, _ in build(method, settings, 0, 1).steps]

    assert steps("svm", {}) == ["classify"]
    assert steps("logistic-regression", {}) == ["scale", "classify"]
    assert steps("logistic-regression", {"scale": False, "pca": 2}) == ["pca", "classify"]
    assert steps("svm", {"scale": True, "pca": 2}) == ["scale", "pca", "classify"]
    assert fitted("logistic-regression", {"pca": 2})["classify"].n_features_in_ == 2


@pytest.mark.parametrize(
    ("method", "settings", "images", "random"),
    [
        ("majority", {}, 10**6, False),
        ("svm", {}, 10**6, False),
        ("logistic-regression", {}, 10**6, False),
        ("random-forest", {}, 10, True),
        ("gradient-boosting", {}, 10_000, False),
        ("gradient-boosting", {}, 10_001, True),
        ("gradient-boosting", {"early_stopping": False}, 10_001, False),
        ("gradient-boosting", {"early_stopping": True}, 10, True),
        ("gradient-boosting", {"max_features": 0.5}, 10, True),
    ],
)
def test_who_draws_at_random(method: str, settings: dict[str, Any], images: int, random: bool) -> None:
    assert draws_at_random(method, settings, images) is random


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("gradient-boosting", {"max_iter": 5}),
        ("gradient-boosting", {"max_iter": 5, "max_features": 0.5}),
        ("gradient-boosting", {"max_iter": 5, "early_stopping": True}),
        ("random-forest", {"n_estimators": 5}),
        ("svm", {}),
        ("logistic-regression", {}),
    ],
)
def test_seeds_differ_for_whom_it_says_so_and_for_nobody_else(method: str, settings: dict[str, Any]) -> None:
    features, labels = points(apart=1)
    first, second = (
        fit_estimator(build(method, settings, seed, 1), features, labels)[0].predict_proba(features) for seed in (0, 1)
    )
    assert np.array_equal(first, second) is not draws_at_random(method, settings, len(labels))


def test_sizes_are_described() -> None:
    assert describe_estimator(fitted("logistic-regression", {}, classes=3))[0] == 3 * 4 + 3
    parameters, size = describe_estimator(fitted("svm"))
    machine = SVC().fit(*points())
    assert (parameters, size) == (None, f"{len(machine.support_)} of 60 training images are support vectors")
    assert describe_estimator(fitted("random-forest", {"n_estimators": 3}))[1].startswith("3 trees of ")
    boosted = fitted("gradient-boosting", {"max_iter": 4}, classes=3)
    assert describe_estimator(boosted) == (None, "12 trees in 4 iterations")


def test_a_fit_that_did_not_converge_says_so() -> None:
    _, remarks = fit_estimator(build("logistic-regression", {"max_iter": 1}, 0, 1), *points())
    assert len(remarks) == 1
    assert "failed to converge" in remarks[0]


# -- saved ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_classifier_predicts_the_same_bits(method: str, tmp_path: Path) -> None:
    labels = np.arange(30) % 3
    images = draw([BREEDS[label] for label in labels])
    settings = entry(method)
    features = extract_features(images, settings["features"], settings["side"])
    estimator, _ = fit_estimator(build(method, settings["settings"], 0, 1), features, labels)
    classifier = Classifier(estimator, BREEDS, settings["features"], settings["side"], images.shape[1:], "stretch")
    save_classifier(tmp_path / "seed0.skops", classifier)
    found = load_classifier(tmp_path / "seed0.skops")
    assert np.array_equal(found.probabilities(images), classifier.probabilities(images))
    assert (found.classes, found.shape) == (BREEDS, (SIDE, SIDE, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["seed0.skops"]


def test_a_file_with_a_type_that_is_not_trusted_is_refused_and_nothing_of_it_is_run(tmp_path: Path) -> None:
    path, touched = tmp_path / "seed0.skops", tmp_path / "touched"
    skops.io.dump({"classes": BREEDS, "estimator": operator.methodcaller("touch")}, path)
    with pytest.raises(BakeoffError, match=r"seed0.skops is not trusted \(.*operator.methodcaller.*\): delete it"):
        load_classifier(path)
    path.write_bytes(b"\x80\x04cposix\nsystem\n(S'touch " + str(touched).encode() + b"'\ntR.")  # a pickle
    with pytest.raises(BakeoffError, match=r"seed0.skops is no classifier of Bakeoff"):
        load_classifier(path)
    assert not touched.exists()


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seed0.skops"
    with pytest.raises(BakeoffError, match=r"seed0.skops is missing: run"):
        load_classifier(path)
    skops.io.dump({"classes": BREEDS}, path)
    with pytest.raises(BakeoffError, match=r"is no classifier of Bakeoff"):
        load_classifier(path)
    skops.io.dump([1, 2], path)
    with pytest.raises(BakeoffError, match=r"is no classifier of Bakeoff"):
        load_classifier(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BakeoffError, match=r"is no classifier of Bakeoff"):
        load_classifier(path)


# -- the stage --------------------------------------------------------------------------------------------------------


def test_the_majority_has_the_shares_of_the_training_images(project: Project) -> None:
    parts = np.array(["train"] * 60, object)
    parts[[0, 20, 40]] = "test"
    parts[np.r_[1:9, 41:50]] = "validation"  # 11 beagles, 19 persians and 10 siamese train
    project.write_split([parts.tolist()])
    project.fit(entry("majority"), seeds=3)
    table = project.predict()
    assert list(table) == ["id", "seed", "fold", "label", "p_beagle", "p_persian", "p_siamese"]
    assert table[["id", "seed", "fold", "label"]].to_numpy().tolist() == [
        ["000", 0, 0, "beagle"],
        ["020", 0, 0, "persian"],
        ["040", 0, 0, "siamese"],
    ]
    assert table.iloc[:, 4:].to_numpy() == pytest.approx(np.array([[11, 19, 10]] * 3) / 40, abs=1e-6)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "majority"])
def test_every_method_learns_from_fits_to_predictions(method: str, project: Project) -> None:
    project.fit(entry(method), seeds=2)
    table = project.predict()
    seeds = [0, 1] if method == "random-forest" else [0]
    assert sorted(path.name for path in project.models.iterdir()) == [
        f"seed{seed}.{kind}" for seed in seeds for kind in ("json", "skops")
    ]
    tested = project.ids[13:20] + project.ids[33:40] + project.ids[53:60]
    assert table["id"].tolist() == tested * len(seeds)
    assert table["seed"].tolist() == [seed for seed in seeds for _ in tested]
    probabilities = table[[f"p_{breed}" for breed in BREEDS]].to_numpy()
    assert (np.array(BREEDS)[probabilities.argmax(axis=1)] == table["label"]).mean() > 0.8

    record = json.loads((project.models / "seed0.json").read_text())
    assert (record["seed"], record["fold"], record["device"], record["weights"]) == (0, 0, "cpu", None)
    assert (record["experiment"], record["task"]) == ("mine", project.split.stem)
    assert record["training_seconds"] > 0
    assert record["model_mib"] == (project.models / "seed0.skops").stat().st_size / 2**20
    cost = json.loads((project.results / "cost.json").read_text())
    assert cost["parameters"] == ((3 * 64 + 3) if method == "logistic-regression" else None)
    assert cost["predict_images_per_second"] > 0
    assert (cost["latency_ms"] > 0, cost["multiply_adds"]) == (True, None)
    assert record["note"] in cost["note"]


def test_nothing_but_the_training_images_is_learned_from(project: Project) -> None:
    project.fit(entry("svm"))
    before = load_classifier(project.models / "seed0.skops")
    images = np.load(project.prepared / "images.npy")
    changed = images.copy()
    for start in (0, 20, 40):
        changed[start + 10 : start + 20] = 255 - changed[start + 10 : start + 20]
    project.draw(changed)
    project.fit(entry("svm"))
    after = load_classifier(project.models / "seed0.skops")
    assert np.array_equal(before.probabilities(images), after.probabilities(images))


def test_with_folds_each_image_is_predicted_by_the_fold_that_tests_it(project: Project) -> None:
    """Labels that nothing tells: only a classifier that trained on an image could know it."""
    permuted = [("train", "test", "validation"), ("test", "train", "validation")]
    project.draw(np.random.default_rng(3).integers(0, 256, (60, SIDE, SIDE, 3), np.uint8))
    project.write_split([[order[number % 3] for number in range(60)] for order in permuted])
    project.fit(entry("random-forest"), seeds=2)
    table = project.predict()
    assert sorted(path.stem for path in project.models.glob("*.skops")) == [
        f"seed{seed}-fold{fold}" for seed in (0, 1) for fold in (0, 1)
    ]
    assert table["id"].tolist() == [each for number, each in enumerate(project.ids) if number % 3 < 2] * 2
    assert table["fold"].tolist() == [1, 0] * 40
    validation = read_probabilities(project.results, "validation").table
    assert (
        validation["id"].tolist()
        == [each for number, each in enumerate(project.ids) if number % 3 == 2 for _ in "01"] * 2
    )
    assert validation["fold"].tolist() == [0, 1] * 40  # both folds choose on the same images, with their own forests
    assert (validation["p_beagle"][::2].to_numpy() != validation["p_beagle"][1::2].to_numpy()).any()
    probabilities = table[[f"p_{breed}" for breed in BREEDS]].to_numpy()
    assert (np.array(BREEDS)[probabilities.argmax(axis=1)] == table["label"]).mean() < 0.6


def test_a_class_without_training_images_has_probability_0(project: Project) -> None:
    project.write_split([["validation", *["train"] * 19, *["test"] * 20, *["train"] * 10, *["test"] * 10]])
    project.fit(entry("svm"))
    table = project.predict()
    assert (table["p_persian"] == 0).all()
    assert (table["p_beagle"] + table["p_siamese"]).to_numpy() == pytest.approx(np.ones(30), abs=1e-5)


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "forest"}, "mine: method is 'forest', not one of majority, svm,"),
        ({"features": "lbp"}, "mine: features is 'lbp', not one of none, grey, rgb, hog"),
        ({"features": "hog", "side": 15}, "mine: side is 15, less than the 16 that hog features need"),
        ({"side": 0}, "mine: side is 0, less than the 1"),
        ({"features": "none"}, "mine: features is 'none', make it others than none for svm"),
        ({"method": "majority"}, "mine: features is 'grey', make it none, majority looks at no image"),
        ({"settings": {"c": 1}}, "mine: svm has no setting 'c', it has C, "),
        ({"settings": {"random_state": 1}}, "mine: svm has no setting 'random_state'"),
        ({"method": "random-forest", "settings": {"n_jobs": 8}}, "mine: random-forest has no setting 'n_jobs'"),
        ({"settings": {"C": -1}}, r"mine.settings: The 'C' parameter must be a float .* Got -1 instead: change"),
        ({"settings": {"pca": 500}}, r"mine.settings: n_components=500 must be between"),
    ],
)
def test_wrong_settings_are_named_in_a_sentence(project: Project, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BakeoffError, match=message) as raised:
        project.fit({**entry("svm"), **changes})
    assert "\n" not in str(raised.value)
    assert not project.models.exists()


def test_one_class_alone_cannot_be_told_apart(project: Project) -> None:
    project.write_split([["train"] * 19 + ["validation"] + ["test"] * 40])
    with pytest.raises(BakeoffError, match=r"breeds.csv: all training images of fold 0 are beagle: change"):
        project.fit(entry("svm"))
    assert not project.models.exists()


def test_what_does_not_fit_the_data_is_not_predicted_with(project: Project) -> None:
    with pytest.raises(BakeoffError, match="models holds no classifier of mine: run `dvc repro"):
        project.predict()
    project.fit(entry("svm"))
    project.draw(draw(BREEDS * 20, channels=1))
    with pytest.raises(BakeoffError, match=r"fitted on images of shape \(16, 16, 3\), not \(16, 16, 1\)\): fit again"):
        project.predict()
    index = pd.read_csv(project.prepared / "index.csv", dtype=str).replace("siamese", "sphynx")
    index.to_csv(project.prepared / "index.csv", index=False)
    with pytest.raises(BakeoffError, match=r"seed0.skops was fitted for other classes than .*prepared has"):
        project.predict()
    (project.models / "seed0.skops").unlink()
    with pytest.raises(BakeoffError, match=r"seed0.skops is missing: run `dvc repro"):
        project.predict()
    assert not project.results.exists()


# -- the real photographs ---------------------------------------------------------------------------------------------


@pytest.mark.real
def test_gradients_tell_real_cats_from_dogs_and_beat_the_majority(mirror: Path, tmp_path: Path) -> None:
    raw, prepared, split = tmp_path / "raw", tmp_path / "prepared", tmp_path / "catsdogs.csv"
    raw.mkdir()
    archive = "kagglecatsanddogs_5340.zip"
    (raw / archive).symlink_to(mirror / archive)
    (raw / "source.json").write_text(json.dumps({"files": [{"official": False}], "synthetic": False}))
    prepare("catsdogs", "catsdogs", raw, prepared, size=96, distance=6)
    shares = {"name": "stratified", "train": 0.5, "validation": 0.1, "test": 0.4, "stratify": ["class"], "seed": 0}
    draw_split("catsdogs", {"target": "class", "split": shares}, prepared, split)

    def correct(method: str, features: str, side: int, settings: dict[str, Any]) -> np.ndarray:
        models, results = tmp_path / "models", tmp_path / "results"
        chosen = {"method": method, "features": features, "side": side, "settings": settings}
        fit(method, chosen, "class", 1, prepared, split, models)
        predict(method, "class", prepared, split, models, results)
        table = pd.read_csv(results / "predictions.csv")
        right = (np.where(table["p_cat"] > table["p_dog"], "cat", "dog") == table["label"]).to_numpy()
        print(f"{method} on {features} {side}: accuracy {right.mean():.3f} of {len(right)}")
        return right

    majority = correct("majority", "none", 0, {})
    gradients = correct("logistic-regression", "hog", 96, {"C": 0.001})
    pixels = correct("svm", "grey", 48, {})
    gained, lost = (gradients & ~majority).sum(), (majority & ~gradients).sum()
    # McNemar's statistic, far beyond the 3.84 of a chance of 5 %.
    assert gained > lost
    assert (gained - lost) ** 2 / (gained + lost) > 10
    assert pixels.sum() < gradients.sum()


FIT_AND_PREDICT = """
import sys
import numpy as np
from bakeoff.baselines.classical import Classifier, build, fit_estimator

features, labels = np.random.default_rng(0).random((20, 4), np.float32), np.arange(20) % 2
for method in ("svm", "random-forest", "gradient-boosting", "logistic-regression"):
    estimator, _ = fit_estimator(build(method, {}, 0, 1), features, labels)
    estimator.predict_proba(features)
"""


@pytest.mark.parametrize(
    "work",
    [
        FIT_AND_PREDICT,
        "import sys, bakeoff.baselines.thresholds",
        "import sys, bakeoff.tasks.scoring, bakeoff.tasks.comparing",
    ],
    ids=["classical", "thresholds", "evaluation"],
)
def test_methods_without_a_network_do_not_wait_for_torch(work: str) -> None:
    """Nor is a module put in its place: only skops imports torch, to save a classifier or load one."""
    asked = f"{work}\nprint([name for name in sys.modules if 'torch' in name])"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["[]"]


def test_skops_finds_no_stand_in_for_a_module() -> None:
    asked = "import sys, bakeoff.baselines.classical, skops.io; print(sys.modules['torch'].Tensor.__name__)"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["Tensor"]
