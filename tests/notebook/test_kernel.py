"""``%serve`` in a real kernel: the displays that a front end gets."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from services import Services
from zoo import Zoo


def run(*cells: str) -> Any:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=180, kernel_name="python3", allow_errors=True).execute()
    return [cell.outputs for cell in notebook.cells]


def test_a_cell_shows_progress_in_place_and_then_a_card(
    shared_services: Services, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SERVING_DATA_DIR", str(shared_services.places.data))
    uri = zoo.doubles()
    _, deployed, queried, failed, completed = run(
        "%load_ext jupyter_serving",
        f"%serve deploy {uri} --name kernel --tracking-uri {zoo.uri} --max-concurrency 1",
        "rows = [{'x': 1.0}]\nanswer = %serve query kernel --data rows\nanswer",
        "%serve status nobody",
        "%serve delete kernel",
    )
    line, card = deployed
    # One line in one place, empty in the end, whatever was said in between.
    assert (line.output_type, line.data["text/plain"]) == ("display_data", "")
    assert card.output_type == "execute_result"
    assert "Endpoint kernel: ready" in card.data["text/plain"]
    assert ">kernel</strong>" in card.data["text/html"]
    assert "1 prediction from kernel" in queried[0].data["text/plain"]
    assert "<table" in queried[0].data["text/html"]
    assert (failed[0].output_type, failed[0].ename) == ("error", "NotFound")
    assert len(failed[0].traceback) == 1
    assert "Deleted the endpoint kernel" in completed[0].text
