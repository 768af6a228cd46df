"""G17 (Triton L0_http_fuzz): malformed requests at the gateway and at a replica.

Never a 5xx for a client's fault, nobody dies, nothing is held afterwards: no slot, no connection, no memory.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from fuzz import bodies, framing, v2_bodies
from fuzz.attack import Report, attack
from fuzz.cases import Maker, Target, series
from services import until

from .clients import post
from .stage import Played, Stage

SEED = 20261122
COUNT = 4000
"""Cases of each of the six series; ten times as many with ``--full``."""
FIRST = 400
FILES, MEMORY = 24, 48 * 2**20
"""What a process may hold more afterwards: idle connections; bytes of its own (buffers and caches)."""
ROWS = {"dataframe_records": [{"x": 21.0}]}
GOOD = json.dumps(ROWS).encode()
GATEWAY_LIMITS = {"head_bytes": 32 * 1024, "head_count": 100}


@pytest.fixture(scope="module")
def seed(request: pytest.FixtureRequest) -> int:
    """Of this run: the option's, else the same one always, else (``--full``) a new one."""
    given = request.config.getoption("seed")
    if given is not None:
        return int(given)
    return random.SystemRandom().randrange(10**9) if request.config.getoption("full") else SEED


@pytest.fixture(scope="module")
def attacked(stage: Stage) -> Iterator[Played]:
    with stage.endpoint(stage.zoo.doubles_rows(), workload_size="Small", **_NO_RANGE) as played:
        # Every worker sees each kind once before memory is compared: what it imports for it stays.
        for makers, path in ((bodies.MAKERS, "/invocations"), (v2_bodies.MAKERS, "/v2/infer")):
            run(*at_replica(played, path), SEED, makers, FIRST)
        yield played


_NO_RANGE = {"min_provisioned_concurrency": None, "max_provisioned_concurrency": None}


def replica_socket(played: Played) -> Path:
    (replica,) = played.stage.leaders()
    return played.stage.services.places.replica_socket(replica)


class Watch:
    """The processes behind the endpoint, before and after."""

    def __init__(self, played: Played) -> None:
        self._played = played
        (self._replica,) = played.stage.leaders()
        self._before = self._look()

    def _look(self) -> dict[int, psutil.Process]:
        census = self._played.stage.services.census()
        return {pid: psutil.Process(pid) for pid in census}

    def __enter__(self) -> Watch:
        # Buffers and caches grow with the first requests, whoever sends them.
        for _ in range(50):
            assert self._ask() == 200
        self._files = {pid: p.num_fds() for pid, p in self._before.items()}
        self._memory = {pid: p.memory_full_info().uss for pid, p in self._before.items()}
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        assert self._ask() == 200, "a good request is answered as before"
        self._played.quiet()
        until(self._is_idle, what="an idle replica")
        assert self._look().keys() == self._before.keys(), "nobody died, nobody was added"
        for pid, process in self._before.items():
            until(lambda p=process: p.num_fds() <= self._files[p.pid] + FILES, what="files closed")
            more = process.memory_full_info().uss - self._memory[pid]
            assert more < MEMORY, f"{process.cmdline()} grew by {more} bytes"
        for service in ("gateway", "controller"):
            self._played.stage.log_is_clean(service)
        assert "unhandled" not in self._played.stage.client.logs(self._played.name)

    def _ask(self) -> int:
        return post(self._played.url, self._played.authorization, ROWS).status

    def _is_idle(self) -> bool:
        told = self._played.stage.status(self._replica)
        states = [worker["state"] for worker in told["workers"]]
        return told["busy"] == told["queued"] == 0 and told["ready"] and set(states) == {"idle"}


def run(address: str, target: Target, seed: int, makers: tuple[Maker, ...], count: int) -> Report:
    report = asyncio.run(attack(address, series(seed, count, target, makers), seed))
    print(f"seed {seed}: {report.cases} cases, {dict(report.statuses)}")
    shown = "\n".join(report.failures[:10])
    assert not report.failures, f"{len(report.failures)} of {report.cases} went wrong:\n{shown}"
    assert report.cases == count
    return report


@pytest.fixture
def count(full: bool) -> int:
    return COUNT * (10 if full else 1)


def at_gateway(played: Played, path: str = "", body: bytes = GOOD) -> tuple[str, Target]:
    """The gateway's address, and how to ask it; ``path`` of the V2 protocol, else MLflow's."""
    url = urlsplit(played.url)
    mine = url.path.removesuffix("/invocations")
    others = (
        *("/health", "/serving-endpoints", "/serving-endpoints/x/invocations", "/metrics", "/v2"),
        *("/v2/models", "/v2/models/x", "/v2/health/ready", f"{mine}/v2", f"{mine}/captures"),
        *(f"{mine}/v2/models/{played.name}/ready", f"{mine}/v2/models//infer", f"{mine}/v2/x"),
        *(f"/v2/models/{played.name}/versions/99/infer", f"{mine}/served-models/x/invocations"),
    )
    return f"tcp:{url.hostname}:{url.port}", Target(
        mine + (path or "/invocations"),
        body,
        (f"authorization: {played.authorization}",),
        **GATEWAY_LIMITS,
        others=others,
    )


def at_replica(
    played: Played, path: str = "/invocations", body: bytes = GOOD
) -> tuple[str, Target]:
    """The replica's address, and how to ask it."""
    others = ("/health/live", "/health/ready", "/status", "/v2", "/health/ready?wait=x")
    return f"unix:{replica_socket(played)}", Target(path, body, others=others)


def test_malformed_http_at_the_gateway(attacked: Played, seed: int, count: int) -> None:
    with Watch(attacked):
        run(*at_gateway(attacked), seed, framing.MAKERS, count)


def test_malformed_http_at_a_replica(attacked: Played, seed: int, count: int) -> None:
    with Watch(attacked):
        run(*at_replica(attacked), seed + 1, framing.MAKERS, count)


def test_malformed_bodies_through_the_gateway(attacked: Played, seed: int, count: int) -> None:
    with Watch(attacked):
        run(*at_gateway(attacked), seed + 2, bodies.MAKERS, count)


def test_malformed_bodies_at_a_replica(attacked: Played, seed: int, count: int) -> None:
    with Watch(attacked):
        run(*at_replica(attacked), seed + 3, bodies.MAKERS, count)


def test_malformed_v2_through_the_gateway(attacked: Played, seed: int, count: int) -> None:
    with Watch(attacked):
        path = f"/v2/models/{attacked.name}/infer"
        run(*at_gateway(attacked, path, v2_bodies.GOOD), seed + 4, v2_bodies.MAKERS, count)


def test_malformed_v2_at_a_replica(attacked: Played, seed: int, count: int) -> None:
    with Watch(attacked):
        target = at_replica(attacked, "/v2/infer", v2_bodies.GOOD)
        run(*target, seed + 5, v2_bodies.MAKERS, count)
