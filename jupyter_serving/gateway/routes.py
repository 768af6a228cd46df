"""Where a request goes: a pure table made from the controller's endpoint messages.

The split is exact: the served entities of an endpoint follow each other in a fixed smooth cycle whose length divides
the sum of the percentages, so any 100 consecutive requests are split exactly as configured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import NotFound, ServingError, Unavailable
from .endpoint import RETRY_UNAVAILABLE_SECONDS, Endpoint, Entity, Share
from .targets import Target


@dataclass(frozen=True, slots=True)
class Routed:
    """Outcome of routing one request."""

    endpoint: Endpoint
    entity: Entity


def cycle_of(shares: Iterable[Share]) -> tuple[str, ...]:
    """Order of the served entities in one period, by smooth weighted round robin (as nginx does it).

    The length is sum / gcd of the percentages; zero shares do not appear.
    """
    weights = {share.entity: share.percent for share in shares if share.percent > 0}
    if not weights:
        return ()
    divisor = math.gcd(*weights.values())
    weights = {name: percent // divisor for name, percent in weights.items()}
    total, current, order = sum(weights.values()), dict.fromkeys(weights, 0), []
    for _ in range(total):
        for name, weight in weights.items():
            current[name] += weight
        chosen = max(current, key=lambda name: current[name])
        current[chosen] -= total
        order.append(chosen)
    return tuple(order)


class _Entry:
    """An endpoint with what routing needs at hand: entities by name, the cycle and the place in it."""

    __slots__ = ("closed", "cursor", "cycle", "endpoint", "entities")

    def __init__(self, endpoint: Endpoint, before: _Entry | None) -> None:
        self.endpoint = endpoint
        self.closed = endpoint.closed()
        self.entities = {entity.name: entity for entity in endpoint.entities}
        self.cycle = cycle_of(endpoint.routes) or tuple(self.entities)
        # A membership change must not restart the split, or a small share would never be reached under churn.
        self.cursor: int = before.cursor if before and before.cycle == self.cycle else 0

    def next_name(self) -> str:
        name = self.cycle[self.cursor]
        self.cursor = (self.cursor + 1) % len(self.cycle)
        return name


class Table:
    """All endpoints by name, with the state of each split."""

    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._entries: dict[str, _Entry] = {}
        self._known: frozenset[str] = frozenset()
        self.replace(endpoints)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def endpoints(self) -> list[Endpoint]:
        """All endpoints, in the order they came."""
        return [entry.endpoint for entry in self._entries.values()]

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        """Take ``endpoints`` for the whole truth."""
        before = self._entries
        self._entries = {e.name: _Entry(e, before.get(e.name)) for e in endpoints}
        self._learn_tokens()

    def put(self, endpoint: Endpoint) -> None:
        """Add or replace one endpoint."""
        self._entries[endpoint.name] = _Entry(endpoint, self._entries.get(endpoint.name))
        self._learn_tokens()

    def forget(self, name: str) -> None:
        """Remove one endpoint; an unknown name is no error."""
        self._entries.pop(name, None)
        self._learn_tokens()

    def find(self, name: str) -> Endpoint:
        """The endpoint of that name; raises ``NotFound``."""
        entry = self._entries.get(name)
        if entry is None:
            raise _unknown(name)
        return entry.endpoint

    def knows_token(self, digest: str) -> bool:
        """True where any endpoint has this token digest (sha256, hex)."""
        return digest in self._known

    def names_of(self, digest: str) -> list[str]:
        """Names of the endpoints that have this token digest."""
        return [name for name, entry in self._entries.items() if digest in entry.endpoint.tokens]

    def models(self, name: str, model: str, version: str | None) -> list[Entity]:
        """Served entities that a V2 path means: ``model`` is the endpoint or a served entity of it.

        Of an endpoint without a version these are all that take part in its split.
        Raises ``NotFound``: no such endpoint, model or version.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise _unknown(name)
        named = entry.endpoint.entities
        if model != name:
            named = tuple(entity for entity in named if entity.name == model)
            if not named:
                raise _no_entity(entry, model)
        if version is None:
            shared = frozenset(entry.cycle)
            return [entity for entity in named if model != name or entity.name in shared]
        found = [entity for entity in named if entity.version == version]
        if not found:
            known = ", ".join(sorted({e.version for e in named if e.version})) or "none"
            raise NotFound(
                f"Model {model!r} of endpoint {name!r} is not served in version {version!r}.",
                hint=f"Versions that are: {known}.",
            )
        return found

    def route(self, target: Target) -> Routed:
        """Choose the served entity for one request: the named one, else the next of the split.

        Raises:
            NotFound: unknown endpoint, served entity or version.
            BadRequest: the endpoint is stopped or failed.
            Unavailable: it is being created, or nothing can serve the entity; the message says why.
        """
        name = target.name or ""
        entry = self._entries.get(name)
        if entry is None:
            raise _unknown(name)
        if entry.closed is not None:
            raise _again(entry.closed)
        chosen = target.entity
        if target.model is not None and (target.model != name or target.version is not None):
            chosen = self.models(name, target.model, target.version)[0].name
        if chosen is None:
            chosen = entry.next_name()
        entity = entry.entities.get(chosen)
        if entity is None:
            raise _no_entity(entry, chosen)
        if entity.unavailable:
            raise Unavailable(
                f"Served entity {chosen!r} of endpoint {name!r} cannot answer: {entity.unavailable}",
                retry_after=RETRY_UNAVAILABLE_SECONDS,
            )
        return Routed(entry.endpoint, entity)

    def _learn_tokens(self) -> None:
        self._known = frozenset(t for e in self._entries.values() for t in e.endpoint.tokens)


def _again(error: ServingError) -> ServingError:
    """A fresh copy: an exception that is raised twice would collect tracebacks."""
    return type(error)(error.message, hint=error.hint, retry_after=error.retry_after)


def _no_entity(entry: _Entry, name: str) -> NotFound:
    return NotFound(
        f"Endpoint {entry.endpoint.name!r} has no served entity {name!r}.",
        hint=f"It has: {', '.join(sorted(entry.entities))}.",
    )


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"There is no endpoint named {name!r}.",
        hint="GET /api/2.0/serving-endpoints lists those that exist.",
    )
