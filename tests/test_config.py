"""The configuration: what it refuses, in which words, and how it is edited."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config import PROFILES, check_config, read_config, set_values
from bakeoff.config.messages import known_keys
from click.testing import CliRunner
from ruamel.yaml import YAML

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


def test_the_projects_configuration_is_valid() -> None:
    assert read_config(ROOT / "params.yaml").experiment_names()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(config: Path, profile: str) -> None:
    set_values([f"profile={profile}"], config)
    read = read_config(config)
    assert read.profile == profile
    assert 1 <= read.seed_count <= 5


METHODS = "experiments.baselines.lungs.methods"
CLASSICAL = "experiments.baselines.catsdogs.methods.catsdogs-svm"
NETWORKS = "experiments.networks"
MASKS = "predicted_masks.pets-predicted-masks"
SEGMENTER = f"{MASKS}.segmenter"
OVERLAY = f"{NETWORKS}.ultrasound-overlay"
EXPORT = "{dataset: lungs, task: lungs, images: lungs, model: unet, int8: false}"
LUNGS_UNET = "dataset: lungs, task: lungs, images: lungs, model: unet, weights: none, recipe: from-scratch"


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
        ("datasets.pets.small.archive=3", "datasets.pets.small.archive is 3", "where keys with values belong"),
        ("datasets.pets=lungs", "datasets.pets is 'lungs'", "where keys with values belong"),
        ("datasets.lungs.small.size=7", "datasets.lungs.small.size", "greater than or equal to 16"),
        (f"{NETWORKS}.lungs-unet.model=unett", f"{NETWORKS}.lungs-unet.model names model", "did you mean 'unet'"),
        (f"{NETWORKS}.lungs-unet.model=__init__", f"{NETWORKS}.lungs-unet.model names model", "there are: deeplab"),
        (f"{NETWORKS}.lungs-unet.dataset=lung", f"{NETWORKS}.lungs-unet.dataset", "task 'lungs' has 'lungs': use that"),
        (f"{NETWORKS}.lungs-unet.task=lungz", "lungs-unet.task names task 'lungz'", "did you mean 'lungs'"),
        (f"{NETWORKS}.lungs-unet.recipe=scratch", f"{NETWORKS}.lungs-unet.recipe names recipe", "from-scratch"),
        (f"{NETWORKS}.lungs-unet.weights=null", f"{NETWORKS}.lungs-unet.weights", "valid string"),
        (f"{NETWORKS}.lungs-deeplabv3plus.weights=resnet5", "deeplabv3plus.weights", "did you mean 'resnet50'"),
        (f"{METHODS}.lungs-otsu.method=otzu", f"{METHODS}.lungs-otsu.method is 'otzu'", "did you mean 'otsu'"),
        (f"{METHODS}.lungs-otsu.method=svm", f"{METHODS}.lungs-otsu.features is missing", "add it"),
        (f"{METHODS}.lungs-otsu.foreground=2", f"{METHODS}.lungs-otsu:", "below the number"),
        (f"{METHODS}.lungs-otsu.foreground=drak", f"{METHODS}.lungs-otsu.foreground is", "did you mean 'dark'"),
        (f"{METHODS}.lungs-otsu.classes=3", f"{METHODS}.lungs-otsu:", "multiotsu"),
        (f"{METHODS}={{}}", f"{METHODS}:", "at least 1 item"),
        ("experiments.baselines.lungs.dataset=pets", "experiments.baselines.lungs.dataset is 'pets'", "use that"),
        (
            "experiments.baselines.lung={dataset: lungs, methods: {x: {method: li, foreground: dark}}}",
            "experiments.baselines.lung names task 'lung'",
            "did you mean 'lungs'",
        ),
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
        (
            "tasks.pets-masks.split.validation=1.0",
            "tasks.pets-masks.split.validation: must be a share",
            "list of values",
        ),
        (
            "tasks.pets-masks.split.validation=[1]",
            "tasks.pets-masks.split.validation: must be a share",
            "list of values",
        ),
        ("tasks.pets-masks.split.test=[]", "tasks.pets-masks.split.test", "at least 1 item"),
        ("tasks.ultrasound.split.folds.full=1", "tasks.ultrasound.split.folds.full", "greater than or equal to 2"),
        ("tasks.ultrasound.split.grouped=maybe", "tasks.ultrasound.split.grouped", "valid boolean"),
        ("tasks.ultrasound.split.stratify=class", "tasks.ultrasound.split.stratify", "valid list"),
        ("derived.ultrasound-mask.dataset=ultrasond", "derived.ultrasound-mask.dataset", "did you mean 'ultrasound'"),
        ("derived.ultrasound-mask.kind=maks", "derived.ultrasound-mask.kind", "did you mean 'mask'"),
        ("derived.ultrasound-mask.masks=ultrasond", "derived.ultrasound-mask.masks", "did you mean 'ultrasound'"),
        ("derived.ultrasound-mask.variant=in-sample", "derived.ultrasound-mask.variant", "make it true or shuffled"),
        ("derived.ultrasound-mask.masks=pets-predicted-masks", "derived.ultrasound-mask.masks", "of another data set"),
        (
            "derived.ultrasound-predicted-overlay.variant=shuffled",
            "predicted-overlay.variant is",
            "make it cross-fitted",
        ),
        ("derived.ultrasound-overlay.variant=shufled", "derived.ultrasound-overlay.variant", "did you mean 'shuffled'"),
        ("derived.ultrasound-overlay.colour=[255, 0]", "derived.ultrasound-overlay.colour", "at least 3 items"),
        ("derived.ultrasound-overlay.colour=[256, 0, 0]", "derived.ultrasound-overlay.colour.0", "or equal to 255"),
        ("derived.pets-true-crop.keep=corp", "derived.pets-true-crop.keep ", "did you mean 'crop'"),
        ("derived.pets-true-crop.margin=0.6", "derived.pets-true-crop.margin", "less than or equal to 0.5"),
        ("derived.pets-true-crop.style=tint", "derived.pets-true-crop.style", "does not belong there"),
        (f"{MASKS}.kind=mask", f"{MASKS}.kind does not belong there", "take it out"),
        (f"{MASKS}.dataset=pet", f"{MASKS}.dataset names data set 'pet'", "did you mean 'pets'"),
        (f"{MASKS}.task=breeds", f"{MASKS}.task", "did you mean 'pets-breeds'"),
        (f"{MASKS}.inner_folds.full=1", f"{MASKS}.inner_folds.full", "greater than or equal to 2"),
        (f"{SEGMENTER}.experiment=pets-unett", f"{SEGMENTER}.experiment names network", "did you mean 'pets-unet'"),
        (f"{SEGMENTER}.experiment=pets-otsu", f"{SEGMENTER}.experiment names network for masks", "does not exist"),
        (f"{SEGMENTER}.experiment=breeds-resnet34", f"{SEGMENTER}.experiment names network for masks", "not exist"),
        (f"{SEGMENTER}.task=pets-breeds", f"{SEGMENTER}.task is 'pets-breeds'", "has 'pets-masks': use that"),
        (f"{SEGMENTER}.model=unet", f"{SEGMENTER}.model is 'unet'", "has 'resnet50_unet': use that"),
        (f"{SEGMENTER}.recipe=photographs", f"{SEGMENTER}.recipe is 'photographs'", "use that"),
        (f"{SEGMENTER}.settings={{}}", f"{SEGMENTER}.settings is {{}}", "has {'head': 'mask'}: use that"),
        (f"{SEGMENTER}.modell=unet", f"{SEGMENTER}.modell", "did you mean 'model'"),
        (
            f"{SEGMENTER}={{experiment: lungs-unet, {LUNGS_UNET}, settings: {{channels: [32], norm: none}}}}",
            f"{MASKS}.dataset is 'pets'",
            "'lungs-unet' has 'lungs': use that",
        ),
        (f"{MASKS}.task=catsdogs", f"{MASKS}.dataset is 'pets'", "task 'catsdogs' has 'catsdogs': use that"),
        (f"{CLASSICAL}.method=svn", f"{CLASSICAL}.method ", "did you mean 'svm'"),
        (f"{CLASSICAL}.features=gray", f"{CLASSICAL}.features ", "did you mean 'grey'"),
        (f"{CLASSICAL}.side=4", f"{CLASSICAL}.side", "greater than or equal to 8"),
        (f"{CLASSICAL}.foreground=dark", f"{CLASSICAL}.foreground does not belong there", "take it out"),
        (f"{NETWORKS}.catsdogs-resnet50.model=resnet50_clasifier", "resnet50.model", "mean 'resnet50_classifier'"),
        (f"{NETWORKS}.catsdogs-resnet50.weights=resnet5", "resnet50.weights", "did you mean 'resnet50'"),
        (f"{NETWORKS}.catsdogs-resnet50.recipe=as-run", "resnet50.recipe names recipe", "'cats-dogs-as-run'"),
        (f"{NETWORKS}.catsdogs-resnet50.masks=1", f"{NETWORKS}.catsdogs-resnet50.masks", "valid boolean"),
        (f"{NETWORKS}.lungs-unet.masks=true", f"{NETWORKS}.lungs-unet.masks is for classifiers", "take it out"),
        (f"{NETWORKS}.catsdogs-resnet50.input=x", f"{NETWORKS}.catsdogs-resnet50.input is not a key", "of the config"),
        (f"{OVERLAY}.images=ultrasound-overly", f"{OVERLAY}.images names pictures", "mean 'ultrasound-overlay'"),
        (f"{OVERLAY}.images=pets-true-crop", f"{OVERLAY}.images is 'pets-true-crop'", "from another data set"),
        (f"{OVERLAY}.images=ultrasound-predicted-masks", f"{OVERLAY}.images names pictures", "does not exist"),
        (
            f"{NETWORKS}.ultrasound-predicted-overlay.task=ultrasound-ungrouped",
            f"{NETWORKS}.ultrasound-predicted-overlay.task is 'ultrasound-ungrouped'",
            "'ultrasound-predicted-overlay' has masks predicted for 'ultrasound': use that",
        ),
        ("exports.lungs-unett={}", "exports.lungs-unett.task is missing", "add it"),
        (f"exports.lungs-unett={EXPORT}", "exports.lungs-unett names network", "did you mean 'lungs-unet'"),
        (f"exports.lungs-otsu={EXPORT}", "exports.lungs-otsu names network 'lungs-otsu'", "does not exist"),
        (
            f"exports.lungs-deeplabv3plus={EXPORT}",
            "exports.lungs-deeplabv3plus.model is 'unet'",
            "'deeplabv3plus': use",
        ),
        (f"exports.lungs-unet={EXPORT.replace('false', '1')}", "exports.lungs-unet.int8", "valid boolean"),
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


def test_a_mistake_in_what_others_repeat_is_said_once(config: Path) -> None:
    # Every baseline, network and segmenter of the task repeats its data set.
    assert refusal(config, "tasks.ultrasound-masks.dataset=ultrasond").count("\n") == 0
    assert refusal(config, "tasks.pets-breeds.dataset=pet").count("\n") == 0
    assert refusal(config, "weights.resnet50.small.from=oficial").count("\n") == 0


def test_two_experiments_of_one_name_are_refused(config: Path) -> None:
    sentence = refusal(config, f"{METHODS}.lungs-unet={{method: li, foreground: dark}}")
    assert "two experiments are called 'lungs-unet': rename one." in sentence


SMALL_UNET = "model: unet, weights: none, recipe: from-scratch, settings: {}"
SPECKLE = "dataset: ultrasound, images: ultrasound"


def test_a_method_of_another_kind_than_its_task_is_refused(config: Path) -> None:
    sentence = refusal(config, "experiments.baselines.catsdogs.methods.mine={method: li, foreground: dark}")
    assert sentence.endswith(
        "experiments.baselines.catsdogs.methods.mine is a method of segmentation, and task 'catsdogs' is a "
        "classification: name one of that kind."
    )
    majority = "{method: majority, features: none, side: 8, settings: {}}"
    assert f"{METHODS}.mine is a method of classification, and task 'lungs' is a seg" in refusal(
        config, f"{METHODS}.mine={majority}"
    )


def test_masks_are_learned_beside_a_class_alone(config: Path) -> None:
    network = f"{{{SPECKLE}, task: ultrasound, {SMALL_UNET}, masks: true}}"
    set_values([f"{NETWORKS}.mine={network}"], config)
    sentence = refusal(config, f"{NETWORKS}.mine={network.replace('task: ultrasound', 'task: ultrasound-masks')}")
    assert f"{NETWORKS}.mine.masks is for classifiers, and task 'ultrasound-masks' is a segmentation" in sentence


def test_two_data_sets_of_one_name_are_refused(config: Path) -> None:
    entry = "{dataset: pets, kind: mask, masks: pets, variant: 'true', seed: 0}"
    sentence = refusal(config, f"derived.pets-predicted-masks={entry}")
    assert "derived and predicted_masks both have 'pets-predicted-masks': rename one." in sentence


@pytest.mark.parametrize(
    "assignment",
    [
        f"{NETWORKS}.a.b={{{LUNGS_UNET}, settings: {{}}}}",
        "tasks.a.b={dataset: lungs, kind: segmentation, split: {name: every-14th}}",
        f"{METHODS}.a.b={{method: li, foreground: dark}}",
        "derived.a.b={dataset: pets, kind: mask, masks: pets, variant: 'true', seed: 0}",
    ],
)
def test_a_name_with_a_dot_is_refused(config: Path, assignment: str) -> None:
    # DVC reads a dot as the step to a key below. `bakeoff set` does too, so this comes from an editor.
    key, _, value = assignment.partition("=")
    *parents, first, last = key.split(".")
    values = YAML(typ="safe").load(config.read_text())
    node = values
    for parent in parents:
        node = node[parent]
    node[f"{first}.{last}"] = YAML(typ="safe").load(value)
    with pytest.raises(BakeoffError) as caught:
        check_config(values)
    assert f"{'.'.join(parents)}.a.b: string should match pattern" in str(caught.value)
    with pytest.raises(BakeoffError, match=r"has no key '[\w.-]+\.a'"):
        set_values([assignment], config)


@pytest.mark.parametrize("name", ["evaluation", "exports", "report", "index", "claims", "baselines", "data-lungs"])
def test_a_task_is_not_called_as_one_of_bakeoffs_folders_or_pages(config: Path, name: str) -> None:
    sentence = refusal(config, f"tasks.{name}={{dataset: lungs, kind: segmentation, split: {{name: every-14th}}}}")
    assert f"tasks.{name}: a folder or page of this name is Bakeoff's own: rename the task." in sentence


def test_an_experiment_is_not_called_as_the_folder_of_baselines(config: Path) -> None:
    sentence = refusal(config, f"{NETWORKS}.baselines={{{LUNGS_UNET}, settings: {{}}}}")
    assert f"{NETWORKS}.baselines: a folder of this name is Bakeoff's own: rename the experiment." in sentence


def test_a_task_that_nothing_competes_in_is_refused(config: Path) -> None:
    sentence = refusal(config, "tasks.mine={dataset: lungs, kind: segmentation, split: {name: every-14th}}")
    assert sentence.endswith("tasks.mine has no experiment: add one to experiments, or take the task out.")
    assert sentence.count("\n") == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_an_encoder_without_pretrained_weights_is_not_frozen(config: Path, profile: str) -> None:
    # At whatever profile: the mistake is there before anyone waits for the first epoch.
    sentence = refusal(config, f"recipes.from-scratch.{profile}.frozen_epochs=2")
    assert (
        f"{NETWORKS}.lungs-unet freezes its encoder (recipes.from-scratch.{profile}.frozen_epochs is 2) and starts "
        "from no pretrained weights: name weights, or a recipe whose frozen_epochs is 0." in sentence
    )
    assert f"{NETWORKS}.lungs-deeplabv3plus" not in sentence
    sentence = refusal(config, f"{NETWORKS}.pets-unet.recipe=photographs-frozen")
    assert f"{NETWORKS}.pets-unet freezes its encoder (recipes.photographs-frozen.small.frozen_epochs is 1" in sentence
    set_values([f"recipes.fine-tune.{profile}.frozen_epochs=2"], config)


def test_a_segmenter_sees_the_data_sets_own_images(config: Path) -> None:
    overlay = f"{{{SPECKLE}-mask, task: ultrasound-masks, {SMALL_UNET}}}"
    set_values([f"{NETWORKS}.mine={overlay}"], config)
    sentence = refusal(
        config, "predicted_masks.ultrasound-predicted-masks.segmenter=" + overlay.replace("{", "{experiment: mine, ", 1)
    )
    assert (
        "predicted_masks.ultrasound-predicted-masks.segmenter.images is 'ultrasound-mask': name a network that sees "
        "the images of 'ultrasound' themselves." in sentence
    )


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in a configuration a value stands that is no section."""
    if not isinstance(values, dict):
        yield path
        return
    for key, value in values.items():
        yield from leaves(value, (*path, key))


