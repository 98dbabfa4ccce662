"""Pets: what names and lists say, what the oddly stored pictures come to, and what the synthetic ones look like."""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.datasets.archives.records import Finding, Member, Record
from bakeoff.datasets.preparation.decode import decode
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.sources import pets
from bakeoff.datasets.sources.pets import synthetic
from skimage.feature import hog
from skimage.filters import threshold_otsu
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

PICTURES, ANNOTATIONS = (file.name for file in pets.FILES)
TRAINVAL, TEST, EVERYTHING = (f"annotations/{name}.txt" for name in ("trainval", "test", "list"))


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def raw_of(
    folder: Path,
    images: Iterable[str],
    trimaps: Iterable[str] | None = None,
    *,
    lists: Mapping[str, str] | None = None,
    more: Iterable[str] = (),
) -> Path:
    """Archives of empty files: pictures by id, trimaps of the same unless told, and whatever else."""
    images = list(images)
    texts = dict.fromkeys((TRAINVAL, TEST, EVERYTHING), "") | dict(lists or {})
    write_tar(
        folder / PICTURES,
        {f"images/{id_}.jpg": b"" for id_ in images} | {name: b"" for name in more if name.startswith("images/")},
    )
    write_tar(
        folder / ANNOTATIONS,
        {f"annotations/trimaps/{id_}.png": b"" for id_ in (images if trimaps is None else trimaps)}
        | {name: text.encode() for name, text in texts.items()}
        | {name: b"" for name in more if name.startswith("annotations/")},
    )
    return folder


def prepared_from(raw: Path, folder: Path, *, synthetic: bool, size: int) -> tuple[Path, pd.DataFrame]:
    (raw / "source.json").write_text(json.dumps({"files": [{"official": False}], "synthetic": synthetic}))
    prepare("pets", "pets", raw, folder, size=size, distance=6)
    return folder, pd.read_csv(folder / "audit.csv", keep_default_na=False)


# -- names and lists --------------------------------------------------------------------------------------------------


def test_names_give_breed_and_species_and_lists_the_official_split(tmp_path: Path) -> None:
    lists = {TRAINVAL: "Abyssinian_1 1 1 1\n", TEST: "american_bulldog_20 2 2 1\r\n", EVERYTHING: "#Image CLASS-ID\n\n"}
    listing = pets.listing(raw_of(tmp_path, ["american_bulldog_20", "Abyssinian_1"], lists=lists))
    assert listing.records == [
        Record(
            "Abyssinian_1",
            Member(PICTURES, "images/Abyssinian_1.jpg"),
            (Member(ANNOTATIONS, "annotations/trimaps/Abyssinian_1.png"),),
            {"species": "cat", "breed": "Abyssinian", "official": "trainval"},
        ),
        Record(
            "american_bulldog_20",
            Member(PICTURES, "images/american_bulldog_20.jpg"),
            (Member(ANNOTATIONS, "annotations/trimaps/american_bulldog_20.png"),),
            {"species": "dog", "breed": "american_bulldog", "official": "test"},
        ),
    ]
    assert list(listing.records[0].labels) == ["species", "breed", "official"]
    assert (listing.findings, listing.listed) == ([], 2)


def test_an_image_in_no_list_is_kept_and_belongs_to_no_official_split(tmp_path: Path) -> None:
    listing = pets.listing(raw_of(tmp_path, ["Bengal_1"], lists={EVERYTHING: "Bengal_1 6 1 2\n"}))
    assert [record.labels["official"] for record in listing.records] == ["unlisted"]
    detail = "used only by splits that do not follow the official lists"
    assert listing.findings == [Finding("images/Bengal_1.jpg", "in no list", "kept", detail)]


def test_an_image_for_training_and_for_testing_is_for_neither(tmp_path: Path) -> None:
    lists = {TRAINVAL: "Bengal_1 6 1 2\n", TEST: "Bengal_1 6 1 2\n"}
    listing = pets.listing(raw_of(tmp_path, ["Bengal_1"], lists=lists))
    assert [record.labels["official"] for record in listing.records] == ["unlisted"]
    assert [(finding.finding, finding.consequence) for finding in listing.findings] == [("in two lists", "kept")]


@pytest.mark.parametrize(
    "name",
    [
        "images/._pug_1.jpg",
        "images/pug_1.mat",
        "images/pug.jpg",
        "images/pug_\u0661.jpg",
        "images/unicorn_1.jpg",
        "images/more/pug_2.jpg",
        "annotations/trimaps/._pug_1.png",
        "annotations/trimaps/pug_1.jpg",
        "annotations/._list.txt",
    ],
)
def test_any_other_file_is_a_stray_and_not_listed(tmp_path: Path, name: str) -> None:
    listing = pets.listing(raw_of(tmp_path, ["pug_1"], lists={TEST: "pug_1 26 2 18\n"}, more=[name]))
    assert ([record.id for record in listing.records], listing.listed) == (["pug_1"], 1)
    assert listing.findings == [Finding(name, "stray file", "dropped", "not named after a breed and a number")]


