"""Findings on the images of a data set: duplicates, near-duplicates and unusual sizes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bakeoff.datasets.archives.records import Finding, Record

THUMBNAIL = 32
# Two pictures with close hashes are near-duplicates when their thumbnails, minus the data set's mean thumbnail,
# correlate above this. The hash alone is not enough for pictures of one kind: of the 704 Montgomery and Shenzhen X-rays
# with masks, at 192 pixels, 149 pairs differ in at most 6 of 64 bits. All but two of these correlate below .92 and show
# different people; the two are at .951 (same frame, perhaps different people) and .976 (perhaps one patient). Copies of
# an X-ray (JPEG of quality 20, noise, half the resolution, moderately different contrast) stay above .97, rotated by 1
# degree above .96; cropped by 2 % at each side most are missed. Without subtracting the mean, different people reach
# .973, above many of the copies. Of 211 pairs of breast ultrasound images with hashes as close, most of them true
# near-duplicates, 194 are above.
NEAR_CORRELATION = 0.93
# What all pictures share is the scene where a camera does not move, and pictures of one scene are near-duplicates for
# what they share: so are those whose thumbnails themselves correlate above this. Neighbouring frames of a fixed camera
# are above .998. Of the pairs with close hashes that the other criterion passes, none of the X-rays is above .974 and
# none of the ultrasound images above .981; pets, cats and dogs have no such pairs.
SAME_SCENE_CORRELATION = 0.99
# An image's size is unusual when its aspect ratio or its side differs from the median by more than these factors.
ODD_ASPECT, ODD_SIDE = 2.0, 4.0
HASHES_AT_A_TIME = 256


class NearPair(NamedTuple):
    """Positions of two near-duplicates, the earlier first, the bits their hashes differ in, and a correlation.

    It is that of the thumbnails minus the mean one or, where that is not above its limit, of the thumbnails as such.
    """

    first: int
    second: int
    distance: int
    correlation: float


def perceptual_hash(grey: np.ndarray) -> int:
    """64-bit DCT hash of a picture (uint8, H x W), as `imagehash.phash` has it."""
    bits = imagehash.phash(Image.fromarray(grey)).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """Mean grey levels on a grid of 32 x 32, uint8."""
    return cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def exact_duplicates(digests: Mapping[int, bytes]) -> list[list[int]]:
    """Rows with the same pixels, in the order given, for every picture that occurs more than once."""
    rows: dict[bytes, list[int]] = {}
    for row, digest in digests.items():
        rows.setdefault(digest, []).append(row)
    return [same for same in rows.values() if len(same) > 1]


def near_duplicates(hashes: Sequence[int], thumbnails: np.ndarray, distance: int) -> list[NearPair]:
    """Pairs of pictures that differ only in exposure, noise, compression, resolution or small parts.

    Parameters
    ----------
    hashes
        64-bit perceptual hashes.
    thumbnails
        uint8, (n, 32, 32).
    distance
        Bits, 0 to 64, in which the hashes may differ.
    """
    if len(hashes) < 2:
        return []
    flat = thumbnails.reshape(len(thumbnails), -1)
    mean = flat.mean(axis=0, dtype=np.float64) if len(flat) > 2 else np.zeros(flat.shape[1])
    pairs = []
    for first, second, apart in _close_hashes(np.array(hashes, np.uint64), distance):
        correlation = _correlation(_standard(flat[first], mean), _standard(flat[second], mean))
        if correlation <= NEAR_CORRELATION:
            correlation = _correlation(_unit(flat[first]), _unit(flat[second]))
            if correlation <= SAME_SCENE_CORRELATION:
                continue
        pairs.append(NearPair(first, second, apart, correlation))
    return pairs


def groups(records: Sequence[Record], pairs: Sequence[NearPair]) -> np.ndarray:
    """For each record the position of the first one of its group: pairs, and what records share, chain into groups."""
    count = len(records)
    first_of: dict[str, int] = {}
    shared = [
        (first_of.setdefault(record.group, row), row) for row, record in enumerate(records) if record.group is not None
    ]
    together = [*((pair.first, pair.second) for pair in pairs), *shared]
    if not together:
        return np.arange(count)
    first, second = np.array(together).T
    links = coo_matrix((np.ones(len(together)), (first, second)), shape=(count, count))
    _, component = connected_components(links, directed=False)
    _, earliest, member_of = np.unique(component, return_index=True, return_inverse=True)
    return earliest[member_of]


def odd_sizes(heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Which images have a shape or a size far from the median, boolean."""
    aspects, sides = widths / heights, np.sqrt(widths * heights)
    return (_factor(aspects) > ODD_ASPECT) | (_factor(sides) > ODD_SIDE)


