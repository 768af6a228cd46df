"""Who waits and who runs: one FIFO per served entity in front of replicas with hard limits (pure).

Invariants: a replica never holds more requests than its limit; a request waits only while every member is full; waiting
requests start in the order of their arrival. What a replica holds is counted by its id, not by queue: when a new config
takes a replica over, requests of the old config still occupy it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .endpoint import Replica

Ticket = TypeVar("Ticket", bound=Hashable)


class QueueFull(Exception):
    """The queue of this served entity holds as many requests as it may."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting} of {limit} requests wait")
        self.waiting = waiting
        self.limit = limit


class Member(Generic[Ticket]):
    """A replica as the queue sees it. ``lane`` is None once it left the routing; ``limit`` is what it may hold."""

    __slots__ = (
        "_ceiling",
        "_told",
        "address",
        "draining",
        "id",
        "in_flight",
        "lane",
        "limit",
        "slots",
        "suspended",
    )

    def __init__(self, replica: Replica) -> None:
        self.id = replica.id
        self.in_flight = 0
        self.suspended = False
        self.lane: Lane[Ticket] | None = None
        self._ceiling: int | None = None
        self.update(replica)

    def update(self, replica: Replica) -> None:
        """Take over what the controller says now."""
        self.address = replica.address
        self.slots = replica.slots
        self.draining = replica.draining
        self._told = replica.capacity or replica.slots
        self._set_limit()

    def narrow(self, capacity: int) -> None:
        """The replica itself says what it can hold: that counts for its life, also where the controller says more."""
        self._ceiling = capacity
        self._set_limit()

    def _set_limit(self) -> None:
        self.limit = self._told if self._ceiling is None else min(self._told, self._ceiling)

    @property
    def usable(self) -> bool:
        """True where it may be given requests (it may still be full)."""
        return self.lane is not None and not self.draining and not self.suspended and self.limit > 0

    @property
    def leaving(self) -> bool:
        """True where it gets no new requests for good."""
        return self.lane is None or self.draining


class Lane(Generic[Ticket]):
    """The queue and the replicas of one served entity."""

    __slots__ = ("key", "limit", "members", "waiting")

    def __init__(self, key: str, limit: int) -> None:
        self.key = key
        self.limit = limit
        self.members: list[Member[Ticket]] = []
        self.waiting: OrderedDict[Ticket, None] = OrderedDict()

    @property
    def ready(self) -> bool:
        """True where at least one replica takes requests."""
        return any(member.usable for member in self.members)

    @property
    def slots(self) -> int:
        """Slots of all replicas that take requests."""
        return sum(member.slots for member in self.members if member.usable)

    @property
    def capacity(self) -> int:
        """Most requests that all replicas that take requests may hold together."""
        return sum(member.limit for member in self.members if member.usable)

    def held(self) -> dict[str, int]:
        """Requests that each replica holds, by its id."""
        return {member.id: member.in_flight for member in self.members}

    def pick(self) -> Member[Ticket] | None:
        """The member that is least loaded for its limit, the larger of equals; None when all are full."""
        best = None
        for member in self.members:
            if member.in_flight >= member.limit or not member.usable:
                continue
            if best is None:
                best = member
                continue
            # a / b < c / d without the division
            load = member.in_flight * best.limit
            least = best.in_flight * member.limit
            if load < least or (load == least and member.limit > best.limit):
                best = member
        return best


@dataclass(slots=True)
class Grant(Generic[Ticket]):
    """A waiting request that may start now, and where."""

    ticket: Ticket
    member: Member[Ticket]


@dataclass(slots=True)
class Change(Generic[Ticket]):
    """Outcome of a membership change.

    Attributes:
        grants: requests to start now.
        homeless: requests whose queue is gone, by arrival in each; they have to be routed anew.
        drained: ids of replicas that left or are draining and hold nothing.
    """

    grants: list[Grant[Ticket]] = field(default_factory=list)
    homeless: list[Ticket] = field(default_factory=list)
    drained: list[str] = field(default_factory=list)


