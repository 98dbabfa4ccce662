"""Temperature scaling of probabilities, fitted on validation images.

A temperature T divides the logits of all classes. The predicted class stays the same and the confidence changes: T
above 1 lowers it. Probabilities p determine the logits up to a constant that the softmax cancels, so
softmax(logits / T) is p to the power of 1 / T, normalised, and any method can be scaled.

Source: Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural networks", ICML, section 4.2.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from bakeoff.artefacts.predictions import Probabilities
from bakeoff.evaluation.classification import SCALED_HEADLINES, calibration_figures

# Beyond these all probabilities are 0 or 1, or the same for all classes.
LOWEST, HIGHEST = 0.05, 100.0

# What a probability of 0 counts as: the smallest value of a float32 softmax, so that a temperature can correct what was
# rounded to 0.
_SMALLEST = float(np.finfo(np.float32).tiny)


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at another temperature.

    Parameters
    ----------
    probabilities
        0 to 1, (images, classes), each row with the sum 1. Below 1.2e-38 they count as that.
    temperature
        Above 0; 1 leaves them as they are.

    Returns
    -------
    ndarray
        float64, (images, classes), each row with the sum 1 and in the same order as before.

    Examples
    --------
    >>> scale(np.array([[0.8, 0.2]]), 2).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    return softmax(_logits(probabilities) / temperature, axis=1)


def fit_temperature(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature of the lowest log loss.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,), of images that the method was not trained on.
    probabilities
        0 to 1, (images, classes).

    Returns
    -------
    float
        From 0.05 to 100, and 1 where no temperature is better, as for equal probabilities. At an end of the range the
        images do not determine it: where all are right, the lowest is the best.

    Raises
    ------
    ValueError
        If there is no image.
    """
    if len(truth) == 0:
        raise ValueError("There is no image to fit a temperature on.")
    logits, rows = _logits(probabilities), np.arange(len(truth))

    def log_loss(temperature: float) -> float:
        return -float(log_softmax(logits / temperature, axis=1)[rows, truth].mean())

    # Log loss is convex in 1 / T, so it has one minimum in log T too.
    found = minimize_scalar(
        lambda log_temperature: log_loss(np.exp(log_temperature)),
        bounds=np.log([LOWEST, HIGHEST]),
        method="bounded",
        options={"xatol": 1e-8},
    )
    # The search does not evaluate the ends themselves.
    best = min((float(np.exp(found.x)), LOWEST, HIGHEST), key=log_loss)
    return best if log_loss(best) < log_loss(1) - 1e-12 else 1.0


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))


def calibrate(test: Probabilities, validation: Probabilities) -> tuple[np.ndarray, pd.DataFrame]:
    """Scale what every training predicts of its test images by the temperature of its own validation images.

    Parameters
    ----------
    test, validation
        Of the same classes, seeds and folds.

    Returns
    -------
    scaled
        Probabilities of the test images, float64, (seeds, images, classes).
    table
        One row a training: `seed`, `fold`, `temperature`, `validation_images`, `test_images`, and of its test images
        `log_loss` and `ece` before and, as `log_loss_scaled` and `ece_scaled`, after.
    """
    before, chosen_on = test.stacked, validation.stacked
    scaled, rows = np.empty_like(before), []
    fold_of_test = test.of_seed(test.seeds[0])["fold"].to_numpy()
    fold_of_validation = validation.of_seed(validation.seeds[0])["fold"].to_numpy()
    for place, seed in enumerate(test.seeds):
        for fold in np.unique(fold_of_test):
            tested, validated = fold_of_test == fold, fold_of_validation == fold
            temperature = fit_temperature(validation.truth[validated], chosen_on[place, validated])
            scaled[place, tested] = scale(before[place, tested], temperature)
            row = {"seed": seed, "fold": int(fold), "temperature": temperature}
            row |= {"validation_images": int(validated.sum()), "test_images": int(tested.sum())}
            unscaled, rescaled = (
                calibration_figures(test.truth[tested], each[[place]][:, tested]) for each in (before, scaled)
            )
            row |= {name: float(unscaled[name][0]) for name in SCALED_HEADLINES}
            rows.append(row | {name: float(rescaled[old][0]) for old, name in SCALED_HEADLINES.items()})
    return scaled, pd.DataFrame(rows)
