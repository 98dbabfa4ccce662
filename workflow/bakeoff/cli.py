"""The command line: reads and checks the book, then hands plain values to one function of one stage.

Stages are imported where they are called, so that `bakeoff --help` need not wait for torch.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import click

from bakeoff.errors import BakeoffError

DATA = Path("data")
RESULTS = Path("results")


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


def _book() -> Any:
    from bakeoff.book import read_book

    return read_book()


@main.command("set")
@click.argument("assignments", metavar="KEY=VALUE...", nargs=-1, required=True)
def set_(assignments: tuple[str, ...]) -> None:
    """Edit the book in place, for example: bakeoff set profile=small download.mirror=../images"""
    from bakeoff.book import set_values

    set_values(assignments)


@main.command()
def check() -> None:
    """Check the book and say what it will run."""
    book = _book()
    experiments = book.experiment_names()
    click.echo(
        f"params.yaml is valid: profile {book.profile}, {len(experiments)} experiments, {book.seed_count} seeds."
    )


@main.command()
@click.argument("dataset")
def download(dataset: str) -> None:
    """Fetch the archives of DATASET into data/raw, verified."""
    book = _book()
    settings = _named(book.datasets, dataset, "data set")
    archive = book.dataset_size(dataset).archive
    from bakeoff.stages.download import download as run

    run(
        dataset,
        settings.source,
        {} if archive == "official" else archive.model_dump(),
        DATA / "raw" / dataset,
        mirror=book.download.mirror,
        attempts=book.download.attempts,
        timeout=book.download.timeout,
    )


@main.command()
@click.argument("name")
def weights(name: str) -> None:
    """Provide the pretrained weights NAME in data/weights."""
    book = _book()
    settings = getattr(_named(book.weights, name, "weights"), book.profile).model_dump(by_alias=True)
    from bakeoff.stages.weights import provide

    provide(
        name,
        settings,
        DATA / "weights" / name,
        mirror=book.download.mirror,
        attempts=book.download.attempts,
        timeout=book.download.timeout,
    )


@main.command()
@click.argument("dataset")
def prepare(dataset: str) -> None:
    """Turn the archives of DATASET into arrays, with an audit and a split."""
    book = _book()
    settings = _named(book.datasets, dataset, "data set")
    split = settings.split.model_dump()
    from bakeoff.stages.prepare import prepare as run

    run(
        dataset,
        settings.source,
        DATA / "raw" / dataset,
        DATA / "prepared" / dataset,
        size=book.dataset_size(dataset).size,
        split=split,
        duplicates=settings.duplicates.model_dump(),
    )


@main.command()
@click.argument("experiment")
def threshold(experiment: str) -> None:
    """Threshold the test images as EXPERIMENT says."""
    settings = _experiment(experiment, "thresholds")
    from bakeoff.stages.threshold import threshold as run

    run(experiment, settings, DATA / "prepared" / settings["dataset"], RESULTS / "experiments" / experiment)


@main.command()
@click.argument("experiment")
def fit(experiment: str) -> None:
    """Train the network of EXPERIMENT, once a seed; a run that was killed goes on."""
    book = _book()
    settings = _experiment(experiment, "networks", "pretrained")
    recipe = book.recipes[settings["recipe"]].at(book.profile)
    from bakeoff.stages.fit import fit as run

    run(
        experiment,
        settings,
        recipe,
        book.seed_count,
        DATA / "prepared" / settings["dataset"],
        DATA / "weights" / settings["weights"] if "weights" in settings else None,
        RESULTS / "models" / experiment,
        RESULTS / "experiments" / experiment / "history",
    )


@main.command()
@click.argument("experiment")
def predict(experiment: str) -> None:
    """Predict the test images with every trained network of EXPERIMENT."""
    settings = _experiment(experiment, "networks", "pretrained")
    from bakeoff.stages.predict import predict as run

    run(
        experiment,
        DATA / "prepared" / settings["dataset"],
        RESULTS / "models" / experiment,
        RESULTS / "experiments" / experiment,
    )


@main.command()
@click.argument("experiment")
def score(experiment: str) -> None:
    """Score the predictions of EXPERIMENT against the truth."""
    book = _book()
    settings = book.experiment(experiment)
    from bakeoff.stages.score import score as run

    run(
        experiment,
        DATA / "prepared" / settings["dataset"],
        RESULTS / "experiments" / experiment,
        resamples=book.resamples,
    )


@main.command()
@click.argument("dataset")
def compare(dataset: str) -> None:
    """Rank every method on DATASET."""
    book = _book()
    _named(book.datasets, dataset, "data set")
    every = {name: book.experiment(name) for name in book.experiment_names()}
    from bakeoff.stages.compare import compare as run

    run(
        dataset,
        {name: settings for name, settings in every.items() if settings["dataset"] == dataset},
        RESULTS,
        DATA / "prepared" / dataset,
        RESULTS / "comparison",
        resamples=book.resamples,
    )


@main.command()
def report() -> None:
    """Render results/report/index.html."""
    book = _book()
    from bakeoff.stages.report import report as run

    run(
        book.profile,
        {name: dataset.model_dump() for name, dataset in book.datasets.items()},
        {name: book.experiment(name) for name in book.experiment_names()},
        DATA,
        RESULTS,
        RESULTS / "report",
    )


def _experiment(name: str, *families: str) -> dict[str, Any]:
    settings: dict[str, Any] = _book().experiment(name)
    if settings["family"] not in families:
        raise BakeoffError(
            f"'{name}' is one of experiments.{settings['family']}, and this command is for {families[0]}."
        )
    return settings


def _named(entries: dict[str, Any], name: str, kind: str) -> Any:
    if name not in entries:
        raise BakeoffError(f"params.yaml has no {kind} '{name}': it has {', '.join(entries)}.")
    return entries[name]


if __name__ == "__main__":
    main()
