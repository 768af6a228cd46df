"""Which worker computes which request: one queue, one request per worker, deadlines, deaths."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional

from . import answers, process, wire
from .answers import Answer, Failure
from .crashes import LIMIT, WINDOW, Crashes

# How long the last words of a dead worker may take to be read when a child of it holds the socket open.
LAST_WORDS = 0.2


class Call:
    """One prediction that is asked for. ``seconds`` is its deadline from now, ``done`` takes the one answer."""

    __slots__ = ("body", "content_type", "done", "link", "seconds", "timer")

    def __init__(
        self,
        body: bytes,
        content_type: Optional[str],
        seconds: float,
        done: Callable[[Answer], None],
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.seconds = seconds
        self.done = done
        self.link: Optional[Link] = None
        self.timer: Optional[asyncio.TimerHandle] = None

    def finish(self, answer: Answer) -> None:
        """Give the answer; nothing can follow it."""
        if self.timer is not None:
            self.timer.cancel()
        self.done(answer)


class Link(asyncio.Protocol):
    """The front's side of one worker. ``state``: loading, idle, busy, ending."""

    def __init__(self, dispatcher: Dispatcher, slot: int, pid: int) -> None:
        self._dispatcher = dispatcher
        self._unpacker = wire.Unpacker()
        self._transport: Optional[asyncio.Transport] = None
        self.slot = slot
        self.pid = pid
        self.state = "loading"
        self.call: Optional[Call] = None
        self.report: Dict[str, Any] = {}
        self.failure: Optional[Failure] = None
        self.status: Optional[int] = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the worker."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take frames of the worker."""
        for header, body in self._unpacker.feed(data):
            self._dispatcher.heard(self, header, body)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """The worker closed its side: it is dead or dying."""
        self.closed = True
        self._dispatcher.lost(self)

    def send(self, call: Call) -> None:
        """Begin a call."""
        self.state, self.call, call.link = "busy", call, self
        if self._transport is not None:
            self._transport.write(wire.pack({"type": call.content_type}, call.body))

    def close(self) -> None:
        """Forget the worker."""
        if self._transport is not None:
            self._transport.abort()


