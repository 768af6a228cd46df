from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from jupyter_serving.runtime import frames, slot
from jupyter_serving.runtime.batching import Batching
from jupyter_serving.runtime.frames import Answered

from .harness import PATIENCE, eventually
from .inline import PathScorer, rows

PLAIN = b"content-type: application/json"


class Worker:
    """``slot.serve`` in a thread, spoken to as the front does."""

    def __init__(self, scorer: Any, batch: int = 32) -> None:
        self.batching = Batching(batch, "a test")
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        self._reader = frames.Reader(self.sock)
        self.thread = threading.Thread(
            target=slot.serve, args=(theirs, scorer, self.batching, "worker 1"), daemon=True
        )
        self.thread.start()

    def send(self, *bodies: Any, headers: bytes = PLAIN, what: int = frames.INVOCATION) -> None:
        packed = [b if isinstance(b, bytes) else json.dumps(b).encode() for b in bodies]
        self.sock.sendall(frames.group([(what, headers, body) for body in packed]))

    def frame(self) -> frames.Frame:
        frame = self._reader.next()
        assert frame is not None
        return frame

    def answers(self) -> list[Answered]:
        """All answers of the group, by place."""
        found: list[Answered] = []
        while True:
            frame = self.frame()
            assert frame.kind == frames.ANSWERS, frame
            found += frames.answered(frame)
            if frame.number:
                return sorted(found)

    def ask(self, *bodies: Any, **more: Any) -> list[Answered]:
        self.send(*bodies, **more)
        return self.answers()


@pytest.fixture
def work() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(scorer: Any, **more: Any) -> Worker:
        workers.append(Worker(scorer, **more))
        return workers[-1]

    yield start
    for worker in workers:
        worker.sock.close()
        worker.thread.join(PATIENCE)
        assert not worker.thread.is_alive()


Work = Callable[..., Worker]


def double(data: np.ndarray) -> np.ndarray:
    return data[:, 0] * 2


def predictions(answered: Answered) -> Any:
    return json.loads(answered.body)["predictions"]


def message(answered: Answered) -> str:
    return json.loads(answered.body)["message"]


def test_a_group_is_one_prediction_and_each_member_gets_its_rows(work: Work):
    sizes: list[int] = []

    def model(data: np.ndarray) -> np.ndarray:
        sizes.append(len(data))
        return double(data)

    answered = work(PathScorer(model)).ask(rows(1), rows(2, 3), rows(4))
    assert [predictions(each) for each in answered] == [[2], [4, 6], [8]]
    assert [(each.status, each.batch) for each in answered] == [(200, 3)] * 3
    assert sizes[0] == 4


def test_one_bad_row_fails_only_its_own_request(work: Work):
    def model(data: np.ndarray) -> np.ndarray:
        if (data < 0).any():
            raise ValueError("negative")
        return double(data)

    worker = work(PathScorer(model))
    answered = worker.ask(rows(1), rows(-1), rows(3))
    assert [each.status for each in answered] == [200, 400, 200]
    assert message(answered[1]) == "refused: negative"
    assert answered[1].more == "x-why: slow\r\n"
    assert [each.batch for each in answered] == [1, 1, 1]
    assert worker.batching.max_size == 32  # a guilty request says nothing against batching


def test_a_result_that_cannot_be_written_fails_only_its_own_request(work: Work):
    def model(data: np.ndarray) -> np.ndarray:
        return np.array([{1} if value < 0 else value for value in data[:, 0]], dtype=object)

    answered = work(PathScorer(model)).ask(rows(1), rows(-1))
    assert [each.status for each in answered] == [200, 400]


def test_a_group_that_fails_without_a_guilty_member_ends_batching(work: Work):
    def model(data: np.ndarray) -> np.ndarray:
        if len(data) > 1:
            raise ValueError("one row only")
        return double(data)

    worker = work(PathScorer(model))
    assert [predictions(each) for each in worker.ask(rows(1), rows(2))] == [[2], [4]]
    told = json.loads(worker.frame().content)
    assert (told["event"], told["max_size"]) == ("batch", 1)
    assert "2 requests failed together (ValueError: one row only)" in told["reason"]


@pytest.mark.parametrize("count", [1, 5])
def test_a_result_with_another_number_of_rows_is_never_cut(work: Work, count: int):
    def model(data: np.ndarray) -> np.ndarray:
        return double(data) if len(data) == 1 else np.zeros(count)

    worker = work(PathScorer(model))
    answered = worker.ask(rows(1), rows(2))
    assert [predictions(each) for each in answered] == [[2], [4]]
    told = json.loads(worker.frame().content)
    assert f"predict returned {count} answers to 2 rows" in told["reason"]


def test_what_is_not_plain_goes_back_to_be_sent_alone(work: Work):
    worker = work(PathScorer(double))
    answered = worker.ask(rows(1), b"nonsense", rows(2))
    assert [each.status for each in answered] == [200, frames.ALONE, 200]
    assert worker.ask(b"nonsense")[0].status == 400


def test_rows_beyond_what_is_computed_together_go_back(work: Work):
    large = rows(*range(slot.MAX_ROWS - 1))
    answered = work(PathScorer(double)).ask(rows(1), large, rows(2), rows(3))
    assert [each.status for each in answered] == [200, 200, frames.LATER, frames.LATER]
    assert work(PathScorer(double)).ask(rows(*range(5000)))[0].status == 200


