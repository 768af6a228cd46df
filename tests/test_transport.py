"""Requests against servers that fail in one way each, over real sockets."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_serving.errors import (
    ControllerDown,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    Unavailable,
)
from jupyter_serving.transport import PAGE_HINT, Answer, Transport, open_unix, open_url, refusal

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: 1\r\n\r\n{}"


def read_request(connection: socket.socket) -> bytes:
    """Head and body (by its length) of one request; b"" at the end of the connection."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            return b""
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65536)
        if line == b"transfer-encoding: chunked":
            while not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


class Server:
    """Accepts connections on a unix socket and hands each to ``behave``; ``requests`` are kept."""

    def __init__(self, path: Path, behave: Callable[[Server, socket.socket], None]) -> None:
        self.path, self.behave = path, behave
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self.behave(self, connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@contextmanager
def serving(
    tmp_path: Path, behave: Callable[[Server, socket.socket], None]
) -> Iterator[tuple[Server, Transport]]:
    server = Server(tmp_path / "s.sock", behave)
    transport = Transport(open_unix(str(server.path)), "the service", patience=0.0)
    try:
        yield server, transport
    finally:
        transport.close()
        server.close()


def answers(server: Server, connection: socket.socket) -> None:
    while request := read_request(connection):
        server.requests.append(request)
        connection.sendall(OK)


def hangs_up_after_one(server: Server, connection: socket.socket) -> None:
    server.requests.append(read_request(connection))
    connection.sendall(OK)


def dies_in_the_answer(server: Server, connection: socket.socket) -> None:
    server.requests.append(read_request(connection))
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{")


def never_answers(server: Server, connection: socket.socket) -> None:
    server.requests.append(read_request(connection))
    connection.recv(1)  # until the client gives up


def test_a_connection_is_kept_and_used_again(tmp_path: Path) -> None:
    with serving(tmp_path, answers) as (server, transport):
        for _ in range(3):
            assert transport.request("GET", "/x").json() == {}
        assert (server.connections, len(server.requests)) == (1, 3)


def test_head_and_body_are_sent(tmp_path: Path) -> None:
    with serving(tmp_path, answers) as (server, transport):
        transport.prefix, transport.headers = "/base", {"Authorization": "token t"}
        answer = transport.request(
            "POST", "/x", b"abc", content_type="text/csv", headers={"X-A": "1"}
        )
        request = server.requests[0]
        assert request.startswith(b"POST /base/x HTTP/1.1\r\n")
        assert request.endswith(b"\r\n\r\nabc")
        for line in (b"Authorization: token t", b"Content-Type: text/csv", b"X-A: 1"):
            assert line in request
        assert answer.headers["x-one"] == "1"


def test_pieces_are_sent_in_chunks(tmp_path: Path) -> None:
    with serving(tmp_path, answers) as (server, transport):
        transport.request("PUT", "/x", iter([b"one", b"two"]))
        assert server.requests[0].endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_connection_that_the_server_closed_is_not_used(tmp_path: Path) -> None:
    with serving(tmp_path, hangs_up_after_one) as (server, transport):
        for _ in range(3):
            transport.request("POST", "/x", b"{}")
            # The end of the connection has arrived here before the next request.
            assert select.select([transport._idle[0].sock], [], [], 30)[0]
        assert (server.connections, len(server.requests)) == (3, 3)


def test_a_request_that_may_have_run_is_not_sent_again(tmp_path: Path) -> None:
    with serving(tmp_path, dies_in_the_answer) as (server, transport):
        with pytest.raises(Unavailable, match="broke during POST /x"):
            transport.request("POST", "/x", b"{}")
        assert len(server.requests) == 1


def test_a_question_is_asked_again_while_the_service_dies(tmp_path: Path) -> None:
    def dies_thrice(server: Server, connection: socket.socket) -> None:
        (dies_in_the_answer if len(server.requests) < 3 else answers)(server, connection)

    with serving(tmp_path, dies_thrice) as (server, transport):
        transport.patience = 30.0
        assert transport.request("GET", "/x").json() == {}
        assert len(server.requests) == 4


def test_a_late_answer_is_told(tmp_path: Path) -> None:
    with (
        serving(tmp_path, never_answers) as (_, transport),
        pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"),
    ):
        transport.request("GET", "/x", timeout=0.2)


@pytest.mark.parametrize("stale", [False, True], ids=["absent", "stale"])
def test_a_socket_without_a_listener_is_told_with_the_remedy(tmp_path: Path, stale: bool) -> None:
    path = tmp_path / "s.sock"
    if stale:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
    transport = Transport(open_unix(str(path)), "the controller", patience=0.0)
    with pytest.raises(
        ControllerDown, match=r"the controller cannot be reached.*jupyter serving start"
    ):
        transport.request("GET", "/x")


def test_a_refused_connection_is_tried_again_for_a_while(tmp_path: Path) -> None:
    path, clock, servers = tmp_path / "s.sock", [0.0], []

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] > 1.0 and not servers:
            servers.append(Server(path, answers))

    transport = Transport(
        open_unix(str(path)), "it", patience=5.0, clock=lambda: clock[0], sleep=sleep
    )
    assert transport.request("POST", "/x", b"{}").status == 200
    transport.close()
    servers[0].close()


def test_threads_share_a_transport(tmp_path: Path) -> None:
    def one_answer_each(server: Server, connection: socket.socket) -> None:
        server.requests.append(read_request(connection))
        connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    with serving(tmp_path, one_answer_each) as (server, transport):
        threads = [
            threading.Thread(target=lambda: transport.request("GET", "/x")) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(server.requests) == 8


def answer(status: int, body: bytes, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_a_refusal_is_the_exception_that_the_server_raised() -> None:
    error = refusal(
        answer(404, json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}).encode())
    )
    assert (type(error), str(error)) == (NotFound, "no")
    full = refusal(
        answer(429, b'{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"full"}', retry_after="7")
    )
    assert (type(full), full.retry_after) == (Overloaded, 7.0)


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (
            b"<html>login</html>",
            {"content_type": "text/html"},
            f"The server answered 403. {PAGE_HINT}",
        ),
        (b"plain words", {}, "plain words"),
        (b"", {}, "The server answered 403."),
        (b'{"error": "no"}', {}, "no"),
    ],
)
def test_refusals_of_others_are_readable(body: bytes, headers: dict[str, str], text: str) -> None:
    error = refusal(answer(403, body, **headers))
    assert (error.status, str(error)) == (403, text)


def test_an_answer_that_is_no_json_is_told() -> None:
    with pytest.raises(Unavailable, match="other than JSON"):
        answer(200, b"<html>").json()


def test_a_url_names_scheme_host_and_port() -> None:
    plain, secure = open_url("http://h:81/x")(1.0), open_url("https://h/x")(1.0)
    assert (plain.host, plain.port) == ("h", 81)
    assert isinstance(secure, http.client.HTTPSConnection)
    assert secure.port == 443
