from __future__ import annotations

import os
import socket

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.runtime import wire


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_frames_survive_any_cut(bodies: list[bytes], step: int):
    stream = b"".join(wire.pack({"n": index}, body) for index, body in enumerate(bodies))
    unpacker, frames = wire.Unpacker(), []
    for start in range(0, len(stream), step):
        frames += unpacker.feed(stream[start : start + step])
    assert frames == [({"n": index}, body) for index, body in enumerate(bodies)]


def test_receive_ends_with_the_peer():
    left, right = socket.socketpair()
    with right:
        with left:
            left.sendall(wire.pack({"a": 1}, b"xyz"))
            left.sendall(wire.pack({"cut": 1}, b"xyz")[:-1])
        assert wire.receive(right) == ({"a": 1}, b"xyz")
        assert wire.receive(right) is None


def test_each_note_keeps_its_own_descriptor():
    left, right = socket.socketpair()
    with left, right:
        pipes = [os.pipe() for _ in range(3)]
        for slot, (reading, writing) in enumerate(pipes):
            assert wire.tell(left, wire.Note(wire.ADD, slot, 10 + slot, fd=reading))
            assert wire.tell(left, wire.Note(wire.DIED, slot, 10 + slot, -9))
            os.close(reading)
            os.write(writing, str(slot).encode())
        for slot, (_, writing) in enumerate(pipes):
            note, death = wire.hear(right), wire.hear(right)
            assert note is not None and note.fd is not None
            assert os.read(note.fd, 10) == str(slot).encode()
            assert death == wire.Note(wire.DIED, slot, 10 + slot, -9)
            os.close(note.fd)
            os.close(writing)


def test_hearing_what_has_come_never_waits():
    left, right = socket.socketpair()
    with right:
        with left:
            wire.tell(left, wire.Note(wire.READY))
            wire.tell(left, wire.Note(wire.KILL, 1, 2))
            heard = list(wire.hear_all(right))
            assert heard == [wire.Note(wire.READY), wire.Note(wire.KILL, 1, 2)]
        assert list(wire.hear_all(right)) == [None]


def test_telling_a_dead_peer_is_false_and_hearing_it_is_none():
    left, right = socket.socketpair()
    right.close()
    with left:
        assert not wire.tell(left, wire.Note(wire.DRAIN))
        assert wire.hear(left) is None
