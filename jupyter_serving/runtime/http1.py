"""HTTP/1.1 as a replica speaks it: a strict parser and the bytes of an answer (RFC 9112).

Whatever two parsers could read differently is refused: conflicting lengths, both kinds of length, folded lines,
spaces before a colon. Sizes: ``HEAD_LIMIT`` bytes and ``FIELD_LIMIT`` lines for the header, ``max_body`` bytes for the
body. There is one parser for every environment, so that no library's leniency decides what is accepted. Clients repeat
themselves, so a line that has been checked once is known: that makes it nearly as fast as a parser in C.
"""

from __future__ import annotations

import json
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

HEAD_LIMIT = 65536
FIELD_LIMIT = 100
_CHUNK_LINE_LIMIT = 256

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_DIGITS = re.compile(r"[0-9]{1,15}")

# Headers whose lines come again and again, and so are remembered once they have been checked.
_REPEATED = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
)
_REMEMBERED = 512  # lines
_fields_seen: Dict[bytes, Tuple[str, str]] = {}
_lines_seen: Dict[bytes, Tuple[str, str, bool]] = {}
# What must not come twice; a length may, if it is the same.
_SINGLE = frozenset({"content-length", "content-type", "host", "transfer-encoding"})


class Malformed(Exception):
    """The bytes are not a request that this server reads; the message says why. The connection must be closed."""


class Request(NamedTuple):
    """One request; header names are lower case; ``modern``: HTTP/1.1, which knows chunks."""

    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    keep_alive: bool
    modern: bool = True


