"""Requests that are under way while a test does something else."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 400.0


@dataclass(frozen=True)
class Reply:
    """An answer, and after how many seconds it came."""

    status: int
    headers: Mapping[str, str]
    json: Any
    seconds: float

    @property
    def code(self) -> str:
        """Its ``error_code``; "" where it has none."""
        return str(self.json.get("error_code", ""))


def post(url: str, authorization: str, payload: Any) -> Reply:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    begun = time.monotonic()
    try:
        connection.request("POST", parts.path, json.dumps(payload), headers)
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        body = json.loads(response.read())
        return Reply(response.status, named, body, time.monotonic() - begun)
    finally:
        connection.close()


@dataclass
class Later:
    """Context manager: a request that a thread sends and waits for; ``reply()`` has its answer."""

    url: str
    authorization: str
    payload: Any
    _came: list[Reply | Exception] = field(default_factory=list)

    def __enter__(self) -> Later:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # a test that has failed need not wait
            self._thread.join(PATIENCE)

    @property
    def answered(self) -> bool:
        """True once the answer is here."""
        return bool(self._came)

    def reply(self) -> Reply:
        """Wait for the answer."""
        self._thread.join(PATIENCE)
        assert self._came, f"no answer within {PATIENCE} s"
        (came,) = self._came
        if isinstance(came, Exception):
            raise came
        return came

    def _run(self) -> None:
        try:
            self._came.append(post(self.url, self.authorization, self.payload))
        except Exception as error:
            self._came.append(error)


class Leaver:
    """A client that sends a request and can go away without reading the answer."""

    def __init__(self, url: str, authorization: str, payload: Any) -> None:
        parts = urlsplit(url)
        body = json.dumps(payload).encode()
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80))
        head = (
            f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: {authorization}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)

    def leave(self) -> None:
        """Close the connection."""
        self._socket.close()
