"""Refusals: one shape, readable, with the next step."""

from __future__ import annotations

import pytest
from tornado import web

from jupyter_serving.errors import BadRequest, Overloaded
from jupyter_serving.server.refusals import Refusal, explain


def told(status, error=None):
    return explain(status, error, method="POST", path="/x")


@pytest.mark.parametrize(
    "status,error,code,words",
    [
        (403, web.HTTPError(403), "PERMISSION_DENIED", "Authorization: Bearer"),
        (
            403,
            web.HTTPError(403, "'_xsrf' argument missing from POST"),
            "PERMISSION_DENIED",
            "X-XSRFToken",
        ),
        (
            403,
            web.HTTPError(403, "User is not authorized to write on resource: serving."),
            "PERMISSION_DENIED",
            "permission on `serving`",
        ),
        (401, web.HTTPError(401), "UNAUTHENTICATED", "401"),
        (404, web.HTTPError(404), "RESOURCE_DOES_NOT_EXIST", "POST /x"),
        (405, web.HTTPError(405), "BAD_REQUEST", "POST is not possible at /x"),
        (400, web.HTTPError(400, "100% wrong"), "INVALID_PARAMETER_VALUE", "100% wrong"),
        (400, web.HTTPError(400, "no %s here", "name"), "INVALID_PARAMETER_VALUE", "no name here"),
        (500, KeyError("x"), "INTERNAL_ERROR", "KeyError: 'x'"),
        (500, None, "INTERNAL_ERROR", "Jupyter's log"),
    ],
)
def test_each_refusal_says_what_to_do(status, error, code, words):
    wire = told(status, error).to_wire()
    assert wire["error_code"] == code
    assert words in wire["message"]
    assert set(wire) == {"error_code", "message"}
    assert "Unexpected error" not in wire["message"]  # databricks-sdk retries on these words


def test_our_own_errors_pass_whole():
    error = Overloaded("100 % full", retry_after=2.5)
    assert told(429, Refusal(error)) is error
    assert Refusal(BadRequest("x")).status_code == 400
