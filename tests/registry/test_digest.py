from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.errors import InvalidParameter
from jupyter_serving.registry import digest


def model(directory: Path, content: dict[str, bytes]) -> Path:
    for name, text in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return directory


CONTENT = {"MLmodel": b"flavors: {}", "data/model.pkl": b"\0\1", "data/b": b""}


def test_same_content_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    there = model(tmp_path / "other", dict(reversed(CONTENT.items())))
    assert digest.of(model(tmp_path / "one", CONTENT)) == digest.of(there)


@pytest.mark.parametrize(
    "change",
    [
        {"MLmodel": b"flavors: {a}"},
        {"new": b""},
        {"data/c": b"", "data/b": b""},
    ],
    ids=["content", "added", "added empty"],
)
def test_any_change_changes_the_digest(tmp_path: Path, change: dict[str, bytes]) -> None:
    before = digest.of(model(tmp_path / "one", CONTENT))
    assert digest.of(model(tmp_path / "two", CONTENT | change)) != before


def test_moved_content_changes_the_digest(tmp_path: Path) -> None:
    one = model(tmp_path / "one", {"a": b"1", "b": b"2"})
    assert digest.of(one) != digest.of(model(tmp_path / "two", {"a": b"2", "b": b"1"}))


def test_a_file_name_with_a_line_break_is_not_two_files(tmp_path: Path) -> None:
    sha = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
    two = model(tmp_path / "two", {"a": b"1", "b": b"1"})
    one = model(tmp_path / "one", {f"a {sha}\nb": b"1"})
    assert digest.of(one) != digest.of(two)


def test_bytecode_written_beside_the_model_does_not_change_it(tmp_path: Path) -> None:
    directory = model(tmp_path, CONTENT)
    before = digest.of(directory)
    model(directory, {"code/__pycache__/m.cpython-311.pyc": b"x"})
    assert digest.verify(directory, before)


def test_verify_notices_a_change_and_absence(tmp_path: Path) -> None:
    directory = model(tmp_path / "m", CONTENT)
    mark = digest.of(directory)
    (directory / "MLmodel").write_bytes(b"flavors: {x}")
    assert not digest.verify(directory, mark)
    assert not digest.verify(tmp_path / "absent", mark)


def test_a_place_has_no_colon(tmp_path: Path) -> None:
    mark = "sha256:" + "a" * 64
    assert os.pathsep not in digest.place(tmp_path, mark).name


@given(st.text(max_size=80))
def test_no_other_text_becomes_a_place(text: str) -> None:
    # What is not a digest would be a path of the caller's choice.
    with pytest.raises(InvalidParameter):
        digest.place(Path("/models"), text)
