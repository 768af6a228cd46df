"""Start of the controller on first use: one start at a time, its wait bounded and its failure explained."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

from ..connect import answers, last_lines, local
from ..errors import ControllerDown
from ..places import Places


class Service(StrEnum):
    """Who answers a path."""

    CONTROLLER = "controller"
    GATEWAY = "gateway"

    def socket(self, places: Places) -> Path:
        """Unix socket of the service."""
        return places.controller_socket if self is Service.CONTROLLER else places.gateway_socket


class Starter:
    """Brings a service up when a request found it down; requests that come meanwhile share the wait.

    The controller starts the gateway, so it is the controller that is started for either. ``patience`` is in seconds;
    ``local`` (which starts the controller, in a thread), clock and sleep are injected.
    """

    def __init__(
        self,
        places: Callable[[], Places],
        *,
        local: Callable[..., object] = local,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._places = places
        self._local = local
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._closing = threading.Event()
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
        await asyncio.to_thread(
            self._local, self._places().data, patience=self._patience, sleep=self._nap
        )
        # Places are asked anew each time: the controller records its runtime directory when it starts.
        while not await asyncio.to_thread(answers, service.socket(self._places())):
            if self._clock() >= limit:
                raise self._failure(service)
            await self._sleep(0.05)

    def _nap(self, seconds: float) -> None:
        # The thread must not hold up the end of Jupyter.
        if self._closing.wait(seconds):
            raise ControllerDown("Jupyter is stopping.", hint="Try again when it runs.")

    def _failure(self, service: Service) -> ControllerDown:
        log = self._places().logs / f"{service}.log"
        tail = last_lines(log)
        return ControllerDown(
            f"The {service} did not answer within {self._patience:g} s."
            + (f" The end of {log}:\n{tail}\n" if tail else f" It wrote nothing to {log}."),
            hint="`jupyter serving doctor` names the cause.",
        )

    async def close(self) -> None:
        """Stop waiting; what has been started goes on."""
        self._closing.set()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
