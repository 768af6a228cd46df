"""Ties routing, queues, replicas and counts together: what happens to a request, and what a config change does to all.

Decisions are made in ``routes`` and ``queue``; here they take effect.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from ..errors import NotFound, PermissionDenied, ServingError, Unavailable
from . import heads, notice, refusals, tokens
from .capture import Captures
from .deadlines import Deadlines
from .endpoint import Endpoint
from .exchange import Exchange
from .failures import RETRY_COLD_SECONDS, overloaded
from .meter import Meter
from .pools import Pools
from .questions import Questions
from .queue import Change, Grant, Lane, Member, QueueFull, Queues
from .reports import Notices, Reports
from .request import Client, Request
from .routes import Routed, Table
from .targets import PREDICTIONS, parse
from .upstream import Loss, Pool

log = logging.getLogger(__name__)

# Bodies of all waiting requests together.
HELD_BYTES = 1024 * 1024 * 1024


class Dispatcher:
    """The application behind every connection.

    Args:
        loop: the event loop that everything runs on.
        notices: the way to the controller.
        clock: monotonic seconds.
        wall: unix seconds.
        request_log: write a line per request that reached a served entity.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        notices: Notices,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        request_log: bool = False,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.wall = wall
        self.table = Table()
        self.queues: Queues[Exchange] = Queues()
        self.reports = Reports(loop, notices, self.queues, clock)
        self.deadlines = Deadlines(loop, clock)
        self._notices = notices
        self.captures = Captures()
        self._questions = Questions(self.table, self.queues, self.captures)
        self._pools = Pools(clock)
        self._warm_since: dict[str, float] = {}
        self._held_bytes = 0
        self._request_log = request_log

    # --- Application --------------------------------------------------------------------------------

    def admit(self, request: Request) -> int:
        """Check path, caller and endpoint of a request before its body is read; returns the body's limit."""
        request.target = target = parse(request.method, request.url)
        if target.name is None:
            if target.kind == "models" and not request.trusted:
                request.caller = tokens.known(self.table, request.noted.get(b"authorization"))
            return 0
        if not request.trusted:
            if target.kind == "captures":
                raise PermissionDenied(
                    "Captured requests are told on the gateway's unix socket only.",
                    hint="Ask through Jupyter, or as the user who runs the gateway.",
                )
            endpoint = self._check(target.name, request.noted.get(b"authorization"))
        else:
            endpoint = self.table.find(target.name)
        return endpoint.max_body_bytes if target.kind in PREDICTIONS else 0

    def serve(self, request: Request, client: Client) -> None:
        """Answer a whole request: route it, give it a slot or let it wait."""
        try:
            if request.target.kind not in PREDICTIONS:
                client.send(self._questions.answer(request), end=True)
                return
            routed = self.table.route(request.target)
        except ServingError as error:
            self._note_refusal(request.target.name or "", error)
            rid = heads.request_id(request.noted.get(b"x-request-id"))
            client.send(refusals.answer(error, request, rid), end=True)
            return
        exchange = Exchange(self, request, client, routed)
        self.reports.gaps.begun(routed.endpoint.name, request.arrived)
        if routed.endpoint.capture is not None:
            exchange.record = self.captures.sample(routed, request, exchange.rid, self.wall())
        try:
            self._offer(exchange)
        except QueueFull as full:
            rate = self.meter(exchange.key).rate.rate(self.clock())
            exchange.refuse(overloaded(routed, full, rate), "queue_full")

    # --- configuration ------------------------------------------------------------------------------

    def replace(self, endpoints: Sequence[Endpoint]) -> list[str]:
        """Take these endpoints for all there are; returns ids of replicas that are drained already."""
        before = self.table.endpoints()
        self.table.replace(endpoints)
        return self._apply(before, endpoints)

    def put(self, endpoint: Endpoint) -> list[str]:
        """Add or replace one endpoint; returns ids of replicas that are drained already."""
        before = [e for e in self.table.endpoints() if e.name == endpoint.name]
        self.table.put(endpoint)
        return self._apply(before, [endpoint])

    def forget(self, name: str) -> list[str]:
        """Remove one endpoint: what it held is answered with 404; returns ids of drained replicas."""
        before = [e for e in self.table.endpoints() if e.name == name]
        self.table.forget(name)
        return self._apply(before, [])

    # --- for exchanges ------------------------------------------------------------------------------

    def meter(self, key: str) -> Meter:
        """Counts of a served entity."""
        return self.reports.meter(key)

    def pool(self, member: Member[Exchange]) -> Pool:
        """Connections to a replica."""
        return self._pools.of(member)

    def cold_seconds(self, key: str, since: float) -> float:
        """How long after ``since`` the served entity had no ready replica."""
        return max(0.0, self._warm_since.get(key, self.clock()) - since)

    def withdraw(self, exchange: Exchange) -> None:
        """Remove a waiting request from its queue."""
        if self.queues.withdraw(exchange.key, exchange):
            self._held_bytes -= len(exchange.request.body)

    def requeue(self, exchange: Exchange) -> None:
        """A request that never began waits again, before all others of its served entity."""
        lane = self.queues.lanes.get(exchange.key)
        if lane is None:
            self._route_anew(exchange)
            return
        exchange.wait(cold=not lane.ready)
        self._held_bytes += len(exchange.request.body)
        grants = self.queues.put_back(exchange.key, exchange)
        self._run(grants)
        self.reports.held(lane)

    def free(self, member: Member[Exchange]) -> None:
        """A slot is free: the next request gets it, or the replica is drained."""
        self._run(self.queues.release(member))
        if member.leaving and self.queues.retire(member):
            self._drop_pool(member.id)
            self._notices.drained(member.id)

    def answering(self, member: Member[Exchange], key: str, arrived: float) -> None:
        """A replica began to answer a request that arrived then: it is well."""
        if self._pools.well(member.id):
            self._notices.first_response(member.id, key, self.clock() - arrived)

    def noticed(self, member: Member[Exchange], key: str, value: bytes) -> None:
        """A replica says that something changed for the worse: heed it at once, and tell the controller."""
        said = notice.read(value)
        if said is None:
            log.error("replica %s: a notice cannot be read: %r", member.id, value[:200])
            return
        log.warning("replica %s: %s (capacity %s)", member.id, said.text, said.capacity)
        if said.capacity is not None:
            member.narrow(said.capacity)
        self._notices.notice(member.id, key, said.text, said.capacity)

    def failed(self, member: Member[Exchange], loss: Loss, reason: str) -> None:
        """A connection to a replica failed: tell the controller; leave it alone for a while where none can be had."""
        if member.suspended:
            return
        log.warning("replica %s: request %s: %s", member.id, loss.value, reason)
        self._notices.replica_failed(member.id, reason)
        if loss is not Loss.NEVER_BEGAN:
            return
        self.queues.suspend(member)
        self._note_warmth(member.lane)
        self.loop.call_later(self._pools.pause(member.id), self._resume, member)

    def over(self, exchange: Exchange, status: int) -> None:
        """A request has ended."""
        self.reports.gaps.ended(exchange.routed.endpoint.name, status, self.clock())
        if exchange.record is not None:
            seconds = self.clock() - exchange.request.arrived
            self.captures.add(exchange.routed.endpoint.name, exchange.record, status, seconds)
        if self._request_log:
            seconds = self.clock() - exchange.request.arrived
            where = f"{exchange.routed.endpoint.name}/{exchange.routed.entity.name}"
            log.info("%s %d %.1f ms %s", where, status, seconds * 1000, exchange.rid.decode())

    def busy(self) -> int:
        """Requests that wait or run."""
        running = sum(member.in_flight for member in self.queues.members.values())
        return running + sum(len(lane.waiting) for lane in self.queues.lanes.values())

    def dismiss(self, message: str, *, cold_only: bool) -> None:
        """Answer what waits with 503: all of it, or what has no ready replica."""
        for key, lane in list(self.queues.lanes.items()):
            if cold_only and lane.ready:
                continue
            for exchange in self._flush(key):
                exchange.refuse(Unavailable(message, retry_after=RETRY_COLD_SECONDS), "closing")

    # --- inside -------------------------------------------------------------------------------------

    def _check(self, name: str, authorization: bytes | None) -> Endpoint:
        try:
            return tokens.check(self.table, name, authorization)
        except ServingError:
            if name in self.table:
                self.reports.turned_away(name, "token")
            raise

    def _note_refusal(self, name: str, error: ServingError) -> None:
        """Count what was refused before it belonged to a served entity, where its endpoint is known."""
        if name in self.table:
            state = self.table.find(name).state
            reason = {"STOPPED": "stopped", "FAILED": "failed"}.get(state)
            if isinstance(error, NotFound):
                reason = "unknown_entity"
            self.reports.turned_away(name, reason or "unavailable")

    def _offer(self, exchange: Exchange, *, accepted: bool = False) -> None:
        member = self.queues.offer(exchange.key, exchange, accepted=accepted)
        if member is not None:
            exchange.run(member)
            return
        lane = self.queues.lanes[exchange.key]
        self._held_bytes += len(exchange.request.body)
        if self._held_bytes > HELD_BYTES and not accepted:
            self.withdraw(exchange)
            raise QueueFull(len(lane.waiting), lane.limit)
        cold = not lane.ready
        exchange.wait(cold=cold)
        if cold:
            self.reports.held(lane)

    def _run(self, grants: Sequence[Grant[Exchange]]) -> None:
        for grant in grants:
            self._held_bytes -= len(grant.ticket.request.body)
            grant.ticket.run(grant.member)

    def _flush(self, key: str) -> list[Exchange]:
        waiting = self.queues.flush(key)
        self._held_bytes -= sum(len(exchange.request.body) for exchange in waiting)
        return waiting

    def _route_anew(self, exchange: Exchange) -> None:
        """Its queue is gone or closed: route it as if it came now, ahead of the bound."""
        try:
            routed: Routed = self.table.route(exchange.request.target)
        except ServingError as error:
            exchange.refuse(error, "rerouted")
            return
        exchange.move(routed)
        self._offer(exchange, accepted=True)

    def _apply(self, before: Sequence[Endpoint], after: Sequence[Endpoint]) -> list[str]:
        gone = [entity.key for endpoint in before for entity in endpoint.entities]
        lanes = [
            (entity.key, endpoint.queue_limit, entity.replicas)
            for endpoint in after
            for entity in endpoint.entities
        ]
        change: Change[Exchange] = self.queues.apply(gone, lanes)
        for key in gone:
            self._note_warmth(self.queues.lanes.get(key), key)
        for key, _, _ in lanes:
            self._note_warmth(self.queues.lanes[key])
        self._pools.settle(self.queues.members)
        self.captures.set(before, after)
        self._held_bytes -= sum(len(exchange.request.body) for exchange in change.homeless)
        self._run(change.grants)
        for exchange in [*change.homeless, *self._unservable(after)]:
            self._route_anew(exchange)
        return [*change.drained, *self.idle(r for e in after for r in e.draining)]

    def idle(self, replicas: Iterable[str]) -> list[str]:
        """Those of these replicas, all out of the routing, that hold no request.

        A controller that missed the news of it (it was restarting) names them again.
        """
        return [replica for replica in replicas if replica not in self.queues.members]

    def _unservable(self, endpoints: Sequence[Endpoint]) -> list[Exchange]:
        """Take out of the queues what waits for something that no replica will serve."""
        return [
            exchange
            for endpoint in endpoints
            for entity in endpoint.entities
            if endpoint.closed() or entity.unavailable
            for exchange in self._flush(entity.key)
        ]

    def _drop_pool(self, replica: str) -> None:
        if replica in self.queues.members:
            self._pools.retire(replica)
        else:
            self._pools.drop(replica)

    def _resume(self, member: Member[Exchange]) -> None:
        grants = self.queues.resume(member)
        self._note_warmth(member.lane)
        self._run(grants)

    def _note_warmth(self, lane: Lane[Exchange] | None, key: str = "") -> None:
        """Remember since when a served entity has a ready replica."""
        if lane is None or not lane.ready:
            self._warm_since.pop(lane.key if lane else key, None)
        else:
            self._warm_since.setdefault(lane.key, self.clock())
