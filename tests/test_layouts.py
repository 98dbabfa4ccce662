"""Layouts of folders: which pictures are masks of which, which folder is a class or a split, from names alone."""

from collections.abc import Sequence
from itertools import cycle, product

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats import read_folder
from bakeoff.datasets.formats.classes import class_patterns
from bakeoff.datasets.formats.layout import layouts, paired
from bakeoff.datasets.formats.patterns import Pattern, stated_pattern
from bakeoff.datasets.formats.reading import Choices
from drawn_folders import Content, Files, png
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = [f"{number:02}" for number in range(6)]


def named(*patterns: str) -> list[str]:
    """Paths of six pictures for each pattern: N becomes a number, S train and val, C cat and dog, K 0 to 2."""
    paths = [
        pattern.replace("N", number).replace("S", split).replace("C", kind).replace("K", each)
        for pattern in patterns
        for number in NUMBERS
        for split in (("train", "val") if "S" in pattern else ("",))
        for kind in (("cat", "dog") if "C" in pattern else ("",))
        for each in ("012" if "K" in pattern else "0")
    ]
    return sorted(paths)


@pytest.mark.parametrize(
    ("patterns", "images", "masks"),
    [
        (["images/N.jpg", "masks/N.png"], "images/{id}", "masks/{id}"),
        (["images/N.png", "GT/N.png"], "images/{id}", "GT/{id}"),
        (["data/Img/N.jpg", "data/segmentationMaps/N.png"], "data/Img/{id}", "data/segmentationMaps/{id}"),
        (["JPEGImages/N.jpg", "ground_truth/N.png"], "JPEGImages/{id}", "ground_truth/{id}"),
        (["photos/N.jpg", "annotations/N.png"], "photos/{id}", "annotations/{id}"),
        (["N.png", "masks/N.png"], "{id}", "masks/{id}"),
        (["images/N.jpg", "masks/N_mask.png"], "images/{id}", "masks/{id}_mask"),
        (["images/N.jpg", "masks/mask_N.png"], "images/{id}", "masks/mask_{id}"),
        (["images/img_N.jpg", "masks/mask_N.png"], "images/img_{id}", "masks/mask_{id}"),
        (["N.jpg", "N-gt.png"], "{id}", "{id}-gt"),
        (["N.jpg", "mask_N.png"], "{id}", "mask_{id}"),
        (["N_image.jpg", "N_mask.png"], "{id}_image", "{id}_mask"),
        (["plateN/aN.jpg", "plateN/mask_aN.png"], "{folder}/{id}", "{folder}/mask_{id}"),
        (["C/N.png", "C/N_mask.png", "C/N_mask_K.png"], "{id}", "{id}_mask*"),
        (["images/N.jpg", "masks/N_K.png"], "images/{id}", "masks/{id}_*"),
        (["stage/idN/images/idN.png", "stage/idN/masks/cellK.png"], "stage/{id}/images/*", "stage/{id}/masks/*"),
        (["patientN/image.png", "patientN/mask.png"], "{id}/image", "{id}/mask"),
        (["S/images/N.png", "S/labels/N.png"], "{split}/images/{id}", "{split}/labels/{id}"),
        (["images/S/N.png", "labels/S/N.png"], "images/{split}/{id}", "labels/{split}/{id}"),
        (["S_images/N.png", "S_masks/N.png"], "{split}_images/{id}", "{split}_masks/{id}"),
        (["images/C/N.png", "masks/C/N.png"], "images/{class}/{id}", "masks/{class}/{id}"),
        (["C/N.png", "masks/C/N.png"], "{class}/{id}", "masks/{class}/{id}"),
        (["images/dayN/N.png", "masks/dayN/N.png"], "images/{id}", "masks/{id}"),
        (
            ["isic_data/aN.jpg", "isic_groundtruth/aN_segmentation.png"],
            "isic_data/{id}",
            "isic_groundtruth/{id}_segmentation",
        ),
        (["train/aN.jpg", "train_masks/aN_mask.gif"], "train/{id}", "{split}_masks/{id}_mask"),
        (["plateC/images/N.png", "plateC/masks/N.png"], "{folder}/images/{id}", "{folder}/masks/{id}"),
    ],
)
def test_every_usual_layout_is_found_and_pairs_all(patterns: Sequence[str], images: str, masks: str) -> None:
    pictures = named(*patterns)
    (found,) = layouts(pictures)
    assert (found.images, found.masks) == (images, masks)
    pairs, alone = paired(Pattern(images), Pattern(masks), pictures)
    assert all(pairs.values())
    assert not alone
    assert len(pairs) + sum(map(len, pairs.values())) == len(pictures)


FOLDERS = [
    "images",
    "masks",
    "Labels",
    "train",
    "val",
    "test",
    "a",
    "b",
    "17",
    "x*",
    "{id}",
    "(1)",
    "with_mask",
    "gt",
    "",
]
ENDS = ["", "_mask", "-gt", "_1"]


