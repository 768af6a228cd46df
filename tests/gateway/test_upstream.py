"""What a lost connection says about its request."""

import asyncio
import socket
from pathlib import Path

import pytest

from jupyter_serving.gateway.upstream import AnswerHead, Loss, Pool, ReplicaConnection

from .replicas import (
    HealthyReplica,
    ReplicaThatClosesIdleConnections,
    ReplicaThatDiesAfterItBegan,
    ReplicaThatDiesBeforeItBegins,
    SlowReplica,
    running,
)
from .world import scenario, until

HEAD = b"POST /invocations HTTP/1.1\r\ncontent-length: 1\r\n\r\n"


class ReplicaThatDiesAtItsSecondRequest(HealthyReplica):
    """Reads its second request, then its process is gone."""

    async def predict(self) -> None:
        if self.begun == 2:
            raise ConnectionResetError


class Recorder:
    """A caller that writes down what it is told."""

    def __init__(self, wanted: bool = True) -> None:
        self.wanted = wanted
        self.told: list[object] = []
        self.body = b""
        self.connection: ReplicaConnection | None = None

    def still_wanted(self) -> bool:
        return self.wanted

    def on_unwanted(self) -> None:
        self.told.append("unwanted")

    def on_sent(self, connection: ReplicaConnection) -> None:
        self.connection = connection

    def on_answer(self, head: AnswerHead | None, body: bytes, end: bool) -> None:
        self.body += body
        if end:
            self.told.append("end")

    def on_lost(self, loss: Loss, reason: str) -> None:
        self.told.append(loss)


async def outcome(pool: Pool, caller: Recorder | None = None) -> object:
    caller = caller or Recorder()
    pool.request(caller, HEAD, b"1")
    await until(lambda: caller.told, "an outcome")
    assert len(caller.told) == 1
    return caller.told[0]


def pool_of(replica: HealthyReplica) -> Pool:
    return Pool(f"unix:{replica.path}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@scenario
async def test_a_refused_connection_never_began(folder: Path) -> None:
    for address in (f"unix:{folder}/none", "tcp:127.0.0.1:1", "carrier-pigeon:x"):
        assert await outcome(Pool(address)) is Loss.NEVER_BEGAN


@scenario
async def test_an_unread_request_never_began(folder: Path) -> None:
    replica = ReplicaThatDiesBeforeItBegins(folder)
    async with running(replica):
        assert await outcome(pool_of(replica)) is Loss.NEVER_BEGAN


@scenario
async def test_a_request_lost_on_a_fresh_connection_after_it_was_read_began(folder: Path) -> None:
    replica = ReplicaThatDiesAfterItBegan(folder)
    async with running(replica):
        assert await outcome(pool_of(replica)) is Loss.BEGAN


@scenario
async def test_a_kept_tcp_connection_that_ends_at_once_perhaps_never_began(folder: Path) -> None:
    replica = ReplicaThatDiesAtItsSecondRequest(folder)
    server = await asyncio.start_server(replica._serve, "127.0.0.1", 0, family=socket.AF_INET)
    pool = Pool(f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert await outcome(pool) == "end"
    assert await outcome(pool) is Loss.PERHAPS
    assert replica.connections == 1
    server.close()


@scenario
async def test_a_kept_unix_connection_whose_request_was_read_began(folder: Path) -> None:
    replica = ReplicaThatDiesAtItsSecondRequest(folder)
    async with running(replica):
        pool = pool_of(replica)
        assert await outcome(pool) == "end"
        assert await outcome(pool) is Loss.BEGAN
        assert replica.connections == 1


@scenario
async def test_a_kept_unix_connection_whose_request_nobody_read_never_began(folder: Path) -> None:
    replica = ReplicaThatClosesIdleConnections(folder)
    async with running(replica):
        pool = pool_of(replica)
        assert await outcome(pool) == "end"
        assert await outcome(pool) is Loss.NEVER_BEGAN
        assert (replica.begun, replica.connections) == (1, 1)


@scenario
async def test_a_kept_connection_that_ends_later_began(folder: Path) -> None:
    replica, now = SlowReplica(folder), [0.0]
    async with running(replica):
        replica.may_end.set()
        pool = Pool(f"unix:{replica.path}", clock=lambda: now[0])
        assert await outcome(pool) == "end"
        replica.may_end.clear()
        caller = Recorder()
        pool.request(caller, HEAD, b"1")
        await until(lambda: replica.held)
        now[0] = 5.0
        await replica.stop()
        await until(lambda: caller.told)
        assert caller.told == [Loss.BEGAN]


@scenario
async def test_a_request_nobody_wants_any_more_is_not_sent(folder: Path) -> None:
    replica = HealthyReplica(folder)
    async with running(replica):
        pool = pool_of(replica)
        assert await outcome(pool, Recorder(wanted=False)) == "unwanted"
        assert await outcome(pool) == "end"
        assert (replica.begun, replica.connections) == (1, 1)
        pool.retire()


@scenario
async def test_an_answer_without_a_length_ends_with_its_connection(folder: Path) -> None:
    class ReplicaThatClosesToEnd(HealthyReplica):
        async def answer(self, writer: asyncio.StreamWriter, head: object, body: bytes) -> None:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\na: b\r\n\r\nall of it")
            await writer.drain()
            writer.close()

    replica = ReplicaThatClosesToEnd(folder)
    async with running(replica):
        caller = Recorder()
        assert await outcome(pool_of(replica), caller) == "end"
        assert caller.body == b"all of it"


@scenario
async def test_a_replica_that_says_close_gets_a_new_connection(folder: Path) -> None:
    class ReplicaThatSaysClose(HealthyReplica):
        async def answer(self, writer: asyncio.StreamWriter, head: object, body: bytes) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()

    replica = ReplicaThatSaysClose(folder)
    async with running(replica):
        pool = pool_of(replica)
        assert [await outcome(pool) for _ in range(3)] == ["end"] * 3
        assert replica.connections == 3


@scenario
async def test_tcp_addresses_work_too(folder: Path) -> None:
    replica = HealthyReplica(folder)
    server = await asyncio.start_server(replica._serve, "127.0.0.1", 0, family=socket.AF_INET)
    pool = Pool(f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert await outcome(pool) == "end"
    pool.retire()
    await until(lambda: replica.open_connections == 0)
    server.close()
