"""How long clients are waited for (slow senders, idle ones, those that do not read), and how many there may be."""

import asyncio
import contextlib
import json
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_serving.gateway import http
from jupyter_serving.gateway.connections import Connections
from jupyter_serving.gateway.request import Client, Request

from .replicas import ReplicaWithALargeAnswer, SlowReplica, running
from .wire import Wire, request, served, wire_to
from .world import KEY, TOKEN, World, endpoint, entity, scenario, until, world_in


@scenario
async def test_a_thousand_idle_connections_are_fine(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, wire, _replica), contextlib.AsyncExitStack() as stack:
        for _ in range(1000 if _enough_files() else 200):
            await stack.enter_async_context(wire_to(world))
        await wire.say(request())
        assert (await wire.answer())[0] == 200


def _enough_files() -> bool:

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 2200


class AppThatNeverAnswers:
    """Takes requests and keeps them."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def admit(self, request: Request) -> int:
        return 10

    def serve(self, request: Request, client: Client) -> None:
        self.requests.append(request)


@pytest.mark.parametrize(
    ("part", "data"), [("head", b"POST / HTTP/1.1\r\nhost"), ("body", request(b"12345")[:-1])]
)
@scenario
async def test_a_client_that_is_too_slow_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, data: bytes
) -> None:
    times = {"head": 60.0, "body": 60.0, "linger": 0.05, part: 0.05}
    monkeypatch.setattr(http, "SECONDS", times)
    app, connections = AppThatNeverAnswers(), Connections()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(
        lambda: http.Connection(app, connections, trusted=True), str(tmp_path / "s")
    )
    async with server:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        wire = Wire(reader, writer)
        await wire.say(data)
        status, message = await wire.error()
        assert status == 400 and f"{part} did not arrive" in message
        await until(lambda: not connections.all, "the end of lingering")
        writer.close()
    assert app.requests == []


@scenario
async def test_a_running_request_is_not_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SECONDS", {"head": 0.05, "body": 0.05, "linger": 0.05})
    app, connections = AppThatNeverAnswers(), Connections()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(
        lambda: http.Connection(app, connections, trusted=True), str(tmp_path / "s")
    )
    async with server:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        await Wire(reader, writer).say(request(b"1"))
        await until(lambda: app.requests)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read(1)
        writer.close()


@contextlib.asynccontextmanager
async def gateway_with(tmp_path: Path, **settings: object) -> AsyncIterator[tuple[World, int]]:
    """A gateway with settings and a replica; yields the world and the port."""
    async with world_in(tmp_path / "d") as world:
        await world.start(**settings)
        controller, replica = await world.controller(), SlowReplica(world.places.runtime, slots=9)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            yield world, await world.port()
            replica.may_end.set()


async def dial(port: int) -> Wire:
    return Wire(*await asyncio.open_connection("127.0.0.1", port))


def authorised() -> bytes:
    return request(b"1", f"authorization: Bearer {TOKEN}\r\n")


@scenario
async def test_an_idle_connection_is_closed_after_its_time(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, gateway_idle_seconds=0.3) as (_, port):
        silent, working = await dial(port), await dial(port)
        await working.say(authorised())
        async with asyncio.timeout(10):
            assert await silent.at_end()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await working.reader.read(1)


@scenario
async def test_beyond_the_limit_the_longest_idle_connection_makes_room(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, gateway_max_connections=3) as (_, port):
        oldest, second = await dial(port), await dial(port)
        for wire in (oldest, second, oldest):
            await wire.say(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await wire.answer())[0] == 200
        third, fourth = await dial(port), await dial(port)
        assert await second.at_end()
        for wire in (oldest, third, fourth):
            await wire.say(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await wire.answer())[0] == 200


@scenario
async def test_beyond_the_limit_with_none_idle_a_new_connection_gets_503(tmp_path: Path) -> None:
    async with gateway_with(tmp_path, gateway_max_connections=2) as (world, port):
        busy = [await dial(port) for _ in range(2)]
        for wire in busy:
            # Told to go on, it is known to be reading a request: a connection that is still idle would make room.
            head = request(b"1", f"authorization: Bearer {TOKEN}\r\nexpect: 100-continue\r\n")[:-1]
            await wire.say(head)
            assert b" 100 " in await wire.reader.readuntil(b"\r\n\r\n")
        refused = await dial(port)
        status, headers, body = await refused.answer()
        assert (status, headers["retry-after"]) == (503, "1")
        assert "gateway_max_connections" in json.loads(body)["message"]
        assert await refused.at_end()
        assert (await world.unix().get("/health")).status_code == 200, "Jupyter is not shut out"


@scenario
async def test_a_client_that_reads_nothing_loses_its_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "STALL_SECONDS", 0.1)
    app, connections = AppWithALargeAnswer(), Connections()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(
        lambda: http.Connection(app, connections, trusted=True), str(tmp_path / "s")
    )
    async with server:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"), limit=1000)
        await Wire(reader, writer).say(request(b"1"))
        await until(lambda: app.gone, "the end of the client's connection")
        assert app.slow == [True] and not connections.all
        writer.close()


class AppWithALargeAnswer:
    """Answers more than any buffer holds; the peer of its client."""

    def __init__(self) -> None:
        self.slow: list[bool] = []
        self.gone = False

    def admit(self, request: Request) -> int:
        return 10

    def serve(self, request: Request, client: Client) -> None:
        client.peer = self
        client.send(b"x" * (16 * 2**20), end=False)

    def client_gone(self) -> None:
        self.gone = True

    def client_slow(self, slow: bool) -> None:
        self.slow.append(slow)


@scenario
async def test_a_client_that_does_not_read_until_the_deadline_frees_the_slot(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = ReplicaWithALargeAnswer(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), deadline=0.5))
            async with wire_to(world) as wire:
                await wire.say(request(b"1"))
                await until(lambda: replica.written)
                await until(lambda: controller.total(KEY, "finished") == 1, "the free slot")


@scenario
async def test_http_1_0_stays_where_it_asks_to(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        for _ in range(2):
            asked = request(b"1", "connection: keep-alive\r\n").replace(b"/1.1", b"/1.0")
            await wire.say(asked)
            status, headers, _body = await wire.answer()
            assert (status, headers["connection"]) == (200, "keep-alive")
        assert replica.begun == 2
