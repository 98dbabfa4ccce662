"""Time the road in a fresh clone: `python benchmarks/pipeline.py [--mirror FOLDER] [--engine dvc] [--only DATASET]`.

Without a mirror: the sample profile, then the same command again with nothing changed, on both engines. With one: the
`small` profile on its real images, and the Dice and training time of every network for lungs. With `--only`: the
configuration of one data set. The environment is the one that runs this script, in place, so that its installation is
not timed.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("snakemake", "dvc")


def command_of(engine: str, cores: int) -> list[str]:
    """What a user types."""
    return ["dvc", "repro"] if engine == "dvc" else ["snakemake", "--cores", str(cores), "--resources", "gpu=1"]


def seconds(command: list[str], clone: Path) -> float:
    """Wall-clock time of a command that has to succeed; its output goes to the clone's benchmark.log."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(clone / "workflow")
    began = time.perf_counter()
    with (clone / "benchmark.log").open("a") as log:
        subprocess.run(command, cwd=clone, env=environment, check=True, stdout=log, stderr=log)
    return time.perf_counter() - began


def keep_dataset(config: Path, dataset: str) -> None:
    """Cut a configuration to the experiments on one data set, and to what they need."""
    editor = YAML(typ="safe")
    values = editor.load(config.read_text())
    sections = [values[name] for name in ("tasks", "inputs", "predicted_inputs")]
    for entries in [*sections, *values["experiments"].values()]:
        for name in [name for name, entry in entries.items() if entry["dataset"] != dataset]:
            del entries[name]
    values["datasets"] = {dataset: values["datasets"][dataset]}
    used = {entry.get("weights") for family in values["experiments"].values() for entry in family.values()}
    values["weights"] = {name: entry for name, entry in values["weights"].items() if name in used}
    with config.open("w") as file:
        editor.dump(values, file)


def main() -> None:
    """Clone, run, print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mirror", type=Path)
    arguments.add_argument("--engine", choices=ENGINES, default="snakemake")
    arguments.add_argument("--cores", type=int, default=8, help="what Snakemake is told; 8, as in README")
    arguments.add_argument("--only", metavar="DATASET", help="keep this data set's experiments alone")
    arguments.add_argument("--clone", type=Path, help="where to clone to; kept afterwards")
    given = arguments.parse_args()
    clone = given.clone or Path(tempfile.mkdtemp()) / "bakeoff"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    (clone / "dvc.lock").unlink(missing_ok=True)
    if given.only:
        keep_dataset(clone / "params.yaml", given.only)
    if given.mirror:
        seconds(["bakeoff", "set", "profile=small", f"download.mirror={given.mirror.resolve()}"], clone)
    print(f"{os.cpu_count()} cores; {given.engine}; {clone}", flush=True)
    print(f"run, environment in place: {seconds(command_of(given.engine, given.cores), clone):.0f} s", flush=True)
    for name in ENGINES:
        again = seconds(command_of(name, given.cores), clone)
        print(f"{name} again, nothing changed: {again:.1f} s", flush=True)
    with (clone / "results" / "comparison" / "lungs.csv").open() as rows:
        for row in csv.DictReader(rows):
            dice = f"{float(row['dice_mean']):.4f} ({float(row['dice_low']):.4f} to {float(row['dice_high']):.4f})"
            print(f"{row['experiment']:24} Dice {dice}, training {float(row['training_seconds']):.0f} s a seed")


if __name__ == "__main__":
    main()
