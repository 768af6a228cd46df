"""A bounded ring of recent requests of an endpoint, for replay and debugging; only where the endpoint asks for it.

It lives in memory alone and is read on the unix socket alone. Of the headers only the content type and coding are kept:
no credential ever gets here.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from ..errors import BadRequest
from .endpoint import Capture, Endpoint
from .heads import Headers
from .request import Request
from .routes import Routed

# Of one body; and none may take more than this share of the ring.
BODY_BYTES = 256 * 1024
BODY_SHARE = 4
# What a record takes beside its bodies.
RECORD_BYTES = 1024
# Sums of binary fractions fall short of whole numbers by less than this.
_ROUNDING = 1e-6


class Body:
    """The beginning of a body, and how long it was."""

    __slots__ = ("_limit", "kept", "kind", "size")

    def __init__(self, limit: int, kind: bytes = b"") -> None:
        self._limit = limit
        self.kind = kind
        self.kept = b""
        self.size = 0

    def add(self, data: bytes) -> None:
        """The next part of it."""
        room = self._limit - len(self.kept)
        self.size += len(data)
        if room > 0 and data:
            self.kept += data if len(data) <= room else data[:room]

    def to_wire(self) -> dict[str, Any]:
        """``body`` is text where it is UTF-8, else base64; ``cut`` says that it is only the beginning of it."""
        cut = self.size > len(self.kept)
        text = _text(self.kept, cut)
        return {
            "content_type": self.kind.decode("latin-1"),
            "size": self.size,
            "cut": cut,
            "encoding": "utf-8" if text is not None else "base64",
            "body": text if text is not None else base64.b64encode(self.kept).decode(),
        }


class Record:
    """One request and what its client was answered.

    Args:
        request: the request, whole.
        rid: its id.
        entity: name of the served entity that it was routed to.
        at: unix seconds of its arrival.
        limit: bytes of a body that are kept.
    """

    __slots__ = (
        "_closed",
        "_coding",
        "_path",
        "at",
        "entity",
        "request",
        "response",
        "rid",
        "seconds",
        "status",
    )

    def __init__(self, request: Request, rid: bytes, entity: str, at: float, limit: int) -> None:
        self.rid = rid
        self.entity = entity
        self.at = at
        self.status = 0
        self.seconds = 0.0
        self._closed = False
        self._path = request.url.partition(b"?")[0]
        self._coding = request.noted.get(b"content-encoding", b"")
        self.request = Body(limit, request.noted.get(b"content-type", b""))
        self.request.add(request.body)
        self.response = Body(limit)

    def begun(self, status: int, headers: Headers) -> None:
        """The head of the replica's answer."""
        if not self._closed:
            self.status = status
            self.response.kind = dict(headers).get(b"content-type", b"")

    def answered(self, data: bytes) -> None:
        """A part of the replica's answer."""
        if not self._closed:
            self.response.add(data)

    def told(self, status: int, body: bytes) -> None:
        """The client got this refusal; what the replica may still say is not what it got."""
        if not self._closed:
            self.status, self._closed = status, True
            self.response.kind = b"application/json"
            self.response.add(body)

    @property
    def bytes(self) -> int:
        """Memory that it takes, about."""
        return RECORD_BYTES + len(self.request.kept) + len(self.response.kept)

    def to_wire(self) -> dict[str, Any]:
        """As it is told: ``at`` in unix seconds, ``content_encoding`` that of the request."""
        return {
            "id": self.rid.decode(),
            "at": self.at,
            "seconds": round(self.seconds, 6),
            "served_entity": self.entity,
            "path": self._path.decode("latin-1"),
            "status": self.status,
            "content_encoding": self._coding.decode("latin-1"),
            "request": self.request.to_wire(),
            "response": self.response.to_wire(),
        }


class Ring:
    """The newest records of one endpoint, within its bounds of number and bytes."""

    def __init__(self, wanted: Capture) -> None:
        self._wanted = wanted
        self._records: deque[Record] = deque()
        self._seen = 0
        self._bytes = 0

    def change(self, wanted: Capture) -> None:
        """New bounds: what is beyond them is dropped, the oldest first."""
        self._wanted = wanted
        self._trim()

    def sample(self, request: Request, rid: bytes, entity: str, at: float) -> Record | None:
        """A record to be filled and given to ``add``, for exactly the wanted share of all requests; else None."""
        share = min(1.0, max(0.0, self._wanted.sample))
        before = math.floor(self._seen * share + _ROUNDING)
        self._seen += 1
        if math.floor(self._seen * share + _ROUNDING) == before:
            return None
        limit = min(BODY_BYTES, self._wanted.max_bytes // BODY_SHARE)
        return Record(request, rid, entity, at, limit)

    def add(self, record: Record, status: int, seconds: float) -> None:
        """A record is complete; ``status`` is what it ended with where no answer began."""
        record.status = record.status or status
        record.seconds = seconds
        self._records.append(record)
        self._bytes += record.bytes
        self._trim()

    def newest(self, limit: int) -> list[Record]:
        """Up to ``limit`` records, the newest last."""
        return list(self._records)[max(0, len(self._records) - limit) :]

    def to_wire(self, limit: int) -> dict[str, Any]:
        """``seen`` counts all requests since capturing began, ``kept`` those that the ring holds."""
        return {
            "seen": self._seen,
            "kept": len(self._records),
            "captures": [record.to_wire() for record in self.newest(limit)],
        }

    def _trim(self) -> None:
        wanted = self._wanted
        while self._records and (
            len(self._records) > wanted.max_requests or self._bytes > wanted.max_bytes
        ):
            self._bytes -= self._records.popleft().bytes


class Captures:
    """The rings of all endpoints that are captured, by name."""

    def __init__(self) -> None:
        self._rings: dict[str, Ring] = {}

    def set(self, before: Iterable[Endpoint], after: Iterable[Endpoint]) -> None:
        """Endpoints changed: new bounds keep what fits; what is not captured any more is forgotten."""
        wanted = {endpoint.name: endpoint.capture for endpoint in after}
        for name in {*wanted, *(endpoint.name for endpoint in before)}:
            bounds = wanted.get(name)
            if bounds is None:
                self._rings.pop(name, None)
            elif name in self._rings:
                self._rings[name].change(bounds)
            else:
                self._rings[name] = Ring(bounds)

    def sample(self, routed: Routed, request: Request, rid: bytes, at: float) -> Record | None:
        """A record of this request, where its endpoint is captured and its turn has come."""
        ring = self._rings.get(routed.endpoint.name)
        return ring.sample(request, rid, routed.entity.name, at) if ring is not None else None

    def add(self, name: str, record: Record, status: int, seconds: float) -> None:
        """A request of endpoint ``name`` is over; it is forgotten where capturing ended meanwhile."""
        ring = self._rings.get(name)
        if ring is not None:
            ring.add(record, status, seconds)

    def to_wire(self, name: str, limit: int) -> dict[str, Any]:
        """What is told about an endpoint; raises ``BadRequest`` where nothing is captured of it."""
        ring = self._rings.get(name)
        if ring is None:
            raise BadRequest(
                f"Requests of endpoint {name!r} are not captured.",
                hint="Give it a capture configuration first.",
            )
        return ring.to_wire(limit)


def _text(data: bytes, cut: bool) -> str | None:
    """As UTF-8, without a last character that was cut in two; None where it is no text."""
    for end in range(len(data), max(-1, len(data) - (4 if cut else 1)), -1):
        try:
            return data[:end].decode()
        except UnicodeDecodeError:
            continue
    return None
