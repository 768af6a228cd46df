"""Start of the controller on first use: one start at a time, its wait bounded and its failure explained."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

from .. import processes
from ..errors import ControllerDown
from ..places import Places

TAIL_BYTES = 4096
TAIL_LINES = 6


class Service(StrEnum):
    """Who answers a path."""

    CONTROLLER = "controller"
    GATEWAY = "gateway"

    def socket(self, places: Places) -> Path:
        """Unix socket of the service."""
        return places.controller_socket if self is Service.CONTROLLER else places.gateway_socket


def launch(places: Places) -> None:
    """Start a controller for the data directory, detached; it starts the gateway. Blocks for tens of milliseconds."""
    places.prepare()
    processes.spawn_service("jupyter_serving.controller", places)


async def answers(path: Path) -> bool:
    """True when somebody accepts connections on the socket (a stale socket file refuses them)."""
    try:
        _reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


class Starter:
    """Brings a service up when a request found it down; requests that come meanwhile share the wait.

    ``patience`` is in seconds; clock and sleep are injected.
    """

    def __init__(
        self,
        places: Callable[[], Places],
        *,
        launch: Callable[[Places], None] = launch,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._places = places
        self._launch = launch
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._running: dict[Service, asyncio.Task[None]] = {}

    async def bring_up(self, service: Service) -> None:
        """Return when the service answers.

        Raises:
            ControllerDown: it did not within the patience; the message holds the end of its log.
            StoreFault: the data directory cannot be used.
        """
        task = self._running.get(service)
        if task is None:
            task = asyncio.create_task(self._bring_up(service))
            self._running[service] = task
            task.add_done_callback(lambda done: self._finished(service, done))
        # Shielded: the start goes on when the one request that waits for it goes away.
        await asyncio.shield(task)

    def _finished(self, service: Service, task: asyncio.Task[None]) -> None:
        del self._running[service]
        if not task.cancelled():
            task.exception()  # everybody who waits has been told; nobody waiting is no fault

    async def _bring_up(self, service: Service) -> None:
        limit = self._clock() + self._patience
        if not await answers(self._places().controller_socket):
            await asyncio.to_thread(self._launch, self._places())
        # Places are asked anew each time: the controller records its runtime directory when it starts.
        while not await answers(service.socket(self._places())):
            if self._clock() >= limit:
                raise self._failure(service)
            await self._sleep(0.05)

    def _failure(self, service: Service) -> ControllerDown:
        log = self._places().logs / f"{service}.log"
        tail = last_lines(log)
        return ControllerDown(
            f"The {service} of jupyter-serving was started and did not answer within {self._patience:.0f} s."
            + (f" The end of {log}:\n{tail}\n" if tail else f" It wrote nothing to {log}."),
            hint="Run `jupyter serving doctor` in a terminal; it names the cause and the remedy.",
        )

    async def close(self) -> None:
        """Stop waiting; what has been started goes on."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def last_lines(path: Path, count: int = TAIL_LINES) -> str:
    """The last ``count`` lines of a text file, "" when it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-count:])
