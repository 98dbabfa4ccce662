"""Entries taken out of the configuration: all but those of some tasks, or those that `bakeoff add` wrote."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config import check_config, read_config
from bakeoff.config.editing import read_text
from bakeoff.config.entries import anchors_needed, change_entries, comments_above
from bakeoff.config.naming import named, nearest
from bakeoff.config.schema import CONFIG_FILE, Config

Key = tuple[str, ...]
SECTIONS: tuple[Key, ...] = (
    ("datasets",),
    ("folders",),
    ("tasks",),
    ("weights",),
    ("recipes",),
    ("experiments", "baselines"),
    ("experiments", "networks"),
    ("predicted_masks",),
    ("derived",),
    ("exports",),
)


# The first words above an entry that `bakeoff add` wrote; entries that several data sets share are of no one's name.
WRITTEN = "{name}, by bakeoff add"
SHARED = "Shared, by bakeoff add"


def keep_tasks(tasks: Sequence[str], path: Path = CONFIG_FILE) -> int:
    """Take all out of the configuration that tasks do not need; how many entries that were.

    Raises
    ------
    BakeoffError
        If there is no such task.
    """
    config = read_config(path)
    for task in tasks:
        named(config.tasks, task, "task")
    needed = needed_by(config, tasks)
    # Recipes borrow from each other: what is borrowed from stays, with its comments.
    recipes = {key[1] for key in needed if key[0] == "recipes"}
    needed |= {("recipes", name) for name in anchors_needed(read_text(path), ("recipes",), recipes)}
    gone = _entries(config) - needed
    if gone:
        change_entries(path, (), gone, lambda values: check_config(values, path))
    return len(gone)


def remove_own(name: str, path: Path = CONFIG_FILE) -> list[str]:
    """Take out of the configuration what `bakeoff add` wrote of a data set; the keys of what that was.

    Raises
    ------
    BakeoffError
        If `bakeoff add` has written nothing of that name, or other entries depend on it.
    """
    config, text = read_config(path), read_text(path)
    said = dict.fromkeys(_entries(config), "") | comments_above(text, SECTIONS)
    gone = {key for key, comment in said.items() if comment.startswith(WRITTEN.format(name=name))}
    if ("folders", name) not in gone:
        own = [folder for folder in config.folders if said["folders", folder].startswith(WRITTEN.format(name=folder))]
        reason = ": take its entries out by hand" if name in config.folders else nearest(name, own)
        raise BakeoffError(f"{path} has no data set '{name}' that bakeoff add wrote{reason}.")
    dependent = sorted(".".join(key) for key in _dependents(config, gone))
    if dependent:
        others = f" and {len(dependent) - 1} more" if len(dependent) > 1 else ""
        raise BakeoffError(f"{path}: {dependent[0]}{others} depends on '{name}' and is yours: take it out first.")
    # Weights that no other network names any more.
    used = {entry.weights for each, entry in config.networks.items() if ("experiments", "networks", each) not in gone}
    gone |= {
        key
        for key, comment in said.items()
        if key[0] == "weights" and key[1] not in used and comment.startswith(SHARED)
    }
    change_entries(path, (), gone, lambda values: check_config(values, path))
    return sorted(".".join(key) for key in gone)


def _dependents(config: Config, gone: Collection[Key]) -> Iterator[Key]:
    """Entries that stay and name one that goes."""
    for key in _entries(config) - set(gone):
        if _named_by(config, key) & set(gone):
            yield key


def _named_by(config: Config, key: Key) -> set[Key]:
    """Where the entries stand that an entry may name; some of these keys have no entry."""
    *section, name = key
    match section:
        case ["tasks"]:
            return {("folders", config.tasks[name].dataset)}
        case ["experiments", "baselines"]:
            return {("tasks", name)}
        case ["experiments", "networks"]:
            network = config.networks[name]
            return {("tasks", network.task), ("recipes", network.recipe), ("derived", network.images)}
        case ["predicted_masks"]:
            predicted = config.predicted_masks[name]
            return {("tasks", predicted.task), ("experiments", "networks", predicted.segmenter.experiment)}
        case ["derived"]:
            return {("folders", config.derived[name].dataset)}
        case ["exports"]:
            return {("experiments", "networks", name)}
    return set()


@dataclass
class _Needed:
    config: Config
    keys: set[Key] = field(default_factory=set)

    def dataset(self, name: str) -> None:
        for section in ("datasets", "folders"):
            if name in getattr(self.config, section):
                self.keys.add((section, name))

    def task(self, name: str) -> None:
        """A task itself, without its experiments."""
        self.keys.add(("tasks", name))
        self.dataset(self.config.tasks[name].dataset)

    def network(self, name: str) -> None:
        if ("experiments", "networks", name) in self.keys:
            return
        network = self.config.networks[name]
        self.keys |= {
            ("experiments", "networks", name),
            ("weights", network.weights),
            ("recipes", network.recipe),
        }
        self.task(network.task)
        if network.images in self.config.derived:
            self.derived(network.images)
        if name in self.config.exports:
            self.keys.add(("exports", name))

    def derived(self, name: str) -> None:
        derived = self.config.derived[name]
        self.keys.add(("derived", name))
        self.dataset(derived.dataset)
        if derived.masks in self.config.predicted_masks:
            self.keys.add(("predicted_masks", derived.masks))
            predicted = self.config.predicted_masks[derived.masks]
            self.task(predicted.task)
            self.network(predicted.segmenter.experiment)


def needed_by(config: Config, tasks: Iterable[str]) -> set[Key]:
    """Where the entries stand that tasks need: their experiments, and all that these name.

    A network of another task comes along, with its task, where it predicts masks for one of these.
    """
    needed = _Needed(config)
    for task in tasks:
        needed.task(task)
        if task in config.experiments.baselines:
            needed.keys.add(("experiments", "baselines", task))
        for name, network in config.networks.items():
            if network.task == task:
                needed.network(name)
    return needed.keys


def _entries(config: Config) -> set[Key]:
    found: set[Key] = set()
    for section in SECTIONS:
        entries: Any = config
        for name in section:
            entries = getattr(entries, name)
        found |= {(*section, str(name)) for name in entries}
    return found
