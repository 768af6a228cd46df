"""How a request's head and body are bounded, and every refusal that follows from it alone (pure).

What cannot be framed beyond doubt is refused, so that nothing in front of the gateway can see other requests than it
does (request smuggling: RFC 9112, sections 6.3 and 11.2). 413 and 408 are never used: MLflow's client retries them.
"""

from __future__ import annotations

from ..errors import BadRequest, Unavailable
from .heads import Headers

HEAD_BYTES = 32 * 1024
HEAD_COUNT = 100
# A refused body up to this size is read to its end, so that the connection can stay.
SKIP_BYTES = 1024 * 1024
# What chunked bodies may add to their data: chunks of one byte add five each, extensions and trailers are unbounded.
OVERHEAD_BYTES, OVERHEAD_RATIO = 64 * 1024, 8
# Headers that the gateway itself acts upon: each may be there once only, since two could be read in two ways.
NOTED = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"authorization",
        b"x-request-id",
        b"content-type",
        b"content-encoding",
    }
)


def note(url: bytes, headers: Headers) -> dict[bytes, bytes]:
    """The headers of ``NOTED`` by name; raises ``BadRequest`` where one is given twice, or the head is too large."""
    noted: dict[bytes, bytes] = {}
    size = len(url)
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name in NOTED:
            if name in noted:
                raise BadRequest(
                    f"The header {name.decode()} is given more than once.",
                    hint="Correct the client.",
                )
            noted[name] = value
    if size > HEAD_BYTES or len(headers) > HEAD_COUNT:
        raise head_too_large()
    return noted


def body_length(noted: dict[bytes, bytes], version: str) -> int | None:
    """Bytes of the body that the head declares; None for a chunked one.

    Raises ``BadRequest`` where the length is doubtful (contradictory, in an unknown coding, or in one that HTTP/1.0
    does not know), where HTTP/1.1 names no host (RFC 9112, sections 3.2 and 6.1), and for any other version.
    """
    if version not in ("1.0", "1.1"):
        raise BadRequest(f"HTTP/{version} is not spoken here.", hint="Use HTTP/1.1.")
    length, coding = noted.get(b"content-length"), noted.get(b"transfer-encoding")
    if version == "1.1" and b"host" not in noted:
        raise BadRequest("The request names no host.", hint="Send a Host header.")
    if coding is None:
        return int(length) if length else 0
    if length is not None:
        raise BadRequest("The length of the body is given twice.", hint="Correct the client.")
    if coding.lower() != b"chunked" or version != "1.1":
        raise BadRequest(
            f"The transfer coding {coding.decode('latin-1')!r} is not supported in HTTP/{version}.",
            hint="Use chunked in HTTP/1.1, or Content-Length.",
        )
    return None


def expects_continue(noted: dict[bytes, bytes]) -> bool:
    """True where the client waits for ``100 Continue`` before it sends the body."""
    return noted.get(b"expect", b"").lower() == b"100-continue"


def excessive(received: int, size: int) -> bool:
    """True where a body of ``size`` bytes came with far more framing than it can need."""
    return received - size > OVERHEAD_BYTES + OVERHEAD_RATIO * size


def malformed(error: Exception) -> BadRequest:
    """The parser gave up."""
    return BadRequest(f"This is not valid HTTP/1.1: {error}.", hint="Correct the client.")


def head_too_large() -> BadRequest:
    """More than ``HEAD_BYTES`` or ``HEAD_COUNT`` headers."""
    return BadRequest(
        f"The request's head is too large: {HEAD_BYTES // 1024} KiB and {HEAD_COUNT} headers are possible.",
        hint="Send what is long in the body.",
    )


def too_large(size: int | None, limit: int) -> BadRequest:
    """The body is larger than the endpoint allows; ``size`` is None where it was not declared."""
    said = f"{size} bytes" if size is not None else f"more than {limit} bytes"
    return BadRequest(
        f"The request's body has {said}; {limit} bytes ({limit / 2**20:.4g} MB) are possible.",
        hint="Send fewer rows per request, or raise the setting max_body_bytes.",
    )


def too_much_framing() -> BadRequest:
    """Chunk extensions, trailers, or chunks that hold next to nothing."""
    return BadRequest(
        "The request's body comes with far more framing than data.",
        hint="Send it with Content-Length, or in larger chunks without extensions.",
    )


def too_many(connections: int) -> Unavailable:
    """No further connection is possible, and none of those that are there is idle."""
    return Unavailable(
        f"The gateway has {connections} connections, none of them idle.",
        hint="Use fewer connections, or raise the setting gateway_max_connections.",
        retry_after=1,
    )


def too_slow(part: str, seconds: float) -> BadRequest:
    """The head or the body did not arrive in time."""
    return BadRequest(
        f"The request's {part} did not arrive within {seconds:.0f} s.", hint="Send it at once."
    )
