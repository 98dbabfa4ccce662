"""Masks drawn into images, masks alone, and masks handed to the wrong image: what a leak study feeds a classifier.

An overlay of the true mask gives away what an annotator knew: where a lesion is, how it is shaped, and, by its absence,
that there is none. How much of a score comes from that is seen beside the mask alone (no image) and beside the overlay
of another image's mask (no knowledge).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np

from bakeoff.artefacts.void import VOID, is_foreground

Style = Literal["outline", "tint"]
# Grey level of what is not looked at.
OUTSIDE = 128
# A piece of foreground smaller than this share of the largest is a network's slip, and would widen the box to itself.
SLIP = 0.1


def drawn(
    settings: Mapping[str, Any], images: np.ndarray, masks: np.ndarray, classes: int, background: int | None = 0
) -> np.ndarray:
    """What an entry of the configuration's `derived` makes of images and masks; uint8, (n, H, W, 3).

    Parameters
    ----------
    settings
        `kind`: mask, overlay or region, and what those functions take beside images and masks.
    classes
        How many the masks tell apart.
    background
        Index of the one that is no foreground; None where every class counts.
    """
    if settings["kind"] == "mask":
        return mask_only(masks, classes)
    if settings["kind"] == "region":
        return region(images, masks, keep=settings["keep"], margin=settings["margin"], background=background)
    red, green, blue = settings["colour"]
    return overlay(
        images,
        masks,
        style=settings["style"],
        colour=(red, green, blue),
        opacity=settings["opacity"],
        width=settings["width"],
        background=background,
    )


def overlay(
    images: np.ndarray,
    masks: np.ndarray,
    *,
    style: Style,
    colour: tuple[int, int, int],
    opacity: float,
    width: int,
    background: int | None = 0,
) -> np.ndarray:
    """Images with their masks drawn in.

    Parameters
    ----------
    images
        uint8, (n, H, W, 1) or (n, H, W, 3).
    masks
        Class indices or `VOID`, uint8, (n, H, W); void and the background stay as they are.
    style
        "outline" draws the inner edge of every region, "tint" all of it.
    colour
        RGB, 0 to 255.
    opacity
        Of the colour, 0 to 1.
    width
        Of the outline in pixels, at least 1; a tint has none.
    background
        Index of the class that is no foreground; None where every class counts.

    Returns
    -------
    numpy.ndarray
        uint8, (n, H, W, 3).

    Raises
    ------
    ValueError
        If images and masks differ in number or size, or a setting is out of its range.
    """
    if images.shape[:3] != masks.shape:
        raise ValueError(f"images of shape {images.shape} and masks of shape {masks.shape} do not belong together")
    if style not in ("outline", "tint"):
        raise ValueError(f"style {style!r} is neither outline nor tint")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is not between 0 and 1")
    if style == "outline" and width < 1:
        raise ValueError(f"an outline of {width} pixels cannot be seen")

    drawn = np.broadcast_to(images, (*images.shape[:3], 3)).copy()
    for picture, mask in zip(drawn, masks, strict=True):
        marked = inner_edge(mask, width, background) if style == "outline" else is_foreground(mask, background)
        blended = picture[marked] * (1 - opacity) + np.array(colour) * opacity
        picture[marked] = np.rint(blended).astype(np.uint8)
    return drawn


def inner_edge(mask: np.ndarray, width: int, background: int | None = 0) -> np.ndarray:
    """Foreground pixels at most `width` away (chessboard distance) from a pixel of another class, boolean (H, W).

    What lies outside the picture is no foreground, so that the outline of a region that is cut off is closed.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    framed = np.pad(mask, width, constant_values=VOID if background is None else background)
    differing = cv2.dilate(framed, kernel) != cv2.erode(framed, kernel)
    return is_foreground(mask, background) & differing[width:-width, width:-width]


