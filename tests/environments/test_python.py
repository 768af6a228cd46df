import asyncio
import platform
import sys
from pathlib import Path

import pytest

from jupyter_serving.environments.python import find
from jupyter_serving.environments.uv import find_uv
from jupyter_serving.errors import StagingFailed

HERE = Path(sys.executable)
PYTHON = platform.python_version()


def fake(path: Path, version: str) -> Path:
    """An interpreter that says it is of another version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version} cpython\n")
    path.chmod(0o700)
    return path


def test_the_kernels_own_interpreter_comes_first(tmp_path: Path) -> None:
    kernel = fake(tmp_path / "python", PYTHON)
    assert asyncio.run(find(PYTHON, kernel, find_uv(), tmp_path)).path == kernel
    assert asyncio.run(find(PYTHON, None, find_uv(), tmp_path)).path == HERE
    assert asyncio.run(find("", None, find_uv(), tmp_path)).path == HERE


def test_the_very_version_wins_over_its_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    fake(tmp_path / "versions" / "3.9.98" / "bin" / "python", "3.9.98")
    exact = fake(tmp_path / "versions" / "3.9.97" / "bin" / "python", "3.9.97")
    assert asyncio.run(find("3.9.97", None, find_uv(), tmp_path)).path == exact
    assert asyncio.run(find("3.9.96", None, find_uv(), tmp_path)).minor == (3, 9)


def test_none_is_told_with_those_that_are_here(tmp_path: Path) -> None:
    with pytest.raises(
        StagingFailed, match=rf"no Python 3\.77 is on this machine .*{PYTHON}"
    ) as told:
        asyncio.run(find("3.77.1", None, find_uv(), tmp_path))
    assert "uv python install 3.77" in told.value.hint
    assert "allow_python_substitute" in told.value.hint


def test_the_nearest_is_taken_on_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    newest = fake(tmp_path / "versions" / "3.14.9" / "bin" / "python", "3.14.9")
    found = asyncio.run(find("3.77.1", None, find_uv(), tmp_path, substitute=True))
    assert found.path == newest


def test_broken_interpreters_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pyenv shim of a version that is not active exits with 127."""
    shim = tmp_path / "bin" / "python3.10"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n")
    shim.chmod(0o700)
    monkeypatch.setenv("PATH", str(shim.parent))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    right = fake(tmp_path / "versions" / "3.10.99" / "bin" / "python", "3.10.99")
    assert asyncio.run(find("3.10.1", None, find_uv(), tmp_path)).path == right


def test_a_python_that_is_too_old_for_the_runtime_is_refused_even_if_it_is_here(
    tmp_path: Path,
) -> None:
    kernel = fake(tmp_path / "python", "3.8.18")
    with pytest.raises(StagingFailed, match=r"Python 3\.8\.18; serving needs Python 3\.9"):
        asyncio.run(find("3.8.18", kernel, find_uv(), tmp_path))
    found = asyncio.run(find("3.8.18", kernel, find_uv(), tmp_path, substitute=True))
    assert found.minor >= (3, 9)
