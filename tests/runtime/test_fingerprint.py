from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from jupyter_serving.runtime import fingerprint as module
from jupyter_serving.runtime.fingerprint import distributions, fingerprint, normalised


def test_it_names_what_importlib_metadata_names():
    known = {}
    for distribution in importlib.metadata.distributions():
        if distribution.metadata["Name"]:
            known.setdefault(normalised(distribution.metadata["Name"]), distribution.version)
    found = fingerprint()["distributions"]
    # a checkout's egg-info on the path of the test run is no installed distribution
    assert {name: found.get(name) for name in ("mlflow", "pandas", "numpy", "scikit-learn")} == {
        name: known[name] for name in ("mlflow", "pandas", "numpy", "scikit-learn")
    }
    assert set(found) <= set(known)


def test_the_first_on_the_path_wins_and_names_are_normalised(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "b"
    (first / "Foo_Bar.baz-1.0.dist-info").mkdir(parents=True)
    (second / "foo_bar_baz-2.0.dist-info").mkdir(parents=True)
    (second / "other-0.1+cpu.dist-info").mkdir(parents=True)
    (second / "~umpy-1.0.dist-info").mkdir(parents=True)
    found = distributions([str(first), str(second), str(tmp_path / "missing")])
    assert found == {"foo-bar-baz": "1.0", "other": "0.1+cpu"}


def test_unusual_entries_are_read_from_their_metadata(tmp_path: Path):
    entry = tmp_path / "weird.egg-info"
    entry.mkdir()
    (entry / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: Weird.Thing\nVersion: 3\n\n")
    assert distributions([str(tmp_path)]) == {"weird-thing": "3"}


def test_a_changed_version_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_import_path", lambda: [str(tmp_path)])
    (tmp_path / "a-1.dist-info").mkdir()
    before = fingerprint()
    (tmp_path / "a-1.dist-info").rename(tmp_path / "a-2.dist-info")
    after = fingerprint()
    assert (before["distributions"], after["distributions"]) == ({"a": "1"}, {"a": "2"})
    assert before["fingerprint"] != after["fingerprint"]
    assert fingerprint() == after