def test_published_files_that_are_not_read_are_no_strays(tmp_path: Path) -> None:
    more = ["annotations/README", "annotations/xmls/pug_1.xml"]
    assert pets.listing(raw_of(tmp_path, ["pug_1"], lists={TEST: "pug_1 26 2 18\n"}, more=more)).findings == []


def test_what_has_no_partner_is_dropped(tmp_path: Path) -> None:
    lists = {TRAINVAL: "pug_1 26 2 18\npug_3 26 2 18\n", EVERYTHING: "pug_3 26 2 18\n"}
    listing = pets.listing(raw_of(tmp_path, ["pug_1"], ["pug_2"], lists=lists))
    assert (listing.records, listing.listed) == ([], 1)
    assert listing.findings == [
        Finding("images/pug_1.jpg", "missing mask", "dropped", "annotations/trimaps/pug_1.png is not in the archive"),
        Finding(
            "annotations/trimaps/pug_2.png", "mask without image", "dropped", "images/pug_2.jpg is not in the archive"
        ),
        Finding("images/pug_3.jpg", "missing member", "dropped", "a list names it"),
    ]


@pytest.mark.parametrize("codes", ["25 2 18", "26 1 18", "26 2 17"], ids=["class", "species", "rank"])
def test_a_list_that_contradicts_the_name_drops_the_image(tmp_path: Path, codes: str) -> None:
    lists = {TEST: "pug_1 26 2 18\npug_2 26 2 18\n", EVERYTHING: f"pug_1 {codes}\npug_2 26 2 18\n"}
    listing = pets.listing(raw_of(tmp_path, ["pug_1", "pug_2"], lists=lists))
    assert [record.id for record in listing.records] == ["pug_2"]
    detail = f"annotations/list.txt says {codes}, by its name it is 26 2 18"
    assert listing.findings == [Finding("images/pug_1.jpg", "contradicting label", "dropped", detail)]


@pytest.mark.parametrize("line", ["unicorn_1 38 2 26", "pug_1 26 2", "pug_1 26 2 18 1", "pug_1 x y z", "\ufffd"])
def test_a_line_that_says_nothing_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    text = f"# pets\npug_1 26 2 18\n{line}\n"
    listing = pets.listing(raw_of(tmp_path, ["pug_1"], lists={TRAINVAL: text}))
    assert [record.labels["official"] for record in listing.records] == ["trainval"]
    assert listing.findings == [Finding(TRAINVAL, "unreadable line", "dropped", f"line 3: {line!r}")]


@pytest.mark.parametrize("name", [TRAINVAL, TEST, EVERYTHING])
def test_annotations_without_a_list_are_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    raw_of(tmp_path, ["pug_1"])
    others = {list_: b"" for list_ in (TRAINVAL, TEST, EVERYTHING) if list_ != name}
    write_tar(tmp_path / ANNOTATIONS, others)
    with pytest.raises(BakeoffError, match=rf"annotations\.tar\.gz has no member '{name}': fetch"):
        pets.listing(tmp_path)


def test_breeds_are_numbered_as_published() -> None:
    assert len(pets.BREEDS) == len(set(pets.BREEDS)) == 37
    assert list(pets.BREEDS) == sorted(pets.BREEDS, key=str.lower)
    assert Counter(map(pets.species_of, pets.BREEDS)) == {"cat": 12, "dog": 25}
    published = {"Abyssinian": "1 1 1", "american_bulldog": "2 2 1", "Bengal": "6 1 2", "yorkshire_terrier": "37 2 25"}
    assert {breed: pets.codes_of(breed) for breed in published} == published


def test_trimap_levels_become_classes() -> None:
    classes = pets.classes_of(np.array([[1, 2], [3, 2]], np.uint8))
    assert (classes.tolist(), classes.dtype) == ([[1, 0], [2, 0]], np.uint8)
    assert [pets.CLASSES[index] for index in classes.ravel()] == ["pet", "background", "border", "background"]


@pytest.mark.parametrize("level", [0, 4, 255])
def test_other_trimap_levels_are_named(level: int) -> None:
    with pytest.raises(ValueError, match=f"level {level} is none"):
        pets.classes_of(np.array([[1, level]], np.uint8))


