"""Streamed predictions: items out of events, faults in mid-stream told."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from test_transport import read_request

from jupyter_serving import stream
from jupyter_serving.errors import BadRequest, ServingError, Unavailable
from jupyter_serving.transport import Transport, open_unix

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_items_come_until_the_end_mark() -> None:
    lines = [
        b'data: {"a": 1}\n',
        b"\n",
        b": a comment\n",
        b"data: [2]\n",
        b"data: [DONE]\n",
        b"data: 3\n",
    ]
    assert list(stream.items(lines)) == [{"a": 1}, [2]]


def test_a_fault_in_mid_stream_is_raised_after_what_came_before() -> None:
    lines = [b"data: 1\n", b'data: {"error_code": "BAD_REQUEST", "message": "no more"}\n']
    items = stream.items(lines)
    assert next(items) == 1
    with pytest.raises(BadRequest, match="no more"):
        next(items)


def test_a_stream_without_its_end_mark_broke_off() -> None:
    with pytest.raises(Unavailable, match="broke off"):
        list(stream.items([b"data: 1\n"]))


def test_pieces_arrive_before_the_answer_ends(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s.sock"))
    listener.listen()
    seen = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            read_request(connection)
            connection.sendall(HEAD + chunk(b"data: 1\n\n"))
            # The second piece is sent only when the first has been read.
            if seen.wait(30):
                connection.sendall(chunk(b"data: 2\n\ndata: [DONE]\n\n") + chunk(b""))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    transport = Transport(open_unix(str(tmp_path / "s.sock")), "the server")
    items = stream.items(transport.stream("/x", b"{}", timeout=30.0))
    assert next(items) == 1
    seen.set()
    assert list(items) == [2]
    thread.join(30)
    listener.close()


def test_a_refused_stream_raises_what_the_answer_says(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s.sock"))
    listener.listen()
    body = b'{"error_code": "BAD_REQUEST", "message": "it cannot stream"}'

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            read_request(connection)
            head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    transport = Transport(open_unix(str(tmp_path / "s.sock")), "the server")
    with pytest.raises(ServingError, match="it cannot stream"):
        next(transport.stream("/x", b"{}", timeout=30.0))
    thread.join(30)
    listener.close()
