"""Who a request comes from."""

from __future__ import annotations

import base64
import getpass

import pytest
from jupyter_server.auth.identity import User
from tornado.httputil import HTTPHeaders

from jupyter_serving.server.credentials import accept_basic, name_of


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_named_user_keeps_the_name():
    assert name_of(User("ada", "Ada Lovelace")) == "ada"


def test_a_token_is_whoever_runs_the_server():
    assert name_of(User("0f3a", "Anonymous Io")) == getpass.getuser()


def test_basic_with_the_user_token_becomes_a_bearer():
    headers = HTTPHeaders({"Authorization": basic("token:a:b")})
    accept_basic(headers)
    assert headers["Authorization"] == "Bearer a:b"


@pytest.mark.parametrize(
    "given",
    [
        {"Authorization": basic("ada:secret")},
        {"Authorization": basic("token:")},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"Authorization": "token abc"},
        {"Authorization": basic("token:t"), "Origin": "http://x"},
        {"Authorization": basic("token:t"), "Sec-Fetch-Site": "cross-site"},
        {},
    ],
)
def test_everything_else_stays_as_it_is(given):
    headers = HTTPHeaders(given)
    accept_basic(headers)
    assert dict(headers) == dict(HTTPHeaders(given))
