"""The controller is killed at every checkpoint of create, update and delete in turn; the end is always the same.

Every commit of the store and every effect of the backend is a checkpoint, and a moment right before and right after
each is tried: enumerated in a first run that is not disturbed, not sampled.
"""

from __future__ import annotations

import itertools
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client
from jupyter_serving.connect import answers
from jupyter_serving.controller.tables import TABLES
from jupyter_serving.errors import AlreadyExists, Conflict, NotFound, ServingError, Unavailable
from jupyter_serving.places import DATA_DIR_VARIABLE
from jupyter_serving.processes import Identity, clean_environment

from .replicas import leaders, orphans, runtime_pids
from .test_restart import post, rows

NAME = "crashed"
# Commits that change nothing but a log come at moments of their own (a figure that arrives, say).
ASIDE = ("commit log", "REPLICA_NOTICE")


@dataclass
class Theatre:
    """Services whose controllers are forked here and die where they are told."""

    services: Services
    zoo: Zoo
    folder: Path
    nursery: subprocess.Popen[str]
    gateway: subprocess.Popen[bytes]
    serial: Iterator[int] = field(default_factory=itertools.count)
    controller: Identity | None = None
    armed: int = 0

    @property
    def client(self) -> Client:
        return self.services.client

    def raise_controller(self) -> None:
        """Start a controller; it takes over whatever is there."""
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        print("start", self.services.places.data, self.folder, file=self.nursery.stdin, flush=True)
        self.controller = Identity.of(int(self.nursery.stdout.readline()))
        until(lambda: answers(self.services.places.controller_socket), what="the controller")

    def dead(self) -> bool:
        """True when all of the process is gone: its leader is a zombie while other threads still hold its files."""
        return self.controller is None or not Path(f"/proc/{self.controller.pid}").exists()

    def arm(self, target: str) -> None:
        """Have the controller die at ``target``; "" only writes down what is passed."""
        self.armed = next(self.serial)
        fresh = self.folder / "armed.new"
        fresh.write_text(f"{self.armed} {target}")
        fresh.replace(self.folder / "armed")

    def disarm(self) -> list[str]:
        """Stop writing down; returns what was passed since ``arm``."""
        (self.folder / "armed").unlink()
        try:
            lines = (self.folder / "passed").read_text().splitlines()
        except FileNotFoundError:
            return []
        marked = [line.partition(" ") for line in lines]
        return [name for serial, _, name in marked if serial == str(self.armed)]


@dataclass(frozen=True)
class Found:
    """What an operation left behind, without the names that are made anew each time."""

    phase: str
    version: int
    replicas: tuple[int, int, int]
    answer: Any
    sockets: frozenset[str]
    kept: frozenset[str]
    processes: int


def runtime_files(theatre: Theatre) -> frozenset[str]:
    """Names in the runtime directory; those of living replicas without their ids."""
    living = leaders(theatre.services)
    names = {path.name for path in theatre.services.places.runtime.iterdir()}
    for replica in living:
        names = {name.replace(replica, "*") for name in names}
    return frozenset(names)


def endpoint_folders(theatre: Theatre) -> frozenset[str]:
    """Directories of endpoints under ``logs``, and half-made things anywhere."""
    data = theatre.services.places.data
    made = [
        p for p in data.rglob("*") if p.name.endswith((".new", ".part")) or ".making-" in p.name
    ]
    logs = [p for p in theatre.services.places.logs.iterdir() if p.is_dir()]
    return frozenset([f"logs/{'*' * len(logs)}", *(str(p) for p in made)])


def found(theatre: Theatre, token: str) -> Found:
    endpoint = theatre.client.get(NAME)
    live = endpoint.live["replicas"]
    return Found(
        endpoint.phase,
        endpoint.detail["config"]["config_version"],
        (live["ready"], live["starting"], live["draining"]),
        post(endpoint.url, token, rows(3.0)),
        runtime_files(theatre),
        endpoint_folders(theatre),
        len(runtime_pids(theatre.services)),
    )


