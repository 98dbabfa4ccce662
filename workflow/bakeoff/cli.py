"""The command line: reads and checks the configuration, then hands plain values to one function of one stage.

What a command needs is imported where it is called, so that a threshold waits for no torch.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project, leftovers

PROJECT = Project()


class _Sentences(click.Group):
    """Prints a `BakeoffError` as one sentence and exits with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BakeoffError as error:
            for line in str(error).splitlines():
                click.echo(f"bakeoff: {line}", err=True)
            ctx.exit(1)


class _WithFiles(click.Command):
    """Takes a word that begins with a dash for a file where there is one of this name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(
            ctx, [f"./{arg}" if arg.startswith("-") and Path(arg).exists() else arg for arg in args]
        )


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bakeoff")
def main() -> None:
    """Which image-analysis method should I use, and can I trust the answer?

    The pipeline runs most of these commands for you: type `snakemake --cores 8 --resources gpu=1` or `dvc repro`.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


def _config() -> Any:
    from bakeoff.config import read_config

    return read_config()


def _stage(command: Callable[..., None]) -> Callable[..., None]:
    """A command that the pipeline runs: one engine at a time."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        from bakeoff.engine import join_engine

        join_engine(Path(), os.environ.get("DVC_STAGE", ""))
        command(*arguments, **options)

    return run


# Commands of a user.


@main.command("set")
@click.argument("assignments", metavar="KEY=VALUE...", nargs=-1, required=True)
def set_(assignments: tuple[str, ...]) -> None:
    """Edit the configuration in place, for example: bakeoff set profile=small download.mirror=../images"""
    from bakeoff.config import set_values

    set_values(assignments)


@main.command()
def check() -> None:
    """Check the configuration, its folders, settings and weights, and say what it will run."""
    config = _config()
    from bakeoff.adding.ahead import check_ahead
    from bakeoff.config import CONFIG_FILE

    check_ahead(config, PROJECT, CONFIG_FILE)
    experiments = config.experiment_names()
    click.echo(
        f"params.yaml is valid: profile {config.profile}, {len(experiments)} experiments, {config.seed_count} seeds."
    )
    for path in leftovers(PROJECT, config.tasks_of_experiments()):
        click.echo(f"{path} belongs to no experiment: delete the folder to take it out of the comparison.", err=True)


@main.command()
@click.argument("path")
@click.option("--name", help="What data set and task are called; else after the folder.")
@click.option("--task", type=click.Choice(["segmentation", "classification"]), help="What is predicted.")
@click.option("--format", metavar="NAME", help="What the folder is read as: pairs, classes, table, coco, ...")
@click.option("--images", metavar="PATTERN", help="Paths of images, as images/{id}.")
@click.option("--masks", metavar="PATTERN", help="Paths of masks, as masks/{id}_mask.")
@click.option("--mask-suffix", metavar="TEXT", help="What names of masks have more than those of their images.")
@click.option("--classes", metavar="NAME=VALUE,...", help="Classes in order; VALUE is a level, a colour or a label.")
@click.option("--background", metavar="NAME", help="The class of the background; none: every class counts.")
@click.option("--ignore", metavar="VALUE,...", help="What is void; none for nothing.")
@click.option("--objects/--no-objects", default=None, help="Whether masks are of single objects.")
@click.option("--empty-masks", type=click.Choice(["drop", "keep"]), help="Images whose masks have no foreground.")
@click.option("--threshold", type=click.IntRange(1), help="Of smoothed masks, the level that foreground begins with.")
@click.option(
    "--levels", metavar="LOW,HIGH", help="Of more than 8 bits, what becomes black and white; or a pair a channel."
)
@click.option("--orientation", type=click.Choice(["as-stored", "upright"]), help="Whether EXIF tags turn images.")
@click.option("--split", metavar="SOURCE", help="Where the split is from: none, folders, lists, a column; random.")
@click.option("--group", metavar="SOURCE", help="What belongs together: none, a column, or a regular expression.")
@click.option("--labels", metavar="FILE[:COLUMN]", help="A table of labels in the folder, and the column of the class.")
@click.option("--channels", metavar="N", help="1 for grey levels, 3 for RGB; other numbers as the files have them.")
@click.option("--size", metavar="N|HEIGHT,WIDTH", help="Longest side of the prepared images in pixels, or both sides.")
@click.option("--geometry", metavar="NAME", help="How images become that: stretch, pad, crop, or tile (windows of it).")
@click.option("--suite", metavar="NAME", help="The methods; see `bakeoff suites`.  [default: quick]")
@click.option("--pretrained/--no-pretrained", default=None, help="Whether networks may start from published weights.")
@click.option("--dry-run", is_flag=True, help="Say everything, write nothing.")
def add(path: str, **options: Any) -> None:
    """Take the folder or zip at PATH into the configuration: data set, task and a suite of methods."""
    from bakeoff.adding.command import add as run

    for line in run(path, options):
        click.echo(line)


@main.command()
def suites() -> None:
    """List the suites of methods, and what they take here."""
    from bakeoff.adding.listing import said_suites

    for line in said_suites():
        click.echo(line)


@main.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take the data set NAME out of the configuration, with all that `bakeoff add` wrote of it."""
    from bakeoff.config.restricting import remove_own

    for key in remove_own(name):
        click.echo(f"taken out of params.yaml: {key}")
    left = [path for path in (PROJECT.prepared(name), PROJECT.task(name), PROJECT.evaluation(name)) if path.exists()]
    if left:
        click.echo(f"What was computed stays: delete {', '.join(map(str, left))} to make room.")


