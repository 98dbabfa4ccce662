"""Splits: shares, strata, folds, groups that stay together, published ones, and those of the configuration."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.config import read_config
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.splits.split import split
from bakeoff.datasets.splits.splitting import SPLITS, groups_between_splits, split_table
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
STRATA = ["hospital", "diagnosis"]
Settings = dict[str, Any]


def stratified(seed: int = 0) -> Settings:
    shares = {"train": 0.7, "validation": 0.15, "test": 0.15}
    return {"name": "stratified", **shares, "stratify": STRATA, "seed": seed}


def by_label(grouped: bool = True, seed: int = 0, **changes: Any) -> Settings:
    settings = {"label": "hospital", "train": ["m"], "test": ["s"], "validation": 0.15, "stratify": ["diagnosis"]}
    return {"name": "by-label", **settings, "grouped": grouped, "seed": seed, **changes}


def folds(count: int = 5, *, grouped: bool = True, seed: int = 0) -> Settings:
    return {"name": "folds", "folds": count, "validation": 0.15, "stratify": STRATA, "grouped": grouped, "seed": seed}


def at_random(seed: int = 42) -> Settings:
    return {"name": "random", "validation": 0.1, "test": 0.2, "seed": seed}


EVERY_14TH: Settings = {"name": "every-14th"}
ALL = {
    "stratified": stratified(),
    "by-label, drop": by_label(True),
    "by-label, keep": by_label(False),
    "folds, grouped": folds(grouped=True),
    "folds, ungrouped": folds(grouped=False),
    "random": at_random(),
    "every-14th": EVERY_14TH,
}


def index_of(counts: dict[tuple[str, str], int], group_sizes: list[int] | None = None) -> pd.DataFrame:
    """An index with so many images a stratum; the first ones of each stratum form groups of the given sizes."""
    rows = []
    for (hospital, diagnosis), count in counts.items():
        groups = np.repeat(np.arange(len(group_sizes or [])), group_sizes or [])[:count]
        groups = np.concatenate([groups, np.arange(len(groups), count) + count])
        for number, group in enumerate(groups):
            name = f"{hospital}_{diagnosis}"
            rows.append((f"{name}_{number:04d}", f"{name}_g{group}", hospital, diagnosis))
    return pd.DataFrame(rows, columns=["id", "group", *STRATA])


def tangled_index(images: int, looks: float, seed: int) -> pd.DataFrame:
    """Images of three hospitals whose groups cross hospitals and diagnoses; `looks` is looks an image, about."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"x{number:03d}" for number in range(images)],
            "group": [f"g{look}" for look in random.integers(0, round(images * looks), images)],
            "hospital": random.choice(["m", "s", "other"], images, p=[0.6, 0.3, 0.1]),
            "diagnosis": random.choice(["normal", "tb"], images),
        }
    )


REAL = {("m", "normal"): 80, ("m", "tb"): 58, ("s", "normal"): 279, ("s", "tb"): 287}

orderly = st.builds(
    index_of,
    st.dictionaries(
        st.tuples(st.sampled_from("ms"), st.sampled_from(["normal", "tb"])), st.integers(12, 90), min_size=1
    ),
    st.lists(st.integers(2, 3), max_size=2),
)
tangled = st.builds(tangled_index, st.integers(60, 150), st.sampled_from([0.7, 1.0, 3.0]), st.integers(0, 10_000))


def parts_of(index: pd.DataFrame, settings: Settings) -> pd.Series:
    """Part of every image, in the order of the index, in a split that is no cross-validation."""
    table = split_table(index, settings)
    assert table.columns.tolist() == ["fold", "id", "split"]
    assert (table["fold"] == 0).all()
    assert table["id"].tolist() == index["id"].tolist()
    return table["split"].set_axis(index.index)


def folds_of(index: pd.DataFrame, settings: Settings) -> list[pd.Series]:
    """Part of every image, in the order of the index, in every fold."""
    table = split_table(index, settings)
    assert table["fold"].tolist() == np.repeat(np.arange(settings["folds"]), len(index)).tolist()
    assert table["id"].tolist() == index["id"].tolist() * settings["folds"]
    return [fold["split"].set_axis(index.index) for _, fold in table.groupby("fold")]