def test_the_key_of_a_mistake_is_that_of_the_configuration() -> None:
    """A value of a wrong type in every kind of place: unions are told apart by pydantic, and not in the sentence."""
    values = json.loads(json.dumps(YAML(typ="safe").load((ROOT / "params.yaml").read_text())))  # nothing is shared
    one_each: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path in leaves(values):
        if "settings" not in path and path[0] != "recipes":  # free, and tested above
            kinds = [each for each in path if each in known_keys()]
            one_each.setdefault((*path[:2], *kinds) if path[0] == "tasks" else (path[0], *kinds), path)
    assert len(one_each) > 90
    for path in one_each.values():
        spoilt = copy.deepcopy(values)
        node = spoilt
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = [["wrong"]]
        with pytest.raises(BakeoffError) as caught:
            check_config(spoilt)
        for sentence in str(caught.value).splitlines():
            found = sentence.removeprefix("params.yaml: ").split(" ")[0].rstrip(":")
            key = ".".join(path)
            assert found == key or found.startswith(f"{key}.") or found == key.removesuffix(f".{path[-1]}"), sentence


def test_weights_that_nobody_knows_are_refused(config: Path) -> None:
    drawn = "sample: {from: random, seed: 0}, small: {from: random, seed: 0}, full: {from: random, seed: 0}"
    sentence = refusal(config, f"weights.mine={{network: resnet35, {drawn}}}")
    assert "weights.mine.network names network 'resnet35', which does not exist: did you mean 'resnet" in sentence
    assert "weights.mine.network is missing: add it." in refusal(config, f"weights.mine={{{drawn}}}")


