"""What our DVC does faster, with the same result."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import patient_dvc
import pytest
from dvc import dvcfile, rwlock
from dvc.dependency import param
from dvc.fs import LocalFileSystem
from dvc.utils.serialize import load_path
from dvc.utils.serialize._yaml import parse_yaml
from hypothesis import given
from hypothesis import strategies as st
from patient_dvc import (
    REMEMBERED_LOCK,
    Hashes,
    forgetting,
    hashed_once,
    loaded_once,
    locked_once,
    looked_up,
    modify_lock,
    remember,
    remembered,
    with_fast_lock,
    with_memory,
)
from ruamel.yaml import YAML

# What params.yaml may hold, texts that look like something else among it.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "true", "null", "~", "1e3", "1x1", "3x3", "0o7", "yes", "on", "2.0", "a: b", "- a", "#", "é", "'"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85\xa0"), max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.-_", min_size=1), inner, max_size=3),
)


def changed(path: Path, name: str, entry: Any) -> None:
    with modify_lock(path) as data:
        data.setdefault("schema", "2.0")
        data.setdefault("stages", {})[name] = entry


def fail_within(path: Path) -> None:
    with modify_lock(path) as data:
        data["stages"]["b"] = {}
        raise KeyError


@given(st.dictionaries(st.text("abc@-", min_size=1, max_size=6), values, min_size=1, max_size=3))
def test_what_is_written_is_read_the_same(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("lock") / "dvc.lock"
    for name, entry in entries.items():
        changed(path, name, entry)
    assert parse_yaml(path.read_text(), path) == {"schema": "2.0", "stages": entries}
    assert YAML(typ="safe", pure=True).load(path.read_text()) == {"schema": "2.0", "stages": entries}


@given(st.lists(st.tuples(st.sampled_from(["a", "b@x", "c", "1"]), values), min_size=1, max_size=6))
def test_what_has_not_changed_keeps_its_lines(tmp_path_factory: pytest.TempPathFactory, entries: list[Any]) -> None:
    spliced = tmp_path_factory.mktemp("lock") / "dvc.lock"
    (spliced.parent / ".bakeoff").mkdir()  # where what it says is remembered
    for name, entry in entries:
        changed(spliced, name, entry)
    anew = tmp_path_factory.mktemp("lock") / "dvc.lock"
    for name, entry in entries:
        changed(anew, name, entry)
    assert spliced.read_bytes() == anew.read_bytes()


def test_only_the_stage_that_has_changed_is_written_anew(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(clone, "b", {"cmd": "y", "params": {"p": 1}})
    written = []

    def dump(values: Any, dumped: Callable[[Any], str] = patient_dvc._dumped) -> str:
        written.append(values)
        return dumped(values)

    monkeypatch.setattr(patient_dvc, "_dumped", dump)
    changed(clone, "b", {"cmd": "y", "params": {"p": True}})
    with modify_lock(clone) as data:
        del data["stages"]["a"]
    assert written == [{"b": {"cmd": "y", "params": {"p": True}}}]
    assert parse_yaml(clone.read_text(), clone)["stages"] == {"b": {"cmd": "y", "params": {"p": True}}}


def test_what_dvc_hands_over_in_order_is_written_as_any_mapping(clone: Path) -> None:
    entry = OrderedDict(cmd="y", params=OrderedDict(z=1, a=[OrderedDict(path="p")]))
    changed(clone, "b", entry)
    (clone.parent / REMEMBERED_LOCK).unlink()
    text = clone.read_text()
    changed(clone, "b", entry)  # all anew
    assert clone.read_text() == text
    assert text.endswith("  b:\n    cmd: y\n    params:\n      z: 1\n      a:\n      - path: p\n")


def test_what_stands_in_two_places_is_written_twice(clone: Path) -> None:
    shared: dict[str, Any] = {"z": []}
    for name in ("b", "c"):
        changed(clone, name, {"params": {"one": shared, "other": shared}})
    stages = parse_yaml(clone.read_text(), clone)["stages"]
    assert [stages[name]["params"] for name in ("b", "c")] == 2 * [{"one": {"z": []}, "other": {"z": []}}]
    assert "&" not in clone.read_text()


def test_a_lock_that_others_wrote_is_written_anew(clone: Path) -> None:
    clone.write_text("schema: '2.0'\nstages:\n    a:\n        cmd: x\n    # by hand\n    b: {cmd: y}\n")
    remember(clone, parse_yaml(clone.read_text(), clone))
    changed(clone, "b", {"cmd": "z"})
    assert clone.read_text() == "schema: '2.0'\nstages:\n  a:\n    cmd: x\n  b:\n    cmd: z\n"


def test_the_projects_own_lock_says_the_same_to_dvc_and_stays_as_it_is(tmp_path: Path) -> None:
    published = Path(__file__).resolve().parent.parent / "dvc.lock"
    path = tmp_path / "dvc.lock"
    path.write_bytes(published.read_bytes())
    with modify_lock(path) as data:
        assert data["stages"]
    theirs = parse_yaml(published.read_text(), published)
    assert parse_yaml(path.read_text(), path) == theirs
    assert list(data["stages"]) == list(theirs["stages"])
    assert path.read_bytes() == published.read_bytes()


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    changed(path, "a", {"cmd": "x"})
    before = path.read_bytes()
    with pytest.raises(KeyError):
        fail_within(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["dvc.lock"]


def test_other_files_stay_with_dvc(tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_text("# a comment\nstages: {}\n")
    with with_fast_lock(dvcfile.modify_yaml)(str(path)) as data:
        data["vars"] = []
    assert path.read_text().startswith("# a comment")


def test_parameters_are_parsed_again_only_when_they_have_changed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\n")
    asked: list[str] = []

    def parse(path: str, fs: object = None) -> dict[str, int]:
        asked.append(path)
        return load_path(path, fs)

    load, fs = loaded_once(parse), LocalFileSystem()
    assert [load(str(path), fs)["seed"] for _ in range(3)] == [1, 1, 1]
    assert len(asked) == 1
    path.write_text("seed: 12\n")
    assert load(str(path), fs) == {"seed": 12}
    assert len(asked) == 2


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that an engine has worked in, and a lock file that was written there."""
    (tmp_path / ".bakeoff").mkdir()
    changed(tmp_path / "dvc.lock", "a", {"cmd": "x", "params": {"p": [1, 0.5, None, "1e3", True]}})
    return tmp_path / "dvc.lock"


