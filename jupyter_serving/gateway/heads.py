"""Heads of HTTP messages as bytes: what is passed on, what is dropped, what is added (pure).

``x-serving-*`` is what gateway and replica say to each other: it is neither taken from clients nor shown to them.
Hop-by-hop headers: RFC 9110, section 7.6.1. Server-Timing: https://www.w3.org/TR/server-timing/.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

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
}
NOT_TO_CLIENT = HOP_BY_HOP | {b"server-timing", b"x-request-id", b"served-model-name"}
# Who the user is: believed only on the unix socket.
NOT_FROM_TCP = NOT_TO_REPLICA | {b"x-jupyter-serving-user"}
OURS = b"x-serving-"
# The end of an answer's head: the connection stays, is closed, or stays though HTTP/1.0 would close it.
STAYS, CLOSES, STAYS_1_0 = b"\r\n", b"connection: close\r\n\r\n", b"connection: keep-alive\r\n\r\n"
_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
# Unique, not secret: random per process and counted, which spares a system call per request.
_PROCESS = os.urandom(8).hex().encode()
_count = itertools.count()


def request_id(given: bytes | None) -> bytes:
    """The caller's request id where it is harmless (128 characters of ``A-Za-z0-9._:/+=-``), else a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return b"%b%016x" % (_PROCESS, next(_count))


def _words(value: bytes) -> frozenset[bytes]:
    """Header names in a ``Connection`` header."""
    return frozenset(word.strip().lower() for word in value.split(b","))


def request_head(
    headers: Headers, length: int, rid: bytes, deadline: float, model: Headers, *, trusted: bool
) -> bytes:
    """Head of the request to a replica: V2's inference where ``model`` names what was asked for, else invocations.

    Args:
        headers: the client's, names in lower case.
        length: bytes of the body.
        rid: request id.
        deadline: unix seconds at which the replica has to give up.
        model: headers that say which model and version a V2 request asks for; empty for others.
        trusted: whether the caller may name a user (unix socket only).
    """
    dropped = NOT_TO_REPLICA if trusted else NOT_FROM_TCP
    for name, value in headers:
        if name == b"connection":
            dropped = dropped | _words(value)
    lines = [
        b"%b: %b\r\n" % (name, value)
        for name, value in headers
        if name not in dropped and not name.startswith(OURS)
    ]
    lines += [b"%b: %b\r\n" % pair for pair in model]
    return b"".join(
        (
            b"POST /v2/infer" if model else b"POST /invocations",
            b" HTTP/1.1\r\nhost: replica\r\ncontent-length: %d\r\nx-request-id: %b\r\nx-serving-deadline: %.3f\r\n"
            % (length, rid, deadline),
            *lines,
            b"\r\n",
        )
    )


@dataclass(slots=True)
class Passed:
    """What of a replica's answer concerns its client.

    Attributes:
        lines: headers to pass on, as they go on the wire.
        timings: values of ``Server-Timing``.
        sized: True where ``content-length`` is among the lines.
        notice: value of ``x-serving-notice``, None without one.
    """

    lines: list[bytes]
    timings: list[bytes]
    sized: bool
    notice: bytes | None


def passed(headers: Headers) -> Passed:
    """Sort the headers of a replica's answer."""
    found = Passed([], [], False, None)
    for name, value in headers:
        if name in NOT_TO_CLIENT or name.startswith(OURS):
            if name == b"server-timing":
                found.timings.append(value)
            elif name == b"x-serving-notice":
                found.notice = value
            elif name == b"connection" and value.lower() not in (b"close", b"keep-alive"):
                named = _words(value)
                return passed(
                    [pair for pair in headers if pair[0] not in named and pair[0] != name]
                )
            continue
        if name == b"content-length":
            found.sized = True
        found.lines.append(b"%b: %b\r\n" % (name, value))
    return found


def response_head(status: int, lines: Iterable[bytes], ending: bytes) -> bytes:
    """Head of an answer: ``lines`` have to say how its body is framed; ``ending`` is one of the three above."""
    return b"".join((status_line(status), *lines, ending))


def written(headers: Headers) -> list[bytes]:
    """Headers as they go on the wire."""
    return [b"%b: %b\r\n" % pair for pair in headers]


def status_line(status: int) -> bytes:
    """First line of an answer."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


def server_timing(parts: Iterable[tuple[bytes, float]], merged: Iterable[bytes]) -> bytes:
    """Value of ``Server-Timing``: our parts as (name, seconds), then the replica's own values as they came."""
    ours = [b"%b;dur=%.2f" % (name, seconds * 1000) for name, seconds in parts]
    return b", ".join([*ours, *(value for value in merged if value)])
