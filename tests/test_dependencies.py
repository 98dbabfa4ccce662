"""What a stage imports is among its dependencies in dvc.yaml, imports point one way, and the engines are as shipped."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from bakeoff.config import Config, read_config
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / "workflow"
PACKAGE = WORKFLOW / "bakeoff"
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# A stage's command where it is not the name of its group: the same for published data sets and folders of one's own.
COMMANDS = {"card-folder": "card"}
# What a command does around its stage, and what it prints: no result depends on it, and a change reruns nothing.
AROUND = ("cli.py", "config", "engine.py", "stage_inputs.py", "progress")
DATA = (
    "datasets.archives",
    "datasets.acquisition",
    "datasets.folders",
    "datasets.preparation",
    "datasets.sources",
    "datasets.splits",
)
# What each package may import besides itself: in this order, from what all use to what uses all.
LAYERS: dict[str, tuple[str, ...]] = {
    "progress": (),
    "artefacts": (),
    "engine": ("artefacts", "progress"),
    "stage_inputs": ("artefacts",),
    "config": ("artefacts",),
    "datasets.archives": ("artefacts",),
    "datasets.preparation": ("artefacts", "datasets.archives"),
    "datasets.formats": ("artefacts", "datasets.archives", "datasets.preparation"),
    "datasets.folders": ("artefacts", "datasets.archives", "datasets.preparation", "datasets.formats"),
    "datasets.splits": ("artefacts",),
    "datasets.sources": ("artefacts", "datasets.archives", "datasets.preparation"),
    "datasets.acquisition": ("artefacts", "datasets.archives", "datasets.sources"),
    "weights": ("artefacts", "datasets.archives", "datasets.acquisition"),
    "models": (),
    "training": ("artefacts", "progress", "models"),
    "datasets.derived": ("artefacts", "progress", "training"),
    "evaluation": ("artefacts",),
    "baselines": ("artefacts",),
    "cards": ("artefacts",),
    "leakage": ("artefacts", "evaluation", "datasets.preparation", "datasets.splits"),
    "tasks": ("artefacts", "evaluation", "leakage", "cards"),
    "claims": ("artefacts", "evaluation", "leakage"),
    "report": ("artefacts", "evaluation", "leakage", "claims", "datasets.splits"),
    "exports": ("artefacts", "evaluation", "training", "cards"),
    "inference": (
        *("artefacts", "config", "datasets.preparation", "datasets.derived", "training", "evaluation", "baselines"),
        *("cards", "exports"),
    ),
    "adding": (
        *("artefacts", "config", "datasets.archives", "datasets.preparation", "datasets.formats", "datasets.splits"),
        *("weights", "training", "baselines", "inference"),
    ),
    "demo": ("artefacts", "config", "datasets.preparation", "evaluation", "cards", "report", "inference"),
    "diff": ("artefacts", "evaluation"),
}


# --- what a stage lists


def module_file(name: str) -> Path | None:
    path = WORKFLOW / Path(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Modules that some code imports, anywhere in it; of `from a import b` both a and a.b, where there is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))


def files_of(tree: ast.AST) -> Iterator[Path]:
    for name in imports_of(tree):
        if name.startswith("bakeoff") and (file := module_file(name)):
            yield file


@cache
def imported(path: Path) -> frozenset[Path]:
    """Files of the project that a file imports, anywhere in it."""
    return frozenset(files_of(ast.parse(path.read_text())))


def reached(entries: set[Path]) -> set[Path]:
    """The entries and every file of the project that they import, directly or not."""
    found: set[Path] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imported(path)
    return {path for path in found if has_code(path)} - {PACKAGE / "__init__.py"}


@cache
def has_code(path: Path) -> bool:
    """Whether a file is more than the docstring of a package."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)


@cache
def configuration() -> Config:
    return read_config(ROOT / "params.yaml")


