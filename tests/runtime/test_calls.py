from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_serving.runtime import frames
from jupyter_serving.runtime.answers import Answer, lost, too_late
from jupyter_serving.runtime.calls import Call, Nobody, call


class Listener(Nobody):
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def answer(self, answer: Answer) -> None:
        self.heard.append(answer)

    def cut(self) -> None:
        self.heard.append("cut")


def made(what: int, **headers: str) -> tuple[Call, Listener]:
    listener = Listener()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(what, named, b"{}", 1.0, listener), listener


@pytest.mark.parametrize("error", [lost(1, "signal 9"), too_late("late")])
def test_an_error_has_the_shape_of_the_protocol_that_asked(error: Answer) -> None:
    asked, listener = made(frames.V2)
    asked.finish(error)
    ours = json.loads(error.body)
    assert json.loads(listener.heard[0].body) == {"error": ours["message"], **ours}
    assert listener.heard[0].status == error.status
    asked, listener = made(frames.INVOCATION)
    asked.finish(error)
    assert listener.heard == [error]


def test_predictions_are_passed_as_they_are() -> None:
    for what in (frames.V2, frames.INVOCATION):
        asked, listener = made(what)
        asked.finish(Answer(200, b"not JSON"))
        assert listener.heard == [Answer(200, b"not JSON")]


def test_nothing_follows_the_one_answer() -> None:
    asked, listener = made(frames.INVOCATION)
    asked.finish(Answer(200, b"1"))
    asked.finish(Answer(200, b"2"))
    assert [answer.body for answer in listener.heard] == [b"1"]


def test_a_stream_that_cannot_go_on_is_cut() -> None:
    asked, listener = made(frames.INVOCATION)
    asked.stage = "streaming"
    asked.finish(lost(1, "signal 9"))
    assert listener.heard == ["cut"]


def test_the_worker_gets_the_headers_that_v2_needs() -> None:
    asked, _ = made(frames.V2, x_serving_model="m", inference_header_content_length="7", accept="x")
    assert sorted(asked.headers.decode().split("\n")) == [
        "inference-header-content-length: 7",
        "x-serving-model: m",
    ]
    assert asked.most == 1
