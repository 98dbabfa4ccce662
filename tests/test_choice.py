"""`bakeoff exports`: which networks the configuration exports, chosen by validation scores and never by test scores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bakeoff.artefacts.layout import Project
from bakeoff.cli import main
from bakeoff.config import read_config
from bakeoff.config.schema import Export
from click.testing import CliRunner, Result

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundled configuration, and nothing that was run."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_records(name: str, *scores: float) -> None:
    """Records of trainings, as `train` leaves them: one a seed."""
    settings = read_config().experiment(name)
    models = Project().experiment(settings["task"], name, settings["family"]).models
    models.mkdir(parents=True)
    for seed, score in enumerate(scores):
        (models / f"seed{seed}.json").write_text(json.dumps({"seed": seed, "best_validation_score": score}))


def exports(*words: str) -> Result:
    return CliRunner().invoke(main, ["exports", *words])


def chosen() -> dict[str, Export]:
    return read_config().exports


def test_by_default_nothing_is_exported(clone: Path) -> None:
    assert read_config().exports == {}


def test_the_best_of_each_task_by_the_mean_validation_score(clone: Path) -> None:
    write_records("lungs-unet", 0.90, 0.94)
    write_records("lungs-deeplabv3plus", 0.95, 0.85)
    write_records("lungs-reference", 0.91)
    write_records("pets-unet", 0.1)
    write_records("pets-segnet", 0.1)
    found = exports("--best")
    assert (found.exit_code, list(chosen())) == (0, ["lungs-unet", "pets-unet"]), "of equal ones the first"
    assert found.output == "params.yaml exports lungs-unet, pets-unet: run the pipeline to write them.\n"


def test_test_scores_have_no_say(clone: Path) -> None:
    for name, validation, test in (("lungs-unet", 0.9, 0.5), ("lungs-deeplabv3plus", 0.8, 0.99)):
        write_records(name, validation)
        scored = Project().evaluated("lungs", name)
        scored.mkdir(parents=True)
        (scored / "metrics.json").write_text(json.dumps({"dice": {"mean": test}, "best_validation_score": test}))
    assert exports("--best").exit_code == 0
    assert list(chosen()) == ["lungs-unet"]


def test_what_needs_a_true_mask_with_every_image_is_left_out(clone: Path) -> None:
    for name in ("breeds-true-crop", "ultrasound-overlay", "ultrasound-shuffled-overlay", "ultrasound-mask-only"):
        write_records(name, 0.99)
    found = exports("--best")
    assert found.exit_code == 1
    assert "No network was trained yet: run `snakemake --cores 8 --resources gpu=1` or `dvc repro`" in found.output
    write_records("breeds-predicted-crop", 0.3)
    write_records("breeds-resnet34", 0.2)
    assert exports("--best").exit_code == 0
    assert list(chosen()) == ["breeds-predicted-crop"]
    assert chosen()["breeds-predicted-crop"].model_dump() == {
        **{"task": "pets-breeds", "dataset": "pets", "images": "pets-predicted-crop"},
        **{"model": "timm_classifier", "int8": False},
    }


def test_networks_by_name_in_place_of_what_is_there(clone: Path) -> None:
    assert exports("lungs-unet", "pets-unet").exit_code == 0
    assert exports("lungs-reference", "lungs-unet").exit_code == 0
    assert list(chosen()) == ["lungs-reference", "lungs-unet"]


def test_int8_is_kept_of_what_stays(clone: Path) -> None:
    exports("lungs-unet", "pets-unet")
    assert CliRunner().invoke(main, ["set", "exports.lungs-unet.int8=true"]).exit_code == 0
    exports("lungs-unet", "lungs-reference")
    assert {name: each.int8 for name, each in chosen().items()} == {"lungs-unet": True, "lungs-reference": False}


def test_all_else_in_the_file_stays_as_it_is_and_each_network_has_a_line(clone: Path) -> None:
    before = (clone / "params.yaml").read_text()
    exports("lungs-unet", "pets-unet")
    assert (clone / "params.yaml").read_text() == before.replace(
        "exports: {}\n",
        "exports:\n"
        "  lungs-unet: {task: lungs, dataset: lungs, images: lungs, model: unet, int8: false}\n"
        "  pets-unet: {task: pets-masks, dataset: pets, images: pets, model: unet, int8: false}\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "bakeoff exports --best"),
        (("--best", "lungs-unet"), "bakeoff exports --best"),
        (("lungs-umet",), "params.yaml has no network 'lungs-umet': did you mean 'lungs-unet'"),
        (("lungs-otsu",), "params.yaml has no network 'lungs-otsu'"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    clone: Path, words: tuple[str, ...], message: str
) -> None:
    before = (clone / "params.yaml").read_bytes()
    found = exports(*words)
    assert found.exit_code == 1
    assert message in found.output
    assert (clone / "params.yaml").read_bytes() == before


def test_dvc_has_a_stage_for_each(clone: Path) -> None:
    (clone / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    exports("lungs-unet", "breeds-predicted-crop")

    def dvc(*words: str) -> str:
        return subprocess.run([sys.executable, "-m", "dvc", *words], check=True, capture_output=True, text=True).stdout

    dvc("init", "--no-scm", "--quiet")
    stages = dvc("stage", "list", "--name-only").split()
    assert [name for name in stages if name.startswith("export@")] == [
        "export@lungs-unet",
        "export@breeds-predicted-crop",
    ]
