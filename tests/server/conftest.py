"""A Jupyter server under `/a%40b/` with our extension, and services behind it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403  (fixtures and hooks, for this directory only)
from traitlets.config import Config

from jupyter_serving.places import DATA_DIR_VARIABLE, RUNTIME_DIR_VARIABLE, Places

from .upstreams import Upstream

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """A route without an authentication decorator is an error wherever a server is started here."""
    for item in items:
        if HERE in Path(item.path).parents:
            item.add_marker(
                pytest.mark.filterwarnings("error::jupyter_server.utils.JupyterServerAuthWarning")
            )


@pytest.fixture
def jp_server_config(places):
    """Only our extension; the server never sees a data directory but the test's own."""
    return Config(
        {
            "ServerApp": {
                # the terminals of the current release have a route without such a decorator
                "jpserver_extensions": {"jupyter_serving": True, "jupyter_server_terminals": False},
                "allow_unauthenticated_access": False,
                "reraise_server_extension_failures": True,
            }
        }
    )


@pytest.fixture
def places(jp_environ, monkeypatch, tmp_path):
    """A data directory of its own and a short runtime directory."""
    runtime = tempfile.mkdtemp(prefix="js-", dir="/tmp")
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, runtime)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "serving"))
    yield Places.of()
    shutil.rmtree(runtime)


@pytest.fixture
def serving(jp_serverapp, jp_asyncio_loop):
    """The extension application; its connections are closed at the end."""
    app = jp_serverapp.web_app.settings["serving"]
    yield app
    jp_asyncio_loop.run_until_complete(app.forwarder.close())


@pytest.fixture
def url(http_server, jp_http_port, jp_base_url):
    """URL of the API, as a kernel or a program uses it."""
    return f"http://127.0.0.1:{jp_http_port}{jp_base_url}jupyter-serving"


@pytest.fixture
def http(url, serving, jp_auth_header, jp_asyncio_loop):
    """A client with the server's token, without a limit of connections."""
    client = httpx.AsyncClient(
        headers=jp_auth_header,
        timeout=30,
        limits=httpx.Limits(max_connections=None),
        trust_env=False,
    )
    yield client
    jp_asyncio_loop.run_until_complete(client.aclose())


@pytest.fixture
def anybody(serving, jp_asyncio_loop):
    """A client without any credential."""
    client = httpx.AsyncClient(timeout=30, trust_env=False)
    yield client
    jp_asyncio_loop.run_until_complete(client.aclose())


def _service(path, loop):
    async def start():
        return Upstream(path)

    service = loop.run_until_complete(start())
    yield service
    loop.run_until_complete(service.close())


@pytest.fixture
def controller(places, jp_asyncio_loop):
    """A service on the controller's socket."""
    yield from _service(places.controller_socket, jp_asyncio_loop)


@pytest.fixture
def gateway(places, jp_asyncio_loop):
    """A service on the gateway's socket."""
    yield from _service(places.gateway_socket, jp_asyncio_loop)


def wait_for(what, condition, limit=60.0):
    """Result of a condition of another process, once it is true."""
    end = time.monotonic() + limit
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} did not come within {limit} s"
        time.sleep(0.05)
    return result


def _info(runtime_dir):
    for path in Path(runtime_dir).glob("jpserver-*.json"):
        try:
            return json.loads(path.read_text())
        except ValueError:
            return None
    return None


class RealServer:
    """A Jupyter server of its own process; ``facts`` are its info file."""

    def __init__(self, runtime_dir, root_dir, log):
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyter_server"),
                    *("--allow-root", "--no-browser", "--ServerApp.port=0"),
                    "--ServerApp.base_url=/user/x/",
                    "--ServerApp.jpserver_extensions={'jupyter_serving': True}",
                    f"--ServerApp.root_dir={root_dir}",
                ],
                stdout=out,
                stderr=out,
            )
        self.facts = wait_for("the server's info file", lambda: _info(runtime_dir))
        self.url = self.facts["url"] + "jupyter-serving"
        self.token = self.facts["token"]

    def stop(self):
        """End it as a service manager does."""
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def real_server(jp_environ, places, jp_runtime_dir, tmp_path):
    server = RealServer(jp_runtime_dir, tmp_path, tmp_path / "log")
    yield server
    server.stop()


def processes_of(data_dir):
    """Our detached processes that serve a data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(DATA_DIR_VARIABLE) == str(data_dir) and any(
                part.startswith("jupyter_serving.") for part in process.cmdline()
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def shut_down(client, places):
    """End the services of a data directory through the API, and see that nothing is left."""
    own = "/api/2.0/jupyter-serving"
    wait_for("the gateway", lambda: client.get(own + "/status").json()["gateway"]["alive"])
    client.post(own + "/shutdown", json={"replicas": "stop"}).raise_for_status()
    try:
        wait_for("the end of the services", lambda: not processes_of(places.data))
    finally:
        for process in processes_of(places.data):
            process.kill()


@pytest.fixture
def real_controller(real_server, places):
    """A real server whose first request starts a real controller and gateway; all are gone at the end."""
    yield real_server
    authorised = {"Authorization": f"token {real_server.token}"}
    with httpx.Client(
        base_url=real_server.url, headers=authorised, timeout=60, trust_env=False
    ) as client:
        shut_down(client, places)
