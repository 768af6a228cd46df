"""``pip install -U`` under running processes, and a gateway that is told to end: not one request fails."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from load import Load, OpenLoop, QueryLoop
from services import Services, until
from zoo import Zoo

import jupyter_serving
from jupyter_serving.client import Client
from jupyter_serving.connect import Server
from jupyter_serving.places import DATA_DIR_VARIABLE
from jupyter_serving.version import VERSION_HEADER

from .replicas import leaders
from .test_restart import Later, post, rows

RATE = 100.0


@dataclass
class Site:
    """A directory of packages that holds ours, as an installer would leave it."""

    folder: Path

    def install(self, version: str, comment: str = "") -> None:
        """Replace the installed version; ``comment`` makes another runtime of it."""
        for old in self.folder.glob("jupyter_serving*"):
            shutil.rmtree(old)
        package = self.folder / "jupyter_serving"
        shutil.copytree(
            Path(jupyter_serving.__file__).parent,
            package,
            ignore=shutil.ignore_patterns("__pycache__", "labextension", "node_modules"),
        )
        with (package / "runtime" / "__init__.py").open("a") as file:
            file.write(f"# {comment}\n")
        metadata = self.folder / f"jupyter_serving-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: jupyter-serving\nVersion: {version}\n"
        )
        (metadata / "RECORD").write_text("")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Version 1.0, which every service here is started from."""
    made = Site(tmp_path / "site")
    made.folder.mkdir()
    made.install("1.0")
    monkeypatch.setenv("PYTHONPATH", str(made.folder))
    return made


