"""The configuration: what it refuses, in which words, and how it is edited."""

from pathlib import Path

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config import PROFILES, read_config, set_values
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    return path


def refusal(path: Path, *assignments: str) -> str:
    before = path.read_bytes()
    with pytest.raises(BakeoffError) as caught:
        set_values(assignments, path)
    assert path.read_bytes() == before, "a refused change must leave the configuration as it was"
    return str(caught.value)


def test_the_book_of_the_project_is_valid() -> None:
    assert read_config(ROOT / "params.yaml").experiment_names()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(config: Path, profile: str) -> None:
    set_values([f"profile={profile}"], config)
    read = read_config(config)
    assert read.profile == profile
    assert 1 <= read.seed_count <= 5


SEGMENTER = "predicted_inputs.pets-predicted-crop.segmenter"
ON_INPUT = "experiments.on_inputs.ultrasound-overlay"


@pytest.mark.parametrize(
    ("assignment", "key", "hint"),
    [
        ("profil=small", "profil ", "did you mean 'profile'"),
        ("profile=smal", "profile ", "did you mean 'small'"),
        ("seeds.sample=0", "seeds.sample", "greater than or equal to 1"),
        ("seeds.sample=6", "seeds.sample", "less than or equal to 5"),
        ("seeds.sample=two", "seeds.sample", "valid integer"),
        ("resamples=12.5", "resamples", "valid integer"),
        ("margins.segmentation=0", "margins.segmentation", "greater than 0"),
        ("margins.segmentatoin=0.1", "margins.segmentatoin", "segmentation"),
        ("datasets.lungs.source=lung", "datasets.lungs.source", "did you mean 'lungs'"),
        ("datasets.lungs.source=folder", "datasets.lungs.source", "there are: catsdogs, lungs, pets, ultrasound"),
        ("datasets.lungs.duplicates.distance=65", "datasets.lungs.duplicates.distance", "less than or equal to 64"),
        ("datasets.pets.sample.archive=offical", "datasets.pets.sample.archive ", "did you mean 'official'"),
        ("datasets.pets.sample.archive.synthetic.images=3", "archive.synthetic.images:", "greater than or equal to 20"),
        ("datasets.lungs.small.size=7", "datasets.lungs.small.size", "greater than or equal to 16"),
        ("experiments.networks.lungs-unet.model=unett", "experiments.networks.lungs-unet.model", "did you mean 'unet'"),
        ("experiments.networks.lungs-unet.dataset=lung", "lungs-unet.dataset", "task 'lungs' has 'lungs': use that"),
        ("experiments.networks.lungs-unet.task=lungz", "lungs-unet.task names task 'lungz'", "did you mean 'lungs'"),
        ("experiments.networks.lungs-unet.recipe=scratch", "experiments.networks.lungs-unet.recipe", "from-scratch"),
        ("experiments.pretrained.lungs-deeplabv3plus.weights=resnet5", "weights", "did you mean 'resnet50'"),
        ("experiments.thresholds.lungs-otsu.method=otzu", "experiments.thresholds.lungs-otsu.method", "'otsu'"),
        ("experiments.thresholds.lungs-otsu.foreground=2", "experiments.thresholds.lungs-otsu", "below the number"),
        ("experiments.thresholds.lungs-otsu.classes=3", "experiments.thresholds.lungs-otsu", "multiotsu"),
        ("recipes.from-scratch.small.epochs=0", "recipes.from-scratch.small.epochs", "greater than or equal to 1"),
        ("recipes.from-scratch.small.epoch=3", "recipes.from-scratch.small.epoch", "did you mean 'epochs'"),
        ("recipes.from-scratch.always.task=1", "recipes.from-scratch.sample.task", "does not belong there"),
        ("tasks.lungs.dataset=lung", "tasks.lungs.dataset", "did you mean 'lungs'"),
        ("tasks.lungs.kind=segmentaton", "tasks.lungs.kind", "did you mean 'segmentation'"),
        ("tasks.pets-breeds.target=bred", "tasks.pets-breeds.target", "did you mean 'breed'"),
        ("tasks.pets-breeds.target=official", "tasks.pets-breeds.target", "there are: breed, species"),
        ("tasks.pets-breeds.target=null", "tasks.pets-breeds:", "goes with kind classification and no other"),
        ("tasks.lungs.target=diagnosis", "tasks.lungs:", "goes with kind classification and no other"),
        ("tasks.lungs.split.train=0.9", "tasks.lungs.split:", "must add up to 1"),
        ("tasks.lungs.split.name=stratifed", "tasks.lungs.split.name", "did you mean 'stratified'"),
        ("tasks.lungs.split.name=random", "tasks.lungs.split.train", "does not belong there: take it out"),
        ("tasks.lungs.split={}", "tasks.lungs.split.name is missing", "add it"),
        ("tasks.lungs.split={name: random, test: 0.2, seed: 0}", "tasks.lungs.split.validation is missing", "add it"),
        ("tasks.lungs-every-14th.split.seed=0", "tasks.lungs-every-14th.split.seed", "does not belong there"),
        ("tasks.pets-breeds-random.split.test=1.0", "tasks.pets-breeds-random.split.test", "less than 1"),
        ("tasks.pets-masks.split.grouped=maybe", "tasks.pets-masks.split.grouped", "valid boolean"),
        ("tasks.pets-masks.split.test=[]", "tasks.pets-masks.split.test", "at least 1 item"),
        ("tasks.ultrasound.split.folds.full=1", "tasks.ultrasound.split.folds.full", "greater than or equal to 2"),
        ("tasks.ultrasound.split.grouped=maybe", "tasks.ultrasound.split.grouped", "valid boolean"),
        ("tasks.ultrasound.split.stratify=class", "tasks.ultrasound.split.stratify", "valid list"),
        ("inputs.ultrasound-mask.dataset=ultrasond", "inputs.ultrasound-mask.dataset", "did you mean 'ultrasound'"),
        ("inputs.ultrasound-mask.kind=maks", "inputs.ultrasound-mask.kind", "did you mean 'mask'"),
        ("inputs.ultrasound-overlay.mask=shufled", "inputs.ultrasound-overlay.mask", "did you mean 'shuffled'"),
        ("inputs.ultrasound-overlay.colour=[255, 0]", "inputs.ultrasound-overlay.colour", "at least 3 items"),
        ("inputs.ultrasound-overlay.colour=[256, 0, 0]", "inputs.ultrasound-overlay.colour.0", "or equal to 255"),
        ("inputs.pets-true-crop.keep=corp", "inputs.pets-true-crop.keep ", "did you mean 'crop'"),
        ("inputs.pets-true-crop.margin=0.6", "inputs.pets-true-crop.margin", "less than or equal to 0.5"),
        ("inputs.pets-true-crop.style=tint", "inputs.pets-true-crop.style", "does not belong there"),
        ("predicted_inputs.pets-predicted-crop.kind=mask", "pets-predicted-crop.kind ", "none of 'overlay', 'region'"),
        (
            "predicted_inputs.pets-predicted-crop.mask=x",
            "predicted_inputs.pets-predicted-crop.mask",
            "not belong there",
        ),
        ("predicted_inputs.pets-predicted-crop.dataset=pet", "pets-predicted-crop.dataset", "did you mean 'pets'"),
        ("predicted_inputs.pets-predicted-crop.task=breeds", "pets-predicted-crop.task", "did you mean 'pets-breeds'"),
        (f"{SEGMENTER}.experiment=pets-unett", f"{SEGMENTER}.experiment names network", "did you mean 'pets-unet'"),
        (f"{SEGMENTER}.experiment=pets-otsu", f"{SEGMENTER}.experiment names network for masks", "does not exist"),
        (f"{SEGMENTER}.experiment=breeds-resnet34", f"{SEGMENTER}.experiment names network for masks", "not exist"),
        (f"{SEGMENTER}.task=pets-breeds", f"{SEGMENTER}.task is 'pets-breeds'", "has 'pets-masks': use that"),
        (f"{SEGMENTER}.model=unet", f"{SEGMENTER}.model is 'unet'", "has 'resnet50_unet': use that"),
        (f"{SEGMENTER}.modell=unet", f"{SEGMENTER}.modell", "did you mean 'model'"),
        (
            f"{SEGMENTER}={{experiment: lungs-unet, task: lungs, model: unet}}",
            "predicted_inputs.pets-predicted-crop.dataset is 'pets'",
            "'lungs-unet' has 'lungs': use that",
        ),
        (
            "predicted_inputs.pets-predicted-crop.task=catsdogs",
            "predicted_inputs.pets-predicted-crop.dataset is 'pets'",
            "task 'catsdogs' has 'catsdogs': use that",
        ),
        ("experiments.classical.catsdogs-svm.method=svn", "catsdogs-svm.method ", "did you mean 'svm'"),
        ("experiments.classical.catsdogs-svm.features=gray", "catsdogs-svm.features ", "did you mean 'grey'"),
        ("experiments.classical.catsdogs-svm.side=4", "catsdogs-svm.side", "greater than or equal to 8"),
        ("experiments.classical.catsdogs-svm.task=catdogs", "catsdogs-svm.task names task", "did you mean 'catsdogs'"),
        ("experiments.classical.catsdogs-svm.task=pets-breeds", "catsdogs-svm.dataset", "has 'pets': use that"),
        ("experiments.classifiers.catsdogs-resnet50.model=resnet50_clasifier", "model", "mean 'resnet50_classifier'"),
        ("experiments.classifiers.catsdogs-resnet50.weights=resnet5", "resnet50.weights", "did you mean 'resnet50'"),
        (
            "experiments.classifiers.catsdogs-resnet50.recipe=as-run",
            "resnet50.recipe names recipe",
            "'cats-dogs-as-run'",
        ),
        ("experiments.classifiers.catsdogs-resnet50.masks=1", "catsdogs-resnet50.masks", "valid boolean"),
        ("experiments.networks.lungs-unet.masks=true", "lungs-unet.masks", "does not belong there"),
        ("experiments.classifiers.catsdogs-resnet50.input=x", "catsdogs-resnet50.input", "does not belong there"),
        (f"{ON_INPUT}.input=ultrasound-overly", f"{ON_INPUT}.input names input", "did you mean 'ultrasound-overlay'"),
        (f"{ON_INPUT}.input=pets-true-crop", f"{ON_INPUT}.input is 'pets-true-crop'", "from another data set"),
        (
            "experiments.on_inputs.ultrasound-predicted-overlay.task=ultrasound-ungrouped",
            "ultrasound-predicted-overlay.task is 'ultrasound-ungrouped'",
            "'ultrasound-predicted-overlay' is predicted for 'ultrasound': use that",
        ),
        ("recipes.ultrasound.always.optimizer=adamm", "recipes.ultrasound.sample.optimizer", "did you mean 'adam"),
        ("recipes.ultrasound.full.schedule=cosin", "recipes.ultrasound.full.schedule", "did you mean 'cosine'"),
        ("recipes.ultrasound.always.frozen_epochs=-1", "sample.frozen_epochs", "greater than or equal to 0"),
        ("recipes.ultrasound.always.discriminative=1", "sample.discriminative", "valid boolean"),
        ("recipes.ultrasound.always.class_weights=balance", "sample.class_weights", "did you mean 'balanced'"),
        ("recipes.ultrasound.always.label_smoothing=1.0", "sample.label_smoothing", "less than 1"),
        ("weights.resnet34.small.otherwise=radnom", "weights.resnet34.small.otherwise", "did you mean 'random'"),
        ("weights.resnet34.small={from: official}", "weights.resnet34.small.otherwise is missing", "add it"),
        ("weights.resnet35={}", "weights.resnet35.sample is missing", "add it"),
        ("weights.resnet50.small.stride_in=2x2", "weights.resnet50.small.stride_in", "'1x1' or '3x3'"),
        ("weights.resnet50.small.from=oficial", "weights.resnet50.small.from", "did you mean 'official'"),
        ("experimets.networks=1", "experimets", "did you mean 'experiments'"),
        ("profile.sample=1", "'profile' is a value", "has no key 'sample'"),
        ("profile", "'profile' is not KEY=VALUE", "profile=small"),
    ],
)
def test_a_mistake_gets_its_key_and_the_nearest_valid_name(config: Path, assignment: str, key: str, hint: str) -> None:
    sentence = refusal(config, assignment)
    assert key in sentence
    assert hint in sentence


