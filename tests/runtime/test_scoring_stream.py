from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from jupyter_serving.runtime.scoring import Scorer

BODY = b'{"prompt": "one two", "stream": true}'
DONE = b"data: [DONE]\n\n"


class Talks(mlflow.pyfunc.PythonModel):
    """Streams what it is given; ``log`` holds what happened."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = pieces
        self.log: list[Any] = []

    def predict(self, context, model_input, params=None):
        self.log.append("predict")
        return "whole"

    def predict_stream(self, context, model_input, params=None):
        self.log.append(model_input)
        try:
            yield from self.pieces(model_input, params)
        finally:
            self.log.append("closed")


def talking(
    pieces: Any, schema: Any = None, streams: bool = True, **spec: Any
) -> tuple[Scorer, Talks]:
    own = Talks(pieces)
    signature = None if schema is None else ModelSignature(schema)
    meta = Model(signature=signature)
    meta.add_flavor("python_function", loader_module="mlflow.pyfunc.model")
    wrapper = mlflow.pyfunc.model._PythonModelPyfuncWrapper(own, None, signature)
    stream = "predict_stream" if streams else None
    model = mlflow.pyfunc.PyFuncModel(meta, wrapper, predict_stream_fn=stream)
    return Scorer(model, spec), own


def words(data: Any, params: Any) -> Iterator[str]:
    yield from data["prompt"].split()


def events(scorer: Scorer, body: bytes = BODY) -> list[Any]:
    stream = scorer.stream(body, None)
    assert stream is not None
    raw = list(stream)
    assert raw[-1] == DONE
    assert all(each.startswith(b"data: ") and each.endswith(b"\n\n") for each in raw)
    assert all(each.count(b"\n") == 2 for each in raw)
    return [json.loads(each[6:], parse_constant=pytest.fail) for each in raw[:-1]]


def test_each_piece_is_an_event_and_the_end_is_marked():
    scorer, own = talking(words)
    assert events(scorer) == ["one", "two"]
    assert own.log == [{"prompt": "one two", "stream": True}, "closed"]


def test_pieces_are_made_one_by_one_as_they_are_taken():
    made = []

    def slowly(data: Any, params: Any) -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    scorer, _ = talking(slowly)
    stream = scorer.stream(BODY, None)
    assert stream is not None
    assert made == [0]  # the first one, so that an early failure is an ordinary answer
    assert next(stream) == b"data: 0\n\n"
    assert made == [0]
    assert next(stream) == b"data: 1\n\n"
    assert made == [0, 1]


def test_pieces_are_written_as_mlflow_writes_results():
    pieces = [{"a": np.float32(0.5)}, np.arange(2), float("nan"), "ä\n", None]
    scorer, _ = talking(lambda data, params: iter(pieces))
    assert events(scorer) == [{"a": 0.5}, [0, 1], None, "ä\n", None]


def test_a_stream_of_nothing_only_ends():
    assert events(talking(lambda data, params: iter(()))[0]) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "one two"}',
        b'{"prompt": "one two", "stream": false}',
        b'{"prompt": "one two", "stream": "true"}',
        b'{"prompt": "one two", "more": {"stream": true}}',
        b'["stream", true]',
        b'{"stream": true',
    ],
)
def test_what_does_not_ask_for_a_stream_gets_none(body: bytes):
    scorer, own = talking(words)
    assert scorer.stream(body, None) is None
    assert own.log == []


def test_a_model_without_streams_answers_as_ever():
    scorer, _ = talking(words, streams=False)
    assert scorer.stream(BODY, None) is None
    assert json.loads(scorer.answer(BODY, None).body) == "whole"


def test_other_formats_do_not_stream():
    assert talking(words)[0].stream(BODY, "text/csv") is None


def test_wrapped_data_streams_too():
    scorer, _ = talking(lambda data, params: iter([data]))
    assert events(scorer, b'{"inputs": {"x": "y"}, "stream": true}') == [{"x": "y"}]


def test_a_failure_before_the_first_piece_is_an_ordinary_answer():
    def fails(data: Any, params: Any) -> Iterator[str]:
        raise ValueError("no such word")
        yield ""

    scorer, own = talking(fails)
    assert scorer.stream(BODY, None) is None
    scored = scorer.answer(BODY, None)
    fields = json.loads(scored.body)
    assert (scored.status, fields["error_code"]) == (400, "BAD_REQUEST")
    assert fields["message"].endswith("ValueError: no such word")
    assert "stack_trace" not in fields
    assert "predict" not in own.log
    # the next request is another one
    assert json.loads(scorer.answer(BODY, None).body) == "whole"


def test_a_request_that_does_not_fit_the_signature_is_an_ordinary_answer():
    scorer, own = talking(words, Schema([ColSpec("string", "prompt"), ColSpec("long", "n")]))
    assert scorer.stream(BODY, None) is None
    scored = scorer.answer(BODY, None)
    assert (scored.status, b"missing inputs" in scored.body) == (400, True)
    assert own.log == []


def test_a_failed_stream_is_told_only_to_its_own_request():
    scorer, _ = talking(lambda data, params: iter([1 / 0]))
    assert scorer.stream(BODY, None) is None
    assert json.loads(scorer.answer(b'{"prompt": "x"}', None).body) == "whole"
    assert json.loads(scorer.answer(BODY, None).body) == "whole"


@pytest.mark.parametrize("stack_trace", [True, False])
def test_a_failure_in_mid_stream_is_an_event(stack_trace: bool):
    def fails(data: Any, params: Any) -> Iterator[str]:
        yield "one"
        raise ValueError("lost the thread")

    scorer, _ = talking(fails, stack_trace=stack_trace)
    first, error = events(scorer)
    assert first == "one"
    assert error["error_code"] == "BAD_REQUEST"
    assert error["message"].endswith("ValueError: lost the thread")
    assert ("lost the thread" in error.get("stack_trace", "")) == stack_trace


def test_a_piece_that_is_not_json_is_a_failure_in_mid_stream():
    first, error = events(talking(lambda data, params: iter(["one", {1}]))[0])
    assert first == "one" and "set" in error["message"]


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_closing_ends_the_models_generator(taken: int):
    scorer, own = talking(lambda data, params: iter(range(100)))
    stream = scorer.stream(BODY, None)
    assert stream is not None
    for _ in range(taken):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    del stream
    gc.collect()
    assert own.log[-1] == "closed"


def test_nothing_is_kept_after_the_end():
    class Piece(dict):  # type: ignore[type-arg]
        pass

    alive = []

    def pieces(data: Any, params: Any) -> Iterator[Any]:
        piece = Piece(a=1)
        alive.append(weakref.ref(piece))
        yield piece

    scorer, _ = talking(pieces)
    events(scorer)
    gc.collect()
    assert [reference() for reference in alive] == [None]
