"""The split of a task: which images are used for training, validation and testing."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.datasets.splits.splitting import split_table

log = logging.getLogger(__name__)


def split(task: str, settings: Mapping[str, Any], prepared: Path, path: Path) -> None:
    """Write `data/splits/TASK.csv`: `fold, id, split`.

    Parameters
    ----------
    task
        Its name in the configuration.
    settings
        Its entry: `split`, see `bakeoff.datasets.splits.splitting.split_table`, and `target`, the label to predict.
    prepared
        `data/prepared/DATASET`.

    Raises
    ------
    BakeoffError
        If the data set has no such label, or too few images for the split.
    """
    data = open_prepared(prepared)
    try:
        if settings["target"] is not None:
            data.targets(settings["target"])
        table = split_table(data.index, settings["split"])
    except BakeoffError as error:
        raise BakeoffError(f"params.yaml: tasks.{task}: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table.to_csv(index=False))
    counts = table.groupby("fold")["split"].value_counts().groupby("split").mean()
    log.info("%s: %s", task, ", ".join(f"{count:.0f} {part or 'left out'}" for part, count in counts.items()))
