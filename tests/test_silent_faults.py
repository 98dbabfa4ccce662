"""Faults that gave plausible wrong numbers: one test a fault, each with a line on what it would have cost."""

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.mask_score import mask_score
from bakeoff.artefacts.void import VOID
from bakeoff.config import read_config, set_values
from bakeoff.datasets.preparation.decode import decode
from bakeoff.datasets.preparation.mask_files import stored
from bakeoff.datasets.preparation.mask_kinds import inspect_masks
from bakeoff.evaluation import classification, scores
from bakeoff.evaluation.comparison import SEGMENTATION, compare_scores
from bakeoff.leakage.effects import leakage_effect
from bakeoff.models import unet
from bakeoff.stage_inputs import stage_inputs
from bakeoff.training.augmentation import warp
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import Runtime
from bakeoff.training.examples import Examples
from bakeoff.training.fit import training_key
from bakeoff.training.loop import TrainingTask, train
from bakeoff.training.losses import class_weights, dice_cross_entropy, image_scores, overlap_counts
from bakeoff.training.objective import segmentation
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

RECIPE: dict[str, Any] = {
    **{"epochs": 1, "patience": 1, "batch_size": 4, "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0},
    **{"schedule": "constant", "warmup_epochs": 0, "frozen_epochs": 0, "discriminative": False},
    **{"encoder_learning_rate_factor": 1.0},
    "augmentation": dict.fromkeys(("rotate", "scale", "translate", "brightness", "contrast", "gamma", "flip"), 0),
}


def train_unet(folder: Path, **recipe: Any) -> None:
    """Train a small U-Net from random weights."""
    images = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    examples = Examples(images, (images[:, 0] > 128).to(torch.uint8))
    objective = segmentation(examples, ["background", "cell"])
    task = TrainingTask("cells", examples, examples, objective, {**RECIPE, **recipe}, seed=0)
    folder.mkdir()
    train(task, unet.build(1, 1, [4, 8]), Runtime(torch.device("cpu"), "fp32"), CheckpointFolder(folder))


# Cost: a U-Net that learns with 753 of its 1,869 parameters scores lower, and the comparison blames the architecture.
def test_an_encoder_without_pretrained_weights_is_not_frozen(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"cells: the recipe's frozen_epochs is 3, .*: set frozen_epochs to 0, or"):
        train_unet(tmp_path / "frozen", frozen_epochs=3)


# Cost: every seed and fold after the largest one reports that one's GPU memory as its own.
def test_peak_memory_is_that_of_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {"bytes": 0}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: peaks.update(bytes=0))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peaks["bytes"])
    gpu = Runtime(torch.device("cuda"), "fp32")
    for mebibytes in (8, 3):
        gpu.reset_peak_memory()
        peaks["bytes"] = max(peaks["bytes"], mebibytes * 2**20)
        assert gpu.peak_memory_mib() == mebibytes

    resets: list[str] = []
    monkeypatch.setattr(Runtime, "reset_peak_memory", lambda runtime: resets.append(runtime.precision))
    train_unet(tmp_path / "first")
    train_unet(tmp_path / "second")
    assert resets == ["fp32", "fp32"]


# Cost: of distances and log losses below 1 the upper end is cut at 1, just where the seeds disagree most.
def test_an_interval_ends_where_the_score_does_and_not_where_its_values_happen_to() -> None:
    by_seed = pd.DataFrame({"id": list("aabbcc"), "seed": [0, 1] * 3, "assd": [0.2, 0.9] * 3, "dice": [0.2, 0.9] * 3})
    found = scores.headline(by_seed, pd.Series({"a": 0, "b": 1, "c": 2}), resamples=50)
    assert found["assd"]["high"] > 1 == found["dice"]["high"]
    assert found["assd"]["low"] == found["dice"]["low"] == 0

    probabilities = np.exp(-np.array([[0.2] * 3, [0.9] * 3]))[..., None]
    probabilities = np.concatenate([probabilities, 1 - probabilities], axis=2)
    assert classification.headline(np.zeros(3, int), probabilities, np.arange(3), resamples=50)["log_loss"]["high"] > 1


