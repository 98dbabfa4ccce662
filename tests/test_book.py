"""The book: what it refuses, in which words, and how it is edited."""

from pathlib import Path

import pytest
from bakeoff.book import PROFILES, read_book, set_values
from bakeoff.errors import BakeoffError
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    return path


def refusal(path: Path, *assignments: str) -> str:
    before = path.read_bytes()
    with pytest.raises(BakeoffError) as caught:
        set_values(assignments, path)
    assert path.read_bytes() == before, "a refused change must leave the book as it was"
    return str(caught.value)


def test_the_book_of_the_project_is_valid() -> None:
    assert read_book(ROOT / "params.yaml").experiment_names()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(book: Path, profile: str) -> None:
    set_values([f"profile={profile}"], book)
    read = read_book(book)
    assert read.profile == profile
    assert 1 <= read.seed_count <= 5


@pytest.mark.parametrize(
    ("assignment", "key", "hint"),
    [
        ("profil=small", "profil ", "did you mean 'profile'"),
        ("profile=smal", "profile ", "did you mean 'small'"),
        ("seeds.sample=0", "seeds.sample", "greater than or equal to 1"),
        ("seeds.sample=6", "seeds.sample", "less than or equal to 5"),
        ("seeds.sample=two", "seeds.sample", "valid integer"),
        ("resamples=12.5", "resamples", "valid integer"),
        ("datasets.lungs.source=lung", "datasets.lungs.source", "did you mean 'lungs'"),
        ("datasets.lungs.split.train=0.9", "datasets.lungs.split", "must add up to 1"),
        ("datasets.lungs.split.name=random", "datasets.lungs.split", "stratified"),
        ("datasets.lungs.small.size=7", "datasets.lungs.small.size", "greater than or equal to 16"),
        ("experiments.networks.lungs-unet.model=unett", "experiments.networks.lungs-unet.model", "did you mean 'unet'"),
        (
            "experiments.networks.lungs-unet.dataset=lung",
            "experiments.networks.lungs-unet.dataset",
            "did you mean 'lungs'",
        ),
        ("experiments.networks.lungs-unet.recipe=scratch", "experiments.networks.lungs-unet.recipe", "from-scratch"),
        ("experiments.pretrained.lungs-deeplabv3plus.weights=resnet5", "weights", "did you mean 'resnet50'"),
        ("experiments.thresholds.lungs-otsu.method=otzu", "experiments.thresholds.lungs-otsu.method", "'otsu'"),
        ("experiments.thresholds.lungs-otsu.foreground=2", "experiments.thresholds.lungs-otsu", "below the number"),
        ("experiments.thresholds.lungs-otsu.classes=3", "experiments.thresholds.lungs-otsu", "multiotsu"),
        ("recipes.from-scratch.small.epochs=0", "recipes.from-scratch.small.epochs", "greater than or equal to 1"),
        ("recipes.from-scratch.small.epoch=3", "recipes.from-scratch.small.epoch", "did you mean 'epochs'"),
        ("experimets.networks=1", "experimets", "did you mean 'experiments'"),
        ("profile.sample=1", "'profile' is a value", "has no key 'sample'"),
        ("profile", "'profile' is not KEY=VALUE", "profile=small"),
    ],
)
def test_a_mistake_gets_its_key_and_the_nearest_valid_name(book: Path, assignment: str, key: str, hint: str) -> None:
    sentence = refusal(book, assignment)
    assert key in sentence
    assert hint in sentence


def test_two_experiments_of_one_name_are_refused(book: Path) -> None:
    entry = "{dataset: lungs, method: li, foreground: dark}"
    assert "two experiments are called 'lungs-unet'" in refusal(book, f"experiments.thresholds.lungs-unet={entry}")


def test_nothing_is_set_unless_all_of_it_is_valid(book: Path) -> None:
    refusal(book, "profile=small", "seeds.sample=99")
    assert read_book(book).profile == "sample"


def test_setting_a_value_keeps_every_comment_and_the_order(book: Path) -> None:
    before = book.read_text().splitlines()
    set_values(["profile=small", "download.mirror=../images", "recipes.fine-tune.small.epochs=9"], book)
    after = book.read_text().splitlines()
    changed = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {
        ("profile: sample", "profile: small"),
        ("  mirror: null", "  mirror: ../images"),
        ("    small: {epochs: 8, patience: 8}", "    small: {epochs: 9, patience: 8}"),
    }


def test_setting_and_setting_back_restores_every_byte(book: Path) -> None:
    before = book.read_bytes()
    set_values(["profile=small"], book)
    set_values(["profile=sample"], book)
    assert book.read_bytes() == before


def test_a_profile_overrides_what_a_recipe_says_always(book: Path) -> None:
    set_values(["recipes.from-scratch.small.learning_rate=0.5"], book)
    recipe = read_book(book).recipes["from-scratch"]
    assert recipe.at("small")["learning_rate"] == 0.5
    assert recipe.at("full")["learning_rate"] == 0.001


def test_a_broken_book_is_named_with_its_line(book: Path) -> None:
    book.write_text("profile: sample\nseeds: {sample: 1\nx: ]\n")
    with pytest.raises(BakeoffError, match=r"params\.yaml, line \d+ is not valid YAML"):
        read_book(book)


def test_the_command_line_prints_one_sentence_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bakeoff.cli import main

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1
    assert result.output == "bakeoff: params.yaml is missing: run bakeoff from the repository's root.\n"
