import os
import random
import socket
from pathlib import Path

import pytest

from jupyter_serving.gateway import listeners


def test_the_lock_is_for_one(tmp_path: Path) -> None:
    first = listeners.lock(tmp_path / "lock")
    assert first is not None
    assert listeners.lock(tmp_path / "lock") is None
    os.close(first)
    again = listeners.lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listeners.bind_unix(path).close()
    assert path.exists()
    with listeners.bind_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_chosen_port_lies_below_the_range_of_outgoing_connections() -> None:
    with listeners.bind_any("127.0.0.1", random.Random(1)) as sock:
        assert listeners.FIRST_PORT <= sock.getsockname()[1] <= listeners.LAST_PORT


def test_a_taken_choice_is_skipped() -> None:
    with (
        listeners.bind_any("127.0.0.1", random.Random(2)) as first,
        listeners.bind_any("127.0.0.1", random.Random(2)) as second,
    ):
        assert first.getsockname() != second.getsockname()


def test_a_port_in_use_is_an_error() -> None:
    with (
        listeners.bind_any("127.0.0.1", random.Random(3)) as first,
        pytest.raises(OSError, match="in use"),
    ):
        listeners.bind_tcp("127.0.0.1", first.getsockname()[1])