@pytest.fixture(scope="module")
def theatre(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    folder = tmp_path_factory.mktemp("crash")
    services = Services(folder / "data")
    services.places.prepare()
    script = str(Path(__file__).with_name("crashing.py"))
    tests = str(Path(__file__).parents[1])
    environ = clean_environment()
    environ.pop(DATA_DIR_VARIABLE, None)
    nursery = subprocess.Popen(
        [sys.executable, script, "jupyter_serving.controller"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tests, env=environ,
    )  # fmt: skip
    # This gateway leaves it to the test to bring controllers back, at once.
    with (services.places.logs / "gateway.log").open("ab") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "jupyter_serving.gateway", "--leave-controller"],
            env=environ | {DATA_DIR_VARIABLE: str(services.places.data)}, stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
    try:
        until(lambda: services.places.link_socket.exists(), what="the gateway")
        made = Theatre(services, zoo, folder, nursery, gateway)
        made.raise_controller()
        # A controller that has died is not waited for: the test looks whether it has.
        services.client._control.patience = 0.0
        yield made
    finally:
        (folder / "armed").unlink(missing_ok=True)
        services.end()
        gateway.wait(30)
        assert nursery.stdin is not None
        nursery.stdin.close()
        nursery.wait(30)


# -- operations: how each is begun, and repeated where nothing came of it ---------------------------------


def create(theatre: Theatre) -> None:
    config = {"served_entities": [theatre.zoo.entity(theatre.zoo.raises_in_predict())]}
    try:
        theatre.client.create(NAME, config)
    except AlreadyExists:
        pass


def update(theatre: Theatre) -> None:
    endpoint = theatre.client.get(NAME)
    config = endpoint.detail.get("pending_config") or endpoint.detail["config"]
    if config["config_version"] == 1:
        theatre.client.update(
            NAME, {"served_entities": [theatre.zoo.entity(theatre.zoo.doubles())]}
        )


def delete(theatre: Theatre) -> None:
    try:
        theatre.client.delete(NAME)
    except NotFound:
        pass


def served(theatre: Theatre, version: int) -> bool:
    """The endpoint is at its end state, with nothing of an earlier one left."""
    endpoint = theatre.client.get(NAME)
    replicas = endpoint.live["replicas"]
    settled = (replicas["ready"], replicas["starting"], replicas["draining"]) == (1, 0, 0)
    own = endpoint.detail.get("config") or {}
    return bool(
        endpoint.phase == "READY"
        and own.get("config_version") == version
        and settled
        and endpoint.url
        and len(leaders(theatre.services)) == 1
        and not orphans(theatre.services)
    )


def gone(theatre: Theatre) -> bool:
    """Nothing of the endpoint is left."""
    try:
        theatre.client.get(NAME)
        return False
    except NotFound:
        folders = any(p.is_dir() for p in theatre.services.places.logs.iterdir())
        return not leaders(theatre.services) and not orphans(theatre.services) and not folders


@dataclass(frozen=True)
class Operation:
    name: str
    begin: Callable[[Theatre], None]
    ended: Callable[[Theatre], bool]


OPERATIONS = (
    Operation("create", create, lambda t: served(t, 1)),
    Operation("update", update, lambda t: served(t, 2)),
    Operation("delete", delete, gone),
)


def whole(theatre: Theatre, operation: Operation) -> None:
    """Do an operation, again where a crash came before it was taken down, and wait for its end."""
    operation.begin(theatre)
    until(lambda: quietly(operation, theatre), what=f"the end of {operation.name}")


def quietly(operation: Operation, theatre: Theatre) -> bool:
    """True at the end; a controller that is just dying or rising is not the end."""
    try:
        return operation.ended(theatre)
    except ServingError as error:
        if isinstance(error, Unavailable):
            return False
        raise


def crash(theatre: Theatre, operation: Operation, target: str) -> None:
    """Begin an operation, have the controller die at ``target``, let another one finish."""
    theatre.arm(target)
    try:
        operation.begin(theatre)
    except (Unavailable, Conflict):
        pass
    until(lambda: theatre.dead() or quietly(operation, theatre), what=f"{operation.name}: {target}")
    if not theatre.dead():
        passed = theatre.disarm()
        aside = any(word in target for word in ASIDE)
        assert aside, f"{operation.name} ended without passing {target!r}: {passed}"
        return
    theatre.disarm()
    theatre.raise_controller()
    whole(theatre, operation)


def events_tell(theatre: Theatre, version: int) -> None:
    """Each step is told once, and of the replica that serves it is known how it came to."""
    events = theatre.client.events(NAME)
    kinds = [e["type"] for e in events]
    assert kinds.count("ENDPOINT_CREATED") == 1
    assert kinds.count("CONFIG_READY") == version
    assert kinds.count("CONFIG_UPDATED") == version - 1
    (replica,) = leaders(theatre.services)
    assert any(replica in e["message"] and e["type"] == "REPLICA_READY" for e in events) or any(
        replica in e["message"] and e["type"] == "REPLICA_ADOPTED" for e in events
    )


@pytest.mark.timeout(900)
def test_a_crash_at_every_checkpoint_ends_as_if_there_had_been_none(theatre: Theatre) -> None:
    plans: dict[str, list[str]] = {}
    reference: dict[str, Found | tuple[frozenset[str], frozenset[str], int]] = {}
    for turn in ("warm", "counted"):
        for operation in OPERATIONS:
            theatre.arm("")
            whole(theatre, operation)
            plans[operation.name] = theatre.disarm()
            reference[operation.name] = state(theatre, operation)
        assert turn == "warm" or all(plans.values())
    for row in itertools.zip_longest(*(plans[o.name] for o in OPERATIONS)):
        for operation, target in zip(OPERATIONS, row, strict=True):
            if target is None:
                whole(theatre, operation)
            else:
                crash(theatre, operation, target)
            until(
                lambda operation=operation: state(theatre, operation) == reference[operation.name],
                20.0,
                f"after {operation.name} with a crash {target!r}: {reference[operation.name]} "
                f"and not {state(theatre, operation)}",
            )
            if operation.name != "delete":
                events_tell(theatre, 1 if operation.name == "create" else 2)
    assert theatre.controller is not None
    theatre.controller.signal(signal.SIGKILL)
    until(theatre.dead, what="the controller's end")
    left = rows_left(theatre.services.places.store)
    theatre.raise_controller()
    assert left == {}


def state(theatre: Theatre, operation: Operation) -> Any:
    if operation.name == "delete":
        return (
            runtime_files(theatre),
            endpoint_folders(theatre),
            len(runtime_pids(theatre.services)),
        )
    return found(theatre, theatre_token(theatre))


def theatre_token(theatre: Theatre) -> str:
    """A query token of the endpoint as it is now."""
    return theatre.client.token(NAME)


def rows_left(store: Path) -> dict[str, int]:
    """Tables of endpoints that hold something."""
    db = sqlite3.connect(store)
    try:
        counts = {
            table.name: db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
            for table in TABLES.values()
            if table.log or table.live
        }
    finally:
        db.close()
    return {name: count for name, count in counts.items() if count}
