"""What the audit calls a duplicate, a near-duplicate and an unusual size."""

from dataclasses import replace
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
import pytest
from bakeoff.datasets.archives.records import Finding, Member, Record
from bakeoff.datasets.preparation.audit import (
    NearPair,
    duplicate_findings,
    exact_duplicates,
    groups,
    near_duplicates,
    near_findings,
    odd_sizes,
    perceptual_hash,
    thumbnail,
    write_audit,
)
from bakeoff.datasets.sources.lungs.synthetic import LOOKS, draw
from PIL import Image


def chest(seed: int) -> np.ndarray:
    picture, _ = draw(np.random.default_rng(seed), 192, 0, LOOKS["CHNCXR"])
    return cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA)


def near_pairs(pictures: list[np.ndarray], distance: int = 6) -> set[tuple[int, int]]:
    pairs = near_duplicates(
        [perceptual_hash(p) for p in pictures], np.stack([thumbnail(p) for p in pictures]), distance
    )
    return {(pair.first, pair.second) for pair in pairs}


def record(name: str, label: str = "normal") -> Record:
    return Record(id=name, image=Member("a.zip", f"{name}.png"), labels={"diagnosis": label})


@pytest.fixture(scope="module")
def chests() -> list[np.ndarray]:
    return [chest(seed) for seed in range(24)]


def test_the_hash_is_imagehashs() -> None:
    picture = chest(0)
    assert f"{perceptual_hash(picture):016x}" == str(imagehash.phash(Image.fromarray(picture)))


@pytest.mark.parametrize(
    "copy",
    [
        lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE),
        lambda p: np.clip(p + np.random.default_rng(0).normal(5, 6, p.shape), 0, 255).astype(np.uint8),
        lambda p: (255 * (p / 255) ** 0.85).astype(np.uint8),
        lambda p: cv2.resize(cv2.resize(p, (64, 64), interpolation=cv2.INTER_AREA), (128, 128)),
    ],
    ids=["jpeg", "noise", "exposure", "resolution"],
)
def test_a_copy_is_found_and_unrelated_chests_are_not(chests: list[np.ndarray], copy) -> None:  # type: ignore[no-untyped-def]
    assert near_pairs([*chests, copy(chests[3])]) == {(3, len(chests))}


def test_close_hashes_alone_do_not_make_a_pair(chests: list[np.ndarray]) -> None:
    thumbnails = np.stack([thumbnail(p) for p in chests])
    assert near_duplicates([0] * len(chests), thumbnails, 0) == []


def test_the_distance_is_a_limit_in_bits(chests: list[np.ndarray]) -> None:
    thumbnails = np.stack([thumbnail(p) for p in [*chests[:5], chests[4]]])
    hashes = [1 << 60, 1 << 50, 1 << 40, 1 << 30, 0, 0b1111]
    assert near_duplicates(hashes, thumbnails, 3) == []
    (pair,) = near_duplicates(hashes, thumbnails, 4)
    assert pair[:3] == (4, 5, 4)
    assert pair.correlation == pytest.approx(1)


