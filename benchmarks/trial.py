"""One peer, started and put under load: its first right answer, its cells."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from . import accounting
from .accounting import Reading, Use
from .load.generator import Generator
from .load.orders import Order, Target
from .peers.base import Peer, PeerFailed, request
from .peers.ours import CONTROLLER
from .rounds import Cell
from .subjects import Sample, Subject, plain

START_SECONDS = 180.0
LOOK_SECONDS = 0.02
WARM_REQUESTS = 30


@dataclass(frozen=True)
class Started:
    """A peer that is up and has given every answer right; ``seconds`` from nothing to the first of them."""

    peer: Peer
    subject: Subject
    seconds: float
    targets: dict[int, Target]


def start(peer: Peer, subject: Subject, sizes: Sequence[int]) -> Started:
    """Start it and ask until it answers right; then see that it answers every request right.

    Raises:
        PeerFailed: it does not come up, or an answer is not the model's own.
    """
    begun = time.monotonic()
    peer.start()
    first = subject.samples[min(sizes)][0]
    while (body := ask(peer, subject, first)) is None:
        peer.check()
        if time.monotonic() - begun > START_SECONDS:
            raise PeerFailed(f"no answer after {START_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)
    verify(peer, first, body)
    seconds = time.monotonic() - begun
    return Started(peer, subject, seconds, {n: _target(peer, subject, n) for n in sizes})


def _target(peer: Peer, subject: Subject, rows: int) -> Target:
    requests, answers = [], []
    for sample in subject.samples[rows]:
        body = ask(peer, subject, sample)
        if body is None:
            raise PeerFailed(f"no answer to a request of {rows} rows")
        verify(peer, sample, body)
        requests.append(request(peer, peer.encode(subject.columns, sample.rows)))
        answers.append(body)
    return Target(peer.address, tuple(requests), tuple(answers))


def verify(peer: Peer, sample: Sample, body: bytes) -> None:
    """See that an answer is the model's own.

    Raises:
        PeerFailed: it is not.
    """
    told = plain(peer.decode(body))
    if told != sample.expected:
        raise PeerFailed(f"it answers {told!r:.300} where the model says {sample.expected!r:.300}")


def ask(peer: Peer, subject: Subject, sample: Sample) -> bytes | None:
    """Body of a 200; None while nobody listens or it is not ready.

    Raises:
        PeerFailed: another status than those of a server that starts.
    """
    if not peer.address:
        return None
    link = http.client.HTTPConnection(peer.address, timeout=60)
    headers = {"Content-Type": "application/json", **peer.headers}
    try:
        link.request("POST", peer.path, peer.encode(subject.columns, sample.rows), headers)
        answer = link.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()
    if answer.status == 200:
        return body
    if answer.status in (404, 502, 503):
        return None
    raise PeerFailed(f"status {answer.status}: {body[:500]!r}")


@dataclass(frozen=True)
class Footprint:
    """Proportional bytes of a tree by part."""

    parts: dict[str, int]

    @property
    def serving(self) -> int:
        """All but our controller, which serves nothing (the other peers have no such part)."""
        return sum(size for part, size in self.parts.items() if part != CONTROLLER)


def footprint(peer: Peer) -> Footprint:
    """Memory of a peer now."""
    parts: dict[str, int] = {}
    for pid, part in peer.pids().items():
        parts[part] = parts.get(part, 0) + accounting.pss(pid)
    return Footprint(parts)


def cell(
    started: Started,
    generator: Generator,
    rows: int,
    connections: int,
    number: int,
    seconds: float,
    idle: Collection[int] = (),
) -> tuple[Cell, str]:
    """One cell, and what was wrong in it ("" for nothing).

    ``idle``: processes of the peers that wait for their turn; what they use is no disturbance: every cell has it.
    """
    peer, own = started.peer, (os.getpid(), generator.pid, *idle)
    before = Reading.now(peer.pids(), own)
    result = generator.run(Order(started.targets[rows], connections, seconds))
    after = Reading.now(peer.pids(), own)
    use = Use.between(before, after)
    answered = max(result.answered, 1)
    told = Cell(
        model=started.subject.name,
        rows=rows,
        connections=connections,
        round=number,
        peer=peer.name,
        rate=result.rate,
        p50=result.percentile(0.50),
        p99=result.percentile(0.99),
        cpu=use.cpu / answered * 1000,
        memory=footprint(peer).serving,
        foreign=use.foreign_cores,
        faults=result.faults,
        own_us=result.own_cpu / answered * 1e6,
    )
    return told, result.sample
