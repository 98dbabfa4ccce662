"""What is odd about a data set's images: the same picture twice, nearly the same, sizes unlike the others."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bakeoff.datasets.records import Finding, Record

THUMBNAIL = 32
# Two pictures whose hashes are close are near duplicates when their thumbnails, less the data set's mean thumbnail,
# correlate above this. The hash alone will not do where pictures are of one kind: of the 800 Montgomery and Shenzhen
# X-rays 211 pairs differ in at most 6 of 64 bits. All but two of them correlate below .91, which is unrelated chests;
# the two, at .943 and .973, could well be one patient each. The same X-rays as JPEGs of quality 20, under noise, at half the
# resolution or in another exposure stay above .97, turned by 1 degree above .96; cut by 2 % at each side they are
# lost. Without the mean taken off, unrelated chests reach .973, above many of the true pairs.
NEAR_CORRELATION = 0.93
# An image's size is odd when its aspect ratio or its side is off the median by more than these factors.
ODD_ASPECT, ODD_SIDE = 2.0, 4.0
HASHES_AT_A_TIME = 256


class NearPair(NamedTuple):
    """Positions of two look-alikes, the earlier first, the bits their hashes differ in, and their correlation."""

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


def exact_duplicates(digests: Sequence[bytes]) -> list[list[int]]:
    """Positions of the same pixels, ascending, for every picture that is there more than once."""
    positions: dict[bytes, list[int]] = {}
    for position, digest in enumerate(digests):
        positions.setdefault(digest, []).append(position)
    return [same for same in positions.values() if len(same) > 1]


def near_duplicates(hashes: Sequence[int], thumbnails: np.ndarray, distance: int) -> list[NearPair]:
    """Pairs of pictures that are one picture, but for exposure, noise, compression or resolution.

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
        if correlation > NEAR_CORRELATION:
            pairs.append(NearPair(first, second, apart, correlation))
    return pairs


def groups(count: int, pairs: Sequence[NearPair]) -> np.ndarray:
    """For each of `count` images the position of the first image of its group; pairs chain into groups."""
    if not pairs:
        return np.arange(count)
    first, second = np.array([(pair.first, pair.second) for pair in pairs]).T
    links = coo_matrix((np.ones(len(pairs)), (first, second)), shape=(count, count))
    _, component = connected_components(links, directed=False)
    _, earliest, member_of = np.unique(component, return_index=True, return_inverse=True)
    return earliest[member_of]


def odd_sizes(heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Which images have a shape or a size far off the median, boolean."""
    aspects, sides = widths / heights, np.sqrt(widths * heights)
    return (_factor(aspects) > ODD_ASPECT) | (_factor(sides) > ODD_SIDE)


def duplicate_findings(records: Sequence[Record], digests: Sequence[bytes], masks: np.ndarray) -> list[Finding]:
    """Findings on images with the same pixels; those with consequence `dropped` are to be left out.

    All but the first are dropped. Where their labels contradict each other all are, since one label must be wrong.
    """
    findings = []
    for same in exact_duplicates(digests):
        first, rest = same[0], same[1:]
        names = [records[position].image.name for position in same]
        if any(records[position].labels != records[first].labels for position in rest):
            listed = "; ".join(" ".join(records[position].labels.values()) for position in same)
            findings += [
                Finding(name, "contradicting duplicate", "dropped", f"the same pixels carry the labels {listed}")
                for name in names
            ]
            continue
        for position, name in zip(rest, names[1:], strict=True):
            other = "" if np.array_equal(masks[position], masks[first]) else ", with another mask"
            findings.append(Finding(name, "exact duplicate", "dropped", f"the same pixels as {names[0]}{other}"))
    return findings


def near_findings(records: Sequence[Record], pairs: Sequence[NearPair]) -> list[Finding]:
    """One finding a pair; such images share a group."""
    return [
        Finding(
            records[pair.second].image.name,
            "near duplicate",
            "kept",
            f"like {records[pair.first].image.name}: {pair.distance} of 64 hash bits differ, "
            f"correlation {pair.correlation:.3f}; drawn splits keep them together",
        )
        for pair in pairs
    ]


def write_audit(path: Path, findings: Sequence[Finding]) -> None:
    """Write `audit.csv`: `file, finding, consequence, detail`."""
    pd.DataFrame(findings, columns=Finding._fields).to_csv(path, index=False)


def _close_hashes(hashes: np.ndarray, distance: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of positions, ascending, and the bits in which their hashes differ, at most `distance`."""
    for start in range(0, len(hashes), HASHES_AT_A_TIME):
        block = hashes[start : start + HASHES_AT_A_TIME]
        apart = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        for row, column in zip(*np.nonzero(apart <= distance), strict=True):
            if column > row:
                yield start + int(row), start + int(column), int(apart[row, column])


def _standard(picture: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A thumbnail without brightness and contrast, less what all thumbnails share."""
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
