"""Images whose label may be wrong: those that the good methods agree, with confidence, in giving one other class.

This is the rule of confident learning for one classifier, and a vote of several. A classifier is sure of a class where
its probability of the class is at least the mean of that probability over the images that carry the class's label: so
a class that it is never sure of has a low bar, and one that it always is sure of a high one. Of several such classes
the most probable counts. Where that is not the given label, the classifier votes for it. All probabilities must be of
images that the classifier was not trained on.

Source: Northcutt, Jiang & Chuang (2021), "Confident learning: estimating uncertainty in dataset labels", Journal of
Artificial Intelligence Research 70, equations 1 and 2 (the confident joint). That images are ranked by the margin
between the two classes is its "normalized margin".
"""

import numpy as np
import pandas as pd

# Share of the methods that have to vote for the same class, and the least number of them.
LEAST_SHARE, LEAST_VOTES = 0.8, 2
# The mean of equal probabilities may come out above them.
_ROUNDING = 1e-9


def confident_class(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The class that a classifier is sure an image has.

    Parameters
    ----------
    truth
        Indices of the classes that the labels give, (images,).
    probabilities
        0 to 1, (images, classes).

    Returns
    -------
    ndarray
        int64, (images,): a class, or -1 where the classifier is sure of none. Nobody is sure of a class that no label
        gives.

    Examples
    --------
    >>> confident_class(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])).tolist()
    [0, 1, 1]
    """
    classes = probabilities.shape[1]
    given = truth[:, None] == np.arange(classes)
    images = given.sum(axis=0)
    bar = np.divide((probabilities * given).sum(axis=0), images, out=np.full(classes, np.inf), where=images > 0)
    sure = np.where(probabilities >= bar - _ROUNDING, probabilities, -1.0)
    return np.where(sure.max(axis=1) >= 0, sure.argmax(axis=1), -1)


def suspects(truth: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Images for whose label the classifiers have a better suggestion.

    Parameters
    ----------
    truth
        Indices of the classes that the labels give, (images,).
    probabilities
        0 to 1, (methods, images, classes).

    Returns
    -------
    DataFrame
        One row an image that at least `LEAST_SHARE` of the methods, and at least `LEAST_VOTES`, would give one other
        class, most likely errors first: `image` (its place), `suggested` (class index), `votes`, and the means over the
        methods that vote for it of the probability of the suggested class, `sure`, and of the given one, `given`.
        Ranked by the difference of the two, then by place.
    """
    voted = np.stack([confident_class(truth, each) for each in probabilities])
    classes = probabilities.shape[2]
    counts = (voted[:, :, None] == np.arange(classes)).sum(axis=0)
    counts[np.arange(len(truth)), truth] = 0
    suggested, votes = counts.argmax(axis=1), counts.max(axis=1)
    needed = max(LEAST_VOTES, int(np.ceil(LEAST_SHARE * len(probabilities))))
    rows = []
    for image in np.flatnonzero(votes >= needed):
        of_voters = probabilities[voted[:, image] == suggested[image], image]
        sure, given = of_voters[:, suggested[image]].mean(), of_voters[:, truth[image]].mean()
        rows.append((int(image), int(suggested[image]), int(votes[image]), float(sure), float(given)))
    found = pd.DataFrame(rows, columns=["image", "suggested", "votes", "sure", "given"])
    order = (found["given"] - found["sure"]).sort_values(kind="stable").index
    return found.loc[order].reset_index(drop=True)
