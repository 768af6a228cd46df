"""Execute the notebooks and store their outputs: ``python scripts/notebooks.py [NAME.ipynb ...]``.

Each runs in a directory and a data directory of its own. What only tells about the machine that ran it (paths, dates,
pids, its user) is not stored.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from jupyter_serving import connect
from jupyter_serving.client import Client
from jupyter_serving.errors import ControllerDown
from jupyter_serving.places import DATA_DIR_VARIABLE, Places

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
USUAL_DATA_DIR = "~/.local/share/jupyter/serving"
BEGIN = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
TIME = re.compile(r"\b(\d{4})([-/])(\d\d)\2(\d\d)([T ])(\d\d:\d\d:\d\d)")
CELL_SECONDS = 120


def main(names: list[str]) -> None:
    """Execute and write back the notebooks of these names, or all."""
    for path in [NOTEBOOKS / name for name in names] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name)
        notebook = nbformat.read(path, as_version=4)
        metadata = dict(notebook.metadata)
        with surroundings() as clean:
            NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3").execute()
        notebook.metadata = metadata
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                kept = [output for output in cell.outputs if not _is_blank(output)]
                cell.outputs = [_cleaned(output, clean) for output in kept]
        nbformat.write(notebook, path)


@contextlib.contextmanager
def surroundings() -> Iterator[Callable[[str], str]]:
    """A working directory and services for one run; yields what makes its texts independent of them."""
    before, here, begun = dict(os.environ), Path.cwd(), datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="jupyter-serving-notebooks-") as folder:
        data = Path(folder) / "data"
        os.environ |= {DATA_DIR_VARIABLE: str(data), "TZ": "UTC", "LOGNAME": "ada"}
        for name in ("JUPYTER_SERVING_URL", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            os.environ.pop(name, None)
        os.chdir(folder)

        def clean(text: str) -> str:
            text = text.replace(str(data), USUAL_DATA_DIR).replace(folder, ".")
            text = re.sub(r"\bpid \d+", "pid 4711", text)
            return TIME.sub(lambda found: _moved(found, begun), text)

        try:
            yield clean
        finally:
            os.chdir(here)
            _end_services(data)
            os.environ.clear()
            os.environ.update(before)


def _moved(found: re.Match[str], begun: datetime) -> str:
    """The same moment of a run that began at ``BEGIN``."""
    year, dash, month, day, mark, clock = found.groups()
    moment = datetime.fromisoformat(f"{year}-{month}-{day}T{clock}+00:00")
    return (BEGIN + (moment - begun)).strftime(f"%Y{dash}%m{dash}%d{mark}%H:%M:%S")


def _end_services(data: Path) -> None:
    with contextlib.suppress(ControllerDown):
        client = Client(server=connect.local(data, start=False))
        client.shutdown()
        places = Places.of(data)
        while connect.answers(places.controller_socket) or connect.answers(places.gateway_socket):
            time.sleep(0.05)


def _is_blank(output: Any) -> bool:
    """True for a progress line that is over."""
    return output.output_type == "display_data" and not output.data.get("text/plain")


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """An output with every text in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item, clean) for item in value]
    if isinstance(value, dict):
        return type(value)({name: _cleaned(item, clean) for name, item in value.items()})
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
