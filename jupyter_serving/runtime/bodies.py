"""Bodies of requests as the client packed them (RFC 9110 8.4: content codings)."""

from __future__ import annotations

import zlib
from typing import List, Optional

GZIP = ("gzip", "x-gzip")
_PIECE = 1 << 20  # bytes that come out of one call
_SLICE = 1 << 18  # bytes that go into it


class Refused(Exception):
    """The body cannot be unpacked; the message is for the client."""


def unpacked(body: bytes, coding: Optional[str], limit: int) -> bytes:
    """The body without its content coding; ``limit``: most bytes of the result, 0 for no limit.

    Raises:
        Refused: the coding is unknown, the data is broken, or there is too much of it.
    """
    name = (coding or "identity").strip().lower()
    if name == "identity":
        return body
    if name not in GZIP:
        raise Refused(
            f"Content-Encoding {coding!r} is not supported; send gzip, or the plain body."
        )
    try:
        return _inflated(body, limit)
    except zlib.error as error:
        raise Refused(f"The body is not gzip data as Content-Encoding says: {error}.") from None


def _inflated(body: bytes, limit: int) -> bytes:
    if not body:
        raise Refused("The body is empty, which is no gzip data.")
    found: List[bytes] = []
    size, member = 0, zlib.decompressobj(wbits=31)
    for at in range(0, len(body), _SLICE):  # in slices, since what a call leaves over is copied
        rest, piece = body[at : at + _SLICE], b""
        while rest or (len(piece) == _PIECE and not member.eof):
            if member.eof:  # a file may consist of several members
                member = zlib.decompressobj(wbits=31)
            piece = member.decompress(rest, _PIECE)
            rest = member.unused_data if member.eof else member.unconsumed_tail
            found.append(piece)
            size += len(piece)
            if limit and size > limit:
                raise Refused(
                    f"The unpacked body has more than {limit} bytes, the most that is taken. Send fewer rows."
                )
    if not member.eof:
        raise Refused("The gzip data of the body ends too early.")
    return b"".join(found)