class Queues(Generic[Ticket]):
    """All lanes by key and all replicas by id."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane[Ticket]] = {}
        self.members: dict[str, Member[Ticket]] = {}

    def offer(self, key: str, ticket: Ticket, *, accepted: bool = False) -> Member[Ticket] | None:
        """Give a request a slot, or let it wait.

        Returns the replica whose slot it now holds, or None when it waits. ``accepted`` requests (routed anew) may pass
        the bound. Raises ``QueueFull``, and ``KeyError`` for an unknown key.
        """
        lane = self.lanes[key]
        if not lane.waiting:
            member = lane.pick()
            if member is not None:
                member.in_flight += 1
                return member
        if len(lane.waiting) >= lane.limit and not accepted:
            raise QueueFull(len(lane.waiting), lane.limit)
        lane.waiting[ticket] = None
        return None

    def put_back(self, key: str, ticket: Ticket) -> list[Grant[Ticket]]:
        """Let a request that never began wait again, before all others; returns who starts now."""
        lane = self.lanes[key]
        lane.waiting[ticket] = None
        lane.waiting.move_to_end(ticket, last=False)
        return self._grants(lane)

    def withdraw(self, key: str, ticket: Ticket) -> bool:
        """Remove a waiting request; False when it does not wait here."""
        lane = self.lanes.get(key)
        if lane is None or ticket not in lane.waiting:
            return False
        del lane.waiting[ticket]
        return True

    def flush(self, key: str) -> list[Ticket]:
        """Remove and return everything that waits, by arrival."""
        lane = self.lanes[key]
        tickets = list(lane.waiting)
        lane.waiting.clear()
        return tickets

    def release(self, member: Member[Ticket]) -> list[Grant[Ticket]]:
        """Free one slot; returns who starts now. Ask ``retire`` afterwards whether the replica is drained."""
        member.in_flight -= 1
        return self._grants(member.lane) if member.lane else []

    def retire(self, member: Member[Ticket]) -> bool:
        """True where the replica is leaving and holds nothing; one that left the routing is then forgotten."""
        if not member.leaving or member.in_flight:
            return False
        if member.lane is None and self.members.get(member.id) is member:
            del self.members[member.id]
        return True

    def suspend(self, member: Member[Ticket]) -> None:
        """Give no requests to this replica until ``resume``."""
        member.suspended = True

    def resume(self, member: Member[Ticket]) -> list[Grant[Ticket]]:
        """End a suspension; returns who starts now."""
        member.suspended = False
        return self._grants(member.lane) if member.lane else []

    def apply(
        self, gone: Iterable[str], lanes: Sequence[tuple[str, int, Sequence[Replica]]]
    ) -> Change[Ticket]:
        """Change lanes at once: remove the keys of ``gone``, then set ``lanes`` to (key, limit, replicas).

        A key in both keeps its queue. A replica that is in no lane afterwards leaves.
        """
        change: Change[Ticket] = Change()
        kept = {key for key, _, _ in lanes}
        touched: dict[str, Member[Ticket]] = {}
        for key in [*dict.fromkeys(gone), *kept]:
            lane = self.lanes.get(key)
            for member in lane.members if lane else ():
                member.lane = None
                touched[member.id] = member
            if lane and key not in kept:
                change.homeless.extend(lane.waiting)
                del self.lanes[key]
        for key, limit, replicas in lanes:
            for member in self._set_members(key, limit, replicas):
                touched[member.id] = member
        for key in kept:
            change.grants.extend(self._grants(self.lanes[key]))
        change.drained = [member.id for member in touched.values() if self.retire(member)]
        return change

    def _set_members(
        self, key: str, limit: int, replicas: Sequence[Replica]
    ) -> list[Member[Ticket]]:
        lane = self.lanes.setdefault(key, Lane(key, limit))
        lane.limit = limit
        lane.members = []
        for replica in replicas:
            member = self.members.setdefault(replica.id, Member(replica))
            member.update(replica)
            if member.lane is not None and member in member.lane.members:
                member.lane.members.remove(member)
            member.lane = lane
            lane.members.append(member)
        return lane.members

    def _grants(self, lane: Lane[Ticket]) -> list[Grant[Ticket]]:
        grants = []
        while lane.waiting:
            member = lane.pick()
            if member is None:
                break
            ticket, _ = lane.waiting.popitem(last=False)
            member.in_flight += 1
            grants.append(Grant(ticket, member))
        return grants
