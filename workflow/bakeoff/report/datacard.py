"""The data card: what a data set is, where it comes from and what is wrong with it; and how a task splits it.

A card says of a data set what a reader has to know before believing a figure made from it, in the spirit of Gebru et
al., Datasheets for Datasets, Communications of the ACM 64(12), 2021. Every number is counted from the prepared files.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from bakeoff.artefacts.channels import named, shown_words
from bakeoff.artefacts.geometry import Geometry, Region
from bakeoff.artefacts.prepared import Fold, Prepared
from bakeoff.artefacts.ragged import Arrays
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.splits.splitting import groups_between_splits
from bakeoff.report import wording
from bakeoff.report.cards_charts import CROWDED, balance_chart, coverage_chart, size_chart
from bakeoff.report.charts import chart
from bakeoff.report.files import file_uri
from bakeoff.report.pictures import outlined, picture, webp_uri
from bakeoff.report.reading import Task

PARTS = {"train": "train", "validation": "validation", "test": "test", "": "left out"}
# The audit's finding where an archive lists other numbers of images than were published.
COUNT_FINDING = "unexpected count"
NO_LABEL = "(none)"
MOST_BARS = 50
MOST_PANELS = 6
EXAMPLES = 14  # two full rows on a desk
MEAN_OF = 500
NAMES_A_FINDING = 3


def card(prepared: Prepared, audit: pd.DataFrame, side: int) -> dict[str, Any]:
    """Everything that the data card shows of one data set.

    Parameters
    ----------
    prepared
        The data set; `masks` is None where it has none.
    audit
        `audit.csv`: columns `file`, `finding`, `consequence`, `detail`, all text.
    side
        Longer side, in pixels, of the pictures.

    Returns
    -------
    dict
        Plain values, data URIs, and charts as SVG that needs no escaping, for `_datacard.html`.
    """
    about, index = prepared.about, prepared.index
    return {
        "name": about["name"],
        "title": about["title"],
        "counts": {key: wording.count(about["counts"][key]) for key in ("listed", "used", "dropped")},
        "size": _size_words(prepared),
        "shown": shown_words(prepared.channels),
        "groups": groups_words(index),
        "provenance": provenance(about),
        "published": published_check(about, audit),
        "charts": [*_balance(prepared), _sizes(prepared), *_coverage(prepared)],
        "mean": _mean(prepared, side),
        "examples": examples(prepared, side),
        "outlined": wording.classes(prepared.foreground_classes),
        "audit": audit_summary(audit),
        "audit_count": wording.plural(len(audit), "finding"),
        "audit_uri": file_uri(audit.to_csv(index=False)),
        "files": about["provenance"].get("files", []),
        "licence": about["licence"],
        "citation": about["citation"],
    }


def task_split(task: Task) -> dict[str, Any]:
    """How a task divides its images: `groups` in words, the number of `folds`, and what `split_table` returns."""
    index = task.prepared.index
    table = split_table(index, task.folds, _label_columns(task.about))
    return {"groups": groups_words(index), "folds": len(task.folds), **table}


def _label_columns(about: Mapping[str, Any]) -> list[str]:
    """What a classifier may learn, then what scores are broken down by; each once."""
    return list(dict.fromkeys([*about["targets"], *about["strata"]]))


def _size_words(prepared: Prepared) -> str:
    return f"{prepared.geometry.words()}; {named(prepared.channels)}"


def groups_words(index: pd.DataFrame) -> str:
    """How many images have near-duplicates or share a subject with others."""
    members = index["group"].value_counts()
    shared = members[members > 1]
    if shared.empty:
        return f"{wording.plural(len(index), 'image')}, without near-duplicates or shared subjects."
    images, groups = wording.plural(len(index), "image"), wording.plural(len(members), "group")
    return (
        f"{images} in {groups}. {shared.sum():,} of them have near-duplicates or share a subject: "
        f"{wording.plural(len(shared), 'group')} of several images, the largest of {shared.max():,}."
    )


def provenance(about: Mapping[str, Any]) -> dict[str, str]:
    """Whose bytes the images are, in a sentence; `kind` is official, mirror, synthetic, own or unrecorded."""
    files = about["provenance"].get("files", [])
    unofficial = [str(file["name"]) for file in files if not file.get("official")]
    if about["synthetic"]:
        words = "Synthetic: a program drew the images, in the layout of the real archives."
        return {"kind": "synthetic", "words": words}
    if "folder" in about["provenance"]:
        return {"kind": "own", "words": f"Your own images, read from {about['provenance']['folder']}."}
    if unofficial:
        words = f"From a mirror: {wording.not_official(unofficial)}."
        return {"kind": "mirror", "words": words}
    if not files:
        return {"kind": "unrecorded", "words": "Not recorded."}
    return {"kind": "official", "words": f"Official ({wording.plural(len(files), 'file')})."}


def published_check(about: Mapping[str, Any], audit: pd.DataFrame) -> dict[str, Any] | None:
    """Whether the archives hold what was published: `status` is agrees, differs or unchecked; and why, in words.

    Nothing of one's own images.
    """
    if "folder" in about["provenance"]:
        return None
    published = about["published"]
    if about["synthetic"]:
        return {
            "status": "unchecked",
            "words": "Not checked: the configuration sets the number of synthetic images.",
        }
    if not published:
        return {"status": "unchecked", "words": "Not checked: no counts were published."}
    differing = audit.loc[audit["finding"] == COUNT_FINDING, "detail"].tolist()
    if differing:
        return {"status": "differs", "words": f"Other counts than published: {'; '.join(differing)}."}
    return {"status": "agrees", "words": f"The counts are those published: {_published_words(published)}."}


def _published_words(published: Mapping[str, Any]) -> str:
    labels = [
        f"{column} {wording.listed([f'{value} {count:,}' for value, count in counts.items()])}"
        for column, counts in published.get("labels", {}).items()
        if len(counts) <= wording.MOST_NAMED
    ]
    return "; ".join([f"{published['listed']:,} images listed", *labels])


def label_counts(values: pd.Series) -> dict[str, int]:
    """Images by label value, the most frequent first, of equals in the order of the alphabet."""
    counts = values.astype(str).replace("", NO_LABEL).value_counts()
    return {str(value): int(count) for value, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))}


def _balance(prepared: Prepared) -> list[dict[str, Any]]:
    found = []
    for column in _label_columns(prepared.about):
        counts = label_counts(prepared.index[column])
        figure = balance_chart(_with_others(counts))
        found.append(
            _figure(prepared, f"Images by {column}", figure, balance_words(counts), tall=len(counts) > CROWDED)
        )
    return found


def _with_others(counts: dict[str, int]) -> dict[str, int]:
    """The most frequent values, and all the rest as one."""
    if len(counts) <= MOST_BARS:
        return counts
    ordered = list(counts.items())
    rest = ordered[MOST_BARS - 1 :]
    return {**dict(ordered[: MOST_BARS - 1]), f"{len(rest)} others": sum(count for _, count in rest)}


def balance_words(counts: Mapping[str, int]) -> str:
    """How the images spread over label values, and the accuracy of always predicting the most frequent one.

    Parameters
    ----------
    counts
        By value, the most frequent first.
    """
    total = sum(counts.values())
    if len(counts) <= wording.MOST_NAMED:
        spread = wording.listed([f"{value} {count:,} ({_percent(count / total)})" for value, count in counts.items()])
    else:
        (most, largest), *_, (least, smallest) = counts.items()
        spread = f"{len(counts)} values, from {smallest:,} ({least}) to {largest:,} images ({most})"
    return f"{spread}. Always predicting the most frequent is right for {_percent(max(counts.values()) / total)}."


def _percent(share: float) -> str:
    return "under 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _sizes(prepared: Prepared) -> dict[str, Any]:
    heights, widths = (prepared.index[f"original_{side}"].to_numpy() for side in ("height", "width"))
    geometry = prepared.geometry
    figure = size_chart(heights, widths, (geometry.height, geometry.width))
    return _figure(prepared, "Sizes in the archive", figure, size_words(heights, widths, geometry))


def size_words(heights: np.ndarray, widths: np.ndarray, geometry: Geometry) -> str:
    """Ranges of the original sizes in pixels, and how many images are enlarged on a side."""
    ranges = [
        f"{name} {low:,}" if low == high else f"{name} {low:,} to {high:,}, median {np.median(values):,.0f}"
        for name, values, low, high in (
            (name, values, int(values.min()), int(values.max()))
            for name, values in (("Width", widths), ("height", heights))
        )
    ]
    enlarged = sum(map(geometry.enlarges, heights.tolist(), widths.tolist()))
    small = f"{enlarged:,} of {len(heights):,} images have a side shorter than prepared and are enlarged"
    return f"{'; '.join(ranges)} (pixels). {small if enlarged else 'None is enlarged'}."


def class_shares(masks: Arrays, classes: int) -> np.ndarray:
    """Share of every image that each class covers, background included; void is no part of the image.

    Parameters
    ----------
    masks
        uint8 class indices, (height, width) each; read one at a time.
    classes
        How many.

    Returns
    -------
    ndarray
        float64, (n, classes), rows adding up to 1, or to 0 where all is void.
    """
    counts = [[np.count_nonzero(mask == index) for index in range(classes)] for mask in masks]
    found = np.array(counts, np.float64)
    return found / np.maximum(found.sum(axis=1, keepdims=True), 1)


def _coverage(prepared: Prepared) -> list[dict[str, Any]]:
    if prepared.masks is None:
        return []
    classes = prepared.classes
    shares = class_shares(prepared.masks, len(classes))
    foreground = {name: shares[:, index] for index, name in enumerate(classes) if index != prepared.background}
    shown = {name: values[values > 0] for name, values in list(foreground.items())[:MOST_PANELS]}
    said = [coverage_words(name, values) for name, values in foreground.items()]
    if len(shown) < len(foreground):
        said.insert(0, f"Drawn are the first {len(shown)} of {len(foreground)} classes.")
    void = [float((mask[prepared.region(row)] == VOID).mean()) for row, mask in enumerate(prepared.masks)]
    if any(void):
        said += [coverage_words("Void (no answer)", np.array(void)), "Shares of classes are of what is not void."]
    return [_figure(prepared, "How much the masks cover", coverage_chart(shown), " ".join(said))]


def coverage_words(name: str, shares: np.ndarray) -> str:
    """The range of a class's share of the image; images that have none of it apart."""
    present = shares[shares > 0]
    if not len(present):
        return f"{name}: in no image."
    spread = (
        f"median {_percent(float(np.median(present)))}, from {_percent(present.min())} to {_percent(present.max())}"
    )
    absent = len(shares) - len(present)
    return f"{name}: {spread} of the image" + (f"; {wording.plural(absent, 'image')} without." if absent else ".")