def test_a_sentence_a_mistake(config: Path) -> None:
    assert refusal(config, "tasks.lungs.dataset=lung").count("\n") == 0  # nothing of the dozen experiments of that task


def test_two_experiments_of_one_name_are_refused(config: Path) -> None:
    entry = "{dataset: lungs, task: lungs, method: li, foreground: dark}"
    assert "two experiments are called 'lungs-unet'" in refusal(config, f"experiments.thresholds.lungs-unet={entry}")


CLASSIFIER = "model: timm_classifier, weights: resnet34, recipe: ultrasound, settings: {}"


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("thresholds", "method: li, foreground: dark"),
        ("networks", "model: unet, recipe: from-scratch, settings: {}"),
        ("pretrained", "model: deeplabv3plus, weights: resnet50, recipe: fine-tune, settings: {}"),
    ],
)
def test_what_segments_is_refused_in_a_classification(config: Path, family: str, method: str) -> None:
    entry = f"{{dataset: ultrasound, task: ultrasound, {method}}}"
    sentence = refusal(config, f"experiments.{family}.mine={entry}")
    assert f"experiments.{family}.mine.task is 'ultrasound', a classification: name a task of kind seg" in sentence


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("classical", "method: majority, features: none, side: 8, settings: {}"),
        ("classifiers", CLASSIFIER),
        ("on_inputs", f"{CLASSIFIER}, input: ultrasound-mask"),
    ],
)
def test_what_classifies_is_refused_in_a_segmentation(config: Path, family: str, method: str) -> None:
    entry = f"{{dataset: ultrasound, task: ultrasound-masks, {method}}}"
    sentence = refusal(config, f"experiments.{family}.mine={entry}")
    assert f"experiments.{family}.mine.task is 'ultrasound-masks', a segmentation: name a task of kind cl" in sentence