def torn(index: pd.DataFrame, chosen: pd.Series) -> dict[str, list[str]]:
    """Groups whose images lie in more than one part, those left out aside."""
    used = chosen != ""
    return groups_between_splits(index["group"][used], chosen[used])


def count(chosen: pd.Series) -> dict[str, int]:
    return chosen.value_counts().to_dict()


# -- what holds for every split ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", ALL.values(), ids=ALL)
@hypothesis_settings(max_examples=25)
@given(tangled, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(settings: Settings, index: pd.DataFrame, random: Any) -> None:
    order = list(range(len(index)))
    random.shuffle(order)
    tables = [split_table(index, settings), split_table(index.iloc[order], settings)]
    first, second = (table.sort_values(["fold", "id"])["split"].tolist() for table in tables)
    assert first == second


@pytest.mark.parametrize("settings", ALL.values(), ids=ALL)
@hypothesis_settings(max_examples=25)
@given(tangled)
def test_every_part_of_every_fold_has_images(settings: Settings, index: pd.DataFrame) -> None:
    for _, fold in split_table(index, settings).groupby("fold"):
        assert set(SPLITS) <= set(fold["split"]) <= {*SPLITS, ""}


SEEDED = {
    "stratified": stratified,
    "by-label": lambda seed: by_label(seed=seed),
    "folds": lambda seed: folds(seed=seed),
}
SEEDED["random"] = at_random


@pytest.mark.parametrize("settings_of", SEEDED.values(), ids=SEEDED)
def test_another_seed_draws_another_split(settings_of: Callable[..., Settings]) -> None:
    first, again, other = (split_table(index_of(REAL), settings_of(seed=seed)) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


# -- stratified -------------------------------------------------------------------------------------------------------


def test_shares_of_the_real_counts_are_exact() -> None:
    assert count(parts_of(index_of(REAL), stratified())) == {"train": 492, "validation": 106, "test": 106}


def test_every_stratum_keeps_its_share_within_one_image() -> None:
    index = index_of(REAL)
    index["split"] = parts_of(index, stratified(seed=3))
    for stratum, rows in index.groupby(STRATA):
        for name in ("validation", "test"):
            assert abs((rows["split"] == name).sum() - 0.15 * REAL[stratum]) <= 1  # type: ignore[index]


def test_without_strata_the_shares_are_of_all_images() -> None:
    chosen = parts_of(index_of(REAL), stratified() | {"stratify": []})
    assert count(chosen) == {"train": 492, "validation": 106, "test": 106}


@given(orderly, st.integers(0, 5))
def test_no_group_is_in_two_parts_and_every_stratum_is_in_every_part(index: pd.DataFrame, seed: int) -> None:
    chosen = parts_of(index, stratified(seed))
    assert torn(index, chosen) == {}
    present = index.assign(split=chosen).groupby(STRATA)["split"].agg(set)
    assert all(parts == {"train", "validation", "test"} for parts in present)


@given(tangled, st.integers(0, 5))
def test_no_group_is_in_two_parts_whatever_its_labels(index: pd.DataFrame, seed: int) -> None:
    chosen = parts_of(index, stratified(seed))
    assert set(chosen) == set(SPLITS)
    assert torn(index, chosen) == {}


@given(orderly, st.integers(0, 5))
def test_totals_are_within_one_image_where_nothing_is_grouped(index: pd.DataFrame, seed: int) -> None:
    alone = index.assign(group=index["id"])
    counts = count(parts_of(alone, stratified(seed)))
    assert abs(counts["test"] - 0.15 * len(alone)) <= 1
    assert abs(counts["validation"] - 0.15 * len(alone)) <= 1


@pytest.mark.parametrize(
    ("images", "expected"), [(1, ["train"]), (2, ["test", "train"]), (3, ["test", "train", "validation"])]
)
def test_a_stratum_too_small_for_three_trains_first_and_then_tests(images: int, expected: list[str]) -> None:
    index = index_of({("m", "tb"): images, ("s", "tb"): 20})
    chosen = parts_of(index, stratified())
    assert sorted(chosen[index["hospital"] == "m"]) == expected


def test_a_large_group_stays_whole_and_the_rest_makes_up_for_it() -> None:
    chosen = parts_of(index_of({("m", "tb"): 100}, group_sizes=[40]), stratified())
    assert len(set(chosen[:40])) == 1
    assert count(chosen) == {"train": 70, "validation": 15, "test": 15}


# -- by label ---------------------------------------------------------------------------------------------------------


def test_who_learns_from_one_hospital_is_tested_on_the_images_of_both() -> None:
    shares = {"name": "stratified", "train": 0.7, "validation": 0.15, "test": 0.15, "stratify": ["hospital"], "seed": 3}
    index = index_of(REAL)
    everything = split_table(index, shares)["split"]
    chosen = split_table(index, {**shares, "learn_from": {"label": "hospital", "value": "m"}})["split"]
    assert chosen[chosen == "test"].index.equals(everything[everything == "test"].index)
    here = index["hospital"] == "m"
    assert chosen[here].equals(everything[here])
    assert set(chosen[~here]) == {"test", ""}


def test_one_hospital_trains_and_validates_and_the_other_tests() -> None:
    index = index_of(REAL)
    chosen = parts_of(index, by_label())
    assert set(chosen[index["hospital"] == "s"]) == {"test"}
    assert count(chosen[index["hospital"] == "m"]) == {"train": 117, "validation": 21}
    by_diagnosis = index.assign(split=chosen)[chosen == "validation"]["diagnosis"]
    assert count(by_diagnosis) == {"normal": 12, "tb": 9}  # 15 % of 80 and of 58


def straddled() -> pd.DataFrame:
    """Look-alikes: two in m, two across m and s, two across m and another hospital."""
    index = index_of({("m", "tb"): 40, ("s", "tb"): 10, ("other", "tb"): 5})
    for first, second in (("m_tb_0000", "m_tb_0001"), ("m_tb_0002", "s_tb_0000"), ("m_tb_0003", "other_tb_0000")):
        index.loc[index["id"].isin([first, second]), "group"] = first
    return index


def test_training_images_that_look_like_a_test_image_are_dropped() -> None:
    index = straddled()
    chosen = parts_of(index, by_label(True))
    assert chosen[index["id"] == "m_tb_0002"].item() == ""
    assert count(chosen) == {"train": 33, "validation": 6, "test": 10, "": 6}
    assert torn(index, chosen) == {}


def test_training_images_that_look_like_a_test_image_are_kept_where_the_book_says_so() -> None:
    index = straddled()
    chosen = parts_of(index, by_label(False))
    assert count(chosen) == {"train": 34, "validation": 6, "test": 10, "": 5}
    assert torn(index, chosen) == {"m_tb_0002": ["test", chosen[index["id"] == "m_tb_0002"].item()]}


def test_values_that_choose_are_named_in_place_of_a_share() -> None:
    index = straddled()
    chosen = parts_of(index, by_label(True, validation=["other"]))
    assert set(chosen[index["hospital"] == "other"]) == {"validation"}
    # Two of m look like an image of another part.
    assert count(chosen) == {"train": 38, "validation": 5, "test": 10, "": 2}
    assert count(parts_of(index, by_label(False, validation=["other"]))) == {"train": 40, "validation": 5, "test": 10}


def test_a_value_that_trains_and_tests_only_tests() -> None:
    index = index_of({("m", "tb"): 40, ("s", "tb"): 10})
    assert count(parts_of(index, by_label(train=["m", "s"]))) == {"train": 34, "validation": 6, "test": 10}


@given(tangled, st.integers(0, 5))
def test_who_tests_is_fixed_and_only_look_alikes_of_a_test_image_are_dropped(index: pd.DataFrame, seed: int) -> None:
    chosen = parts_of(index, by_label(True, seed))
    assert ((chosen == "test") == (index["hospital"] == "s")).all()
    like_a_test = index["group"].isin(index.loc[index["hospital"] == "s", "group"])
    learns = chosen.isin(["train", "validation"])
    assert (learns == ((index["hospital"] == "m") & ~like_a_test)).all()
    assert torn(index, chosen) == {}


@given(tangled, st.integers(0, 5))
def test_kept_look_alikes_of_a_test_image_still_train_or_choose_together(index: pd.DataFrame, seed: int) -> None:
    chosen = parts_of(index, by_label(False, seed))
    assert (chosen.isin(["train", "validation"]) == (index["hospital"] == "m")).all()
    learns = index["hospital"] == "m"
    assert torn(index[learns], chosen[learns]) == {}


# -- folds ------------------------------------------------------------------------------------------------------------


@given(tangled, st.integers(2, 10), st.integers(0, 5), st.booleans())
def test_every_image_is_tested_once_and_used_in_every_fold(
    index: pd.DataFrame, number: int, seed: int, grouped: bool
) -> None:
    chosen = folds_of(index, folds(number, grouped=grouped, seed=seed))
    assert (sum((parts == "test").astype(int) for parts in chosen) == 1).all()
    assert all(set(parts) == set(SPLITS) for parts in chosen)
    if grouped:
        assert all(torn(index, parts) == {} for parts in chosen)


def test_folds_are_of_one_size_and_stratified() -> None:
    index = index_of(REAL)
    chosen = folds_of(index, folds())
    assert [count(parts)["test"] for parts in chosen] == [141, 141, 141, 141, 140]
    for parts in chosen:
        assert count(parts)["validation"] == round(0.15 * (704 - count(parts)["test"]))
        for stratum, rows in index.assign(split=parts).groupby(STRATA):
            assert abs((rows["split"] == "test").sum() - REAL[stratum] / 5) < 1  # type: ignore[index]
            assert (rows["split"] == "validation").sum() > 0


def test_folds_that_know_no_groups_tear_look_alikes_apart() -> None:
    index = index_of({("s", "tb"): 60}, group_sizes=[2] * 20)
    assert all(len(torn(index, parts)) > 5 for parts in folds_of(index, folds(grouped=False)))
    assert all(torn(index, parts) == {} for parts in folds_of(index, folds(grouped=True)))


# -- published splits -------------------------------------------------------------------------------------------------


def test_a_random_fifth_of_the_pets_is_1478() -> None:
    index = index_of({("s", "tb"): 7390})
    assert count(parts_of(index, at_random())) == {"train": 5321, "validation": 591, "test": 1478}


def test_a_random_split_knows_no_groups() -> None:
    index = index_of({("s", "tb"): 60}, group_sizes=[2] * 20)
    assert len(torn(index, parts_of(index, at_random()))) > 5


def test_every_14th_is_602_51_51_of_704() -> None:
    index = index_of(REAL)
    chosen = parts_of(index, EVERY_14TH)
    assert count(chosen) == {"train": 602, "validation": 51, "test": 51}
    by_id = chosen.set_axis(index["id"]).sort_index()
    assert by_id.iloc[[0, 14, 28, 700]].unique().tolist() == ["validation"]
    assert by_id.iloc[[1, 15, 29, 701]].unique().tolist() == ["test"]


def test_every_14th_separates_groups_and_that_can_be_detected() -> None:
    index = index_of({("s", "normal"): 20}, group_sizes=[3])
    assert torn(index, parts_of(index, EVERY_14TH)) == {"s_normal_g0": ["test", "train", "validation"]}


# -- what cannot be ---------------------------------------------------------------------------------------------------

ALIKE = index_of({("m", "tb"): 8, ("s", "tb"): 1}).assign(group="all")


@pytest.mark.parametrize(
    ("index", "settings", "words"),
    [
        (
            index_of(REAL),
            stratified() | {"stratify": ["city"]},
            "the label 'city', but the data set has hospital, diag",
        ),
        (index_of(REAL), folds() | {"stratify": ["group"]}, "the label 'group', but the data set has hospital, diag"),
        (index_of(REAL)[["id", "group"]], by_label(), "the label 'diagnosis', but the data set has none"),
        (index_of(REAL), by_label(label="city"), "the label 'city', but the data set has hospital, diagnosis"),
        (index_of(REAL), by_label(train=["x"]), "names 'x', but the label 'hospital' has m, s"),
        (index_of(REAL), by_label(test=["x"]), "names 'x', but the label 'hospital' has m, s"),
        (index_of({("m", "tb"): 2}), stratified(), "'stratified' has no images for validation in fold 0 of 2 images"),
        (
            index_of({("m", "cat"): 2, ("m", "dog"): 2}),
            stratified() | {"stratify": ["diagnosis"]},
            r"validation in fold 0 of 4 images: cat \(2\), dog \(2\) have fewer than 3 images, near-duplicates and "
            "images of one group counted once, and each part needs one: add images of these, or leave them out",
        ),
        (
            index_of({("m", "tb"): 2}),
            stratified() | {"stratify": []},
            "near-duplicates and images of one group counted once there are 2, and 3 are needed: add images, or take",
        ),
        (index_of({("m", "tb"): 4}), at_random(), "'random' has no images for validation and test in fold 0"),
        (index_of({("m", "tb"): 1}), EVERY_14TH, "'every-14th' has no images for train and test in fold 0"),
        (ALIKE, folds(2), "'folds' has no images for train and validation in fold 0 of 9 images"),
        (ALIKE, by_label(True), "'by-label' has no images for train and validation in fold 0 of 9 images"),
        (
            index_of(REAL),
            {**stratified(), "learn_from": {"label": "hospital", "value": "x"}},
            "names 'x', but the label 'hospital' has m, s",
        ),
        (index_of(REAL), by_label(train=["s"]), "'by-label' has no images for train and validation in fold 0 of 704"),
    ],
)
def test_a_split_that_cannot_be_is_one_sentence(index: pd.DataFrame, settings: Settings, words: str) -> None:
    with pytest.raises(BakeoffError, match=words) as caught:
        split_table(index, settings)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


# -- the splits of the configuration
# -------------------------------------------------------------------------------------------

CONFIG_FILE = read_config(ROOT / "params.yaml").model_copy(update={"profile": "full"})
TASKS = {name: CONFIG_FILE.task(name) for name in CONFIG_FILE.tasks}
SOURCES = {name: dataset.source for name, dataset in CONFIG_FILE.datasets.items()}
# Those that part look-alikes, as is said of them.
KNOWS_NO_GROUPS = {
    name
    for name, task in TASKS.items()
    if task["split"]["name"] in ("random", "every-14th") or task["split"].get("grouped") is False
}
# Of the real images: how many train, validate and test in the first fold.
REAL_SIZES = {
    "pets-masks": [254, 45, 298],
    "pets-breeds": [254, 45, 298],
    "pets-breeds-random": [432, 48, 119],
    "catsdogs": [588, 84, 168],
    "lungs": [492, 106, 106],
    "lungs-every-14th": [602, 51, 51],
    "lungs-from-montgomery": [96, 21, 106],
    "lungs-from-shenzhen": [396, 85, 106],
    "ultrasound-masks": [529, 93, 156],
    "ultrasound": [529, 93, 156],
    "ultrasound-ungrouped": [529, 93, 156],
}
# Groups that these part, by fold. The lungs have one that is drawn and two real ones, and all of their images train.
DRAWN_LEAKS = {"pets-breeds-random": [1], "lungs-every-14th": [0], "ultrasound-ungrouped": [1, 2, 3, 2, 2]}
REAL_LEAKS = {"pets-breeds-random": [1], "lungs-every-14th": [0], "ultrasound-ungrouped": [73, 71, 78, 67, 76]}


def prepared_from(raw: Path, source: str, *, synthetic: bool, size: int) -> Path:
    (raw / "source.json").write_text(json.dumps({"files": [{"official": False}], "synthetic": synthetic}))
    prepare(source, source, raw, raw / "prepared", size=size, distance=6)
    return raw / "prepared"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every data set of the configuration, prepared from archives of 60 synthetic pictures."""
    prepared = {}
    for name, source in SOURCES.items():
        raw = tmp_path_factory.mktemp(name)
        importlib.import_module(f"bakeoff.datasets.sources.{source}.synthetic").write(raw, images=60, size=96, seed=7)
        prepared[name] = prepared_from(raw, source, synthetic=True, size=64)
    return prepared


@pytest.fixture(scope="module")
def real(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every data set of the configuration, prepared from real archives."""
    prepared = {}
    for name, source in SOURCES.items():
        raw = tmp_path_factory.mktemp(name)
        for file in importlib.import_module(f"bakeoff.datasets.sources.{source}").FILES:
            (raw / file.name).symlink_to(mirror / file.name)
        prepared[name] = prepared_from(raw, source, synthetic=False, size=96)
    return prepared


def drawn_split(task: str, prepared: dict[str, Path], tmp_path: Path) -> tuple[pd.DataFrame, list[pd.Series]]:
    """The index of a task's data set, and the part of every image in every fold, as later stages read them."""
    folder, path = prepared[TASKS[task]["dataset"]], tmp_path / "splits" / f"{task}.csv"
    split(task, TASKS[task], folder, path)
    data = open_prepared(folder)
    chosen = []
    for fold in read_folds(path, data):
        parts = pd.Series("", index=data.index.index)
        for name in SPLITS:
            rows = getattr(fold, name)
            assert len(rows) > 0
            assert (parts[rows] == "").all()  # in no other part
            parts[rows] = name
        chosen.append(parts)
    return data.index, chosen


def look_alikes(index: pd.DataFrame) -> int:
    """Groups of more than one image."""
    return int((index["group"].value_counts() > 1).sum())


@pytest.mark.parametrize("task", TASKS)
def test_splits_of_synthetic_images_leak_only_where_they_say_so(
    drawn: dict[str, Path], tmp_path: Path, task: str
) -> None:
    index, chosen = drawn_split(task, drawn, tmp_path)
    assert look_alikes(index) > 0  # else nothing is proved
    leaks = [len(torn(index, parts)) for parts in chosen]
    assert leaks == (DRAWN_LEAKS[task] if task in KNOWS_NO_GROUPS else [0] * len(chosen))


@pytest.mark.real
@pytest.mark.parametrize("task", TASKS)
def test_splits_of_real_images_leak_only_where_they_say_so(real: dict[str, Path], tmp_path: Path, task: str) -> None:
    index, chosen = drawn_split(task, real, tmp_path)
    assert look_alikes(index) > 0
    leaks = [len(torn(index, parts)) for parts in chosen]
    assert leaks == (REAL_LEAKS[task] if task in KNOWS_NO_GROUPS else [0] * len(chosen))
    sizes = [count(chosen[0])[part] for part in SPLITS]
    assert sizes == REAL_SIZES.get(task, sizes)


def test_a_split_is_the_same_bytes_every_time_and_nothing_beside_it(drawn: dict[str, Path], tmp_path: Path) -> None:
    first, again = (tmp_path / name / "ultrasound.csv" for name in ("first", "again"))
    for path in (first, again):
        split("ultrasound", TASKS["ultrasound"], drawn["ultrasound"], path)
    assert first.read_bytes() == again.read_bytes()
    assert list(first.parent.iterdir()) == [first]
    assert first.read_text().startswith("fold,id,split\n0,benign (1),")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "age"}, r"has no label 'age' to predict: it has \['class'\]\."),
        ({"split": stratified()}, r"split names the label 'hospital', but the data set has class\."),
    ],
)
def test_a_mistake_names_its_task_and_leaves_no_file(
    drawn: dict[str, Path], tmp_path: Path, changes: Settings, words: str
) -> None:
    with pytest.raises(BakeoffError, match=r"^params\.yaml: tasks\.mine: .*" + words):
        split("mine", TASKS["ultrasound"] | changes, drawn["ultrasound"], tmp_path / "mine.csv")
    assert list(tmp_path.iterdir()) == []