@given(
    st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["a", "b", "c", "1", "01", "x y", "é"]), min_size=2, max_size=5, unique=True),
    st.lists(st.sampled_from(ENDS), min_size=1, max_size=2, unique=True),
    st.booleans(),
)
def test_what_a_reader_found_gives_the_same_reading_where_it_is_stated(
    tops: list[str], below: list[str], names: list[str], ends: list[str], listed: bool
) -> None:
    paths = [
        "/".join(filter(None, [*each, f"{name}{end}.png"]))
        for each in product(tops, below)
        for name in names
        for end in ends
    ]
    files: dict[str, Content] = dict.fromkeys(paths, png(4, 4))
    if listed:
        parts = zip(paths, cycle(["train", "val", "test"]), cycle("pqrs"), strict=False)
        files["table.csv"] = "file,label,set,patient\n" + "".join(
            f"{path},{part[0]},{part},{group}\n" for path, part, group in parts
        )
    tree = Files(files)
    for format in ("pairs", "classes", "table"):
        try:
            found = read_folder(tree, Choices("mine", format))
        except BakeoffError:  # two answers, or none
            continue
        background = found.background or ("none" if found.classes else None)
        stated = Choices(
            "mine",
            format,
            classes=found.classes,
            background=background,
            ignore=found.ignore,
            objects=found.objects,
            **found.choices,
        )
        again = read_folder(tree, stated)
        assert again.entries == found.entries
        assert again.findings == found.findings


def test_the_folder_names_of_pascal_voc_are_known() -> None:
    found = layouts([f"{folder}/{number}.png" for folder in ("JPEGImages", "SegmentationClass") for number in NUMBERS])
    assert [(layout.images, layout.masks) for layout in found] == [("JPEGImages/{id}", "SegmentationClass/{id}")]


def test_two_folders_that_may_be_the_masks_are_two_layouts() -> None:
    found = layouts(named("images/N.png", "masks/N.png", "labels/N.png"))
    assert [layout.masks for layout in found] == ["labels/{id}", "masks/{id}"]


@pytest.mark.parametrize(
    "patterns", [["C/N.png"], ["N.png"], ["images/N.png"], ["with_mask/N.png", "without_mask/N.png"]]
)
def test_pictures_without_masks_have_no_layout(patterns: Sequence[str]) -> None:
    assert layouts(named(*patterns)) == []


def test_the_mask_belongs_to_the_image_with_its_suffix_where_two_share_a_name() -> None:
    images, masks = Pattern("images/{id}"), Pattern("masks/{id}")
    pairs, alone = paired(images, masks, ["images/0.jpg", "images/0.png", "masks/0.png", "masks/1.png"])
    assert pairs == {"images/0.jpg": [], "images/0.png": ["masks/0.png"]}
    assert alone == ["masks/1.png"]


def test_a_picture_called_as_masks_are_is_an_image_where_there_is_no_other() -> None:
    pairs, alone = paired(Pattern("{id}"), Pattern("{id}_mask"), ["gas_mask.png", "gas_mask_mask.png"])
    assert (pairs, alone) == ({"gas_mask.png": ["gas_mask_mask.png"]}, [])


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["C/N.png"], ["{class}/{id}"]),
        (["data/C/N.png", "data/readme.png"], ["data/{class}/{id}"]),
        (["S/C/N.png"], ["{split}/{class}/{id}"]),
        (["in/S/C/N.png"], ["in/{split}/{class}/{id}"]),
        (["C/images/N.png"], ["{class}/images/{id}"]),
        (["C/N.png", "cat/young/N.png"], ["{class}/{id}"]),
        (["animal/C/N.png", "plant/rose/N.png"], ["{class}/{id}", "{folder}/{class}/{id}"]),
        (["N.png"], []),
        (["S/N.png"], []),
        (["only/N.png"], []),
    ],
)
def test_which_folder_is_the_class(patterns: Sequence[str], expected: list[str]) -> None:
    assert class_patterns(named(*patterns)) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("images/{id}", "images/a.png", {"id": "a"}),
        ("images/{id}", "IMAGES/deep/a.b.png", {"id": "deep/a.b"}),
        ("images/{id}", "other/a.png", None),
        ("images/{id}", "images/a.nii.gz", {"id": "a"}),
        ("{split}/{class}/{id}", "val/1/a/b.png", {"split": "val", "class": "1", "id": "a/b"}),
        ("{folder}/{class}/{id}", "x/y/cat/a.png", {"folder": "x/y", "class": "cat", "id": "a"}),
        ("{id}/images/*", "s/1/images/x.png", {"id": "s/1"}),
        ("{id}/{id}_m", "7/7_m.png", {"id": "7"}),
        ("{id}/{id}_m", "7/8_m.png", None),
        ("a (1)/{id}", "a (1)/b.png", {"id": "b"}),
        ("images/{id}", "images/e\N{COMBINING ACUTE ACCENT}.png", {"id": "é"}),
    ],
)
def test_what_a_pattern_says_of_a_path(pattern: str, path: str, expected: dict[str, str] | None) -> None:
    assert Pattern(pattern).match(path) == expected


def test_the_name_of_a_folder_stands_for_the_files_in_it() -> None:
    assert stated_pattern("mine", "images", "photos/").text == "photos/{id}"
    with pytest.raises(BakeoffError, match=r"^folders\.mine\.masks is '\*_mask': say where the image's name stands"):
        stated_pattern("mine", "masks", "*_mask")
