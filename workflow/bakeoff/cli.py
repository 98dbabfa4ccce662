"""The command line: reads and checks the configuration, then hands plain values to one function of one stage.

Stages are imported where they are called, so that `bakeoff --help` need not wait for torch.
"""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bakeoff.artefacts.errors import BakeoffError

DATA = Path("data")
RESULTS = Path("results")
TRAINED = ("networks", "pretrained", "classical", "classifiers", "on_inputs")


class _Sentences(click.Group):
    """Prints a `BakeoffError` as one sentence and exits with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BakeoffError as error:
            for line in str(error).splitlines():
                click.echo(f"bakeoff: {line}", err=True)
            ctx.exit(1)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bakeoff")
def main() -> None:
    """Which image-analysis method should I use, and can I trust the answer?

    The pipeline runs these commands for you: type `snakemake --cores 8 --resources gpu=1` or `dvc repro`.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


def _config() -> Any:
    from bakeoff.config import read_config

    return read_config()


@main.command("set")
@click.argument("assignments", metavar="KEY=VALUE...", nargs=-1, required=True)
def set_(assignments: tuple[str, ...]) -> None:
    """Edit the configuration in place, for example: bakeoff set profile=small download.mirror=../images"""
    from bakeoff.config import set_values

    set_values(assignments)


@main.command()
def check() -> None:
    """Check the configuration and say what it will run."""
    config = _config()
    experiments = config.experiment_names()
    click.echo(
        f"params.yaml is valid: profile {config.profile}, {len(experiments)} experiments, {config.seed_count} seeds."
    )


@main.command()
@click.argument("dataset")
def download(dataset: str) -> None:
    """Fetch the archives of DATASET into data/raw, verified."""
    config = _config()
    settings = _named(config.datasets, dataset, "data set")
    archive = config.dataset_size(dataset).archive
    from bakeoff.datasets.acquisition.download import download as run

    run(
        dataset,
        settings.source,
        {} if archive == "official" else archive.model_dump(),
        DATA / "raw" / dataset,
        **config.download.model_dump(),
    )


@main.command()
@click.argument("folder")
def pack(folder: str) -> None:
    """Put FOLDER, one's own images, into an archive in data/raw."""
    settings = _named(_config().folders, folder, "folder")
    from bakeoff.datasets.acquisition.pack import pack as run

    run(folder, settings.path, DATA / "raw" / folder)


@main.command()
@click.argument("name")
def weights(name: str) -> None:
    """Provide the pretrained weights NAME in data/weights."""
    config = _config()
    settings = getattr(_named(config.weights, name, "weights"), config.profile).model_dump(by_alias=True)
    from bakeoff.weights.provide import provide

    provide(name, settings, DATA / "weights" / name, **config.download.model_dump())


@main.command()
@click.argument("dataset")
def prepare(dataset: str) -> None:
    """Turn the archives of DATASET into arrays, with an audit."""
    config = _config()
    settings = _named({**config.datasets, **config.folders}, dataset, "data set")
    own = dataset in config.folders
    from bakeoff.datasets.preparation.prepare import prepare as run

    run(
        dataset,
        "folder" if own else settings.source,
        DATA / "raw" / dataset,
        DATA / "prepared" / dataset,
        size=settings.size if own else config.dataset_size(dataset).size,
        distance=settings.duplicates.distance,
        settings=settings.model_dump() if own else None,
    )


@main.command("input")
@click.argument("name")
def input_(name: str) -> None:
    """Make the pictures NAME from a data set's images and masks."""
    settings = _named(_config().inputs, name, "input").model_dump()
    from bakeoff.datasets.derived.draw import make_input as run

    run(name, settings, DATA / "prepared" / settings["dataset"], DATA / "inputs" / name)


@main.command()
@click.argument("name")
def predicted(name: str) -> None:
    """Make the pictures NAME from a data set's images and the masks that a network predicts."""
    settings = _named(_config().predicted_inputs, name, "predicted input").model_dump()
    segmenter = settings["segmenter"]
    from bakeoff.datasets.derived.masks import predicted as run

    run(
        name,
        settings,
        DATA / "prepared" / settings["dataset"],
        _split(settings["task"]),
        RESULTS / "models" / segmenter["experiment"],
        _split(segmenter["task"]),
        DATA / "inputs" / name,
    )


@main.command()
@click.argument("task")
def split(task: str) -> None:
    """Say which images of TASK train, choose and test."""
    settings = _config().task(task)
    from bakeoff.datasets.splits.split import split as run

    run(task, settings, DATA / "prepared" / settings["dataset"], _split(task))


@main.command()
@click.argument("experiment")
def threshold(experiment: str) -> None:
    """Threshold the test images as EXPERIMENT says."""
    settings = _experiment(experiment, "thresholds")
    from bakeoff.baselines.threshold_experiment import threshold as run

    run(
        experiment,
        settings,
        DATA / "prepared" / settings["dataset"],
        _split(settings["task"]),
        RESULTS / "experiments" / experiment,
    )