@pytest.mark.parametrize(
    ("experiment", "family", "target", "pictures", "segmenter", "oracle"),
    [
        ("lungs-otsu", "thresholds", None, None, None, False),
        ("lungs-unet", "networks", None, None, None, False),
        ("lungs-deeplabv3plus", "pretrained", None, None, None, False),
        ("breeds-svm", "classical", "breed", None, None, False),
        ("ultrasound-raw", "pretrained", "class", None, None, False),
        ("ultrasound-overlay", "derived", "class", "overlay", None, True),
        ("ultrasound-mask-only", "derived", "class", "mask", None, True),
        ("ultrasound-shuffled-overlay", "derived", "class", "overlay", None, False),
        ("ultrasound-predicted-overlay", "derived", "class", "overlay", "ultrasound-unet", False),
        ("ultrasound-in-sample-overlay", "derived", "class", "overlay", "ultrasound-unet", False),
        ("breeds-true-crop", "derived", "breed", "region", None, True),
        ("breeds-predicted-crop", "derived", "breed", "region", "pets-resnet50-unet", False),
    ],
)
def test_what_an_experiment_sees_makes_it_an_oracle_or_not(
    config: Path,
    experiment: str,
    family: str,
    target: str | None,
    pictures: str | None,
    segmenter: str | None,
    oracle: bool,
) -> None:
    settings = read_config(config).experiment(experiment)
    assert (settings["family"], settings["target"], settings["oracle"]) == (family, target, oracle)
    assert (settings["pictures"] and settings["pictures"]["kind"], settings["segmenter"]) == (pictures, segmenter)


