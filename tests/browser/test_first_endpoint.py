"""What a data scientist sees: the tour in a notebook, its endpoint in the sidebar, and the sidebar's verbs."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect
from zoo import Zoo

from jupyter_serving.client import Client

from .conftest import ROOT, LabServer
from .lab import Lab

pytestmark = pytest.mark.browser
TOUR = "01_first_endpoint.ipynb"


def test_the_tour_runs_and_its_endpoint_is_in_the_sidebar(lab: Lab, server: LabServer) -> None:
    shutil.copy(ROOT / "notebooks" / TOUR, server.work / TOUR)
    lab.show_sidebar()
    lab.expect_empty()
    lab.open_notebook(TOUR)
    lab.run("notebook:clear-all-cell-outputs")
    lab.begin_run_all()

    lab.expect_state("iris-tour", "Ready")
    replicas = lab.endpoint("iris-tour").locator('[data-metric="replicas"] dd')
    expect(replicas).to_have_text("1/1")
    expect(lab.endpoint("iris-tour")).to_contain_text(re.compile("iris-tour, version [12]"))
    lab.show_cell("%serve deploy model")
    lab.keep("tour-ready")

    cells = [cell for cell in lab.run_ended()["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"] == []
    lab.expect_empty()
    look_at_outputs(lab)


def look_at_outputs(lab: Lab) -> None:
    """Pictures of everything that the tour shows."""
    for text, name in (
        ("%serve deploy model", "deploy"),
        ("The next request is not refused", "asleep"),
        ("When something is wrong", "starts"),
        ("Clean up", "events"),
    ):
        lab.show_cell(text)
        lab.look(f"tour-{name}")


def test_the_verbs_of_the_sidebar(lab: Lab, server: LabServer, zoo: Zoo) -> None:
    client = server.services.client_started()
    client.create("flowers", {"served_entities": [zoo.entity(zoo.forest())]})
    lab.show_sidebar()
    lab.expect_state("flowers", "Ready")
    expect(lab.endpoint("flowers").locator('[data-metric="rate"] dd')).to_have_text("0")

    lab.press("flowers", "stop-endpoint")
    lab.expect_state("flowers", "Stopped")
    expect(lab.endpoint("flowers").locator(".jp-serving-Metrics")).to_have_count(0)
    assert client.get("flowers").phase == "STOPPED"
    lab.press("flowers", "start-endpoint")
    lab.expect_state("flowers", "Ready")
    # What was done on the way is not told for ever.
    expect(lab.endpoint("flowers").locator(".jp-serving-Endpoint-message")).to_have_count(0)
    assert len(client.query("flowers", zoo.iris[0])) == len(zoo.iris[0])

    see_one_asleep(lab, client, zoo)
    see_the_logs(lab)
    see_both_deleted(lab, client)


def see_one_asleep(lab: Lab, client: Client, zoo: Zoo) -> None:
    """A second endpoint scales to zero; a request starts it, and the time that this took is shown."""
    entity = zoo.entity(zoo.forest()) | {"min_provisioned_concurrency": 0}
    idle = {"scale_to_zero_enabled": True, "scale_to_zero_seconds": 1.0}
    client.create("sleepy", {"served_entities": [entity | idle]})
    client.wait("sleepy")
    lab.expect_state("sleepy", "Scaled to zero")
    assert len(client.query("sleepy", zoo.iris[0])) == len(zoo.iris[0])
    expect(lab.endpoint("sleepy").locator('[data-metric="cold-start"]')).to_be_visible()
    lab.expect_state("sleepy", "Scaled to zero")
    lab.look("sidebar")


def see_the_logs(lab: Lab) -> None:
    """The button opens them: what the model printed, how it was built, what happened."""
    lab.press("flowers", "open-logs")
    panel = lab.page.locator(".jp-serving-Logs")
    expect(panel.locator(".jp-serving-Logs-text")).to_contain_text("model loaded")
    panel.locator('[role="tab"]', has_text="Build").click()
    # The present config version took this over from the one before the stop.
    expect(panel.locator(".jp-serving-Logs-text")).to_contain_text("environment")
    panel.locator('[role="tab"]', has_text="Events").click()
    expect(panel.locator(".jp-serving-Events")).to_contain_text("stopped the endpoint")
    lab.look("logs")
    # An open log asks for an endpoint that is about to be deleted.
    lab.run("application:close")
    expect(panel).to_have_count(0)


def see_both_deleted(lab: Lab, client: Client) -> None:
    """Only after a question that says what is lost."""
    dialog = lab.page.locator(".jp-Dialog")
    lab.press("flowers", "delete-endpoint")
    expect(dialog).to_contain_text("The registered models stay.")
    lab.look("delete")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(lab.endpoint("flowers")).to_be_visible()

    for name in ("flowers", "sleepy"):
        lab.press(name, "delete-endpoint")
        dialog.get_by_role("button", name="Delete").click()
        expect(lab.endpoint(name)).to_have_count(0)
    lab.expect_empty()
    assert client.list() == []
    lab.look("sidebar-empty")
