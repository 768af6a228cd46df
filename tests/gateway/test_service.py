"""The process as a whole: its start, its end, its link, its memory."""

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import sys
from pathlib import Path

import httpx
import pytest

from jupyter_serving.gateway.service import EXIT_PORT

from .replicas import HealthyReplica, ReplicaThatStreams, SlowReplica, running
from .world import KEY, TOKEN, World, endpoint, entity, post, scenario, until, world_in


def taken(port: int = 0) -> socket.socket:
    """A foreign program on a port."""
    foreign = socket.socket()
    foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    foreign.bind(("127.0.0.1", port))
    foreign.listen()
    return foreign


async def remembered(world: World, name: str) -> None:
    """Wait until the routes on disk hold an endpoint."""
    await until(
        lambda: any(e["name"] == name for e in world.saved().get("endpoints", [])), "saved routes"
    )


@scenario
async def test_killed_and_restarted_it_serves_on_the_same_port_without_a_controller(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            await remembered(world, "iris")
            before = await world.port()
            world.kill(signal.SIGKILL)
            await world.ended()
            assert world.places.gateway_socket.exists(), "a killed process leaves its sockets"
            await world.start()
            assert await world.port() == before
            assert (await post(await world.tcp())).status_code == 200
            assert (await post(world.unix())).status_code == 200
            again = await world.controller()
            hello = await again.heard("hello")
            assert (hello["port"], hello["revision"]) == (before, 101)


@scenario
async def test_what_happened_without_a_controller_is_told_to_the_next_one(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        first, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await first.sync(endpoint(entity("m", replica.wire())), endpoint(name="x"))
            running_one = asyncio.create_task(post(world.unix()))
            await until(lambda: replica.held == 1)
            await first.put(endpoint(entity("m")))
            await first.close()
            replica.may_end.set()
            assert (await running_one).status_code == 200
            held = asyncio.create_task(post(world.unix()))
            second = await world.controller()
            await second.sync(endpoint(entity("m"), draining=["r1"]))
            assert (await second.heard("drained"))["replica"] == "r1"
            assert (await second.heard("wake"))["held"] == 1
            totals = [c.total(KEY, "finished") for c in (first, second)]
            await until(
                lambda: first.total(KEY, "finished") + second.total(KEY, "finished") == 1,
                f"the finished request in the stats ({totals})",
            )
            await second.put(endpoint(entity("m", replica.wire())))
            assert (await held).status_code == 200


@scenario
async def test_a_newer_controller_replaces_the_older(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        older, newer = await world.controller(), await world.controller()
        await older.ended()
        await newer.sync(endpoint(entity("m")))
        held = asyncio.create_task(post(world.unix()))
        assert (await newer.heard("wake"))["key"] == KEY
        await newer.forget("iris")
        assert (await held).status_code == 404


@scenario
async def test_drained_is_told_at_once_for_idle_and_later_for_busy_replicas(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        busy, idle = (SlowReplica(world.places.runtime, name) for name in ("busy", "idle"))
        async with running(busy, idle):
            await controller.sync(endpoint(entity("m", busy.wire(), idle.wire())))
            task = asyncio.create_task(post(world.unix()))
            await until(lambda: busy.held == 1)
            await controller.put(endpoint(entity("m", busy.wire(draining=True), idle.wire())))
            await controller.put(endpoint(entity("m", busy.wire(draining=True))))
            await controller.heard("drained", lambda m: m["replica"] == "idle")
            assert [m["replica"] for m in controller.all("drained")] == ["idle"]
            busy.may_end.set()
            assert (await task).status_code == 200
            await controller.heard("drained", lambda m: m["replica"] == "busy")
            await controller.put(endpoint(entity("m", busy.wire(draining=True))))
            await until(lambda: len(controller.all("drained")) == 3, "drained once more")


@scenario
async def test_connections_to_a_leaving_replica_are_closed(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            await post(world.unix())
            assert replica.open_connections == 1
            await controller.put(endpoint(entity("m", replica.wire(draining=True))))
            await until(lambda: replica.open_connections == 0, "the connection's end")


@scenario
async def test_membership_churn_loses_nothing(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        replicas = [HealthyReplica(world.places.runtime, f"r{n}", slots=2) for n in range(3)]
        codes: list[int] = []
        ended = asyncio.Event()

        async def load() -> None:
            client = await world.tcp()
            while not ended.is_set():
                codes.append((await post(client)).status_code)

        async with running(*replicas):
            await controller.sync(endpoint(entity("m", replicas[0].wire())))
            loads = [asyncio.create_task(load()) for _ in range(8)]
            for turn in range(30):
                kept = [r.wire() for n, r in enumerate(replicas) if n != turn % 3]
                await controller.put(endpoint(entity("m", *kept, version=turn), version=turn))
            ended.set()
            await asyncio.gather(*loads)
        assert set(codes) == {200} and len(codes) > 30
        assert max(replica.most_held for replica in replicas) <= 2


@scenario
async def test_a_second_process_ends_quietly(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        first, size = world.process, world.log.stat().st_size
        second = await world.launch()
        assert await second.wait() == 0
        assert world.log.stat().st_size == size
        world.process = first
        assert (await world.unix().get("/health")).status_code == 200


@scenario
async def test_a_configured_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        with taken() as foreign:
            port = foreign.getsockname()[1]
            await world.launch(gateway_port=port)
            assert await world.ended() == EXIT_PORT
            problem = world.saved()["problem"]
            assert str(port) in problem and "gateway_port" in problem
            assert problem in world.log.read_text()
            assert not world.places.gateway_socket.exists()
        await world.start(gateway_port=port)
        await until(lambda: world.saved()["problem"] is None, "the problem's end")
        assert (await (await world.tcp()).get("/health")).status_code == 200


@scenario
async def test_a_remembered_port_in_use_is_waited_for(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        port = await world.port()
        world.kill(signal.SIGTERM)
        assert await world.ended() == 0
        with taken(port):
            await world.start()
            await until(lambda: world.saved()["problem"], "the problem on disk")
            assert (await world.unix().get("/health")).status_code == 200, "the unix socket serves"
            assert str(port) in (await (await world.controller()).heard("hello"))["problem"]
        await until(lambda: world.saved()["problem"] is None, "the problem's end")
        assert (await (await world.tcp()).get("/health")).status_code == 200
        assert await world.port() == port


@scenario
async def test_sigterm_finishes_what_runs_and_refuses_what_cannot(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            both = (
                endpoint(entity("m", replica.wire())),
                endpoint({"name": "c", "key": "cold", "replicas": []}, name="cold"),
            )
            await controller.sync(*both)
            client = await world.tcp()
            tasks = [asyncio.create_task(post(client)) for _ in range(2)]
            cold = asyncio.create_task(post(client, "cold"))
            await controller.heard("wake", lambda m: m["key"] == "cold")
            await until(lambda: replica.held == 1)
            world.kill(signal.SIGTERM)
            refused = await cold
            assert refused.status_code == 503 and "retry-after" in refused.headers
            await until(lambda: not world.places.gateway_socket.exists(), "the sockets' removal")
            replica.may_end.set()
            assert [a.status_code for a in await asyncio.gather(*tasks)] == [200, 200]
            assert await world.ended() == 0


@scenario
async def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), SlowReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            task = asyncio.create_task(post(world.unix()))
            await until(lambda: replica.held == 1)
            world.kill(signal.SIGTERM)
            await until(lambda: not world.places.gateway_socket.exists(), "the sockets' removal")
            world.kill(signal.SIGTERM)
            assert await world.ended() == 0
            with pytest.raises(httpx.TransportError):
                await task


@scenario
async def test_shutdown_ends_it_and_answers_what_is_held(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")))
        held = asyncio.create_task(post(world.unix()))
        await controller.heard("wake")
        controller.send({"type": "shutdown"})
        answer = await held
        assert answer.status_code == 503 and "shut down" in answer.json()["message"]
        assert await world.ended() == 0
        await controller.ended()


@scenario
async def test_a_successor_can_start_while_the_old_one_finishes(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = (
            await world.controller(),
            ReplicaThatStreams(world.places.runtime, slots=2),
        )
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            await remembered(world, "iris")
            task = asyncio.create_task(post(await world.tcp()))
            await until(lambda: replica.held == 1)
            old = world.process
            assert old is not None
            world.kill(signal.SIGTERM)
            await until(lambda: not world.places.gateway_socket.exists(), "the sockets' removal")
            await world.start()
            replica.may_end.set()
            assert (await task).text == "first last"
            assert await old.wait() == 0
            assert (await post(await world.tcp())).status_code == 200


@scenario
async def test_files_and_sockets_are_private(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")))
        await remembered(world, "iris")
        places = world.places
        for path in (places.gateway_state, places.gateway_socket, places.link_socket):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert TOKEN not in places.gateway_state.read_text()


@scenario
async def test_it_ends_when_its_data_directory_is_gone(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        log = tmp_path / "log"
        # A controller that answers but never links: none must be started by this test.
        mute = await asyncio.start_unix_server(
            lambda _, writer: writer.close(), str(world.places.controller_socket)
        )
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "jupyter_serving.gateway", env=world.environ, stderr=output
            )
        world.process = process
        await until(lambda: world.saved().get("port"), "its start")
        shutil.rmtree(world.places.data)
        assert await world.ended() == 0
        mute.close()
        assert "is gone" in log.read_text()
        assert not world.places.data.exists()


@scenario
async def test_a_damaged_state_file_is_put_aside(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        world.places.gateway_state.write_text('{"port": ')
        await world.start()
        assert world.places.gateway_state.with_name("gateway.json.damaged").exists()
        assert (await (await world.tcp()).get("/health")).status_code == 200


@pytest.mark.parametrize("line", [b"not json\n", b'{"type": "sync"}\n', b'{"type": "dance"}\n'])
@scenario
async def test_a_message_that_cannot_be_read_ends_the_link_only(
    tmp_path: Path, line: bytes
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")))
        controller.write(line)
        await controller.ended()
        again = await world.controller()
        await again.sync(endpoint(entity("m")))


@scenario
async def test_a_message_may_come_in_parts_and_hold_unknown_fields(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        message = {"type": "endpoint", "revision": 7, "endpoint": endpoint(entity("m")), "new": 1}
        data = json.dumps(message).encode() + b"\n"
        for start in range(0, len(data), 50):
            controller.write(data[start : start + 50])
            await asyncio.sleep(0)
        assert (await controller.heard("applied"))["revision"] == 7


@scenario
async def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.launch(gateway_port="many")
        assert await world.ended() == 2
        assert "JUPYTER_SERVING_GATEWAY_PORT" in world.log.read_text()


@scenario
async def test_many_requests_leave_no_files_open(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = (
            await world.controller(),
            HealthyReplica(world.places.runtime, slots=4),
        )
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            assert world.process is not None
            folder = Path(f"/proc/{world.process.pid}/fd")
            await post(await world.tcp())
            before = len(os.listdir(folder))
            for _ in range(3):
                client = await world.tcp()
                await asyncio.gather(*(post(client) for _ in range(30)))
                await client.aclose()
            await until(lambda: len(os.listdir(folder)) <= before + 4, "files to be closed")
