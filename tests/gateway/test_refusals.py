import json

import pytest

from jupyter_serving.errors import Overloaded
from jupyter_serving.gateway import refusals
from jupyter_serving.gateway.request import Request
from jupyter_serving.gateway.targets import MethodNotAllowed, speaks_v2


def request(url: bytes = b"/x", method: str = "POST") -> Request:
    asked = Request(0.0, trusted=True)
    asked.url, asked.method = url, method
    return asked


def test_an_error_is_json_with_an_integer_retry_after_rounded_up() -> None:
    answer = refusals.answer(Overloaded("Full.", retry_after=1.2), request(), b"id-1")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ") and b"retry-after: 2" in head
    assert b"connection: close" in head and b"content-length: %d" % len(body) in head
    assert b"x-request-id: id-1" in head
    assert json.loads(body) == {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Full."}


def test_a_head_request_gets_no_body() -> None:
    answer = refusals.answer(Overloaded("Full."), request(method="HEAD"))
    assert answer.endswith(b"\r\n\r\n")


def test_a_method_that_is_not_possible_is_answered_with_those_that_are() -> None:
    assert b"\r\nallow: GET, HEAD\r\n" in refusals.answer(
        MethodNotAllowed("PUT", "GET, HEAD"), request()
    )


def test_clients_of_the_open_inference_protocol_find_their_key() -> None:
    body = refusals.answer(Overloaded("Full."), request(b"/v2/models/x/infer")).partition(
        b"\r\n\r\n"
    )[2]
    assert json.loads(body) == {
        "error": "Full.",
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": "Full.",
    }


@pytest.mark.parametrize(
    ("url", "speaks"),
    [
        (b"/v2", True),
        (b"/v2/models/x", True),
        (b"/v2?x", True),
        (b"/serving-endpoints/iris/v2/nothing", True),
        (b"http://host:1/v2/models", True),
        (b"/v22/models", False),
        (b"/serving-endpoints/v2/invocations", False),
        (b"/serving-endpoints/iris/invocations?a=/v2/", False),
        (b"", False),
    ],
)
def test_a_v2_path_is_known_by_its_beginning(url: bytes, speaks: bool) -> None:
    assert speaks_v2(url) is speaks
