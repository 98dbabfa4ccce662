"""Classical classifiers: scikit-learn's estimators on pixels or histograms of oriented gradients."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.feature import hog
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bakeoff.artefacts.channels import GREY, RGB, as_rgb, resized
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.grey_levels import grey
from bakeoff.artefacts.layout import making

# What a model card calls the methods, and whom it cites.
NAME = {
    "majority": "Majority class",
    "svm": "SVM",
    "random-forest": "Random forest",
    "gradient-boosting": "Gradient boosting",
    "logistic-regression": "Logistic regression",
}
TITLE = {
    "majority": "the majority class, whatever the image shows",
    "svm": "a support vector machine of scikit-learn",
    "random-forest": "a random forest of scikit-learn",
    "gradient-boosting": "histogram gradient boosting of scikit-learn",
    "logistic-regression": "a logistic regression of scikit-learn",
}
CITATIONS = (
    "F. Pedregosa et al. Scikit-learn: machine learning in Python. Journal of Machine Learning Research 12:2825-2830, "
    "2011.",
)

# What differs from scikit-learn's defaults. The dummy predicts the most frequent class under both of its strategies
# "most_frequent" and "prior"; the probabilities of the second are the classes' shares, of the first 0 and 1. The cache
# (MiB) changes the speed alone.
METHODS: dict[str, tuple[type, dict[str, Any]]] = {
    "majority": (DummyClassifier, {"strategy": "prior"}),
    "svm": (SVC, {"cache_size": 1000}),
    "random-forest": (RandomForestClassifier, {}),
    "gradient-boosting": (HistGradientBoostingClassifier, {}),
    "logistic-regression": (LogisticRegression, {"max_iter": 1000}),
}
FEATURES = ("none", "grey", "rgb", "hog")

HOG = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "block_norm": "L2-Hys"}
SMALLEST_HOG_SIDE = 16  # one block

# Not settings: they follow from the seed and the machine, or are set here.
RESERVED = ("random_state", "n_jobs", "probability", "strategy", "constant", "verbose", "warm_start")
PREPROCESSING = ("scale", "pca")

CALIBRATION_FOLDS = 5

# In addition to the types that skops trusts. Each is plain data and arithmetic of scikit-learn.
TRUSTED = [
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]


@dataclass(frozen=True)
class Classifier:
    """A fitted estimator with everything needed to predict.

    Attributes
    ----------
    estimator
        Fitted on class indices.
    classes
        Names of the classes; the position is the index.
    features, side
        As for `extract_features`.
    shape
        (height, width, channels) of the training images.
    geometry
        How they became so large; see `bakeoff.artefacts.geometry`.
    """

    estimator: ClassifierMixin
    classes: list[str]
    features: str
    side: int
    shape: tuple[int, int, int]
    geometry: str

    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Probability of each class, float64, (n, classes), of n images, uint8, (height, width, channels).

        A class without a training image has probability 0.

        Raises
        ------
        ValueError
            If the images are of another shape than those of the training.
        """
        for image in images:
            if image.shape != self.shape:
                raise ValueError(f"fitted on images of shape {self.shape}, not {image.shape}")
        probabilities = np.zeros((len(images), len(self.classes)))
        features = extract_features(images, self.features, self.side)
        # In double precision, since the last single bits of a product depend on how many images are in it.
        probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(features.astype(np.float64))
        return probabilities


