"""How a request's head and body are bounded, and every refusal that follows from it alone (pure).

What cannot be framed beyond doubt is refused, so that nothing in front of the gateway can see other requests than it
does (request smuggling: RFC 9112, sections 6.3 and 11.2). 413 and 408 are never used: MLflow's client retries them.
"""

from __future__ import annotations

from ..errors import BadRequest
from .heads import Headers

HEAD_BYTES = 32 * 1024
HEAD_COUNT = 100
# A refused body up to this size is read to its end, so that the connection can stay.
SKIP_BYTES = 1024 * 1024


def body_length(headers: Headers) -> int | None:
    """Bytes of the body that the head declares; None for a chunked one.

    Raises ``BadRequest`` where the length is doubtful: given twice, contradictory, or in an unknown coding.
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise BadRequest(
            "The length of the body is given more than once.", hint="Correct the client."
        )
    if codings and codings != [b"chunked"]:
        raise BadRequest(
            f"The transfer coding {codings[0].decode('latin-1')!r} is not supported.",
            hint="Use chunked, or Content-Length.",
        )
    if codings:
        return None
    return int(lengths[0]) if lengths else 0


def expects_continue(headers: Headers) -> bool:
    """True where the client waits for ``100 Continue`` before it sends the body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


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


def too_slow(part: str, seconds: float) -> BadRequest:
    """The head or the body did not arrive in time."""
    return BadRequest(
        f"The request's {part} did not arrive within {seconds:.0f} s.", hint="Send it at once."
    )
