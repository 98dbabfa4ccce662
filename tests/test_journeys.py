"""The pages of docs/journeys: their commands, as typed, in a fresh clone; networks are trained for one epoch."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

PAGES = sorted((ROOT / "docs" / "journeys").glob("*.md"))
BIN = Path(sys.executable).parent
LEFT_OUT = (".git", ".venv", ".snakemake", "results", "logs", ".dvc/cache", ".hypothesis")


def commands(page: Path) -> list[list[str]]:
    """What a page types, line by line."""
    typed = [
        line.split()
        for line in re.findall(r"^    (\w.*)$", page.read_text(), re.MULTILINE)
        if line.startswith(("bakeoff ", "snakemake ", "dvc "))
    ]
    assert typed, page
    return typed


def test_there_is_a_page_for_each_folder_and_its_pictures_exist() -> None:
    assert [page.stem for page in PAGES] == ["insects", "nuclei", "street"]
    for page in PAGES:
        assert "@@" not in page.read_text()
        for picture in re.findall(r"!\[.+?\]\((.+?)\)", page.read_text()):
            assert (page.parent / picture).is_file()
        for link in re.findall(r"(?<!!)\[.+?\]\((?!https)(.+?)\)", page.read_text()):
            assert (page.parent / link).is_file()


def type_in(root: Path, command: list[str]) -> str:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(root / "workflow")}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def one_epoch(root: Path) -> None:
    """Shorten the trainings that `add` has written."""
    recipes = yaml.safe_load((root / "params.yaml").read_text())["recipes"]
    bundled = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]
    type_in(root, ["bakeoff", "set", *(f"recipes.{name}.always.epochs=1" for name in recipes if name not in bundled)])


def new_images(root: Path, archive: Path, folder: str) -> None:
    """Three of the images, as somebody's new ones."""
    (root / folder).mkdir()
    with zipfile.ZipFile(archive) as opened:
        pictures = [name for name in opened.namelist() if name.endswith((".png", ".jpg")) and "/masks/" not in name]
        for number, name in enumerate(pictures[:3]):
            (root / folder / f"{number}{Path(name).suffix}").write_bytes(opened.read(name))


@pytest.mark.real
@pytest.mark.engine
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_in_a_fresh_clone(
    page: Path, own_images: Path, mirror: Path, tmp_path: Path
) -> None:
    root, archive = tmp_path / "bakeoff", f"{page.stem}.zip"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        type_in(root, command)
    type_in(root, ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start"])
    (root / archive).symlink_to(own_images / archive)
    seen, pretrained = "", ["--no-pretrained"]
    for command in commands(page):
        if command[:2] == ["bakeoff", "set"]:
            command, pretrained = ["bakeoff", "set", f"download.mirror={mirror}"], []
        if command[:2] == ["bakeoff", "add"]:
            command = [*command, *pretrained]
        if command[:2] == ["bakeoff", "predict"]:
            new_images(root, own_images / archive, command[3].rstrip("/"))
        seen += type_in(root, command)
        if command[:2] == ["bakeoff", "add"]:
            one_epoch(root)
    said = [line.strip() for line in re.findall(r"^      (\S.*)$", page.read_text(), re.MULTILINE)]
    assert said, page
    for line in said:
        assert line in seen
    assert (root / "results" / "report" / f"{page.stem}.html").is_file()
