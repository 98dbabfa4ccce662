"""What every data set's package gives, whatever the data set."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bakeoff.config import read_config
from bakeoff.datasets.archives.records import Listing

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted({dataset.source for dataset in read_config(ROOT / "params.yaml").datasets.values()})


def package(source: str) -> ModuleType:
    return importlib.import_module(f"bakeoff.datasets.sources.{source}")


@pytest.fixture(scope="module", params=SOURCES)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, Path, Listing]:
    """A package, the archives that it draws, and what it makes of them."""
    facts, folder = package(request.param), tmp_path_factory.mktemp(request.param)
    importlib.import_module(f"{facts.__name__}.synthetic").write(folder, images=48, size=64, seed=1)
    return facts, folder, facts.listing(folder)


def test_every_package_is_in_the_config() -> None:
    packages = {path.parent.name for path in (ROOT / "workflow/bakeoff/datasets/sources").glob("*/__init__.py")}
    assert packages - {"folder"} == set(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_facts_are_plain_values(source: str) -> None:
    facts = package(source)
    assert facts.CHANNELS in (1, 3)
    assert facts.MASK_RESIZE in ("nearest", "area")
    assert facts.CLASSES == () or facts.CLASSES[0] == "background"
    assert len(set(facts.CLASSES)) == len(facts.CLASSES)
    assert facts.LICENCE.endswith(".")
    assert facts.CITATION.endswith(".")
    for file in facts.FILES:
        assert file.sha256 is None or len(file.sha256) == 64
        assert all(url.startswith("https://") for url in file.urls)
    plain = [facts.TITLE, facts.CLASSES, facts.TARGETS, facts.STRATA, facts.PUBLISHED]
    assert json.loads(json.dumps(plain[-1])) == facts.PUBLISHED
    assert all(isinstance(text, str) and text for text in (facts.TITLE, *facts.CLASSES, *facts.TARGETS, *facts.STRATA))


def test_the_archives_drawn_are_those_published(drawn: tuple[ModuleType, Path, Listing]) -> None:
    facts, folder, _ = drawn
    assert {path.name for path in folder.iterdir()} == {file.name for file in facts.FILES}


def test_records_are_sorted_unique_and_of_the_archives(drawn: tuple[ModuleType, Path, Listing]) -> None:
    facts, _, listing = drawn
    ids = [record.id for record in listing.records]
    assert ids == sorted(set(ids))
    archives = {file.name for file in facts.FILES}
    for record in listing.records:
        assert {record.image.archive, *(mask.archive for mask in record.masks)} <= archives
        assert bool(record.masks) == bool(facts.CLASSES)


def test_every_listed_image_is_a_record_or_a_finding(drawn: tuple[ModuleType, Path, Listing]) -> None:
    _, _, listing = drawn
    assert listing.listed == 48
    without_record = [finding for finding in listing.findings if finding.finding == "missing mask"]
    assert len(listing.records) + len(without_record) == listing.listed


def test_records_carry_the_labels_that_are_learnt_counted_and_broken_down_by(
    drawn: tuple[ModuleType, Path, Listing],
) -> None:
    facts, _, listing = drawn
    columns = set(listing.records[0].labels)
    assert all(set(record.labels) == columns for record in listing.records)
    assert {*facts.TARGETS, *facts.STRATA, *facts.PUBLISHED["labels"]} <= columns
    for label, counts in facts.PUBLISHED["labels"].items():
        assert set(counts) <= {record.labels[label] for record in listing.records}
    for target in facts.TARGETS:
        assert len({record.labels[target] for record in listing.records}) > 1


@pytest.mark.parametrize("source", [source for source in SOURCES if package(source).CLASSES])
def test_levels_are_classes_or_refused_in_words(source: str) -> None:
    facts = package(source)
    seen, refused = set(), []
    for level in range(256):
        try:
            classes = facts.classes_of(np.full((2, 3), level, np.uint8))
        except ValueError as error:
            refused.append((level, str(error)))
            continue
        assert (classes.shape, classes.dtype) == ((2, 3), np.uint8)
        seen |= set(np.unique(classes).tolist())
    assert seen == set(range(len(facts.CLASSES)))
    assert all(str(level) in sentence for level, sentence in refused)
