"""The command line: reads and checks the book, then hands plain values to one function of one stage.

Stages are imported where they are called, so that `bakeoff --help` need not wait for torch.
"""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bakeoff.errors import BakeoffError

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
        **book.download.model_dump(),
    )


@main.command()
@click.argument("folder")
def pack(folder: str) -> None:
    """Put FOLDER, one's own images, into an archive in data/raw."""
    settings = _named(_book().folders, folder, "folder")
    from bakeoff.stages.pack import pack as run

    run(folder, settings.path, DATA / "raw" / folder)


@main.command()
@click.argument("name")
def weights(name: str) -> None:
    """Provide the pretrained weights NAME in data/weights."""
    book = _book()
    settings = getattr(_named(book.weights, name, "weights"), book.profile).model_dump(by_alias=True)
    from bakeoff.stages.weights import provide

    provide(name, settings, DATA / "weights" / name, **book.download.model_dump())


@main.command()
@click.argument("dataset")
def prepare(dataset: str) -> None:
    """Turn the archives of DATASET into arrays, with an audit."""
    book = _book()
    settings = _named({**book.datasets, **book.folders}, dataset, "data set")
    own = dataset in book.folders
    from bakeoff.stages.prepare import prepare as run

    run(
        dataset,
        "folder" if own else settings.source,
        DATA / "raw" / dataset,
        DATA / "prepared" / dataset,
        size=settings.size if own else book.dataset_size(dataset).size,
        distance=settings.duplicates.distance,
        settings=settings.model_dump() if own else None,
    )


@main.command("input")
@click.argument("name")
def input_(name: str) -> None:
    """Make the pictures NAME from a data set's images and masks."""
    settings = _named(_book().inputs, name, "input").model_dump()
    from bakeoff.stages.input import make_input as run

    run(name, settings, DATA / "prepared" / settings["dataset"], DATA / "inputs" / name)


@main.command()
@click.argument("name")
def predicted(name: str) -> None:
    """Make the pictures NAME from a data set's images and the masks that a network predicts."""
    settings = _named(_book().predicted_inputs, name, "predicted input").model_dump()
    segmenter = settings["segmenter"]
    from bakeoff.stages.predicted import predicted as run

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
    settings = _book().task(task)
    from bakeoff.stages.split import split as run

    run(task, settings, DATA / "prepared" / settings["dataset"], _split(task))


