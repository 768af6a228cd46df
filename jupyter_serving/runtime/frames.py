"""Frames between the front and one worker, over a socket pair.

Every frame begins with its kind, a number and its size in bytes (big endian: 1, 4 and 8 bytes). The front sends a group
of requests and, for a client that left a stream, ``CANCEL``. The worker sends events (JSON: ready, failed, batch),
answers (those of one group in one frame or in several; each names its place in the group) and pieces of a stream; the
number of an answers frame is 1 where the group is done, else 0.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

EVENT = 1  # worker -> front; JSON
GROUP = 2  # front -> worker; number: how many requests
ANSWERS = 3  # worker -> front; number: 1 when the group is done
STREAM = (
    4  # worker -> front; the request of a group of one is answered in pieces; content: media type
)
PIECE = 5  # worker -> front; content: the next piece
END = 6  # worker -> front; the stream is complete
CANCEL = 7  # front -> worker; nobody reads the stream

# What a request asks for.
INVOCATION = 0
V2 = 1
# Answers that are none: the front is to send the request again, by itself or as before.
ALONE = 0
LATER = 1

JSON = "application/json"
_HEAD = struct.Struct(">BIQ")
_REQUEST = struct.Struct(">BIQ")  # what, size of headers, size of body
_ANSWER = struct.Struct(
    ">HHdHHQ"
)  # place, status, milliseconds, batch, size of headers, size of body


class Request(NamedTuple):
    """What a worker gets: ``what`` (INVOCATION or V2), headers that it needs, body."""

    what: int
    headers: Dict[str, str]
    body: bytes

    @property
    def content_type(self) -> Optional[str]:
        """The media type as the client gave it."""
        return self.headers.get("content-type")


class Answered(NamedTuple):
    """What the front gets: ``place`` in the group; ``batch``: requests that were computed together.

    ``more``: further header lines, each with its line end.
    """

    place: int
    status: int
    milliseconds: float
    batch: int
    body: bytes
    content_type: str = JSON
    more: str = ""


class Frame(NamedTuple):
    """One frame as it came; ``content`` is valid until the next one is read."""

    kind: int
    number: int
    content: bytes


def _frame(kind: int, number: int, content: bytes) -> bytes:
    return _HEAD.pack(kind, number, len(content)) + content


def event(fields: Dict[str, Any]) -> bytes:
    """A frame that tells something rare."""
    return _frame(EVENT, 0, json.dumps(fields).encode())


def stream(content_type: str) -> bytes:
    """The frame before the pieces."""
    return _frame(STREAM, 0, content_type.encode("latin-1", "replace"))


def piece(data: bytes) -> bytes:
    """One piece of a stream."""
    return _frame(PIECE, 0, data)


ENDED = _frame(END, 0, b"")
CANCELLED = _frame(CANCEL, 0, b"")


def group(requests: Sequence[Tuple[int, bytes, bytes]]) -> bytes:
    """The frame of a group: what, headers (``name: value`` lines), body of each."""
    parts: List[bytes] = [b""]
    size = 0
    for what, headers, body in requests:
        parts += (_REQUEST.pack(what, len(headers), len(body)), headers, body)
        size += _REQUEST.size + len(headers) + len(body)
    parts[0] = _HEAD.pack(GROUP, len(requests), size)
    return b"".join(parts)


def group_head(request: Tuple[int, bytes, bytes]) -> bytes:
    """The frame of one large request without the body, which follows."""
    what, headers, body = request
    inner = _REQUEST.pack(what, len(headers), len(body)) + headers
    return _HEAD.pack(GROUP, 1, len(inner) + len(body)) + inner


def is_plain(content_type: Optional[str]) -> bool:
    """True for JSON in UTF-8, however it is written: what a fast path may read."""
    if content_type is None or content_type == JSON:
        return True
    parts = [part.strip().lower() for part in content_type.split(";")]
    return parts[0] == JSON and parts[1:] in ([], ["charset=utf-8"], [""])


_KNOWN_HEADERS: Dict[bytes, Dict[str, str]] = {}


def _headers(lines: bytes) -> Dict[str, str]:
    known = _KNOWN_HEADERS.get(lines)
    if known is not None:
        return known
    pairs = (line.partition(": ") for line in lines.decode("latin-1").split("\n") if line)
    headers = {name: value for name, _, value in pairs}
    if len(lines) < 100 and len(_KNOWN_HEADERS) < 100:
        _KNOWN_HEADERS[lines] = headers
    return headers


def requests(frame: Frame) -> List[Request]:
    """The requests of a group frame."""
    found, at, content = [], 0, frame.content
    for _ in range(frame.number):
        what, head, size = _REQUEST.unpack_from(content, at)
        start = at + _REQUEST.size
        at = start + head + size
        lines = content[start : start + head]
        found.append(Request(what, _headers(lines), content[start + head : at]))
    return found


def answers(answered: Iterable[Answered], done: bool) -> bytes:
    """The frame of answers; ``done``: no more of this group follow."""
    parts: List[bytes] = [b""]
    size = 0
    for place, status, milliseconds, batch, body, content_type, more in answered:
        plain = content_type == JSON and not more
        kind = b"" if plain else f"{content_type}\n{more}".encode("latin-1", "replace")
        parts += (
            _ANSWER.pack(place, status, milliseconds, batch, len(kind), len(body)),
            kind,
            body,
        )
        size += _ANSWER.size + len(kind) + len(body)
    parts[0] = _HEAD.pack(ANSWERS, int(done), size)
    return b"".join(parts)


def answered(frame: Frame) -> List[Answered]:
    """The answers of an answers frame."""
    found, at, content = [], 0, frame.content
    while at < len(content):
        place, status, milliseconds, batch, kind, size = _ANSWER.unpack_from(content, at)
        start = at + _ANSWER.size
        at = start + kind + size
        body = content[start + kind : at]
        if kind:
            media, _, more = content[start : start + kind].decode("latin-1").partition("\n")
            found.append(Answered(place, status, milliseconds, batch, body, media, more))
        else:
            found.append(Answered(place, status, milliseconds, batch, body))
    return found


class Unpacker:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer: Union[bytes, bytearray] = b""
        self._wanted = _HEAD.size

    def feed(self, data: bytes) -> List[Frame]:
        """Take more bytes; returns the frames that are complete now."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return []
            data = bytes(self._buffer)
            self._buffer = b""
        frames, at, left = [], 0, len(data)
        while left >= _HEAD.size:
            kind, number, size = _HEAD.unpack_from(data, at)
            if left < _HEAD.size + size:
                break
            start = at + _HEAD.size
            at = start + size
            left = len(data) - at
            frames.append(Frame(kind, number, data[start:at]))
        if left:
            self._keep(data, at)
        return frames

    def _keep(self, data: bytes, at: int) -> None:
        self._buffer = bytearray(data[at:])
        self._wanted = _HEAD.size
        if len(self._buffer) >= _HEAD.size:
            self._wanted += _HEAD.unpack_from(self._buffer)[2]


class Reader:
    """The worker's side of a socket pair, read in blocking mode."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unpacker = Unpacker()
        self._frames: List[Frame] = []

    def next(self) -> Optional[Frame]:
        """Wait for the next frame; None when the front is gone."""
        while not self._frames:
            try:
                data = self._sock.recv(262144)
            except ConnectionError:
                return None
            if not data:
                return None
            self._frames = self._unpacker.feed(data)
        return self._frames.pop(0)

    def cancelled(self) -> bool:
        """True when the front has said, since the last frame, that nobody reads the stream, or is gone; never waits."""
        while True:
            try:
                data = self._sock.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            if not data:
                return True
            self._frames += self._unpacker.feed(data)
            if any(frame.kind == CANCEL for frame in self._frames):
                return True
