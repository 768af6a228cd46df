"""A real IPython shell with ``%serve``, whose server is the shared controller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from services import Services

from jupyter_serving.connect import URL_VARIABLE
from jupyter_serving.notebook import completion, serving


@pytest.fixture(scope="session")
def the_shell() -> InteractiveShell:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "jupyter_serving")
    return shell


@pytest.fixture
def shell(
    the_shell: InteractiveShell, shared_services: Services, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """The shell, with its variables and what it learnt of servers reset."""
    for name in (URL_VARIABLE, "JUPYTERHUB_SERVICE_PREFIX", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_SERVING_DATA_DIR", str(shared_services.places.data))
    shared_services.client_started()
    monkeypatch.setattr(serving, "default", serving._Default())
    monkeypatch.setattr(completion, "_seen", completion._Names())
    yield the_shell
    the_shell.reset(new_session=False)


@pytest.fixture
def magic(shell: InteractiveShell) -> Any:
    """Run ``%serve <line>`` as a cell does; gives its value, raises what it raised."""

    def run(line: str) -> Any:
        result = shell.run_cell(f"%serve {line}")
        result.raise_error()
        return result.result

    return run
