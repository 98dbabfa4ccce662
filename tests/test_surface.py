"""Surface distances and boundary bands: exact on small pictures, defined for empty masks, and equal to MONAI's
distances and to the bands of the boundary IoU's authors."""

import itertools
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from bakeoff.evaluation.surface import boundary, boundary_band, hd95_and_assd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_distance import compute_average_surface_distance
from scipy import ndimage

SQUARE = np.array(
    [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ],
    bool,
)
CORNER = np.zeros((5, 5), bool)
CORNER[4, 4] = True
EMPTY = np.zeros((5, 5), bool)


def monai(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    true, predicted = (torch.from_numpy(mask[None, None]).float() for mask in (truth, prediction))
    return (
        compute_hausdorff_distance(predicted, true, include_background=True, percentile=95).item(),
        compute_average_surface_distance(predicted, true, include_background=True, symmetric=True).item(),
    )


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A random mask with holes, islands and parts cut off by the image's border."""
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), rng.uniform(0.5, 6))
    return smooth > np.quantile(smooth, rng.uniform(0.1, 0.95))


def test_boundary_is_the_pixels_with_a_neighbour_outside() -> None:
    assert boundary(SQUARE).astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_the_band_is_two_percent_of_the_diagonal_deep() -> None:
    mask = np.zeros((100, 100), bool)
    mask[40:60, 40:60] = True
    band = np.zeros((100, 100), bool)
    band[40:60, 40:60] = True
    band[43:57, 43:57] = False  # the diagonal is 141.4 pixels
    assert np.array_equal(boundary_band(mask), band)


def test_the_band_runs_along_the_edge_of_the_image_and_is_a_pixel_at_least() -> None:
    full = boundary_band(np.ones((5, 6), bool))
    assert full.astype(int).tolist() == [
        [1, 1, 1, 1, 1, 1],
        [1, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 1],
    ]
    assert not boundary_band(EMPTY).any()
    assert boundary_band(CORNER).tolist() == CORNER.tolist()


@pytest.mark.parametrize("shape", [(64, 64), (96, 33), (17, 130), (301, 257), (480, 640)])
def test_bands_are_those_of_repeated_erosion(shape: tuple[int, int]) -> None:
    """As the authors' `mask_to_boundary`: a margin of background, then as many erosions by 3x3 as the band is deep."""
    rng = np.random.default_rng(shape[1])
    depth = max(1, round(0.02 * (shape[0] ** 2 + shape[1] ** 2) ** 0.5))
    for mask in [blobs(rng, shape) for _ in range(6)]:
        eroded = ndimage.binary_erosion(np.pad(mask, 1), np.ones((3, 3)), iterations=depth)[1:-1, 1:-1]
        assert np.array_equal(boundary_band(mask), mask & ~eroded)


def test_distances_of_a_5x5_picture() -> None:
    # From the 8 boundary pixels of the square to the corner pixel, and from that one to the nearest of them.
    there = np.hypot([4, 4, 4, 3, 3, 2, 2, 2], [4, 3, 2, 4, 2, 4, 3, 2])
    back = np.hypot(2, 2)
    hd95, assd = hd95_and_assd(SQUARE, CORNER)
    assert hd95 == pytest.approx(np.quantile(there, 0.95), rel=1e-6)
    assert assd == pytest.approx((there.sum() + back) / 9, rel=1e-6)


def test_a_mask_moved_by_a_pixel_is_a_pixel_away() -> None:
    moved = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    moved[0][3:6, 3:6] = True
    moved[1][3:6, 4:7] = True
    hd95, assd = hd95_and_assd(*moved)
    assert hd95 == 1
    assert assd == (3 + 1 + 3 + 1) / 16  # of either 8, three are beyond the other mask and one inside it


def test_empty_masks() -> None:
    assert hd95_and_assd(EMPTY, EMPTY) == (0, 0)
    assert hd95_and_assd(SQUARE, EMPTY) == hd95_and_assd(EMPTY, SQUARE) == (np.hypot(4, 4), np.hypot(4, 4))


def test_no_distance_exceeds_that_of_an_empty_mask() -> None:
    assert hd95_and_assd(CORNER, CORNER[::-1, ::-1]) == pytest.approx(hd95_and_assd(CORNER, EMPTY), rel=1e-6)


@pytest.mark.parametrize("shape", [(96, 33), (257, 301)])
def test_the_number_of_opencvs_threads_changes_no_bit(shape: tuple[int, int]) -> None:
    truth, prediction = (blobs(np.random.default_rng(seed), shape) for seed in shape)
    before, found = cv2.getNumThreads(), []
    try:
        for threads in (1, 2):  # its distance transform works differently with one
            cv2.setNumThreads(threads)
            found.append(hd95_and_assd(truth, prediction))
    finally:
        cv2.setNumThreads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("shape", [(64, 64), (96, 33), (17, 130), (301, 257)])
def test_equals_monai_on_random_masks(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[0])
    for _ in range(12):
        truth, prediction = blobs(rng, shape), blobs(rng, shape)
        assert hd95_and_assd(truth, prediction) == pytest.approx(monai(truth, prediction), rel=1e-5)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_equals_distance_transforms_on_any_masks(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
    truth, prediction = (data.draw(hnp.arrays(bool, shape).filter(np.any)) for _ in range(2))
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (truth, prediction)]
    to_truth, to_prediction = (ndimage.distance_transform_edt(~edge) for edge in edges)
    directed = to_truth[edges[1]], to_prediction[edges[0]]
    expected = max(np.quantile(each, 0.95) for each in directed), np.concatenate(directed).mean()
    assert hd95_and_assd(truth, prediction) == pytest.approx(expected, rel=1e-5)
    assert hd95_and_assd(truth, prediction) == pytest.approx(hd95_and_assd(prediction, truth), rel=1e-5)
    assert hd95_and_assd(truth, truth) == (0, 0)


@pytest.mark.real
def test_equals_monai_on_lungs(mirror: Path) -> None:
    with zipfile.ZipFile(mirror / "chest-xray-masks-and-labels.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/masks/" in name and name.endswith(".png"))[::60]
        masks = [
            cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE) > 127 for name in names
        ]
    for truth, prediction in itertools.pairwise(masks):
        assert hd95_and_assd(truth, prediction) == pytest.approx(monai(truth, prediction), rel=1e-5)
