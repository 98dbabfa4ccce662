"""Bad input: each is handled or refused in one sentence that names it, on archives in the layouts of the real ones."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Prepared, open_prepared
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.sources import catsdogs, lungs, pets, ultrasound
from conftest import large_png
from PIL import Image

HEIGHT, WIDTH, SIZE = 40, 50, 16
TRIMAPS, LISTS = "annotations/trimaps/", ("list", "trainval", "test")
BUSI = ultrasound.FOLDER


# -- archives ---------------------------------------------------------------------------------------------------------


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), np.uint8)


def photograph(seed: int) -> bytes:
    return encoded(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), "JPEG")


def square(height: int = HEIGHT, width: int = WIDTH, *, inside: int = 255, outside: int = 0) -> np.ndarray:
    mask = np.full((height, width), outside, np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = inside
    return mask


def zip_of(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def tar_of(path: Path, members: Mapping[str, bytes]) -> None:
    with gzip.open(path, "wb") as plain, tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def x_rays() -> dict[str, bytes]:
    """Four X-rays with their masks, by the members' names."""
    members = {}
    for number in range(4):
        id_ = f"CHNCXR_{number:04d}_{number % 2}"
        members[f"{lungs.IMAGES}{id_}.png"] = encoded(grey(number))
        members[f"{lungs.MASKS}{id_}_mask.png"] = encoded(square())
    return members


def photographs() -> dict[str, bytes]:
    """Two cats and two dogs."""
    return {f"PetImages/{kind}/{number}.jpg": photograph(number + 2 * (kind == "Dog"))
            for kind in ("Cat", "Dog") for number in range(2)}  # fmt: skip


def scans() -> dict[str, bytes]:
    """Two benign lesions and a malignant one, with their masks, and a breast without lesion."""
    ids = ("benign (1)", "benign (2)", "malignant (1)", "normal (1)")
    members = {}
    for seed, id_ in enumerate(ids):
        stem = f"{BUSI}{id_.split()[0]}/{id_}"
        members[f"{stem}.png"] = encoded(grey(seed))
        members[f"{stem}_mask.png"] = encoded(square(inside=0 if id_ == "normal (1)" else 255))
    return members


def pet_ids() -> list[str]:
    return [f"{breed}_{number}" for breed in ("Abyssinian", "beagle") for number in (1, 2)]


def pet_pictures() -> dict[str, bytes]:
    return {f"images/{id_}.jpg": photograph(seed) for seed, id_ in enumerate(pet_ids())}


def pet_annotations() -> dict[str, bytes]:
    """Trimaps of four pets and the lists, the first of each breed for training."""
    members = {f"{TRIMAPS}{id_}.png": encoded(square(inside=1, outside=2)) for id_ in pet_ids()}
    lines = {id_: f"{id_} {pets.codes_of(id_.rpartition('_')[0])}\n" for id_ in pet_ids()}
    numbered = {"list": "12", "trainval": "1", "test": "2"}
    texts = {name: "".join(line for id_, line in lines.items() if id_[-1] in numbered[name]) for name in LISTS}
    return members | {f"annotations/{name}.txt": text.encode() for name, text in texts.items()}


def raw_of(
    folder: Path, archives: Mapping[str, Mapping[str, bytes]], *, synthetic: bool = True, official: bool = False
) -> Path:
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for name, members in archives.items():
        (zip_of if name.endswith(".zip") else tar_of)(raw / name, members)
    files = [{"name": name, "official": official} for name in archives]
    (raw / "source.json").write_text(json.dumps({"files": files, "synthetic": synthetic}))
    return raw


def prepared_from(source: str, raw: Path) -> tuple[Prepared, list[list[str]]]:
    """The prepared data set, and its audit: file, finding, consequence, detail."""
    folder = raw.parent / "prepared"
    prepare(source, source, raw, folder, size=SIZE, distance=0)
    audit = pd.read_csv(folder / "audit.csv", keep_default_na=False)
    return open_prepared(folder), audit.to_numpy().tolist()


