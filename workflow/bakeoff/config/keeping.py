"""What tasks need of the configuration: the rest can be taken out."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from bakeoff.config.schema import Config

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


def not_needed(config: Config, needed: Collection[Key]) -> set[Key]:
    """Entries of the configuration that are not among those `needed`."""
    found = set()
    for section in SECTIONS:
        entries = config
        for name in section:
            entries = getattr(entries, name)
        found |= {(*section, name) for name in entries} - set(needed)  # type: ignore[attr-defined]
    return found