def test_what_a_lock_says_is_remembered_as_yaml_would_say_it(clone: Path) -> None:
    assert remembered(clone) == parse_yaml(clone.read_text(), clone)
    changed(clone, "b", {"cmd": "y"})
    assert list(remembered(clone)["stages"]) == ["a", "b"]  # type: ignore[index]


def test_another_file_in_its_place_is_not_taken_for_it(clone: Path) -> None:
    text = clone.read_text()
    clone.write_text(text.replace("cmd: x", "cmd: z"))  # as long as before
    assert remembered(clone) is None
    changed(clone, "b", {})
    assert remembered(clone)["stages"]["a"]["cmd"] == "z"  # type: ignore[index]


@pytest.mark.parametrize("value", [{1: "one"}, date(2020, 1, 2), float("nan")])
def test_what_json_cannot_say_is_read_from_the_file_itself(clone: Path, value: Any) -> None:
    changed(clone, "b", {"params": value})
    assert remembered(clone) is None
    assert str(parse_yaml(clone.read_text(), clone)["stages"]["b"]["params"]) == str(value)


def test_a_torn_memory_is_no_memory(clone: Path) -> None:
    place = clone.parent / REMEMBERED_LOCK
    place.write_text(place.read_text()[:-5])
    assert remembered(clone) is None


def test_dvc_loads_a_remembered_lock_without_parsing_it_and_with_the_same_values(clone: Path) -> None:
    parsed: list[str] = []

    def parse(lockfile: Any) -> tuple[Any, str]:
        parsed.append(lockfile.path)
        return parse_yaml(Path(lockfile.path).read_text(), lockfile.path), "text"

    lockfile = SimpleNamespace(path=str(clone), repo=SimpleNamespace(fs=LocalFileSystem()))
    load = with_memory(parse)
    clone.write_text(clone.read_text())  # by git, say
    first, second = load(lockfile)[0], load(lockfile)[0]
    assert first == second == parse_yaml(clone.read_text(), clone)
    assert parsed == [str(clone)]
    in_git = SimpleNamespace(path=str(clone), repo=SimpleNamespace(fs=SimpleNamespace(protocol="git")))
    load(in_git)
    assert len(parsed) == 2, "another revision's lock is not this one"


names = st.text("ab-_1", min_size=1, max_size=2)
books = st.recursive(
    st.integers(0, 9) | st.none() | st.just("text"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
)


@given(
    st.dictionaries(names, books, max_size=3),
    st.lists(st.lists(names, min_size=1, max_size=3).map(".".join), min_size=1, max_size=3),
)
def test_a_key_is_looked_up_as_dvc_finds_it(
    tmp_path_factory: pytest.TempPathFactory, book: dict[str, Any], keys: list[str]
) -> None:
    path = tmp_path_factory.mktemp("book") / "params.yaml"
    path.write_text(json.dumps(book))
    fs = LocalFileSystem()
    expected = param.read_param_file(fs, str(path), keys, flatten=True)
    assert looked_up(param.read_param_file)(fs, str(path), keys, flatten=True) == expected


def test_what_is_locked_is_not_locked_again(tmp_path: Path) -> None:
    taken: list[tuple[list[str], list[str]]] = []

    @contextmanager
    def recorded(tmp_dir: str, fs: Any, cmd: str, read: list[str], write: list[str], hardlink: bool) -> Iterator[None]:
        taken.append((read, write))
        with rwlock.rwlock(tmp_dir, fs, cmd, read, write, hardlink):
            yield

    lock = locked_once(recorded)

    def locked(read: list[str], write: list[str]) -> AbstractContextManager[None]:
        return lock(str(tmp_path), LocalFileSystem(), "cmd", read, write, False)

    with locked(["/in"], ["/out"]):
        with locked(["/in", "/out"], []):
            assert len(taken) == 1
        with locked(["/in", "/other"], []):
            assert len(taken) == 2
        with locked(["/in"], ["/out"]):
            assert len(taken) == 3, "to write is asked for every time"
        with locked(["/in", "/out"], []):
            assert len(taken) == 3, "what a block inside took and gave back is still held"
    with locked(["/in"], []):
        assert len(taken) == 4


def test_a_path_is_hashed_once_until_something_changes_files() -> None:
    asked: list[str] = []
    hashes: Hashes = {}

    def get_hash(dependency: Any) -> int:
        asked.append(dependency.fs_path)
        return len(asked)

    def of(path: str, protocol: str = "local") -> Any:
        return once(SimpleNamespace(fs_path=path, hash_name="md5", protocol=protocol))

    once = hashed_once(get_hash, hashes)
    run = forgetting(lambda: of("/a"), hashes)
    assert [of("/a"), of("/a"), of("/b")] == [1, 1, 2]
    assert run() == 3, "what is hashed while a stage runs is hashed anew"
    assert of("/a") == 4, "and again after it"
    assert [of("/a", "ssh"), of("/a", "ssh")] == [5, 6], "elsewhere a file may change at any time"