def from_zip(source: str, tmp_path: Path, members: Mapping[str, bytes]) -> tuple[Prepared, list[list[str]]]:
    archive = {"lungs": lungs, "catsdogs": catsdogs, "ultrasound": ultrasound}[source].FILES[0].name
    return prepared_from(source, raw_of(tmp_path, {archive: members}))


def from_tars(
    tmp_path: Path, pictures: Mapping[str, bytes], annotations: Mapping[str, bytes]
) -> tuple[Prepared, list[list[str]]]:
    names = [file.name for file in pets.FILES]
    return prepared_from("pets", raw_of(tmp_path, dict(zip(names, (pictures, annotations), strict=True))))


def without(members: Mapping[str, bytes], *names: str) -> dict[str, bytes]:
    assert set(names) <= members.keys()
    return {name: content for name, content in members.items() if name not in names}


def ids(prepared: Prepared) -> list[str]:
    return prepared.index["id"].tolist()


def assert_one_sentence(error: pytest.ExceptionInfo[BakeoffError], *names: str) -> None:
    message = str(error.value)
    assert all(name in message for name in names), message
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("source", "members", "count"), [("lungs", x_rays, 4), ("catsdogs", photographs, 4), ("ultrasound", scans, 4)]
)
def test_the_archives_below_are_faultless_but_for_what_is_planted(source, members, count, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    prepared, audit = from_zip(source, tmp_path, members())
    assert (len(prepared.index), audit) == (count, [])


def test_and_so_are_the_pets(tmp_path: Path) -> None:
    prepared, audit = from_tars(tmp_path, pet_pictures(), pet_annotations())
    assert (ids(prepared), audit) == (sorted(pet_ids()), [])


# -- missing members --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_an_archive_without_a_member_that_all_depends_on_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError) as error:
        from_tars(tmp_path, pet_pictures(), without(pet_annotations(), f"annotations/{name}.txt"))
    assert_one_sentence(error, "annotations.tar.gz", f"annotations/{name}.txt")
    assert not (tmp_path / "prepared").exists()


def test_an_image_that_a_list_names_and_the_archive_lacks_is_dropped(tmp_path: Path) -> None:
    prepared, audit = from_tars(
        tmp_path, without(pet_pictures(), "images/beagle_2.jpg"), without(pet_annotations(), f"{TRIMAPS}beagle_2.png")
    )
    assert ids(prepared) == ["Abyssinian_1", "Abyssinian_2", "beagle_1"]
    assert audit == [["images/beagle_2.jpg", "missing member", "dropped", "a list names it"]]


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, {"images.tar.gz": pet_pictures()})
    with pytest.raises(BakeoffError) as error:
        prepared_from("pets", raw)
    assert_one_sentence(error, "annotations.tar.gz", "dvc repro")


def test_an_archive_without_any_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError) as error:
        from_zip("catsdogs", tmp_path, {"readme[1].txt": b""})
    assert_one_sentence(error, str(tmp_path / "raw"), catsdogs.TITLE)


# -- images and masks that do not belong together ---------------------------------------------------------------------


def test_a_mask_without_image_is_dropped(tmp_path: Path) -> None:
    prepared, audit = from_zip("lungs", tmp_path, without(x_rays(), f"{lungs.IMAGES}CHNCXR_0001_1.png"))
    assert ids(prepared) == ["CHNCXR_0000_0", "CHNCXR_0002_0", "CHNCXR_0003_1"]
    mask = f"{lungs.MASKS}CHNCXR_0001_1_mask.png"
    assert audit == [[mask, "mask without image", "dropped", "the archive has no image 'CHNCXR_0001_1'"]]


def test_an_image_without_the_mask_it_needs_is_dropped(tmp_path: Path) -> None:
    prepared, audit = from_zip("ultrasound", tmp_path, without(scans(), f"{BUSI}benign/benign (2)_mask.png"))
    assert ids(prepared) == ["benign (1)", "malignant (1)", "normal (1)"]
    assert [row[:3] for row in audit] == [[f"{BUSI}benign/benign (2).png", "missing mask", "dropped"]]


