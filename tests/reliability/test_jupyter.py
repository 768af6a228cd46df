"""Endpoints and Jupyter live apart: it comes and goes, holds requests for long, and finds what was killed again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from load import QueryLoop
from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client
from jupyter_serving.places import DATA_DIR_VARIABLE

from .jupyter import BASE_URL, Jupyter
from .kernels import Kernel, ask

QUICK = {"dataframe_split": {"columns": ["x"], "data": [[0.0]]}}
HELD = 50
SECONDS_EACH = 0.45  # one after the other: the last one is held for HELD times this, well over 20 s
DISASTER = 10.0
LIST = "jupyter-serving/api/2.0/serving-endpoints"


@dataclass(frozen=True)
class Open:
    """Jupyter with an endpoint ``sleeps`` behind it: one replica, one request at a time."""

    jupyter: Jupyter
    services: Services
    gateway_url: str
    token: str

    @property
    def predictions_url(self) -> str:
        """Where predictions go through Jupyter."""
        return f"{self.jupyter.url}jupyter-serving/serving-endpoints/sleeps/invocations"

    def pids(self, mark: str) -> set[int]:
        return {pid for pid, command in self.services.census().items() if mark in command}

    def replica(self) -> int:
        """The leader of the one replica, which holds its lock."""
        folder = self.services.places.runtime
        held = {str(lock) for lock in folder.glob("r-*.lock")}
        leaders = {os.getsid(pid) for pid in self.pids("serving_runtime") if held & _files(pid)}
        (leader,) = leaders
        return leader


def _files(pid: int) -> set[str]:
    try:
        return {os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


@pytest.fixture(scope="module")
def opened(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Everything is started through Jupyter, as a user would."""
    folder = tmp_path_factory.mktemp("jupyter")
    services = Services(folder / "data")
    entity = zoo.entity(zoo.sleeps())
    try:
        with Jupyter(folder, {DATA_DIR_VARIABLE: str(folder / "data")}) as jupyter:
            client = Client(jupyter.url, jupyter.token)
            client.create("sleeps", {"served_entities": [entity]})
            url = client.wait("sleeps").url
            yield Open(jupyter, services, url, f"Bearer {client.token('sleeps')}")
    finally:
        services.end()


def test_no_query_of_the_gateway_fails_while_jupyter_restarts(opened: Open) -> None:
    with QueryLoop(opened.gateway_url, opened.token, QUICK) as loop:
        until(lambda: loop.good_since(0.0), what="the first answers")
        for end in (opened.jupyter.stop, opened.jupyter.kill):
            end()
            down = time.monotonic()
            until(lambda since=down: loop.good_since(since), what="answers without Jupyter")
            opened.jupyter.start()
            assert [e.name for e in _client(opened).list()] == ["sleeps"]
    assert loop.failures() == []
    assert len(loop.answers) > 40


def _client(opened: Open) -> Client:
    return Client(opened.jupyter.url, opened.jupyter.token)


def test_fifty_held_predictions_are_all_answered_and_lists_pass_them(opened: Open) -> None:
    answers, lists = asyncio.run(_fifty(opened))
    assert [status for status, _ in answers] == [200] * HELD
    assert max(held for _, held in answers) > 20.0
    assert len(lists) > 20
    assert {status for status, _ in lists} == {200}
    assert max(took for _, took in lists) < DISASTER