# Cost: two oracles added moved the only real pair from p = .018 to .036; a few more, and it is undecided.
def test_oracles_are_outside_the_family_that_holm_corrects_for() -> None:
    rng = np.random.default_rng(1)
    dice = {name: rng.beta(9, 2, 40) - drop for name, drop in [("a", 0.0), ("b", 0.06), ("bound", 0.01), ("top", 0.0)]}
    groups = pd.Series({str(image): image for image in range(40)})

    def pairs(*names: str) -> pd.DataFrame:
        entry = {"family": "thresholds", "method": "otsu", "facts": {"name": "Otsu"}}
        oracles = {name: {"foreground": "oracle"} for name in ("bound", "top")}
        tables = {name: pd.DataFrame({"id": groups.index, "seed": 0, "dice": dice[name]}) for name in names}
        experiments, others = {name: entry | oracles.get(name, {}) for name in names}, {name: {} for name in names}
        _, found = compare_scores(
            SEGMENTATION, experiments, tables, others, others, [], groups, resamples=50, margin=0.01
        )
        return found.set_index(["first", "second"])

    alone, among_oracles = pairs("a", "b"), pairs("a", "b", "bound", "top")
    assert (
        among_oracles.loc[("a", "b"), "p_holm"] == alone.loc[("a", "b"), "p_holm"] == alone.loc[("a", "b"), "p_value"]
    )
    assert among_oracles["p_holm"].notna().sum() == 1
    assert among_oracles["verdict"].notna().all()


# Cost: after a change to how the objective is built, the old network's scores come back under the new code's name.
def test_a_checkpoint_is_of_the_code_the_data_and_the_parameters_that_its_stage_names(tmp_path: Path) -> None:
    root, stage, cpu = tmp_path / "project", "train@lungs-unet", Runtime(torch.device("cpu"), "fp32")
    shutil.copytree(ROOT / "workflow", root / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root)
    for name in ("prepared/lungs/images.npy", "splits/lungs.csv", "weights/none/weights.json"):
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / name).write_text(name)

    def key(seed: int = 0, part: str = "0", runtime: Runtime = cpu) -> str:
        return training_key(stage_inputs(stage, root), seed, part, runtime)

    def key_after(name: str, *assignments: str) -> str:
        """The key when a file has changed, as it was before again afterwards."""
        path = root / name
        before = path.read_text()
        if assignments:
            set_values(assignments, path)
        else:
            path.write_text(f"{before}# changed\n")
        try:
            return key()
        finally:
            path.write_text(before)

    first, package, recipe = key(), "workflow/bakeoff", "recipes.from-scratch"
    assert key() == first
    for name in ("training/objective.py", "training/fit.py", "models/unet.py", "artefacts/atomic.py"):
        assert key_after(f"{package}/{name}") != first, name
    for name in ("progress/epochs.py", "progress/interruption.py", "models/segnet.py", "config/messages.py", "cli.py"):
        assert key_after(f"{package}/{name}") == first, name
    for name in ("prepared/lungs/images.npy", "splits/lungs.csv", "weights/none/weights.json"):
        assert key_after(f"data/{name}") != first, name
    assert key_after("params.yaml", "seeds.sample=5") == first, "how many other seeds there are"
    assert key_after("params.yaml", f"{recipe}.sample.epochs=50") != first
    assert key_after("params.yaml", f"{recipe}.small.epochs=50") == first, "of another profile"
    assert key_after("params.yaml", "experiments.networks.lungs-unet.settings.norm=batch") != first
    assert len({first, key(seed=1), key(part="1"), key(runtime=Runtime(torch.device("cpu"), "bf16"))}) == 4


# Cost: as above, of whatever dvc.yaml names and the hash of a checkpoint does not.
def test_what_a_checkpoint_is_of_is_what_dvc_reruns_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.stage_inputs.md5", lambda path, ignored: "")  # most of it nobody has made here
    checked = []
    with Repo(str(ROOT)) as repo:
        for stage in repo.index.stages:
            if stage.name.partition("@")[0] in ("train", "masks"):
                inputs = stage_inputs(stage.name, ROOT)
                deps = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
                assert set(inputs["deps"]) == {Path(dep.fs_path).relative_to(ROOT).as_posix() for dep in deps}
                (params,) = (dep for dep in stage.deps if isinstance(dep, ParamsDependency))
                assert inputs["params"] == params.read_params()
                checked.append(stage.name)
    config = read_config(ROOT / "params.yaml")
    assert sorted(checked) == sorted(
        [*(f"train@{name}" for name in config.networks), *(f"masks@{name}" for name in config.predicted_masks)]
    )