@pytest.mark.parametrize(
    ("shape", "consequence"),
    [((2 * HEIGHT, 2 * WIDTH), "converted"), ((WIDTH, HEIGHT), "dropped")],
    ids=["other resolution", "other shape"],
)
def test_a_mask_of_another_size_is_stretched_if_its_shape_allows(
    shape: tuple[int, int], consequence: str, tmp_path: Path
) -> None:
    trimap = f"{TRIMAPS}beagle_1.png"
    annotations = pet_annotations() | {trimap: encoded(square(*shape, inside=1, outside=2))}
    prepared, audit = from_tars(tmp_path, pet_pictures(), annotations)
    detail = f"the mask has {shape[1]} x {shape[0]} pixels, the image {WIDTH} x {HEIGHT}"
    assert audit == [[trimap, "size mismatch", consequence, detail]]
    assert ("beagle_1" in ids(prepared)) == (consequence == "converted")


def test_masks_of_one_image_that_differ_in_size_are_dropped_with_it(tmp_path: Path) -> None:
    second = f"{BUSI}benign/benign (1)_mask_1.png"
    prepared, audit = from_zip("ultrasound", tmp_path, scans() | {second: encoded(square(30, 30))})
    assert audit == [[second, "size mismatch", "dropped", "the masks of one image differ in size"]]
    assert "benign (1)" not in ids(prepared)


def test_a_label_outside_the_list_is_dropped(tmp_path: Path) -> None:
    trimap = f"{TRIMAPS}Abyssinian_2.png"
    annotations = pet_annotations() | {trimap: encoded(square(inside=7, outside=2))}
    prepared, audit = from_tars(tmp_path, pet_pictures(), annotations)
    ((file, finding, consequence, detail),) = audit
    assert (file, finding, consequence) == (trimap, "label outside the list", "dropped")
    assert "level 7" in detail
    assert ids(prepared) == ["Abyssinian_1", "beagle_1", "beagle_2"]


# -- an empty class ---------------------------------------------------------------------------------------------------


def cats_alone() -> dict[str, dict[str, bytes]]:
    cats = {name: content for name, content in photographs().items() if "/Cat/" in name}
    return {catsdogs.FILES[0].name: cats}


def test_an_empty_class_is_an_error_in_the_official_archive(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, cats_alone(), synthetic=False, official=True)
    with pytest.raises(BakeoffError) as error:
        prepared_from("catsdogs", raw)
    assert_one_sentence(error, catsdogs.FILES[0].name, "0 images have class dog, 12500 were published")


def test_an_empty_class_is_a_finding_in_a_mirror_s(tmp_path: Path) -> None:
    prepared, audit = prepared_from("catsdogs", raw_of(tmp_path, cats_alone(), synthetic=False))
    assert "0 images have class dog, 12500 were published" in [detail for *_, detail in audit]
    assert prepared.about["counts"]["by_label"] == {"class": {"cat": 2}}


def test_a_class_of_which_nothing_can_be_read_is_told_file_by_file(tmp_path: Path) -> None:
    broken = {name: b"" for name in photographs() if "/Dog/" in name}
    prepared, audit = from_zip("catsdogs", tmp_path, photographs() | broken)
    assert audit == [[name, "unreadable", "dropped", "the file is empty"] for name in broken]
    assert prepared.about["counts"]["by_label"] == {"class": {"cat": 2}}


# -- unusual pictures -------------------------------------------------------------------------------------------------


