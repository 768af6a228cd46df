from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.runtime.http1 import FIELD_LIMIT, HEAD_LIMIT, Malformed, Parser, answer

HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\n"


def parse(data: bytes, max_body: int = 1000):
    parser = Parser(max_body)
    parser.feed(data)
    return parser.next()


def test_reads_a_body_of_known_length():
    request = parse(HEAD + b"Content-Type: a/b\r\nContent-Length: 3\r\n\r\nabcNEXT")
    assert request is not None
    assert (request.method, request.target, request.body) == ("POST", "/invocations", b"abc")
    assert request.headers["content-type"] == "a/b"
    assert request.keep_alive


def test_reads_chunks_with_extensions_and_trailers():
    body = b"transfer-encoding: chunked\r\n\r\n3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: v\r\n\r\n"
    request = parse(HEAD + body)
    assert request is not None
    assert request.body == b"abc0123456789"


@given(st.lists(st.integers(1, 7), max_size=60), st.booleans())
def test_any_cut_of_the_stream_gives_the_same_requests(cuts: list[int], chunked: bool):
    one = (
        b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        if chunked
        else b"content-length: 5\r\n\r\nabcde"
    )
    stream, parser, bodies = (HEAD + one) * 2, Parser(100), []
    while stream:
        size = cuts.pop() if cuts else len(stream)
        parser.feed(stream[:size])
        stream = stream[size:]
        while (request := parser.next()) is not None:
            bodies.append(request.body)
    assert bodies == [b"abcde", b"abcde"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b"content-length: 3\r\ncontent-length: 4\r\n", "twice"),
        (b"content-length: 3\r\ntransfer-encoding: chunked\r\n", "Both"),
        (b"transfer-encoding: gzip, chunked\r\n", "only chunked"),
        (b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "twice"),
        (b"content-length: -1\r\n", "not a number"),
        (b"content-length: 3, 3\r\n", "not a number"),
        (b"content-length: 0x3\r\n", "not a number"),
        (b"content-length : 3\r\n", "header line"),
        (b"x: a\r\n folded\r\n", "header line"),
        (b"x: a\x00b\r\n", "header line"),
        (b"x: a\nb: c\r\n", "header line"),
        (b"content-length: 1001\r\n", "at most"),
        (b"x: " + b"a" * HEAD_LIMIT + b"\r\n", "longer"),
    ],
)
def test_refuses_what_two_parsers_could_read_differently(fields: bytes, why: str):
    with pytest.raises(Malformed, match=why):
        parse(HEAD + fields + b"\r\nabc")


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/2.0", b"get / HTTP/1.1", b"GET  / HTTP/1.1", b"GET x HTTP/1.1", b"\x16\x03\x01"],
)
def test_refuses_other_first_lines(line: bytes):
    with pytest.raises(Malformed, match="first line"):
        parse(line + b"\r\n\r\n")


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3e9\r\n" + b"a" * 10, b"a" * 300]
)
def test_refuses_broken_chunks(chunk: bytes):
    with pytest.raises(Malformed):
        parse(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk)


def test_equal_lengths_given_twice_are_one_length():
    request = parse(HEAD + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc")
    assert request is not None
    assert request.body == b"abc"


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"]
)
def test_connection_ends_when_the_client_says_so(head: bytes):
    request = parse(head)
    assert request is not None
    assert not request.keep_alive


def test_asks_to_continue_once_the_header_is_complete():
    parser = Parser(10)
    parser.feed(HEAD + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    assert parser.next() is None
    assert parser.wants_continue


def test_answer_is_framed_and_says_when_the_connection_ends():
    assert answer(200, "text/csv", "content-length: 2\r\n", True) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: 2\r\n\r\n"
    )
    assert b"connection: close" in answer(400, "a/b", "", False)


def test_a_media_type_cannot_end_its_line():
    head = answer(200, "a/b\r\nset-cookie: x", "", True)
    assert b"set-cookie" not in head
    assert b"application/octet-stream" in head


def test_too_many_header_lines_and_trailers_are_refused():
    lines = b"".join(b"x%d: y\r\n" % number for number in range(FIELD_LIMIT))
    with pytest.raises(Malformed, match="header lines"):
        parse(HEAD + lines + b"\r\n")
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n"
    with pytest.raises(Malformed, match="trailers"):
        parse(chunked + lines + b"a: b\r\n\r\n")
    assert parse(chunked + lines + b"\r\n") is not None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "1.0"),
        (HEAD + b"host: y\r\n\r\n", "twice"),
        (HEAD + b"content-type: a\r\ncontent-type: a\r\n\r\n", "twice"),
    ],
)
def test_refuses_what_leaves_a_choice(data: bytes, why: str):
    with pytest.raises(Malformed, match=why):
        parse(data)


def test_what_a_line_meant_is_remembered_but_not_for_other_lines():
    first = parse(HEAD + b"Content-Type:  a/b \r\n\r\n")
    second = parse(HEAD + b"Content-Type:  a/b \r\nx-request-id: 1\r\n\r\n")
    third = parse(HEAD + b"Content-Type:  a/c \r\nx-request-id: 2\r\n\r\n")
    assert first is not None and second is not None and third is not None
    assert first.headers == {"host": "x", "content-type": "a/b"}
    assert second.headers == {"host": "x", "content-type": "a/b", "x-request-id": "1"}
    assert third.headers == {"host": "x", "content-type": "a/c", "x-request-id": "2"}


def test_many_small_chunks_hold_only_their_bytes():
    parser = Parser(100_000)
    parser.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(1000):
        parser.feed(b"1\r\na\r\n" * 50)
        assert parser.next() is None
        assert parser.pending == 0
    parser.feed(b"0\r\n\r\n")
    request = parser.next()
    assert request is not None and request.body == b"a" * 50_000


PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b":", b"\t", b"\x00", b"\xff", b"GET / HTTP/1.1\r\n"),
        *(b"content-length", b"transfer-encoding", b"chunked", b"0", b"5", b"a" * 300, b";x"),
        *(HEAD, b"host: y\r\n", b"expect: 100-continue\r\n", b"\r\n\r\n", b"POST ", b"HTTP/1.0"),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=40))
def test_any_bytes_are_requests_or_malformed(pieces: list[bytes]):
    parser = Parser(1000)
    with contextlib.suppress(Malformed):
        for piece in pieces:
            parser.feed(piece)
            while (request := parser.next()) is not None:
                assert request.target.startswith("/")
                assert len(request.body) <= 1000
                assert all(name == name.lower() for name in request.headers)
                assert not any("\n" in value or "\r" in value for value in request.headers.values())
