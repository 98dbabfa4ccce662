"""Derived data sets: masks drawn in, masks alone, regions, and masks of another image."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.derived import derive as stage
from bakeoff.datasets.derived.derive import derive
from bakeoff.datasets.derived.drawing import OUTSIDE, inner_edge, mask_only, overlay, region, shuffled
from hypothesis import given
from hypothesis import strategies as st

RED = (255, 0, 0)
SQUARE = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], np.uint8)
RING = SQUARE.astype(bool) & ~np.pad(np.ones((1, 1), bool), 2)


def grey(level: int, count: int = 1, channels: int = 1) -> np.ndarray:
    return np.full((count, 5, 5, channels), level, np.uint8)


# -- overlays ---------------------------------------------------------------------------------------------------------


def test_an_outline_is_the_inner_edge() -> None:
    assert np.array_equal(inner_edge(SQUARE, 1), RING)
    assert np.array_equal(inner_edge(SQUARE, 2), SQUARE > 0)


def test_the_outline_of_a_region_cut_off_by_the_frame_is_closed() -> None:
    whole = np.ones((5, 5), np.uint8)
    assert np.array_equal(inner_edge(whole, 1), np.pad(np.zeros((3, 3), bool), 1, constant_values=True))


def test_classes_that_touch_are_outlined_on_both_sides() -> None:
    mask = np.repeat(np.array([[1, 1, 1, 2, 2, 2]], np.uint8), 7, axis=0)
    assert inner_edge(mask, 1)[3].tolist() == [True, False, True, True, False, True]


def test_an_outline_of_full_opacity_is_the_colour_and_nothing_else_changes() -> None:
    (drawn,) = overlay(grey(100), SQUARE[None], style="outline", colour=RED, opacity=1.0, width=1)
    assert drawn[RING].tolist() == [[255, 0, 0]] * 8
    assert (drawn[~RING] == 100).all()


def test_a_tint_mixes_the_colour_in() -> None:
    (drawn,) = overlay(grey(100), SQUARE[None], style="tint", colour=(0, 200, 50), opacity=0.25, width=1)
    assert np.unique(drawn[SQUARE > 0], axis=0).tolist() == [[75, 125, 88]]  # 87.5 goes to the even neighbour
    assert (drawn[SQUARE == 0] == 100).all()


@pytest.mark.parametrize("style", ["outline", "tint"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_blank_mask_leaves_the_image_as_it_is(style: Any, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, channels), np.uint8)
    drawn = overlay(images, np.zeros((2, 5, 5), np.uint8), style=style, colour=RED, opacity=1.0, width=2)
    assert drawn.shape == (2, 5, 5, 3)
    assert drawn.dtype == np.uint8
    assert (drawn == images).all()


def test_the_images_given_are_not_drawn_on() -> None:
    images = grey(100, channels=3)
    overlay(images, SQUARE[None], style="tint", colour=RED, opacity=1.0, width=1)
    assert (images == 100).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": SQUARE[None, :4]}, "do not belong together"),
        ({"style": "glow"}, "'glow' is neither"),
        ({"opacity": 1.5}, "opacity 1.5"),
        ({"width": 0}, "outline of 0 pixels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict[str, Any], words: str) -> None:
    settings = {"masks": SQUARE[None], "style": "outline", "colour": RED, "opacity": 1.0, "width": 1}
    with pytest.raises(ValueError, match=words):
        overlay(grey(1), **(settings | change))


def test_masks_alone_are_black_and_white_and_grey_between() -> None:
    drawn = mask_only(np.array([[[0, 1]]], np.uint8), 2)
    assert drawn.tolist() == [[[[0, 0, 0], [255, 255, 255]]]]
    assert mask_only(np.array([[[0, 1, 2]]], np.uint8), 3)[0, 0, :, 0].tolist() == [0, 128, 255]
    assert drawn.dtype == np.uint8


# -- regions ----------------------------------------------------------------------------------------------------------


def numbered(height: int, width: int, channels: int = 1) -> np.ndarray:
    """One image whose levels count its pixels, row by row."""
    levels = np.arange(height * width, dtype=np.uint8).reshape(1, height, width, 1)
    return np.repeat(levels, channels, axis=-1)


def rectangle(height: int, width: int, rows: slice, columns: slice, level: int = 1) -> np.ndarray:
    masks = np.zeros((1, height, width), np.uint8)
    masks[:, rows, columns] = level
    return masks


@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_enlarged_to_the_whole_picture(channels: int) -> None:
    # Half the height and width, in the middle: every pixel of the box becomes two by two.
    (drawn,) = region(numbered(4, 4, channels), rectangle(4, 4, slice(1, 3), slice(1, 3)), keep="crop", margin=0.0)
    assert drawn.shape == (4, 4, 3)
    assert drawn.dtype == np.uint8
    assert (drawn == drawn[..., :1]).all()
    # Levels 5, 6, 9, 10; pixel centres of the enlarged picture lie at -1/4, 1/4, 3/4, 5/4 of the box: 5 to 6.
    rows = np.array([5, 5 + 1, 5 + 3, 5 + 4])[:, None]
    exact = rows + np.array([0, 0.25, 0.75, 1])
    assert np.abs(drawn[..., 0] - exact).max() <= 0.5


def test_a_crop_of_one_pixel_fills_the_picture_with_it() -> None:
    (drawn,) = region(numbered(5, 4), rectangle(5, 4, slice(3, 4), slice(2, 3), 2), keep="crop", margin=0.0)
    assert np.unique(drawn).tolist() == [14]


@pytest.mark.parametrize(
    ("rows", "columns", "levels"),
    [
        # A margin of 0.2 is one of five rows and two of ten columns.
        (slice(2, 3), slice(4, 5), numbered(5, 10)[0, 1:4, 2:7, 0]),
        (slice(0, 1), slice(9, 10), numbered(5, 10)[0, :2, 7:, 0]),  # cut off by the frame
    ],
)
def test_a_margin_widens_the_box_by_its_share_of_each_side(rows: slice, columns: slice, levels: np.ndarray) -> None:
    (drawn,) = region(numbered(5, 10), rectangle(5, 10, rows, columns), keep="crop", margin=0.2)
    assert (drawn.min(), drawn.max()) == (levels.min(), levels.max())
    corners = [levels[0, 0], levels[0, -1], levels[-1, 0], levels[-1, -1]]
    assert [drawn[0, 0, 0], drawn[0, -1, 0], drawn[-1, 0, 0], drawn[-1, -1, 0]] == corners


def test_the_box_is_around_all_of_the_foreground() -> None:
    masks = rectangle(6, 6, slice(1, 2), slice(1, 2)) + rectangle(6, 6, slice(4, 5), slice(3, 4), 2)
    (drawn,) = region(numbered(6, 6), masks, keep="crop", margin=0.0)
    assert [drawn[0, 0, 0], drawn[-1, -1, 0]] == [7, 27]


@pytest.mark.parametrize(("size", "left"), [(1, 24), (2, 21)])
def test_a_slip_of_a_network_does_not_widen_the_box(size: int, left: int) -> None:
    # A piece of 4 by 4 pixels, and of 1 or 2 pixels, a sixteenth or an eighth of it, to its left.
    masks = rectangle(10, 10, slice(2, 6), slice(4, 8)) + rectangle(10, 10, slice(2, 2 + size), slice(1, 2))
    (drawn,) = region(numbered(10, 10), masks, keep="crop", margin=0.0)
    assert [drawn[0, 0, 0], drawn[-1, -1, 0]] == [left, 57]


def test_what_is_outside_is_grey_and_what_is_inside_stays() -> None:
    (drawn,) = region(numbered(5, 5), SQUARE[None], keep="masked", margin=0.0)
    assert (drawn[SQUARE > 0] == numbered(5, 5)[0][SQUARE > 0]).all()
    assert (drawn[SQUARE == 0] == 128).all()


def test_a_margin_widens_the_foreground_all_around() -> None:
    (drawn,) = region(numbered(5, 5), rectangle(5, 5, slice(2, 3), slice(2, 3)), keep="masked", margin=0.2)
    assert (drawn[SQUARE > 0] == numbered(5, 5)[0][SQUARE > 0]).all()
    assert (drawn[SQUARE == 0] == 128).all()


@pytest.mark.parametrize("keep", ["crop", "masked"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_without_foreground_stays_as_it_is(keep: Any, channels: int) -> None:
    images = np.concatenate([numbered(5, 5, channels)] * 2)
    masks = np.stack([np.zeros((5, 5), np.uint8), SQUARE])
    empty, filled = region(images, masks, keep=keep, margin=0.0)
    assert (empty == numbered(5, 5)[0]).all()
    assert not np.array_equal(filled, empty)


@pytest.mark.parametrize("keep", ["crop", "masked"])
def test_a_foreground_that_is_everything_changes_nothing(keep: Any) -> None:
    (drawn,) = region(numbered(5, 6), np.ones((1, 5, 6), np.uint8), keep=keep, margin=0.3)
    assert (drawn == numbered(5, 6)[0]).all()


# -- shuffles ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(0, 99))
def test_no_mask_goes_to_its_own_group(groups: list[int], seed: int) -> None:
    if 2 * max(np.bincount(groups)) > len(groups):
        with pytest.raises(ValueError, match="one group"):
            shuffled(len(groups), seed, groups=np.array(groups))
        return
    permutation = shuffled(len(groups), seed, groups=np.array(groups))
    assert permutation.dtype == np.int64
    assert sorted(permutation) == list(range(len(groups)))
    assert (np.array(groups)[permutation] != np.array(groups)).all()


def test_groups_may_be_names_and_half_of_the_images() -> None:
    assert set(shuffled(4, 0, groups=["a", "a", "b", "c"])[:2]) == {2, 3}


def test_the_seed_alone_decides_and_every_image_can_get_every_other_mask() -> None:
    assert shuffled(50, 3).tolist() == shuffled(50, 3).tolist()
    drawn = np.stack([shuffled(4, seed) for seed in range(60)])
    assert [set(column) for column in drawn.T] == [{0, 1, 2, 3} - {image} for image in range(4)]


def test_one_image_has_nobody_to_exchange_with() -> None:
    assert shuffled(0, 0).tolist() == []
    with pytest.raises(ValueError, match="1 of 1 images"):
        shuffled(1, 0)


# -- the stage --------------------------------------------------------------------------------------------------------


TRUE = {"dataset": "spots", "masks": "spots", "variant": "true", "seed": 5}
OVERLAY = {**TRUE, "kind": "overlay", "style": "tint", "colour": [255, 0, 0], "opacity": 1.0, "width": 1}
SHUFFLED = {**OVERLAY, "variant": "shuffled"}


@pytest.fixture
def spots(tmp_path: Path) -> Path:
    """A prepared data set: 7 grey images, one pixel of foreground in each at its own place; 0 and 1 are look-alikes."""
    folder = tmp_path / "spots"
    folder.mkdir()
    masks = np.zeros((7, 4, 4), np.uint8)
    masks.reshape(7, 16)[range(7), range(7)] = 1
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 200, (7, 4, 4, 1), np.uint8))
    np.save(folder / "masks.npy", masks)
    np.save(folder / "histograms.npy", np.zeros((7, 256), np.uint32))
    names = [f"spot ({n})" for n in range(7)]
    pd.DataFrame({"id": names, "group": [names[0], *names[:1], *names[2:]]}).to_csv(folder / "index.csv", index=False)
    about = {"name": "spots", "title": "Spots", "classes": ["background", "spot"], "strata": [], "synthetic": True}
    about |= {"geometry": "stretch", "size": [4, 4], "channels": 1}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def written(settings: dict[str, Any], prepared: Path) -> np.ndarray:
    derive("drawn", settings, prepared, prepared, prepared.parent / "drawn")
    return np.load(prepared.parent / "drawn" / "images.npy")


@pytest.mark.parametrize("at_a_time", [2, 64])
def test_true_overlays_are_in_the_order_of_the_index(
    spots: Path, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "IMAGES_AT_A_TIME", at_a_time)
    drawn = written(OVERLAY, spots)
    masks = np.load(spots / "masks.npy") > 0
    assert (drawn[masks] == RED).all()
    assert (drawn[~masks] == np.load(spots / "images.npy")[~masks]).all()


def test_shuffled_overlays_carry_masks_of_others_and_no_look_alikes(spots: Path) -> None:
    drawn = written(SHUFFLED, spots)
    places = (drawn == RED).all(axis=-1).reshape(7, 16).argmax(axis=1)  # of an image's mask: the number of its owner
    assert sorted(places) == list(range(7))
    assert (places != np.arange(7)).all()
    assert not set(places[:2]) & {0, 1}


def test_masks_alone_are_written_too(spots: Path) -> None:
    drawn = written({**TRUE, "kind": "mask"}, spots)
    assert drawn.dtype == np.uint8
    assert (drawn == np.load(spots / "masks.npy")[..., None] * 255).all()


@pytest.mark.parametrize("variant", ["true", "shuffled"])
def test_regions_of_the_true_mask_or_of_anothers(spots: Path, variant: str) -> None:
    images = np.load(spots / "images.npy")[..., 0].reshape(7, 16)
    drawn = written({**TRUE, "variant": variant, "kind": "region", "keep": "masked", "margin": 0}, spots)
    kept = (drawn[..., 0] != 128).reshape(7, 16)
    assert kept.sum(axis=1).tolist() == [1] * 7
    owners = kept.argmax(axis=1)
    assert (owners == np.arange(7)).all() == (variant == "true")
    assert drawn[..., 0].reshape(7, 16)[range(7), owners].tolist() == images[range(7), owners].tolist()


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (OVERLAY, "the image with the annotator's mask: tint"),
        (SHUFFLED, "the image with another image's mask: tint"),
        ({**TRUE, "kind": "mask"}, "the annotator's mask alone, without the image"),
        (
            {**TRUE, "kind": "region", "keep": "crop", "margin": 0.1},
            "the image with the annotator's mask: the region that it covers (crop)",
        ),
    ],
)
def test_a_derived_data_set_says_what_it_is(spots: Path, settings: dict[str, Any], note: str) -> None:
    written(settings, spots)
    assert sorted(path.name for path in (spots.parent / "drawn").iterdir()) == ["dataset.json", "images.npy"]
    assert json.loads((spots.parent / "drawn" / "dataset.json").read_text()) == {
        **{"name": "drawn", "title": f"Spots, {note}", "derived_from": "spots", "settings": settings},
        **{"synthetic": True, "note": note},
    }


def test_the_same_settings_write_the_same_images(spots: Path) -> None:
    first = written(SHUFFLED, spots)
    assert np.array_equal(first, written(SHUFFLED, spots))
    assert not np.array_equal(first, written(SHUFFLED | {"seed": 6}, spots))


def without_masks(prepared: Path) -> None:
    (prepared / "masks.npy").unlink()


def all_look_alikes(prepared: Path) -> None:
    index = pd.read_csv(prepared / "index.csv")
    index.assign(group="spot (0)").to_csv(prepared / "index.csv", index=False)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (without_masks, r"derived\.drawn\.dataset: .*spots has no masks"),
        (all_look_alikes, r"derived\.drawn\.variant: .*7 of 7"),
    ],
)
def test_what_cannot_be_built_is_one_sentence_and_keeps_what_was_there(
    spots: Path, fault: Callable[[Path], None], words: str
) -> None:
    before = written(OVERLAY, spots)
    fault(spots)
    with pytest.raises(BakeoffError, match=words):
        written(SHUFFLED, spots)
    assert np.array_equal(np.load(spots.parent / "drawn" / "images.npy"), before)
    assert sorted(path.name for path in spots.parent.iterdir()) == ["drawn", "spots"]


# Void is no region, and without a background the first class is one.


def test_void_is_not_drawn_and_without_a_background_every_class_is() -> None:
    mask = np.array([[VOID, 0, 0, 1], [VOID, 0, 0, 1], [VOID, 0, 0, 1]], np.uint8)
    assert inner_edge(mask, 1).tolist() == [[False, False, False, True]] * 3
    assert inner_edge(mask, 1, background=None).tolist() == [[False, True, True, True]] * 3
    image = np.full((1, 3, 4, 1), 100, np.uint8)
    tint: dict[str, Any] = {"style": "tint", "colour": (0, 0, 0), "opacity": 1.0, "width": 1}
    assert (overlay(image, mask[None], **tint)[0, ..., 0] == 0).tolist() == [[False, False, False, True]] * 3
    assert (overlay(image, mask[None], **tint, background=None)[0, ..., 0] == 0).tolist() == [
        [False, True, True, True]
    ] * 3
    assert mask_only(mask[None], 3)[0, 0, :, 0].tolist() == [0, 0, 0, 128]
    kept = region(image, mask[None], keep="masked", margin=0.0)
    assert (kept[0, ..., 0] == OUTSIDE).tolist() == [[True, True, True, False]] * 3
    void = np.full((1, 3, 4), VOID, np.uint8)
    assert np.array_equal(region(image, void, keep="crop", margin=0.0), np.repeat(image, 3, axis=-1))
