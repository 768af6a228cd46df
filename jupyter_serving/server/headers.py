"""What of a request may travel on to our services, and what of their answers back to the browser; pure.

Jupyter's credentials stop here: the controller, the gateway and above all the models behind it never see them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from ..errors import BadRequest

Headers = list[tuple[str, str]]

USER_HEADER = "x-jupyter-serving-user"
PREFIX_HEADER = "x-forwarded-prefix"

# RFC 9110 section 7.6.1: these speak about one connection, not about the message.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# A Referer may hold `?token=...`; content-length is written anew from what was received; an Expect was answered here.
NOT_FORWARDED = HOP_BY_HOP | {
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "host",
    "referer",
    "x-xsrftoken",
    USER_HEADER,
    PREFIX_HEADER,
}
# An answer may hold what a model wrote. It must not set cookies for, or weaken the rules of, Jupyter's own origin.
NOT_RETURNED = HOP_BY_HOP | {
    "clear-site-data",
    "content-security-policy",
    "date",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
    "x-content-type-options",
}
# Query arguments that are Jupyter's: a credential, the XSRF token, and a switch of its activity tracking.
JUPYTER_ARGUMENTS = frozenset({"token", "_xsrf", "no_track_activity"})
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))


def to_upstream(headers: Iterable[tuple[str, str]], *, user: str, prefix: str) -> Headers:
    """Headers of a request as the controller and the gateway get them.

    ``user`` is the name that Jupyter authenticated (percent-encoded where it is not plain ASCII), ``prefix`` the
    path under which the browser sees us (``/user/x/jupyter-serving``).
    """
    pairs = [(name.lower(), value) for name, value in headers]
    dropped = NOT_FORWARDED | _named_by_connection(pairs)
    kept = [(name, value) for name, value in pairs if name not in dropped]
    own = [
        ("host", "localhost"),
        (USER_HEADER, quote(user, safe=PRINTABLE)),
        (PREFIX_HEADER, prefix),
    ]
    return [*kept, *own]


def from_upstream(headers: Iterable[tuple[str, str]]) -> Headers:
    """Headers of an answer as the client gets them; CORS is Jupyter's to decide."""
    pairs = [(name.lower(), value) for name, value in headers]
    dropped = NOT_RETURNED | _named_by_connection(pairs)
    return [
        (name, value)
        for name, value in pairs
        if name not in dropped and not name.startswith("access-control-")
    ]


def _named_by_connection(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    named = (value for name, value in pairs if name == "connection")
    return frozenset(part.strip().lower() for value in named for part in value.split(","))


def declared_length(headers: Mapping[str, str]) -> int | None:
    """Content-Length in bytes; None without one, or with one that tornado will refuse."""
    text = headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdecimal() else None


def target_of(uri: str, prefix: str) -> bytes:
    """Request target for upstream: ``uri`` without ``prefix`` and without Jupyter's own query arguments.

    The path stays byte for byte as the client sent it (``%2F`` and ``/`` differ in names).

    Raises:
        BadRequest: the path has ``.`` or ``..`` segments, which could mean another route behind than here.
    """
    path, _, query = uri.partition("?")
    path = path.removeprefix(prefix) or "/"
    segments = path.lower().replace("%2e", ".").split("/")
    if "." in segments or ".." in segments:
        raise BadRequest(
            f"The path {path!r} holds `.` or `..` segments.",
            hint="Send the path as it is documented.",
        )
    kept = [
        part
        for part in query.split("&")
        if part and part.partition("=")[0] not in JUPYTER_ARGUMENTS
    ]
    target = path + ("?" + "&".join(kept) if kept else "")
    return quote(target.encode("latin-1"), safe=PRINTABLE).encode("ascii")
