"""Modules that a model will import, read without executing it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_serving.environments import hints

MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0]], [0, 1])
NEEDED = {"sklearn.linear_model._logistic", "sklearn.pipeline", "sklearn.preprocessing._data"}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_globals_of_a_pickle_of_any_protocol(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(MODEL, protocol=protocol))
    assert set(hints.modules(tmp_path)) >= NEEDED


def test_modules_of_a_skops_file(tmp_path: Path) -> None:
    import skops.io

    skops.io.dump(MODEL, tmp_path / "model.skops")
    assert set(hints.modules(tmp_path)) >= NEEDED


def test_the_loader_of_the_flavour(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
    )
    assert hints.modules(tmp_path) == ["mlflow.sklearn"]


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_nothing_is_executed(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    assert hints.modules(tmp_path) == ["builtins"]


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"not a pickle", b"\x80\x05\x8c\xff", b"PK\x03\x04"]
)
def test_damaged_files_give_no_hints(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pkl").write_bytes(content)
    (tmp_path / "model.skops").write_bytes(content)
    assert hints.modules(tmp_path) == []
