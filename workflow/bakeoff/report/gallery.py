"""Pictures worth a look: of masks the best, median and worst, and where methods disagree; of classes mistakes, doubts
and labels that may be wrong."""

from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.ragged import Arrays
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.scores import scored_alone
from bakeoff.report import wording
from bakeoff.report.classes import MOST_SHOWN, best
from bakeoff.report.label_errors import suspects
from bakeoff.report.pictures import lossless_uri, mask_picture, outlines, picture, png_uri, webp_uri
from bakeoff.report.reading import Experiment, Task
from bakeoff.report.sections import has_seeds

PICTURES = 4
DISAGREEMENTS = 3
# Two networks whose masks have this Dice agree; one that is so much lower with the truth makes the truth doubtful.
AGREED, DOUBT = 0.85, 0.1
# At this confidence a mistake counts as a sure one.
SURE = 0.9
# Methods that are asked about labels, pictures of suspects, and suspects in the table.
MOST_JUDGES, SUSPECT_PICTURES, LISTED_SUSPECTS = 5, 8, 100
# Who is wrong on more than every fifth image is no judge of labels.
LEAST_ACCURACY = 0.8
# Pictures of a class stand small and in rows, so that more pixels would not be seen.
LARGEST_SMALL_PICTURE = 160


def cases(task: Task, side: int) -> list[dict[str, Any]]:
    """Every method's best, median and worst prediction by the task's score, `side` pixels at the longer side."""
    return [
        {
            "label": experiment.label,
            "experiment": experiment.name,
            "oracle": experiment.oracle,
            "cases": [
                _mask_case(task, experiment, name, row, side)
                for name, row in extremes(experiment.scores, task.measure.column)
            ],
        }
        for experiment in task.experiments
    ]


