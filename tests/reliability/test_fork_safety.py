"""Workers of every kind of library predict at the same time: no hang, right answers, and the log says fork or spawn."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from runtime.conftest import (  # noqa: F401 - fixtures
    Replica,
    Spawner,
    package_parent,
    peer,
    short,
    zygote_folder,
)
from runtime.harness import Peer

from . import forkable

CLIENTS = 4
# Left a thread running after its warm-up: a fork of it would wait for that thread for ever.
NEVER_FORKED = {"threaded"}
# One thread at load: nothing is left behind.
ALWAYS_FORKED = {"forest"}


@pytest.fixture
def spawn(peer: Peer, short: Path, tmp_path: Path) -> Iterator[Spawner]:  # noqa: F811
    spawner = Spawner(peer, short, tmp_path)
    yield spawner
    spawner.end()


class Client:
    """Sends requests of random rows over one connection until told to stop; keeps what was wrong."""

    def __init__(
        self, replica: Replica, name: str, answers: list, seed: int, stop: threading.Event
    ) -> None:
        self._replica, self._name, self._answers = replica, name, answers
        self._random, self._stop = random.Random(seed), stop
        self.right = 0
        self.wrong: list[str] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _right(self, found: list, first: int, last: int) -> bool:
        expected = self._answers[first:last]
        return len(found) == len(expected) and np.allclose(found, expected, rtol=1e-4, atol=1e-4)

    def _run(self) -> None:
        connection = self._replica.http()
        try:
            while not self._stop.is_set() and not self.wrong:
                first = self._random.randrange(len(self._answers) - 20)
                last = first + self._random.randint(1, 20)
                body = forkable.request(self._name, first, last)
                reply = connection.ask("POST", "/invocations", body)
                if reply.status != 200 or not self._right(reply.json["predictions"], first, last):
                    self.wrong.append(f"rows {first} to {last}: {reply.status} {reply.body[:300]}")
                self.right += 1
        except Exception as error:
            self.wrong.append(repr(error))
        finally:
            connection.close()


@pytest.mark.parametrize("name", list(forkable.MODELS))
def test_two_slots_predict_at_the_same_time(spawn: Spawner, tmp_path: Path, full: bool, name: str):
    answers = forkable.save(name, tmp_path / name)
    replica = spawn(name, slots=2, cpu_share=2)
    stop = threading.Event()
    clients = [Client(replica, name, answers, seed, stop) for seed in range(CLIENTS)]
    for client in clients:
        client.thread.start()
    time.sleep(60 if full else 3)
    stop.set()
    for client in clients:
        client.thread.join(90)
    assert [wrong for client in clients for wrong in client.wrong] == []
    assert not any(client.thread.is_alive() for client in clients)
    assert all(client.right for client in clients)
    told = re.search(r"workers: (fork|spawn) \((.+)\)", replica.log())
    assert told is not None, replica.log()
    assert name not in NEVER_FORKED or told[1] == "spawn"
    assert name not in ALWAYS_FORKED or told[1] == "fork"
    assert replica.status()["workers_kind"] == told[1]
    print(f"{name}: {sum(client.right for client in clients)} right answers; workers: {told[0]}")
