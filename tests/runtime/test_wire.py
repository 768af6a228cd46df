from __future__ import annotations

import os
import socket

from jupyter_serving.runtime import wire


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