@main.command()
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
def keep(tasks: tuple[str, ...]) -> None:
    """Restrict the configuration to the TASKs and what they need."""
    from bakeoff.config.restricting import keep_tasks

    count = keep_tasks(tasks)
    click.echo(f"params.yaml: {count} entries taken out; {', '.join(tasks)} and what is needed for it are left.")


@main.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--best", is_flag=True, help="The network of each task with the best validation score.")
def exports(names: tuple[str, ...], best: bool) -> None:
    """Set the configuration's `exports` to NAMES, or to the best networks."""
    from bakeoff.config import set_values
    from bakeoff.exports.choice import best_networks, exports_as_yaml

    if bool(names) == best:
        raise BakeoffError("Name networks or use --best: bakeoff exports --best.")
    config = _config()
    networks = {name: config.experiment(name) for name in config.networks}
    chosen = best_networks(networks, PROJECT) if best else list(names)
    for name in chosen:
        _named(networks, name, "network")
    int8 = [name for name, entry in config.exports.items() if entry.int8]
    set_values([f"exports={exports_as_yaml(networks, chosen, int8)}"])
    click.echo(f"params.yaml exports {', '.join(chosen) or 'nothing'}: run the pipeline to write them.")


@main.command(cls=_WithFiles)
@click.argument("experiment", required=False)
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for masks, outlines and the table.")
@click.option("--segment", metavar="NAME", help="With --classify, in place of EXPERIMENT: predicts the mask.")
@click.option("--classify", metavar="NAME", help="With --segment: predicts the class.")
@click.option(
    "--runtime",
    type=click.Choice(["torch", "onnx", "onnx-int8"]),
    default="torch",
    show_default=True,
    help="What networks run on.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which training.")
