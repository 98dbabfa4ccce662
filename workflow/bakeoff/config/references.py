"""Whether what the configuration names exists, and whether its entries agree with each other."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from bakeoff.artefacts.channels import GREY, RGB
from bakeoff.artefacts.constants import constants
from bakeoff.artefacts.layout import BASELINES
from bakeoff.artefacts.mask_score import OBJECTS
from bakeoff.config.messages import bare_sentences
from bakeoff.config.naming import nearest
from bakeoff.config.own_names import wrong_name, wrong_path
from bakeoff.config.schema import (
    PROFILES,
    Classical,
    ClassScore,
    Config,
    Derived,
    Network,
    PredictedMasks,
    Recipe,
    Task,
    Threshold,
    Training,
)

PACKAGE = Path(__file__).parent.parent


def wrong_references(config: Config) -> Iterable[str]:
    """One sentence a mistake, without the file's name."""
    yield from _wrong_data(config)
    yield from _wrong_tasks(config)
    yield from _wrong_recipes(config)
    for name, weights in config.weights.items():
        yield from _unknown(f"weights.{name}.network", weights.network, _modules("weights/networks"), "network")
    yield from _wrong_experiments(config)
    for name, predicted in config.predicted_masks.items():
        yield from _wrong_masks(config, f"predicted_masks.{name}", predicted)
    for name, derived in config.derived.items():
        yield from _wrong_derived(config, f"derived.{name}", derived)
    yield from _wrong_exports(config)


def _unknown(key: str, name: str, known: Iterable[str], kind: str) -> Iterable[str]:
    if name not in list(known):
        yield f"{key} names {kind} '{name}', which does not exist{nearest(name, known)}."


def _contradicted(key: str, given: Mapping[str, object], owner: str, own: Mapping[str, object]) -> Iterable[str]:
    """Keys that repeat what another entry says, which DVC needs, and say something else."""
    for field, value in given.items():
        if value != own[field]:
            yield f"{key}.{field} is {_quoted(value)}, and {owner} has {_quoted(own[field])}: use that."