def test_pairs_are_found_across_blocks_of_hashes(chests: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.datasets.preparation.audit.HASHES_AT_A_TIME", 5)
    assert near_pairs([*chests, chests[1], chests[23]]) == {(1, 24), (23, 25)}


def test_frames_of_a_camera_that_does_not_move_are_near_duplicates() -> None:
    scene = chest(0).astype(float)
    rng = np.random.default_rng(0)
    frames = [scene + rng.normal(0, 3, scene.shape) for _ in range(24)]
    for number, frame in enumerate(frames):  # something small passes through
        frame[60:66, 4 * number : 4 * number + 6] += 60
    found = near_pairs([np.clip(frame, 0, 255).astype(np.uint8) for frame in frames])
    assert {(number, number + 1) for number in range(23)} <= found


def test_two_pictures_or_one_or_none_are_compared_too(chests: list[np.ndarray]) -> None:
    assert near_pairs([chests[0], chests[0]]) == {(0, 1)}
    assert near_pairs([chests[0]]) == set()
    assert near_duplicates([], np.empty((0, 32, 32), np.uint8), 6) == []


def test_pairs_chain_into_groups_named_by_their_first() -> None:
    pairs = [NearPair(1, 3, 0, 1.0), NearPair(3, 4, 0, 1.0)]
    records = [Record(str(number), Member("a.zip", str(number))) for number in range(6)]
    assert groups(records, pairs).tolist() == [0, 1, 2, 1, 1, 5]
    assert groups(records[:2], []).tolist() == [0, 1]
    patients = [replace(record, group=group) for record, group in zip(records, "pqpq", strict=False)]
    assert groups([*patients, *records[4:]], pairs[1:]).tolist() == [0, 1, 0, 1, 1, 5]


def test_exact_duplicates_are_rows_of_one_digest() -> None:
    assert exact_duplicates({0: b"a", 2: b"b", 5: b"a", 7: b"a"}) == [[0, 5, 7]]


def test_all_but_the_first_of_the_same_pictures_are_dropped() -> None:
    records = [record("x"), record("y"), record("z")]
    masks = np.zeros((3, 2, 2), np.uint8)
    masks[2] = 1
    found = duplicate_findings(records, {0: b"a", 1: b"a", 2: b"a"}, masks, ["diagnosis"])
    assert found == {
        1: Finding("y.png", "exact duplicate", "dropped", "the same pixels as x.png"),
        2: Finding("z.png", "exact duplicate", "dropped", "the same pixels as x.png, with another mask"),
    }


def test_a_data_set_without_masks_has_duplicates_too() -> None:
    found = duplicate_findings([record("x"), record("y")], {0: b"a", 1: b"a"}, None, ["diagnosis"])
    assert found == {1: Finding("y.png", "exact duplicate", "dropped", "the same pixels as x.png")}


def test_the_same_pictures_with_contradicting_labels_are_all_dropped() -> None:
    records = [record("x"), record("y", "tuberculosis"), record("z")]
    found = duplicate_findings(records, {0: b"a", 1: b"a", 2: b"c"}, np.zeros((3, 2, 2), np.uint8), ["diagnosis"])
    assert sorted(found) == [0, 1]
    assert found[0] == Finding(
        "x.png", "contradicting duplicate", "dropped", "the same pixels carry the labels normal; tuberculosis"
    )


@pytest.mark.parametrize("targets", [[], ["diagnosis"]])
def test_labels_that_nobody_learns_contradict_nothing(targets: list[str]) -> None:
    labels = {"diagnosis": "normal", "hospital": "shenzhen"}
    records = [replace(record("x"), labels=labels), replace(record("y"), labels=labels | {"hospital": "montgomery"})]
    assert [f.finding for f in duplicate_findings(records, {0: b"a", 1: b"a"}, None, targets).values()] == [
        "exact duplicate"
    ]
    (near,) = near_findings(records, [NearPair(0, 1, 2, 0.99)], targets)
    assert near.finding == "near-duplicate"


def test_near_duplicates_are_kept_and_contradicting_ones_are_named_so() -> None:
    records = [record("x"), record("y"), record("z", "tuberculosis")]
    pairs = [NearPair(0, 1, 2, 0.98765), NearPair(0, 2, 4, 0.95)]
    assert near_findings(records, pairs, ["diagnosis"]) == [
        Finding(
            "y.png",
            "near-duplicate",
            "kept",
            "near-duplicate of x.png: 2 of 64 hash bits differ, correlation 0.988; grouped splits keep them together",
        ),
        Finding(
            "z.png",
            "contradicting near-duplicate",
            "kept",
            "near-duplicate of x.png, labelled tuberculosis instead of normal: 4 of 64 hash bits differ, "
            "correlation 0.950; grouped splits keep them together",
        ),
    ]


def test_a_panorama_and_a_stamp_are_odd_sizes() -> None:
    heights = np.array([100, 110, 95, 100, 20, 100])
    widths = np.array([100, 105, 120, 310, 20, 199])
    assert odd_sizes(heights, widths).tolist() == [False, False, False, True, True, False]


def test_the_audit_is_a_table_even_when_nothing_was_found(tmp_path: Path) -> None:
    write_audit(tmp_path / "audit.csv", [])
    assert pd.read_csv(tmp_path / "audit.csv").columns.tolist() == ["file", "finding", "consequence", "detail"]
