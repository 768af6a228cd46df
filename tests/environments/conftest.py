"""One real environment that differs from the running one, staged once for all tests that only look at it."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from jupyter_serving.environments import Environment, Stager
from jupyter_serving.places import Places
from jupyter_serving.settings import Settings

from .models import SCRIPT, mlmodel, write

OLDER = "1.7.2" if version("scikit-learn") != "1.7.2" else "1.7.1"


@dataclass(frozen=True)
class Staged:
    """A staged environment with all that led to it."""

    places: Places
    model: Path
    log: Path
    phases: list[str]
    environment: Environment


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Directories of the test's own."""
    own = Places(tmp_path / "data", tmp_path / "run")
    own.prepare()
    return own


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A model whose environment is quickly made (it could not be loaded there: the small MLflow brings no pandas)."""
    return write(
        tmp_path / "small",
        meta=mlmodel(platform.python_version()),
        requirements=f"mlflow-skinny=={version('mlflow')}\n",
    )


@pytest.fixture(scope="session")
def older_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model that pins an older scikit-learn than the running one and tells what it was loaded with."""
    import mlflow.pyfunc

    folder = tmp_path_factory.mktemp("older")
    script = folder / "teller.py"
    script.write_text(SCRIPT)
    pins = [f"mlflow=={version('mlflow')}", f"scikit-learn=={OLDER}"]
    mlflow.pyfunc.save_model(folder / "model", python_model=str(script), pip_requirements=pins)
    return folder / "model"


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory, older_model: Path) -> Iterator[Staged]:
    """The older model's environment."""
    data = tmp_path_factory.mktemp("staged")
    places = Places(data / "data", data / "run")
    places.prepare()
    phases: list[str] = []

    async def stage() -> Environment:
        stager = Stager(places, Settings())
        try:
            return await stager.stage(older_model, None, data / "build.log", phases.append)
        finally:
            await stager.close()

    yield Staged(places, older_model, data / "build.log", phases, asyncio.run(stage()))
