"""Every notebook runs from top to bottom on a fresh machine, and stores nothing of the one that it was made on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from services import Services

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CELL_SECONDS = 180
OF_A_MACHINE = [
    r"(?<![\w.~-])/(?:home|root|Users|tmp|var|opt|usr|work|srv|mnt|private|data)/",
    r"\bjst_",
    r"\btoken=",
    r"\bpid (?!4711\b)\d",
]

notebooks = pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem
)


def test_there_are_notebooks() -> None:
    assert (NOTEBOOKS / "01_first_endpoint.ipynb").is_file()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory where nothing is configured, as on the first day; no Jupyter runs."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in (
        *("JUPYTER_SERVING_URL", "JUPYTER_SERVING_CREDENTIAL_FILE", "JPY_PARENT_PID"),
        *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
    ):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    return work


@notebooks
def test_it_runs_from_top_to_bottom(path: Path, machine: Path, services: Services) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(machine)}},
    )
    client.execute()  # raises where a cell does
    assert errors(notebook) == []
    # It used the data directory of this test, and cleaned up after itself.
    assert services.census()
    assert services.client.list() == []


@notebooks
def test_its_stored_outputs_are_those_of_one_good_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert errors(notebook) == []
    assert any(cell.outputs for cell in cells)


@notebooks
def test_its_stored_outputs_tell_nothing_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    texts = [
        text
        for cell in notebook.cells
        for part in (cell.source, cell.get("outputs", []))
        for text in texts_of(part)
    ]
    assert [(mark, text) for mark in OF_A_MACHINE for text in texts if re.search(mark, text)] == []
    assert [cell.metadata for cell in notebook.cells if "execution" in cell.metadata] == []


@pytest.mark.parametrize(
    "text",
    ["in /home/ada/x", "'/tmp/tmp1/data'", "Bearer jst_abc", "?token=0f", "controller pid 12"],
)
def test_what_tells_of_a_machine_is_recognised(text: str) -> None:
    assert any(re.search(mark, text) for mark in OF_A_MACHINE)


def errors(notebook: Any) -> list[Any]:
    return [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    ]


def texts_of(value: Any) -> list[str]:
    """Every text in a nested value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in texts_of(item)]