def _quoted(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _modules(folder: str) -> list[str]:
    return sorted({each.stem for each in (PACKAGE / folder).glob("[!_]*.py")})


def _formats() -> list[str]:
    """Readers of folders: the modules that say what they recognise."""
    folder = "datasets/formats"
    return [name for name in _modules(folder) if "\ndef recognise(" in (PACKAGE / folder / f"{name}.py").read_text()]


def _sources() -> list[str]:
    return sorted(each.parent.name for each in (PACKAGE / "datasets" / "sources").glob("*/__init__.py"))


def _targets(config: Config, dataset: str) -> tuple[str, ...]:
    """Labels of a data set that can be predicted: read from its package and not imported, which would take longer."""
    if dataset in config.folders:
        return ("class",)
    package = PACKAGE / "datasets" / "sources" / config.datasets[dataset].source / "__init__.py"
    targets: tuple[str, ...] = constants(package).get("TARGETS", ())
    return targets


def _classes(config: Config, dataset: str) -> tuple[str, ...]:
    """Classes of a data set's masks; none of a folder whose entry does not name them."""
    if dataset in config.folders:
        return tuple(config.folders[dataset].class_values or ())
    package = PACKAGE / "datasets" / "sources" / config.datasets[dataset].source / "__init__.py"
    classes: tuple[str, ...] = constants(package).get("CLASSES", ())
    return classes


def _scores_several(config: Config, task: Task) -> bool:
    """Whether a segmentation is scored by several classes, as far as the configuration says which there are."""
    if task.dataset in config.datasets and config.datasets[task.dataset].source not in _sources():
        return False  # said of the data set
    folder = config.folders.get(task.dataset)
    if folder and folder.background == "none":
        return True
    return not isinstance(task.score, ClassScore) and len(_classes(config, task.dataset)) > 2


def _wrong_data(config: Config) -> Iterable[str]:
    for name, dataset in config.datasets.items():
        yield from _unknown(f"datasets.{name}.source", dataset.source, _sources(), "data source")
    for name, folder in config.folders.items():
        if reason := wrong_path(folder.path):
            yield f"folders.{name}.path {reason}."
        yield from _unknown(f"folders.{name}.format", folder.format, _formats(), "format")
    sections: dict[str, Mapping[str, object]] = {
        "datasets": config.datasets,
        "folders": config.folders,
        "derived": config.derived,
        "predicted_masks": config.predicted_masks,
    }
    names = [(name, section) for section, entries in sections.items() for name in entries]
    for position, (name, section) in enumerate(names):
        for other, before in names[:position]:
            if other == name:
                yield f"{before} and {section} both have '{name}': rename one."


def _tiled(config: Config, dataset: str) -> bool:
    return dataset in config.folders and config.folders[dataset].geometry == "tile"


def _wrong_tasks(config: Config) -> Iterable[str]:
    used = {*config.experiments.baselines, *(network.task for network in config.networks.values())}
    for name, task in config.tasks.items():
        yield from _unknown(f"tasks.{name}.dataset", task.dataset, config.dataset_names(), "data set")
        folder = config.folders.get(task.dataset)
        read = folder is not None or (
            task.dataset in config.datasets and config.datasets[task.dataset].source in _sources()
        )
        if task.target and _tiled(config, task.dataset):
            yield (
                f"folders.{task.dataset}.geometry is tile, which is for masks, and task '{name}' predicts "
                f"'{task.target}': make it stretch, pad or crop."
            )
        if task.target and read:
            yield from _unknown(f"tasks.{name}.target", task.target, _targets(config, task.dataset), "label")
        if isinstance(task.score, ClassScore) and read and (classes := _classes(config, task.dataset)):
            yield from _unknown(f"tasks.{name}.score.class", task.score.class_, classes, "class")
        if task.score == OBJECTS and read and not (folder and folder.objects):
            yield (
                f"tasks.{name}.score is objects, and data set '{task.dataset}' does not tell them apart: take another "
                "score, or a folder with `objects: true`."
            )
        if wrong_name(name):
            yield f"tasks.{name}: a folder or page of this name is Bakeoff's own: rename the task."
        if name not in used:
            yield f"tasks.{name} has no experiment: add one to experiments, or take the task out."


def _wrong_recipes(config: Config) -> Iterable[str]:
    for name, recipe in config.recipes.items():
        for profile in PROFILES:
            try:
                Training.model_validate(recipe.at(profile))
            except ValidationError as error:
                yield from bare_sentences(error, ("recipes", name, profile))


def _wrong_experiments(config: Config) -> Iterable[str]:
    names = config.experiment_names()
    yield from (
        f"two experiments are called '{name}': rename one." for name in sorted(set(names)) if names.count(name) > 1
    )
    for task, group in config.experiments.baselines.items():
        key = f"experiments.baselines.{task}"
        yield from _unknown(key, task, config.tasks, "task")
        if task not in config.tasks or config.tasks[task].dataset not in config.dataset_names():
            continue  # said of the task
        yield from _contradicted(
            key, {"dataset": group.dataset}, f"task '{task}'", {"dataset": config.tasks[task].dataset}
        )
        for name, method in group.methods.items():
            kind = "classification" if isinstance(method, Classical) else "segmentation"
            if config.tasks[task].kind != kind:
                yield (
                    f"{key}.methods.{name} is a method of {kind}, and task '{task}' is a {config.tasks[task].kind}: "
                    "name one of that kind."
                )
            elif isinstance(method, Threshold) and _scores_several(config, config.tasks[task]):
                yield (
                    f"{key}.methods.{name}: a threshold tells one class from the background, and task '{task}' scores "
                    "several classes: take it out, or let the task's score name one class."
                )
    for name, network in config.networks.items():
        if name == BASELINES:
            yield f"experiments.networks.{name}: a folder of this name is Bakeoff's own: rename the experiment."
        yield from _wrong_network(config, f"experiments.networks.{name}", network)


def _wrong_network(config: Config, key: str, network: Network) -> Iterable[str]:
    yield from _unknown(f"{key}.model", network.model, _modules("models"), "model")
    yield from _unknown(f"{key}.recipe", network.recipe, config.recipes, "recipe")
    yield from _unknown(f"{key}.weights", network.weights, config.weights, "weights")
    if network.recipe in config.recipes and network.weights == "none":
        yield from _frozen(key, network.recipe, config.recipes[network.recipe])
    if network.task not in config.tasks:
        yield from _unknown(f"{key}.task", network.task, config.tasks, "task")
        return
    task = config.tasks[network.task]
    if task.dataset not in config.dataset_names():
        return  # said of the task
    yield from _contradicted(key, {"dataset": network.dataset}, f"task '{network.task}'", {"dataset": task.dataset})
    if network.masks and task.kind == "segmentation":
        yield f"{key}.masks is for classifiers, and task '{network.task}' is a segmentation: take it out."
    yield from _wrong_images(config, key, network)


def _frozen(key: str, name: str, recipe: Recipe) -> Iterable[str]:
    """Of a network without pretrained weights: whether its recipe would keep random values as they are."""
    for profile in PROFILES:
        epochs = recipe.at(profile).get("frozen_epochs")
        if isinstance(epochs, int) and epochs > 0:
            yield (
                f"{key} freezes its encoder (recipes.{name}.{profile}.frozen_epochs is {epochs}) and starts from no "
                "pretrained weights: name weights, or a recipe whose frozen_epochs is 0."
            )
            return


def _wrong_images(config: Config, key: str, network: Network) -> Iterable[str]:
    if network.images == network.dataset:
        return
    yield from _unknown(f"{key}.images", network.images, [network.dataset, *config.derived], "pictures")
    derived = config.derived.get(network.images)
    if derived is None:
        return
    if derived.dataset != network.dataset:
        yield f"{key}.images is '{network.images}', which is derived from another data set: use its own."
    # In another task's folds the masks may be by a network that was trained on the images to test.
    predicted = config.predicted_masks.get(derived.masks)
    if predicted and predicted.task != network.task:
        yield (
            f"{key}.task is '{network.task}', and '{network.images}' has masks predicted for '{predicted.task}': use "
            "that, or pictures of its own."
        )


def _wrong_masks(config: Config, key: str, predicted: PredictedMasks) -> Iterable[str]:
    yield from _unknown(f"{key}.dataset", predicted.dataset, config.dataset_names(), "data set")
    if _tiled(config, predicted.dataset):
        yield f"{key}.dataset is '{predicted.dataset}', whose geometry is tile: make that stretch, pad or crop."
    yield from _unknown(f"{key}.task", predicted.task, config.tasks, "task")
    segmenter = predicted.segmenter
    known = {
        name: network
        for name, network in config.networks.items()
        if network.task in config.tasks and config.tasks[network.task].kind == "segmentation"
    }
    yield from _unknown(f"{key}.segmenter.experiment", segmenter.experiment, known, "network for masks")
    own = {"dataset": config.tasks[predicted.task].dataset} if predicted.task in config.tasks else {}
    if predicted.dataset in config.dataset_names() and own.get("dataset") in config.dataset_names():
        yield from _contradicted(key, {"dataset": predicted.dataset}, f"task '{predicted.task}'", own)
    if segmenter.experiment in known:
        own = known[segmenter.experiment].model_dump()
        given = {field: value for field, value in segmenter.model_dump().items() if field != "experiment"}
        yield from _contradicted(f"{key}.segmenter", given, f"'{segmenter.experiment}'", own)
        if predicted.dataset in config.dataset_names():
            yield from _contradicted(key, {"dataset": predicted.dataset}, f"'{segmenter.experiment}'", own)
        if own["images"] != own["dataset"]:
            yield (
                f"{key}.segmenter.images is '{own['images']}': name a network that sees the images of "
                f"'{own['dataset']}' themselves."
            )


def _wrong_derived(config: Config, key: str, derived: Derived) -> Iterable[str]:
    yield from _unknown(f"{key}.dataset", derived.dataset, config.dataset_names(), "data set")
    if derived.dataset not in config.dataset_names():
        return
    if _tiled(config, derived.dataset):
        yield f"{key}.dataset is '{derived.dataset}', whose geometry is tile: make that stretch, pad or crop."
    if derived.dataset in config.folders and (channels := config.folders[derived.dataset].channels) not in (GREY, RGB):
        what = f"whose images have {channels} channels, on which nothing is drawn"
        yield f"{key}.dataset is '{derived.dataset}', {what}: name one of grey levels or RGB."
    if derived.masks == derived.dataset:
        if derived.variant not in ("true", "shuffled"):
            yield f"{key}.variant is '{derived.variant}', and its masks are the true ones: make it true or shuffled."
        return
    yield from _unknown(f"{key}.masks", derived.masks, [derived.dataset, *config.predicted_masks], "masks")
    predicted = config.predicted_masks.get(derived.masks)
    if predicted is None:
        return
    if predicted.dataset != derived.dataset:
        yield f"{key}.masks is '{derived.masks}', whose masks are of another data set: use its own."
    if derived.variant not in ("cross-fitted", "in-sample"):
        yield f"{key}.variant is '{derived.variant}', and its masks are predicted: make it cross-fitted or in-sample."


def _wrong_exports(config: Config) -> Iterable[str]:
    for name, export in config.exports.items():
        key = f"exports.{name}"
        yield from _unknown(key, name, config.networks, "network")
        if name in config.networks:
            given = {field: value for field, value in export.model_dump().items() if field != "int8"}
            yield from _contradicted(key, given, f"'{name}'", config.networks[name].model_dump())
