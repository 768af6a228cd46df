"""Replicas that hold more than their slots, and those that say they cannot any more."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.gateway import notice

from .replicas import SlowReplica, running
from .world import KEY, begin, endpoint, entity, post, scenario, until, world_in


class ReplicaThatBatches(SlowReplica):
    """Takes six requests at a time with two slots."""

    def wire(self, *, draining: bool = False) -> dict[str, Any]:
        return super().wire(draining=draining) | {"capacity": 6}


class ReplicaThatStopsBatching(ReplicaThatBatches):
    """Says with every answer that it takes two at a time from now on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, slots=2)
        self.said = {"capacity": 2, "text": "batching is off: answers differed"}

    async def write(
        self, writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK"
    ) -> None:
        said = json.dumps(self.said)
        head = (
            f"HTTP/1.1 {status}\r\nx-serving-notice: {said}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()


@scenario
async def test_a_replica_is_sent_as_many_as_its_capacity(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replica = ReplicaThatBatches(world.places.runtime, slots=2)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            tasks = [await begin(world) for _ in range(8)]
            await until(lambda: replica.held == 6, "six requests at the replica")
            seen = await controller.heard(
                "stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 2
            )
            figures = seen["entities"][KEY]
            assert (figures["slots"], figures["capacity"]) == (2, 6)
            assert figures["replicas"] == {"r1": 6}
            replica.may_end.set()
            assert {t.status_code for t in await asyncio.gather(*tasks)} == {200}
            assert replica.most_held == 6


@scenario
async def test_a_notice_lowers_the_capacity_at_once_and_reaches_the_controller(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = (
            await world.controller(),
            ReplicaThatStopsBatching(world.places.runtime),
        )
        async with running(replica):
            told = endpoint(entity("m", replica.wire()))
            await controller.sync(told)
            replica.may_end.set()
            answer = await post(world.unix())
            assert "x-serving-notice" not in answer.headers
            heard = await controller.heard("notice")
            assert heard["replica"] == "r1" and heard["key"] == KEY
            assert (heard["capacity"], heard["text"]) == (2, "batching is off: answers differed")
            replica.may_end.clear()
            await controller.put(told)
            tasks = [await begin(world) for _ in range(5)]
            await controller.heard("stats", lambda m: m["entities"].get(KEY, {}).get("queued") == 3)
            assert replica.held == 2
            replica.may_end.set()
            await asyncio.gather(*tasks)
            assert replica.most_held == 2


@scenario
async def test_a_notice_that_cannot_be_read_harms_nobody(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = (
            await world.controller(),
            ReplicaThatStopsBatching(world.places.runtime),
        )
        replica.said = {"capacity": -1}
        replica.may_end.set()
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            assert (await post(world.unix())).status_code == 200
            await until(lambda: "cannot be read" in world.log.read_text(), "the line in the log")
            assert controller.all("notice") == []


@scenario
async def test_the_less_loaded_replica_is_chosen_by_its_capacity(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        large = ReplicaThatBatches(world.places.runtime, "large", slots=2)
        small = SlowReplica(world.places.runtime, "small", slots=2)
        async with running(large, small):
            await controller.sync(endpoint(entity("m", large.wire(), small.wire())))
            tasks = [await begin(world) for _ in range(8)]
            await until(lambda: large.held + small.held == 8, "all requests at the replicas")
            assert (large.held, small.held) == (6, 2)
            for replica in (large, small):
                replica.may_end.set()
            await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"capacity": 3, "text": "x"}', notice.Notice("x", 3)),
        (b'{"text": "x", "new": 1}', notice.Notice("x")),
        (b'{"capacity": 0}', None),
        (b'{"capacity": "3"}', None),
        (b"off", None),
        (b'{"text": "' + b"x" * 5000 + b'"}', None),
    ],
)
def test_a_notice_is_read_strictly(value: bytes, said: notice.Notice | None) -> None:
    assert notice.read(value) == said
