"""The driver of the reliability tests: keep-alive clients that write down every answer.

``OpenLoop`` sends at a constant rate whatever the answers do, and counts a request's seconds from when it was due, so
that a stall shows in the tail instead of hiding in requests that were not sent (coordinated omission).
``ClosedLoop`` has a fixed number of clients, each with one request at a time; ``QueryLoop`` is one such client.
Marks name moments, so that a test can say "no failure between these two" (after KServe's traffic driver).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop
from keepalive import Broken, Connection, Reply
from services import until

FAREWELL = 60.0
"""Longest time that requests on their way are waited for at the end, in seconds."""
PAUSE = 0.02
"""Pause after a failed attempt, doubled with each, in seconds."""
LONGEST_PAUSE = 0.5


@dataclass(frozen=True)
class Answer:
    """Answer to one request, or what came instead.

    Attributes:
        at: when it came, in monotonic seconds.
        status: HTTP status; 0 where no whole answer came.
        body: bytes of the body, or the error's text.
        due: when the request was to be sent, in monotonic seconds.
        headers: of the answer, names in lower case.
        tries: statuses of the attempts before it, each of them failed.
    """

    at: float
    status: int
    body: Any
    due: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    tries: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        """From the moment it was due to the end of its answer."""
        return self.at - self.due

    @property
    def sort(self) -> str:
        """``<status> <error code>``, for messages of tests."""
        try:
            return f"{self.status} {json.loads(self.body)['error_code']}"
        except (ValueError, TypeError, KeyError):
            return str(self.status)


class Load:
    """Context manager: asks from enter to exit, in an event loop in a thread of its own.

    Args:
        url: of the invocations.
        authorization: value of that header.
        payload: what is sent as JSON; a function gets the number of the request (0, 1, …).
        headers: further headers.
        attempts: how often a request is sent at most; another try follows 429, 502, 503 and a lost connection.
        patience: seconds after which an answer that has not come is written down as missing.
    """

    def __init__(
        self,
        url: str,
        authorization: str,
        payload: Any,
        headers: dict[str, str] | None = None,
        *,
        attempts: int = 1,
        patience: float = 120.0,
    ) -> None:
        self._url = url
        self._payload = payload if callable(payload) else _constant(payload)
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._headers |= headers or {}
        self._attempts = attempts
        self._patience = patience
        self._ending = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._sent = 0
        self._trouble: BaseException | None = None
        self.marks: dict[str, float] = {}
        self.answers: list[Answer] = []

    def __enter__(self) -> Any:
        self.mark("begin")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, wait for what is on its way; to call it again does nothing."""
        self.marks.setdefault("end", time.monotonic())
        self._ending.set()
        self._thread.join(self._patience + FAREWELL)
        assert not self._thread.is_alive(), "the driver does not end"
        if self._trouble is not None:
            raise self._trouble

    # --- what came ----------------------------------------------------------------------------------

    def mark(self, name: str) -> float:
        """Name this moment; ``begin`` and ``end`` are there by themselves."""
        moment = self.marks[name] = time.monotonic()
        return moment

    def between(self, first: str = "begin", last: str = "end") -> list[Answer]:
        """Answers to requests that were due between two marks."""
        start, stop = self.marks[first], self.marks.get(last, math.inf)
        return [a for a in self.answers if start <= a.due < stop]

    def failures(self, first: str = "begin", last: str = "end") -> list[Answer]:
        """Everything but 200 between two marks."""
        return [a for a in self.between(first, last) if a.status != 200]

    def sorts(self, first: str = "begin", last: str = "end") -> dict[str, int]:
        """How often each kind of answer came between two marks."""
        kinds = [a.sort for a in self.between(first, last)]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def good_since(self, moment: float, count: int = 20) -> bool:
        """True when the last ``count`` answers all came after ``moment`` and were 200."""
        last = self.answers[-count:]
        return len(last) == count and all(a.status == 200 and a.at > moment for a in last)

    def flows(self, count: int = 20) -> None:
        """Wait until ``count`` answers in a row that come from now on are good."""
        now = time.monotonic()
        until(lambda: self.good_since(now, count), what=f"{count} good answers in a row")

    # --- the thread ---------------------------------------------------------------------------------

    async def send(self) -> None:
        """Send requests until ``self._ending`` is set; each kind of load has its own way."""
        raise NotImplementedError

    async def ask(self, connection: Connection, due: float) -> Answer:
        """One request with its attempts; writes down and returns the last answer."""
        body = json.dumps(self._payload(self._sent)).encode()
        self._sent += 1
        tries: list[int] = []
        while True:
            status, content, headers = await self._try(connection, body)
            if len(tries) + 1 >= self._attempts or status not in (0, 429, 502, 503):
                break
            await asyncio.sleep(min(LONGEST_PAUSE, PAUSE * 2 ** len(tries)))
            tries.append(status)
        answer = Answer(time.monotonic(), status, content, due, headers, tuple(tries))
        self.answers.append(answer)
        return answer

    async def _try(
        self, connection: Connection, body: bytes
    ) -> tuple[int, bytes | str, dict[str, str]]:
        try:
            async with asyncio.timeout(self._patience):
                reply: Reply = await connection.post(body, self._headers)
        except Broken as broken:
            return 0, str(broken), {}
        except TimeoutError:
            return 0, f"no answer within {self._patience:g} s", {}
        return reply.status, reply.body, reply.headers

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self.send())
        except BaseException as trouble:
            self._trouble = trouble
        finally:
            self._loop.close()


