"""The demo: a real server process on a tiny pipeline run, asked by a real client and in a real browser."""

import base64
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.colours import class_colours
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.void import VOID
from bakeoff.baselines.group import run_baselines
from bakeoff.cards.notes import NO_MEDICAL_DEVICE
from bakeoff.cli import main
from bakeoff.config import read_config
from bakeoff.datasets.preparation.decode import resize_image
from bakeoff.datasets.splits.split import split
from bakeoff.demo.catalogue import Method, read_tasks
from bakeoff.demo.comparing import (
    MOST_METHODS,
    Comparison,
    Outcome,
    Picture,
    as_values,
    chosen_methods,
    compare,
    picture_of_example,
    picture_of_file,
)
from bakeoff.demo.pool import Pool
from bakeoff.demo.rendering import between, comparison_html, indices_uri, overlay_uri
from bakeoff.demo.server import open_method
from bakeoff.demo.uploads import KEPT_SECONDS, Uploads
from bakeoff.evaluation.objects import object_scores
from bakeoff.evaluation.separation import Separation
from bakeoff.inference.predictors import Answer, Predictor
from bakeoff.tasks.evaluate import evaluate
from bakeoff.training.train import train
from click.testing import CliRunner
from ellipses import write_prepared
from PIL import Image
from skimage.measure import label

ROOT = Path(__file__).resolve().parent.parent
SIDE = 32
RECIPE: dict[str, Any] = {
    **{"epochs": 2, "patience": 9, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.01},
    **{"schedule": "constant", "warmup_epochs": 0, "frozen_epochs": 0, "encoder_learning_rate_factor": 1.0},
    **{"discriminative": False, "weight_decay": 0.0, "class_weights": "none", "label_smoothing": 0.0},
    "precision": "fp32",
    "augmentation": dict.fromkeys(("rotate", "scale", "translate", "brightness", "contrast", "gamma"), 0)
    | {"flip": False},
}
NETWORKS = {
    "lungs-unet": {"channels": [4, 8], "norm": "batch"},
    "lungs-reference": {"channels": [8], "norm": "batch"},
}
METHODS = {"lungs-otsu", "lungs-yen", *NETWORKS}
# Lies there as ONNX alone: whatever answers for it runs on ONNX Runtime.
EXPORTED = "lungs-reference"
FOREST = {"method": "random-forest", "features": "rgb", "side": 8, "settings": {"n_estimators": 10}}