def mask_only(masks: np.ndarray, classes: int) -> np.ndarray:
    """Masks as pictures: the first class and void black, the last one white, those between evenly spaced greys.

    Parameters
    ----------
    masks
        Class indices below `classes`, or `VOID`, uint8, (n, H, W).

    Returns
    -------
    numpy.ndarray
        uint8, (n, H, W, 3); of two classes 0 and 255.
    """
    levels = np.zeros(VOID + 1, np.uint8)
    levels[:classes] = np.rint(np.linspace(0, 255, classes))
    return np.repeat(levels[masks][..., None], 3, axis=-1)


def region(
    images: np.ndarray,
    masks: np.ndarray,
    *,
    keep: Literal["crop", "masked"],
    margin: float,
    background: int | None = 0,
) -> np.ndarray:
    """The foreground alone: cut out and enlarged, or with all else grey; an image without foreground stays as it is.

    Parameters
    ----------
    images
        uint8, (n, H, W, 1) or (n, H, W, 3).
    masks
        Class indices or `VOID`, uint8, (n, H, W); all but void and the background is foreground.
    keep
        "crop" enlarges the box around the foreground, without pieces of less than a tenth of the largest one's pixels,
        to the whole picture; "masked" paints what is outside the foreground grey (128).
    margin
        Widens the box on every side, or the foreground all around, by this share of the picture's side.
    background
        Index of the class that is no foreground; None where every class counts.

    Returns
    -------
    numpy.ndarray
        uint8, (n, H, W, 3).
    """
    draw = _cropped if keep == "crop" else _masked
    pairs = zip(np.broadcast_to(images, (*images.shape[:3], 3)), is_foreground(masks, background), strict=True)
    return np.stack([draw(image, mask, margin) if mask.any() else image for image, mask in pairs])


def _cropped(image: np.ndarray, mask: np.ndarray, margin: float) -> np.ndarray:
    height, width = mask.shape
    _, pieces, measures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = measures[1:, cv2.CC_STAT_AREA]
    boxed = np.isin(pieces, 1 + np.flatnonzero(areas >= SLIP * areas.max()))
    rows, columns = (np.flatnonzero(boxed.any(axis=axis)) for axis in (1, 0))
    down, across = round(margin * height), round(margin * width)
    box = image[
        max(0, rows[0] - down) : rows[-1] + 1 + down,
        max(0, columns[0] - across) : columns[-1] + 1 + across,
    ]
    return cv2.resize(np.ascontiguousarray(box), (width, height), interpolation=cv2.INTER_LINEAR)


def _masked(image: np.ndarray, mask: np.ndarray, margin: float) -> np.ndarray:
    reach = 2 * round(margin * max(mask.shape)) + 1
    wider = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    return np.where(wider[..., None] > 0, image, np.uint8(OUTSIDE))


def shuffled(count: int, seed: int, groups: Sequence[str] | np.ndarray | None = None) -> np.ndarray:
    """A random permutation in which no image gets the mask of itself or of a near duplicate.

    Parameters
    ----------
    count
        Images.
    seed
        Of the order.
    groups
        For each image its near-duplicate group; None where each is its own.

    Returns
    -------
    numpy.ndarray
        int64, (count,): for each image the position of the one whose mask it gets.

    Raises
    ------
    ValueError
        If one group holds more than half of the images, so that there is no such permutation.
    """
    if count == 0:
        return np.empty(0, np.int64)
    members = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(members)
    largest = int(sizes.max())
    if 2 * largest > count:
        raise ValueError(f"{largest} of {count} images are one group: their masks cannot go to others")
    # Stand the groups in a circle, in random order and each in random order, and pass every mask on by as many places
    # as the largest group is long: that leads out of any group, and, since it is at most half the circle, not back.
    random = np.random.default_rng(seed)
    circle = np.lexsort((random.permutation(count), random.permutation(len(sizes))[members]))
    permutation = np.empty(count, np.int64)
    permutation[circle] = np.roll(circle, -largest)
    return permutation
