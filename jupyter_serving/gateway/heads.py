"""Heads of HTTP messages as bytes: what is passed on, what is dropped, what is added (pure).

Hop-by-hop headers: RFC 9110, section 7.6.1. Server-Timing: https://www.w3.org/TR/server-timing/.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from ..errors import ServingError

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Set anew by us, or credentials that no model may see.
NOT_TO_REPLICA = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"authorization",
    b"cookie",
    b"x-xsrftoken",
    b"x-request-id",
    b"x-serving-deadline",
}
NOT_TO_CLIENT = HOP_BY_HOP | {b"server-timing", b"x-request-id", b"served-model-name"}
# Who the user is: believed only on the unix socket.
NOT_FROM_TCP = NOT_TO_REPLICA | {b"x-jupyter-serving-user"}
_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(given: bytes | None) -> bytes:
    """The caller's request id where it is harmless (128 characters of ``A-Za-z0-9._:/+=-``), else a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return os.urandom(16).hex().encode()


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Header names that ``Connection`` declares to be hop-by-hop."""
    values = [value for name, value in headers if name == b"connection"]
    if not values:
        return frozenset()
    return frozenset(word.strip().lower() for value in values for word in value.split(b","))


def request_head(
    headers: Headers, length: int, rid: bytes, deadline: float, *, trusted: bool
) -> bytes:
    """Head of the request to a replica.

    Args:
        headers: the client's, names in lower case.
        length: bytes of the body.
        rid: request id.
        deadline: unix seconds at which the replica has to give up.
        trusted: whether the caller may name a user (unix socket only).
    """
    dropped = NOT_TO_REPLICA if trusted else NOT_FROM_TCP
    named = _named_by_connection(headers)
    if named:
        dropped |= named
    lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if name not in dropped]
    return (
        b"POST /invocations HTTP/1.1\r\nhost: replica\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
        % (
            length,
            rid,
        )
        + b"x-serving-deadline: %.3f\r\n%b\r\n" % (deadline, b"".join(lines))
    )


def response_head(status: int, headers: Headers, added: Headers, *, keep_alive: bool) -> bytes:
    """Head of a replica's answer as passed to the client, framing headers excepted.

    ``content-length`` of the replica is passed on; without it ``added`` has to say how the body is framed.
    """
    named = _named_by_connection(headers)
    dropped = NOT_TO_CLIENT | named if named else NOT_TO_CLIENT
    kept = [b"%b: %b\r\n" % (name, value) for name, value in headers if name not in dropped]
    more = [b"%b: %b\r\n" % pair for pair in added]
    last = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
    return b"".join((status_line(status), *kept, *more, last))


def status_line(status: int) -> bytes:
    """First line of an answer."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


def server_timing(parts: Iterable[tuple[bytes, float]], merged: Iterable[bytes]) -> bytes:
    """Value of ``Server-Timing``: our parts as (name, seconds), then the replica's own values as they came."""
    ours = [b"%b;dur=%.2f" % (name, seconds * 1000) for name, seconds in parts]
    return b", ".join([*ours, *(value for value in merged if value)])


def error_response(
    error: ServingError, added: Headers, *, keep_alive: bool, body: bool = True
) -> bytes:
    """A whole error answer: ``{"error_code", "message"}``; ``body=False`` for HEAD."""
    content = msgspec.json.encode(error.to_wire())
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        *added,
    ]
    if error.retry_after is not None:
        # An integer: the SDK reads nothing else.
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    head = response_head(error.status, [], headers, keep_alive=keep_alive)
    return head + content if body else head
