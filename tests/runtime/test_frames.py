from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.runtime import frames
from jupyter_serving.runtime.frames import Answered, Request


def cut(stream: bytes, step: int) -> list[frames.Frame]:
    unpacker, found = frames.Unpacker(), []
    for start in range(0, len(stream), step):
        found += unpacker.feed(stream[start : start + step])
    return found


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_frames_survive_any_cut(bodies: list[bytes], step: int):
    stream = b"".join(frames.piece(body) for body in bodies)
    assert [frame.content for frame in cut(stream, step)] == bodies


@given(
    st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=400)), min_size=1, max_size=8),
    st.integers(1, 90),
)
def test_a_group_is_read_as_it_was_sent(asked: list[tuple[int, bytes]], step: int):
    headers = b"content-type: a/b; c=d: e\nx-serving-model: m"
    sent = frames.group([(what, headers, body) for what, body in asked])
    (frame,) = cut(sent, step)
    wanted = {"content-type": "a/b; c=d: e", "x-serving-model": "m"}
    assert frames.requests(frame) == [Request(what, wanted, body) for what, body in asked]


def test_a_large_request_is_the_same_frame_in_two_writes():
    request = (frames.INVOCATION, b"content-type: a/b", b"x" * 100)
    assert frames.group_head(request) + request[2] == frames.group([request])


@given(
    st.lists(
        st.builds(
            Answered,
            st.integers(0, 1000),
            st.sampled_from([0, 1, 200, 400]),
            st.floats(0, 1e6),
            st.integers(1, 64),
            st.binary(max_size=300),
            st.sampled_from(["application/json", "text/csv"]),
            st.sampled_from(["", "a: b\r\nc: d\r\n"]),
        ),
        max_size=6,
    ),
    st.booleans(),
    st.integers(1, 90),
)
def test_answers_are_read_as_they_were_sent(sent: list[Answered], done: bool, step: int):
    (frame,) = cut(frames.answers(sent, done), step)
    assert frames.answered(frame) == sent
    assert frame.number == done


def test_reading_ends_with_the_peer():
    left, right = socket.socketpair()
    with right:
        with left:
            left.sendall(frames.piece(b"xyz") + frames.event({"event": "ready"}))
            left.sendall(frames.piece(b"cut")[:-1])
        reader = frames.Reader(right)
        first, second = reader.next(), reader.next()
        assert first is not None and second is not None
        assert (first.kind, first.content) == (frames.PIECE, b"xyz")
        assert second.kind == frames.EVENT
        assert reader.next() is None


def test_a_cancel_is_seen_without_waiting_and_what_follows_is_kept():
    left, right = socket.socketpair()
    with right, left:
        reader = frames.Reader(right)
        assert not reader.cancelled()
        left.sendall(frames.CANCELLED + frames.group([(0, b"", b"next")]))
        assert reader.cancelled()
        kinds = [frame.kind for frame in (reader.next(), reader.next()) if frame is not None]
        assert kinds == [frames.CANCEL, frames.GROUP]
        left.close()
        assert reader.cancelled()


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (None, True),
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ("application/json; charset=latin-1", False),
        ("application/json+x", False),
        ("text/csv", False),
        ("", False),
    ],
)
def test_plain_is_json_in_utf_8(kind: str | None, plain: bool):
    assert frames.is_plain(kind) is plain
