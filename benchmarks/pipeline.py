"""Time and disk space of the pipeline in a fresh clone: `python benchmarks/pipeline.py [--only TASK] [--engine dvc]`.

Four measurements, each with the commands that a user types:

- a run from nothing: its time, that of its stages by group (Snakemake alone), and the disk space that it leaves;
- each engine again with nothing changed, as a multiple of the time of `python -c "import torch"` in the same minute:
  machines differ in speed, the multiple hardly;
- one more method in a task that has run: the time, and how many processes import torch;
- the scores and training times of the task's methods; with `--mirror FOLDER`, `small` on real images.

The environment is the one that runs this script, so its installation is not timed. `--only TASK` makes one task alone.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bakeoff.artefacts.layout import Project
from bakeoff.config import read_config

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("snakemake", "dvc")
# What a run leaves, the environment aside.
LEFT = (".dvc/cache", "data", "results", ".bakeoff", ".snakemake", "logs")
ADDED = {
    "segmentation": "{method: otsu, foreground: dark}",
    "classification": "{method: majority, features: none, side: 8, settings: {}}",
}
# Python imports this at its start. It writes a line for every process that imports torch, be it found or not.
WATCH = """
import os, sys

def watch(event, arguments):
    if event == "import" and arguments[0] == "torch":
        with open({path!r}, "a") as file:
            file.write(f"{{os.getpid()}} {{sys.argv}}\\n")

sys.addaudithook(watch)
"""


class Clone:
    """A fresh clone, whose commands write to `benchmark.log` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        (folder / "dvc.lock").unlink(missing_ok=True)

    def seconds(self, command: list[str], first_on_path: Path | None = None) -> float:
        """Wall-clock time of a command that has to succeed."""
        paths = [*([str(first_on_path)] if first_on_path else []), str(self.folder / "workflow")]
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        began = time.perf_counter()
        with (self.folder / "benchmark.log").open("a") as log:
            done = subprocess.run(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        if done.returncode:
            sys.exit(f"`{' '.join(command)}` failed: see {self.folder / 'benchmark.log'}.")
        return time.perf_counter() - began

    def importing_torch(self, command: list[str]) -> tuple[float, list[str]]:
        """Seconds that a command takes, and the processes that import torch meanwhile."""
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "found"
            (Path(folder) / "sitecustomize.py").write_text(WATCH.format(path=str(found)))
            seconds = self.seconds(command, Path(folder))
            return seconds, found.read_text().splitlines() if found.is_file() else []


def command_of(engine: str, cores: int, task: str | None) -> list[str]:
    """What a user types."""
    if engine == "dvc":
        return ["dvc", "repro", *([f"report@{task}"] if task else [])]
    page = [f"results/report/{task}.html"] if task else []
    return ["snakemake", *page, "--cores", str(cores), "--resources", "gpu=1"]


def import_torch() -> float:
    """Seconds that an interpreter takes to import torch."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def print_stages(clone: Path) -> None:
    """Seconds of the jobs by group, as Snakemake's benchmarks have them; nothing after a run of DVC alone."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for path in (clone / "logs").rglob("*.benchmark.tsv"):
        with path.open() as file:
            group = path.relative_to(clone / "logs").parts[0].removesuffix(".benchmark.tsv")
            seconds[group] += [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    for group, each in sorted(seconds.items(), key=lambda item: -sum(item[1])):
        print(
            f"  {group:14} {len(each):3} jobs, {sum(each):6.0f} s together, {max(each):5.0f} s the longest", flush=True
        )


def print_disk(clone: Path) -> None:
    """MiB of what is left: a file with several hard links once, one with reflinks as often as it is there."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for name in LEFT:
        size = sum(size for size in _new_sizes(clone / name, seen))
        total += size
        print(f"  {name:14} {size / 2**20:8.0f} MiB")
    print(f"  {'together':14} {total / 2**20:8.0f} MiB", flush=True)


def _new_sizes(folder: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    for path in folder.rglob("*"):
        about = path.lstat()
        if (about.st_dev, about.st_ino) not in seen:
            seen.add((about.st_dev, about.st_ino))
            yield 512 * about.st_blocks


def print_scores(clone: Path, task: str) -> None:
    """Headline score and training time of every method of a task."""
    with (Project(clone).evaluation(task) / "comparison.csv").open() as rows:
        for row in csv.DictReader(rows):
            name = "dice" if "dice_mean" in row else "accuracy"
            mean, low, high = (float(row[f"{name}_{part}"]) for part in ("mean", "low", "high"))
            seconds = float(row["training_seconds"])
            print(
                f"{row['experiment']:34} {name} {mean:.4f} ({low:.4f} to {high:.4f}), training {seconds:.0f} s a seed"
            )


def add_method(clone: Clone, task: str) -> None:
    """Put one more threshold, or classical method, into the configuration."""
    config = read_config(clone.folder / "params.yaml")
    settings, key = config.tasks[task], f"experiments.baselines.{task}"
    method = ADDED[settings.kind]
    if task in config.experiments.baselines:
        change = f"{key}.methods.{task}-added={method}"
    else:
        change = f"{key}={{dataset: {settings.dataset}, methods: {{{task}-added: {method}}}}}"
    clone.seconds(["bakeoff", "set", change])


def main() -> None:
    """Clone, run, print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--mirror", type=Path, help="folder of real archives; measures the small profile")
    arguments.add_argument("--engine", choices=ENGINES, default="snakemake", help="of the run from nothing")
    arguments.add_argument("--cores", type=int, default=8, help="what Snakemake is told; 8, as in README")
    arguments.add_argument("--only", metavar="TASK", help="make this task alone")
    arguments.add_argument("--clone", type=Path, help="where to clone to; kept afterwards")
    given = arguments.parse_args()
    clone = Clone(given.clone or Path(tempfile.mkdtemp()) / "bakeoff")
    if given.mirror:
        clone.seconds(["bakeoff", "set", "profile=small", f"download.mirror={given.mirror.resolve()}"])
    task = given.only or "lungs"
    commands = {engine: command_of(engine, given.cores, given.only) for engine in ENGINES}
    print(f"{os.cpu_count()} cores; {clone.folder}", flush=True)

    print(f"`{' '.join(commands[given.engine])}` from nothing: {clone.seconds(commands[given.engine]):.0f} s")
    print_stages(clone.folder)
    print_disk(clone.folder)
    import_torch()  # from disk
    for command in commands.values():
        clone.seconds(command)  # whatever the other engine has to note down
        before, again, after = import_torch(), clone.seconds(command), import_torch()
        torch = (before + after) / 2
        print(f"`{' '.join(command)}` with nothing changed: {again:.1f} s, {again / torch:.1f} times `import torch`")
    add_method(clone, task)
    seconds, importing = clone.importing_torch(commands["snakemake"])
    print(f"one more method in {task}: {seconds:.1f} s, {len(importing)} processes import torch")
    for line in importing:
        print(f"  {line}")
    print_scores(clone.folder, task)


if __name__ == "__main__":
    main()