def test_provenance_is_plain_text() -> None:
    assert all(url.startswith("https://") for file in pets.FILES for url in file.urls)
    assert all(len(file.sha256 or "") == 64 for file in pets.FILES)
    json.dumps([pets.TITLE, pets.CLASSES, pets.TARGETS, pets.STRATA, pets.PUBLISHED, pets.LICENCE, pets.CITATION])


# -- synthetic pets ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write(folder, images=150, size=160, seed=11)
    return folder


@pytest.fixture(scope="module")
def road(drawn: Path) -> Path:
    """Synthetic pets, prepared."""
    return prepared_from(drawn, drawn / "prepared", synthetic=True, size=64)[0]


def test_the_same_seed_draws_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        synthetic.write(tmp_path / name, images=20, size=48, seed=seed)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted((PICTURES, ANNOTATIONS))
    for file in (PICTURES, ANNOTATIONS):
        one, same, other = ((tmp_path / name / file).read_bytes() for name in ("one", "same", "other"))
        assert one == same
        assert one != other


@pytest.mark.parametrize("images", [20, 37, 60])
def test_as_many_pets_as_asked_for_in_breeds_of_one_size(images: int, tmp_path: Path) -> None:
    synthetic.write(tmp_path, images=images, size=48, seed=images)
    listing = pets.listing(tmp_path)
    assert listing.listed == len(listing.records) == images
    breeds = Counter(record.labels["breed"] for record in listing.records)
    assert set(breeds) == set(synthetic.BREEDS) <= set(pets.BREEDS)
    assert max(breeds.values()) - min(breeds.values()) <= 1
    official = Counter(record.labels["official"] for record in listing.records)
    assert official["unlisted"] == 2
    assert abs(official["trainval"] - official["test"]) <= len(breeds)
    found = Counter((finding.finding, finding.consequence) for finding in listing.findings)
    assert found == {("stray file", "dropped"): 2, ("in no list", "kept"): 2}


@pytest.mark.parametrize("images", [20, 24, 48])
def test_every_fault_is_planted_however_few_pets_there_are(images: int, tmp_path: Path) -> None:
    synthetic.write(tmp_path, images=images, size=96, seed=5)
    _, audit = prepared_from(tmp_path, tmp_path / "prepared", synthetic=True, size=48)
    assert_planted(audit)


def test_every_planted_fault_is_found_and_has_its_consequence(road: Path) -> None:
    audit = pd.read_csv(road / "audit.csv", keep_default_na=False)
    assert_planted(audit)
    assert audit["file"].str.contains(r"\._|\.mat$").sum() == 2
    about = json.loads((road / "dataset.json").read_text())
    assert about["counts"] | {"by_label": {}} == {"listed": 150, "used": 147, "dropped": 3, "by_label": {}}
    pair = open_prepared(road).index.groupby("group").filter(lambda rows: len(rows) > 1)
    assert sorted(pair["official"]) == ["test", "trainval"]


def assert_planted(audit: pd.DataFrame) -> None:
    audit = audit[audit["finding"] != "small images"]
    assert audit.groupby(["finding", "consequence"]).size().to_dict() == {
        ("stray file", "dropped"): 2,
        ("in no list", "kept"): 2,
        ("unreadable", "dropped"): 1,
        ("wrong mode", "converted"): 4,
        ("contradicting duplicate", "dropped"): 2,
        ("near-duplicate", "kept"): 1,
    }
    modes = audit[audit["finding"] == "wrong mode"]["detail"].str.split(" ").str[0]
    assert sorted(modes) == ["CMYK", "P", "P", "RGBA"]


def test_pictures_differ_in_size_and_shape_and_trimaps_have_three_levels(drawn: Path, road: Path) -> None:
    index = open_prepared(road).index
    sides = index[["original_height", "original_width"]]
    assert sides.max(axis=None) == 160
    assert sides.max(axis=1).min() < 120
    aspects = sides["original_width"] / sides["original_height"]
    assert aspects.min() < 0.8 < 1 < 1.3 < aspects.max()
    masks = open_prepared(road).masks
    assert masks is not None
    shares = np.stack([np.bincount(mask.ravel(), minlength=3) for mask in masks[:]]) / masks[0].size
    assert (shares > 0).all()
    assert np.allclose(shares.mean(axis=0), [0.66, 0.25, 0.09], atol=0.05)  # .62, .26 and .12 in the real ones
    with tarfile.open(drawn / ANNOTATIONS) as archive:
        text = archive.extractfile(EVERYTHING)
        assert text is not None
        assert text.read().decode().startswith("#Image CLASS-ID SPECIES BREED ID\n")


