"""One case of the fuzz: bytes for a fresh place on a connection, and what a sound server may do about them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

FAULT = frozenset({400})
REFUSED = frozenset(range(400, 500))
SOUND = frozenset(range(200, 300)) | REFUSED


class End(Enum):
    """What becomes of the connection."""

    ANSWER = "one answer; the connection may stay"
    CLOSE = "at most one answer, then the server closes"
    CUT = "the client sends no more: any number of answers, or none"


@dataclass(frozen=True)
class Case:
    """What is sent and what may come.

    Attributes:
        name: kind of the case.
        data: what is sent.
        statuses: those that an answer may have; never a 5xx.
        end: see ``End``.
        bodiless: the answer has no body (HEAD).
    """

    name: str
    data: bytes
    statuses: frozenset[int]
    end: End = End.ANSWER
    bodiless: bool = False


@dataclass(frozen=True)
class Target:
    """Where requests go: ``head`` are the header lines that every request needs to be let in."""

    path: str
    body: bytes
    head: tuple[str, ...] = ()
    head_bytes: int = 64 * 1024
    head_count: int = 10**6
    max_body: int = 16 * 2**20
    media: str = "application/json"
    others: tuple[str, ...] = field(default=())

    def request(
        self,
        body: bytes | None = None,
        *lines: str,
        method: str = "POST",
        path: str | None = None,
        media: str | None = None,
    ) -> bytes:
        """A well-formed request, with further header lines."""
        body = self.body if body is None else body
        media = self.media if media is None else media
        typed = (f"content-type: {media}",) if media else ()
        sized = (f"content-length: {len(body)}",)
        return self.raw(f"{method} {path or self.path} HTTP/1.1", *typed, *sized, *lines) + body

    def raw(self, first: str, *lines: str) -> bytes:
        """A head of these lines, and what lets the request in."""
        return "\r\n".join((first, "host: x", *self.head, *lines, "", "")).encode("latin-1")


Maker = Callable[[random.Random, Target], Case]


def series(seed: int, count: int, target: Target, makers: Sequence[Maker]) -> Iterator[Case]:
    """``count`` cases; number i depends on ``seed`` and i alone, so that any one can be made again."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        yield makers[number % len(makers)](rng, target)


def noise(rng: random.Random, most: int = 200) -> bytes:
    """Random bytes."""
    return rng.randbytes(rng.randint(1, most))


def mutated(rng: random.Random, data: bytes) -> bytes:
    """``data`` with one to four changes: bytes flipped, cut, doubled, moved, or junk put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        length = rng.choice((1, 1, 2, 4, 16, 64))
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + length]
            case 2:
                out[at:at] = out[at : at + length]
            case 3:
                out[at:at] = noise(rng, 8)
            case 4:
                out[at:at] = rng.choice(SPLICES)
            case _:
                piece = out[at : at + length]
                del out[at : at + length]
                to = rng.randrange(len(out) + 1)
                out[to:to] = piece
    return bytes(out)


SPLICES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"\r\n\r\n",
        b"\xff\xfe",
        b"%00",
        b"..",
        b";",
    ),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HTTP/1.1"),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"{", b"]", b'"'),
    *(b"999999999999", b"-1", b"\x80", b"\xc0\xaf", b"GET / HTTP/1.1\r\n\r\n"),
)