def duplicate_findings(
    records: Sequence[Record], digests: Mapping[int, bytes], masks: Any, targets: Sequence[str]
) -> dict[int, Finding]:
    """Findings, by row, on images with the same pixels as another; these rows are to be dropped.

    The first of several duplicates is kept, unless their labels contradict each other: then all are dropped, since one
    label must be wrong.

    Parameters
    ----------
    records
        Of every row.
    masks
        Of every row, by row; None for a data set without masks.
    digests
        Of the pixels of the rows that can be used.
    targets
        Label columns that a classifier may learn; in the others the same picture may differ.
    """
    findings = {}
    for first, *rest in exact_duplicates(digests):
        original = records[first]
        if any(_targets(records[row], targets) != _targets(original, targets) for row in rest):
            labels = "; ".join(" ".join(_targets(records[row], targets)) for row in (first, *rest))
            for row in (first, *rest):
                detail = f"the same pixels carry the labels {labels}"
                findings[row] = Finding(records[row].image.name, "contradicting duplicate", "dropped", detail)
            continue
        for row in rest:
            other = "" if masks is None or np.array_equal(masks[row], masks[first]) else ", with another mask"
            detail = f"the same pixels as {original.image.name}{other}"
            findings[row] = Finding(records[row].image.name, "exact duplicate", "dropped", detail)
    return findings


def near_findings(records: Sequence[Record], pairs: Sequence[NearPair], targets: Sequence[str]) -> list[Finding]:
    """One finding a pair; such images share a group.

    Both are kept even if their labels contradict each other: unlike identical pixels, two views of one lesion, or of
    two similar ones, may both be labelled correctly.

    Parameters
    ----------
    records
        Of the rows that the pairs count.
    targets
        Label columns that a classifier may learn; a pair that differs in one of them is a contradiction.
    """
    findings = []
    for pair in pairs:
        first, second = records[pair.first], records[pair.second]
        labels, other_labels = _targets(second, targets), _targets(first, targets)
        contradiction = labels != other_labels
        said = f", labelled {' '.join(labels)} instead of {' '.join(other_labels)}" if contradiction else ""
        findings.append(
            Finding(
                second.image.name,
                "contradicting near-duplicate" if contradiction else "near-duplicate",
                "kept",
                f"near-duplicate of {first.image.name}{said}: {pair.distance} of 64 hash bits differ, "
                f"correlation {pair.correlation:.3f}; grouped splits keep them together",
            )
        )
    return findings


def write_audit(path: Path, findings: Sequence[Finding]) -> None:
    """Write `audit.csv`: `file, finding, consequence, detail`."""
    pd.DataFrame(findings, columns=Finding._fields).to_csv(path, index=False)


def _targets(record: Record, targets: Sequence[str]) -> list[str]:
    return [record.labels[target] for target in targets]


def _close_hashes(hashes: np.ndarray, distance: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of positions, ascending, and the bits in which their hashes differ, at most `distance`."""
    for start in range(0, len(hashes), HASHES_AT_A_TIME):
        block = hashes[start : start + HASHES_AT_A_TIME]
        apart = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        for row, column in zip(*np.nonzero(apart <= distance), strict=True):
            if column > row:
                yield start + int(row), start + int(column), int(apart[row, column])


def _standard(picture: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A thumbnail without brightness and contrast, minus what all thumbnails share."""
    return _unit(picture.astype(np.float64)) - _unit(mean)


def _unit(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-12)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))


def _factor(values: np.ndarray) -> np.ndarray:
    """How many times larger or smaller than the median, at least 1."""
    ratio = values / np.median(values)
    return np.maximum(ratio, 1 / ratio)
