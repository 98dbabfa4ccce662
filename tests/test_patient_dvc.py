"""What our DVC does faster, with the same result."""

from pathlib import Path
from typing import Any

import pytest
from dvc import dvcfile
from dvc.fs import LocalFileSystem
from dvc.utils.serialize import load_path
from dvc.utils.serialize._yaml import parse_yaml
from hypothesis import given
from hypothesis import strategies as st
from patient_dvc import loaded_once, modify_lock, with_fast_lock
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
