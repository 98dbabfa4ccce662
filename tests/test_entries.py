"""Entries of the configuration that are written and taken out, and every other line, which stays as it is."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config import check_config, read_config, set_values
from bakeoff.config.entries import Addition, change_entries, comments_above, flow
from bakeoff.config.restricting import WRITTEN, keep_tasks, remove_own
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
SPLIT = {"name": "stratified", "train": 0.7, "validation": 0.15, "test": 0.15, "stratify": [], "seed": 0}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def accept(values: Any) -> None:
    assert values


def changed(tmp_path: Path, text: str, *additions: Addition, gone: tuple[tuple[str, ...], ...] = ()) -> str:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    change_entries(path, additions, gone, accept)
    return path.read_text()


def own(name: str) -> list[Addition]:
    """What makes a data set and a task of thresholds of a folder that another test's configuration has."""
    said = [f"{WRITTEN.format(name=name)}."]
    folder = YAML(typ="safe").load(FOLDER)
    methods = {f"{name}-otsu": {"method": "otsu", "foreground": "train"}}
    return [
        Addition(("folders",), name, folder, said),
        Addition(("tasks",), name, {"dataset": name, "kind": "segmentation", "split": SPLIT}, said),
        Addition(("experiments", "baselines"), name, {"dataset": name, "methods": methods}, said),
    ]


FOLDER = (
    "{path: ../my images, format: pairs, images: 'images/{id}', masks: 'masks/{id}', size: 128, channels: 3, "
    "classes: [background, cell], duplicates: {distance: 6}}"
)


# Writing


def test_an_entry_comes_last_in_its_section_with_its_comments(tmp_path: Path) -> None:
    text = "# One.\na:\n  x: 1  # so\n\n# Two.\nb:\n  y: 2\n"
    entry = Addition(("a",), "z", {"k": [1, "no"], "m": None}, ["Said of z.", "More."], {"k": "Said of k."})
    assert changed(tmp_path, text, entry) == (
        '# One.\na:\n  x: 1  # so\n  # Said of z.\n  # More.\n  z:\n    # Said of k.\n    k: [1, "no"]\n    m: null\n'
        "\n# Two.\nb:\n  y: 2\n"
    ).replace('"no"', flow("no"))


def test_an_empty_section_gets_its_first_entry_and_loses_it_again(tmp_path: Path) -> None:
    text = "# Mine.\na: {}  # none yet\nb: 1\n"
    entry = Addition(("a",), "x", {"k": 1}, ["Said."])
    assert changed(tmp_path, text, entry) == "# Mine.\na:  # none yet\n  # Said.\n  x:\n    k: 1\nb: 1\n"
    assert changed(tmp_path, "a:\n  # Said.\n  x:\n    k: 1\nb: 1\n", gone=(("a", "x"),)) == "a: {}\nb: 1\n"


def test_a_section_in_flow_style_keeps_what_it_has(tmp_path: Path) -> None:
    entry = Addition(("a",), "x", {"k": 1})
    assert changed(tmp_path, "a: {w: {k: [2, 3]}}\n", entry) == "a:\n  w: {k: [2, 3]}\n  x:\n    k: 1\n"
    assert changed(tmp_path, "a: {w: {k: 2},\n  v: 1}\nb: 1\n", gone=(("a", "w"),)) == "a:\n  v: 1\nb: 1\n"


@pytest.mark.parametrize("value", ["no", "1", "a: b", "# c", "", "~", "é", "01", "x,y", "[", "{a}", "1e3", "null"])
def test_text_stays_text(tmp_path: Path, value: str) -> None:
    # `change_entries` reads again what it wrote, and refuses a difference.
    text = changed(tmp_path, "a: {}\n", Addition(("a",), "x", {value or "k": value, "l": [value], "m": {"k": value}}))
    assert YAML(typ="safe").load(text)["a"]["x"]["l"] == [value]