def test_two_inputs_of_one_name_are_refused(config: Path) -> None:
    entry = "{dataset: pets, kind: mask}"
    sentence = refusal(config, f"inputs.pets-predicted-crop={entry}")
    assert "inputs and predicted_inputs both have 'pets-predicted-crop': rename one." in sentence


def test_weights_that_nobody_knows_are_refused(config: Path) -> None:
    entry = "{sample: {from: random, seed: 0}, small: {from: random, seed: 0}, full: {from: random, seed: 0}}"
    sentence = refusal(config, f"weights.resnet35={entry}")
    assert "weights.resnet35 names weights 'resnet35', which does not exist: did you mean 'resnet" in sentence


@pytest.mark.parametrize(
    ("experiment", "target", "oracle"),
    [
        ("lungs-otsu", None, False),
        ("breeds-svm", "breed", False),
        ("ultrasound-raw", "class", False),
        ("ultrasound-overlay", "class", True),
        ("ultrasound-mask-only", "class", True),
        ("ultrasound-shuffled-overlay", "class", False),
        ("ultrasound-predicted-overlay", "class", False),
        ("breeds-true-crop", "breed", True),
        ("breeds-predicted-crop", "breed", False),
    ],
)
def test_an_oracle_is_what_sees_the_truth_of_the_tested_images(
    config: Path, experiment: str, target: str | None, oracle: bool
) -> None:
    settings = read_config(config).experiment(experiment)
    assert (settings["target"], settings["oracle"]) == (target, oracle)


