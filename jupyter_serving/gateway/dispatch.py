"""Ties routing, queues, replicas and counts together: what happens to a request, and what a config change does to all.

Decisions are made in ``routes`` and ``queue``; here they take effect.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence

from ..errors import Overloaded, ServingError, Unavailable
from . import heads, tokens
from .exchange import Exchange
from .meter import Meter
from .queue import Change, Grant, Lane, Member, QueueFull, Queues
from .reports import Notices, Reports
from .request import Client, Request
from .routes import Endpoint, Table
from .targets import HEALTH, parse
from .upstream import Loss, Pool

log = logging.getLogger(__name__)

# A refusing replica is left alone for this long, doubled up to the second one, so that it does not attract requests.
SUSPEND_SECONDS = (0.25, 8.0)
# Bodies of all waiting requests together.
HELD_BYTES = 1024 * 1024 * 1024
RETRY_COLD_SECONDS = 5.0
_HEALTHY = heads.response_head(
    200,
    [],
    [(b"content-type", b"application/json"), (b"content-length", b"15")],
    keep_alive=True,
)


def retry_after(waiting: int, rate: float, longest: float) -> float:
    """Whole seconds until ``waiting`` requests are worked off at ``rate`` per second: 1 … ``longest``, 5 at rate 0."""
    seconds = math.ceil(waiting / rate) if rate else RETRY_COLD_SECONDS
    return max(1.0, min(seconds, math.ceil(longest)))


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
        self._notices = notices
        self._pools: dict[str, Pool] = {}
        self._answered: set[str] = set()
        self._pauses: dict[str, float] = {}
        self._warm_since: dict[str, float] = {}
        self._held_bytes = 0
        self._request_log = request_log

    # --- Application --------------------------------------------------------------------------------

    def admit(self, request: Request) -> int:
        """Check path, caller and endpoint of a request before its body is read; returns the body's limit."""
        request.target = target = parse(request.method, request.url)
        if target is HEALTH:
            return 0
        if not request.trusted:
            tokens.check(self.table, target.name, request.header(b"authorization"))
        return self.table.find(target.name).max_body_bytes

    def serve(self, request: Request, client: Client) -> None:
        """Answer a whole request: route it, give it a slot or let it wait."""
        if request.target is HEALTH:
            body = b"" if request.method == "HEAD" else b'{"status":"ok"}'
            client.send(_HEALTHY + body, end=True)
            return
        try:
            routed = self.table.route(request.target.name, request.target.entity)
        except ServingError as error:
            self._refuse(request, client, error)
            return
        exchange = Exchange(self, request, client, routed)
        self.meter(exchange.key).arrived(self.wall())
        try:
            self._offer(exchange)
        except QueueFull as full:
            exchange.refuse(self._overloaded(exchange, full), "queue_full")

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
        pool = self._pools.get(member.id)
        if pool is None or pool.address != member.address:
            if pool is not None:
                pool.retire()
            pool = self._pools[member.id] = Pool(member.address, self.clock)
        return pool

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
        if self.queues.retire(member):
            self._drop_pool(member.id)
            self._notices.drained(member.id)

    def answering(self, member: Member[Exchange], key: str) -> None:
        """A replica began to answer: it is well."""
        self._pauses.pop(member.id, None)
        if member.id not in self._answered:
            self._answered.add(member.id)
            self._notices.first_response(member.id, key)

    def failed(self, member: Member[Exchange], loss: Loss, reason: str) -> None:
        """A connection to a replica failed: tell the controller; leave it alone for a while where none can be had."""
        if member.suspended:
            return
        log.warning("replica %s: request %s: %s", member.id, loss.value, reason)
        self._notices.replica_failed(member.id, reason)
        if loss is not Loss.NEVER_BEGAN:
            return
        shortest, longest = SUSPEND_SECONDS
        pause = self._pauses.get(member.id, shortest)
        self._pauses[member.id] = min(longest, pause * 2)
        self.queues.suspend(member)
        self._note_warmth(member.lane)
        self.loop.call_later(pause, self._resume, member)

    def over(self, exchange: Exchange, status: int) -> None:
        """A request has ended."""
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
        exchange.wait(cold=not lane.ready)
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
        target = exchange.request.target
        try:
            routed = self.table.route(target.name, target.entity)
        except ServingError as error:
            exchange.refuse(error, "rerouted")
            return
        self.meter(exchange.key).left()
        exchange.routed = routed
        self.meter(exchange.key).arrived(self.wall())
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
        self._retire_pools()
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

    def _retire_pools(self) -> None:
        for replica, pool in list(self._pools.items()):
            member = self.queues.members.get(replica)
            if member is None:
                self._drop_pool(replica)
            elif member.leaving:
                pool.retire()
            else:
                pool.revive()

    def _drop_pool(self, replica: str) -> None:
        pool = self._pools.get(replica)
        if pool is not None:
            pool.retire()
        if replica not in self.queues.members:
            self._pools.pop(replica, None)
            self._answered.discard(replica)
            self._pauses.pop(replica, None)

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

    def _overloaded(self, exchange: Exchange, full: QueueFull) -> Overloaded:
        """Refusal with the time after which the queue will have been worked off, at the rate measured now."""
        rate = self.meter(exchange.key).rate.rate(self.clock())
        endpoint = exchange.routed.endpoint
        return Overloaded(
            f"Too many requests: {full.waiting} wait already for served entity {exchange.routed.entity.name!r} of "
            f"endpoint {endpoint.name!r} (limit {full.limit}).",
            hint="Send fewer at once, or allow more concurrency.",
            retry_after=retry_after(full.waiting, rate, endpoint.deadline),
        )

    def _refuse(self, request: Request, client: Client, error: ServingError) -> None:
        rid = heads.request_id(request.header(b"x-request-id"))
        answer = heads.error_response(
            error, [(b"x-request-id", rid)], keep_alive=request.keep_alive
        )
        client.send(answer, end=True)
