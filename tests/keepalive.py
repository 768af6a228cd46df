"""The driver's HTTP/1.1 client: one keep-alive connection, one request at a time, no hidden retry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit


class Broken(Exception):
    """No whole answer came: the connection was refused, closed, or spoke no HTTP."""


@dataclass(frozen=True)
class Reply:
    """Status, headers (names in lower case) and body of one answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """True where no further request may be sent on the connection."""
        return self.headers.get("connection", "").lower() == "close"


class Connection:
    """A connection to the host of ``url``, made when it is first needed."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, headers: dict[str, str]) -> Reply:
        """Send one request and read its answer.

        Raises:
            Broken: see there; the next call makes a new connection.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"POST {self._url.path} HTTP/1.1\r\nhost: {self._url.netloc}\r\n"
            f"content-length: {len(body)}\r\n{lines}\r\n"
        )
        try:
            reader, writer = await self._open()
            writer.write(head.encode() + body)
            reply = await read_reply(reader)
        except asyncio.CancelledError:
            self.close()
            raise
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise Broken(repr(error)) from error
        if reply.closes:
            self.close()
        return reply

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._url.hostname, self._url.port, limit=2**20
            )
        return self._streams

    def close(self) -> None:
        """Close it; unread bytes are lost."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read one answer, strictly.

    Raises:
        EOFError: the connection ended in it (``asyncio.IncompleteReadError`` is one).
        ValueError: it is not HTTP/1.1.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    if version != "HTTP/1.1" or len(status) != 3:
        raise ValueError(first)
    pairs = (line.split(":", 1) for line in lines if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        return Reply(int(status), headers, await _chunks(reader))
    if "content-length" not in headers:
        raise ValueError(f"an answer without a length: {head!r}")
    return Reply(int(status), headers, await reader.readexactly(int(headers["content-length"])))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
