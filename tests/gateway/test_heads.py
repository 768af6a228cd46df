import json

import pytest

from jupyter_serving.errors import Overloaded
from jupyter_serving.gateway import heads


@pytest.mark.parametrize("given", [b"abc-1", b"a" * 128, b"4f/x+=:._"])
def test_a_sane_request_id_is_kept(given: bytes) -> None:
    assert heads.request_id(given) == given


@pytest.mark.parametrize("given", [None, b"", b"a" * 129, b"a b", b"\xff", b'"x"'])
def test_any_other_is_replaced_by_a_fresh_one(given: bytes | None) -> None:
    first, second = heads.request_id(given), heads.request_id(given)
    assert first != second and len(first) == 32


def test_server_timing_merges_ours_and_the_replicas() -> None:
    merged = heads.server_timing(
        [(b"queue", 0.0015), (b"replica", 2)], [b"predict;dur=1", b"", b"gc"]
    )
    assert merged == b"queue;dur=1.50, replica;dur=2000.00, predict;dur=1, gc"


def test_an_error_is_json_with_an_integer_retry_after_rounded_up() -> None:
    answer = heads.error_response(Overloaded("Full.", retry_after=1.2), [], keep_alive=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ") and b"retry-after: 2" in head
    assert b"connection: close" in head and b"content-length: %d" % len(body) in head
    assert json.loads(body) == {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Full."}


def test_a_head_request_gets_no_body() -> None:
    answer = heads.error_response(Overloaded("Full."), [], keep_alive=True, body=False)
    assert answer.endswith(b"\r\n\r\n")


def test_the_replicas_own_identity_headers_are_replaced() -> None:
    given = [(b"x-request-id", b"theirs"), (b"content-type", b"a/b"), (b"connection", b"close")]
    head = heads.response_head(200, given, [(b"x-request-id", b"ours")], keep_alive=True)
    assert head == b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\nx-request-id: ours\r\n\r\n"


def test_an_unusual_status_is_passed_on() -> None:
    assert heads.status_line(599) == b"HTTP/1.1 599 Unknown\r\n"
