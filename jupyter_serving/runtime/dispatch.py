"""Which worker computes which requests: one queue, one group per worker, deadlines, deaths."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional

from . import answers, frames, process, threads, wire
from .answers import Answer, Failure
from .calls import NOBODY, Call
from .crashes import LIMIT, WINDOW, Crashes
from .deadlines import Deadlines
from .grouping import Grouping
from .link import Link

# How long the last words of a dead worker may take to be read when a child of it holds the socket open.
LAST_WORDS = 0.2
# Calls wait that long for a worker that computes, so as to be its next group, before another one gets them.
PATIENCE = 0.003


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
        self._loop = asyncio.get_running_loop()
        self._links: Dict[int, Link] = {}
        self._queue: Deque[Call] = deque()
        self._turn: Optional[asyncio.Handle] = None
        self._deadlines = Deadlines(self._loop, self._expire_all)
        self._joining: List[asyncio.Task[Any]] = []
        self._crashes = Crashes()
        self._last_death = ""
        self._patience: Optional[asyncio.TimerHandle] = None
        self.grouping = Grouping(slots, threads.cpus())
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
        if self._crashes.looping(self._loop.time()):
            return f"{LIMIT} worker processes ended within {WINDOW:.0f} s; the last one: {self._last_death}."
        warm = sum(link.state in ("idle", "busy") for link in self._links.values())
        return None if warm == self._slots else f"{warm} of {self._slots} slots are warm."

    # Calls

    def submit(self, call: Call) -> None:
        """Compute a call as soon as a worker is free, in order of arrival, or end it at its deadline."""
        if self.failure is not None:
            call.finish(answers.not_loaded(self.failure))
            return
        if call.deadline <= self._loop.time():
            call.finish(answers.too_late("The deadline had passed when the request came."))
            return
        self._deadlines.watch(call.deadline)
        self._queue.append(call)
        if self._turn is None:
            # At the end of this turn of the loop, so that what came together can be computed together.
            self._turn = self._loop.call_soon(self._feed)

    def drop(self, call: Call) -> None:
        """The client is gone: a waiting call is forgotten, a computing one runs on for nobody, a stream is stopped."""
        call.client = NOBODY
        if call.stage == "waiting":
            call.stage = "over"
            try:
                self._queue.remove(call)
            except ValueError:
                return
        elif call.stage == "streaming":
            for link in self._links.values():
                if call in link.group:
                    link.cancel()

    def _feed(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if not self._queue:
            return
        idle = [link for link in self._links.values() if link.state == "idle"]
        if not idle:
            return
        now = self._loop.time()
        room = self.grouping.room(self._quick(now), len(self._queue))
        spare, idle = idle[room:], idle[:room]
        while idle and self._queue:
            link = idle.pop()
            link.begun = now
            link.send(self.grouping.take(self._queue, len(idle) + 1, link.batch_size))
        if spare and self._queue and self._patience is None:
            self._patience = self._loop.call_later(PATIENCE, self._impatient)

    def _quick(self, now: float) -> int:
        """Workers that compute, but for those that are slow: who waits does not wait for them."""
        return sum(
            link.state == "busy" and now - link.begun < PATIENCE for link in self._links.values()
        )

    def _impatient(self) -> None:
        self._patience = None
        self._feed()

    def _again(self, calls: List[Call], most: int) -> None:
        for call in reversed(calls):
            if call.client is NOBODY:
                call.stage = "over"
                continue
            call.stage = "waiting"
            call.most = min(call.most, most)
            self._queue.appendleft(call)

    # Deadlines

    def _expire_all(self, now: float) -> Optional[float]:
        """End what is overdue; returns the next deadline."""
        late = [call for call in self._queue if call.deadline <= now]
        for call in late:
            self._queue.remove(call)
            call.finish(
                answers.too_late("The deadline passed while the request waited for a free slot.")
            )
        for link in list(self._links.values()):
            if any(call is not None and call.deadline <= now for call in link.group):
                self._expire(link, now)
        self._feed()
        live = [call.deadline for call in self._queue]
        for link in self._links.values():
            live += [call.deadline for call in link.group if call is not None]
        return min(live, default=None)

    def _expire(self, link: Link, now: float) -> None:
        link.state = "ending"
        self._tell(wire.Note(wire.KILL, link.slot, link.pid))
        calls = link.unanswered()
        # Those of its group run again, each by itself: one of them may be what the worker hung on.
        self._again(
            [call for call in calls if call.deadline > now and call.stage == "computing"], 1
        )
        for call in calls:
            if call.stage != "waiting":
                call.finish(
                    answers.too_late(
                        "The deadline passed during the prediction; its worker is replaced."
                    )
                )
        self._changed()

    # Workers

    def add(self, note: wire.Note) -> None:
        """A worker has been started; ``note.fd`` is the way to it."""
        if note.fd is None:
            return
        link = Link(self, note.slot, note.pid)
        self._links[note.pid] = link
        sock = socket.socket(fileno=note.fd)
        sock.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: link, sock))
        self._joining = [other for other in self._joining if not other.done()] + [task]

    def heard(self, link: Link, frame: frames.Frame) -> None:
        """A frame of a worker."""
        if frame.kind == frames.ANSWERS:
            self._answered(link, frame)
        elif frame.kind == frames.EVENT:
            self._told(link, link.told(frame))
        elif link.group and link.group[0] is not None:
            self._streamed(link.group[0], link, frame)

    def _told(self, link: Link, fields: Dict[str, Any]) -> None:
        event = fields["event"]
        if event == "ready":
            link.state, link.report = "idle", fields
            self._warm()
        elif event == "failed":
            link.failure = Failure(
                fields["message"],
                fields["traceback"],
                {name: fields[name] for name in ("phase", "phases", "imports") if name in fields},
            )
        elif event == "batch":
            self.grouping.switch_off(f"worker {link.slot}: {fields['reason']}")

    def _warm(self) -> None:
        if self.unready() is None and not self.report:
            reports = [each.report for each in self._links.values()]
            self.report = max(reports, key=lambda report: sum(report["phases"].values()))
            names = {name: None for report in reports for name in report["modules"]}
            self.report = {**self.report, "modules": list(names)}
            self.grouping.learn([report.get("batch", {}) for report in reports])
            self._tell(wire.Note(wire.READY))
        self._feed()
        self._changed()

    def _answered(self, link: Link, frame: frames.Frame) -> None:
        finished = []
        group = link.group
        for answered in frames.answered(frame):
            call = group[answered.place] if answered.place < len(group) else None
            if call is None:  # a deadline came first
                continue
            group[answered.place] = None
            if answered.status > frames.LATER:
                finished.append((call, answered))
            else:
                self._again([call], 1 if answered.status == frames.ALONE else call.most)
        if finished:
            self.grouping.count(finished[0][1].batch)
            self._succeeded()
        if frame.number and link.state == "busy":
            link.state, link.group = "idle", []
            self._feed()
        for call, (_, status, milliseconds, batch, body, kind, more) in finished:
            call.finish(Answer(status, body, kind, milliseconds, batch, more))

    def _succeeded(self) -> None:
        if self._crashes:
            self._crashes.succeeded()
            self._tell(wire.Note(wire.SUCCESS))
            self._changed()

    def _streamed(self, call: Call, link: Link, frame: frames.Frame) -> None:
        if frame.kind == frames.STREAM and call.stage == "computing":
            call.stage = "streaming"
            self._succeeded()
            call.client.begin(frame.content.decode("latin-1"), link)
            if call.client is NOBODY:
                link.cancel()
        elif frame.kind == frames.PIECE and call.stage == "streaming":
            call.client.piece(frame.content)
        elif frame.kind == frames.END and link.state == "busy":
            link.state, link.group = "idle", []
            link.resume()
            call.stage = "over"
            call.client.end()
            self._feed()

    def lost(self, link: Link) -> None:
        """A worker's socket closed, mostly by its death, of which the leader will tell."""
        if link.status is not None:
            self._bury(link)
        elif link.state != "ending":
            self._loop.call_later(LAST_WORDS, self._end, link)

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
        link.resume()
        if link.closed:
            self._bury(link)
        else:
            self._loop.call_later(LAST_WORDS, self._bury, link)

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
        size, calls = len(link.group), link.unanswered()
        if size > 1:
            self._again(calls, 1)
            self._feed()
        else:
            for call in calls:
                call.finish(answers.lost(link.slot, how))
        self._changed()

    def _fail(self, failure: Failure) -> None:
        self.failure = self.failure or failure
        while self._queue:
            self._queue.popleft().finish(answers.not_loaded(self.failure))

    def _count(self, link: Link, how: str) -> None:
        self._crashes.died(self._loop.time())
        reason = f": {link.failure.message}" if link.failure else ""
        self._last_death = f"worker {link.slot}, {how}{reason}"
        self._loop.call_later(WINDOW + 0.01, self._changed)
