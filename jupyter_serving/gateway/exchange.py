"""One request from its routing to the end of its answer.

    WAITING ──slot──▶ RUNNING ──head of the answer──▶ ANSWERING ──end──▶ OVER
       ▲                 │ the replica never began it
       └─────────────────┘

The client may be gone, or have been told 504, while the replica still works: the exchange then goes on without a
client, because the slot is free only when the replica is done with it.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from ..errors import DeadlineExceeded, ReplicaLost, ServingError
from . import heads
from .queue import Member
from .request import Client, Request
from .routes import Routed
from .upstream import AnswerHead, Loss, ReplicaConnection

if TYPE_CHECKING:
    import asyncio

    from .dispatch import Dispatcher

log = logging.getLogger(__name__)

# The replica answers 504 at the deadline itself and says more; we wait this much longer for it.
GRACE_SECONDS = 0.5
# A replica that holds a request for so long after its deadline is broken: its connection is closed.
ABANDON_SECONDS = 30.0
# One request that may have begun is sent once more, not again: it could be what kills replicas.
PERHAPS_LIMIT = 1


class Stage(Enum):
    """Where an exchange is."""

    WAITING = "waiting"
    RUNNING = "running"
    ANSWERING = "answering"
    OVER = "over"


class Exchange:
    """A request on its way; the ticket in the queue, the peer of the client, the caller of the replica."""

    __slots__ = (
        "_chunked",
        "_cold",
        "_connection",
        "_dispatcher",
        "_granted",
        "_member",
        "_perhaps",
        "_status",
        "_timer",
        "client",
        "deadline",
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
        self.stage = Stage.WAITING
        self.deadline = request.arrived + routed.endpoint.deadline
        self.rid = heads.request_id(request.header(b"x-request-id"))
        self._cold = False
        self._granted = request.arrived
        self._member: Member[Exchange] | None = None
        self._connection: ReplicaConnection | None = None
        self._perhaps = 0
        self._status = 0
        self._chunked = False
        left = max(0.0, self.deadline - dispatcher.clock())
        self._timer: asyncio.TimerHandle = dispatcher.loop.call_later(left, self._on_deadline)
        client.peer = self

    @property
    def key(self) -> str:
        """Key of the served entity that it is routed to."""
        return self.routed.entity.key

    # --- waiting and running ------------------------------------------------------------------------

    def wait(self, *, cold: bool) -> None:
        """It is in the queue now; ``cold`` where no replica is ready."""
        self.stage = Stage.WAITING
        self._cold = self._cold or cold

    def run(self, member: Member[Exchange]) -> None:
        """It holds a slot of ``member``: send it there."""
        dispatcher = self._dispatcher
        self.stage = Stage.RUNNING
        self._member = member
        self._granted = dispatcher.clock()
        dispatcher.meter(self.key).started()
        head = heads.request_head(
            self.request.headers,
            len(self.request.body),
            self.rid,
            dispatcher.wall() + self.deadline - self._granted,
            trusted=self.request.trusted,
        )
        dispatcher.pool(member).request(self, head, self.request.body)

    def refuse(self, error: ServingError, reason: str) -> None:
        """It ends without having had a slot (any more); ``reason`` is the meter's word."""
        self.stage = Stage.OVER
        self._timer.cancel()
        self._dispatcher.meter(self.key).refused(reason)
        self._dispatcher.over(self, error.status)
        self._tell(error)

    # --- Peer: the client's side --------------------------------------------------------------------

    def client_gone(self) -> None:
        """The client left: a waiting request is dropped, a running one keeps its slot until it is done."""
        self.client = None
        if self.stage is Stage.WAITING:
            self._dispatcher.withdraw(self)
            self.stage = Stage.OVER
            self._timer.cancel()
            self._dispatcher.meter(self.key).refused("client_gone")
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
        if head is not None:
            self.stage = Stage.ANSWERING
            self._status = head.status
            self._dispatcher.answering(self._slot(), self.key)
        if self.client is not None:
            first = self._head_bytes(head, body, end) if head is not None else b""
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
            self._tell(_lost(self.routed, reason))
            self._release(ReplicaLost.status)
        else:
            self._wait_again(member)

    # --- deadlines ----------------------------------------------------------------------------------

    def _on_deadline(self) -> None:
        if self.stage is Stage.WAITING:
            self._dispatcher.withdraw(self)
            self.refuse(_late(self.routed, "cold" if self._cold else "queue"), "deadline")
        else:
            self._timer = self._dispatcher.loop.call_later(GRACE_SECONDS, self._on_overdue)

    def _on_overdue(self) -> None:
        """The replica did not answer at the deadline: the client is told, the slot stays taken."""
        if self.stage is Stage.WAITING:
            self._on_deadline()
            return
        if self.stage is Stage.RUNNING:
            self._tell(_late(self.routed, "model"))
        elif self.client is not None:
            client, self.client = self.client, None
            client.abort()
        self._timer = self._dispatcher.loop.call_later(ABANDON_SECONDS, self._on_abandoned)

    def _on_abandoned(self) -> None:
        if self._connection is not None:
            self._connection.close(f"no answer {ABANDON_SECONDS:.0f} s after the deadline")

    # --- inside -------------------------------------------------------------------------------------

    def _slot(self) -> Member[Exchange]:
        assert self._member is not None, "an exchange that hears of a replica holds a slot"
        return self._member

    def _wait_again(self, member: Member[Exchange]) -> None:
        self._dispatcher.meter(self.key).stopped()
        self._member = None
        self._dispatcher.requeue(self)
        self._dispatcher.free(member)

    def _end_unbegun(self, member: Member[Exchange]) -> None:
        """It had a slot, but no replica saw it, and nobody waits for it any more."""
        late = self._dispatcher.clock() >= self.deadline
        self.stage = Stage.OVER
        self._timer.cancel()
        meter = self._dispatcher.meter(self.key)
        meter.stopped()
        meter.refused("deadline" if late else "client_gone")
        self._dispatcher.free(member)

    def _release(self, status: int) -> None:
        """The replica is done with it: free the slot."""
        self.stage = Stage.OVER
        self._timer.cancel()
        now = self._dispatcher.clock()
        self._dispatcher.meter(self.key).finished(status, now - self.request.arrived, now)
        self._dispatcher.over(self, status)
        self._dispatcher.free(self._slot())

    def _tell(self, error: ServingError) -> None:
        if self.client is None:
            return
        added = [(b"x-request-id", self.rid)]
        answer = heads.error_response(error, added, keep_alive=self.request.keep_alive)
        self._pass_on(answer, True)

    def _pass_on(self, data: bytes, end: bool) -> None:
        client = self.client
        if client is None:
            return
        if end:
            self.client = client.peer = None
        client.send(data, end=end)

    def _head_bytes(self, head: AnswerHead, body: bytes, end: bool) -> bytes:
        added = [
            (b"served-model-name", self.routed.entity.name.encode()),
            (b"x-request-id", self.rid),
            (
                b"server-timing",
                heads.server_timing(self._timing(), _values(head, b"server-timing")),
            ),
        ]
        if not _values(head, b"content-length") and head.status not in (204, 304):
            if end:
                added.append((b"content-length", b"%d" % len(body)))
            elif self.request.version == "1.1":
                added.append((b"transfer-encoding", b"chunked"))
                self._chunked = True
            else:
                self.request.keep_alive = False
        return heads.response_head(
            head.status, head.headers, added, keep_alive=self.request.keep_alive
        )

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


def _values(head: AnswerHead, name: bytes) -> list[bytes]:
    return [value for key, value in head.headers if key == name]


def _lost(routed: Routed, reason: str) -> ReplicaLost:
    return ReplicaLost(
        f"The replica of served entity {routed.entity.name!r} of endpoint {routed.endpoint.name!r} died while it held "
        f"the request: {reason}.",
        hint="The request may have run, so it was not sent to another replica. The replica's log says more.",
    )


def _late(routed: Routed, where: str) -> DeadlineExceeded:
    name, limit = routed.endpoint.name, f"{routed.endpoint.deadline:g} s"
    said = {
        "cold": f"No replica of endpoint {name!r} became ready within the deadline of {limit}.",
        "queue": f"The request waited for a free slot of endpoint {name!r} until the deadline of {limit}.",
        "model": f"The model of endpoint {name!r} did not answer within the deadline of {limit}.",
    }
    hint = {
        "cold": "The endpoint's events and logs say how far its start is.",
        "queue": "Allow more concurrency, or send fewer requests at once.",
        "model": "Send fewer rows per request, or raise the setting request_deadline_seconds.",
    }
    return DeadlineExceeded(said[where], hint=hint[where])