@main.command()
@click.argument("experiment")
def fit(experiment: str) -> None:
    """Train EXPERIMENT, once a seed and fold; a network's training that was killed goes on."""
    config = _config()
    settings = _experiment(experiment, *TRAINED)
    common = (DATA / "prepared" / settings["dataset"], _split(settings["task"]))
    models = RESULTS / "models" / experiment
    if settings["family"] == "classical":
        from bakeoff.baselines.classical_experiment import fit as run_classical

        run_classical(experiment, settings, settings["target"], config.seed_count, *common, models)
        return
    from bakeoff.training.fit import fit as run

    run(
        experiment,
        settings,
        config.recipes[settings["recipe"]].at(config.profile),
        settings["target"],
        config.seed_count,
        *common,
        _input(settings),
        DATA / "weights" / settings["weights"] if "weights" in settings else None,
        models,
        RESULTS / "experiments" / experiment / "history",
    )


@main.command()
@click.argument("experiment", required=False)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for masks, outlines and the table.")
@click.option("--segment", metavar="NAME", help="With --classify, in place of EXPERIMENT: whose masks.")
@click.option("--classify", metavar="NAME", help="With --segment: whose classes.")
@click.option(
    "--runtime",
    type=click.Choice(["torch", "onnx", "onnx-int8"]),
    default="torch",
    show_default=True,
    help="What networks run on.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which training.")
@click.option("--fold", type=click.IntRange(0), default=0, show_default=True, help="Which fold's training.")
@click.option("--masks", type=click.Path(path_type=Path), help="Folder of masks, for what was trained on true ones.")
@click.option("--as-stored", is_flag=True, help="Do not turn images as their EXIF tag says.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines in place of CSV.")
@click.pass_context
def predict(
    context: click.Context, experiment: str | None, paths: tuple[str, ...], out: Path | None, **options: Any
) -> None:
    """Say what EXPERIMENT makes of the images at each PATH: files, folders, patterns.

    Without a PATH this is the pipeline's stage: it predicts the test images with everything that EXPERIMENT trained.
    """
    if experiment is not None and (options["segment"] or options["classify"]):
        paths = (experiment, *paths)
        experiment = None
    if not paths:
        _refuse_options(context)
        _predict_tested(experiment)
        return
    if out is None:
        raise BakeoffError("Say where the answers go: --out FOLDER.")
    from bakeoff.inference.command import predict_pictures

    predict_pictures(experiment, paths, out, **options)


def _refuse_options(context: click.Context) -> None:
    """The stage takes no option: one that is given without a PATH would run it over results that nobody asked for."""
    default = click.core.ParameterSource.DEFAULT
    for option in (each for each in context.command.params if isinstance(each, click.Option)):
        if context.get_parameter_source(str(option.name)) is not default:
            raise BakeoffError(
                f"{option.opts[0]} is about images of one's own, and no PATH is given: name images, as in "
                "`bakeoff predict EXPERIMENT PATH... --out FOLDER`."
            )


def _predict_tested(experiment: str | None) -> None:
    if experiment is None:
        raise BakeoffError("Name an experiment and images: bakeoff predict EXPERIMENT PATH... --out FOLDER.")
    settings = _experiment(experiment, *TRAINED)
    common = (DATA / "prepared" / settings["dataset"], _split(settings["task"]))
    models, folder = RESULTS / "models" / experiment, RESULTS / "experiments" / experiment
    if settings["family"] == "classical":
        from bakeoff.baselines.classical_experiment import predict as run_classical

        run_classical(experiment, settings["target"], *common, models, folder)
        return
    from bakeoff.training.predict import predict as run

    run(experiment, *common, _input(settings), models, folder)


@main.command()
@click.argument("experiment")
def export(experiment: str) -> None:
    """Write every network of EXPERIMENT as ONNX, and how near its answers are to torch's."""
    config = _config()
    settings = _experiment(experiment, *(family for family in TRAINED if family != "classical"))
    from bakeoff.exports.export import export as run

    run(
        experiment,
        DATA / "prepared" / settings["dataset"],
        _split(settings["task"]),
        _input(settings),
        RESULTS / "models" / experiment,
        RESULTS / "exports" / experiment,
        int8=config.export.int8,
        resamples=config.resamples,
        source=_source(config, settings["dataset"]),
    )


@main.command()
@click.argument("experiment")
def score(experiment: str) -> None:
    """Score the predictions of EXPERIMENT against the truth, and write its card."""
    config = _config()
    settings = config.experiment(experiment)
    from bakeoff.evaluation.scoring import describe
    from bakeoff.evaluation.scoring import score as run

    where = (
        DATA / "prepared" / settings["dataset"],
        _split(settings["task"]),
        RESULTS / "experiments" / experiment,
    )
    run(experiment, settings["target"], *where, resamples=config.resamples)
    shown = {**config.inputs, **config.predicted_inputs}.get(settings.get("input", ""))
    describe(
        experiment,
        settings,
        config.task(settings["task"]),
        *where,
        RESULTS / "audits" / f"{settings['task']}.json",
        source=_source(config, settings["dataset"]),
        recipe=config.recipes[settings["recipe"]].at(config.profile) if "recipe" in settings else None,
        shown=shown.model_dump() if shown else None,
    )