@pytest.fixture
def installed(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Services of version 1.0."""
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "data"))
    own = Services(tmp_path / "data")
    own.client_started()
    try:
        yield own
    finally:
        own.end()


class FreshLoop(QueryLoop):
    """One client that makes a connection for every request."""

    async def _client(self) -> None:
        self._headers["Connection"] = "close"
        await super()._client()


@contextlib.contextmanager
def loads(url: str, token: str) -> Iterator[list[Load]]:
    """``RATE`` requests a second on kept connections, and a client that makes a new one each time."""
    authorization = f"Bearer {token}"
    with (
        OpenLoop(url, authorization, rows(21.0), rate=RATE) as kept,
        FreshLoop(url, authorization, rows(21.0)) as fresh,
    ):
        yield [kept, fresh]


def versions(services: Services) -> tuple[str, str]:
    """Of controller and gateway."""
    status = services.client.status()
    return status["version"], status["gateway"].get("version", "")


def all_well(driven: list[Load]) -> None:
    for load in driven:
        load.flows()


def nothing_failed(driven: list[Load]) -> None:
    for load in driven:
        assert load.failures() == []
        assert len(load.answers) > 100


def two_processes(services: Services) -> bool:
    """The old controller and gateway have ended (the process that reads registries has an end of its own)."""
    named = ("jupyter_serving.controller", "jupyter_serving.gateway")
    commands = services.census().values()
    return sorted(name for name in named for command in commands if name in command) == [*named]


def test_an_upgrade_loses_no_request(installed: Services, site: Site, zoo: Zoo) -> None:
    client = installed.client
    client.create("doubles", {"served_entities": [zoo.entity(zoo.doubles())]})
    client.create("slow", {"served_entities": [zoo.entity(zoo.sleeps())]})
    endpoint, slow = client.wait("doubles"), client.wait("slow")
    before = leaders(installed)
    assert versions(installed) == ("1.0", "1.0")
    with loads(endpoint.url, client.token("doubles")) as driven:
        all_well(driven)
        with Later(slow.url, client.token("slow"), rows(8.0)) as later:
            until(lambda: client.get("slow").live["in_flight"] == 1, what="it in flight")
            site.install("1.1", "another runtime")
            # A client of the new version is what is met first after an installation.
            newer = Client(server=Server("of the new version", places=installed.places))
            newer._control.headers[VERSION_HEADER] = "1.1"
            until(lambda: newer.status()["version"] == "1.1", what="the new controller")
            until(lambda: versions(installed) == ("1.1", "1.1"), what="the new gateway")
            all_well(driven)
            assert later.answer is None, "the hand-over is over while it runs"
        assert later.answer == (200, {"predictions": [8.0]})
        all_well(driven)
    nothing_failed(driven)
    assert leaders(installed) == before, "replicas serve on with the runtime they were started with"
    assert client.get("doubles").url == endpoint.url
    until(lambda: two_processes(installed), 90.0, "the end of the old ones")
    copies = installed.places.data / "runtime"
    client.create("later", {"served_entities": [zoo.entity(zoo.doubles())]})
    client.wait("later")
    assert len(list(copies.iterdir())) == 2, "a start after the upgrade runs the new copy"


def test_an_upgrade_is_noticed_without_any_client(installed: Services, site: Site) -> None:
    controller = installed.pid_of("controller")
    site.install("1.1")
    until(lambda: installed.pid_of("controller") != controller, what="a new controller")
    until(lambda: versions(installed) == ("1.1", "1.1"), what="the new gateway")


def test_half_an_installation_changes_nothing(installed: Services, site: Site) -> None:
    controller = installed.pid_of("controller")
    site.install("1.1")
    (record,) = site.folder.glob("*.dist-info/RECORD")
    record.rename(record.with_name("RECORD.later"))
    newer = Client(server=Server("of the new version", places=installed.places))
    newer._control.headers[VERSION_HEADER] = "1.1"
    log = installed.places.logs / "controller.log"
    assert {newer.status()["version"] for _ in range(20)} == {"1.0"}
    assert "leaving" not in log.read_text()
    record.with_name("RECORD.later").rename(record)
    until(lambda: installed.pid_of("controller") != controller, what="a new controller")


@pytest.mark.parametrize("held", ["running", "cold"])
def test_a_gateway_that_is_told_to_end_loses_no_request(
    services: Services, zoo: Zoo, tmp_path: Path, held: str
) -> None:
    client = services.client_started()
    client.create("doubles", {"served_entities": [zoo.entity(zoo.doubles())]})
    gate = tmp_path / "gate"
    entity = zoo.entity(
        zoo.sleeps() if held == "running" else zoo.waits_in_load(),
        environment_vars={"GATE": str(gate)},
        min_provisioned_concurrency=0,
        scale_to_zero_enabled=True,
        scale_to_zero_seconds=0.5,
    )
    gate.touch()
    client.create("other", {"served_entities": [entity]})
    endpoint, other = client.wait("doubles"), client.wait("other")
    until(lambda: client.get("other").phase == "SCALED_TO_ZERO", what="zero replicas")
    if held == "cold":
        gate.unlink()
    with loads(endpoint.url, client.token("doubles")) as driven:
        with Later(other.url, client.token("other"), rows(5.0)) as later:
            field = "in_flight" if held == "running" else "queued"
            until(lambda: client.get("other").live[field] == 1, what=f"a request {field}")
            all_well(driven)
            for _ in range(2):
                gateway = services.pid_of("gateway")
                os.kill(gateway, signal.SIGTERM)
                until(lambda old=gateway: services.pid_of("gateway") != old, what="a successor")
                all_well(driven)
            gate.touch()
        assert later.answer == (200, {"predictions": [5.0]})
    nothing_failed(driven)
    assert client.get("doubles").url == endpoint.url
    until(lambda: two_processes(services), 90.0, "the end of the old gateways")


def test_a_successor_that_dies_leaves_the_old_gateway_serving(services: Services, zoo: Zoo) -> None:
    """It is killed again and again while it takes over; requests notice nothing."""
    client = services.client_started()
    client.create("doubles", {"served_entities": [zoo.entity(zoo.doubles())]})
    endpoint = client.wait("doubles")
    old = services.pid_of("gateway")
    ended = threading.Event()

    def kill_successors() -> None:
        while not ended.is_set():
            for pid, command in services.census().items():
                if "--take-over" in command:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    with loads(endpoint.url, client.token("doubles")) as driven:
        killer = threading.Thread(target=kill_successors)
        killer.start()
        try:
            os.kill(old, signal.SIGTERM)
            log = services.places.logs / "controller.log"
            until(lambda: "given a successor" in log.read_text(), what="a successor")
            all_well(driven)
        finally:
            ended.set()
            killer.join()
    # Nobody succeeded it, so in the end it left its port, and the controller started another one there.
    until(lambda: services.pid_of("gateway") != old, what="another gateway")
    until(lambda: client.get("doubles").url == endpoint.url, what="the same address")
    assert post(endpoint.url, client.token("doubles"), rows(2.0))[0] == 200
    served = [a for load in driven for a in load.answers]
    assert {a.status for a in served} == {200}