# Cost: of five seeds that differ, an accuracy is said to rise by between -2.83 and 3.12.
def test_a_leakage_effect_on_different_images_lies_within_what_scores_can_be() -> None:
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame(rng.random((4, 2)) < share, index=[f"{name}{n}" for n in range(4)]).astype(float)
        for name, share in (("a", (0.1, 0.9)), ("b", (0.9, 0.2)))
    ]
    groups = pd.Series({name: name for table in tables for name in table.index})
    found = leakage_effect(*tables, groups, resamples=200)
    assert -1 <= found.low <= found.difference <= found.high <= 1


# A process of its own, as the pipeline has it: a fork of a large process starts with much memory.
BASELINES = """
import resource, sys
from pathlib import Path
import cv2
import numpy as np
from bakeoff.artefacts.layout import Project
from bakeoff.baselines import group

def taking_memory(name, settings, seeds, project, folder):
    taken = np.ones((200 if name == "large" else 1) * 2**20, np.uint8)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * int(taken[-1])
    (folder.predictions / "peak").write_text(str(peak))

METHOD = {"family": "thresholds", "method": "otsu"}
group._run = taking_memory
group.run_baselines("discs", {"large": METHOD, "small": METHOD}, 1, Project(Path(sys.argv[1])))
"""


# Cost: every method after the SVM of a task reports the memory that the SVM took.
def test_a_baseline_reports_its_own_memory(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", BASELINES, str(tmp_path)], check=True)
    folder = Project(tmp_path).task("discs") / "baselines"
    large, small = (int((folder / name / "predictions" / "peak").read_text()) for name in ("large", "small"))
    assert large - small > 150 * 2**10


# Cost: a mask saved as JPEG has a dozen levels about 0 and 255, which became a dozen classes with names and scores.
def test_few_levels_of_a_jpeg_are_not_classes() -> None:
    disc = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
    buffer = io.BytesIO()
    Image.fromarray(disc.astype(np.uint8) * 255).save(buffer, "JPEG", quality=98)
    found = inspect_masks([("a.jpg", buffer.getvalue())])
    assert found is not None
    assert (found.kind, 3 < len(found.counts) <= 64) == ("smoothed", True)


# Cost: of class numbers 0 to 3 in a PNG of two bits Pillow makes 0, 85, 170 and 255, and 255 was taken for void; those
# of 16 bits in RGB became 0, all background.
def test_class_numbers_are_not_spread_over_the_bits_of_a_channel() -> None:
    numbers = np.arange(4, dtype=np.uint16).reshape(1, 4)
    [ok, deep] = cv2.imencode(".png", np.repeat(numbers[..., None], 3, axis=2))
    assert ok
    assert np.array_equal(stored(deep.tobytes()).values, numbers)


def three_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True masks of three classes and a prediction that is right on nine of ten pixels; uint8, (6, 8, 8) each."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, (6, 8, 8)).astype(np.uint8)
    return truth, np.where(rng.random(truth.shape) < 0.1, rng.integers(0, 3, truth.shape), truth).astype(np.uint8)


# Cost: of two foreground classes the first alone ranked the methods; with the two swapped another method won.
def test_swapping_the_numbers_of_two_classes_changes_no_score() -> None:
    truth, prediction = three_classes(0)
    swapped = np.array([0, 2, 1], np.uint8)
    names, scored = ["background", "a", "b"], mask_score(None, ["background", "a", "b"], 0).scored
    (one,) = scores.score_masks(truth, [prediction], classes=names, scored=scored)
    (other,) = scores.score_masks(swapped[truth], [swapped[prediction]], classes=names, scored=scored)
    pd.testing.assert_frame_equal(one.table, other.table)
    a, b = (scores.score_masks(truth, [prediction], classes=names, scored=(k,))[0].table["dice"] for k in (1, 2))
    assert one.table["dice"].tolist() == pytest.approx(((a + b) / 2).tolist())


# Cost: pixels that nobody annotated count as mistakes of whoever predicts something there.
def test_void_pixels_change_no_score_and_no_loss() -> None:
    truth, prediction = three_classes(1)
    truth[:, :, :3] = VOID
    guess = prediction.copy()
    guess[:, :, :3] = 2
    tables = [
        scores.score_masks(truth, [each], classes=["a", "b", "c"], scored=(0, 1, 2))[0].table
        for each in (prediction, guess)
    ]
    pd.testing.assert_frame_equal(*tables)
    masks, weights = torch.from_numpy(truth), class_weights(torch.from_numpy(truth), 3)
    assert torch.equal(weights, class_weights(masks[:, :, 3:], 3))
    logits = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    inside = dice_cross_entropy(logits[..., 3:], masks[..., 3:], weights)
    assert dice_cross_entropy(logits, masks, weights, void=True).item() == pytest.approx(inside.item(), abs=1e-6)
    score = mask_score(None, ["a", "b", "c"], None)
    measured = [overlap_counts(torch.from_numpy(each), masks, score.scored) for each in (prediction, guess)]
    assert torch.equal(*measured)


# Cost: the weights that are kept are the best by another score than the one that the report ranks by.
@pytest.mark.parametrize("setting", [None, "mean-iou", "objects", {"class": "b"}])
@pytest.mark.parametrize("background", [0, None])
def test_weights_are_kept_by_the_score_of_the_evaluation(setting: Any, background: int | None) -> None:
    truth, prediction = three_classes(2)
    truth[0], prediction[0] = 0, 0  # nothing to find, and nothing found
    truth[1][truth[1] == 2] = 1  # a class that this image lacks
    names = ["a", "b", "c"]
    score = mask_score(setting, names, background).of_pixels  # objects would take too long in every epoch
    (evaluated,) = scores.score_masks(truth, [prediction], classes=names, scored=score.scored)
    chosen = image_scores(overlap_counts(torch.from_numpy(prediction), torch.from_numpy(truth), score.scored), score)
    assert chosen.tolist() == pytest.approx(evaluated.table[score.measure].tolist(), abs=1e-6)


# Cost: where every class counts, the corners of a turned picture are learned as whatever class 0 is.
@pytest.mark.parametrize(("background", "corner"), [(0, 0), (None, VOID)])
def test_beyond_the_edges_of_a_moved_picture_there_is_no_class(background: int | None, corner: int) -> None:
    masks = torch.ones((1, 4, 4), dtype=torch.uint8)
    examples = Examples(torch.zeros((1, 1, 4, 4), dtype=torch.uint8), masks)
    objective = segmentation(examples, ["a", "b"], background=background)
    right = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])  # half a picture to the left
    _, moved = warp(torch.zeros((1, 1, 4, 4)), masks, right, objective.outside)
    assert moved is not None
    assert moved[0].tolist() == [[1, 1, corner, corner]] * 4