def extract_features(images: Sequence[np.ndarray], features: str, side: int) -> np.ndarray:
    """Features of prepared images.

    Parameters
    ----------
    images
        n images, uint8, (height, width, channels), all with as many channels.
    features
        none; grey or rgb: pixels, row by row, 0 to 1, of rgb with all channels, of which grey images have three; hog:
        histograms of oriented gradients of the grey levels in 9 orientations, cells of 8x8 pixels, blocks of 2x2 cells
        (Dalal and Triggs, 2005; their detector weights the pixels of a block by a Gaussian, scikit-image does not).
    side
        Side of the square, in pixels, that images are resized to before.

    Returns
    -------
    numpy.ndarray
        float32, (n, d): d is 0, side**2, channels side**2, or 36 (side // 8 - 1)**2.

    Raises
    ------
    ValueError
        If there are no such features, or the square is smaller than a block of hog.
    """
    check_features(features, side)
    channels = max((image.shape[-1] for image in images), default=RGB)
    rows = np.empty((len(images), _length(features, side, RGB if channels == GREY else channels)), np.float32)
    if features != "none":
        for image, row in zip(images, rows, strict=True):
            row[:] = _features(image, features, side)
    return rows


def check_features(features: str, side: int) -> None:
    """Check that `extract_features` takes these.

    Raises
    ------
    ValueError
        If it does not.
    """
    if features not in FEATURES:
        raise ValueError(f"features is '{features}', not one of {', '.join(FEATURES)}")
    smallest = {"none": 0, "hog": SMALLEST_HOG_SIDE}.get(features, 1)
    if side < smallest:
        raise ValueError(f"side is {side}, less than the {smallest} that {features} features need")


