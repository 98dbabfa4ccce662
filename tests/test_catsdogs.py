"""Cats and dogs: what the file names say, what the broken files come to, and what the synthetic ones look like."""

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.datasets.archives.records import Finding, Member, Record
from bakeoff.datasets.preparation.decode import Undecodable, decode
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.sources import catsdogs
from bakeoff.datasets.sources.catsdogs import synthetic
from PIL import Image
from skimage.feature import hog
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

ARCHIVE = catsdogs.FILES[0].name
STRAY = ("stray file", "dropped", "neither Cat/N.jpg nor Dog/N.jpg")


def archive_of(folder: Path, *names: str) -> Path:
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return folder


def prepared_from(raw: Path, folder: Path, *, synthetic: bool, size: int) -> tuple[Path, pd.DataFrame]:
    (raw / "source.json").write_text(json.dumps({"files": [{"official": False}], "synthetic": synthetic}))
    prepare("catsdogs", "catsdogs", raw, folder, size=size, distance=6)
    return folder, pd.read_csv(folder / "audit.csv", keep_default_na=False)


# -- names ------------------------------------------------------------------------------------------------------------


def test_folders_give_the_class_and_the_id_is_unique_over_both(tmp_path: Path) -> None:
    names = ["PetImages/Dog/0.jpg", "PetImages/Cat/12499.jpg", "PetImages/Cat/0.jpg", "PetImages/Cat/"]
    listing = catsdogs.listing(archive_of(tmp_path, *names))
    assert listing.records == [
        Record("cat-00000", Member(ARCHIVE, "PetImages/Cat/0.jpg"), labels={"class": "cat"}),
        Record("cat-12499", Member(ARCHIVE, "PetImages/Cat/12499.jpg"), labels={"class": "cat"}),
        Record("dog-00000", Member(ARCHIVE, "PetImages/Dog/0.jpg"), labels={"class": "dog"}),
    ]
    assert (listing.findings, listing.listed) == ([], 3)


@pytest.mark.parametrize(
    "name",
    [
        "PetImages/Cat/Thumbs.db",
        "readme[1].txt",
        "MSR-LA - 3467.docx",
        "PetImages/Cat/00.jpg",
        "PetImages/Cat/1.jpg.bak",
        "PetImages/Cat/\u0661.jpg",
        "PetImages/Bird/1.jpg",
        "PetImages/Cat/more/1.jpg",
        "__MACOSX/PetImages/Cat/._1.jpg",
    ],
)
def test_any_other_file_is_a_stray(tmp_path: Path, name: str) -> None:
    listing = catsdogs.listing(archive_of(tmp_path, "PetImages/Cat/1.jpg", name))
    assert [record.id for record in listing.records] == ["cat-00001"]
    assert listing.findings == [Finding(name, *STRAY)]


def test_there_are_no_masks() -> None:
    assert catsdogs.CLASSES == ()
    with pytest.raises(ValueError, match="no masks"):
        catsdogs.classes_of(np.zeros((2, 2), np.uint8))


def test_provenance_is_plain_text() -> None:
    assert catsdogs.FILES[0].urls[0].startswith("https://")
    published = catsdogs.PUBLISHED
    assert published["listed"] == sum(published["labels"]["class"].values())
    json.dumps([catsdogs.TITLE, catsdogs.TARGETS, catsdogs.STRATA, published, catsdogs.LICENCE, catsdogs.CITATION])


# -- broken files -----------------------------------------------------------------------------------------------------


def jpeg(seed: int = 0, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("kept", [0, 2, 100, 700, 3000, -500, -100])
def test_a_jpeg_cut_anywhere_is_refused(kept: int, progressive: bool) -> None:
    with pytest.raises(Undecodable):
        decode(jpeg(progressive=progressive)[:kept], 3)


def test_a_jpeg_without_jfif_is_read_like_any_other() -> None:
    bare = synthetic._without_jfif(jpeg())
    assert b"JFIF" in jpeg()
    assert b"JFIF" not in bare
    assert np.array_equal(decode(bare, 3).pixels, decode(jpeg(), 3).pixels)


# -- the synthetic archive --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write(folder, images=60, size=96, seed=11)
    return folder


def test_the_same_seed_draws_the_same_bytes_and_another_one_others(drawn: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 11), ("other", 12)):
        (tmp_path / name).mkdir()
        synthetic.write(tmp_path / name, images=60, size=96, seed=seed)
    first, same, other = (folder / ARCHIVE for folder in (drawn, tmp_path / "same", tmp_path / "other"))
    assert first.read_bytes() == same.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    assert [path.name for path in (tmp_path / "same").iterdir()] == [ARCHIVE]


