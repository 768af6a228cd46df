from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_serving.runtime import connection, front

from .harness import PATIENCE, eventually
from .inline import PathScorer, Replica, rows

ROWS = json.dumps(rows(1)).encode()
POST = b"POST /invocations HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(ROWS), ROWS)


def double(data: np.ndarray) -> np.ndarray:
    return data[:, 0] * 2


class Ticks:
    """A stream of ``size`` bytes a piece that never ends by itself."""

    def __init__(self, size: int = 10) -> None:
        self.size, self.sent, self.closed = size, 0, threading.Event()
        self.most: int | None = None

    def __call__(self) -> Iterator[bytes]:
        try:
            while self.most is None or self.sent < self.most:
                self.sent += 1
                yield b"data: " + b"x" * self.size + b"\n\n"
        finally:
            self.closed.set()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture(params=[front._new_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def replica(short: Path, ticks: Ticks, request: pytest.FixtureRequest) -> Iterator[Replica]:
    made = Replica(short, [PathScorer(double, go=ticks)], loop=request.param)
    eventually(lambda: made.status()["ready"], "it is ready")
    yield made
    made.stop()


def connected(replica: Replica) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(replica.address.removeprefix("unix:"))
    return sock


def ending(sock: socket.socket) -> bytes:
    """What comes until the connection ends."""
    received = b""
    try:
        while block := sock.recv(65536):
            received += block
    except ConnectionError:
        pass
    return received


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits for slow clients that a test can wait for."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.6)
    monkeypatch.setattr(connection, "READ_SECONDS", 0.6)
    monkeypatch.setattr(front, "SWEEP", 0.05)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("begun", "why"),
    [
        (b"POST /invoc", "header did not come"),
        (b"\r", "header did not come"),
        (b"POST /invocations HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", "body did not come"),
        (b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na", "body did"),
    ],
)
def test_a_slow_sender_is_told_and_left(replica: Replica, begun: bytes, why: str):
    with connected(replica) as sock:
        sock.sendall(POST)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        sock.sendall(begun)
        received = ending(sock)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert why.encode() in received
    assert b"connection: close" in received


@pytest.mark.usefixtures("hasty")
def test_a_sender_byte_by_byte_gains_no_time(replica: Replica):
    with connected(replica) as sock:
        head = b"GET /health/live HTTP/1.1\r\nx: " + b"a" * 10_000
        try:
            for byte in head:
                sock.sendall(bytes([byte]))
                threading.Event().wait(0.01)
        except ConnectionError:
            pass
        else:
            pytest.fail("all bytes were taken")


@pytest.mark.usefixtures("hasty")
def test_an_idle_connection_stays(replica: Replica):
    with connected(replica) as sock, connected(replica) as slow:
        slow.sendall(b"GET")
        assert ending(slow)  # the time of a slow one is over
        sock.sendall(POST)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("hasty")
def test_a_client_that_never_reads_is_left_and_holds_nothing(replica: Replica):
    with connected(replica) as sock:
        large = json.dumps(rows(*range(1, 100_000))).encode()
        head = b"POST /invocations HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(large)
        sock.sendall(head + large)
        eventually(lambda: replica.status()["batch"]["sizes"], "it is computed")
        assert replica.status()["busy"] == 0
        assert replica.invoke(rows(1)).status == 200
        received = ending_later(sock)
    assert len(received) < 700_000  # the rest was never sent


def ending_later(sock: socket.socket) -> bytes:
    """What had been sent to a client that begins to read too late."""
    threading.Event().wait(2.0)
    return ending(sock)


def test_pipelined_requests_wait_until_the_client_reads(replica: Replica):
    """One unread answer at a time, however many requests were sent."""
    body = json.dumps(rows(*range(1, 20_000))).encode()
    one = b"POST /invocations HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    with connected(replica) as sock:
        sender = threading.Thread(target=sock.sendall, args=(one * 30,), daemon=True)
        sender.start()
        eventually(lambda: replica.status()["batch"]["sizes"], "one is computed")
        threading.Event().wait(0.3)
        assert sum(replica.status()["batch"]["sizes"].values()) < 15
        received = b""
        while received.count(b"HTTP/1.1 200") < 30:
            received += sock.recv(1 << 20)
        sender.join(PATIENCE)
    assert sum(replica.status()["batch"]["sizes"].values()) == 30


@pytest.mark.parametrize("target", ["/health/live", "/health/ready", "/status"])
def test_head_is_get_without_the_body(replica: Replica, target: str):
    with connected(replica) as sock:
        sock.sendall(b"HEAD %s HTTP/1.1\r\nconnection: close\r\n\r\n" % target.encode())
        received = ending(sock)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"content-length: 0" not in head
    assert body == b""


def test_head_asks_for_no_prediction(replica: Replica):
    assert replica.http().ask("HEAD", "/invocations").status == 405


@pytest.mark.parametrize("wait", ["nan", "inf", "-inf", "soon"])
def test_a_wait_that_is_no_time_is_refused(replica: Replica, wait: str):
    assert replica.http().ask("GET", f"/health/ready?wait={wait}").status == 400


def test_readiness_tells_capacity_batch_and_fast_path(replica: Replica):
    facts = replica.http().ask("GET", "/health/ready").json
    assert facts["capacity"] == 32
    assert facts["batch"] == {"max_size": 32, "reason": "a test", "sizes": {}}
    assert facts["fast_path"]["kind"] == "array"
    assert replica.status()["fast_path"] == facts["fast_path"]


# Streams


def test_a_stream_comes_in_chunks_and_the_connection_goes_on(replica: Replica, ticks: Ticks):
    ticks.most = 3
    with connected(replica) as sock:
        sock.sendall(b"POST /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\ngo" + POST)
        received = b""
        while not received.endswith(b'{"predictions": [2.0]}'):
            received += sock.recv(65536)
    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"content-type: text/event-stream" in head
    assert b"transfer-encoding: chunked" in head
    stream, _, following = rest.partition(b"0\r\n\r\n")
    assert stream == b"12\r\ndata: xxxxxxxxxx\n\n\r\n" * 3
    assert following.startswith(b"HTTP/1.1 200 OK")


def test_a_client_of_http_1_0_gets_the_stream_until_the_end(replica: Replica, ticks: Ticks):
    ticks.most = 2
    with connected(replica) as sock:
        sock.sendall(b"POST /invocations HTTP/1.0\r\ncontent-length: 2\r\n\r\ngo")
        received = ending(sock)
    assert b"transfer-encoding" not in received
    assert received.partition(b"\r\n\r\n")[2] == b"data: xxxxxxxxxx\n\n" * 2


def test_a_client_that_leaves_a_stream_frees_the_slot(replica: Replica, ticks: Ticks):
    with connected(replica) as sock:
        sock.sendall(b"POST /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\ngo")
        assert sock.recv(1000)
        assert replica.status()["busy"] == 1
    assert ticks.closed.wait(PATIENCE)
    assert replica.invoke(rows(1)).status == 200


def test_a_slow_reader_slows_the_stream(replica: Replica, ticks: Ticks):
    ticks.size = 100_000
    with connected(replica) as sock:
        sock.sendall(b"POST /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\ngo")
        before = -1

        def stands() -> bool:
            nonlocal before
            before, was = ticks.sent, before
            threading.Event().wait(0.1)
            return ticks.sent == was and was > 0

        eventually(stands, "the model waits for the client")
        assert ticks.sent * ticks.size < 20_000_000
        stood = ticks.sent
        while ticks.sent < stood + 50:
            assert sock.recv(1 << 20)
    assert ticks.closed.wait(PATIENCE)


def test_a_stream_whose_worker_dies_is_cut(replica: Replica, ticks: Ticks):
    with connected(replica) as sock:
        sock.sendall(b"POST /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\ngo")
        assert sock.recv(1000)
        replica.die(1, 101)
        received = ending(sock)
    assert not received.endswith(b"0\r\n\r\n")


def test_the_deadline_of_a_stream_cuts_it(short: Path):
    endless = Ticks()
    replica = Replica(short, [PathScorer(double, go=endless)], deadline=0.5)
    with connected(replica) as sock:
        sock.sendall(b"POST /invocations HTTP/1.1\r\ncontent-length: 2\r\n\r\ngo")
        received = ending(sock)
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")
    eventually(lambda: replica.killed(101), "its worker is ended")
    replica.die(1, 101)
    replica.stop()
