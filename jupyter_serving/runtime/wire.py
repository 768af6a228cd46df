"""Notes between the leader and the front of one replica: of fixed size; one of them carries a file descriptor."""

from __future__ import annotations

import socket
import struct
from typing import Any, Dict, Iterator, NamedTuple, Optional

from . import frames

_NOTE = struct.Struct(">BIIi")
_FD = struct.Struct("@i")

# leader -> front
ADD = 1  # a worker of ``slot``, with its socket
DIED = 2  # worker ``pid`` ended with ``status``
DRAIN = 3  # finish what is in flight, then exit
KEEPER = 4  # process ``pid`` holds the model that workers are forked from; 0: none does
# front -> leader
READY = 11  # every slot has been warm once
KILL = 12  # worker ``pid`` ran into a deadline
SUCCESS = 13  # a worker answered after deaths


def pack(fields: Dict[str, Any]) -> bytes:
    """What a worker tells the front besides answers, as bytes: ``{"event": "ready" | "failed", ...}``."""
    return frames.event(fields)


class Note(NamedTuple):
    """One note between leader and front; fields that a kind does not use are 0."""

    kind: int
    slot: int = 0
    pid: int = 0
    status: int = 0
    fd: Optional[int] = None


def tell(sock: socket.socket, note: Note) -> bool:
    """Send a note, with ``note.fd`` when there is one; False when the other side is gone."""
    data = _NOTE.pack(note.kind, note.slot, note.pid, note.status)
    try:
        if note.fd is None:
            sock.sendall(data)
        else:
            socket.send_fds(sock, [data], [note.fd])
    except ConnectionError:
        return False
    return True


def hear_all(sock: socket.socket) -> Iterator[Optional[Note]]:
    """The notes that have come; the last one is None when the other side is gone."""
    while True:
        try:
            note = hear(sock, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        yield note
        if note is None:
            return


def hear(sock: socket.socket, flags: int = 0) -> Optional[Note]:
    """Receive one note; None when the other side is gone.

    Each note is sent in one piece and read with exactly its size, so that a descriptor never parts from its note.

    Raises:
        BlockingIOError: nothing is there, and ``flags`` say not to wait.
    """
    try:
        # socket.recv_fds takes flags and forgets them
        data, ancillary, _, _ = sock.recvmsg(_NOTE.size, socket.CMSG_LEN(_FD.size), flags)
    except ConnectionError:
        return None
    if len(data) < _NOTE.size:
        return None
    kind, slot, pid, status = _NOTE.unpack(data)
    rights = [
        content
        for level, content_type, content in ancillary
        if (level, content_type) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    ]
    return Note(kind, slot, pid, status, _FD.unpack(rights[0])[0] if rights else None)