class Parser:
    """Turns the bytes of one connection into requests."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._buffer = bytearray()
        self._head: Optional[Tuple[str, str, Dict[str, str], bool, bool]] = None
        self._length: Optional[int] = None  # None: chunked
        self._body = bytearray()
        self._trailers = -1  # lines of the trailer that have come; -1: still chunks
        self.wants_continue = False

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self._buffer += data

    @property
    def idle(self) -> bool:
        """True when no part of a request has come."""
        return self._head is None and not self._buffer

    @property
    def in_body(self) -> bool:
        """True when the header has come and the body has not."""
        return self._head is not None

    @property
    def pending(self) -> int:
        """Bytes that wait to be parsed."""
        return len(self._buffer)

    def next(self) -> Optional[Request]:
        """The next complete request, or None until more bytes come.

        Raises:
            Malformed: the connection cannot be read on.
        """
        if self._head is None and not self._read_head():
            return None
        body = self._read_chunked() if self._length is None else self._read_sized(self._length)
        if body is None or self._head is None:
            return None
        method, target, headers, keep_alive, modern = self._head
        self._head, self.wants_continue = None, False
        return Request(method, target, headers, body, keep_alive, modern)

    def _read_head(self) -> bool:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112 2.2: empty lines before a request are skipped
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT + 4)
        if end < 0:
            if len(buffer) > HEAD_LIMIT:
                raise Malformed(f"The header is longer than {HEAD_LIMIT} bytes.")
            return False
        lines = bytes(buffer[:end]).split(b"\r\n")
        del buffer[: end + 4]
        method, target, modern = _lines_seen.get(lines[0]) or _request_line(lines[0])
        headers = _fields(lines, 1)
        connection = headers.get("connection")
        keep_alive = modern and (connection is None or "close" not in connection.lower())
        if "transfer-encoding" in headers and not modern:
            raise Malformed("HTTP/1.0 knows no Transfer-Encoding.")
        self._head = (method, target, headers, keep_alive, modern)
        self._length = self._body_length(headers)
        self._body, self._trailers = bytearray(), -1
        self.wants_continue = "expect" in headers and headers["expect"].lower() == "100-continue"
        return True

    def _body_length(self, headers: Dict[str, str]) -> Optional[int]:
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if length is not None:
                raise Malformed("Both Content-Length and Transfer-Encoding are given.")
            if coding.lower() != "chunked":
                raise Malformed(f"Transfer-Encoding {coding!r} is not supported, only chunked.")
            return None
        if length is None:
            return 0
        if _DIGITS.fullmatch(length) is None:
            raise Malformed(f"Content-Length {length!r} is not a number.")
        self._check_size(int(length))
        return int(length)

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise Malformed(
                f"The body has at least {size} bytes; this replica takes {self._max_body} at most. Send fewer rows."
            )

    def _read_sized(self, length: int) -> Optional[bytes]:
        buffer = self._buffer
        if len(buffer) <= length:
            if len(buffer) < length:
                return None
            body = bytes(buffer)
            buffer.clear()
            return body
        body = bytes(memoryview(buffer)[:length])
        del buffer[:length]
        return body

    def _read_chunked(self) -> Optional[bytes]:
        while self._trailers < 0:
            end = self._line_end()
            if end is None:
                return None
            size_line = _CHUNK.fullmatch(bytes(self._buffer[:end]))
            if size_line is None:
                raise Malformed("A chunk does not begin with its size.")
            size = int(size_line.group(1), 16)
            self._check_size(len(self._body) + size)
            if size == 0:
                del self._buffer[: end + 2]
                self._trailers = 0
                break
            start = end + 2
            if len(self._buffer) < start + size + 2:
                return None
            if self._buffer[start + size : start + size + 2] != b"\r\n":
                raise Malformed("A chunk is longer than its size.")
            self._body += memoryview(self._buffer)[start : start + size]
            del self._buffer[: start + size + 2]
        return self._read_trailer()

    def _read_trailer(self) -> Optional[bytes]:
        while True:
            end = self._line_end()
            if end is None:
                return None
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            if not line:
                return bytes(self._body)
            self._trailers += 1
            if self._trailers > FIELD_LIMIT:
                raise Malformed(f"There are more than {FIELD_LIMIT} trailers.")
            _field(line)

    def _line_end(self) -> Optional[int]:
        end = self._buffer.find(b"\r\n", 0, _CHUNK_LINE_LIMIT)
        if end < 0 and len(self._buffer) >= _CHUNK_LINE_LIMIT:
            raise Malformed("A line of the chunked body is too long.")
        return None if end < 0 else end


def _request_line(line: bytes) -> Tuple[str, str, bool]:
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Malformed("The first line is not METHOD /path HTTP/1.1.")
    read = (found.group(1).decode(), found.group(2).decode(), found.group(3) == b"1")
    if len(line) < 128 and len(_lines_seen) < _REMEMBERED:
        _lines_seen[line] = read
    return read


def _field(line: bytes) -> Tuple[str, str]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise Malformed("A header line is not Name: value.")
    raw_name, raw_value = found.groups()
    name, value = raw_name.lower().decode("ascii"), raw_value.strip(b" \t").decode("latin-1")
    if name in _REPEATED and len(line) < 128 and len(_fields_seen) < _REMEMBERED:
        _fields_seen[line] = (name, value)
    return name, value


def _fields(lines: List[bytes], first: int) -> Dict[str, str]:
    if len(lines) > FIELD_LIMIT + first:
        raise Malformed(f"There are more than {FIELD_LIMIT} header lines.")
    headers: Dict[str, str] = {}
    seen = _fields_seen
    del lines[:first]
    for line in lines:
        name, value = seen.get(line) or _field(line)
        twice = name in headers and name in _SINGLE
        if twice and (name != "content-length" or headers[name] != value):
            raise Malformed(f"The header {name} is given twice.")
        headers[name] = value
    return headers


REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_starts: Dict[Tuple[int, str], bytes] = {}


def _start(status: int, content_type: str) -> bytes:
    known = _starts.get((status, content_type))
    if known is None:
        reason = REASONS.get(status, "Status")
        text = f"HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n"
        # A model's media type goes into the head: what would end the line does not.
        known = text.encode("latin-1", "replace") if content_type.isprintable() else b""
        known = known or _start(status, "application/octet-stream")
        if len(_starts) < 100:
            _starts[(status, content_type)] = known
    return known


def answer(status: int, content_type: str, more: str, keep_alive: bool) -> bytes:
    """The head of an answer; ``more``: header lines with their line ends, of which one may frame the body."""
    end = "" if keep_alive else "connection: close\r\n"
    return _start(status, content_type) + f"{more}{end}\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a body; ``data`` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def error_body(code: str, message: str, **more: object) -> bytes:
    """The one JSON shape of every error."""
    return json.dumps({"error_code": code, "message": message, **more}).encode()