class Dispatcher:
    """All workers of a replica and the calls for them.

    ``tell`` sends a note to the leader; ``changed`` is called when readiness may have changed.
    """

    def __init__(
        self, slots: int, tell: Callable[[wire.Note], object], changed: Callable[[], None]
    ) -> None:
        self._slots = slots
        self._tell = tell
        self._changed = changed
        self._links: Dict[int, Link] = {}
        self._queue: Deque[Call] = deque()
        self._joining: List[asyncio.Task[Any]] = []
        self._crashes = Crashes()
        self._last_death = ""
        self.failure: Optional[Failure] = None
        self.report: Dict[str, Any] = {}

    @property
    def links(self) -> List[Link]:
        """Workers by slot."""
        return sorted(self._links.values(), key=lambda link: link.slot)

    @property
    def busy(self) -> int:
        """Workers that compute."""
        return sum(link.state == "busy" for link in self._links.values())

    @property
    def queued(self) -> int:
        """Calls that wait for a worker."""
        return len(self._queue)

    def unready(self) -> Optional[str]:
        """Why requests should not come here now; None when every slot is warm."""
        if self.failure is not None:
            return self.failure.message
        if self._crashes.looping(asyncio.get_running_loop().time()):
            return f"{LIMIT} worker processes ended within {WINDOW:.0f} s; the last one: {self._last_death}."
        warm = sum(link.state in ("idle", "busy") for link in self._links.values())
        return None if warm == self._slots else f"{warm} of {self._slots} slots are warm."

    # Calls

    def submit(self, call: Call) -> None:
        """Compute a call as soon as a worker is free, in order of arrival, or end it at its deadline."""
        if self.failure is not None:
            call.finish(answers.not_loaded(self.failure))
            return
        if call.seconds <= 0:
            call.finish(answers.too_late("The deadline had passed when the request came."))
            return
        call.timer = asyncio.get_running_loop().call_later(call.seconds, self._expire, call)
        self._queue.append(call)
        self._feed()

    def drop(self, call: Call) -> None:
        """The client is gone: a waiting call is forgotten, a computing one runs on for nobody."""
        if call.link is None and call in self._queue:
            self._queue.remove(call)
            if call.timer is not None:
                call.timer.cancel()
        call.done = _ignore

    def _feed(self) -> None:
        for link in self._links.values():
            if not self._queue:
                return
            if link.state == "idle":
                link.send(self._queue.popleft())

    def _expire(self, call: Call) -> None:
        link = call.link
        if link is None:
            self._queue.remove(call)
            call.finish(
                answers.too_late(
                    f"No slot became free within the {call.seconds:.3g} s that were left."
                )
            )
            return
        link.state, link.call = "ending", None
        self._tell(wire.Note(wire.KILL, link.slot, link.pid))
        call.finish(
            answers.too_late(
                f"The prediction did not end within {call.seconds:.3g} s; its worker was stopped and is replaced. "
                "Send fewer rows, or raise the endpoint's deadline."
            )
        )

    # Workers

    def add(self, note: wire.Note) -> None:
        """A new worker, with its socket in the note."""
        link = Link(self, note.slot, note.pid)
        self._links[note.pid] = link
        sock = socket.socket(fileno=note.fd)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: link, sock))
        self._joining = [other for other in self._joining if not other.done()] + [task]

    def heard(self, link: Link, header: Dict[str, Any], body: bytes) -> None:
        """A frame of a worker."""
        event = header["event"]
        if event == "answer":
            self._answered(link, header, body)
        elif event == "ready":
            link.state, link.report = "idle", header
            self._warm(link)
        elif event == "failed":
            link.failure = Failure(header["message"], header["traceback"])

    def _warm(self, link: Link) -> None:
        if self.unready() is None and not self.report:
            reports = [each.report for each in self._links.values()]
            self.report = max(reports, key=lambda report: sum(report["phases"].values()))
            names = {name: None for report in reports for name in report["modules"]}
            self.report = {**self.report, "modules": list(names)}
            self._tell(wire.Note(wire.READY))
        self._feed()
        self._changed()

    def _answered(self, link: Link, header: Dict[str, Any], body: bytes) -> None:
        call, link.call = link.call, None
        if call is None:  # its deadline came first
            return
        link.state = "idle"
        if self._crashes:
            self._crashes.succeeded()
            self._tell(wire.Note(wire.SUCCESS))
            self._changed()
        self._feed()
        call.finish(Answer(header["status"], body, header["type"], header["ms"]))

    def lost(self, link: Link) -> None:
        """A worker's socket closed, mostly by its death, of which the leader will tell."""
        if link.status is not None:
            self._bury(link)
        elif link.state != "ending":
            asyncio.get_running_loop().call_later(LAST_WORDS, self._end, link)

    def _end(self, link: Link) -> None:
        # One that lives on without its socket cannot be used.
        if link.status is None:
            self._tell(wire.Note(wire.KILL, link.slot, link.pid))

    def died(self, note: wire.Note) -> None:
        """The leader reaped a worker. What it said last may still wait in the socket."""
        link = self._links.get(note.pid)
        if link is None:
            return
        link.status = note.status
        if link.closed:
            self._bury(link)
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS, self._bury, link)

    def _bury(self, link: Link) -> None:
        if self._links.pop(link.pid, None) is None or link.status is None:
            return
        link.close()
        how, was = process.describe(link.status), link.state
        link.state = "ending"
        if not self.report:
            self._fail(link.failure or answers.died_loading(link.slot, how))
        elif was != "ending":
            self._count(link, how)
        if link.call is not None:
            link.call.finish(answers.lost(link.slot, how))
        self._changed()

    def _fail(self, failure: Failure) -> None:
        self.failure = self.failure or failure
        while self._queue:
            self._queue.popleft().finish(answers.not_loaded(self.failure))

    def _count(self, link: Link, how: str) -> None:
        loop = asyncio.get_running_loop()
        self._crashes.died(loop.time())
        reason = f": {link.failure.message}" if link.failure else ""
        self._last_death = f"worker {link.slot}, {how}{reason}"
        loop.call_later(WINDOW + 0.01, self._changed)


def _ignore(answer: Answer) -> None:
    """Take the answer of a call whose client is gone."""
