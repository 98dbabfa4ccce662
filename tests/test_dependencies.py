"""Every module that a stage imports is among its dependencies in dvc.yaml, and dependencies point one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from bakeoff import config as config
from bakeoff.artefacts import predictions
from bakeoff.config import read_config

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "workflow" / "bakeoff"
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FAMILIES = {
    "network": "networks",
    "pretrained": "pretrained",
    "classifier": "classifiers",
    "on-input": "on_inputs",
}
LAYERS = {
    "models": (),
    "evaluation": ("errors", "provenance", "predictions", "datasets"),
    "baselines": ("errors", "provenance", "evaluation"),
    "datasets": ("appearing", "errors", "provenance"),
    "weights": ("errors", "datasets"),
    "training": ("errors", "provenance", "evaluation"),
    "report": ("errors", "provenance", "predictions", "datasets", "evaluation"),
    "claims": ("errors", "evaluation"),
    "cards": ("errors", "datasets"),
    "inference": ("appearing", "config", "errors", "provenance", "datasets", "baselines", "training"),
    "demo": ("config", "errors", "datasets", "evaluation", "inference", "report"),
}


def module_file(name: str) -> Path | None:
    path = ROOT / "workflow" / Path(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def imported(path: Path) -> Iterator[str]:
    """Modules of the project that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.startswith("bakeoff") and module_file(name))


def reached(entry: Path) -> set[Path]:
    """The entry's file and every file of the project that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += [file for name in imported(path) if (file := module_file(name))]
    return {path for path in found if path.read_text().strip()} - {PACKAGE / "__init__.py"}


def stage_entries(group: str) -> Iterator[tuple[str, list[Path]]]:
    """Name of each stage of a group, and the files where its code starts: the stage's own, and what the configuration
    names."""
    config = read_config(ROOT / "params.yaml")
    template = DVC[group].get("do", DVC[group])
    command = template["cmd"].split()[1]
    entry = [PACKAGE / "stages" / f"{command}.py"]
    if group == "prepare-folder":
        yield "", [PACKAGE / "stages" / "prepare.py", PACKAGE / "datasets" / "folder" / "__init__.py"]
    elif group in ("download", "prepare"):
        modules = ("__init__", "synthetic") if group == "download" else ("__init__",)
        for name, dataset in config.datasets.items():
            yield name, entry + [PACKAGE / "datasets" / dataset.source / f"{module}.py" for module in modules]
    elif group == "weights":
        for name in config.weights:
            yield name, [*entry, PACKAGE / "weights" / f"{name}.py"]
    elif group in ("fit-classical", "predict-classical"):
        yield "", [PACKAGE / "stages" / "classical.py"]
    elif group == "predicted":
        for name, predicted in config.predicted_inputs.items():
            yield name, [*entry, PACKAGE / "models" / f"{predicted.segmenter.model}.py"]
    elif group.startswith(("fit-", "predict-", "export-")) and group != "predict-threshold":
        for name, experiment in getattr(config.experiments, FAMILIES[group.partition("-")[2]]).items():
            yield name, [*entry, PACKAGE / "models" / f"{experiment.model}.py"]
    else:
        yield "", entry


def listed(group: str, key: str) -> list[Path]:
    """Code dependencies of a stage, its interpolations filled in from the configuration."""
    config = read_config(ROOT / "params.yaml")
    template = DVC[group].get("do", DVC[group])
    item: dict[str, object] = {}
    if key in config.datasets:
        item = config.datasets[key].model_dump()
    elif group == "predicted":
        item = config.predicted_inputs[key].model_dump()
        item |= {f"segmenter.{field}": value for field, value in item["segmenter"].items()}  # type: ignore[attr-defined]
    elif key in config.experiment_names():
        item = config.experiment(key)
    deps = []
    for dep in template.get("deps", []):
        for name, value in {"key": key, **{f"item.{field}": value for field, value in item.items()}}.items():
            dep = dep.replace(f"${{{name}}}", str(value))
        deps.append(ROOT / dep)
    return deps


@pytest.mark.parametrize("group", DVC)
def test_a_stage_lists_every_module_that_it_imports(group: str) -> None:
    for key, entries in stage_entries(group):
        deps = listed(group, key)
        files = set().union(*(reached(entry) for entry in entries))
        missing = {file for file in files if not any(file == dep or dep in file.parents for dep in deps)}
        assert not missing, f"dvc.yaml, {group}: add {sorted(str(file.relative_to(ROOT)) for file in missing)}"


@pytest.mark.parametrize("group", DVC)
def test_a_stage_lists_no_code_that_it_does_not_import(group: str) -> None:
    # By one stage of the group at least. The encoders that models share are listed for all: any model may import them.
    unused: dict[str, bool] = {}
    for key, entries in stage_entries(group):
        files = set().union(*(reached(entry) for entry in entries))
        for template, dep in zip(DVC[group].get("do", DVC[group]).get("deps", []), listed(group, key), strict=True):
            if dep.is_relative_to(PACKAGE) and dep != PACKAGE / "models" / "encoders":
                assert dep.exists(), f"dvc.yaml, {group}: {dep} does not exist"
                used = any(file == dep or dep in file.parents for file in files)
                unused[template] = unused.get(template, True) and not used
    assert not [dep for dep, never in unused.items() if never], f"dvc.yaml, {group}: listed and not imported"


@pytest.mark.parametrize("folder", LAYERS)
def test_dependencies_point_one_way(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        for name in imported(path):
            part = name.split(".")[1] if "." in name else ""
            allowed = (folder, *LAYERS[folder])
            assert not part or part in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_no_stage_reads_the_config() -> None:
    readers = {path for path in PACKAGE.rglob("*.py") if "bakeoff.config" in set(imported(path))}
    stages = set().union(*(reached(entry) for entry in (PACKAGE / "stages").glob("*.py")))
    assert PACKAGE / "cli.py" in readers
    assert not readers & stages


def test_evaluation_imports_no_torch() -> None:
    for path in (PACKAGE / "evaluation").glob("*.py"):
        assert "import torch" not in path.read_text(), path


def test_the_book_the_predictions_and_dvc_agree_on_the_most_seeds() -> None:
    declared = [out for out in DVC["predict-network"]["do"]["outs"] if "/seed" in out]
    assert len(declared) == config.MAX_SEEDS == predictions.MAX_SEEDS