def test_a_threshold_chosen_on_the_tested_image_is_an_oracle(config: Path) -> None:
    set_values(["experiments.thresholds.lungs-otsu.foreground=oracle"], config)
    assert read_config(config).experiment("lungs-otsu")["oracle"]


FOLDER = "{path: ../my images, size: 128, channels: 3, classes: [background, cell], duplicates: {distance: 6}}"


def test_a_folder_of_ones_own_is_a_data_set(config: Path) -> None:
    set_values([f"folders.mine={FOLDER}"], config)
    split = "{name: random, validation: 0.1, test: 0.2, seed: 0}"
    for name, kind in (("masks", "kind: segmentation"), ("classes", "kind: classification, target: class")):
        set_values([f"tasks.mine-{name}={{dataset: mine, {kind}, split: {split}}}"], config)
    read = read_config(config)
    assert read.dataset_names() == ["pets", "catsdogs", "lungs", "ultrasound", "mine"]
    assert read.tasks["mine-classes"].target == "class"
    sentence = refusal(config, "tasks.mine-classes.target=species")
    assert "tasks.mine-classes.target names label 'species'" in sentence
    assert "there are: class" in sentence


@pytest.mark.parametrize(
    ("name", "entry", "sentence"),
    [
        ("lungs", FOLDER, "datasets and folders both have 'lungs': rename one."),
        ("mine", FOLDER.replace("channels: 3", "channels: 2"), "folders.mine.channels is 2, which is none of 1 or 3."),
        ("mine", FOLDER.replace("background, ", ""), "folders.mine.classes: list should have at least 2 items"),
        (
            "mine",
            FOLDER.replace("path", "pat"),
            "folders.mine.pat is no key of the configuration: did you mean 'path'.",
        ),
        ("my images", FOLDER, "folders.my images: string should match pattern"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(config: Path, name: str, entry: str, sentence: str) -> None:
    assert sentence in refusal(config, f"folders.{name}={entry}")


@pytest.mark.parametrize("section", ["stratified", "random", "folds", "mask", "official", "SyntheticArchive"])
def test_a_name_may_be_one_of_the_books_own_words(config: Path, section: str) -> None:
    task = "{dataset: lungs, kind: segmentation, split: {name: every-14th}}"
    set_values([f"tasks.{section}={task}"], config)
    sentence = refusal(config, f"tasks.{section}.kind=none")
    assert f"tasks.{section}.kind is 'none'" in sentence


def test_nothing_is_set_unless_all_of_it_is_valid(config: Path) -> None:
    refusal(config, "profile=small", "seeds.sample=99")
    assert read_config(config).profile == "sample"


def test_setting_a_value_keeps_every_comment_and_the_order(config: Path) -> None:
    before = config.read_text().splitlines()
    set_values(["profile=small", "download.mirror=../images", "recipes.fine-tune.small.epochs=9"], config)
    set_values(["tasks.pets-masks.split.grouped=false"], config)
    after = config.read_text().splitlines()
    changed = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {
        ("profile: sample", "profile: small"),
        ("  mirror: null", "  mirror: ../images"),
        ("      grouped: true", "      grouped: false"),
        ("    small: {epochs: 6, patience: 6}", "    small: {epochs: 9, patience: 6}"),
    }


def test_setting_and_setting_back_restores_every_byte(config: Path) -> None:
    before = config.read_bytes()
    set_values(["profile=small"], config)
    set_values(["profile=sample"], config)
    assert config.read_bytes() == before


def test_a_task_has_the_folds_of_the_books_profile(config: Path) -> None:
    for profile, number in (("sample", 3), ("full", 4)):
        set_values([f"profile={profile}", f"tasks.ultrasound.split.folds.{profile}={number}"], config)
        assert read_config(config).task("ultrasound")["split"]["folds"] == number
    assert read_config(config).task("lungs")["split"]["name"] == "stratified"
    with pytest.raises(BakeoffError, match="has no task 'lungz': did you mean 'lungs'"):
        read_config(config).task("lungz")


def test_a_profile_overrides_what_a_recipe_says_always(config: Path) -> None:
    set_values(["recipes.from-scratch.small.learning_rate=0.5"], config)
    recipe = read_config(config).recipes["from-scratch"]
    assert recipe.at("small")["learning_rate"] == 0.5
    assert recipe.at("full")["learning_rate"] == 0.001


def test_a_broken_book_is_named_with_its_line(config: Path) -> None:
    config.write_text("profile: sample\nseeds: {sample: 1\nx: ]\n")
    with pytest.raises(BakeoffError, match=r"params\.yaml, line \d+ is not valid YAML"):
        read_config(config)


def test_the_command_line_prints_one_sentence_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bakeoff.cli import main

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1
    assert result.output == "bakeoff: params.yaml is missing: run bakeoff from the repository's root.\n"
