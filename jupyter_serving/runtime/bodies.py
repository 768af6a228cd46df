"""Bodies of requests as the client packed them (RFC 9110 8.4: content codings)."""

from __future__ import annotations

import zlib
from typing import List, Optional

GZIP = ("gzip", "x-gzip")
_PIECE = 1 << 20


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
    size, rest = 0, body
    while rest:  # a file may consist of several members
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            piece = member.decompress(rest, _PIECE)
            rest = member.unconsumed_tail
            size += len(piece)
            if limit and size > limit:
                raise Refused(
                    f"The unpacked body has more than {limit} bytes, the most that is taken. Send fewer rows."
                )
            found.append(piece)
            if not piece and not rest and not member.eof:
                raise Refused("The gzip data of the body ends too early.")
        rest = member.unused_data
    return b"".join(found)