def test_an_experiment_says_where_it_competes(config: Path) -> None:
    read = read_config(config)
    for name in read.experiment_names():
        settings = read.experiment(name)
        task = read.task(settings["task"])
        assert (settings["dataset"], settings["target"]) == (task["dataset"], task["target"])
        assert settings["images"] in (settings["dataset"], *read.derived)
    assert len(read.experiment_names()) == len(set(read.experiment_names())) >= 68
    assert list(read.baselines("lungs")) == list(read.experiments.baselines["lungs"].methods)
    with pytest.raises(BakeoffError, match="has no experiment 'lungs-otzu': did you mean 'lungs-otsu'"):
        read.experiment("lungs-otzu")
    with pytest.raises(BakeoffError, match="has no baselines 'ultrasound'"):
        read.baselines("ultrasound")


def test_a_threshold_chosen_on_the_tested_image_is_an_oracle(config: Path) -> None:
    set_values([f"{METHODS}.lungs-otsu.foreground=oracle"], config)
    assert read_config(config).experiment("lungs-otsu")["oracle"]


FOLDER = (
    "{path: ../my images, format: pairs, images: 'images/{id}', masks: 'masks/{id}', size: 128, channels: 3, "
    "classes: [background, cell], duplicates: {distance: 6}}"
)


