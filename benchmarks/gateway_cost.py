"""What the gateway adds: the same replica asked directly, on its own socket, and through the gateway, in turn."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import accounting
from .accounting import Reading, Use
from .load.generator import Generator
from .load.orders import Order, Result, Target
from .peers.base import PeerFailed
from .peers.ours import GATEWAY, OurPeer
from .report import Bar
from .trial import Started

RATE = 200.0
CONNECTIONS = 8
P95_BOUND_MS = 2.0
CPU_BOUND_US = 80.0
MEMORY_BOUND_MIB = 60.0


@dataclass(frozen=True, slots=True)
class Way:
    """One stretch of load, direct or through the gateway.

    ``p50`` and ``p95`` in ms, ``tree`` and ``gateway`` in µs of CPU per request.
    """

    p50: float
    p95: float
    rate: float
    tree: float
    gateway: float
    faults: int


@dataclass(frozen=True, slots=True)
class Pair:
    """The two ways within one round, under one kind of load (``paced``: 200 requests/s; else closed loop)."""

    paced: bool
    direct: Way
    through: Way


@dataclass(frozen=True)
class Cost:
    """Medians over rounds of what the gateway added, and its memory in MiB (proportional and resident)."""

    pairs: tuple[Pair, ...]
    pss: float
    rss: float

    def added_p95(self) -> float:
        """Milliseconds at 200 requests/s."""
        return statistics.median(p.through.p95 - p.direct.p95 for p in self._of(True))

    def added_p50(self) -> float:
        """Milliseconds at 200 requests/s."""
        return statistics.median(p.through.p50 - p.direct.p50 for p in self._of(True))

    def own_cpu(self, paced: bool) -> float:
        """CPU of the gateway's process in µs per request."""
        return statistics.median(p.through.gateway for p in self._of(paced))

    def added_cpu(self, paced: bool) -> float:
        """CPU of the whole tree through the gateway less that of the direct way, in µs per request."""
        return statistics.median(p.through.tree - p.direct.tree for p in self._of(paced))

    def faults(self) -> int:
        """Wrong or missing answers."""
        return sum(p.direct.faults + p.through.faults for p in self.pairs)

    def _of(self, paced: bool) -> Iterator[Pair]:
        return (p for p in self.pairs if p.paced is paced)

    def bars(self) -> list[Bar]:
        """The issue's bounds."""
        return [
            Bar(f"gateway: added p95 at {RATE:g} requests/s", self.added_p95(), P95_BOUND_MS, "ms"),
            Bar("gateway: CPU of its process per request", self.own_cpu(False), CPU_BOUND_US, "us"),
            Bar("gateway: CPU added in all per request", self.added_cpu(False), CPU_BOUND_US, "us"),
            Bar("gateway: memory (PSS)", self.pss, MEMORY_BOUND_MIB, "MiB"),
        ]


def measure(started: Started, generator: Generator, rounds: int, seconds: float) -> Cost:
    """Ask a replica of our started peer both ways in turn.

    Raises:
        PeerFailed: there is not exactly one replica to compare with.
    """
    peer = started.peer
    assert isinstance(peer, OurPeer)
    through = started.targets[1]
    direct = _direct(peer, through)
    pairs = []
    for number in range(rounds):
        for rate in (RATE, 0.0):
            order = Order(through, CONNECTIONS, seconds, rate=rate)
            orders = [replace(order, target=direct), order]
            ways = [_way(peer, generator, o) for o in (orders if number % 2 == 0 else orders[::-1])]
            one, other = ways if number % 2 == 0 else ways[::-1]
            pairs.append(Pair(rate > 0, one, other))
    pids = _gateways(peer)
    pss = sum(map(accounting.pss, pids)) / accounting.MIB
    return Cost(tuple(pairs), pss, sum(map(accounting.rss, pids)) / accounting.MIB)


def _direct(peer: OurPeer, through: Target) -> Target:
    sockets = peer.replica_sockets()
    if len(sockets) != 1:
        raise PeerFailed(f"it has {len(sockets)} replicas; the gateway's cost is measured with one")
    requests = (_to_replica(r) for r in through.requests)
    return Target(str(sockets[0]), tuple(requests), through.answers)


def _to_replica(request: bytes) -> bytes:
    """The same request as the replica takes it: another path, no token."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [x for x in head.split(b"\r\n")[1:] if not x.lower().startswith(b"authorization:")]
    return b"\r\n".join([b"POST /invocations HTTP/1.1", *lines]) + b"\r\n\r\n" + body


def _way(peer: OurPeer, generator: Generator, order: Order) -> Way:
    own = (os.getpid(), generator.pid)
    before = Reading.now(peer.pids(), own)
    result: Result = generator.run(order)
    use = Use.between(before, Reading.now(peer.pids(), own))
    answered = max(result.answered, 1)
    gateway = sum(use.by_pid.get(pid, 0.0) for pid in _gateways(peer))
    return Way(
        p50=result.percentile(0.50),
        p95=result.percentile(0.95),
        rate=result.rate,
        tree=use.cpu / answered * 1e6,
        gateway=gateway / answered * 1e6,
        faults=result.faults,
    )


def _gateways(peer: OurPeer) -> list[int]:
    return [pid for pid, part in peer.pids().items() if part == GATEWAY]
