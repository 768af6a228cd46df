from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from .conftest import Replica, Spawner

ROW = {"dataframe_records": [{"x": 1}]}


@pytest.fixture
def replica(spawn: Spawner) -> Replica:
    return spawn("double")


def exchange(replica: Replica, data: bytes) -> bytes:
    """Send bytes, read to the end of the connection."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(replica.spec["socket"])
        sock.sendall(data)
        received = b""
        while block := sock.recv(65536):
            received += block
        return received


def test_one_connection_serves_many_requests(replica: Replica):
    http = replica.http()
    for number in range(20):
        reply = http.ask("POST", "/invocations", {"dataframe_records": [{"x": number}]})
        assert reply.json == {"predictions": [{"x": 2 * number}]}
    assert http.ask("GET", "/health/live").status == 200
    http.close()


def test_requests_sent_at_once_are_answered_in_order(replica: Replica):
    bodies = [json.dumps({"dataframe_records": [{"x": n}]}).encode() for n in range(50)]
    requests = [
        b"POST /invocations HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        for body in bodies
    ]
    end = b"GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n"
    received = exchange(replica, b"".join(requests) + end)
    places = [received.find(b'{"x": %d}' % (2 * n)) for n in range(50)]
    assert -1 not in places
    assert places == sorted(places)
    assert received.endswith(b'{"live": true}')


def test_a_chunked_body_is_read(replica: Replica):
    body = json.dumps(ROW).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    assert exchange(replica, head + chunks).endswith(b'{"predictions": [{"x": 2}]}')


def test_a_large_body_and_a_large_answer_pass(replica: Replica):
    rows = [[number] for number in range(400_000)]
    body = {"dataframe_split": {"columns": ["x"], "data": rows}}
    predictions = replica.invoke(body).json["predictions"]
    assert len(predictions) == len(rows)
    assert predictions[-1] == {"x": 799_998}


def test_expect_continue_is_answered_before_the_body(replica: Replica):
    body = json.dumps(ROW).encode()
    head = b"POST /invocations HTTP/1.1\r\nexpect: 100-continue\r\nconnection: close\r\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(replica.spec["socket"])
        sock.sendall(head + b"content-length: %d\r\n\r\n" % len(body))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /invocations HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n",
    ],
)
def test_what_cannot_be_read_is_400_and_ends_the_connection(replica: Replica, data: bytes):
    received = exchange(replica, data)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    error = json.loads(received.partition(b"\r\n\r\n")[2])
    assert error["error_code"] == "BAD_REQUEST"
    assert replica.invoke(ROW).status == 200


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/invocations", 405),
        ("POST", "/health/ready", 405),
        ("GET", "/health", 404),
    ],
)
def test_other_routes_are_refused(replica: Replica, method: str, target: str, status: int):
    http = replica.http()
    reply = http.ask(method, target)
    assert reply.status == status
    assert set(reply.json) == {"error_code", "message"}
    assert http.ask("GET", "/health/live").status == 200  # the connection goes on
    http.close()


def test_a_wait_that_is_no_number_is_refused(replica: Replica):
    reply = replica.http().ask("GET", "/health/ready?wait=long")
    assert (reply.status, reply.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_status_tells_workers_and_memory(replica: Replica):
    status = replica.status()
    assert status["pid"] == replica.pid
    assert (status["slots"], status["busy"], status["ready"]) == (1, 0, True)
    assert [worker["state"] for worker in status["workers"]] == ["idle"]
    memory = status["memory"]
    assert 0 < memory["private_bytes"] <= memory["pss_bytes"] <= memory["rss_bytes"]


def test_many_clients_at_once_get_their_own_answers(spawn: Spawner):
    replica = spawn("double", slots=2)
    wrong: list[Any] = []

    def run(base: int) -> None:
        http = replica.http()
        for number in range(base, base + 25):
            reply = http.ask("POST", "/invocations", {"dataframe_records": [{"x": number}]})
            if reply.json != {"predictions": [{"x": 2 * number}]}:
                wrong.append(reply)
        http.close()

    threads = [threading.Thread(target=run, args=(1000 * index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
