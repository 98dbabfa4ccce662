"""Ranges of ranks, given which methods are significantly better than which."""

import numpy as np


def rank_ranges(better: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best and the worst rank of each method that the comparisons do not rule out.

    A method has at least as many above it as are significantly better, and as many below it as are significantly worse.
    Where the tests are corrected for their number, all ranges hold together with the confidence of the tests.

    Parameters
    ----------
    better
        bool, (methods, methods): whether the method of the row is significantly better than that of the column.

    Returns
    -------
    low, high
        int64, (methods,), from 1, the best. Methods that share a range are tied; ranges that overlap leave it open.

    Raises
    ------
    ValueError
        If two methods are each better than the other, or the array is not square.

    References
    ----------
    Mogstad, Romano, Shaikh & Wilhelm (2024), "Inference for ranks with applications to mobility across neighbourhoods
    and academic achievement across countries", Review of Economic Studies 91(1), equation 5.

    Examples
    --------
    The first is better than the third; no other difference is significant.

    >>> rank_ranges(np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]], bool))
    (array([1, 1, 2]), array([2, 3, 3]))
    """
    better = np.asarray(better, bool)
    if better.ndim != 2 or better.shape[0] != better.shape[1]:
        raise ValueError(f"Comparisons {better.shape} are not a row and a column for every method.")
    if (better & better.T).any():
        raise ValueError("Two methods cannot each be better than the other.")
    return 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
