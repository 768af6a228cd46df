from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from services import Services

from jupyter_serving import connect, processes
from jupyter_serving.errors import ControllerDown
from jupyter_serving.places import Places
from jupyter_serving.version import VERSION_HEADER, version


class Jupyter(BaseHTTPRequestHandler):
    """Answers as a Jupyter server at ``/base/`` with our extension, or without it."""

    enabled = True

    def do_GET(self) -> None:
        good = self.enabled and self.path == "/base/jupyter-serving/.well-known/databricks-config"
        self.send_response(200 if good else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


class JupyterWithoutTheExtension(Jupyter):
    enabled = False


def run(handler: type[Jupyter]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/base"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def jupyter() -> Iterator[str]:
    yield from run(Jupyter)


@pytest.fixture
def jupyter_without_us() -> Iterator[str]:
    yield from run(JupyterWithoutTheExtension)


@pytest.fixture
def no_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """No controller runs and none can be started."""

    def no_controller(**_: Any) -> connect.Server:
        raise ControllerDown("it did not come up", hint="Look at its log.")

    monkeypatch.setattr(connect, "local", no_controller)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://h:8888", "http://h:8888/jupyter-serving"),
        ("http://h:8888/user/me/lab?token=x", "http://h:8888/user/me/jupyter-serving"),
        ("h:8888/", "http://h:8888/jupyter-serving"),
        ("https://h/a%40b/jupyter-serving/", "https://h/a%40b/jupyter-serving"),
    ],
)
def test_any_url_of_jupyter_leads_to_the_extension(given: str, expected: str) -> None:
    assert connect.find(given, "t", environ={}).url == expected


def test_an_explicit_url_takes_the_credential_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    environ = {connect.CREDENTIAL_VARIABLE: str(tmp_path / "token")}
    assert connect.find("http://h", environ=environ).token == "secret"
    assert connect.find("http://h", "mine", environ=environ).token == "mine"
    assert "secret" not in repr(connect.find("http://h", environ=environ))


def test_jupyters_own_variables_come_first(jupyter: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    environ = {
        connect.URL_VARIABLE: f"{jupyter}/jupyter-serving",
        connect.CREDENTIAL_VARIABLE: str(tmp_path / "token"),
    }
    server = connect.find(environ=environ)
    assert (server.url, server.token) == (f"{jupyter}/jupyter-serving", "secret")
    headers = {"Authorization": "token secret", VERSION_HEADER: version()}
    assert server.control().headers == headers
    assert server.control().prefix == "/base/jupyter-serving"


def test_under_a_hub_its_token_is_used(jupyter: str) -> None:
    port = jupyter.split(":")[2].split("/")[0]
    environ = {
        "JUPYTERHUB_SERVICE_PREFIX": "/base/",
        "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{port}/base/",
        "JUPYTERHUB_API_TOKEN": "hub-token",
    }
    server = connect.find(environ=environ)
    assert (server.url, server.token) == (f"{jupyter}/jupyter-serving", "hub-token")
    # Our own variable without a file: the hub's token is the credential for it.
    server = connect.find(
        environ={connect.URL_VARIABLE: jupyter, "JUPYTERHUB_API_TOKEN": "hub-token"}
    )
    assert server.token == "hub-token"


def test_the_info_file_of_the_parent_is_found(
    jupyter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    facts = {"url": f"{jupyter}/", "token": "from-file"}
    (tmp_path / "jpserver-77.json").write_text(json.dumps(facts))
    server = connect.find(environ={"JPY_PARENT_PID": "77"})
    assert (server.url, server.token) == (f"{jupyter}/jupyter-serving", "from-file")


@pytest.mark.usefixtures("no_local")
def test_one_error_tells_all_that_was_tried(
    jupyter_without_us: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    environ = {
        connect.URL_VARIABLE: "http://127.0.0.1:1",
        "JUPYTERHUB_API_TOKEN": "t",
        "JUPYTERHUB_SERVICE_PREFIX": "/base/",
        "JUPYTERHUB_SERVICE_URL": jupyter_without_us,
        "JPY_PARENT_PID": "77",
    }
    with pytest.raises(ControllerDown) as told:
        connect.find(environ=environ)
    text = str(told.value)
    assert "http://127.0.0.1:1/jupyter-serving" in text
    assert "the extension is not enabled there" in text
    assert "jpserver-77.json" in text
    assert "the controller of the data directory: it did not come up" in text
    assert text.endswith("Look at its log.")


@pytest.mark.usefixtures("no_local")
def test_a_server_that_has_gone_is_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ControllerDown, match="no credential for it"):
        connect.find(environ={connect.URL_VARIABLE: "http://127.0.0.1:1"})


def test_the_local_controller_is_started_once_and_found_again(services: Services) -> None:
    said: list[str] = []
    first = connect.local(services.places.data, progress=said.append)
    assert said == ["starting the controller"]
    assert first.places is not None
    pid = services.client_started().status()["pid"]
    assert connect.peer_pid(first.places.controller_socket) == pid
    said.clear()
    assert connect.find(environ={}).places == first.places
    assert said == []


def test_a_stale_socket_does_no_harm(services: Services) -> None:
    services.places.prepare()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(services.places.controller_socket))
    assert not connect.answers(services.places.controller_socket)
    connect.local(services.places.data)
    assert connect.answers(services.places.controller_socket)


def test_nothing_is_started_unasked(services: Services) -> None:
    with pytest.raises(ControllerDown, match="jupyter serving start"):
        connect.local(services.places.data, start=False)
    assert services.census() == {}


def test_a_controller_that_does_not_come_up_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_at_once(module: str, places: Places) -> None:
        with (places.logs / "controller.log").open("a") as log:
            log.write("Traceback\nOSError: the port is taken\n")

    places = Places.of(tmp_path / "data")
    places.prepare()
    (places.logs / "controller.log").write_text("from an earlier life\n")
    monkeypatch.setattr(processes, "spawn_service", dies_at_once)
    clock = iter(range(1000))
    with pytest.raises(ControllerDown) as told:
        connect.local(tmp_path / "data", clock=lambda: float(next(clock)), sleep=lambda _: None)
    assert "the port is taken" in str(told.value)
    assert "earlier life" not in str(told.value)


def test_a_data_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot be prepared"):
        connect.local(tmp_path / "file" / "data")


def test_peer_pid_of_nobody_is_none(tmp_path: Path) -> None:
    assert connect.peer_pid(tmp_path / "none.sock") is None
    path = tmp_path / "own.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert connect.peer_pid(path) == os.getpid()
