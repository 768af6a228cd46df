import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_serving.backends.guard import Guard
from jupyter_serving.environments import Environment
from jupyter_serving.environments.installed import inspect
from jupyter_serving.environments.kernel import environment_of
from jupyter_serving.environments.uv import find_uv
from jupyter_serving.errors import StartFailed


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An empty real environment."""
    argv = [
        find_uv(),
        "venv",
        "-q",
        "--no-project",
        "--python",
        sys.executable,
        str(tmp_path / "env"),
    ]
    subprocess.run(argv, check=True, cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    return environment_of(python, asyncio.run(inspect(python, tmp_path)))


def checked(environment: Environment, cwd: Path, *between: Callable[[], object]) -> None:
    """Check, do something, check again."""

    async def scenario() -> None:
        guard = Guard(cwd)
        await guard.check(environment)
        for step in between:
            step()
            await guard.check(environment)

    asyncio.run(scenario())


def test_an_environment_that_stays_passes(environment: Environment, tmp_path: Path) -> None:
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    checked(environment, tmp_path, (site / "bytecode_of_a_module.pyc").touch)


def test_an_installed_distribution_is_noticed(environment: Environment, tmp_path: Path) -> None:
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    with pytest.raises(StartFailed, match=r"kernel's environment .* was changed after"):
        checked(environment, tmp_path, (site / "new-1.0.dist-info").mkdir)


def test_one_that_changed_before_is_noticed_at_once(
    environment: Environment, tmp_path: Path
) -> None:
    with pytest.raises(StartFailed, match="staged environment"):
        checked(replace(environment, fingerprint="older", kind="staged"), tmp_path)