@main.command()
@click.argument("task")
def compare(task: str) -> None:
    """Rank every method of TASK."""
    config = _config()
    settings = _named(config.tasks, task, "task")
    from bakeoff.evaluation.comparing import compare as run

    run(
        task,
        settings.kind,
        {name: each for name, each in _experiments(config).items() if each["task"] == task},
        RESULTS,
        DATA / "prepared" / settings.dataset,
        _split(task),
        RESULTS / "comparison",
        resamples=config.resamples,
        margin=getattr(config.margins, settings.kind),
    )


@main.command()
@click.argument("task")
def audit(task: str) -> None:
    """Look for leaks: what the test images of TASK share with those trained on, and what files give away."""
    config = _config()
    settings = config.task(task)
    from bakeoff.leakage.audit import audit as run

    run(
        task,
        settings,
        DATA / "prepared" / settings["dataset"],
        _split(task),
        RESULTS / "audits",
        resamples=config.resamples,
    )


@main.command()
def inflation() -> None:
    """Say what each leak adds to the score of experiments that differ in nothing else."""
    config = _config()
    from bakeoff.leakage.effects import inflation as run

    run(
        _experiments(config),
        {name: each.model_dump() for name, each in {**config.inputs, **config.predicted_inputs}.items()},
        {name: each.model_dump() for name, each in config.tasks.items()},
        RESULTS,
        DATA,
        RESULTS / "audits" / "inflation.csv",
        resamples=config.resamples,
    )


@main.command()
def claims() -> None:
    """Set what published systems claim beside what is found here."""
    config = _config()
    from bakeoff.claims.table import claims as run

    run(
        config.profile,
        _experiments(config),
        RESULTS,
        DATA / "prepared",
        RESULTS / "comparison" / "claims.csv",
        margins=config.margins.model_dump(),
        resamples=config.resamples,
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="127.0.0.1 is this machine alone.")
@click.option("--port", type=click.IntRange(1, 65535), default=7860, show_default=True)
@click.option("--browser", is_flag=True, help="Open the page.")
@click.option("--runtime", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True)
def demo(host: str, port: int, browser: bool, runtime: str) -> None:
    """Serve a page on which methods answer about an image side by side."""
    from bakeoff.demo.server import demo as run

    run(Path(), host=host, port=port, open_browser=browser, runtime=runtime)  # type: ignore[arg-type]


@main.command()
def report() -> None:
    """Render results/report/index.html."""
    config = _config()
    from bakeoff.report.write import report as run

    run(
        config.profile,
        {name: task.model_dump() for name, task in config.tasks.items()},
        {name: {**each, **_segmenter(config, each)} for name, each in _experiments(config).items()},
        DATA,
        RESULTS,
        RESULTS / "report",
        margins=config.margins.model_dump(),
        recipes={name: recipe.at(config.profile) for name, recipe in config.recipes.items()},
    )


@main.command()
@click.argument("rev_a", default="HEAD")
@click.argument("rev_b", required=False)
@click.option("--markdown", "layout", flag_value="markdown", help="A table for the comment of a pull request.")
@click.option("--json", "layout", flag_value="json", help="Everything, for a program.")
def diff(rev_a: str, rev_b: str | None, layout: str | None) -> None:
    """Compare the scores of REV_A and REV_B, or the files as they are, and say what is better and how surely."""
    config = _config()
    from bakeoff.diff.differences import compare_revisions
    from bakeoff.diff.table import FORMATS

    found = compare_revisions(rev_a, rev_b, Path(), margins=config.margins.model_dump(), resamples=config.resamples)
    click.echo(FORMATS[layout or "text"](found))


def _input(settings: dict[str, Any]) -> Path | None:
    return DATA / "inputs" / settings["input"] if "input" in settings else None


def _source(config: Any, dataset: str) -> str | None:
    """Which of the published data sets this is; None for a folder of one's own images."""
    return config.datasets[dataset].source if dataset in config.datasets else None


def _split(task: str) -> Path:
    return DATA / "splits" / f"{task}.csv"


def _segmenter(config: Any, experiment: Mapping[str, Any]) -> dict[str, str]:
    """The experiment whose network predicts the masks that another's pictures are made from; empty where none does."""
    shown = config.predicted_inputs.get(experiment.get("input", ""))
    return {"segmenter": shown.segmenter.experiment} if shown else {}


def _experiments(config: Any) -> dict[str, dict[str, Any]]:
    return {name: config.experiment(name) for name in config.experiment_names()}


def _experiment(name: str, *families: str) -> dict[str, Any]:
    settings: dict[str, Any] = _config().experiment(name)
    if settings["family"] not in families:
        raise BakeoffError(
            f"'{name}' is one of experiments.{settings['family']}, and this command is for {', '.join(families)}."
        )
    return settings


def _named(entries: dict[str, Any], name: str, kind: str) -> Any:
    if name not in entries:
        raise BakeoffError(f"params.yaml has no {kind} '{name}': it has {', '.join(entries)}.")
    return entries[name]


if __name__ == "__main__":
    main()
