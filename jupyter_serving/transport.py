"""HTTP over a unix socket or TCP with the standard library alone: keep-alive, time-outs, one error shape.

A request is sent again only where it cannot have been executed: the connection was refused, or the socket was not
there yet. Kept connections are looked at before they are used, so that one the server closed is not written to.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .errors import ControllerDown, DeadlineExceeded, ServingError, Unavailable, from_wire

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 5.0
IDLE_KEPT = 8
JSON_TYPE = "application/json"
PAGE_HINT = "Is this Jupyter's address with its base URL, and is jupyter-serving enabled there?"
Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The parsed body; {} for an empty one."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise Unavailable(
                f"The server answered something other than JSON: {self.body[:200]!r}.",
                hint="Is this the address of Jupyter (or of jupyter-serving)? Try `jupyter serving doctor`.",
            ) from error


class ConnectionBroke(Unavailable):
    """The connection ended before the whole answer was here."""


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(CONNECT_SECONDS)
            self.sock.connect(self._path)
            self.sock.settimeout(self.timeout)
        except BaseException:
            self.sock.close()
            self.sock = None
            raise


def open_unix(path: str) -> Callable[[float], http.client.HTTPConnection]:
    """Opener for the service on a unix socket."""
    return lambda timeout: UnixConnection(path, timeout)


def open_url(url: str) -> Callable[[float], http.client.HTTPConnection]:
    """Opener for ``http://host:port`` or ``https://…``; only scheme, host and port are used."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return lambda timeout: http.client.HTTPSConnection(
            host, port, timeout=timeout, context=context
        )
    return lambda timeout: http.client.HTTPConnection(host, port, timeout=timeout)


@dataclass(slots=True)
class Transport:
    """Requests to one service, from any thread.

    Args:
        opener: makes a connection with a time-out in seconds.
        what: the service as a person knows it, for error messages.
        prefix: path in front of every request's path, without a slash at its end.
        headers: sent with every request (the credential).
        remedy: the next step where nobody listens.
        patience: how long a refused connection is tried again, in seconds (a restart takes about one).
    """

    opener: Callable[[float], http.client.HTTPConnection]
    what: str
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    remedy: str = "`jupyter serving start` starts it; `jupyter serving doctor` tells what is wrong."
    patience: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _idle: list[http.client.HTTPConnection] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(
        self,
        method: str,
        path: str,
        body: Body = None,
        *,
        content_type: str = JSON_TYPE,
        headers: dict[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Answer:
        """Send one request and read the whole answer.

        Raises:
            ControllerDown: nobody listens. DeadlineExceeded: no answer in ``timeout`` seconds.
            Unavailable: the connection broke. ServingError: what the answer says, for any status from 400 on.
        """
        sent = self.headers | (headers or {})
        if body is not None:
            sent |= {"Content-Type": content_type}
        # Reading again does no harm; anything else may have been carried out.
        exchange = self._again if method == "GET" else self._exchange
        answer = exchange(method, self.prefix + path, body, sent, timeout)
        if answer.status >= 400:
            raise refusal(answer)
        return answer

    def _again(
        self, method: str, path: str, body: Body, headers: dict[str, str], timeout: float
    ) -> Answer:
        """Repeat an exchange that broke: at least once, and for as long as a dying service still takes connections."""
        limit, first = self.clock() + self.patience, True
        while True:
            try:
                return self._exchange(method, path, body, headers, timeout)
            except ConnectionBroke:
                if not first and self.clock() >= limit:
                    raise
            first = False
            self.sleep(0.02)

    def _exchange(
        self, method: str, path: str, body: Body, headers: dict[str, str], timeout: float
    ) -> Answer:
        connection = self._connected(timeout)
        with self._closing(connection, f"{method} {path}", timeout):
            # An iterable without a length is sent in chunks.
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body=body, headers=headers, encode_chunked=chunked)
            response = connection.getresponse()
            content = response.read()
        self._keep(connection, response)
        return Answer(response.status, _names(response), content)

    def stream(self, path: str, body: bytes, *, timeout: float) -> Iterator[bytes]:
        """POST a request and yield the lines of the answer as they come; closing the iterator ends the connection.

        Raises:
            As ``request``; ``timeout`` is the longest silence, in seconds.
        """
        connection, path = self._connected(timeout), self.prefix + path
        sent = self.headers | {"Content-Type": JSON_TYPE, "Accept": "text/event-stream"}
        try:
            with self._closing(connection, f"POST {path}", timeout):
                connection.request("POST", path, body=body, headers=sent)
                response = connection.getresponse()
                if response.status >= 400:
                    raise refusal(Answer(response.status, _names(response), response.read()))
                yield from response
        finally:
            connection.close()

    @contextlib.contextmanager
    def _closing(
        self, connection: http.client.HTTPConnection, what: str, timeout: float
    ) -> Iterator[None]:
        """Close the connection where the exchange fails, and say how it did."""
        try:
            yield
        except TimeoutError as error:
            connection.close()
            raise DeadlineExceeded(
                f"{self.what} did not answer {what} within {timeout:g} s.",
                hint="It may still be at work: look at its state before trying again.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ConnectionBroke(
                f"The connection to {self.what} broke during {what}"
                f" ({str(error) or type(error).__name__}).",
                hint="It may have been restarted: try again.",
            ) from error
        except BaseException:
            connection.close()
            raise

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        while (idle := self._take()) is not None:
            readable, _, _ = select.select([idle.sock], [], [], 0)
            if not readable:
                idle.sock.settimeout(timeout)
                return idle
            idle.close()  # readable while nothing is asked: the server closed it
        limit = self.clock() + self.patience
        while True:
            connection = self.opener(timeout)
            try:
                connection.connect()
                return connection
            except (ConnectionRefusedError, FileNotFoundError, ConnectionResetError) as error:
                connection.close()
                if self.clock() >= limit:
                    raise self._down(error) from error
                self.sleep(0.1)
            except OSError as error:
                connection.close()
                raise self._down(error) from error

    def _down(self, error: OSError) -> ControllerDown:
        return ControllerDown(
            f"{self.what} cannot be reached: {error.strerror or error}.",
            hint=self.remedy,
        )

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        with self._lock:
            if response.will_close or connection.sock is None or len(self._idle) >= IDLE_KEPT:
                connection.close()
            else:
                self._idle.append(connection)

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _names(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def refusal(answer: Answer) -> ServingError:
    """The error that an answer of 400 or above describes; ``retry_after`` is filled in from its header."""
    hint = ""
    try:
        body = json.loads(answer.body)
    except ValueError:
        text = answer.body.decode("utf-8", "replace").strip()
        page = "html" in answer.headers.get("content-type", "")
        body = f"The server answered {answer.status}." if page or not text else text[:500]
        hint = PAGE_HINT if page else ""
    if isinstance(body, dict) and "message" not in body and "error" in body:
        body = {"error_code": body.get("error_code", ""), "message": str(body["error"])}
    error = from_wire(answer.status, body)
    error.hint = hint
    try:
        error.retry_after = float(answer.headers["retry-after"])
    except (KeyError, ValueError):
        pass  # no header, or a date, which ours never is
    return error
