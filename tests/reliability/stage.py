"""What a gate plays on: endpoints with the puppet model behind real services, its journal, and the durations."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client

from .replicas import leaders, orphans, runtime_pids, session


@dataclass(frozen=True)
class Pace:
    """Durations in seconds of the gates: (in CI, with ``--full``)."""

    full: bool
    queue_limit = 20
    _long_request = (5.0, 35.0)  # G4
    _kills = (5, 40)  # G5, G6: how often
    _between = (9.0, 20.0)  # G6: from one kill to the next
    _churn = (10.0, 300.0)  # G9
    _overload = (6.0, 120.0)  # G10
    _deadline = (4.0, 297.0)  # G11, and of every request to the ``strict`` services
    _probes = (100.0, 200.0)  # G1: requests per second
    _prober_long = (3.0, 30.0)  # G1: the long request that is always in flight
    _ramp = (14.0, 120.0)  # G2
    _looks = (4.0, 60.0)  # G7: the stable window, in which a new controller does not shrink
    _patience = (15.0, 60.0)  # G8: deadline of a start
    _rollouts = (3, 10)  # G14: tries
    _soak = (20.0, 1200.0)  # G18

    def _of(self, pair: tuple[Any, Any]) -> Any:
        return pair[self.full]

    @property
    def long_request(self) -> float:
        """How long a request is in flight while its replica is drained."""
        return float(self._of(self._long_request))

    @property
    def kills(self) -> int:
        """How many processes are killed, one after the other."""
        return int(self._of(self._kills))

    @property
    def between(self) -> float:
        """How long the gateway lives between two kills."""
        return float(self._of(self._between))

    @property
    def churn(self) -> float:
        """How long replicas come and go."""
        return float(self._of(self._churn))

    @property
    def overload(self) -> float:
        """How long ten times too many requests come."""
        return float(self._of(self._overload))

    @property
    def deadline(self) -> float:
        """One request may take so long."""
        return float(self._of(self._deadline))

    @property
    def probes(self) -> float:
        """Requests per second of the continuous prober."""
        return float(self._of(self._probes))

    @property
    def prober_long(self) -> float:
        """Seconds of the long request that is always in flight beside the prober."""
        return float(self._of(self._prober_long))

    @property
    def ramp(self) -> float:
        """Seconds from no load to the peak and back."""
        return float(self._of(self._ramp))

    @property
    def looks(self) -> float:
        """Seconds for which a controller that has restarted is watched."""
        return float(self._of(self._looks))

    @property
    def patience(self) -> float:
        """A start may take so long on the ``brisk`` services."""
        return float(self._of(self._patience))

    @property
    def rollouts(self) -> int:
        """Rollouts of which the best counts."""
        return int(self._of(self._rollouts))

    @property
    def soak(self) -> float:
        """How long versions are loaded and unloaded."""
        return float(self._of(self._soak))


def act(what: str, x: float = 0.0, folder: Path | str = "") -> dict[str, Any]:
    """A request that tells the puppet what to do."""
    return {"dataframe_records": [{"act": what, "x": x, "folder": str(folder)}]}


@dataclass
class Folder:
    """Where the puppets of one endpoint write, and what makes those that hold go on."""

    path: Path

    def lines(self) -> list[dict[str, Any]]:
        """What the puppets wrote, in the order of its time."""
        file = self.path / "journal"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def begun(self) -> list[float]:
        """The x of each prediction that began."""
        return [line["x"] for line in self.lines() if line["what"] == "begin"]

    def most_at_once(self, of: str = "replica") -> dict[int, int]:
        """Most predictions at the same time, by replica (or by ``pid``)."""
        now: Counter[int] = Counter()
        most: Counter[int] = Counter()
        for line in self.lines():
            now[line[of]] += 1 if line["what"] == "begin" else -1
            most[line[of]] = max(most[line[of]], now[line[of]])
        return dict(most)

    def release(self) -> None:
        """Let those that hold go on."""
        (self.path / "open").touch()


@dataclass
class Played:
    """An endpoint on the stage."""

    stage: Stage
    name: str
    url: str
    token: str
    folder: Folder

    @property
    def authorization(self) -> str:
        """Value of the header."""
        return f"Bearer {self.token}"

    @property
    def live(self) -> dict[str, Any]:
        """Its live figures."""
        return self.stage.client.get(self.name).live

    def update(self, *entities: dict[str, Any], **config: Any) -> None:
        """Give it a new config and wait until that has the traffic."""
        self.stage.client.update(self.name, {"served_entities": list(entities), **config})
        self.stage.client.wait(self.name)

    def quiet(self) -> None:
        """Wait until it holds no request."""
        until(
            lambda: self.live["in_flight"] == 0 and self.live["queued"] == 0, what="no request held"
        )

    def act(self, what: str, x: float = 0.0) -> dict[str, Any]:
        """A request that is written down in this endpoint's folder."""
        return act(what, x, self.folder.path)


@dataclass
class Stage:
    """Services, and endpoints on them."""

    services: Services
    zoo: Zoo
    folder: Path
    _count: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))
    _there: set[str] = field(default_factory=set)

    @property
    def client(self) -> Client:
        """The control plane."""
        return self.services.client

    def entity(self, uri: str, **fields: Any) -> dict[str, Any]:
        """A served entity on this stage's backend."""
        return self.zoo.entity(uri, **fields)

    @contextlib.contextmanager
    def endpoint(self, uri: str, wait: bool = True, **fields: Any) -> Iterator[Played]:
        """An endpoint with one served entity that is there for the block; ``fields`` are the entity's."""
        name = f"gate-{next(self._count)}"
        folder = Folder(self.folder / name)
        folder.path.mkdir()
        self.client.create(name, {"served_entities": [self.entity(uri, **fields)]})
        self._there.add(name)
        try:
            if wait:
                self.client.wait(name)
            url = until(lambda: self.client.get(name).url, what="the gateway's address")
            yield Played(self, name, url, self.client.token(name), folder)
        finally:
            folder.release()
            if any(e.name == name for e in self.client.list()):
                self.client.delete(name)
            self._there.remove(name)
            until(lambda: self._there or not self.leaders(), what="the end of its replicas")

    def leaders(self) -> dict[str, int]:
        """Leading process of every replica, by replica id."""
        return leaders(self.services)

    def orphans(self) -> set[int]:
        """Processes of replicas that are gone."""
        return orphans(self.services)

    def workers(self) -> set[int]:
        """Processes that compute predictions, as the replicas tell them."""
        told = (self.status(replica) for replica in self.leaders())
        return {w["pid"] for status in told for w in status.get("workers", ())}

    def status(self, replica: str) -> dict[str, Any]:
        """What a replica says of itself; empty where it does not answer."""
        connection = http.client.HTTPConnection("replica", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(self.services.places.replica_socket(replica)))
            connection.request("GET", "/status")
            return dict(json.loads(connection.getresponse().read()))
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def family(self) -> dict[int, int]:
        """Every process of a replica, with the leader of its replica."""
        own = set(self.leaders().values())
        sessions = {pid: session(pid) for pid in runtime_pids(self.services)}
        return {pid: leader for pid, leader in sessions.items() if leader in own}

    def log_is_clean(self, service: str) -> None:
        """Fail where a service wrote a traceback."""
        text = (self.services.places.logs / f"{service}.log").read_text()
        assert "Traceback" not in text, text[-4000:]