def _length(features: str, side: int, channels: int) -> int:
    return {"none": 0, "grey": side**2, "rgb": channels * side**2, "hog": 36 * (side // 8 - 1) ** 2}[features]


def _features(image: np.ndarray, features: str, side: int) -> np.ndarray:
    """One row of `extract_features`."""
    # Grey first, of whole images: then only one channel is resized.
    picture = grey(image)[..., None]
    if features == "rgb":
        picture = as_rgb(image) if image.shape[-1] == GREY else image
    enlarged = side > min(image.shape[:2])
    small = resized(picture, (side, side), cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA)
    pixels = small.astype(np.float32) / 255
    return hog(pixels[..., 0], **HOG) if features == "hog" else pixels.ravel()


def build(method: str, settings: Mapping[str, Any], seed: int, threads: int) -> Pipeline:
    """An unfitted estimator behind its preprocessing.

    Parameters
    ----------
    method
        A name in `METHODS`.
    settings
        Parameters of the estimator, by scikit-learn's names. Beside them `scale`, whether features are standardised
        (default: for logistic regression alone), and `pca`, how many principal components are kept (default: no PCA).
    seed
        Of the estimator's random numbers, if it draws any.
    threads
        Threads that fit a random forest.

    Raises
    ------
    ValueError
        If there is no such method, or it has no such parameter.
    """
    if method not in METHODS:
        raise ValueError(f"method is '{method}', not one of {', '.join(METHODS)}")
    estimator_class, defaults = METHODS[method]
    known = estimator_class().get_params()
    allowed = sorted({*known, *PREPROCESSING} - set(RESERVED)) if method != "majority" else []
    for key in settings:
        if key not in allowed:
            raise ValueError(f"{method} has no setting '{key}', it has {', '.join(allowed) or 'none'}")
    parameters = {**defaults, **{key: value for key, value in settings.items() if key in known}}
    if "random_state" in known:
        parameters["random_state"] = seed
    if method == "random-forest":
        parameters["n_jobs"] = threads

    steps: list[tuple[str, Any]] = []
    if settings.get("scale", method == "logistic-regression"):
        steps.append(("scale", StandardScaler()))
    if settings.get("pca"):
        steps.append(("pca", PCA(settings["pca"], random_state=seed)))
    return Pipeline([*steps, ("classify", estimator_class(**parameters))])


def draws_at_random(method: str, settings: Mapping[str, Any], images: int) -> bool:
    """Whether another seed can give another estimator, fitted on so many images.

    Gradient boosting draws features where `max_features` is below 1, and images for early stopping, which scikit-learn
    turns on from 10,001 images; and, to choose the bins, images from 200,001.
    """
    if method == "gradient-boosting":
        stopping = settings.get("early_stopping", "auto")
        stops = images > 10_000 if stopping == "auto" else bool(stopping)
        return stops or settings.get("max_features", 1.0) != 1.0 or images > 200_000
    return method == "random-forest"


def fit_estimator(pipeline: Pipeline, features: np.ndarray, labels: np.ndarray) -> tuple[ClassifierMixin, list[str]]:
    """Fit what `build` returned.

    A support vector machine gets its probabilities by Platt scaling: a sigmoid of its decision, fitted by
    cross-validation (5 folds of the training images, fewer if a class has fewer; if a class has a single image, on the
    training images themselves, which makes it overconfident). The class of highest probability may differ from the
    machine's decision.

    Parameters
    ----------
    pipeline
        Fitted in place, but for a support vector machine, of which a copy is.
    features
        float32, (n, d).
    labels
        Class indices, (n,), of at least two classes.

    Returns
    -------
    estimator
        With `predict_proba`, which uses one thread and gives the same bits every time.
    remarks
        scikit-learn's warnings, and others.

    Raises
    ------
    ValueError
        If a setting has a value that the estimator does not take.

    Source: Platt (1999), "Probabilistic outputs for support vector machines", and Zadrozny and Elkan (2002) for more
    than two classes.
    """
    remarks = []
    estimator: ClassifierMixin = pipeline
    if isinstance(pipeline[-1], SVC):
        smallest = int(np.unique_counts(labels).counts.min())
        everything = np.arange(len(labels))
        folds = min(CALIBRATION_FOLDS, smallest) if smallest > 1 else [(everything, everything)]
        estimator = CalibratedClassifierCV(pipeline, ensemble=False, cv=folds)
        if smallest == 1:
            remarks.append(
                "a class has one training image: probabilities were fitted on the training images themselves"
            )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(features, labels)
    if isinstance(pipeline[-1], RandomForestClassifier):
        pipeline[-1].set_params(n_jobs=None)  # the last bits of a sum depend on its order
    return estimator, remarks + [str(each.message).splitlines()[0] for each in caught]


def describe_estimator(estimator: ClassifierMixin) -> tuple[int | None, str]:
    """Number of parameters of a fitted estimator, if that is comparable with a network's, and its size in words."""
    if isinstance(estimator, CalibratedClassifierCV):
        machine = estimator.calibrated_classifiers_[0].estimator[-1]
        return None, f"{machine.n_support_.sum()} of {machine.shape_fit_[0]} training images are support vectors"
    last = estimator[-1]
    if isinstance(last, RandomForestClassifier):
        return None, f"{len(last.estimators_)} trees of {sum(tree.tree_.node_count for tree in last.estimators_)} nodes"
    if isinstance(last, HistGradientBoostingClassifier):
        return None, f"{last.n_iter_ * last.n_trees_per_iteration_} trees in {last.n_iter_} iterations"
    if isinstance(last, LogisticRegression):
        return last.coef_.size + last.intercept_.size, f"{last.n_iter_.max()} iterations"
    return None, "the most frequent class of the training images; probabilities are the classes' shares"


def save_classifier(path: Path, classifier: Classifier) -> None:
    """Write a classifier in skops' format, which holds data and names of types but no code, whole or not at all."""
    import skops.io  # here, since it imports all of scikit-learn, and through it torch

    beside = path.with_name(f".{path.name}.part")
    skops.io.dump(vars(classifier), beside, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    beside.replace(path)


def load_classifier(path: Path) -> Classifier:
    """Read what `save_classifier` wrote; no code in the file is run.

    Raises
    ------
    BakeoffError
        If the file is missing, damaged, or holds other types than the classifiers here are made of.
    """
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{making(path)}`.")
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return Classifier(**skops.io.load(path, trusted=TRUSTED))
    except UntrustedTypesFoundException as error:
        reason = str(error).splitlines()[0].rstrip(".")  # the rest is advice to programmers
        raise BakeoffError(f"{path} is not trusted ({reason}): delete it and fit again.") from None
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BakeoffError(f"{path} is no classifier of Bakeoff ({error}): delete it and fit again.") from None
