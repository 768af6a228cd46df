"""Error answers in full: one shape for all, one more key for clients of the Open Inference Protocol (pure)."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from ..errors import ServingError
from . import heads
from .heads import Headers
from .request import Request
from .targets import MethodNotAllowed, speaks_v2


def wire(error: ServingError, url: bytes) -> dict[str, Any]:
    """Body of a refusal: ``{"error_code", "message"}``, and ``error`` for a V2 path (its clients read only that)."""
    said = error.to_wire()
    return {"error": said["message"], **said} if speaks_v2(url) else said


def answer(error: ServingError, request: Request, rid: bytes | None = None) -> bytes:
    """The whole answer that refuses ``request``; it has no body where the method is HEAD."""
    added: Headers = [(b"x-request-id", rid)] if rid else []
    if isinstance(error, MethodNotAllowed):
        added.append((b"allow", error.allowed.encode()))
    if error.retry_after is not None:
        # An integer: the SDK reads nothing else.
        added.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    return json_answer(error.status, wire(error, request.url), request, added)


def json_answer(status: int, content: Any, request: Request, added: Headers) -> bytes:
    """An answer of ours with a JSON body; HEAD gets its head only."""
    body = msgspec.json.encode(content)
    framing: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    head = heads.response_head(status, heads.written([*framing, *added]), request.ending)
    return head if request.method == "HEAD" else head + body
