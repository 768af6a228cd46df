"""Messages between the processes of one replica.

Front and worker exchange frames over a socket pair: 4 bytes header length, 8 bytes body length (big endian), a JSON
header, the body as it is. Leader and front exchange fixed-size notes, one of which carries a file descriptor.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

Frame = Tuple[Dict[str, Any], bytes]

_HEAD = struct.Struct(">IQ")
_NOTE = struct.Struct(">BIIi")
_FD = struct.Struct("@i")

# leader -> front
ADD = 1  # a worker of ``slot``, with its socket
DIED = 2  # worker ``pid`` ended with ``status``
DRAIN = 3  # finish what is in flight, then exit
# front -> leader
READY = 11  # every slot has been warm once
KILL = 12  # worker ``pid`` ran into a deadline
SUCCESS = 13  # a worker answered after deaths


def pack(header: Dict[str, Any], body: bytes = b"") -> bytes:
    """One frame as bytes."""
    head = json.dumps(header).encode()
    return _HEAD.pack(len(head), len(body)) + head + body


class Unpacker:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> List[Frame]:
        """Take more bytes; returns the frames that are complete now."""
        self._buffer += data
        frames: List[Frame] = []
        while len(self._buffer) >= _HEAD.size:
            head, body = _HEAD.unpack_from(self._buffer)
            end = _HEAD.size + head + body
            if len(self._buffer) < end:
                break
            start = _HEAD.size + head
            header = json.loads(self._buffer[_HEAD.size : start])
            frames.append((header, bytes(self._buffer[start:end])))
            del self._buffer[:end]
        return frames


def receive(sock: socket.socket) -> Optional[Frame]:
    """Wait for one frame on a blocking socket; None when the other side is gone."""
    head = _exactly(sock, _HEAD.size)
    if head is None:
        return None
    header_size, body_size = _HEAD.unpack(head)
    header = _exactly(sock, header_size)
    body = _exactly(sock, body_size)
    if header is None or body is None:
        return None
    return json.loads(header), bytes(body)


def _exactly(sock: socket.socket, size: int) -> Optional[bytearray]:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        try:
            got = sock.recv_into(view[done:])
        except ConnectionError:
            return None
        if not got:
            return None
        done += got
    return data


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