class ClosedLoop(Load):
    """``clients`` clients, each with one request at a time and a connection of its own."""

    def __init__(self, *arguments: Any, clients: int = 1, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._clients = clients

    async def send(self) -> None:
        """Ask with every client until the end."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._client())

    async def _client(self) -> None:
        connection = Connection(self._url)
        while not self._ending.is_set():
            answer = await self.ask(connection, time.monotonic())
            if answer.status == 0:
                await asyncio.sleep(PAUSE)
        connection.close()


class QueryLoop(ClosedLoop):
    """One client that asks without end."""


class OpenLoop(Load):
    """``rate`` requests per second; an idle keep-alive connection takes the next one, else a new one is made."""

    def __init__(self, *arguments: Any, rate: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._rate = rate
        self._idle: list[Connection] = []

    async def send(self) -> None:
        """Send on schedule until the end; what is late is sent at once, and counted from when it was due."""
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for offset in self._offsets():
                due = begin + offset
                if (left := due - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                if self._ending.is_set():
                    break
                group.create_task(self._one(due))
        for connection in self._idle:
            connection.close()

    def _offsets(self) -> Iterator[float]:
        """When requests are due, in seconds from the begin."""
        return (count / self._rate for count in itertools.count())

    async def _one(self, due: float) -> None:
        connection = self._idle.pop() if self._idle else Connection(self._url)
        await self.ask(connection, due)
        self._idle.append(connection)


class Ramp(OpenLoop):
    """From no load to ``rate`` requests per second and back to none within ``seconds``, at a constant slope.

    After t seconds of the ascent, which takes T of them, ``rate * t**2 / 2T`` requests were due.
    """

    def __init__(self, *arguments: Any, seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._half = seconds / 2

    @property
    def over(self) -> bool:
        """True once the last request is due."""
        return time.monotonic() > self.marks["begin"] + 2 * self._half

    def _offsets(self) -> Iterator[float]:
        count = int(self._rate * self._half / 2)
        ascent = [math.sqrt(2 * n * self._half / self._rate) for n in range(count)]
        yield from ascent
        yield from (2 * self._half - offset for offset in reversed(ascent))


def quantile(values: list[float], q: float) -> float:
    """The ``q``-quantile (0 … 1) of measured values: the one with rank ``ceil(q * n)``."""
    assert values, "nothing was measured"
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def _constant(payload: Any) -> Callable[[int], Any]:
    return lambda number: payload
