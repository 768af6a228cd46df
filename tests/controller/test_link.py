"""The proof that nothing can reach a replica any more: only news that follows our last word counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jupyter_serving.controller.link import GatewayLink
from jupyter_serving.places import Places
from jupyter_serving.version import version


def entry(*replicas: str, draining: tuple[str, ...] = ()) -> dict[str, Any]:
    entities = [{"name": "m", "replicas": [{"id": r} for r in replicas]}]
    return {"name": "iris", "entities": entities, "draining": list(draining)}


class SlowGateway:
    """Reads what it is told, and applies it only when the test says so."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        # Of our version: the link would start a real successor for another one.
        self.say({"type": "hello", "pid": 1, "port": 1, "host": "x", "version": version()})
        while line := await reader.readline():
            self.heard.put_nowait(json.loads(line))

    def say(self, message: dict[str, Any]) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await self.heard.get()


class Listening:
    """A link whose messages the test waits for."""

    def __init__(self, places: Places, table: list[dict[str, Any]]) -> None:
        self._came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.link = GatewayLink(places, lambda: table, list, self._came.put_nowait)

    async def until(self, kind: str) -> None:
        async with asyncio.timeout(20):
            while (await self._came.get())["type"] != kind:
                pass


def play(path: Path, scene: Callable[[Listening, SlowGateway], Awaitable[None]]) -> None:
    async def run() -> None:
        places = Places.of(path / "d")
        places.prepare()
        gateway = SlowGateway(places)
        server = await asyncio.start_unix_server(gateway.serve, str(places.link_socket))
        side = Listening(places, [entry("r1")])
        task = asyncio.create_task(side.link.run())
        try:
            await scene(side, gateway)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.close()

    asyncio.run(run())


def test_a_replica_is_proven_empty_by_news_that_follows_our_last_word_only(tmp_path: Path) -> None:
    async def scene(side: Listening, gateway: SlowGateway) -> None:
        link, sync = side.link, await gateway.next()
        gateway.say({"type": "applied", "revision": sync["revision"]})
        await side.until("applied")
        assert not link.proves("iris", "r1"), "it is routed"
        link.publish(entry(draining=("r1",)), "iris")
        assert not link.proves("iris", "r1"), "the gateway has not heard of it"
        gone = await gateway.next()
        # taken back, and drained again, before the gateway has said a word
        link.publish(entry("r1"), "iris")
        back = await gateway.next()
        gateway.say({"type": "applied", "revision": gone["revision"]})
        gateway.say({"type": "drained", "replica": "r1"})
        await side.until("drained")
        assert not link.proves("iris", "r1"), "it is routed again"
        link.publish(entry(draining=("r1",)), "iris")
        again = await gateway.next()
        gateway.say({"type": "applied", "revision": back["revision"]})
        await side.until("applied")
        assert not link.proves("iris", "r1"), "what it said was of the drain before"
        gateway.say({"type": "applied", "revision": again["revision"]})
        gateway.say({"type": "drained", "replica": "r1"})
        await side.until("drained")
        assert link.proves("iris", "r1")

    play(tmp_path, scene)


def test_a_gateway_that_came_back_has_to_hear_the_whole_table_first(tmp_path: Path) -> None:
    async def scene(side: Listening, gateway: SlowGateway) -> None:
        sync = await gateway.next()
        assert not side.link.proves("iris", "r9"), "it may remember anything"
        gateway.say({"type": "applied", "revision": sync["revision"]})
        await side.until("applied")
        assert side.link.proves("iris", "r9")
        assert side.link.proves("deleted", "r9"), "no entry names what is deleted"
        assert not side.link.proves("iris", "r1")

    play(tmp_path, scene)


def test_the_revision_of_what_is_no_news_is_the_one_that_told_it(tmp_path: Path) -> None:
    async def scene(side: Listening, gateway: SlowGateway) -> None:
        sync = await gateway.next()
        assert side.link.publish(entry("r1"), "iris") == sync["revision"]
        told = side.link.publish(entry("r1", "r2"), "iris")
        assert told == (await gateway.next())["revision"] > sync["revision"]
        assert side.link.publish(entry("r1", "r2"), "iris") == told

    play(tmp_path, scene)
