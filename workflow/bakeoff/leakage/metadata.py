"""What is known of an image without looking at what it shows: its file's properties, and its brightness."""

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Prepared
from bakeoff.datasets.splits.splitting import NOT_LABELS


def metadata(data: Prepared, target: str, labels: np.ndarray) -> pd.DataFrame:
    """Properties of every image's file, one row an image.

    Its width, height, aspect ratio and format; the mode that it was converted from, where the data set's audit records
    one; its folder, unless folders give this label or another target of the data set; and the labels of the index that
    are not targets, for example the hospital. File names are left out: they usually number the images of a class.

    Parameters
    ----------
    data
        The data set.
    target
        The label to be predicted, which is not among the columns.
    labels
        Its values, (images,).
    """
    index = data.index
    paths = [PurePosixPath(name) for name in index["source"]]
    folders = pd.Series([str(path.parent) for path in paths])
    others = [str(name) for name in index if name not in (*NOT_LABELS, target, *data.about["targets"])]
    given_by_folder = any(
        pd.Series(values).groupby(folders).nunique().max() == 1
        for values in (labels, *(index[name].to_numpy() for name in data.about["targets"]))
    )
    found: dict[str, Any] = {
        "width": index["original_width"],
        "height": index["original_height"],
        "aspect ratio": index["original_width"] / index["original_height"],
        "format": [path.suffix.lower() for path in paths],
        "mode": index["source"].map(_converted_modes(data)).fillna(""),
        **({} if given_by_folder else {"folder": folders}),
        **{name: index[name] for name in others},
    }
    return pd.DataFrame(found)


def brightness(histograms: np.ndarray) -> pd.DataFrame:
    """Mean and standard deviation of the grey levels, 0 to 255, from histograms (n, 256)."""
    shares, levels = histograms / histograms.sum(axis=1, keepdims=True), np.arange(256)
    mean = shares @ levels
    variance = shares @ np.square(levels) - np.square(mean)
    return pd.DataFrame({"mean grey level": mean, "spread of grey levels": np.sqrt(np.maximum(variance, 0))})


def _converted_modes(data: Prepared) -> dict[str, str]:
    """The mode that a file was converted from, by file."""
    path = data.folder / "audit.csv"
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `snakemake --cores 8 {data.folder}`.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table[table["finding"] == "wrong mode"]
    return dict(zip(table["file"], table["detail"], strict=True))