# --- a tiny pipeline run


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration, and what its stages leave of one segmentation and one classification on drawn images."""
    root = tmp_path_factory.mktemp("clone")
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("OMP_NUM_THREADS", "1")
        _lungs(Project())
        _cats_and_dogs(Project())
    return root


def _split(task: str, project: Project, dataset: str, stratify: list[str]) -> Path:
    settings = {"name": "stratified", "train": 0.5, "validation": 0.2, "test": 0.3, "stratify": stratify, "seed": 0}
    entry = {"dataset": dataset, "kind": "segmentation", "target": None, "split": settings}
    split(task, entry, project.prepared(dataset), project.split(task))
    return project.split(task)


def _lungs(project: Project) -> None:
    write_prepared(project.prepared("lungs"), images=48, side=SIDE)
    _split("lungs", project, "lungs", ["hospital"])
    config = read_config()
    methods = {name: config.experiment(name) for name in ("lungs-otsu", "lungs-yen")}
    run_baselines("lungs", methods, 1, project)
    for name, settings in NETWORKS.items():
        unet = {"model": "unet", "weights": "none", "pretrained": None, "settings": settings}
        network = {**config.experiment(name), **unet}
        train(name, network, RECIPE, 1, project, {"stage": name}, half=False)
    evaluate("lungs", config.task("lungs"), [*methods, *NETWORKS], project, resamples=100, margin=0.01)
    exported = CliRunner().invoke(main, ["export", EXPORTED], catch_exceptions=False)
    assert exported.exit_code == 0, exported.output
    (project.experiment("lungs", EXPORTED, "networks").models / "seed0.safetensors").unlink()


def _cats_and_dogs(project: Project) -> None:
    """Reddish cats and bluish dogs, without an evaluation."""
    data, count = project.prepared("catsdogs"), 40
    data.mkdir()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 160, (count, SIDE, SIDE, 3), dtype=np.uint8)
    images[::2, ..., 0] += 60
    images[1::2, ..., 2] += 60
    np.save(data / "images.npy", images)
    np.save(data / "histograms.npy", np.zeros((count, 256), np.uint32))
    kinds = ["cat", "dog"] * (count // 2)
    ids = [f"{kind}-{n}" for n, kind in enumerate(kinds)]
    sizes = {"original_height": SIDE, "original_width": SIDE}
    pd.DataFrame({"id": ids, "group": ids, "class": kinds, "source": ids, **sizes}).to_csv(
        data / "index.csv", index=False
    )
    about = {"name": "catsdogs", "source": "catsdogs", "title": "Red cats and blue dogs", "classes": []}
    about |= {"targets": ["class"], "strata": [], "synthetic": True, "patients": False}
    about |= {"geometry": "stretch", "size": [SIDE, SIDE], "channels": 3}
    (data / "dataset.json").write_text(json.dumps(about))
    _split("catsdogs", project, "catsdogs", ["class"])
    forest = {**read_config().experiment("catsdogs-random-forest"), **FOREST}
    run_baselines("catsdogs", {"catsdogs-random-forest": forest}, 1, project)


# --- what there is to show


def test_a_task_has_its_methods_best_first_with_the_best_and_otsu_ticked(clone: Path) -> None:
    tasks = read_tasks(clone)
    assert list(tasks) == ["catsdogs", "lungs"]  # the configuration's order
    lungs = tasks["lungs"]
    ranking = pd.read_csv(clone / "results/evaluation/lungs/comparison.csv")
    assert [each.experiment for each in lungs.methods] == ranking["experiment"].tolist()
    assert [each.label for each in lungs.methods] == ranking["label"].tolist()
    assert {each.experiment for each in lungs.methods if each.chosen} >= {ranking["experiment"][0], "lungs-otsu"}
    assert lungs.title == "lungs: lung in Chest X-rays of ellipses"
    assert (lungs.note, tasks["catsdogs"].note) == (NO_MEDICAL_DEVICE, "")


def test_examples_are_test_images_with_their_truth(clone: Path) -> None:
    lungs = read_tasks(clone)["lungs"]
    table = pd.read_csv(clone / "data/splits/lungs.csv")
    tested = table.loc[table["split"] == "test", "id"].tolist()
    assert set(lungs.examples()) <= set(tested)
    assert len(set(lungs.examples())) == 8
    assert lungs.examples() == lungs.examples(0) != lungs.examples(1)
    row = table["id"].tolist().index(lungs.examples()[0])
    np.testing.assert_array_equal(
        lungs.example(lungs.examples()[0]), np.load(clone / "data/prepared/lungs/images.npy")[row]
    )
    np.testing.assert_array_equal(
        lungs.true_mask(lungs.examples()[0]), np.load(clone / "data/prepared/lungs/masks.npy")[row]
    )
    trained = table.loc[table["split"] == "train", "id"].iloc[0]
    with pytest.raises(BakeoffError, match="is not a test image of lungs: choose one of its examples"):
        lungs.example(trained)


def test_what_needs_the_truth_is_not_offered(clone: Path, tmp_path: Path) -> None:
    """An experiment on drawn true masks, though it was trained."""
    for name in ("data", "results"):
        (tmp_path / name).symlink_to(clone / name)
    config = (clone / "params.yaml").read_text()
    bound = "lungs-otsu: {method: otsu, foreground: train}"
    assert bound in config
    (tmp_path / "params.yaml").write_text(config.replace(bound, bound.replace("train}", "oracle}")))
    names = [each.experiment for each in read_tasks(tmp_path)["lungs"].methods]
    assert names
    assert "lungs-otsu" not in names


def test_before_anything_was_trained_it_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    with pytest.raises(BakeoffError, match=r"holds no method that can predict: run `make run` or `dvc repro`"):
        read_tasks(tmp_path)


def test_the_command_line_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["demo"])
    assert found.exit_code == 1
    assert "results holds no method that can predict: run `make run`" in found.output
    assert CliRunner().invoke(main, ["demo", "--port", "99999"]).exit_code == 2


def test_a_detector_of_other_pictures_is_refused(clone: Path, tmp_path: Path) -> None:
    for name in ("params.yaml", "data"):
        (tmp_path / name).symlink_to(clone / name)
    shutil.copytree(clone / "results", tmp_path / "results")
    path = tmp_path / "results" / "evaluation" / "lungs" / "out_of_distribution.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": [SIDE, SIDE + 1]}))
    with pytest.raises(BakeoffError, match=r"out_of_distribution\.json was made of pictures of another geometry"):
        read_tasks(tmp_path)


def test_gradio_is_not_loaded_by_the_command_line() -> None:
    code = "import bakeoff.cli, sys; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- comparing


def opened(clone: Path, name: str) -> Predictor:
    """A method as the demo opens it by default."""
    return open_method(clone, read_config(clone / "params.yaml"), name, "auto")


def test_by_default_a_network_runs_on_onnx_runtime_where_it_was_exported(clone: Path) -> None:
    assert {name: opened(clone, name).provider for name in METHODS} == {
        "lungs-otsu": None,
        "lungs-yen": None,
        "lungs-unet": "cpu",
        "lungs-reference": "CPUExecutionProvider",
    }


def test_every_method_is_asked_about_the_same_picture(clone: Path, tmp_path: Path) -> None:
    lungs = read_tasks(clone)["lungs"]
    noise = np.random.default_rng(1).integers(0, 256, (50, 70), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    picture = picture_of_file(lungs, tmp_path / "noise.png", "noise.png")
    np.testing.assert_array_equal(picture.prepared, resize_image(noise[..., None], (SIDE, SIDE)))
    found = compare(lungs, picture, lungs.methods, lambda name: opened(clone, name))
    for method, outcome in zip(lungs.methods, found.outcomes, strict=True):
        [answer] = opened(clone, method.experiment).predict(picture.prepared[None])
        assert outcome.answer is not None
        np.testing.assert_array_equal(outcome.answer.mask, answer.mask)
        assert outcome.areas == {"lung": np.count_nonzero(answer.mask == 1) / SIDE**2}
    assert found.out_of_distribution  # noise is no ellipses


def test_a_method_that_cannot_answer_says_why_and_the_others_answer(clone: Path) -> None:
    lungs = read_tasks(clone)["lungs"]

    def get(name: str) -> Any:
        if name == "lungs-yen":
            raise BakeoffError("lungs-yen.json is missing: fit first.")
        return opened(clone, name)

    picture = Picture("p", lungs.example(lungs.examples()[0]), lungs.example(lungs.examples()[0]))
    found = {each.method.experiment: each for each in compare(lungs, picture, lungs.methods, get).outcomes}
    assert found["lungs-yen"].answer is None
    assert found["lungs-yen"].words == "lungs-yen.json is missing: fit first."
    assert found["lungs-otsu"].answer is not None


def test_the_five_likeliest_classes_come_first_ties_in_order() -> None:
    probabilities = np.array([0.1, 0.3, 0.05, 0.3, 0.05, 0.15, 0.05])
    outcome = Outcome(Method("m", "M", True), list("abcdefg"), [], Answer(None, probabilities, 0.1))
    assert outcome.likeliest == [("b", 0.3), ("d", 0.3), ("f", 0.15), ("a", 0.1), ("c", 0.05)]
    assert outcome.areas == {}


def test_methods_are_checked(clone: Path) -> None:
    lungs = read_tasks(clone)["lungs"]
    assert [each.experiment for each in chosen_methods(lungs, ["lungs-yen", "lungs-yen"])] == ["lungs-yen"]
    with pytest.raises(BakeoffError, match="No method is selected: select at least one"):
        chosen_methods(lungs, [])
    with pytest.raises(BakeoffError, match=f"lungs has no method 'x': choose among {', '.join(sorted(METHODS))}"):
        chosen_methods(lungs, ["x"])
    many = [Method(f"m{n}", f"M{n}", False) for n in range(MOST_METHODS + 1)]
    object.__setattr__(lungs, "methods", many)
    with pytest.raises(BakeoffError, match="7 methods are selected: select at most 6"):
        chosen_methods(lungs, [each.experiment for each in many])


def test_objects_are_counted_and_may_be_the_score(clone: Path) -> None:
    masks = np.load(clone / "data/prepared/lungs/masks.npy")
    np.save(clone / "data/prepared/lungs/objects.npy", np.stack([label(mask) for mask in masks]).astype(np.uint16))
    found = read_tasks(clone)["lungs"]
    data = replace(found.data, about={**found.data.about, "objects": True})
    lungs = replace(found, data=data, separation=Separation(None, (1,)), ranked_by="objects")
    picture = picture_of_example(lungs, lungs.examples()[0])
    compared = compare(lungs, picture, chosen_methods(lungs, ["lungs-otsu"]), lambda name: opened(clone, name))
    (outcome,) = compared.outcomes
    assert outcome.answer is not None
    assert outcome.answer.mask is not None
    count = label(outcome.answer.mask == 1, connectivity=2).max()
    values = as_values(compared, indices_uri)
    assert values["true_objects"] == {"lung": 2}
    assert values["answers"][0]["objects"] == {"lung": count}
    scored = object_scores([picture.true_mask], [picture.true_objects.numbers], [outcome.answer.mask], lungs.separation)
    assert outcome.score == scored["object_f1"].iloc[0]
    html = comparison_html(compared)
    assert ">2 objects<" in html
    assert f"object F1 {outcome.score:.3f}" in html
    # Not evaluated, or an image of one's own: nothing to count by, or nothing to score by.
    before = compare(replace(lungs, separation=None), picture, lungs.methods[:1], lambda name: opened(clone, name))
    assert (before.outcomes[0].objects, before.outcomes[0].score) == (None, None)


def test_a_line_divides_objects_that_touch() -> None:
    numbers = np.array([[1, 1, 2, 2, 0, 3], [1, 1, 2, 2, 0, 3], [4, 4, 4, 0, 0, 3]])
    lines = np.array([[0, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(between(numbers), lines)
    mask = (numbers > 0).astype(np.uint8)
    seen = np.asarray(Image.open(io.BytesIO(_bytes_of(overlay_uri(mask, 0, numbers)))).convert("RGBA"))
    assert (seen[lines] == (0, 0, 0, 255)).all()
    np.testing.assert_array_equal(seen[..., 3], 255 * mask)


def test_the_background_is_no_area_and_without_one_every_class_is() -> None:
    answer = Answer(np.array([[0, 1], [1, 1]], np.uint8), None, 0.1)
    outcome = Outcome(Method("m", "M", True), [], ["a", "b"], answer)
    assert outcome.areas == {"b": 0.75}
    assert replace(outcome, background=None).areas == {"a": 0.25, "b": 0.75}


def test_masks_come_through_as_pictures() -> None:
    mask = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    indices, overlay = (Image.open(io.BytesIO(_bytes_of(uri))) for uri in (indices_uri(mask), overlay_uri(mask)))
    np.testing.assert_array_equal(np.asarray(indices), mask)
    seen = np.asarray(overlay.convert("RGBA"))
    np.testing.assert_array_equal(seen[..., 3], np.where(mask == 0, 0, 255))
    np.testing.assert_array_equal(seen[mask > 0][:, :3], class_colours()[mask[mask > 0]])


@pytest.mark.parametrize("background", [0, None])
def test_what_has_no_answer_shows_the_image(background: int | None) -> None:
    mask = np.array([[0, 1, VOID]], np.uint8)
    seen = np.asarray(Image.open(io.BytesIO(_bytes_of(overlay_uri(mask, background)))).convert("RGBA"))
    assert seen[0, :, 3].tolist() == [0 if background == 0 else 255, 255, 0]


def _bytes_of(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def _mask_of(answer: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(_bytes_of(answer["mask"]))))


def test_names_are_text_and_no_markup(clone: Path) -> None:
    lungs = read_tasks(clone)["lungs"]
    prepared = lungs.example(lungs.examples()[0])
    found = compare(lungs, Picture("<script>alert(1)</script>", prepared, prepared), [], pytest.fail)
    html = comparison_html(found)
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.00052, "0.520 ms"), (0.0123, "12.3 ms"), (0.9, "900 ms"), (2.34, "2.34 s")]
)
def test_times_read_well(clone: Path, seconds: float, words: str) -> None:
    lungs = read_tasks(clone)["lungs"]
    prepared = lungs.example(lungs.examples()[0])
    outcome = Outcome(lungs.methods[0], [], lungs.data.classes, Answer(prepared[..., 0] // 255, None, seconds))
    assert f">{words}<" in comparison_html(Comparison(lungs, Picture("p", prepared, prepared), [outcome], None))


# --- memory and files


def test_a_method_is_loaded_once_however_many_want_it_and_few_are_kept() -> None:
    loads: list[str] = []

    def load(name: str) -> Any:
        loads.append(name)
        time.sleep(0.05)
        return name.upper()

    pool = Pool(load, 2)
    threads = [threading.Thread(target=pool.get, args=["a"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["a"]
    assert [pool.get(name) for name in ("b", "a", "c", "a", "b")] == ["B", "A", "C", "A", "B"]
    assert loads == ["a", "b", "c", "b"]  # c took the place of b, which was used less recently than a


def test_a_load_that_fails_is_tried_again() -> None:
    answers = iter([BakeoffError("not yet"), "there"])

    def load(_: str) -> Any:
        answer = next(answers)
        if isinstance(answer, BakeoffError):
            raise answer
        return answer

    pool = Pool(load, 1)
    with pytest.raises(BakeoffError, match="not yet"):
        pool.get("a")
    assert pool.get("a") == "there"


class TestUploads:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "hash" / "a.png"
        path.parent.mkdir()
        path.write_bytes(b"x")
        return path

    @pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
    def test_a_file_goes_with_the_last_session_that_holds_it(self, file: Path, order: tuple[str, str]) -> None:
        uploads = Uploads()
        for session in ("one", "two"):
            uploads.arrive(str(file))
            uploads.claim(str(file), session)
        assert uploads.use(str(file), "one") == uploads.use(str(file), "two") == file
        uploads.leave(order[0])
        assert file.exists()
        uploads.leave(order[1])
        assert not file.exists()
        with pytest.raises(BakeoffError, match="no longer here: upload it again"):
            uploads.use(str(file), "one")

    def test_a_file_that_arrived_again_waits_for_its_second_owner(self, file: Path) -> None:
        """Two hand in equal files, which Gradio keeps in one place; the first leaves before the second asks."""
        uploads = Uploads()
        uploads.arrive(str(file))
        uploads.claim(str(file), "one")
        uploads.arrive(str(file))
        uploads.use(str(file), "one")
        uploads.leave("one")
        uploads.claim(str(file), "two")
        assert uploads.use(str(file), "two") == file
        uploads.leave("two")
        assert not file.exists()

    def test_a_file_goes_with_a_session_whose_request_never_had_its_turn(self, file: Path) -> None:
        uploads = Uploads()
        uploads.arrive(str(file))
        uploads.claim(str(file), "one")
        uploads.leave("one")
        assert not file.exists()
        file.write_bytes(b"x")  # somebody else's now
        uploads.arrive(str(file))
        with pytest.raises(BakeoffError, match="no longer here"):  # the turn comes after all
            uploads.use(str(file), "one")
        uploads.claim(str(file), "one")  # and now it is back
        assert uploads.use(str(file), "one") == file

    def test_who_never_says_that_it_leaves_is_forgotten(self, file: Path) -> None:
        now = 0.0
        uploads = Uploads(lambda: now)
        uploads.arrive(str(file))
        now = KEPT_SECONDS
        uploads.claim(str(file), "one")
        now = 2 * KEPT_SECONDS
        uploads.leave("somebody")
        assert file.exists()
        now += 1
        uploads.leave("somebody")
        assert not file.exists()

    def test_no_other_file_is_read_or_removed(self, file: Path, tmp_path: Path) -> None:
        uploads = Uploads()
        uploads.arrive(str(tmp_path / "another.png"))
        for path in (str(file), str(tmp_path / "another.png"), "\0"):
            uploads.claim(path, "one")
            with pytest.raises(BakeoffError, match="no longer here"):
                uploads.use(path, "one")
        uploads.leave("one")
        assert file.exists()


# --- the server


class Server:
    """A demo in a process of its own; `folder` is where it keeps what is handed in."""

    def __init__(self, clone: Path, temporary: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        self._temporary = temporary
        code = f"from pathlib import Path; from bakeoff.demo.server import demo; demo(Path(), port={self.port})"
        environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
        self.log = (temporary / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=clone, env=environment, stderr=self.log, stdout=self.log
        )
        self._wait()

    @property
    def folder(self) -> Path:
        [folder] = self._temporary.glob("bakeoff-demo-*")
        return folder

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        assert not list(self._temporary.glob("bakeoff-demo-*")), "files are left behind"
        assert self.process.returncode == 0
        assert "Traceback" not in self.said()
        self.log.close()

    def _wait(self) -> None:
        ends = time.monotonic() + 300
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.said()
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.address, timeout=10).close()
                return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"the demo does not start: {self.said()}")


class Visitor:
    """What a page does, by hand: the connection that says that it is open, an upload, a request."""

    def __init__(self, server: Server, name: str) -> None:
        import httpx

        self._http = httpx.Client(base_url=f"{server.address}gradio_api", trust_env=False, timeout=60)
        self._session = f"{name}-{time.monotonic_ns()}"
        self._open = contextlib.ExitStack()
        response = self._open.enter_context(self._http.stream("GET", f"/heartbeat/{self._session}"))
        self._beats = response.iter_lines()  # kept, since its end would close the connection
        next(self._beats)
        config = httpx.get(f"{server.address}config", trust_env=False).json()
        [self._predict] = [each["id"] for each in config["dependencies"] if each["api_name"] == "predict"]

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self._http.close()

    def hand_in(self, name: str) -> Path:
        file = io.BytesIO()
        Image.new("RGB", (40, 30), "red").save(file, "PNG")
        [path] = self._http.post("/upload", files={"files": (name, file.getvalue())}).raise_for_status().json()
        return Path(path)

    def ask(self, path: Path, methods: list[str]) -> None:
        picture = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        asked = {"data": ["lungs", methods, picture, None], "fn_index": self._predict, "session_hash": self._session}
        self._http.post("/queue/join", json=asked).raise_for_status()

    def leave(self) -> None:
        self._open.close()


@pytest.fixture(scope="module")
def server(clone: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as temporary:
        running = Server(clone, Path(temporary))
        try:
            yield running
            running.stop()
        finally:
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from gradio_client import Client

    return Client(server.address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def scan(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test image as a file, at its prepared size: nothing is lost on the way."""
    lungs = read_tasks(clone)["lungs"]
    path = tmp_path_factory.mktemp("scans") / "scan.png"
    Image.fromarray(lungs.example(lungs.examples()[0])[..., 0]).save(path)
    return path