def test_a_model_that_deceived_the_check_is_caught_in_service(work: Work):
    def model(data: np.ndarray) -> np.ndarray:
        # the rows of the check are all small
        large = len(data) > 1 and data.max() > 1000
        return double(data) - (data.mean() if large else 0)

    worker = work(PathScorer(model))
    for _ in range(5):
        assert [predictions(each) for each in worker.ask(rows(1), rows(2))] == [[2], [4]]
    # not every group is compared: the 6th is not, the 8th is
    assert worker.ask(rows(2000), rows(2))[0].status == 200
    worker.ask(rows(1), rows(2))
    assert worker.ask(rows(2000), rows(2))[0].status == 200
    told = json.loads(worker.frame().content)
    assert told["event"] == "batch"
    assert "another answer among 2 than alone" in told["reason"]
    assert worker.batching.max_size == 1


def test_a_gzip_body_is_unpacked(work: Work):
    body = gzip.compress(json.dumps(rows(4)).encode())
    answered = work(PathScorer(double)).ask(body, headers=PLAIN + b"\ncontent-encoding: gzip")
    assert predictions(answered[0]) == [8]


@pytest.mark.parametrize(
    ("body", "coding", "why"),
    [
        (gzip.compress(b" " * 20_000), b"gzip", "more than 10000 bytes"),
        (gzip.compress(b"x" * 100)[:-20], b"gzip", "ends too early"),
        (b"no gzip", b"gzip", "not gzip data"),
        (b"", b"gzip", "body is empty"),
        (b"x", b"br", "not supported"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(
    work: Work, body: bytes, coding: bytes, why: str
):
    worker = work(PathScorer(double))
    answered = worker.ask(body, headers=PLAIN + b"\ncontent-encoding: " + coding)
    assert answered[0].status == 400
    assert why in message(answered[0])
    assert worker.ask(rows(1))[0].status == 200


class Pieces:
    """A stream that ends after ``count`` pieces, or never; ``closed`` when it was closed."""

    def __init__(self, count: int | None = None, error: str = "") -> None:
        self.count, self.error, self.sent, self.closed = count, error, 0, threading.Event()

    def __call__(self) -> Iterator[bytes]:
        try:
            while self.count is None or self.sent < self.count:
                self.sent += 1
                yield b"data: %d\n\n" % self.sent
            if self.error:
                raise ValueError(self.error)
        finally:
            self.closed.set()


def test_a_stream_is_sent_piece_by_piece(work: Work):
    worker = work(PathScorer(double, go=Pieces(3)))
    worker.send(b"go")
    received = [worker.frame() for _ in range(5)]
    kinds = [frame.kind for frame in received]
    assert kinds == [frames.STREAM, frames.PIECE, frames.PIECE, frames.PIECE, frames.END]
    assert received[0].content == b"text/event-stream"
    assert received[3].content == b"data: 3\n\n"
    assert worker.ask(rows(1))[0].status == 200


def test_a_stream_that_fails_says_so_and_ends(work: Work):
    worker = work(PathScorer(double, go=Pieces(1, error="broken")))
    worker.send(b"go")
    received = [worker.frame() for _ in range(4)]
    assert received[3].kind == frames.END
    told = json.loads(received[2].content.removeprefix(b"data: "))
    assert told["error_code"] == "BAD_REQUEST"
    assert told["message"].endswith("ValueError: broken")


def test_a_stream_that_fails_before_its_first_piece_is_a_plain_refusal(work: Work):
    answered = work(PathScorer(double, go=Pieces(0, error="broken"))).ask(b"go")
    assert answered[0].status == 400
    assert message(answered[0]).endswith("ValueError: broken")


def test_a_stream_that_nobody_reads_is_closed_and_the_worker_is_free(work: Work):
    endless = Pieces()
    worker = work(PathScorer(double, go=endless))
    worker.send(b"go")
    assert worker.frame().kind == frames.STREAM
    worker.sock.sendall(frames.CANCELLED)
    while worker.frame().kind != frames.END:
        pass
    assert endless.closed.is_set()
    # a cancel that comes too late is for nobody
    worker.sock.sendall(frames.CANCELLED)
    assert predictions(worker.ask(rows(1))[0]) == [2]


def test_a_reader_that_stops_stops_the_stream(work: Work):
    endless = Pieces()
    worker = work(PathScorer(double, go=endless))
    worker.send(b"go")
    before = -1

    def stands() -> bool:
        nonlocal before
        before, was = endless.sent, before
        threading.Event().wait(0.05)
        return before == was and before > 0

    eventually(stands, "the worker waits for the reader")
    assert endless.sent * 11 < 8_000_000
    worker.sock.sendall(frames.CANCELLED)
    while worker.frame().kind != frames.END:
        pass


def test_a_worker_ends_with_its_front_in_mid_stream(work: Work):
    endless = Pieces()
    worker = work(PathScorer(double, go=endless))
    worker.send(b"go")
    assert worker.frame().kind == frames.STREAM
    worker.sock.close()
    worker.thread.join(PATIENCE)
    assert endless.closed.is_set()


def test_v2_gets_its_headers_and_its_unpacked_body(work: Work, monkeypatch: pytest.MonkeyPatch):
    from jupyter_serving.runtime import v2
    from jupyter_serving.runtime.scoring import Scored

    seen: list[Any] = []

    def infer(scorer: Any, body: bytes, headers: Any) -> Scored:
        seen.append((body, dict(headers)))
        return Scored(200, b"{}", headers=(("inference-header-content-length", "2"),))

    monkeypatch.setattr(v2, "infer", infer)
    headers = b"content-encoding: gzip\nx-serving-model: m"
    answered = work(PathScorer(double)).ask(gzip.compress(b"abc"), headers=headers, what=frames.V2)
    assert seen[0][0] == b"abc"
    assert seen[0][1]["x-serving-model"] == "m"
    assert answered[0].more == "inference-header-content-length: 2\r\n"