def _figure(prepared: Prepared, title: str, figure: Figure, words: str, *, tall: bool = False) -> dict[str, Any]:
    prefix = (
        f"{prepared.about['name']}-card-{''.join(c if c.isascii() and c.isalnum() else '-' for c in title.lower())}"
    )
    return {"title": title, "svg": Markup(chart(figure, prefix, f"{title}: {words}")), "words": words, "tall": tall}


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Positions, at most `most`, that are evenly spaced over `count`, first and last among them; int64, ascending."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def mean_image(images: Sequence[np.ndarray] | np.ndarray, region: Callable[[int], Region]) -> np.ndarray:
    """Mean of evenly spaced images, at most 500, rounded; where none of them shows anything, black.

    Parameters
    ----------
    images
        uint8, (height, width, channels) each, one at least, all of one size; read one at a time.
    region
        From the position of an image to the rows and columns that show it, and not pads.

    Returns
    -------
    ndarray
        uint8, (height, width, channels).
    """
    total, shown = np.zeros(images[0].shape, np.uint32), np.zeros((*images[0].shape[:2], 1), np.uint32)
    for position in evenly_spaced(len(images), MEAN_OF).tolist():
        part = region(position)
        total[part] += images[position][part]
        shown[part] += 1
    return (total / np.maximum(shown, 1)).round().astype(np.uint8)