class TestTheApi:
    def test_it_lists_the_tasks(self, client: Any, clone: Path) -> None:
        catsdogs, lungs = client.predict(api_name="/tasks")
        assert (lungs["task"], lungs["kind"], lungs["classes"]) == ("lungs", "segmentation", ["background", "lung"])
        assert (catsdogs["target"], catsdogs["classes"]) == ("class", ["cat", "dog"])
        assert lungs["note"] == NO_MEDICAL_DEVICE
        assert {each["experiment"] for each in lungs["methods"]} == METHODS
        assert lungs["examples"] == read_tasks(clone)["lungs"].examples()

    def test_masks_of_a_test_image_are_those_that_the_evaluation_recorded(self, client: Any, clone: Path) -> None:
        id_ = read_tasks(clone)["lungs"].examples()[3]
        answer = client.predict("lungs", sorted(METHODS), None, id_, api_name="/predict")
        assert {each["experiment"] for each in answer["answers"]} == METHODS
        for each in answer["answers"]:
            family = "networks" if each["experiment"] in NETWORKS else "thresholds"
            folder = Project(clone).experiment("lungs", each["experiment"], family).predictions
            ids = pd.read_csv(folder / "predictions.csv")["id"].tolist()
            recorded = np.load(folder / "seed0" / "masks.npy")[ids.index(id_)]
            np.testing.assert_array_equal(_mask_of(each), recorded)
            scores = pd.read_csv(Project(clone).evaluated("lungs", each["experiment"]) / "scores.csv", index_col="id")[
                "dice"
            ]
            assert each["score"] == pytest.approx(scores[id_], abs=1e-6)
            assert each["seconds"] > 0
        assert answer["true_mask"].startswith("data:image/png;base64,")
        assert answer["note"] == NO_MEDICAL_DEVICE

    def test_probabilities_of_a_test_image_are_those_that_the_evaluation_recorded(
        self, client: Any, clone: Path
    ) -> None:
        id_ = read_tasks(clone)["catsdogs"].examples()[0]
        answer = client.predict("catsdogs", ["catsdogs-random-forest"], None, id_, api_name="/predict")
        folder = Project(clone).experiment("catsdogs", "catsdogs-random-forest", "classical").predictions
        table = pd.read_csv(folder / "predictions.csv", index_col="id")
        [method] = answer["answers"]
        assert method["probabilities"] == pytest.approx({k: table.loc[id_, f"p_{k}"] for k in ("cat", "dog")}, abs=1e-8)
        assert method["mask"] is None
        assert answer["true_label"] == id_.split("-")[0]
        assert answer["out_of_distribution_score"] is None

    def test_a_file_is_answered_as_the_same_pixels_are(self, client: Any, clone: Path, scan: Path) -> None:
        from gradio_client import handle_file

        id_ = read_tasks(clone)["lungs"].examples()[0]
        of_file = client.predict("lungs", ["lungs-unet"], handle_file(scan), None, api_name="/predict")
        of_example = client.predict("lungs", ["lungs-unet"], None, id_, api_name="/predict")
        assert of_file["answers"][0]["mask"] == of_example["answers"][0]["mask"]
        assert (of_file["picture"], of_file["width"], of_file["true_mask"]) == ("scan.png", SIDE, None)
        assert of_file["out_of_distribution_score"] == of_example["out_of_distribution_score"] < 0.99
        assert not of_file["out_of_distribution"]

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            (("lungs", ["lungs-otsu"], None, None), "There is no image: upload one"),
            (("lungs", ["lungs-otsu"], None, "nobody"), "'nobody' is not a test image of lungs"),
            (("moon", ["lungs-otsu"], None, None), "There is no task 'moon': choose among catsdogs, lungs"),
            (("lungs", [], None, "x"), "No method is selected"),
        ],
    )
    def test_what_cannot_be_answered_is_refused_in_words(self, client: Any, asked: Any, words: str) -> None:
        with pytest.raises(Exception, match=words):
            client.predict(*asked, api_name="/predict")

    def test_a_file_that_is_no_image_is_refused_in_words(self, client: Any, tmp_path: Path) -> None:
        from gradio_client import handle_file

        (tmp_path / "notes.png").write_text("no image")
        with pytest.raises(Exception, match=r"notes.png cannot be read as an image .*: upload a PNG, JPEG"):
            client.predict("lungs", ["lungs-otsu"], handle_file(tmp_path / "notes.png"), None, api_name="/predict")

    def test_a_file_of_the_server_is_not_read(self, client: Any, clone: Path, scan: Path) -> None:
        """A client that claims to have handed in what it has not."""
        with pytest.raises(Exception, match="no longer here: upload it again"):
            client.predict("lungs", ["lungs-otsu"], {"path": str(scan)}, None, api_name="/predict")

    def test_an_address_in_place_of_a_file_is_refused_in_words(self, client: Any) -> None:
        address = {"path": "https://example.org/cat.png", "meta": {"_type": "gradio.FileData"}}
        with pytest.raises(Exception, match="Addresses are not accepted, and nothing is downloaded"):
            client.predict("lungs", ["lungs-otsu"], address, None, api_name="/predict")

    def test_six_at_once_get_what_each_would_get_alone(self, server: Server, clone: Path, tmp_path: Path) -> None:
        from gradio_client import Client, handle_file

        lungs, methods = read_tasks(clone)["lungs"], ["lungs-otsu", "lungs-unet", EXPORTED]
        rng = np.random.default_rng(0)
        pictures = [
            np.clip(lungs.example(id_) + rng.integers(0, 40, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)
            for id_ in lungs.examples()[:6]
        ]

        def ask(number: int) -> dict[str, np.ndarray]:
            path = tmp_path / f"{number}.png"
            Image.fromarray(pictures[number][..., 0]).save(path)
            client = Client(server.address, verbose=False)
            answer = client.predict("lungs", methods, handle_file(path), None, api_name="/predict")
            client.close()
            assert answer["picture"] == path.name
            return {each["experiment"]: _mask_of(each) for each in answer["answers"]}

        with ThreadPoolExecutor(6) as clients:
            found = list(clients.map(ask, range(6)))
        for name in methods:
            for answer, alone in zip(found, opened(clone, name).predict(np.stack(pictures)), strict=True):
                np.testing.assert_array_equal(answer[name], alone.mask)
        assert len({answer["lungs-otsu"].tobytes() for answer in found}) == 6

    @pytest.mark.parametrize("methods", [[], ["lungs-otsu"]], ids=["no method", "a method"])
    def test_a_file_goes_when_its_client_does(self, server: Server, methods: list[str]) -> None:
        """Whatever became of the request, and not before the last client that handed in an equal file has gone."""
        with Visitor(server, "one") as one:
            path = one.hand_in("mine.png")
            one.ask(path, methods)
            with Visitor(server, "two") as two:
                assert two.hand_in("mine.png") == path
                one.leave()
                two.ask(path, methods)
                time.sleep(1)
                assert path.is_file()
                two.leave()
            ends = time.monotonic() + 60
            while path.is_file() and time.monotonic() < ends:
                time.sleep(0.1)
            assert not path.exists()

    def test_a_file_that_is_too_large_is_refused_in_words(self, client: Any, tmp_path: Path) -> None:
        from gradio_client import handle_file

        (tmp_path / "large.png").write_bytes(bytes(21 * 2**20))
        with pytest.raises(Exception, match=r"maximum allowed size|exceed"):
            client.predict("lungs", ["lungs-otsu"], handle_file(tmp_path / "large.png"), None, api_name="/predict")


# --- the browser


DESKTOP, PHONE = (1280, "light"), (390, "dark")
everywhere = pytest.mark.parametrize("page", [DESKTOP, PHONE], indirect=True, ids=["desktop", "phone"])


@pytest.fixture
def page(request: pytest.FixtureRequest, chromium: Any, server: Server) -> Iterator[Any]:
    """The demo, opened; afterwards it must have complained of nothing and asked nobody but the server."""
    width, scheme = getattr(request, "param", DESKTOP)
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    opened.set_default_timeout(120_000)
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: requests.append(asked.url))
    opened.goto(server.address)
    opened.get_by_role("button", name="Compare").wait_for()
    yield opened
    assert [url for url in requests if not url.startswith((server.address, "data:", "blob:"))] == []
    assert complaints == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def _choose_lungs(page: Any) -> None:
    page.get_by_label("Task").click()
    page.get_by_role("option", name="lungs: lung in").click()
    page.get_by_label("Otsu").wait_for()