def entries(group: str) -> set[Path]:
    """Where a group's code begins: what its command imports."""
    name = COMMANDS.get(group, group).replace("-", "_")
    (command,) = (
        node
        for node in ast.parse((PACKAGE / "cli.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    return {file for file in files_of(command) if not is_around(file)}


def is_around(path: Path) -> bool:
    return path.relative_to(PACKAGE).parts[0] in AROUND


def named(group: str) -> Iterator[tuple[str, set[Path]]]:
    """Key of each stage of a group, and the files that the configuration names for it."""
    sources, models, values = PACKAGE / "datasets" / "sources", PACKAGE / "models", configuration()
    if group == "download":
        for name, dataset in values.datasets.items():
            yield name, {sources / dataset.source / file for file in ("__init__.py", "synthetic.py")}
    elif group == "prepare":
        for name, dataset in values.datasets.items():
            yield name, {sources / dataset.source / "__init__.py"}
    elif group == "weights":
        for name in values.weights:
            yield name, {PACKAGE / "weights" / "networks" / f"{name}.py"}
    elif group == "train":
        for name, network in values.networks.items():
            yield name, {models / f"{network.model}.py"}
    elif group == "masks":
        for name, predicted in values.predicted_masks.items():
            yield name, {models / f"{predicted.segmenter.model}.py"}
    else:
        yield "", set()


def template_of(group: str) -> dict[str, Any]:
    template: dict[str, Any] = DVC[group].get("do", DVC[group])
    return template


def listed(group: str, key: str) -> list[str]:
    """Code among the dependencies of a stage; without a key those of the template that name no item."""
    deps = dependencies(group, key) if key else [dep for dep in template_of(group)["deps"] if "${" not in dep]
    return [dep for dep in deps if dep.startswith("workflow/")]


def dependencies(group: str, key: str) -> list[str]:
    """The dependencies of a stage, its interpolations filled in from the configuration."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    for part in DVC[group]["foreach"].strip("${}").split("."):
        values = values[part]
    item = values[key]

    def fill(found: re.Match[str]) -> str:
        node = {"key": key, "item": item}
        for part in found[1].split("."):
            node = node[part]
        return str(node)

    return [re.sub(r"\$\{([\w.]+)\}", fill, dep) for dep in DVC[group]["do"]["deps"]]


def covers(dep: str, file: Path) -> bool:
    return file == ROOT / dep or ROOT / dep in file.parents


@pytest.mark.parametrize("group", DVC)
def test_a_stage_lists_every_module_that_it_imports(group: str) -> None:
    assert template_of(group)["cmd"].split()[1] == COMMANDS.get(group, group)
    for key, files in named(group):
        deps = listed(group, key)
        needed = {file for file in reached(entries(group) | files) if not is_around(file)}
        missing = {file for file in needed if not any(covers(dep, file) for dep in deps)}
        assert not missing, f"dvc.yaml, {group}: add {sorted(str(file.relative_to(ROOT)) for file in missing)}"


@pytest.mark.parametrize("group", DVC)
def test_a_stage_lists_no_code_that_it_does_not_import(group: str) -> None:
    # By one stage of the group at least. The encoders that models share are listed for all: any model may import them.
    unused: dict[str, bool] = {}
    for key, files in named(group):
        needed = reached(entries(group) | files)
        code = [dep for dep in template_of(group)["deps"] if dep.startswith("workflow/")]
        templates = [dep for dep in code if key or "${" not in dep]
        for template, dep in zip(templates, listed(group, key), strict=True):
            assert (ROOT / dep).exists(), f"dvc.yaml, {group}: {dep} does not exist"
            used = any(covers(dep, file) for file in needed) or dep == "workflow/bakeoff/models/encoders"
            unused[template] = unused.get(template, True) and not used
    assert not [dep for dep, never in unused.items() if never], f"dvc.yaml, {group}: listed and not imported"


def test_dvc_yaml_is_short_and_has_two_templates_of_experiments() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 300
    templates = {group: stage.get("foreach", "") for group, stage in DVC.items()}
    assert [group for group, each in templates.items() if each.startswith("${experiments.")] == ["train", "baselines"]


def test_a_group_of_ones_own_folders_is_run_as_that_of_published_data_sets() -> None:
    for own, published in COMMANDS.items():
        assert template_of(own)["cmd"] == template_of(published)["cmd"]


# --- layers


def part_of(module: str) -> str:
    """The package of the project that a module belongs to; of data sets the part of that package."""
    parts = module.split(".")[1:]
    return ".".join(parts[: 2 if parts[:1] == ["datasets"] else 1])


def packages() -> list[str]:
    found = {part_of(f"bakeoff.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}") for path in sources()}
    return sorted(found - {"__init__", "cli", "datasets.__init__"})


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_package_has_its_layer() -> None:
    assert packages() == sorted(LAYERS)
    for package, allowed in LAYERS.items():
        before = list(LAYERS)[: list(LAYERS).index(package)]
        assert set(allowed) <= set(before), f"{package} imports what comes after it"


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_one_way(package: str) -> None:
    folder = PACKAGE / Path(*package.split("."))
    for path in [folder.with_suffix(".py")] if folder.with_suffix(".py").is_file() else folder.rglob("*.py"):
        for name in imports_of(ast.parse(path.read_text())):
            if name.startswith("bakeoff.") and (name.count(".") > 1 or module_file(name)):
                assert part_of(name) in (package, *LAYERS[package], "datasets"), f"{path.relative_to(ROOT)}: {name}"


def test_nothing_below_the_command_line_reads_the_configuration_but_what_users_start() -> None:
    readers = {path for path in sources() if any(file.is_relative_to(PACKAGE / "config") for file in imported(path))}
    outside = {path for path in readers if not path.is_relative_to(PACKAGE / "config")}
    assert {path.relative_to(PACKAGE).parts[0] for path in outside} <= {"cli.py", "adding", "inference", "demo"}
    for group in DVC:
        used = reached(entries(group) | set().union(*(files for _, files in named(group))))
        assert not {path for path in used if path.is_relative_to(PACKAGE / "config")}, group


@pytest.mark.parametrize("package", ["artefacts", "evaluation", "leakage", "tasks", "claims", "report", "cards"])
def test_what_judges_imports_no_torch(package: str) -> None:
    for path in reached({*(PACKAGE / package).rglob("*.py")}):
        names = {name.split(".")[0] for name in imports_of(ast.parse(path.read_text()))}
        assert not names & {"torch", "torchvision", "timm", "safetensors"}, path


# --- what is loaded when it runs


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The packages that a Python process has loaded after some code."""
    text = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


THRESHOLD = """
import json
from pathlib import Path
import numpy as np, pandas as pd
from bakeoff.artefacts.layout import Project
from bakeoff.baselines.group import run_baselines
project = Project(Path(sys.argv[1]))
folder = project.prepared("cells")
folder.mkdir(parents=True)
project.split("cells").parent.mkdir()
rng = np.random.default_rng(0)
images = rng.integers(0, 255, (6, 16, 16, 1), np.uint8)
np.save(folder / "images.npy", images)
np.save(folder / "masks.npy", (images[..., 0] > 128).astype(np.uint8))
np.save(folder / "histograms.npy", np.stack([np.bincount(each.ravel(), minlength=256) for each in images]))
ids = [f"{n:03}" for n in range(6)]
pd.DataFrame({"id": ids, "group": ids}).to_csv(folder / "index.csv", index=False)
about = {"name": "cells", "classes": ["background", "cell"], "strata": [], "targets": [], "synthetic": True}
about |= {"geometry": "stretch", "size": [16, 16], "channels": 1}
(folder / "dataset.json").write_text(json.dumps(about))
parts = ["train", "train", "validation", "validation", "test", "test"]
pd.DataFrame({"fold": 0, "id": ids, "split": parts}).to_csv(project.split("cells"), index=False)
settings = {"family": "thresholds", "dataset": "cells", "task": "cells", "target": None}
settings |= {"foreground": "train"}
methods = {"otsu": {**settings, "method": "otsu"}, "multi": {**settings, "method": "multiotsu", "classes": 3}}
run_baselines("cells", methods, 1, project)
assert sorted(project.experiments("cells")) == ["multi", "otsu"]
"""


def test_a_threshold_imports_no_torch(tmp_path: Path) -> None:
    assert not loaded_by(THRESHOLD, str(tmp_path)) & {"torch", "torchvision", "timm", "sklearn", "safetensors"}


@pytest.mark.parametrize(
    "command",
    ["bakeoff.tasks.evaluate", "bakeoff.report.index", "bakeoff.datasets.derived.derive", "bakeoff.config"],
)
def test_evaluation_pages_and_drawing_import_no_torch(command: str) -> None:
    assert not loaded_by(f"import {command}") & {"torch", "torchvision", "timm"}


@pytest.mark.parametrize("model", ["unet", "segnet", "deeplabv3plus", "xception_unet"])
def test_a_network_of_ones_own_imports_no_timm(model: str) -> None:
    code = f"import bakeoff.training.train\nfrom bakeoff.training.saved import architecture\narchitecture('{model}')"
    loaded = loaded_by(code)
    assert "torch" in loaded
    assert not loaded & {"timm", "segmentation_models_pytorch", "sklearn", "matplotlib"}
    assert ("torchvision" in loaded) == (model == "deeplabv3plus"), "whose encoder is torchvision's ResNet"


# --- the engines, as their makers ship them

ENGINES = ("dvc", "snakemake")
# Parts of DVC that come as packages of their own.
PARTS = ("dvc_data", "dvc_objects", "scmrepo")
# All that is used of them beside their command lines, and where.
USED = {
    "workflow/dvc_stages.py": {
        *("dvc.repo", "dvc.repo.Repo", "dvc.dependency.param", "dvc.dependency.param.ParamsDependency"),
        *("snakemake.io", "snakemake.io.ancient", "snakemake.io.directory", "snakemake.io.report"),
    },
    "Snakefile": {"snakemake.utils", "snakemake.utils.min_version"},
}
PYTHON = [path for path in WORKFLOW.rglob("*.py") if "__pycache__" not in path.parts]
RULES = [ROOT / "Snakefile", *(WORKFLOW / "rules").glob("*.smk")]


def python_of(path: Path) -> list[ast.AST]:
    """A file's Python: of rules, which are none, every line that is an import."""
    text = path.read_text()
    if path.suffix == ".py":
        return [ast.parse(text)]
    return [ast.parse(line.strip()) for line in text.splitlines() if re.match(r"\s*(from\s+\S+\s+)?import\s", line)]


@pytest.mark.parametrize("path", [*PYTHON, *RULES], ids=lambda path: str(path.relative_to(ROOT)))
def test_of_the_engines_only_what_is_on_the_list_is_imported(path: Path) -> None:
    names = {
        name for tree in python_of(path) for name in imports_of(tree) if name.partition(".")[0] in (*ENGINES, *PARTS)
    }
    assert names <= USED.get(str(path.relative_to(ROOT)), set())
    # Nor by a name that is put together when it runs.
    loaders, engines = "import_module|__import__|find_spec|run_module", "|".join((*ENGINES, *PARTS))
    assert not re.search(rf"({loaders})\(\s*f?[\"']({engines})\b", path.read_text())


def test_the_list_of_what_is_used_of_the_engines_is_short_and_true() -> None:
    for path, names in USED.items():
        found = {name for tree in python_of(ROOT / path) for name in imports_of(tree)}
        assert names == {name for name in found if name.partition(".")[0] in ENGINES}


def engines_names(tree: ast.AST) -> set[str]:
    """Names in a file that stand for something of an engine, and for what a Snakefile is given."""
    names = {"workflow"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for alias in node.names:
                if (module or alias.name).partition(".")[0] in ENGINES:
                    names.add((alias.asname or alias.name).partition(".")[0])
    return names


def assigned_attributes(tree: ast.AST) -> Iterator[ast.expr]:
    """Objects an attribute or item of which some code sets, deletes or has set."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = list(node.targets)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For | ast.comprehension):
            targets = [node.target]
        elif isinstance(node, ast.With):
            targets = [item.optional_vars for item in node.items if item.optional_vars]
        elif isinstance(node, ast.Call) and called(node) in ("setattr", "delattr", "object", "patch", "__setattr__"):
            yield from node.args[:1]
        for target in targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Attribute | ast.Subscript) and isinstance(each.ctx, ast.Store | ast.Del):
                    yield each.value


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def root_names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} | {
        each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and each.attr in ("_workflow", "_repo")
    }


def replaced(tree: ast.AST) -> list[str]:
    """Code that sets an attribute of what belongs to an engine; `self._x` is ours, what it holds is theirs."""
    names = engines_names(tree)
    found = []
    for owner in assigned_attributes(tree):
        theirs = root_names(owner) & {*names, "_workflow", "_repo"}
        if theirs or (isinstance(owner, ast.Constant) and str(owner.value).partition(".")[0] in ENGINES):
            found.append(ast.unparse(owner))
    return found


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_the_engines_is_replaced(path: Path) -> None:
    assert replaced(ast.parse(path.read_text())) == []


def test_nothing_of_the_engines_is_replaced_in_rules() -> None:
    for path in RULES:
        assert not re.search(r"setattr|monkeypatch|\bworkflow(\.\w+)+\s*[-+|]?=[^=]", path.read_text()), path


@pytest.mark.parametrize(
    "code",
    [
        "from dvc.repo import Repo\nRepo.status = None",
        "import dvc.repo\ndvc.repo.Repo.lock = lambda self: None",
        "import dvc.repo as r\nr.Repo.a: int = 3",
        "from dvc.repo import Repo\nsetattr(Repo, 'status', None)",
        "from snakemake import io\nio.ancient, x = None, 1",
        "from snakemake import io\nfor io.ancient in (): pass",
        "from snakemake import io\ndel io.ancient",
        "from snakemake import io\nio.__dict__['ancient'] = None",
        "def f(workflow): workflow.scheduler += 1",
        "class A:\n def f(self): self._repo.index.graph = None",
        "from unittest.mock import patch\npatch('dvc.repo.Repo.status')",
    ],
)
def test_the_test_for_replacements_finds_them(code: str) -> None:
    assert replaced(ast.parse(code))


def test_versions_of_the_engines_are_capped_with_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    wanted = {each.name: each for each in map(Requirement, tomllib.loads(text)["project"]["dependencies"])}
    for engine in ENGINES:
        operators = {clause.operator for clause in wanted[engine].specifier}
        assert operators == {">=", "<"}
        (line,) = (line for line in text.splitlines() if line.strip().startswith(f'"{engine}>='))
        assert "#" in line, f"say why {engine} is capped"
