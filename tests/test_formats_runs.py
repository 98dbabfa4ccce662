"""Run lengths: parity with pycocotools, Label Studio's own encoding, and damage of every kind."""

import numpy as np
import pytest
from bakeoff.datasets.formats.runs import (
    area,
    from_box,
    from_compressed,
    from_counts,
    from_label_studio,
    from_mask,
    to_mask,
)
from drawn_folders import rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

# Written by Label Studio's own encoder, of the mask below: 4 x 6 pixels.
BRUSH = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 23, 0, 143, 252]
BRUSHED = ["......", "..111.", "..111.", ".....1"]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_masks_come_back_as_they_were(mask: np.ndarray) -> None:
    runs = from_mask(mask)
    assert (runs.height, runs.width) == mask.shape
    np.testing.assert_array_equal(to_mask(runs), mask)
    assert area(runs) == mask.sum()
    assert from_compressed(runs.counts.decode(), *mask.shape) == runs


def test_uncompressed_runs_go_down_the_columns_and_begin_with_zeros() -> None:
    assert rows(to_mask(from_counts([3, 2, 5, 2], 3, 4))) == [".1..", ".1.1", "...1"]
    assert rows(to_mask(from_counts([0, 2, 10], 3, 4))) == ["1...", "1...", "...."]


@pytest.mark.parametrize("counts", [[3, 2], [12, 1], [14, -2], []])
def test_runs_of_another_number_of_pixels_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="run lengths make"):
        from_counts(counts, 3, 4)


@pytest.mark.parametrize("size", [(0, 4), (-3, -4), (50_000, 20_000)])
def test_sizes_of_no_image_are_refused(size: tuple[int, int]) -> None:
    for make in (from_counts, from_compressed, from_label_studio):
        with pytest.raises(ValueError, match="is none or too large"):
            make([], *size)  # type: ignore[operator]


@pytest.mark.parametrize("counts", ["P", "5P", "oooooooo0", "!", "1 2", "é"])
def test_what_is_no_compressed_runs_never_reaches_pycocotools(counts: str) -> None:
    with pytest.raises(ValueError, match="compressed run lengths"):
        from_compressed(counts, 3, 4)


def test_compressed_runs_of_another_size_are_refused_when_they_are_drawn() -> None:
    runs = coco.encode(np.asfortranarray(np.ones((5, 5), np.uint8)))["counts"]
    with pytest.raises(ValueError, match="Invalid RLE"):
        to_mask(from_compressed(runs, 3, 4))


def test_runs_in_a_box_go_along_its_rows() -> None:
    assert rows(to_mask(from_box([1, 2, 1, 2], (2, 1, 3, 2), 4, 6))) == ["......", "...11.", "...11.", "......"]


@pytest.mark.parametrize("box", [(-1, 0, 3, 2), (4, 1, 3, 2), (2, 3, 3, 2)])
def test_boxes_that_leave_the_image_are_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="leaves the image of 6 x 4 pixels"):
        from_box([6], box, 4, 6)


def test_a_brush_of_label_studio() -> None:
    assert rows(to_mask(from_label_studio(BRUSH, 4, 6))) == BRUSHED


@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4)), elements=st.sampled_from([0, 90, 255])
    )
)
def test_of_a_brush_opacity_counts_whatever_the_colour(pixels: np.ndarray) -> None:
    height, width, _ = pixels.shape
    runs = from_label_studio(encode_brush(pixels.ravel().tolist()), height, width)
    np.testing.assert_array_equal(to_mask(runs), pixels[..., 3] >= 128)


@pytest.mark.parametrize(
    ("data", "reason"), [(BRUSH[:9], "break off"), ([], "break off"), ([0, 0, 0, 97, *BRUSH[4:]], "not of an RGBA")]
)
def test_damaged_brushes(data: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_label_studio(data, 4, 6)


def encode_brush(values: list[int]) -> list[int]:
    """Values in runs of at most 8, repeated ones and literal ones in turn as they come."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    at = 0
    while at < len(values):
        run = values[at : at + 8]
        same = next((length for length, value in enumerate(run) if value != run[0]), len(run))
        if same > 1:
            bits += f"1{0:02b}{same - 1:03b}{run[0]:08b}"
            at += same
        else:
            bits += f"0{1:02b}{len(run) - 1:04b}" + "".join(f"{value:08b}" for value in run)
            at += len(run)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
