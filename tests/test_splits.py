"""Splits: shares, strata, groups that stay together, and the published one."""

import numpy as np
import pandas as pd
import pytest
from bakeoff.datasets.splits import split, straddling_groups
from bakeoff.errors import BakeoffError
from hypothesis import given, settings
from hypothesis import strategies as st

STRATA = ["hospital", "diagnosis"]
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


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


REAL = {("m", "normal"): 80, ("m", "tb"): 58, ("s", "normal"): 279, ("s", "tb"): 287}

indices = st.builds(
    index_of,
    st.dictionaries(
        st.tuples(st.sampled_from("ms"), st.sampled_from(["normal", "tb"])), st.integers(12, 90), min_size=1
    ),
    st.lists(st.integers(2, 3), max_size=2),
)


def test_shares_of_the_real_counts_are_exact() -> None:
    chosen = split(index_of(REAL), name="stratified", stratify_by=STRATA, seed=0, **SHARES)
    assert chosen.value_counts().to_dict() == {"train": 492, "validation": 106, "test": 106}


def test_every_stratum_keeps_its_share_within_one_image() -> None:
    index = index_of(REAL)
    index["split"] = split(index, name="stratified", stratify_by=STRATA, seed=3, **SHARES)
    for stratum, rows in index.groupby(STRATA):
        for name in ("validation", "test"):
            assert abs((rows["split"] == name).sum() - 0.15 * REAL[stratum]) <= 1  # type: ignore[index]


@settings(deadline=None)
@given(indices, st.integers(0, 5))
def test_no_group_straddles_and_every_stratum_is_in_every_split(index: pd.DataFrame, seed: int) -> None:
    chosen = split(index, name="stratified", stratify_by=STRATA, seed=seed, **SHARES)
    assert straddling_groups(index["group"], chosen) == {}
    present = index.assign(split=chosen).groupby(STRATA)["split"].agg(set)
    assert all(splits == {"train", "validation", "test"} for splits in present)


@settings(deadline=None)
@given(indices, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(index: pd.DataFrame, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(index)))
    random.shuffle(order)
    first = split(index, name="stratified", stratify_by=STRATA, seed=seed, **SHARES)
    shuffled = index.iloc[order].reset_index(drop=True)
    second = split(shuffled, name="stratified", stratify_by=STRATA, seed=seed, **SHARES)
    assert dict(zip(index["id"], first, strict=True)) == dict(zip(shuffled["id"], second, strict=True))


@settings(deadline=None)
@given(indices, st.integers(0, 5))
def test_totals_are_within_one_image_where_nothing_is_grouped(index: pd.DataFrame, seed: int) -> None:
    alone = index.assign(group=index["id"])
    counts = split(alone, name="stratified", stratify_by=STRATA, seed=seed, **SHARES).value_counts()
    assert abs(counts["test"] - 0.15 * len(alone)) <= 1
    assert abs(counts["validation"] - 0.15 * len(alone)) <= 1


def test_another_seed_draws_another_split() -> None:
    index = index_of(REAL)
    draws = [split(index, name="stratified", stratify_by=STRATA, seed=seed, **SHARES) for seed in (0, 0, 1)]
    assert draws[0].equals(draws[1])
    assert not draws[0].equals(draws[2])


@pytest.mark.parametrize(
    ("images", "expected"), [(1, ["train"]), (2, ["test", "train"]), (3, ["test", "train", "validation"])]
)
def test_a_stratum_too_small_for_three_trains_first_and_then_tests(images: int, expected: list[str]) -> None:
    chosen = split(index_of({("m", "tb"): images}), name="stratified", stratify_by=STRATA, seed=0, **SHARES)
    assert sorted(chosen) == expected


def test_a_large_group_stays_whole_and_the_rest_makes_up_for_it() -> None:
    index = index_of({("m", "tb"): 100}, group_sizes=[40])
    chosen = split(index, name="stratified", stratify_by=STRATA, seed=0, **SHARES)
    assert len(set(chosen[:40])) == 1
    assert chosen.value_counts().to_dict() == {"train": 70, "validation": 15, "test": 15}


def test_every_14th_is_602_51_51_of_704() -> None:
    index = index_of(REAL)
    chosen = split(index, name="every-14th", stratify_by=STRATA)
    assert chosen.value_counts().to_dict() == {"train": 602, "validation": 51, "test": 51}
    by_id = chosen.set_axis(index["id"]).sort_index()
    assert by_id.iloc[[0, 14, 28, 700]].unique().tolist() == ["validation"]
    assert by_id.iloc[[1, 15, 29, 701]].unique().tolist() == ["test"]


def test_every_14th_lets_groups_straddle_and_that_can_be_told() -> None:
    index = index_of({("s", "normal"): 20}, group_sizes=[3])
    chosen = split(index, name="every-14th", stratify_by=STRATA)
    assert straddling_groups(index["group"], chosen) == {"s_normal_g0": ["test", "train", "validation"]}


def test_one_hospital_trains_and_validates_and_the_other_tests() -> None:
    index = index_of(REAL)
    chosen = split(index, name="hospital", stratify_by=STRATA, train_on="m", validation=0.15, seed=0)
    assert set(chosen[index["hospital"] == "s"]) == {"test"}
    assert chosen[index["hospital"] == "m"].value_counts().to_dict() == {"train": 117, "validation": 21}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "stratified", "train": 0.7, "validation": 0.2, "test": 0.2}, "add up to 1"),
        ({"name": "random"}, "stratified, every-14th or one of hospital, diagnosis"),
        ({"name": "hospital", "train_on": "x", "validation": 0.1}, "there are m, s"),
    ],
)
def test_a_split_that_cannot_be_is_one_sentence(arguments: dict, words: str) -> None:
    with pytest.raises(BakeoffError, match=words):
        split(index_of(REAL), stratify_by=STRATA, seed=0, **arguments)