def test_a_folder_of_ones_own_is_a_data_set(config: Path) -> None:
    set_values([f"folders.mine={FOLDER}"], config)
    split = "{name: random, validation: 0.1, test: 0.2, seed: 0}"
    kinds = {
        "masks": ("kind: segmentation", "{method: li, foreground: dark}"),
        "classes": ("kind: classification, target: class", "{method: majority, features: none, side: 8, settings: {}}"),
    }
    for name, (kind, method) in kinds.items():
        task = f"tasks.mine-{name}={{dataset: mine, {kind}, split: {split}}}"
        set_values(
            [task, f"experiments.baselines.mine-{name}={{dataset: mine, methods: {{{name}: {method}}}}}"], config
        )
    read = read_config(config)
    assert read.dataset_names() == ["pets", "catsdogs", "lungs", "ultrasound", "mine"]
    assert read.tasks["mine-classes"].target == "class"
    sentence = refusal(config, "folders.mine.geometry=tile")
    assert "folders.mine.geometry is tile, which is for masks, and task 'mine-classes' predicts 'class'" in sentence
    sentence = refusal(config, "tasks.mine-classes.target=species")
    assert "tasks.mine-classes.target names label 'species'" in sentence
    assert "there are: class" in sentence


@pytest.mark.parametrize(
    ("name", "entry", "sentence"),
    [
        ("lungs", FOLDER, "datasets and folders both have 'lungs': rename one."),
        (
            "mine",
            FOLDER.replace("channels: 3", "channels: 33"),
            "folders.mine.channels: input should be less than or equal to 32 (it is 33).",
        ),
        ("mine", FOLDER.replace("background, ", ""), "folders.mine.classes: list should have at least 2 items"),
        (
            "mine",
            FOLDER.replace("path", "pat"),
            "folders.mine.pat is not a key of the configuration: did you mean 'path'.",
        ),
        ("my images", FOLDER, "folders.my images: string should match pattern"),
        (
            "mine",
            FOLDER.replace("pairs", "pair"),
            "folders.mine.format names format 'pair', which does not exist: did you mean 'pairs'.",
        ),
        ("mine", FOLDER.replace("masks: 'masks/{id}', ", ""), "'masks' is missing, which format pairs needs: state it"),
        ("mine", FOLDER.replace("size", "geometry: squash, size"), "folders.mine.geometry is 'squash'"),
        ("mine", FOLDER.replace("128", "[128]"), "folders.mine.size"),
        ("mine", FOLDER.replace("128", "[128, 8]"), "folders.mine.size"),
        *(
            (
                "mine",
                FOLDER.replace("size", f"levels: {levels}, size"),
                "folders.mine.levels: must be the level that becomes black, then the higher one that becomes white",
            )
            for levels in ("[5]", "[]", "[5, 5]", "[1, 2, 3]", "[[1, 2], 3, 4]", "[[1, 2], [4, 3]]", "[a, b]", "[[]]")
        ),
        (
            "mine",
            FOLDER.replace("size", "levels: [[1, 2], [3, 4]], size"),
            "'levels' has 2 pairs, and 'channels' is 3",
        ),
        (
            "mine",
            FOLDER.replace("size", "background: cell, size"),
            "'background' must be the first of 'classes', or none",
        ),
    ],
)
def test_a_folder_that_cannot_be_is_refused(config: Path, name: str, entry: str, sentence: str) -> None:
    assert sentence in refusal(config, f"folders.{name}={entry}")


