import asyncio
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from jupyter_serving.environments.installed import inspect
from jupyter_serving.environments.kernel import usable
from jupyter_serving.environments.spec import ModelRequirements
from jupyter_serving.errors import StagingFailed

HERE = Path(sys.executable)
PYTHON = platform.python_version()


def test_the_running_environment_satisfies_what_it_has(tmp_path: Path) -> None:
    wanted = ModelRequirements(PYTHON, (f"mlflow=={version('mlflow')}", "numpy"))
    environment, reasons = asyncio.run(usable(wanted, HERE, tmp_path))
    assert reasons == []
    assert environment is not None
    assert (environment.kind, environment.python, environment.version) == ("kernel", HERE, PYTHON)
    again, _ = asyncio.run(usable(wanted, HERE, tmp_path))
    assert again == environment


def test_every_mismatch_is_a_reason(tmp_path: Path) -> None:
    wanted = ModelRequirements("3.2.1", ("mlflow==0.0.1", "no-such-package-at-all"))
    environment, reasons = asyncio.run(usable(wanted, HERE, tmp_path))
    assert environment is None
    assert reasons == [
        f"Python 3.2.1 is wanted, the kernel has {PYTHON}",
        f"mlflow 0.0.1 is pinned, the kernel has {version('mlflow')}",
        "no-such-package-at-all is required, the kernel does not have it",
    ]


def test_variables_of_our_own_process_do_not_reach_the_kernels_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = tmp_path / "path" / "smuggled-1.0.dist-info"
    extra.mkdir(parents=True)
    (extra / "METADATA").write_text("Name: smuggled\nVersion: 1.0\n")
    monkeypatch.setenv("PYTHONPATH", str(extra.parent))
    assert "smuggled" not in asyncio.run(inspect(HERE, tmp_path)).distributions


def test_the_stamp_changes_with_an_installed_distribution(tmp_path: Path) -> None:
    installed = asyncio.run(inspect(HERE, tmp_path))
    moved = type(installed)(
        installed.python, installed.platform, {}, "", (*installed.paths, str(tmp_path))
    )
    before = moved.stamp()
    assert before == moved.stamp()
    (tmp_path / "new-1.0.dist-info").mkdir()
    assert moved.stamp() != before


@pytest.mark.parametrize(
    "content", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "no program"]
)
def test_an_interpreter_that_does_not_answer_is_named(tmp_path: Path, content: str) -> None:
    broken = tmp_path / "python"
    broken.write_text(content)
    broken.chmod(0o700)
    with pytest.raises(StagingFailed, match=str(broken)):
        asyncio.run(inspect(broken, tmp_path))
