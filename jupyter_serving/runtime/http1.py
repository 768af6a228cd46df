"""HTTP/1.1 as a replica speaks it: a strict parser and the bytes of an answer (RFC 9112).

Whatever two parsers could read differently is refused: conflicting lengths, both kinds of length, folded lines,
spaces before a colon. Sizes: ``HEAD_LIMIT`` for the header, ``max_body`` for the body, in bytes.
"""

from __future__ import annotations

import json
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

HEAD_LIMIT = 65536
_CHUNK_LINE_LIMIT = 256

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_DIGITS = re.compile(r"[0-9]{1,15}")

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Malformed(Exception):
    """The bytes are not a request that this server reads; the message says why. The connection must be closed."""


class Request(NamedTuple):
    """One request; header names are lower case."""

    method: str
    target: str
    headers: Dict[str, str]
    body: bytes
    keep_alive: bool


class Parser:
    """Turns the bytes of one connection into requests."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._buffer = bytearray()
        self._head: Optional[Request] = None
        self._length: Optional[int] = None  # None: chunked
        self._chunks: List[bytes] = []
        self._chunked_size = 0
        self._in_trailer = False
        self.wants_continue = False

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self._buffer += data

    @property
    def idle(self) -> bool:
        """True when no part of a request has come."""
        return self._head is None and not self._buffer

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
        request = self._head._replace(body=body)
        self._head, self.wants_continue = None, False
        return request

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n":  # RFC 9112 2.2: empty lines before a request are skipped
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT + 4)
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise Malformed(f"The header is longer than {HEAD_LIMIT} bytes.")
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        line = _REQUEST_LINE.fullmatch(lines[0])
        if line is None:
            raise Malformed("The first line is not METHOD /path HTTP/1.1.")
        headers = _fields(lines[1:])
        connection = headers.get("connection", "").lower()
        keep_alive = line.group(3) == b"1" and "close" not in connection
        self._head = Request(
            line.group(1).decode(), line.group(2).decode(), headers, b"", keep_alive
        )
        self._length = self._body_length(headers)
        self._chunks, self._chunked_size, self._in_trailer = [], 0, False
        self.wants_continue = headers.get("expect", "").lower() == "100-continue"
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
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunked(self) -> Optional[bytes]:
        while not self._in_trailer:
            end = self._line_end()
            if end is None:
                return None
            size_line = _CHUNK.fullmatch(bytes(self._buffer[:end]))
            if size_line is None:
                raise Malformed("A chunk does not begin with its size.")
            size = int(size_line.group(1), 16)
            self._check_size(self._chunked_size + size)
            if size == 0:
                del self._buffer[: end + 2]
                self._in_trailer = True
                break
            start = end + 2
            if len(self._buffer) < start + size + 2:
                return None
            if self._buffer[start + size : start + size + 2] != b"\r\n":
                raise Malformed("A chunk is longer than its size.")
            self._chunks.append(bytes(self._buffer[start : start + size]))
            self._chunked_size += size
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
                return b"".join(self._chunks)
            _fields([line])

    def _line_end(self) -> Optional[int]:
        end = self._buffer.find(b"\r\n", 0, _CHUNK_LINE_LIMIT)
        if end < 0 and len(self._buffer) >= _CHUNK_LINE_LIMIT:
            raise Malformed("A line of the chunked body is too long.")
        return None if end < 0 else end


def _fields(lines: List[bytes]) -> Dict[str, str]:
    headers: Dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed("A header line is not Name: value.")
        name, value = field.group(1).decode().lower(), field.group(2).decode("latin-1")
        if name in headers and name in ("content-length", "transfer-encoding", "content-type"):
            if name != "content-length" or headers[name] != value:
                raise Malformed(f"The header {name} is given twice.")
            continue
        headers[name] = value
    return headers


def answer(status: int, body: bytes, headers: List[Tuple[str, str]], keep_alive: bool) -> bytes:
    """The bytes of an answer; ``headers`` besides the length and, where the connection ends, ``connection: close``."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def error_body(code: str, message: str, **more: object) -> bytes:
    """The one JSON shape of every error."""
    return json.dumps({"error_code": code, "message": message, **more}).encode()