def extremes(scores: pd.DataFrame, column: str = "dice") -> list[tuple[str, pd.Series]]:
    """Best, median and worst row of `scores.csv` by a score; of equals the first by id and seed.

    Of images with something to find, where there are such: on the others it is 0 or 1, and a picture shows nothing.
    """
    found = scores["tp"] + scores["fn"] > 0
    scores = scores[found] if found.any() else scores
    ordered = scores.sort_values([column, "id", "seed"], ascending=[False, True, True], ignore_index=True)
    places = {"Best": 0, "Median": (len(ordered) - 1) // 2, "Worst": len(ordered) - 1}
    return [(name, ordered.iloc[place]) for name, place in places.items()]


def _mask_case(task: Task, experiment: Experiment, name: str, row: pd.Series, side: int) -> dict[str, Any]:
    id_, seed, scored = row["id"], int(row["seed"]), _scored(task, row)
    truth, prediction = _truth(task, id_), _predicted(task, experiment, id_, seed)
    about, background = f"{id_}, {experiment.label}", task.prepared.background
    return {
        "title": f"{name}: {scored}",
        "id": id_,
        "seed": seed if has_seeds(experiment) else None,
        "strata": _strata(task, row),
        "photo": _photo(task, id_, side),
        "outlines": {
            "uri": lossless_uri(outlines(truth, prediction, side)),
            "alt": f"Outlines of the true and the predicted mask of {about}; {scored}",
        },
        "masks": [
            {"name": "Truth", "uri": png_uri(mask_picture(truth, background, side)), "alt": f"True mask of {id_}"},
            {
                "name": "Prediction",
                "uri": png_uri(mask_picture(prediction, background, side)),
                "alt": f"Predicted mask of {about}",
            },
        ],
    }


def disagreements(task: Task, side: int) -> dict[str, Any] | None:
    """The test images on which the two best methods differ most, each by its first seed; None for a single method.

    Parameters
    ----------
    task
        Of segmentation.
    side
        Longer side of the photographs in pixels.
    """
    methods = best(task, 2)
    if len(methods) < 2:
        return None
    first, second = ((each, min(each.masks.masks)) for each in methods)
    shares = differing_shares(*(experiment.masks.masks[seed] for experiment, seed in (first, second)))
    most = np.argsort(-shares, kind="stable")[:DISAGREEMENTS]
    ids = methods[0].masks.ids
    return {
        "methods": [experiment.label for experiment in methods],
        "cases": [
            _disagreement(task, [first, second], ids[at], f"{100 * shares[at]:.0f} % of the pixels differ", side)
            for at in most
        ],
    }


def doubtful_masks(task: Task, side: int) -> list[dict[str, Any]]:
    """The test images on which the two best networks agree with each other, and less with the truth.

    They may share a mistake, or the truth may be wrong: pictures for somebody to look at.

    Parameters
    ----------
    task
        Of segmentation.
    side
        Longer side of the photographs in pixels.
    """
    networks = [each for each in best(task, len(task.methods)) if each.has_epochs][:2]
    if len(networks) < 2:
        return []
    methods = [(each, min(each.masks.masks)) for each in networks]
    masks = [each.masks.masks[seed] for each, seed in methods]
    ids, score, count = networks[0].masks.ids, task.mask_score.of_pixels, len(task.prepared.classes)
    agreed = np.array([scored_alone(one, two, count, score) for one, two in zip(*masks, strict=True)])
    true = np.max([_first_seed(each).loc[ids, score.measure] for each in networks], axis=0)
    doubted = np.flatnonzero((agreed >= AGREED) & (agreed - true >= DOUBT))
    most = doubted[np.argsort((true - agreed)[doubted], kind="stable")][:DISAGREEMENTS]
    return [
        _disagreement(
            task, methods, ids[place], f"{score.title} of the two networks {wording.score(agreed[place])}", side
        )
        for place in most
    ]


def _first_seed(experiment: Experiment) -> pd.DataFrame:
    """The scores of an experiment's first seed, by image id."""
    scores = experiment.scores
    return scores[scores["seed"] == scores["seed"].min()].set_index("id")


def differing_shares(first: Arrays, second: Arrays) -> np.ndarray:
    """Share of the pixels of each image that two methods give different classes.

    Parameters
    ----------
    first, second
        uint8 class indices or, in pads, `VOID`, (height, width) of each image.

    Returns
    -------
    ndarray
        float64, (images,), 0 to 1.
    """
    return np.array(
        [np.count_nonzero(a != b) / np.count_nonzero(a != VOID) for a, b in zip(first, second, strict=True)]
    )


def _disagreement(task: Task, methods: list[tuple[Experiment, int]], id_: str, title: str, side: int) -> dict[str, Any]:
    truth = _truth(task, id_)
    rows = [each.scores[(each.scores["id"] == id_) & (each.scores["seed"] == seed)].iloc[0] for each, seed in methods]
    return {
        "title": title,
        "id": id_,
        "seed": None,
        "strata": _strata(task, rows[0]),
        "scores": [f"{each.label}: {_scored(task, row)}" for (each, _), row in zip(methods, rows, strict=True)],
        "photo": _photo(task, id_, side),
        "outlines": {"uri": lossless_uri(outlines(truth, None, side)), "alt": f"Outline of the true mask of {id_}"},
        "masks": [
            {
                "name": each.label,
                "uri": png_uri(mask_picture(_predicted(task, each, id_, seed), task.prepared.background, side)),
                "alt": f"Mask of {id_} by {each.label}; {_scored(task, row)}",
            }
            for (each, seed), row in zip(methods, rows, strict=True)
        ],
    }


def _scored(task: Task, row: pd.Series) -> str:
    """A row of `scores.csv` by the task's score, in words."""
    return f"{task.measure.title} {wording.score(row[task.measure.column])}"


def _truth(task: Task, id_: str) -> np.ndarray:
    """The true mask of a test image, without pads."""
    position = task.test_positions[id_]
    truth: np.ndarray = task.prepared.true_masks()[position][task.prepared.region(position)]
    return truth


def _predicted(task: Task, experiment: Experiment, id_: str, seed: int) -> np.ndarray:
    """The predicted mask of a test image, without pads."""
    predicted: np.ndarray = experiment.masks.masks[seed][experiment.masks.ids.index(id_)]
    return predicted[task.prepared.region(task.test_positions[id_])]


def _strata(task: Task, row: pd.Series) -> str:
    return ", ".join(str(row[stratum]) for stratum in task.prepared.strata if stratum in row)


def _photo(task: Task, id_: str, side: int) -> dict[str, str]:
    image = task.prepared.shown(task.test_positions[id_])
    return {"uri": webp_uri(picture(image, side)), "alt": f"Test image {id_}"}


def mistakes(task: Task, side: int) -> dict[str, Any]:
    """Of each of the best methods the mistakes that it was surest of, and the images that it was least sure of.

    Parameters
    ----------
    task
        Of classification.
    side
        Longer side of the pictures in pixels.
    """
    shown = best(task, MOST_SHOWN)
    return {
        "all": len(shown) == len(task.experiments),
        "methods": [
            {
                "label": experiment.label,
                "experiment": experiment.name,
                "words": mistake_words(experiment.scores),
                "rows": [
                    {"name": name, "cases": [_class_case(task, experiment, row, side) for _, row in found.iterrows()]}
                    for name, found in telling(experiment.scores).items()
                ],
            }
            for experiment in shown
        ],
    }


def class_disagreements(task: Task, side: int) -> dict[str, Any] | None:
    """Test images that the two best methods, each by its first seed, most confidently give different classes.

    Parameters
    ----------
    task
        Of classification.
    side
        Longer side of the pictures in pixels.

    Returns
    -------
    dict or None
        `methods` (their names), `found` (on how many images they differ), `images` and `cases`, those first on which
        the less sure of the two is surest; None for a single method.
    """
    methods = best(task, 2)
    if len(methods) < 2:
        return None
    first, second = map(_first_seed, methods)
    second = second.loc[first.index]
    apart = first["predicted"] != second["predicted"]
    sure = first["confidence"].clip(upper=second["confidence"])[apart].sort_values(ascending=False, kind="stable")
    return {
        "methods": [experiment.label for experiment in methods],
        "found": int(apart.sum()),
        "images": len(first),
        "cases": [
            {
                "id": id_,
                "true": first.loc[id_, "label"],
                "said": [
                    {
                        "method": each.label,
                        "predicted": table.loc[id_, "predicted"],
                        "confidence": f"{100 * table.loc[id_, 'confidence']:.0f} %",
                        "correct": bool(table.loc[id_, "correct"]),
                    }
                    for each, table in zip(methods, (first, second), strict=True)
                ],
                "picture": _photo(task, str(id_), min(side, LARGEST_SMALL_PICTURE))["uri"],
            }
            for id_ in sure.index[:PICTURES]
        ],
    }


def telling(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of `scores.csv` worth a picture, each image at most once in a list, of equals the first by id and seed."""
    wrong = scores[scores["correct"] == 0].sort_values(["confidence", "id", "seed"], ascending=[False, True, True])
    unsure = scores.sort_values(["confidence", "id", "seed"])
    return {
        "Most confident mistakes": wrong.drop_duplicates("id").head(PICTURES),
        "Lowest confidence": unsure.drop_duplicates("id").head(PICTURES),
    }


def mistake_words(scores: pd.DataFrame) -> str:
    """How many predictions are wrong, and how many of them confidently."""
    wrong = scores[scores["correct"] == 0]
    seeds, images = scores["seed"].nunique(), scores["id"].nunique()
    of = wording.plural(images, "image") + (f" by {wording.plural(seeds, 'seed')}" if seeds > 1 else "")
    sure = int((wrong["confidence"] >= SURE).sum())
    return (
        f"{wording.plural(len(wrong), 'mistake')} on {of}, {sure:,} of them at {100 * SURE:.0f} % confidence or more."
    )


def _class_case(task: Task, experiment: Experiment, row: pd.Series, side: int) -> dict[str, Any]:
    return {
        "id": row["id"],
        "seed": int(row["seed"]) if has_seeds(experiment) else None,
        "true": row["label"],
        "predicted": row["predicted"],
        "correct": bool(row["correct"]),
        "confidence": f"{100 * row['confidence']:.0f} %",
        "of_truth": f"{100 * np.exp(-row['log_loss']):.0f} %",
        "picture": _photo(task, row["id"], min(side, LARGEST_SMALL_PICTURE))["uri"],
    }


def label_errors(task: Task, side: int) -> dict[str, Any]:
    """Test images whose label the good methods would change, all to the same class; see `bakeoff.report.label_errors`.

    Parameters
    ----------
    task
        Of classification.
    side
        Longer side of the pictures in pixels.
    """
    judges = good_methods(task)
    found = _suspects(judges) if len(judges) > 1 else pd.DataFrame(columns=["id"])
    rows = [
        {
            "id": row["id"],
            "label": row["label"],
            "suggested": row["suggested"],
            "votes": f"{row['votes']} of {len(judges)}",
            "sure": f"{100 * row['sure']:.0f} %",
            "given": f"{100 * row['given']:.0f} %",
        }
        for _, row in found.head(LISTED_SUSPECTS).iterrows()
    ]
    small = min(side, LARGEST_SMALL_PICTURE)
    return {
        "judges": [experiment.label for experiment in judges],
        "least": f"{100 * LEAST_ACCURACY:.0f} %",
        "found": len(found),
        "images": len(task.tested),
        "rows": rows,
        "cases": [{**row, "picture": _photo(task, row["id"], small)["uri"]} for row in rows[:SUSPECT_PICTURES]],
    }


def good_methods(task: Task) -> list[Experiment]:
    """The best methods that may be asked whether a label is wrong; no oracles.

    Their accuracy is shown to be high, and above that of always predicting the most frequent class.
    """
    frequent = np.bincount(task.experiments[0].probabilities.truth).max() / len(task.tested)
    bar = max(frequent, LEAST_ACCURACY)
    good = [each for each in task.experiments if not each.oracle and each.row["accuracy_low"] > bar]
    return good[:MOST_JUDGES]


def _suspects(judges: list[Experiment]) -> pd.DataFrame:
    one = judges[0].probabilities
    found = suspects(one.truth, np.stack([each.probabilities.stacked.mean(axis=0) for each in judges]))
    images = one.of_seed(one.seeds[0])[["id", "label"]].iloc[found["image"]].reset_index(drop=True)
    suggested = [one.classes[place] for place in found["suggested"]]
    return pd.concat([images, found.drop(columns="image").assign(suggested=suggested)], axis=1)
