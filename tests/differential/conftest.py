from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv
from runtime import harness

from .sides import Ours, Theirs, World

HERE = Path(__file__).parent
# Its server uses what later versions of fastapi no longer have.
MLFLOW_2 = ("mlflow==2.22.*", "scikit-learn<1.6", "fastapi<0.116", "starlette<0.47")


def environment_with(requirements: tuple[str, ...]) -> Path:
    """The interpreter of an environment with these packages, made once per machine."""
    key = hashlib.sha256(repr((requirements, sys.version)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    final = cache / "jupyter-serving-tests" / key
    python = Path("bin") / "python"
    if not (final / python).exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent) as folder:
            made = Path(folder) / "environment"
            tool = uv.find_uv_bin()
            subprocess.run(
                [tool, "venv", "-q", "--relocatable", "--python", sys.executable, made], check=True
            )
            install = [tool, "pip", "install", "-q", "--python", made / python]
            subprocess.run([*install, "--compile-bytecode", *requirements], check=True)
            if not final.exists():  # another run may have been faster
                made.rename(final)
    return final / python


@pytest.fixture(scope="session")
def runtime_parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the copy of the runtime as the package ``serving_runtime``, as replicas use it."""
    parent = tmp_path_factory.mktemp("runtime")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(harness.RUNTIME, parent / "serving_runtime", ignore=ignored)
    return parent


def start(python: Path, folder: Path, runtime_parent: Path) -> Iterator[World]:
    models = folder / "models"
    environ = harness.environment(runtime_parent)
    # Some of MLflow's messages list sets.
    environ |= {"PYTHONHASHSEED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    # Where nobody runs a tracking server, and not into the repository.
    environ |= {"MLFLOW_TRACKING_URI": f"file://{folder}/runs", "MLFLOW_ALLOW_FILE_STORE": "true"}
    with open(folder / "log", "w") as log:
        save = [python, HERE / "models.py", models]
        subprocess.run(save, env=environ, stdout=log, stderr=log, cwd=folder, check=True)
        with (
            Theirs(python, models, environ, log) as theirs,
            Ours(python, models, environ, log) as ours,
        ):
            yield World(theirs, ours, models)


@pytest.fixture(scope="session")
def mlflow3(tmp_path_factory: pytest.TempPathFactory, runtime_parent: Path) -> Iterator[World]:
    """The MLflow of these tests' own environment."""
    yield from start(Path(sys.executable), tmp_path_factory.mktemp("mlflow3"), runtime_parent)


@pytest.fixture(scope="session")
def mlflow2(tmp_path_factory: pytest.TempPathFactory, runtime_parent: Path) -> Iterator[World]:
    """MLflow 2 in an environment of its own."""
    python = environment_with(MLFLOW_2)
    yield from start(python, tmp_path_factory.mktemp("mlflow2"), runtime_parent)


@pytest.fixture(params=["mlflow3", "mlflow2"])
def world(request: pytest.FixtureRequest) -> World:
    """Each of the two."""
    chosen: World = request.getfixturevalue(request.param)
    return chosen
