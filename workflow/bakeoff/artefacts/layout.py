"""Where everything lies: the folders `data/` and `results/` of a project."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# What tells that a folder of results is an experiment's; see `ExperimentFolder`.
ABOUT = "experiment.json"
BASELINES = "baselines"
# The model card, beside an experiment's scores.
CARD = "card.md"
# Of an experiment with three classes of masks or more, or two without a background.
CLASS_SCORES, PIXEL_CONFUSION = "class_scores.csv", "pixel_confusion.csv"


def masks_file(fold: int | str, variant: str) -> str:
    """Name of the file of a fold's predicted masks; `variant` is cross-fitted or in-sample."""
    return f"fold{fold}-{variant}.npy"


@dataclass(frozen=True)
class ExperimentFolder:
    """What an experiment leaves: `results/TASK/NAME`, of thresholds and classical methods
    `results/TASK/baselines/NAME`.

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.path.name

    @property
    def models(self) -> Path:
        """`seedK.safetensors` (of a classical method `seedK.skops`) and `seedK.json`; of thresholds there are none."""
        return self.path / "models"

    @property
    def history(self) -> Path:
        """`seedK/history.csv`; of networks."""
        return self.path / "history"

    @property
    def predictions(self) -> Path:
        """Predictions, `cost.json`, and `experiment.json`, the experiment's settings."""
        return self.path / "predictions"

    @property
    def about(self) -> Path:
        """The experiment's settings."""
        return self.predictions / ABOUT


@dataclass(frozen=True)
class Project:
    """A clone of the project.

    Attributes
    ----------
    root
        Its folder, which holds `params.yaml`.
    """

    root: Path = Path()

    @property
    def data(self) -> Path:
        """All that is prepared for experiments."""
        return self.root / "data"

    @property
    def results(self) -> Path:
        """All that experiments and their evaluation leave."""
        return self.root / "results"

    def raw(self, dataset: str) -> Path:
        """Archives of a data set."""
        return self.data / "raw" / dataset

    def weights(self, name: str) -> Path:
        """Pretrained weights."""
        return self.data / "weights" / name

    def prepared(self, dataset: str) -> Path:
        """A prepared data set, a derived one, or predicted masks."""
        return self.data / "prepared" / dataset

    def split(self, task: str) -> Path:
        """Which images train, validate and test."""
        return self.data / "splits" / f"{task}.csv"

    def task(self, task: str) -> Path:
        """What the experiments of a task leave."""
        return self.results / task

    def evaluation(self, task: str) -> Path:
        """Scores, comparison and audit of a task."""
        return self.results / "evaluation" / task

    def evaluated(self, task: str, experiment: str) -> Path:
        """Scores, metrics and card of an experiment."""
        return self.evaluation(task) / "experiments" / experiment

    def exports(self, experiment: str) -> Path:
        """ONNX files of an experiment's networks."""
        return self.results / "exports" / experiment

    @property
    def report(self) -> Path:
        """Pages."""
        return self.results / "report"

    def experiment(self, task: str, name: str, family: str) -> ExperimentFolder:
        """What an experiment leaves, or will leave."""
        group = (BASELINES,) if family in ("thresholds", "classical") else ()
        return ExperimentFolder(self.task(task).joinpath(*group, name))

    def experiments(self, task: str) -> dict[str, ExperimentFolder]:
        """What every experiment of a task has left, by name."""
        return {folder.name: folder for folder in _experiments(self.task(task))}


def making(path: Path, *, force: bool = False) -> str:
    """The command that makes a file of an experiment, or makes it again.

    Parameters
    ----------
    path
        A file or folder as the stage `train` or `baselines` writes it; of any other the command is for the whole run.
    force
        Whether it is there, but wrong.

    Examples
    --------
    >>> making(Path("results/lungs/lungs-unet/predictions/predictions.csv"))
    'dvc repro train@lungs-unet'
    >>> making(Path("results/lungs/baselines/lungs-otsu/predictions"), force=True)
    'dvc repro --force --single-item baselines@lungs'
    """
    parts, stage = path.parts, ""
    if BASELINES in parts[1:]:
        stage = f"baselines@{parts[parts.index(BASELINES) - 1]}"
    elif folder := next((part for part in ("models", "predictions") if part in parts[1:]), None):
        stage = f"train@{parts[parts.index(folder) - 1]}"
    return " ".join(["dvc repro", *(["--force"] * force), *(["--single-item"] * bool(force and stage)), stage]).strip()


def leftovers(project: Project, experiments: Mapping[str, str]) -> list[Path]:
    """Folders of experiments that the configuration does not have, or has in another task.

    DVC leaves the outputs of a stage that is taken out where they are, and a task is evaluated with all that is there.

    Parameters
    ----------
    experiments
        The task of every experiment, by name.
    """
    return [
        folder.path
        for task in sorted(set(experiments.values()))
        for name, folder in project.experiments(task).items()
        if experiments.get(name) != task
    ]


def _experiments(folder: Path) -> Iterator[ExperimentFolder]:
    for path in sorted(folder.glob("*/predictions")) + sorted((folder / BASELINES).glob("*/predictions")):
        found = ExperimentFolder(path.parent)
        if found.about.is_file():
            yield found