def test_levels_are_of_all_channels_or_of_each(config: Path) -> None:
    for levels in ([100, 4000.5], [[0, 1], [100, 4000], [-5, 9]]):
        set_values([f"folders.mine={FOLDER.replace('size', f'levels: {levels}, size')}"], config)
        assert read_config(config).levels("mine") == levels
    assert read_config(config).levels("lungs") is None


def test_nothing_is_drawn_on_images_of_other_channels(config: Path) -> None:
    set_values([f"folders.mine={FOLDER.replace('channels: 3', 'channels: 4')}"], config)
    overlay = "{kind: mask, dataset: mine, masks: mine, variant: 'true', seed: 0}"
    said = "derived.drawn.dataset is 'mine', whose images have 4 channels, on which nothing is drawn: name one of grey"
    assert said in refusal(config, f"derived.drawn={overlay}")


@pytest.mark.parametrize("section", ["stratified", "random", "folds", "mask", "official", "SyntheticArchive"])
def test_a_name_may_be_one_of_the_configurations_own_words(config: Path, section: str) -> None:
    task = "{dataset: lungs, kind: segmentation, split: {name: every-14th}}"
    methods = "{dataset: lungs, methods: {threshold: {method: li, foreground: dark}}}"
    set_values([f"tasks.{section}={task}", f"experiments.baselines.{section}={methods}"], config)
    sentence = refusal(config, f"experiments.baselines.{section}.methods.threshold.method=lee")
    assert f"experiments.baselines.{section}.methods.threshold.method is 'lee'" in sentence
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


