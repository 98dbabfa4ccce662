"""Ranks: as many above a method as are surely better, as many below as are surely worse, and the rest open."""

import numpy as np
import pytest
from bakeoff.evaluation.ranking import rank_ranges
from hypothesis import given
from hypothesis import strategies as st


def test_nothing_is_sure_and_all_are_tied() -> None:
    low, high = rank_ranges(np.zeros((3, 3), bool))
    assert (low.tolist(), high.tolist()) == ([1, 1, 1], [3, 3, 3])


def test_all_is_sure_and_nobody_is_tied() -> None:
    low, high = rank_ranges(np.triu(np.ones((4, 4), bool), 1))
    assert low.tolist() == high.tolist() == [1, 2, 3, 4]


def test_two_tied_ahead_of_one() -> None:
    better = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]], bool)
    low, high = rank_ranges(better)
    assert (low.tolist(), high.tolist()) == ([1, 1, 3], [2, 2, 3])


def test_no_method_has_no_rank() -> None:
    assert [ranks.tolist() for ranks in rank_ranges(np.zeros((0, 0), bool))] == [[], []]


@given(st.permutations(range(6)), st.integers(0, 100))
def test_the_ranks_of_an_order_that_agrees_lie_within(order: list[int], seed: int) -> None:
    place = np.argsort(order)
    sure = np.random.default_rng(seed).random((6, 6)) < 0.4
    low, high = rank_ranges((place[:, None] < place) & sure)
    assert (low <= place + 1).all()
    assert (place + 1 <= high).all()


@pytest.mark.parametrize(
    ("better", "message"),
    [(np.ones((2, 2), bool), "each be better"), (np.zeros((2, 3), bool), "row and a column"), (np.zeros(2), "row and")],
)
def test_what_is_no_comparison_is_refused(better: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_ranges(better)
