"""The generator against a real server that answers right, wrong, slowly or not at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load import loops
from benchmarks.load.generator import Generator
from benchmarks.load.orders import Order, Result, Target, percentile

REQUESTS = tuple(b"POST /%d HTTP/1.1\r\ncontent-length: 0\r\n\r\n" % n for n in range(4))
ANSWERS = tuple(b'{"predictions": [%d]}' % n for n in range(4))


class Echo(asyncio.Protocol):
    """Answers the number in the path; request number ``wrong`` gets another's answer, ``dies`` none at all."""

    seen = 0
    wrong = dies = -1
    pieces = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        kind = type(self)
        kind.seen += 1
        if kind.seen == kind.dies:
            self.transport.abort()
            return
        number = int(data.split(b" ")[1][1:]) + (kind.seen == kind.wrong)
        body = b'{"predictions": [%d]}' % number
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        size = -(-len(answer) // kind.pieces)
        for n in range(0, len(answer), size):
            asyncio.get_running_loop().call_later(
                0.001 * (n // size), self.transport.write, answer[n : n + size]
            )


@contextmanager
def served(kind: type[Echo], address: str = "") -> Iterator[str]:
    """The server in a thread; its address."""
    loop = asyncio.new_event_loop()
    if address:
        server = loop.run_until_complete(loop.create_unix_server(kind, address))
    else:
        server = loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0))
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def order(address: str, **fields: float) -> Order:
    return Order(Target(address, REQUESTS, ANSWERS), 3, seconds=0.2, warm=0.05, **fields)


@pytest.mark.parametrize("rate", [0.0, 100.0], ids=["closed", "open"])
@pytest.mark.parametrize("pieces", [1, 3], ids=["at once", "in pieces"])
def test_right_answers_are_counted(rate: float, pieces: int) -> None:
    kind = type("Right", (Echo,), {"pieces": pieces})
    with served(kind) as address:
        result = loops.run(order(address, rate=rate))
    assert (result.wrong, result.broken, result.sample) == (0, 0, "")
    assert result.answered == kind.seen
    assert 0 < len(result.latencies) <= result.answered
    assert result.rate > 0


def test_an_open_loop_sends_what_is_due() -> None:
    kind = type("Right", (Echo,), {})
    with served(kind) as address:
        result = loops.run(order(address, rate=100.0))
    assert kind.seen == result.answered == 25
    assert 20 <= len(result.latencies) < 25  # those of the warm-up that came late count


def test_a_unix_socket_is_a_target_too(tmp_path: Path) -> None:
    kind = type("Right", (Echo,), {})
    with served(kind, str(tmp_path / "s")) as address:
        result = loops.run(order(address))
    assert result.faults == 0
    assert result.answered == kind.seen > 0


@pytest.mark.parametrize("rate", [0.0, 100.0], ids=["closed", "open"])
def test_the_answer_of_another_request_is_wrong(rate: float) -> None:
    kind = type("Mixed", (Echo,), {"wrong": 7})
    with served(kind) as address:
        result = loops.run(order(address, rate=rate))
    assert (result.wrong, result.broken) == (1, 0)
    assert "predictions" in result.sample


@pytest.mark.parametrize("rate", [0.0, 100.0], ids=["closed", "open"])
def test_a_lost_connection_is_counted_and_replaced(rate: float) -> None:
    kind = type("Dies", (Echo,), {"dies": 7})
    with served(kind) as address:
        result = loops.run(order(address, rate=rate))
    assert (result.wrong, result.broken) == (0, 1)
    assert result.answered == kind.seen - 1 > 7


def test_the_generator_is_a_process_that_takes_orders() -> None:
    kind = type("Right", (Echo,), {})
    with served(kind) as address, Generator() as generator:
        first, second = generator.run(order(address)), generator.run(order(address))
    assert first.faults == second.faults == 0
    assert first.answered + second.answered == kind.seen
    assert first.own_cpu > 0


def test_a_generator_that_ends_is_told() -> None:
    with Generator() as generator, pytest.raises(RuntimeError, match="ended with status 1"):
        generator.run(order("127.0.0.1:no-port"))


def test_orders_and_results_survive_the_pipe() -> None:
    given = order("/a/socket", rate=3.5)
    assert Order.from_line(given.to_line()) == given
    told = Result([0.5], 1.0, 3, 1, 1, "x", 0.25)
    assert Result.from_line(told.to_line()) == told


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_the_smallest_value_with_that_share_below(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert sum(v < found for v in values) < share * len(values)