async def _fifty(opened: Open) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Status and seconds of each prediction, and of each list that was answered while predictions were held."""
    slow = {"dataframe_split": {"columns": ["x"], "data": [[SECONDS_EACH]]}}
    async with httpx.AsyncClient(
        headers={"Authorization": opened.jupyter.authorization},
        limits=httpx.Limits(max_connections=None),
        timeout=120,
        trust_env=False,
    ) as http:
        held = [
            asyncio.create_task(_timed(http.post(opened.predictions_url, json=slow)))
            for _ in range(HELD)
        ]
        lists = []
        while len(pending := [task for task in held if not task.done()]) > 1:
            lists.append(await _timed(http.get(opened.jupyter.url + LIST)))
            await asyncio.wait(pending, timeout=0.2)
        return await asyncio.gather(*held), lists


async def _timed(request: Any) -> tuple[int, float]:
    began = time.monotonic()
    response = await request
    return response.status_code, time.monotonic() - began


@pytest.mark.parametrize("victim", ["controller", "gateway", "replica"])
def test_what_is_killed_behind_jupyter_comes_back(opened: Open, victim: str) -> None:
    find: dict[str, Callable[[], int]] = {
        "controller": lambda: opened.services.pid_of("controller"),
        "gateway": lambda: opened.services.pid_of("gateway"),
        "replica": opened.replica,
    }
    authorization = opened.jupyter.authorization
    with QueryLoop(opened.predictions_url, authorization, QUICK) as loop:
        until(lambda: loop.good_since(0.0), what="the first answers")
        before = find[victim]()
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        status, listed = _ask(opened, LIST)
        assert (status, [e["name"] for e in listed["endpoints"]]) == (200, ["sleeps"])
        until(lambda: loop.good_since(killed), what="predictions through Jupyter")
        until(lambda: _phase(opened) == "READY", what="the endpoint READY")
        assert find[victim]() != before
    # The controller is not on the path of predictions. What a gateway or a replica held is lost with it, and no more:
    # Jupyter waits for a gateway that is not there, and the gateway for a replica.
    lost = {"controller": set(), "gateway": {503}, "replica": {502}}
    assert {a.status for a in loop.failures()} <= lost[victim]
    assert len(loop.failures()) <= 1, loop.failures()


def _phase(opened: Open) -> str:
    status, listed = _ask(opened, LIST)
    assert status == 200
    phase: str = listed["endpoints"][0]["live"]["phase"]
    return phase


def _ask(opened: Open, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    return ask(opened.jupyter, path, method, body)


# -- kernels and terminals -------------------------------------------------------------------------------

FINDS = """
import json, os
from jupyter_serving import connect
from jupyter_serving.client import Client
server = connect.find()
names = [e.name for e in Client(server=server).list()]
told = {"how": server.how, "url": server.url, "token": server.token, "names": names}
"""


def in_a_kernel(jupyter: Jupyter, code: str) -> dict[str, Any]:
    """What ``code``, run in a kernel that Jupyter starts, leaves in ``told``."""
    with Kernel(jupyter) as kernel:
        return kernel.run(code)


def test_a_kernel_finds_the_server_that_started_it(opened: Open) -> None:
    told = in_a_kernel(opened.jupyter, FINDS)
    assert told == {
        "how": "JUPYTER_SERVING_URL, set by Jupyter",
        "url": f"{opened.jupyter.url}jupyter-serving",
        "token": opened.jupyter.token,
        "names": ["sleeps"],
    }


def test_a_kernel_finds_its_server_by_the_info_file_too(opened: Open) -> None:
    forget = "import os\nfor n in list(os.environ):\n    if n.startswith('JUPYTER_SERVING_'):\n"
    told = in_a_kernel(opened.jupyter, f"{forget}        del os.environ[n]\n{FINDS}")
    assert told["how"].startswith("the Jupyter server with pid")
    assert (told["url"], told["names"]) == (f"{opened.jupyter.url}jupyter-serving", ["sleeps"])


def test_a_terminal_finds_the_server_that_started_it(tmp_path: Path, services: Services) -> None:
    """The terminal's shell is a program of ours that writes down what it finds."""
    found, script = tmp_path / "found.json", tmp_path / "finds.py"
    script.write_text(
        f"{FINDS}\nwith open({str(found) + '.new'!r}, 'w') as file:\n    json.dump(told, file)\n"
        f"os.replace({str(found) + '.new'!r}, {str(found)!r})\n"
    )
    shell = f"--ServerApp.terminado_settings={{'shell_command': ['{sys.executable}', '{script}']}}"
    with Jupyter(tmp_path / "jupyter", options=(shell,)) as jupyter:
        status, terminal = ask(jupyter, "api/terminals", "POST", {})
        assert status == 200, terminal
        until(found.exists, what=f"the terminal's word (log: {jupyter.log})")
        assert json.loads(found.read_text()) == {
            "how": "JUPYTER_SERVING_URL, set by Jupyter",
            "url": f"{jupyter.url}jupyter-serving",
            "token": jupyter.token,
            "names": [],
        }


def test_a_kernel_under_jupyterhub_uses_the_hubs_token(tmp_path: Path, services: Services) -> None:
    """A hub's variables around a plain server, which lets the hub's token in as a hub's login handler would."""
    hub = {
        "JUPYTERHUB_SERVICE_PREFIX": BASE_URL,
        "JUPYTERHUB_API_TOKEN": "the-hub's-token",
        "JUPYTER_TOKEN": "the-hub's-token",
    }
    jupyter = Jupyter(tmp_path / "jupyter", hub)
    jupyter.token = hub["JUPYTERHUB_API_TOKEN"]
    with jupyter:
        assert not list(jupyter.runtime_dir.glob("*.token")), "no second copy of the secret"
        told = in_a_kernel(jupyter, FINDS)
        assert told["how"] == "JUPYTER_SERVING_URL, set by Jupyter"
        assert (told["token"], told["names"]) == (jupyter.token, [])
        hub_only = "import os\nos.environ['JUPYTERHUB_SERVICE_URL'] = os.environ.pop('JUPYTER_SERVING_URL')\n"
        told = in_a_kernel(jupyter, hub_only + FINDS)
        assert told["how"] == "JupyterHub's variables"
        assert (told["url"], told["names"]) == (f"{jupyter.url}jupyter-serving", [])