# Cost: of colours with 16 bits the lower 8 were cut off, so that twelve bits in sixteen came out black; and images of
# which the file says that 0 is white came out as negatives.
def test_deep_colours_are_not_cut_off_and_a_white_zero_is_no_negative() -> None:
    twelve_bits = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.dstack([twelve_bits] * 3), photometric="rgb")
    assert decode(buffer.getvalue(), 3).pixels.mean() == pytest.approx(127.5)
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, shades, photometric="miniswhite")
    assert np.array_equal(decode(buffer.getvalue(), 1).pixels[..., 0], 255 - shades)


# Cost: each image of 16 bits was scaled by its own brightest level, so that a dark plate looked like a bright one.
def test_levels_of_a_data_set_keep_images_comparable() -> None:
    dark, bright = (np.full((4, 4), level, np.uint16) for level in (255, 4095))
    shown = [decode(deep_tiff(image), 1, levels=(0, 4095)).pixels.max() for image in (dark, bright)]
    assert shown == [16, 255]


def deep_tiff(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image)
    return buffer.getvalue()


# Cost: levels of 8 bits with a sign, or beyond 255 once rescaled, wrapped around: -1 became white.
def test_signed_levels_of_eight_bits_do_not_wrap_around() -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.array([[-128, -1, 0, 127]], np.int8))
    found = decode(buffer.getvalue(), 1, levels=(-128, 127)).pixels[0, :, 0]
    assert found.tolist() == [0, 127, 128, 255]
    assert (np.diff(decode(buffer.getvalue(), 1).pixels[0, :, 0].astype(int)) >= 0).all()