@pytest.mark.parametrize("images", [24, 31])
def test_as_many_pictures_as_asked_for_half_of_them_cats_and_the_broken_names_among_them(
    images: int, tmp_path: Path
) -> None:
    synthetic.write(tmp_path, images=images, size=48, seed=0)
    listing = catsdogs.listing(tmp_path)
    labels = [record.labels["class"] for record in listing.records]
    assert listing.listed == images
    assert (labels.count("cat"), labels.count("dog")) == (images - images // 2, images // 2)
    assert {"cat-00000", "cat-00666", "dog-00000", "dog-11702"} <= {record.id for record in listing.records}
    assert listing.findings == [Finding(name, *STRAY) for name in synthetic.STRAYS]


def test_numbers_run_from_0_and_the_broken_one_is_among_them() -> None:
    assert synthetic._numbers(4, 666) == [0, 1, 2, 666]
    assert synthetic._numbers(4, 3) == [0, 1, 2, 3]


def test_too_few_pictures_for_the_faults_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images is 23"):
        synthetic.write(tmp_path, images=23, size=48, seed=0)


def test_sides_stay_within_the_size_asked_for_and_differ(drawn: Path) -> None:
    with zipfile.ZipFile(drawn / ARCHIVE) as archive:
        names = [record.image.name for record in catsdogs.listing(drawn).records]
        data = [archive.read(name) for name in names]
    sizes = {Image.open(io.BytesIO(content)).size for content in data if content}
    assert max(map(max, sizes)) <= 96
    assert len(sizes) > 30


def test_every_planted_fault_is_found_and_has_its_consequence(drawn: Path, tmp_path: Path) -> None:
    folder, audit = prepared_from(drawn, tmp_path / "prepared", synthetic=True, size=32)
    rows = audit[["file", "finding", "consequence"]].to_numpy().tolist()
    assert sorted(map(tuple, rows)) == [
        ("MSR-LA - 3467.docx", "stray file", "dropped"),
        ("PetImages/Cat/2.jpg", "wrong mode", "converted"),
        ("PetImages/Cat/5.jpg", "contradicting duplicate", "dropped"),
        ("PetImages/Cat/666.jpg", "unreadable", "dropped"),
        ("PetImages/Cat/7.jpg", "exact duplicate", "dropped"),
        ("PetImages/Cat/9.jpg", "near-duplicate", "kept"),
        ("PetImages/Cat/Thumbs.db", "stray file", "dropped"),
        ("PetImages/Dog/11702.jpg", "unreadable", "dropped"),
        ("PetImages/Dog/2.jpg", "wrong mode", "converted"),
        ("PetImages/Dog/5.jpg", "contradicting duplicate", "dropped"),
        ("PetImages/Dog/9.jpg", "near-duplicate", "kept"),
        ("PetImages/Dog/Thumbs.db", "stray file", "dropped"),
        ("readme[1].txt", "stray file", "dropped"),
    ]
    prepared = open_prepared(folder)
    assert (prepared.images.shape, prepared.images.dtype) == ((55, 32, 32, 3), np.uint8)
    assert not (folder / "masks.npy").exists()
    # A GIF, a PNG and a BMP that are called .jpg, and a JPEG that opens with Exif, are pictures like the others.
    assert {"cat-00002", "cat-00003", "dog-00003", "dog-00001"} <= set(prepared.index["id"])
    assert prepared.about["counts"]["by_label"] == {"class": {"cat": 27, "dog": 28}}


def test_files_are_of_the_kinds_that_the_faults_say(drawn: Path) -> None:
    with zipfile.ZipFile(drawn / ARCHIVE) as archive:
        starts = {key: archive.read(f"PetImages/{key[0]}/{key[1]}.jpg")[:12] for key in synthetic.FORMATS}
    assert starts["Cat", 2].startswith(b"GIF8")
    assert starts["Cat", 3].startswith(b"\x89PNG")
    assert starts["Dog", 3].startswith(b"BM")
    assert starts["Dog", 2].startswith(b"\xff\xd8\xff\xe0")
    assert starts["Dog", 1].startswith(b"\xff\xd8\xff\xe1")
    assert starts["Dog", 1].endswith(b"Exif\0\0")


def test_anatomy_tells_them_apart_and_colour_does_not() -> None:
    pictures, labels = [], []
    for number in range(120):
        for label, species in enumerate(("cat", "dog")):
            picture = synthetic.draw(np.random.default_rng([4, label, number]), species, 64)
            pictures.append(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA))
            labels.append(label)
    colours = [cv2.calcHist([picture], [0, 1, 2], None, [6] * 3, [0, 256] * 3).ravel() for picture in pictures]
    outlines = [hog(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), pixels_per_cell=(8, 8)) for picture in pictures]

    def accuracy(features: list[np.ndarray]) -> float:
        return cross_val_score(make_pipeline(StandardScaler(), SVC()), np.array(features), labels, cv=5).mean()

    assert accuracy(colours) < 0.65
    assert 0.7 < accuracy(outlines) < 0.95  # room for a network


# -- the real ones ----------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_real_photographs(mirror: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / ARCHIVE).symlink_to(mirror / ARCHIVE)
    folder, audit = prepared_from(raw, tmp_path / "prepared", synthetic=False, size=64)
    dropped = audit[audit["consequence"] == "dropped"]
    assert dropped[["file", "finding"]].to_numpy().tolist() == [
        ["PetImages/Cat/Thumbs.db", "stray file"],
        ["PetImages/Cat/666.jpg", "unreadable"],
        ["PetImages/Dog/11702.jpg", "unreadable"],
    ]
    assert audit.loc[audit["finding"] == "unexpected count", "detail"].tolist() == [
        "842 images are listed, 25000 were published",
        "421 images have class cat, 12500 were published",
        "421 images have class dog, 12500 were published",
    ]
    assert audit.loc[audit["finding"] == "near-duplicate", "file"].tolist() == ["PetImages/Dog/180.jpg"]
    counts = open_prepared(folder).about["counts"]
    assert (counts["listed"], counts["used"], counts["dropped"]) == (842, 840, 2)
    assert counts["by_label"] == {"class": {"cat": 420, "dog": 420}}
