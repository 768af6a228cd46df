"""What travels on: pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.errors import BadRequest
from jupyter_serving.server.headers import (
    NOT_FORWARDED,
    declared_length,
    from_upstream,
    target_of,
    to_upstream,
)

PREFIX = "/a%40b/jupyter-serving"


def test_headers_named_by_connection_stay_here():
    headers = [("Connection", "keep-alive, X-Private"), ("X-Private", "1"), ("X-Other", "2")]
    names = [name for name, _ in to_upstream(headers, user="u", prefix=PREFIX)]
    assert names == ["x-other", "host", "x-jupyter-serving-user", "x-forwarded-prefix"]


@pytest.mark.parametrize("name", sorted(NOT_FORWARDED))
def test_no_spelling_of_a_private_header_passes(name):
    sent = to_upstream([(name.upper(), "SECRET")], user="u", prefix=PREFIX)
    assert "SECRET" not in [value for _, value in sent]


def test_a_name_that_is_not_ascii_is_percent_encoded():
    sent = dict(to_upstream([], user="Zoë\r\nx: 1", prefix=PREFIX))
    assert sent["x-jupyter-serving-user"] == "Zo%C3%AB%0D%0Ax:%201"


def test_an_answer_sets_no_cookie_and_no_cors():
    headers = [
        ("Set-Cookie", "a=1"),
        ("Access-Control-Allow-Origin", "*"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "text/plain"),
        ("Retry-After", "3"),
    ]
    assert from_upstream(headers) == [("content-type", "text/plain"), ("retry-after", "3")]


@pytest.mark.parametrize(
    "uri,target",
    [
        (PREFIX, b"/"),
        (PREFIX + "/", b"/"),
        (PREFIX + "/x/", b"/x/"),
        (PREFIX + "/a%2Fb%25?q=%20&q=2", b"/a%2Fb%25?q=%20&q=2"),
        (PREFIX + "/x?token=secret", b"/x"),
        (PREFIX + "/x?a=1&token=secret&_xsrf=2&b=3&no_track_activity=1", b"/x?a=1&b=3"),
        (PREFIX + "/x?token_count=1", b"/x?token_count=1"),
        # raw bytes of the wire arrive as latin-1 text
        (PREFIX + "/caf\xc3\xa9", b"/caf%C3%A9"),
        (PREFIX + "/...", b"/..."),
    ],
)
def test_targets(uri, target):
    assert target_of(uri, PREFIX) == target


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/a/%2e%2E/b", "/a/./b", "/a/.%2e"])
def test_dot_segments_are_refused(path):
    with pytest.raises(BadRequest, match="segments"):
        target_of(PREFIX + path, PREFIX)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60))
def test_a_target_is_always_printable_ascii(rest):
    try:
        target = target_of(PREFIX + "/" + rest, PREFIX)
    except BadRequest:
        return
    assert all(0x21 <= byte <= 0x7E for byte in target)


@pytest.mark.parametrize(
    "text,length", [("12", 12), ("0", 0), ("", None), ("-1", None), ("1, 1", None), ("²", None)]
)
def test_declared_length(text, length):
    assert declared_length({"Content-Length": text}) == length
    assert declared_length({}) is None