def test_line_ends_of_windows_stay(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(b"a:\r\n  x: 1\r\nb: 2\r\n")
    change_entries(path, [Addition(("a",), "y", {"k": 1})], [], accept)
    assert path.read_bytes() == b"a:\r\n  x: 1\r\n  y:\r\n    k: 1\r\nb: 2\r\n"


# Taking out


def test_the_comment_above_an_entry_goes_with_it_and_no_other(tmp_path: Path) -> None:
    text = "a:\n  # Of x.\n  x: 1\n  # Of y.\n  y:\n    k: 2\n    # Last of y.\n\n  # Of z.\n  z: 3\n\n# Of b.\nb: 4\n"
    assert (
        changed(tmp_path, text, gone=(("a", "y"),)) == "a:\n  # Of x.\n  x: 1\n\n  # Of z.\n  z: 3\n\n# Of b.\nb: 4\n"
    )
    assert changed(tmp_path, text, gone=(("a", "x"), ("a", "y"))) == "a:\n  # Of z.\n  z: 3\n\n# Of b.\nb: 4\n"
    assert changed(tmp_path, text, gone=(("a", "z"),)) == text.replace("\n  # Of z.\n  z: 3\n", "")


def test_what_goes_is_written_out_where_it_is_repeated(tmp_path: Path) -> None:
    text = "a:\n  x: &x {k: 1, l: &l [2]}\n  y: {<<: *x, k: 3}\n  z: *x\n  w: *l\n"
    once = changed(tmp_path, text, gone=(("a", "x"),))
    assert once == "a:\n  y: {<<: &x {k: 1, l: [2]}, k: 3}\n  z: *x\n  w: [2]\n"
    assert changed(tmp_path, once, gone=(("a", "y"), ("a", "w"))) == "a:\n  z: {k: 1, l: [2]}\n"


@pytest.mark.parametrize("task", sorted(read_config(ROOT / "params.yaml").tasks))
def test_a_kept_task_is_what_it_was(config: Path, task: str) -> None:
    whole = read_config(config)
    assert keep_tasks([task], config) > 50
    kept = read_config(config)
    assert task in kept.tasks
    experiments = [name for name in whole.experiment_names() if whole.experiment(name)["task"] == task]
    assert [name for name in kept.experiment_names() if kept.experiment(name)["task"] == task] == experiments
    for name in kept.experiment_names():
        assert kept.experiment(name) == whole.experiment(name)
    for name in kept.tasks:
        assert kept.task(name) == whole.task(name)
    for name, recipe in kept.recipes.items():
        assert recipe == whole.recipes[name]
    assert keep_tasks([task], config) == 0


def test_comments_that_still_apply_are_kept(config: Path) -> None:
    keep_tasks(["lungs"], config)
    text = config.read_text()
    for line in (
        "# Montgomery and Shenzhen chest X-rays with lung masks.",
        "# Folders of one's own images",
        "# What a user would take instead.",
        "# Largest rotation (degrees)",
        "# How big: sample",
    ):
        assert line in text
    for line in ("Oxford-IIIT", "BUSI", "# The breed", "Photographs may be mirrored", "# As published, cat or dog"):
        assert line not in text
    assert "\n\n\n" not in text
    assert all(not line.endswith(" ") for line in text.split("\n"))


def test_only_tasks_that_exist_are_kept(config: Path) -> None:
    before = config.read_bytes()
    with pytest.raises(BakeoffError, match="has no task 'lung': did you mean 'lungs'"):
        keep_tasks(["lungs", "lung"], config)
    assert config.read_bytes() == before


# What `bakeoff add` wrote


def test_what_was_written_is_taken_out_to_the_byte(config: Path) -> None:
    before = config.read_bytes()
    for name in ("mine", "mine-too"):
        change_entries(config, own(name), [], lambda values: check_config(values, config))
    assert comments_above(config.read_text(), [("folders",)])["folders", "mine"] == "mine, by bakeoff add."
    assert remove_own("mine", config) == ["experiments.baselines.mine", "folders.mine", "tasks.mine"]
    assert "mine-too" in read_config(config).folders
    remove_own("mine-too", config)
    assert config.read_bytes() == before


def test_what_others_depend_on_stays(config: Path) -> None:
    change_entries(config, own("mine"), [], lambda values: check_config(values, config))
    network = (
        "{dataset: mine, task: mine, images: mine, model: unet, weights: none, recipe: from-scratch, settings: {}}"
    )
    set_values([f"experiments.networks.mine-unet={network}"], config)
    before = config.read_bytes()
    with pytest.raises(BakeoffError, match=r"experiments\.networks\.mine-unet depends on 'mine' and is yours"):
        remove_own("mine", config)
    assert config.read_bytes() == before


def test_what_a_person_wrote_is_not_taken_out(config: Path) -> None:
    set_values([f"folders.mine={FOLDER}"], config)
    for name, said in (("mine", "take its entries out by hand"), ("lungs", "that bakeoff add wrote")):
        with pytest.raises(BakeoffError, match=f"has no data set '{name}' that bakeoff add wrote") as caught:
            remove_own(name, config)
        assert said in str(caught.value)


# Encodings


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("latin-1", "line 1, is not UTF-8 text"), ("utf-16", "is UTF-16 text"), ("utf-16-be", "UTF-16")],
)
def test_another_encoding_is_one_sentence(config: Path, encoding: str, said: str) -> None:
    config.write_bytes(f"# é\n{config.read_text()}".encode(encoding))
    for what in (lambda: read_config(config), lambda: set_values(["resamples=500"], config)):
        with pytest.raises(BakeoffError) as caught:
            what()
        assert said in str(caught.value)
        assert str(caught.value).endswith("save the file as UTF-8.")


def test_utf_8_with_a_byte_order_mark_is_read(config: Path) -> None:
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    set_values(["resamples=500"], config)
    assert read_config(config).resamples == 500
