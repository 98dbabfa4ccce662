"""What names say: the split of a path, the image that an annotation means, and which files are worth parsing."""

import pytest
from bakeoff.datasets.formats.documents import SAMPLE, NotADocument, holding, parse_json, parse_xml
from bakeoff.datasets.formats.names import Images, is_picture, split_of, stem, suffix
from drawn_folders import Files


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/a.png", "train"),
        ("Training/a.png", "train"),
        ("valid/images/a.png", "validation"),
        ("images/val2017/a.png", "validation"),
        ("test_images/a.png", "test"),
        ("train/cat/test/a.png", "test"),
        ("instances_train2017.json", "train"),
        ("val/train.json", "train"),
        ("test tubes/a.png", None),
        ("a/train.png", None),
        ("latest/a.png", None),
        ("trainval.txt", None),
        ("a.png", None),
    ],
)
def test_splits_of_paths(path: str, split: str | None) -> None:
    assert split_of(path) == split


def test_names_without_what_they_end_in() -> None:
    assert [stem(name) for name in ("x/a.PNG", "scan.nii.gz", "a.b.tif", "a", "e\u0301.png")] == [
        "a",
        "scan",
        "a.b",
        "a",
        "é",
    ]
    assert (suffix("scan.NII.GZ"), is_picture("scan.nii.gz"), is_picture("a.json")) == (".nii.gz", True, False)
    assert (stem("x/cells.OME.tif"), suffix("cells.ome.tiff"), is_picture("a.ome.tif")) == ("cells", ".ome.tiff", True)


FILES = ("a.png", "x/a.png", "x/y/b.png", "z/y/b.png", "train/c.png", "val/c.png", "é.png")


@pytest.mark.parametrize(
    ("stated", "annotation", "image"),
    [
        ("a.png", "all.json", "a.png"),
        ("a.png", "x/all.json", "x/a.png"),
        ("../a.png", "x/all.json", "a.png"),
        ("./x/a.png", "all.json", "x/a.png"),
        ("/home/me/x/a.png", "all.json", "x/a.png"),
        ("D:\\x\\y\\b.png", "all.json", "x/y/b.png"),
        ("https://example.org/files/x/y/b.png", "all.json", "x/y/b.png"),
        ("x/y/B.PNG", "all.json", "x/y/b.png"),
        ("y/b.png", "all.json", None),
        ("b.png", "w/all.json", None),
        ("c.png", "annotations/val.json", "val/c.png"),
        ("c.png", "all.json", None),
        ("e\u0301.png", "all.json", "é.png"),
        ("%C3%A9.png", "all.json", "é.png"),
        ("d.png", "all.json", None),
        ("", "all.json", None),
    ],
)
def test_the_image_that_is_meant(stated: str, annotation: str, image: str | None) -> None:
    assert Images(FILES).find(stated, annotation) == image


@pytest.mark.parametrize(
    ("annotation", "image"),
    [
        ("a.json", "a.png"),
        ("x/a.json", "x/a.png"),
        ("w/a.json", None),
        ("x/y/b.png.json", "x/y/b.png"),
        ("labels/train/c.json", "train/c.png"),
        ("c.json", None),
        ("d.json", None),
    ],
)
def test_the_image_that_is_called_like_an_annotation(annotation: str, image: str | None) -> None:
    assert Images(FILES).find_stem(annotation) == image


def test_of_thousands_of_files_some_are_looked_at_and_all_are_read() -> None:
    files = Files({f"{number:04}.json": {"shapes": number} for number in range(1000)})
    assert len(holding(files, [".json"], b'"shapes"', sample=True)) == SAMPLE
    assert len(holding(files, [".json"], b'"shapes"')) == 1000
    assert holding(files, [".json"], b'"shapes"', b": 999") == ["0999.json"]


def test_documents_in_other_encodings() -> None:
    assert parse_json('{"a": "é"}'.encode("utf-16")) == {"a": "é"}
    assert parse_xml('<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1")).text == "é"


BOMB = '<!DOCTYPE a [<!ENTITY b "x">' + "".join(f'<!ENTITY b{n} "&b;&b;">' for n in range(9)) + "]><a>&b8;</a>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "declares entities"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>', "declares entities"),
        ("<a>", "is no valid XML"),
        ('<?xml version="1.0" encoding="none"?><a/>', "is no valid XML"),
    ],
)
def test_xml_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(NotADocument, match=said):
        parse_xml(text.encode())