def _mean(prepared: Prepared, side: int) -> dict[str, Any] | None:
    """The mean of the images; none where they differ in size."""
    if not isinstance(prepared.images, np.ndarray):
        return None
    count, of = min(MEAN_OF, len(prepared.images)), len(prepared.images)
    which = f"{count} of {of:,} images, evenly spaced" if count < of else f"all {of:,} images"
    return {"uri": webp_uri(picture(mean_image(prepared.images, prepared.region), side)), "words": f"Mean of {which}."}


def example_positions(index: pd.DataFrame, columns: Sequence[str], most: int = EXAMPLES) -> list[int]:
    """Rows to show: about as many of every combination of labels, evenly spaced within it.

    Where there are more combinations than `most`, one image each of evenly spaced ones.
    """
    if not columns:
        return evenly_spaced(len(index), most).tolist()
    labels = index[list(columns)].astype(str).agg("\0".join, axis=1).to_numpy()
    parts = [np.flatnonzero(labels == each) for each in np.unique(labels)]
    parts = [parts[position] for position in evenly_spaced(len(parts), most)]
    each, more = divmod(most, len(parts))
    quotas = [each + (position < more) for position in range(len(parts))]
    return [
        int(row) for part, quota in zip(parts, quotas, strict=True) for row in part[evenly_spaced(len(part), quota)]
    ]


