"""One request from its routing to the end of its answer.

    WAITING ──slot──▶ RUNNING ──head of the answer──▶ ANSWERING ──end──▶ OVER
       ▲                 │ the replica never began it
       └─────────────────┘

The client may be gone, or have been told 504, while the replica still works: the exchange then goes on without a
client, because the slot is free only when the replica is done with it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from ..errors import ReplicaLost, ServingError
from . import heads, refusals
from .capture import Record
from .failures import late, lost
from .meter import Meter
from .queue import Member
from .request import Client, Request
from .routes import Routed
from .upstream import AnswerHead, Loss, ReplicaConnection

if TYPE_CHECKING:
    from .dispatch import Dispatcher

# The replica answers 504 at the deadline itself and says more; we wait this much longer for it.
GRACE_SECONDS = 0.5
# A replica that holds a request for so long after its deadline is broken: its connection is closed.
ABANDON_SECONDS = 30.0
# One request that may have begun is sent once more, not again: it could be what kills replicas.
PERHAPS_LIMIT = 1
# Nobody was told anything: nginx's word for it in a log.
GONE = 499


class Stage(Enum):
    """Where an exchange is."""

    WAITING = "waiting"
    RUNNING = "running"
    ANSWERING = "answering"
    OVER = "over"


class Exchange:
    """A request on its way; the ticket in the queue, the peer of the client, the caller of the replica.

    ``record`` is what is captured of it, None where nothing is.
    """

    __slots__ = (
        "_chunked",
        "_cold",
        "_connection",
        "_dispatcher",
        "_due",
        "_granted",
        "_member",
        "_meter",
        "_on_due",
        "_perhaps",
        "_queued",
        "_status",
        "client",
        "deadline",
        "record",
        "request",
        "rid",
        "routed",
        "stage",
    )

    def __init__(
        self, dispatcher: Dispatcher, request: Request, client: Client, routed: Routed
    ) -> None:
        self._dispatcher = dispatcher
        self.request = request
        self.client: Client | None = client
        self.routed = routed
        self.record: Record | None = None
        self.stage = Stage.WAITING
        self.deadline = request.arrived + routed.endpoint.deadline
        self.rid = heads.request_id(request.noted.get(b"x-request-id"))
        self._meter: Meter = dispatcher.meter(routed.entity.key)
        self._meter.arrived(dispatcher.wall())
        self._cold = False
        self._granted = request.arrived
        self._queued: float | None = None
        self._member: Member[Exchange] | None = None
        self._connection: ReplicaConnection | None = None
        self._perhaps = 0
        self._status = 0
        self._chunked = False
        self._on_due: Callable[[Exchange], None] = Exchange._on_deadline
        self._due = dispatcher.deadlines.add(self.deadline, self)
        client.peer = self

    @property
    def key(self) -> str:
        """Key of the served entity that it is routed to."""
        return self.routed.entity.key

    # --- waiting and running ------------------------------------------------------------------------

    def move(self, routed: Routed) -> None:
        """It waits for another served entity from now on."""
        self._unqueue(self._dispatcher.clock())
        self._meter.left()
        self.routed = routed
        self._meter = self._dispatcher.meter(routed.entity.key)
        self._meter.arrived(self._dispatcher.wall())

    def wait(self, *, cold: bool) -> None:
        """It is in the queue now; ``cold`` where no replica is ready."""
        self.stage = Stage.WAITING
        self._cold = self._cold or cold
        self._queued = self._dispatcher.clock()
        self._meter.queued(self._queued)

    def run(self, member: Member[Exchange]) -> None:
        """It holds a slot of ``member``: send it there."""
        dispatcher = self._dispatcher
        self.stage = Stage.RUNNING
        self._member = member
        self._granted = granted = dispatcher.clock()
        self._meter.started(granted, self._unqueue(granted))
        request = self.request
        head = heads.request_head(
            request.headers,
            len(request.body),
            self.rid,
            dispatcher.wall() + self.deadline - self._granted,
            self._model(),
            trusted=request.trusted,
        )
        dispatcher.pool(member).request(self, head, request.body)

    def refuse(self, error: ServingError, reason: str) -> None:
        """It ends without having had a slot (any more); ``reason`` is the meter's word."""
        self._stop()
        self._unqueue(self._dispatcher.clock())
        self._meter.refused(reason)
        self._tell(error)
        self._dispatcher.over(self, error.status)

    # --- Peer: the client's side --------------------------------------------------------------------

    def client_gone(self) -> None:
        """The client left: a waiting request is dropped, a running one keeps its slot until it is done."""
        self.client = None
        if self.stage is Stage.WAITING:
            self._dispatcher.withdraw(self)
            self._stop()
            self._unqueue(self._dispatcher.clock())
            self._meter.refused("client_gone")
            self._dispatcher.over(self, GONE)
        elif self._connection is not None:
            self._connection.pause(False)

    def client_slow(self, slow: bool) -> None:
        """Pass the client's pace on to the replica."""
        if self.stage is Stage.ANSWERING and self._connection is not None:
            self._connection.pause(slow)

    # --- Caller: the replica's side -----------------------------------------------------------------

    def still_wanted(self) -> bool:
        """False once nobody waits for the answer."""
        return self.client is not None

    def on_unwanted(self) -> None:
        """Nobody waited any more when the connection to the replica stood."""
        self._end_unbegun(self._slot())

    def on_sent(self, connection: ReplicaConnection) -> None:
        """The request is being written to this connection."""
        self._connection = connection

    def on_answer(self, head: AnswerHead | None, body: bytes, end: bool) -> None:
        """A part of the answer: pass it on."""
        if end:
            self._connection = None
        first = b""
        if head is not None:
            self.stage = Stage.ANSWERING
            self._status = head.status
            first = self._begin(head, body, end)
        if self.record is not None:
            self.record.answered(body)
        if self.client is not None:
            self._pass_on(first + self._framed(body, end), end)
        if end:
            self._release(self._status)

    def on_lost(self, loss: Loss, reason: str) -> None:
        """The connection to the replica is lost, or could not be had."""
        self._connection = None
        member = self._slot()
        self._dispatcher.failed(member, loss, reason)
        self._perhaps += loss is Loss.PERHAPS
        if self.client is None and loss is Loss.NEVER_BEGAN:
            self._end_unbegun(member)
        elif self.client is None:
            self._release(self._status or ReplicaLost.status)
        elif self.stage is Stage.ANSWERING:
            client, self.client = self.client, None
            client.abort()
            self._release(ReplicaLost.status)
        elif loss is Loss.BEGAN or self._perhaps > PERHAPS_LIMIT:
            self._tell(lost(self.routed, reason))
            self._release(ReplicaLost.status)
        else:
            self._wait_again(member)

    # --- deadlines ----------------------------------------------------------------------------------

    def on_due(self) -> None:
        """The next of its deadlines has passed."""
        self._on_due(self)

    def _on_deadline(self) -> None:
        if self.stage is Stage.WAITING:
            self._dispatcher.withdraw(self)
            self.refuse(late(self.routed, "cold" if self._cold else "queue"), "deadline")
        else:
            self._wait_for(GRACE_SECONDS, Exchange._on_overdue)

    def _on_overdue(self) -> None:
        """The replica did not answer at the deadline: the client is told, the slot stays taken."""
        if self.stage is Stage.WAITING:
            self._on_deadline()
            return
        if self.stage is Stage.RUNNING:
            self._tell(late(self.routed, "model"))
        elif self.client is not None:
            client, self.client = self.client, None
            client.abort()
            if self._connection is not None:
                # It may be held back because that client did not read.
                self._connection.pause(False)
        self._wait_for(ABANDON_SECONDS, Exchange._on_abandoned)

    def _on_abandoned(self) -> None:
        if self._connection is not None:
            self._connection.close(f"no answer {ABANDON_SECONDS:.0f} s after the deadline")

    def _wait_for(self, seconds: float, then: Callable[[Exchange], None]) -> None:
        dispatcher = self._dispatcher
        self._on_due = then
        self._due = dispatcher.deadlines.add(dispatcher.clock() + seconds, self)

    # --- inside -------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self.stage = Stage.OVER
        self._dispatcher.deadlines.remove(self._due, self)

    def _unqueue(self, now: float) -> float:
        """It waits no longer (it may not have had to); returns for how many seconds it did."""
        since = self._queued
        if since is None:
            return 0.0
        self._queued = None
        self._meter.unqueued(now)
        return now - since

    def _slot(self) -> Member[Exchange]:
        assert self._member is not None, "an exchange that hears of a replica holds a slot"
        return self._member

    def _wait_again(self, member: Member[Exchange]) -> None:
        self._meter.stopped(self._dispatcher.clock())
        self._member = None
        self._dispatcher.requeue(self)
        self._dispatcher.free(member)

    def _end_unbegun(self, member: Member[Exchange]) -> None:
        """It had a slot, but no replica saw it, and nobody waits for it any more."""
        now = self._dispatcher.clock()
        self._stop()
        self._meter.stopped(now)
        self._meter.refused("client_gone" if now < self.deadline else "deadline")
        self._dispatcher.over(self, GONE)
        self._dispatcher.free(member)

    def _release(self, status: int) -> None:
        """The replica is done with it: free the slot."""
        self._stop()
        now = self._dispatcher.clock()
        self._meter.finished(status, now - self.request.arrived, now)
        self._dispatcher.over(self, status)
        self._dispatcher.free(self._slot())

    def _tell(self, error: ServingError) -> None:
        if self.client is None:
            return
        answer = refusals.answer(error, self.request, self.rid)
        if self.record is not None:
            self.record.told(error.status, answer.partition(b"\r\n\r\n")[2])
        self._pass_on(answer, True)

    def _pass_on(self, data: bytes, end: bool) -> None:
        client = self.client
        if client is None:
            return
        if end:
            self.client = client.peer = None
        client.send(data, end=end)

    def _model(self) -> heads.Headers:
        """What a V2 request asks for, as the replica is told; nothing for an invocation."""
        target = self.request.target
        if target.model is None:
            return []
        version = self.routed.entity.version
        model = [(b"x-serving-model", target.model.encode())]
        return [*model, (b"x-serving-model-version", version.encode())] if version else model

    def _begin(self, head: AnswerHead, body: bytes, end: bool) -> bytes:
        """The head of the answer is here; returns it as the client gets it."""
        passed = heads.passed(head.headers)
        member, dispatcher = self._slot(), self._dispatcher
        dispatcher.answering(member, self.key, self.request.arrived)
        if passed.notice is not None:
            dispatcher.noticed(member, self.key, passed.notice)
        if self.record is not None:
            self.record.begun(head.status, head.headers)
        lines = passed.lines
        lines.append(
            b"served-model-name: %b\r\nx-request-id: %b\r\nserver-timing: %b\r\n"
            % (
                self.routed.entity.name.encode(),
                self.rid,
                heads.server_timing(self._timing(), passed.timings),
            )
        )
        if not passed.sized and head.status not in (204, 304):
            if end:
                lines.append(b"content-length: %d\r\n" % len(body))
            elif self.request.version == "1.1":
                lines.append(b"transfer-encoding: chunked\r\n")
                self._chunked = True
            else:
                self.request.keep_alive = False
        return heads.response_head(head.status, lines, self.request.ending)

    def _framed(self, body: bytes, end: bool) -> bytes:
        if not self._chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if end else chunk

    def _timing(self) -> list[tuple[bytes, float]]:
        """Seconds in the queue, of these waiting for a first replica, and at the replica until its answer began."""
        held = self._granted - self.request.arrived
        cold = self._dispatcher.cold_seconds(self.key, self.request.arrived) if self._cold else 0.0
        cold = min(held, cold)
        parts = [(b"queue", held - cold)]
        if self._cold:
            parts.append((b"cold", cold))
        return [*parts, (b"replica", self._dispatcher.clock() - self._granted)]
