"""What a run ends with, and words of a command that begin with a dash."""

from pathlib import Path

import pytest
from bakeoff.artefacts.layout import Project, making
from bakeoff.cli import main
from bakeoff.report.ending import ending
from click.testing import CliRunner

COLUMNS = "experiment,label,images,rank_low,rank_high,dice_mean,dice_low,dice_high,dice_behind_mean"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (("a-unet,U-Net,20,1,1,0.9,0.85,0.95,0", "a-otsu,Otsu,20,2,2,0.5,0.4,0.6,0.4"), "is the best of 2 methods"),
        (("a-unet,U-Net,20,1,2,0.9,0.85,0.95,0", "a-otsu,Otsu,20,1,2,0.8,0.7,0.9,0.1"), "but may rank up to 2"),
        (("a-oracle,True masks,20,,,1,1,1,", "a-unet,U-Net,20,1,1,0.9,0.85,0.95,0"), "is the only method"),
    ],
)
def test_the_last_lines_name_page_winner_and_command(tmp_path: Path, rows: tuple[str, ...], sentence: str) -> None:
    project = Project(tmp_path)
    project.evaluation("a").mkdir(parents=True)
    (project.evaluation("a") / "comparison.csv").write_text("\n".join([COLUMNS, *rows]))
    found, use = ending("a", project)
    assert found.startswith(f"{project.report / 'a.html'}: U-Net ")
    assert sentence in found
    assert found.endswith("dice 0.900, 95 % interval 0.850 to 0.950, on 20 test images.")
    assert use == "Use it: bakeoff predict a-unet YOUR-IMAGES --out ANSWERS"


def test_a_file_whose_name_begins_with_a_dash_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-x.jpg").touch()
    said = CliRunner().invoke(main, ["predict", "a-unet", "-x.jpg"]).output
    assert said == "bakeoff: Say where the answers go: --out FOLDER.\n"
    assert "No such option" in CliRunner().invoke(main, ["predict", "a-unet", "-y.jpg"]).output


def test_the_command_that_makes_a_file_is_named() -> None:
    assert making(Path("results/a/a-unet/models/seed0.safetensors")) == "dvc repro train@a-unet"
    again = making(Path("results/a/baselines/a-otsu/predictions"), force=True)
    assert again == "dvc repro --force --single-item baselines@a"
    assert making(Path("elsewhere")) == "dvc repro"