@pytest.mark.browser
class TestThePage:
    @everywhere
    def test_an_example_is_compared_and_the_slider_asks_nobody(self, page: Any) -> None:
        _choose_lungs(page)
        results = page.locator("#results")
        results.get_by_text("no medical device").wait_for()
        page.get_by_role("button", name="Thumbnail 1 of 8").click()
        results.get_by_text("The true mask").wait_for()
        assert results.get_by_text("no medical device").count() == 1
        shown = page.eval_on_selector_all("#results .layers img", "images => images.map(image => image.naturalWidth)")
        assert shown == [SIDE] * len(shown)
        assert len(shown) == 2 * results.locator("figure").count()
        assert all(page.eval_on_selector_all("#results img:not(.mask)", "images => images.map(image => image.alt)"))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_label("number input for Opacity of the masks").fill("0.2")
        page.wait_for_function("getComputedStyle(document.querySelector('#results .mask')).opacity === '0.2'")
        assert [url for url in asked if "queue" in url or "predict" in url] == []

    def test_a_file_is_compared_with_the_methods_that_are_ticked(self, page: Any, scan: Path) -> None:
        _choose_lungs(page)
        page.locator("input[type=file]").first.set_input_files(scan)
        results = page.locator("#results")
        results.get_by_text("scan.png").first.wait_for()
        before = results.locator("figcaption strong").all_inner_texts()
        page.get_by_label("Yen").set_checked("Yen" not in before)
        page.get_by_role("button", name="Compare").click()
        page.wait_for_function(
            "count => document.querySelectorAll('#results figcaption strong').length !== count", arg=len(before)
        )
        after = results.locator("figcaption strong").all_inner_texts()
        assert set(before) ^ set(after) == {"Yen"}
        assert {"The image", "Otsu"} <= set(after)

    @everywhere
    def test_a_file_that_is_no_image_gets_words(self, page: Any, tmp_path: Path) -> None:
        (tmp_path / "notes.png").write_text("no image")
        page.locator("input[type=file]").first.set_input_files(tmp_path / "notes.png")
        alert = page.locator("#results [role=alert]")
        alert.get_by_text("notes.png cannot be read as an image").wait_for()
        assert "Traceback" not in page.content()

    @everywhere
    def test_classes_are_bars_with_the_true_one_marked(self, page: Any) -> None:
        page.get_by_role("button", name="Thumbnail 2 of 8").click()
        table = page.get_by_role("table", name="Most probable classes")
        table.wait_for()
        assert table.locator("tbody tr").count() == 2
        assert table.locator("tr.true").count() == 1
        shares = [float(text.rstrip(" %")) for text in table.locator(".share").all_inner_texts()]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.2)

    def test_the_keyboard_suffices(self, page: Any) -> None:
        page.get_by_role("button", name="Thumbnail 1 of 8").focus()
        page.keyboard.press("Enter")
        page.locator("#results figure").first.wait_for()
        page.get_by_role("button", name="Compare").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent.trim()") == "Compare"


@pytest.mark.browser
def test_what_was_handed_in_is_gone_when_the_page_is_closed(chromium: Any, server: Server, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "mine.png")
    page = chromium.new_page()
    page.goto(server.address)
    page.get_by_role("button", name="Compare").wait_for()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    page.locator("#results").get_by_text("mine.png").first.wait_for(timeout=120_000)
    assert list(server.folder.rglob("mine.png"))
    page.close()
    ends = time.monotonic() + 60
    while list(server.folder.rglob("mine.png")) and time.monotonic() < ends:
        time.sleep(0.2)
    assert not list(server.folder.rglob("mine.png"))


def test_a_mask_larger_than_it_can_be_shown_is_shrunk() -> None:
    mask = np.zeros((30, 4000), np.uint8)
    mask[:, 2000:] = 1
    with Image.open(io.BytesIO(base64.b64decode(overlay_uri(mask).split(",")[1]))) as image:
        assert image.size == (1000, 8)
        assert np.asarray(image)[0, [0, 499, 500, 999]].tolist() == [0, 0, 1, 1]
