from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from jupyter_serving.runtime import imports


def test_what_was_imported_after_a_moment_is_learned_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "model"
    own.mkdir()
    for folder, name in ((tmp_path, "learned_a"), (tmp_path, "learned_b"), (own, "learned_own")):
        (folder / f"{name}.py").write_text("")
        monkeypatch.syspath_prepend(str(folder))
    before = imports.latest()
    for name in ("learned_b", "learned_own", "learned_a"):
        importlib.import_module(name)
    try:
        folders = [f"{tmp_path.resolve()}/"]
        assert imports.learned(before, folders, str(own)) == ["learned_b", "learned_a"]
        assert imports.learned("learned_b", folders, str(own)) == ["learned_a"]
        assert imports.learned(imports.latest(), folders, str(own)) == []
        # whoever took the last module away: all are looked at
        assert imports.learned("gone", folders, str(own)) == ["learned_b", "learned_a"]
    finally:
        for name in ("learned_b", "learned_own", "learned_a"):
            del sys.modules[name]