def examples(prepared: Prepared, side: int) -> list[dict[str, str]]:
    """Images of every kind of label, with the outlines of their masks drawn in where there are masks."""
    columns = _label_columns(prepared.about)
    found = []
    for position in example_positions(prepared.index, columns):
        row, image, region = prepared.index.iloc[position], prepared.shown(position), prepared.region(position)
        labels = ", ".join(str(row[column]) or NO_LABEL for column in columns)
        mask = None if prepared.masks is None else prepared.masks[position][region]
        shown = picture(image, side) if mask is None else outlined(image, mask, None, side)
        alt = f"Image {row['id']}{labels and f', {labels}'}{'' if mask is None else ', with its mask outlined'}"
        found.append({"id": str(row["id"]), "labels": labels, "uri": webp_uri(shown), "alt": alt})
    return found


def split_table(index: pd.DataFrame, folds: Sequence[Fold], columns: Sequence[str]) -> dict[str, Any]:
    """Images and groups of every part of a split, and by label if it has at most six values.

    Parameters
    ----------
    index
        One row an image: `id`, `group` and the labels.
    folds
        One, or with cross-validation several.
    columns
        Label columns.

    Returns
    -------
    dict
        `heads`: (label value, label column) of the last columns. `rows`: `part` and `cells`; a cell has its `text` and
        the `value` to sort it by. If folds differ in size the text is a range. `between`: how many groups have images
        in several parts, in a sentence.
    """
    labels = index[["id", "group", *columns]].astype(str).replace({column: {"": NO_LABEL} for column in columns})
    named = {column: label_counts(labels[column]) for column in columns}
    heads = [
        (value, column) for column, counts in named.items() if len(counts) <= wording.MOST_NAMED for value in counts
    ]
    members = labels["group"].value_counts()
    labels["alike"] = labels["group"].map(members) > 1
    divided = [labels.assign(split=_parts(fold, len(labels))) for fold in folds]
    rows = [_split_row("all images", [labels], heads, len(index))]
    for part, words in PARTS.items():
        inside = [each[each["split"] == part] for each in divided]
        if any(len(each) for each in inside):
            rows.append(_split_row(words, inside, heads, len(index)))
    between = (max(counts) for counts in zip(*map(_groups_between, divided), strict=True))
    return {"heads": heads, "rows": rows, "between": wording.groups_between_parts(*between)}


def _parts(fold: Fold, images: int) -> np.ndarray:
    """The part of every image, "" for one that is left out."""
    found = np.full(images, "", dtype=object)
    for part in ("train", "validation", "test"):
        found[getattr(fold, part)] = part
    return found


def _split_row(
    part: str, folds: Sequence[pd.DataFrame], heads: Sequence[tuple[str, str]], images: int
) -> dict[str, Any]:
    counted = np.array([_part_counts(fold, heads) for fold in folds])
    low, high = counted.min(axis=0), counted.max(axis=0)
    cells = [
        {"value": float(mean), "text": f"{a:,}" if a == b else f"{a:,} to {b:,}"}
        for a, b, mean in zip(low.tolist(), high.tolist(), counted.mean(axis=0).tolist(), strict=True)
    ]
    share = 100 * float(counted[:, 0].mean()) / images
    cells.insert(1, {"value": share, "text": f"{share:.1f}"})
    return {"part": part, "cells": cells}


def _part_counts(rows: pd.DataFrame, heads: Sequence[tuple[str, str]]) -> list[int]:
    """Images, groups, groups of several images, and images by label value."""
    by_label = [int((rows[column] == value).sum()) for value, column in heads]
    return [len(rows), rows["group"].nunique(), rows.loc[rows["alike"], "group"].nunique(), *by_label]


def _groups_between(fold: pd.DataFrame) -> tuple[int, int]:
    """Groups with images in more than one of train, validation and test, and those of them that are tested.

    Columns `group`, `split` and `alike`.
    """
    shared = fold[fold["alike"] & (fold["split"] != "")]
    between = groups_between_splits(shared["group"], shared["split"]).values()
    return len(between), sum("test" in parts for parts in between)


def audit_summary(audit: pd.DataFrame) -> list[dict[str, Any]]:
    """How often each finding had each consequence, most frequent first, with a few of the files."""
    summary = [
        {"finding": finding, "consequence": consequence, "count": len(rows), "files": _names(rows["file"])}
        for (finding, consequence), rows in audit.groupby(["finding", "consequence"], sort=True)
    ]
    return sorted(summary, key=lambda row: -row["count"])


def _names(files: pd.Series) -> str:
    """The first files, each with the folder that it lies in: a name alone can be there once a class."""
    return ", ".join("/".join(PurePosixPath(file).parts[-2:]) for file in dict.fromkeys(files.head(NAMES_A_FINDING)))