def test_a_task_has_the_folds_of_the_profile(config: Path) -> None:
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


def test_a_broken_configuration_is_named_with_its_line(config: Path) -> None:
    config.write_text("profile: sample\nseeds: {sample: 1\nx: ]\n")
    with pytest.raises(BakeoffError, match=r"params\.yaml, line \d+ is not valid YAML"):
        read_config(config)


def test_the_command_line_prints_one_sentence_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bakeoff.cli import main

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1
    assert result.output == "bakeoff: params.yaml is missing: run bakeoff from the repository's root.\n"


def test_a_score_of_objects_needs_masks_that_tell_them_apart(config: Path) -> None:
    said = "score is objects, and data set '{}' does not tell them apart"
    assert said.format("pets") in refusal(config, "tasks.pets-masks.score=objects")
    split = "{name: stratified, train: 0.7, validation: 0.15, test: 0.15, stratify: [], seed: 0}"
    entries = (
        f"tasks.mine={{dataset: mine, kind: segmentation, score: objects, split: {split}}}",
        "experiments.baselines.mine={dataset: mine, methods: {mine-otsu: {method: otsu, foreground: train}}}",
    )
    assert said.format("mine") in refusal(config, f"folders.mine={FOLDER}", *entries)
    set_values([f"folders.mine={FOLDER.removesuffix('}')}, objects: true}}", *entries], config)


def test_thresholds_in_a_task_that_scores_several_classes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text().replace("    score: {class: pet}\n", ""))
    with pytest.raises(BakeoffError, match=r"methods\.pets-\S+: a threshold tells one class from the background"):
        read_config(file)
