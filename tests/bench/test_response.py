from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.response import Malformed, equal, is_plain, split

BODY = b'{"predictions": [1]}'
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\nserver: x\r\n\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"pre\r\nf;x=y\r\ndictions": [1]}\r\n0\r\n\r\n'
)


def test_a_whole_answer_is_plain() -> None:
    assert is_plain(PLAIN, BODY)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN[:-1],
        PLAIN + b"H",
        PLAIN.replace(b"200", b"500", 1),
        PLAIN.replace(b"[1]", b"[2]"),
        BODY,
        CHUNKED,
    ],
)
def test_everything_else_is_looked_at_closely(data: bytes) -> None:
    assert not is_plain(data, BODY)


@pytest.mark.parametrize("data", [PLAIN, CHUNKED])
def test_an_answer_is_split_off(data: bytes) -> None:
    assert split(data + b"HTTP/1.1") == (200, BODY, b"HTTP/1.1")


@pytest.mark.parametrize("data", [PLAIN, CHUNKED])
def test_no_part_of_an_answer_is_taken_for_the_whole(data: bytes) -> None:
    assert [split(data[:n]) for n in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 okay\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: much\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        split(data)


@given(st.binary(max_size=60))
def test_bytes_never_end_in_another_error(data: bytes) -> None:
    try:
        split(b"HTTP/1.1 " + data)
    except Malformed:
        pass


def test_bodies_are_equal_as_bytes_or_as_json() -> None:
    assert equal(b"not json", b"not json")
    assert equal(b'{"a":[1.5,2]}', b'{"a": [1.5, 2]}')
    assert not equal(b'{"a":[1.5,2]}', b'{"a": [1.5, 3]}')
    assert not equal(b"", BODY)