@click.option("--fold", type=click.IntRange(0), default=0, show_default=True, help="Which fold's training.")
@click.option("--masks", type=click.Path(path_type=Path), help="Folder of true masks, if it was trained on them.")
@click.option("--upright/--as-stored", default=None, help="Whether EXIF tags turn images; else as the data set has it.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines in place of CSV.")
def predict(experiment: str | None, paths: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Predict the images at each PATH (files, folders, patterns) with EXPERIMENT."""
    if experiment is not None and (options["segment"] or options["classify"]):
        paths = (experiment, *paths)
        experiment = None
    if not paths:
        raise BakeoffError("Name an experiment and images: bakeoff predict EXPERIMENT PATH... --out FOLDER.")
    if out is None:
        raise BakeoffError("Say where the answers go: --out FOLDER.")
    from bakeoff.inference.command import predict_pictures

    predict_pictures(experiment, paths, out, **options)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="127.0.0.1: this machine alone.")
@click.option("--port", type=click.IntRange(1, 65535), default=7860, show_default=True)
@click.option("--browser", is_flag=True, help="Open the page.")
@click.option("--runtime", type=click.Choice(["auto", "torch", "onnx"]), default="auto", show_default=True)
def demo(host: str, port: int, browser: bool, runtime: str) -> None:
    """Serve a page that shows the predictions of several methods side by side."""
    from bakeoff.demo.server import demo as run

    run(Path(), host=host, port=port, open_browser=browser, runtime=runtime)  # type: ignore[arg-type]


@main.command()
@click.argument("rev_a", default="HEAD")
@click.argument("rev_b", required=False)
@click.option("--markdown", "layout", flag_value="markdown", help="A table for the comment of a pull request.")
@click.option("--json", "layout", flag_value="json", help="Everything, for a program.")
def diff(rev_a: str, rev_b: str | None, layout: str | None) -> None:
    """Compare the scores of REV_A and REV_B (by default the workspace), with intervals and tests."""
    config = _config()
    from bakeoff.diff.differences import compare_revisions
    from bakeoff.diff.table import FORMATS

    found = compare_revisions(rev_a, rev_b, Path(), margins=config.margins.model_dump(), resamples=config.resamples)
    click.echo(FORMATS[layout or "text"](found))


# Stages of the pipeline.


@main.command()
@click.argument("dataset")
@_stage
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
        PROJECT.raw(dataset),
        **config.download.model_dump(),
    )


@main.command()
@click.argument("dataset")
@_stage
def prepare(dataset: str) -> None:
    """Turn the archives of DATASET into arrays, with an audit."""
    config = _config()
    settings = _named(config.datasets, dataset, "data set")
    from bakeoff.datasets.preparation.prepare import prepare as run

    run(
        dataset,
        settings.source,
        PROJECT.raw(dataset),
        PROJECT.prepared(dataset),
        size=config.dataset_size(dataset).size,
        distance=settings.duplicates.distance,
    )


@main.command("prepare-folder")
@click.argument("folder")
@_stage
def prepare_folder(folder: str) -> None:
    """Turn the images of FOLDER, an entry of `folders`, into arrays, with an audit."""
    entry = _named(_config().folders, folder, "folder")
    settings = {**entry.model_dump(), "classes": entry.class_values}
    from bakeoff.datasets.folders.prepare import prepare_folder as run

    run(folder, settings, PROJECT.prepared(folder))


@main.command()
@click.argument("task")
@_stage
def split(task: str) -> None:
    """Draw the training, validation and test images of TASK."""
    settings = _config().task(task)
    from bakeoff.datasets.splits.split import split as run

    run(task, settings, PROJECT.prepared(settings["dataset"]), PROJECT.split(task))


@main.command()
@click.argument("name")
@_stage
def weights(name: str) -> None:
    """Provide the pretrained weights NAME in data/weights."""
    config = _config()
    entry = _named(config.weights, name, "weights")
    settings = getattr(entry, config.profile).model_dump(by_alias=True)
    from bakeoff.weights.provide import provide

    provide(entry.network, settings, PROJECT.weights(name), **config.download.model_dump())


@main.command()
@click.argument("experiment")
@_stage
def train(experiment: str) -> None:
    """Train the networks of EXPERIMENT and predict the test images; resume what was killed."""
    config = _config()
    _named(config.networks, experiment, "network")
    settings = config.experiment(experiment)
    inputs = _inputs(f"train@{experiment}")
    from bakeoff.training.train import train as run

    recipe, half = config.recipe(settings["recipe"]), config.keeps_half_precision
    run(experiment, settings, recipe, config.seed_count, PROJECT, inputs, half=half)


@main.command()
@click.argument("task")
@_stage
def baselines(task: str) -> None:
    """Fit the thresholds or classical methods of TASK and predict the test images."""
    config = _config()
    methods = config.baselines(task)
    from bakeoff.baselines.group import run_baselines

    run_baselines(task, methods, config.seed_count, PROJECT)


@main.command()
@click.argument("name")
@_stage
def masks(name: str) -> None:
    """Predict the masks NAME, cross-fitted and in-sample."""
    config = _config()
    settings = _named(config.predicted_masks, name, "predicted masks").model_dump()
    inputs = _inputs(f"masks@{name}")
    from bakeoff.datasets.derived.masks import predict_masks_of

    recipe = config.recipe(settings["segmenter"]["recipe"])
    settings["segmenter"]["score"] = config.task(settings["segmenter"]["task"])["score"]
    predict_masks_of(name, settings, recipe, settings["inner_folds"][config.profile], PROJECT, inputs)


@main.command()
@click.argument("name")
@_stage
def derive(name: str) -> None:
    """Make the derived data set NAME from a data set's images and masks."""
    settings = _named(_config().derived, name, "derived data set").model_dump()
    from bakeoff.datasets.derived.derive import derive as run

    run(
        name,
        settings,
        PROJECT.prepared(settings["dataset"]),
        PROJECT.prepared(settings["masks"]),
        PROJECT.prepared(name),
    )


@main.command()
@click.argument("task")
@_stage
def evaluate(task: str) -> None:
    """Score, compare and audit the methods of TASK, and write their model cards."""
    config = _config()
    settings = config.task(task)
    names = [name for name in config.experiment_names() if config.experiment(name)["task"] == task]
    from bakeoff.tasks.evaluate import evaluate as run

    run(task, settings, names, PROJECT, resamples=config.resamples, margin=getattr(config.margins, settings["kind"]))


@main.command()
@click.argument("experiment")
@click.option("--int8", type=bool, help="Also write 8-bit networks and measure the loss of score.")
@_stage
def export(experiment: str, int8: bool | None) -> None:
    """Write the networks of EXPERIMENT as ONNX and measure their parity with torch."""
    config = _config()
    _named(config.networks, experiment, "network")
    settings = config.experiment(experiment)
    if int8 is None:
        int8 = experiment in config.exports and config.exports[experiment].int8
    dataset, folder = settings["dataset"], PROJECT.exports(experiment)
    from bakeoff.exports.export import export as run

    run(
        experiment,
        PROJECT.prepared(dataset),
        PROJECT.split(settings["task"]),
        None if settings["images"] == dataset else PROJECT.prepared(settings["images"]),
        PROJECT.experiment(settings["task"], experiment, settings["family"]).models,
        folder,
        int8=int8,
        resamples=config.resamples,
        ranked_by=settings["score"],
    )
    click.echo(f"The networks of {experiment} are in {folder}.", err=True)


@main.command()
@click.argument("dataset")
@_stage
def card(dataset: str) -> None:
    """Render the data card of DATASET, results/report/data-DATASET.html."""
    config = _config()
    _named({**config.datasets, **config.folders}, dataset, "data set")
    from bakeoff.report.write import write_data_card

    write_data_card(dataset, config.profile, PROJECT)


@main.command()
@click.argument("task")
@_stage
def report(task: str) -> None:
    """Render the page of TASK, results/report/TASK.html."""
    config = _config()
    settings = {**config.task(task), "shortened": config.shortens(task)}
    from bakeoff.report.write import write_task_page

    write_task_page(task, settings, config.profile, PROJECT, margin=getattr(config.margins, settings["kind"]))


@main.command()
@_stage
def index() -> None:
    """Render results/report/index.html and the page of published claims."""
    config = _config()
    from bakeoff.report.index import write_index
    from bakeoff.stage_inputs import drop_recorded

    drop_recorded()

    write_index(
        config.profile,
        {name: {**config.task(name), "shortened": config.shortens(name)} for name in config.tasks},
        config.dataset_names(),
        PROJECT,
        margins=config.margins.model_dump(),
        resamples=config.resamples,
    )


def _inputs(stage: str) -> dict[str, Any]:
    """What a stage of training depends on; finished trainings that `dvc.lock` has recorded since are removed."""
    from bakeoff.stage_inputs import drop_recorded, stage_inputs

    drop_recorded()
    return stage_inputs(stage)


def _named(entries: dict[str, Any], name: str, kind: str) -> Any:
    from bakeoff.config.naming import named

    return named(entries, name, kind)


if __name__ == "__main__":
    main()
