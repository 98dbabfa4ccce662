"""Score an experiment's predictions against the truth, the same way for every method."""

import json
import logging
from pathlib import Path

import pandas as pd

from bakeoff.datasets.prepared import Prepared, open_prepared
from bakeoff.errors import BakeoffError
from bakeoff.evaluation.scores import headline, score_masks
from bakeoff.predictions import Predictions, read_predictions, write_text
from bakeoff.provenance import thread_count

logger = logging.getLogger(__name__)


def score(name: str, prepared: Path, folder: Path, *, resamples: int) -> None:
    """Write `scores.csv` and `metrics.json` of an experiment.

    Parameters
    ----------
    name
        The experiment's name.
    prepared
        `data/prepared/DATASET`.
    folder
        `results/experiments/NAME`, which holds the predictions.
    resamples
        Of the bootstrap behind the intervals.

    Raises
    ------
    BakeoffError
        If the predictions are missing, or are not of this test split.
    """
    data, predictions = open_prepared(prepared), read_predictions(folder)
    rows = data.rows("test")
    index = data.index.iloc[rows]
    _check_same_images(predictions, data, index["id"].tolist(), folder)

    tables = score_masks(data.masks[rows], list(predictions.masks.values()), threads=thread_count())
    labels = index[["id", *data.strata]].reset_index(drop=True)
    scores = pd.concat(
        [
            pd.concat([labels[["id"]].assign(seed=seed), labels[data.strata], table], axis=1)
            for seed, table in zip(predictions.masks, tables, strict=True)
        ],
        ignore_index=True,
    )
    metrics = headline(scores, index.set_index("id")["group"], resamples=resamples)
    write_text(folder / "scores.csv", scores.to_csv(index=False, float_format="%.6f"))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    dice = metrics["dice"]
    logger.info(
        "%s: Dice %.4f (%.4f to %.4f) on %d images", name, dice["mean"], dice["low"], dice["high"], metrics["images"]
    )


def _check_same_images(predictions: Predictions, data: Prepared, ids: list[str], folder: Path) -> None:
    shapes = {masks.shape[1:] for masks in predictions.masks.values()}
    if predictions.ids != ids or shapes != {data.masks.shape[1:]}:
        raise BakeoffError(
            f"{folder / 'predictions.csv'} was made from another test split or size than {data.folder} has: "
            "run the stage that predicts again."
        )