def test_a_border_runs_between_pet_and_background() -> None:
    _, trimap = synthetic.draw(np.random.default_rng(3), 160, synthetic.BREEDS["pug"])
    beside_pet = cv2.dilate((trimap == 1).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert not (beside_pet & (trimap == 2)).any()
    border = (trimap == 3).astype(np.uint8)
    assert 1 < cv2.distanceTransform(border, cv2.DIST_L2, 5).max() < 8  # a line, a few pixels wide


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.sum(first & second) / (first.sum() + second.sum())


def otsu_scores(folder: Path) -> np.ndarray:
    """Dice of the dark and of the bright side of Otsu's threshold with pet and border, (n, 2)."""
    prepared = open_prepared(folder)
    assert prepared.masks is not None
    scores = []
    for image, mask in zip(prepared.images, prepared.masks, strict=True):
        grey = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY)
        bright = grey > threshold_otsu(grey)
        scores.append((dice(~bright, mask > 0), dice(bright, mask > 0)))
    return np.array(scores)


def test_otsu_is_mediocre_whichever_side_of_it_is_the_pet(road: Path) -> None:
    scores = otsu_scores(road)
    assert 0.3 < scores.mean(axis=0).max() < 0.5  # .44 on the real photographs
    assert scores.max(axis=1).mean() < 0.6  # .58 on those


def test_edges_tell_breeds_better_than_chance_and_by_far_not_all(road: Path) -> None:
    prepared = open_prepared(road)
    edges = [
        hog(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY), cells_per_block=(2, 2)) for image in prepared.images
    ]
    machine = make_pipeline(StandardScaler(), SVC())
    accuracy = cross_val_score(machine, np.array(edges), prepared.index["breed"], cv=5).mean()
    assert 0.25 < accuracy < 0.7  # the largest of six breeds is .17 of all


# -- real pets --------------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_real_archives_list_what_their_lists_say(mirror: Path) -> None:
    listing = pets.listing(mirror)
    assert listing.listed == len(listing.records) == 600
    assert Counter(record.labels["official"] for record in listing.records) == {
        "trainval": 300, "test": 298, "unlisted": 2,
    }  # fmt: skip
    assert Counter(record.labels["breed"] for record in listing.records) == {
        "Abyssinian": 200, "Bengal": 200, "american_bulldog": 200,
    }  # fmt: skip
    assert [(finding.file, finding.finding) for finding in listing.findings] == [
        ("images/Abyssinian_34.jpg", "in no list"),
        ("images/Abyssinian_82.jpg", "in no list"),
    ]


@pytest.mark.real
def test_the_real_pets(mirror: Path, tmp_path: Path) -> None:
    for name in (PICTURES, ANNOTATIONS):
        (tmp_path / name).symlink_to(mirror / name)
    folder, audit = prepared_from(tmp_path, tmp_path / "prepared", synthetic=False, size=64)
    found = audit[~audit["finding"].isin(["small images", "odd size"])].groupby(["finding", "consequence"]).size()
    assert found.to_dict() == {
        ("in no list", "kept"): 2,
        ("blank mask", "dropped"): 1,
        ("wrong mode", "converted"): 1,
        ("near-duplicate", "kept"): 6,
        ("unexpected count", "kept"): 3,
    }
    files = audit.set_index("finding")["file"]
    assert files["blank mask"] == "annotations/trimaps/Abyssinian_34.png"  # of a GIF; it is background all over
    assert files["wrong mode"] == "images/Abyssinian_5.jpg"
    prepared = open_prepared(folder)
    assert (prepared.images.shape, len(prepared.index)) == ((599, 64, 64, 3), 599)
    assert prepared.masks is not None
    assert np.unique(prepared.masks[:]).tolist() == [0, 1, 2]
    pet = (prepared.masks[:] == 1).mean(axis=0)
    assert pet[24:40, 24:40].mean() > 0.5 > 10 * pet[:4, :4].mean()  # pets are in the middle
    assert 0.35 < otsu_scores(folder).mean(axis=0).max() < 0.5


@pytest.mark.real
def test_real_pictures_under_a_wrong_name_or_in_a_rare_mode_decode(mirror: Path) -> None:
    with tarfile.open(mirror / PICTURES) as archive:
        contents = {id_: archive.extractfile(f"images/{id_}.jpg") for id_ in ("Abyssinian_34", "Abyssinian_5")}
        data = {id_: file.read() for id_, file in contents.items() if file is not None}
    assert data["Abyssinian_34"].startswith(b"GIF89a")
    assert data["Abyssinian_5"].startswith(b"\x89PNG")
    gif, png = decode(data["Abyssinian_34"], 3), decode(data["Abyssinian_5"], 3)
    assert (gif.pixels.shape, gif.converted) == ((202, 250, 3), "P to RGB")
    assert (png.pixels.shape, png.converted) == ((150, 200, 3), "RGBA to RGB, transparency on black")