def test_16_bits_are_scaled_to_8(tmp_path: Path) -> None:
    id_ = "CHNCXR_0002_0"
    image, mask = f"{lungs.IMAGES}{id_}.png", f"{lungs.MASKS}{id_}_mask.png"
    levels = grey(2)
    levels[0, 0] = 255
    plain, _ = from_zip("lungs", tmp_path / "8", x_rays() | {image: encoded(levels)})
    deep = {image: encoded(levels.astype(np.uint16) * 257), mask: encoded(square().astype(np.uint16) * 257)}
    prepared, audit = from_zip("lungs", tmp_path / "16", x_rays() | deep)
    assert audit == [[name, "wrong mode", "converted", "I;16 to L"] for name in (image, mask)]
    assert np.array_equal(prepared.images, plain.images)
    assert np.array_equal(prepared.true_masks(), plain.true_masks())


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    name = "PetImages/Dog/1.jpg"
    red = Image.new("RGB", (WIDTH, HEIGHT), (200, 30, 30)).convert("CMYK")
    prepared, audit = from_zip("catsdogs", tmp_path, photographs() | {name: encoded(red, "JPEG", quality=95)})
    assert audit == [[name, "wrong mode", "converted", "CMYK to RGB"]]
    row = ids(prepared).index("dog-00001")
    assert np.abs(prepared.images[row].astype(int) - (200, 30, 30)).max() <= 6


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animated_image_the_first_frame_counts(kind: str, tmp_path: Path) -> None:
    name = "PetImages/Cat/1.jpg"
    frames = [Image.new("RGB", (WIDTH, HEIGHT), (level, level, level)) for level in (20, 240)]
    options = {"lossless": True} if kind == "WEBP" else {}
    animated = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    prepared, audit = from_zip("catsdogs", tmp_path, photographs() | {name: animated})
    ((file, finding, consequence, detail),) = audit
    assert (file, finding, consequence) == (name, "wrong mode", "converted")
    assert "first of 2 frames" in detail
    assert set(np.unique(prepared.images[ids(prepared).index("cat-00001")])) == {20}


@pytest.mark.parametrize("part", ["image", "mask"])
def test_five_hundred_megapixels_are_dropped_unread(part: str, tmp_path: Path) -> None:
    name = f"{lungs.IMAGES}CHNCXR_0003_1.png" if part == "image" else f"{lungs.MASKS}CHNCXR_0003_1_mask.png"
    prepared, audit = from_zip("lungs", tmp_path, x_rays() | {name: large_png(25_000, 20_000)})
    assert audit == [[name, "unreadable", "dropped", "25000 x 20000 pixels, above the limit of 500 million"]]
    assert ids(prepared) == ["CHNCXR_0000_0", "CHNCXR_0001_1", "CHNCXR_0002_0"]


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_with_spaces_and_brackets_are_names_like_others(tmp_path: Path) -> None:
    prepared, _ = from_zip("ultrasound", tmp_path, scans())
    assert prepared.index["source"].tolist() == [
        f"{BUSI}benign/benign (1).png",
        f"{BUSI}benign/benign (2).png",
        f"{BUSI}malignant/malignant (1).png",
        f"{BUSI}normal/normal (1).png",
    ]


STRANGE = ("PetImages/Cat/кошка [1].jpg", 'PetImages/Dog/犬 (2), "Rex".jpg', "PetImages/Dog/chien près du café.jpg")


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_is_in_the_audit_letter_by_letter(name: str, tmp_path: Path) -> None:
    prepared, audit = from_zip("catsdogs", tmp_path, photographs() | {name: photograph(9)})
    assert [row[:3] for row in audit] == [[name, "stray file", "dropped"]]
    assert len(prepared.index) == 4


def test_a_strange_name_in_a_tar_is_in_the_audit_too(tmp_path: Path) -> None:
    name = "images/Abyssinian_1 (копия) [2].jpg"
    prepared, audit = from_tars(tmp_path, pet_pictures() | {name: photograph(9)}, pet_annotations())
    assert [row[:3] for row in audit] == [[name, "stray file", "dropped"]]
    assert len(prepared.index) == 4


def test_folders_may_have_strange_names_as_well(tmp_path: Path) -> None:
    prepared, audit = from_zip("catsdogs", tmp_path / "données (été) [2024] 猫", photographs())
    assert (len(prepared.index), audit) == (4, [])
