"""Start on first use: shared, bounded, explained."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from jupyter_serving.errors import ControllerDown, StoreFault
from jupyter_serving.server.starting import Service, Starter


class Controller:
    """Starts as `connect.local` does and opens the sockets that it is told to open."""

    def __init__(self, *services, places):
        self.services = services
        self.places = places
        self.starts = 0
        self.sockets = []

    def __call__(self, data_dir, *, patience, sleep):
        assert data_dir == self.places.data
        self.starts += 1
        self.places.prepare()
        for service in self.services:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(service.socket(self.places)))
            listener.listen()
            self.sockets.append(listener)

    def close(self):
        for listener in self.sockets:
            listener.close()


def controller_that_cannot_use_its_directory(data_dir, *, patience, sleep):
    raise StoreFault("The data directory is full.", hint="Free space.")


async def test_many_requests_share_one_start(places):
    controller = Controller(Service.CONTROLLER, Service.GATEWAY, places=places)
    starter = Starter(lambda: places, local=controller)
    await asyncio.gather(*(starter.bring_up(Service.GATEWAY) for _ in range(20)))
    assert controller.starts == 1
    controller.close()


async def test_a_gateway_that_never_comes_is_told_with_the_end_of_its_log(places):
    controller = Controller(Service.CONTROLLER, places=places)
    starter = Starter(lambda: places, local=controller, patience=0.0)
    places.prepare()
    (places.logs / "gateway.log").write_text("line\n" * 50 + "OSError: port 80 is not ours\n")
    with pytest.raises(ControllerDown, match="port 80 is not ours") as failure:
        await starter.bring_up(Service.GATEWAY)
    assert "doctor" in failure.value.hint
    controller.close()


async def test_the_next_request_after_a_failure_tries_again(places):
    starter = Starter(lambda: places, local=controller_that_cannot_use_its_directory)
    for _ in range(2):
        with pytest.raises(StoreFault, match="full"):
            await starter.bring_up(Service.CONTROLLER)


async def test_a_request_that_leaves_does_not_end_the_start_for_others(places):
    go_on = threading.Event()
    controller = Controller(Service.CONTROLLER, places=places)

    def slow(*args, **kwargs):
        assert go_on.wait(20)
        controller(*args, **kwargs)

    starter = Starter(lambda: places, local=slow)
    first = asyncio.ensure_future(starter.bring_up(Service.CONTROLLER))
    second = asyncio.ensure_future(starter.bring_up(Service.CONTROLLER))
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    await second
    assert controller.starts == 1
    controller.close()


async def test_the_end_of_jupyter_does_not_wait_for_a_start(places):
    waiting, ended = threading.Event(), threading.Event()

    def controller_that_never_answers(data_dir, *, patience, sleep):
        waiting.set()
        try:
            while True:
                sleep(60)
        finally:
            ended.set()

    starter = Starter(lambda: places, local=controller_that_never_answers)
    request = asyncio.ensure_future(starter.bring_up(Service.CONTROLLER))
    assert await asyncio.to_thread(waiting.wait, 20)
    await starter.close()
    assert await asyncio.to_thread(ended.wait, 20)
    with pytest.raises((asyncio.CancelledError, ControllerDown)):
        await request
