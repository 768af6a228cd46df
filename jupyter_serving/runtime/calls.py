"""One prediction that is asked for, from its arrival to its one answer."""

from __future__ import annotations

from typing import Dict, Optional, Protocol

from . import frames
from .answers import Answer, in_v2
from .connection import Source

# Headers that a worker reads; the rest stays in the front.
FORWARDED = (
    "content-encoding",
    "inference-header-content-length",
    "x-serving-model",
    "x-serving-model-version",
)
MANY = 1 << 16


class Client(Protocol):
    """Who asked: takes one answer, or the pieces of a stream."""

    def answer(self, answer: Answer) -> None:
        """Take the answer."""

    def begin(self, content_type: str, source: Source) -> None:
        """A stream begins; ``source`` can be paused."""

    def piece(self, data: bytes) -> None:
        """Take the next piece."""

    def end(self) -> None:
        """The stream is complete."""

    def cut(self) -> None:
        """The stream has begun and cannot be completed."""


class Nobody:
    """The client of a call whose client is gone."""

    def answer(self, answer: Answer) -> None:
        """Nobody reads it."""

    def begin(self, content_type: str, source: Source) -> None:
        """Nobody reads it."""

    def piece(self, data: bytes) -> None:
        """Nobody reads it."""

    def end(self) -> None:
        """Nobody reads it."""

    def cut(self) -> None:
        """Nobody reads it."""


NOBODY = Nobody()


class Call:
    """``what``: INVOCATION or V2; ``headers``: lines for the worker; ``deadline``: loop time.

    ``most``: the largest group that it may be computed in; ``stage``: waiting, computing, streaming, over.
    """

    __slots__ = ("body", "client", "deadline", "headers", "most", "stage", "what")

    def __init__(
        self, what: int, headers: bytes, body: bytes, deadline: float, client: Client
    ) -> None:
        self.what = what
        self.headers = headers
        self.body = body
        self.deadline = deadline
        self.client = client
        self.most = MANY
        self.stage = "waiting"

    def finish(self, answer: Answer) -> None:
        """Give the answer, or cut the stream that has begun; nothing can follow it."""
        stage, self.stage = self.stage, "over"
        if stage == "streaming":
            self.client.cut()
        elif stage != "over":
            self.client.answer(in_v2(answer) if self.what == frames.V2 else answer)


_PLAIN: Dict[Optional[str], bytes] = {None: b"", frames.JSON: b"content-type: application/json"}


def call(what: int, headers: Dict[str, str], body: bytes, deadline: float, client: Client) -> Call:
    """The call that a request makes; what no fast path takes is computed by itself."""
    kind = headers.get("content-type")
    lines = _PLAIN.get(kind)
    if what == frames.INVOCATION and lines is not None and "content-encoding" not in headers:
        return Call(what, lines, body, deadline, client)
    found = [f"{name}: {headers[name]}" for name in FORWARDED if name in headers]
    if kind is not None:
        found.append(f"content-type: {kind}")
    made = Call(what, "\n".join(found).encode("latin-1"), body, deadline, client)
    packed = "content-encoding" in headers
    if what != frames.INVOCATION or packed or not frames.is_plain(kind):
        made.most = 1
    return made