@main.command()
@click.argument("experiment")
def threshold(experiment: str) -> None:
    """Threshold the test images as EXPERIMENT says."""
    settings = _experiment(experiment, "thresholds")
    from bakeoff.stages.threshold import threshold as run

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
    book = _book()
    settings = _experiment(experiment, *TRAINED)
    common = (DATA / "prepared" / settings["dataset"], _split(settings["task"]))
    models = RESULTS / "models" / experiment
    if settings["family"] == "classical":
        from bakeoff.stages.classical import fit as run_classical

        run_classical(experiment, settings, settings["target"], book.seed_count, *common, models)
        return
    from bakeoff.stages.fit import fit as run

    run(
        experiment,
        settings,
        book.recipes[settings["recipe"]].at(book.profile),
        settings["target"],
        book.seed_count,
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
        from bakeoff.stages.classical import predict as run_classical

        run_classical(experiment, settings["target"], *common, models, folder)
        return
    from bakeoff.stages.predict import predict as run

    run(experiment, *common, _input(settings), models, folder)


@main.command()
@click.argument("experiment")
def export(experiment: str) -> None:
    """Write every network of EXPERIMENT as ONNX, and how near its answers are to torch's."""
    book = _book()
    settings = _experiment(experiment, *(family for family in TRAINED if family != "classical"))
    from bakeoff.stages.export import export as run

    run(
        experiment,
        DATA / "prepared" / settings["dataset"],
        _split(settings["task"]),
        _input(settings),
        RESULTS / "models" / experiment,
        RESULTS / "exports" / experiment,
        int8=book.export.int8,
        resamples=book.resamples,
        source=_source(book, settings["dataset"]),
    )


@main.command()
@click.argument("experiment")
def score(experiment: str) -> None:
    """Score the predictions of EXPERIMENT against the truth, and write its card."""
    book = _book()
    settings = book.experiment(experiment)
    from bakeoff.stages.score import describe
    from bakeoff.stages.score import score as run

    where = (
        DATA / "prepared" / settings["dataset"],
        _split(settings["task"]),
        RESULTS / "experiments" / experiment,
    )
    run(experiment, settings["target"], *where, resamples=book.resamples)
    shown = {**book.inputs, **book.predicted_inputs}.get(settings.get("input", ""))
    describe(
        experiment,
        settings,
        book.task(settings["task"]),
        *where,
        RESULTS / "audits" / f"{settings['task']}.json",
        source=_source(book, settings["dataset"]),
        recipe=book.recipes[settings["recipe"]].at(book.profile) if "recipe" in settings else None,
        shown=shown.model_dump() if shown else None,
    )


@main.command()
@click.argument("task")
def compare(task: str) -> None:
    """Rank every method of TASK."""
    book = _book()
    settings = _named(book.tasks, task, "task")
    from bakeoff.stages.compare import compare as run

    run(
        task,
        settings.kind,
        {name: each for name, each in _experiments(book).items() if each["task"] == task},
        RESULTS,
        DATA / "prepared" / settings.dataset,
        _split(task),
        RESULTS / "comparison",
        resamples=book.resamples,
        margin=getattr(book.margins, settings.kind),
    )


@main.command()
@click.argument("task")
def audit(task: str) -> None:
    """Look for leaks: what the test images of TASK share with those trained on, and what files give away."""
    book = _book()
    settings = book.task(task)
    from bakeoff.stages.audit import audit as run

    run(
        task,
        settings,
        DATA / "prepared" / settings["dataset"],
        _split(task),
        RESULTS / "audits",
        resamples=book.resamples,
    )


@main.command()
def inflation() -> None:
    """Say what each leak adds to the score of experiments that differ in nothing else."""
    book = _book()
    from bakeoff.stages.inflation import inflation as run

    run(
        _experiments(book),
        {name: each.model_dump() for name, each in {**book.inputs, **book.predicted_inputs}.items()},
        {name: each.model_dump() for name, each in book.tasks.items()},
        RESULTS,
        DATA,
        RESULTS / "audits" / "inflation.csv",
        resamples=book.resamples,
    )


@main.command()
def claims() -> None:
    """Set what published systems claim beside what is found here."""
    book = _book()
    from bakeoff.stages.claims import claims as run

    run(
        book.profile,
        _experiments(book),
        RESULTS,
        DATA / "prepared",
        RESULTS / "comparison" / "claims.csv",
        margins=book.margins.model_dump(),
        resamples=book.resamples,
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
    book = _book()
    from bakeoff.stages.report import report as run

    run(
        book.profile,
        {name: task.model_dump() for name, task in book.tasks.items()},
        {name: {**each, **_segmenter(book, each)} for name, each in _experiments(book).items()},
        DATA,
        RESULTS,
        RESULTS / "report",
        margins=book.margins.model_dump(),
        recipes={name: recipe.at(book.profile) for name, recipe in book.recipes.items()},
    )


@main.command()
@click.argument("rev_a", default="HEAD")
@click.argument("rev_b", required=False)
@click.option("--markdown", "layout", flag_value="markdown", help="A table for the comment of a pull request.")
@click.option("--json", "layout", flag_value="json", help="Everything, for a program.")
def diff(rev_a: str, rev_b: str | None, layout: str | None) -> None:
    """Compare the scores of REV_A and REV_B, or the files as they are, and say what is better and how surely."""
    book = _book()
    from bakeoff.difference_table import FORMATS
    from bakeoff.differences import compare_revisions

    found = compare_revisions(rev_a, rev_b, Path(), margins=book.margins.model_dump(), resamples=book.resamples)
    click.echo(FORMATS[layout or "text"](found))


def _input(settings: dict[str, Any]) -> Path | None:
    return DATA / "inputs" / settings["input"] if "input" in settings else None


def _source(book: Any, dataset: str) -> str | None:
    """Which of the published data sets this is; None for a folder of one's own images."""
    return book.datasets[dataset].source if dataset in book.datasets else None


def _split(task: str) -> Path:
    return DATA / "splits" / f"{task}.csv"


def _segmenter(book: Any, experiment: Mapping[str, Any]) -> dict[str, str]:
    """The experiment whose network predicts the masks that another's pictures are made from; empty where none does."""
    shown = book.predicted_inputs.get(experiment.get("input", ""))
    return {"segmenter": shown.segmenter.experiment} if shown else {}


def _experiments(book: Any) -> dict[str, dict[str, Any]]:
    return {name: book.experiment(name) for name in book.experiment_names()}


def _experiment(name: str, *families: str) -> dict[str, Any]:
    settings: dict[str, Any] = _book().experiment(name)
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
