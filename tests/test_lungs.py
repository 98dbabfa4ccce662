"""The lungs: what the file names say, and what the synthetic ones look like."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bakeoff.datasets.archives.records import Finding, Member
from bakeoff.datasets.sources import lungs
from bakeoff.datasets.sources.lungs import synthetic
from PIL import Image
from skimage.filters import threshold_otsu

ARCHIVE = lungs.FILES[0].name


def archive_of(folder: Path, *names: str) -> Path:
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return folder


def test_names_give_the_mask_the_hospital_and_the_diagnosis(tmp_path: Path) -> None:
    images, masks = lungs.IMAGES, lungs.MASKS
    raw = archive_of(
        tmp_path,
        f"{images}MCUCXR_0001_0.png",
        f"{images}CHNCXR_0002_1.png",
        f"{masks}MCUCXR_0001_0.png",
        f"{masks}CHNCXR_0002_1_mask.png",
    )
    shenzhen, montgomery = lungs.listing(raw).records
    assert shenzhen.id == "CHNCXR_0002_1"
    assert shenzhen.image == Member(ARCHIVE, f"{images}CHNCXR_0002_1.png")
    assert shenzhen.masks == (Member(ARCHIVE, f"{masks}CHNCXR_0002_1_mask.png"),)
    assert shenzhen.labels == {"hospital": "shenzhen", "diagnosis": "tuberculosis"}
    assert montgomery.labels == {"hospital": "montgomery", "diagnosis": "normal"}
    assert montgomery.masks == (Member(ARCHIVE, f"{masks}MCUCXR_0001_0.png"),)


def test_what_has_no_partner_or_no_name_is_a_finding(tmp_path: Path) -> None:
    images, masks = lungs.IMAGES, lungs.MASKS
    raw = archive_of(
        tmp_path,
        f"{images}CHNCXR_0001_0.png",
        f"{images}Thumbs.db",
        f"{masks}CHNCXR_0009_1_mask.png",
        "Lung Segmentation/CXR_png/CHNCXR_0005_0.png",
        "data/Lung Segmentation/ClinicalReadings/CHNCXR_0001_0.txt",
    )
    listing = lungs.listing(raw)
    assert (listing.records, listing.listed) == ([], 1)
    assert [(finding.file, finding.finding, finding.consequence) for finding in listing.findings] == [
        (f"{images}Thumbs.db", "stray file", "dropped"),
        (f"{images}CHNCXR_0001_0.png", "missing mask", "dropped"),
        (f"{masks}CHNCXR_0009_1_mask.png", "mask without image", "dropped"),
    ]
    assert all(isinstance(finding, Finding) for finding in listing.findings)


def test_mask_levels_become_classes() -> None:
    assert lungs.classes_of(np.array([[0, 1, 127, 128, 255]], np.uint8)).tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.real
def test_the_real_archive_lists_what_was_published(mirror: Path) -> None:
    listing = lungs.listing(mirror)
    assert listing.listed == lungs.PUBLISHED["listed"] == 800
    assert Counter(record.labels["hospital"] for record in listing.records) == lungs.PUBLISHED["labels"]["hospital"]
    assert len(listing.records) == 704
    missing = [finding for finding in listing.findings if finding.finding == "missing mask"]
    assert len(missing) == len(listing.findings) == 96
    assert all("CHNCXR" in finding.file for finding in missing)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write(folder, images=60, size=128, seed=11)
    return folder


def pictures(folder: Path) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """Hospital, diagnosis, image and mask of every synthetic X-ray that is whole, grey and 8 bits deep."""
    found = []
    with zipfile.ZipFile(folder / ARCHIVE) as archive:
        for record in lungs.listing(folder).records:
            try:
                image = Image.open(io.BytesIO(archive.read(record.image.name)))
                image.load()
            except OSError:
                continue
            mask = np.asarray(Image.open(io.BytesIO(archive.read(record.masks[0].name))))
            if image.mode == "L" and mask.any() and image.width < 2 * image.height:
                found.append((*record.labels.values(), np.asarray(image), mask > 0))
    return found


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.sum(first & second) / (first.sum() + second.sum())


def test_the_same_seed_draws_the_same_bytes_and_another_one_others(drawn: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 11), ("other", 12)):
        (tmp_path / name).mkdir()
        synthetic.write(tmp_path / name, images=60, size=128, seed=seed)
    first, same, other = (folder / ARCHIVE for folder in (drawn, tmp_path / "same", tmp_path / "other"))
    assert first.read_bytes() == same.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    assert [path.name for path in drawn.iterdir()] == [ARCHIVE]


@pytest.mark.parametrize("images", [20, 33, 60])
def test_as_many_x_rays_as_asked_for_a_fifth_of_them_montgomerys(images: int, tmp_path: Path) -> None:
    synthetic.write(tmp_path, images=images, size=64, seed=0)
    listing = lungs.listing(tmp_path)
    assert listing.listed == images
    kinds = [tuple(record.labels.values()) for record in listing.records]
    assert sum(hospital == "montgomery" for hospital, _ in kinds) == max(4, round(images / 5))
    assert len(set(kinds)) == 4
    assert {finding.finding for finding in listing.findings} == {"missing mask"}


def test_masks_are_two_lungs_on_images_that_are_not_square(drawn: Path) -> None:
    for _, _, image, mask in pictures(drawn):
        assert image.shape == mask.shape
        assert image.shape[0] != image.shape[1]
        assert 0.1 < mask.mean() < 0.4
        middle = mask.shape[1] // 2
        assert min(mask[:, :middle].mean(), mask[:, middle:].mean()) > 0.05


def test_otsu_is_mediocre_whichever_side_of_it_is_lung(drawn: Path) -> None:
    scores = []
    for _, _, image, mask in pictures(drawn):
        bright = image > threshold_otsu(image)
        scores.append((dice(~bright, mask), dice(bright, mask)))
    assert 0.2 < max(np.mean(scores, axis=0)) < 0.5  # .36 and .27 on the real X-rays
    assert 0.3 < np.mean(np.max(scores, axis=1)) < 0.65


def test_the_hospitals_look_different(drawn: Path) -> None:
    def median_of(hospital: str, value) -> float:  # type: ignore[no-untyped-def]
        return float(np.median([value(image, mask) for name, _, image, mask in pictures(drawn) if name == hospital]))

    def frame(image: np.ndarray, _: np.ndarray) -> float:
        return float(np.concatenate([image[:2].ravel(), image[:, :2].ravel()]).mean())

    def grain(image: np.ndarray, mask: np.ndarray) -> float:
        return float(np.diff(image.astype(float), n=2)[mask[:, 1:-1]].std())

    assert median_of("montgomery", frame) == 0 < median_of("shenzhen", frame)
    assert median_of("montgomery", grain) > 1.5 * median_of("shenzhen", grain)


def test_tuberculosis_brightens_lungs() -> None:
    def lung_level(diagnosis: int, seed: int) -> float:
        image, mask = synthetic.draw(np.random.default_rng(seed), 96, diagnosis, synthetic.LOOKS["CHNCXR"])
        return float(image[mask > 0].mean())

    levels = np.array([[lung_level(diagnosis, seed) for diagnosis in (0, 1)] for seed in range(20)])
    assert levels[:, 1].mean() > levels[:, 0].mean() + 3


def test_provenance_is_plain_text() -> None:
    file = lungs.FILES[0]
    assert file.urls[0].startswith("https://")
    assert set(lungs.STRATA) | set(lungs.TARGETS) <= {"hospital", "diagnosis"}
    json.dumps(
        [lungs.TITLE, lungs.CLASSES, lungs.TARGETS, lungs.STRATA, lungs.PUBLISHED, lungs.LICENCE, lungs.CITATION]
    )
