"""Answers on a connection: whole or not yet, right or wrong."""

from __future__ import annotations

import json

OK = b"HTTP/1.1 200"
END = b"\r\n\r\n"


class Malformed(ValueError):
    """Not an HTTP/1.1 answer with a length."""


def is_plain(data: bytes, body: bytes) -> bool:
    """True if ``data`` is exactly one answer with status 200 and this body (the quick look, no parsing)."""
    return (
        data.startswith(OK)
        and data.endswith(body)
        and data.find(END) + len(END) + len(body) == len(data)
    )


def split(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Status, body and the rest of the first answer in ``data``; None while it is not whole.

    Raises:
        Malformed: what came is no answer, or tells no length.
    """
    end = data.find(END)
    if end < 0:
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise Malformed(repr(data[:80]))
        return None
    status, headers = _head(data[:end])
    start = end + len(END)
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _chunked(status, data, start)
    try:
        stop = start + int(headers[b"content-length"])
    except (KeyError, ValueError):
        raise Malformed(f"an answer without a length: {data[:80]!r}") from None
    return None if len(data) < stop else (status, data[start:stop], data[stop:])


def _head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise Malformed(repr(lines[0][:80]))
    pairs = (line.partition(b":") for line in lines[1:])
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _chunked(status: int, data: bytes, at: int) -> tuple[int, bytes, bytes] | None:
    parts: list[bytes] = []
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        try:
            size = int(data[at:line].split(b";")[0], 16)
        except ValueError:
            raise Malformed(f"a chunk without a size: {data[at:line][:40]!r}") from None
        at = line + 2
        if len(data) < at + size + 2:
            return None
        if size == 0:
            return status, b"".join(parts), data[at + 2 :]
        parts.append(data[at : at + size])
        at += size + 2


def equal(body: bytes, expected: bytes) -> bool:
    """True if the bodies are the same bytes, or the same JSON."""
    if body == expected:
        return True
    try:
        return bool(json.loads(body) == json.loads(expected))
    except ValueError:
        return False
