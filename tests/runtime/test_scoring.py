from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.pyfunc.scoring_server as server
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from jupyter_serving.runtime.results import strict_json
from jupyter_serving.runtime.scoring import Scorer, without_extras

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


@pytest.fixture(scope="module")
def iris(models: Path) -> Any:
    return mlflow.pyfunc.load_model(str(models / "iris"))


class Stub:
    """A pyfunc model whose predict is given; no signature."""

    class metadata:
        @staticmethod
        def get_input_schema() -> None:
            return None

        @staticmethod
        def get_params_schema() -> None:
            return None

    def __init__(self, predict: Any) -> None:
        self.predict = lambda data, params=None: predict(data)


def score(predict: Any, body: Any = None, stack_trace: bool = True) -> tuple[int, Any]:
    request = {"instances": [1]} if body is None else body
    scored = Scorer(Stub(predict), {"stack_trace": stack_trace}).answer(
        json.dumps(request).encode(), None
    )
    return scored.status, json.loads(scored.body, parse_constant=pytest.fail)


def oracle(model: Any, body: bytes, content_type: str) -> tuple[int, Any]:
    """What MLflow's own server answers: its route's code, without HTTP."""
    try:
        response = server.invocations(body, content_type, model, model.metadata.get_input_schema())
    except MlflowException as error:
        return error.get_http_status_code(), json.loads(error.serialize_as_json())
    return response.status, json.loads(response.response)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": COLUMNS, "data": ROWS}},
        {"dataframe_split": {"columns": COLUMNS[::-1], "data": ROWS, "index": [7, 8]}},
        {"dataframe_split": {"columns": [*COLUMNS, "extra"], "data": [[*row, 1] for row in ROWS]}},
        {"dataframe_split": {"columns": COLUMNS[:2], "data": [row[:2] for row in ROWS]}},
        {"dataframe_split": {"data": ROWS}},
        {"dataframe_split": [{"columns": COLUMNS, "data": ROWS}]},
        {"dataframe_records": RECORDS},
        {"dataframe_records": RECORDS, "params": {"unknown": 1}},
        {"dataframe_records": {}},
        {"dataframe_records": []},
        {"instances": RECORDS},
        {"instances": ROWS},
        {"inputs": {name: [row[i] for row in ROWS] for i, name in enumerate(COLUMNS)}},
        {"inputs": RECORDS},
        {"dataframe_records": [{**RECORDS[0], COLUMNS[0]: "not a number"}]},
        {"dataframe_records": [{**RECORDS[0], COLUMNS[0]: "5.1"}]},
        {"dataframe_records": [{**RECORDS[0], COLUMNS[0]: None}]},
        {"inputs": RECORDS, "instances": RECORDS},
        {"columns": COLUMNS, "data": ROWS},
        {},
        [],
        7,
        None,
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_answers_are_those_of_mlflow(iris: Any, body: Any):
    data = json.dumps(body).encode()
    scored = Scorer(iris, {"stack_trace": True}).answer(data, "application/json")
    status, expected = oracle(iris, data, "application/json")
    got = json.loads(scored.body)
    for answer in (got, expected):
        if isinstance(answer, dict):
            answer.pop("stack_trace", None)  # line numbers of the caller
    if "evaluating the model" in str(expected.get("message")):
        assert got["message"].startswith(expected["message"])
        got["message"] = expected["message"]
    assert (scored.status, got) == (status, expected)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        ((",".join(COLUMNS) + "\n5.1,3.5,1.4,0.2\n").encode(), "text/csv"),
        ((",".join(COLUMNS) + "\n5.1,3.5,1.4,0.2\n").encode(), "text/csv; charset=utf-8"),
        (b"\xff\xfe", "text/csv"),
        (b'a,b\n1,"x', "text/csv"),
        (b"", "text/csv"),
    ],
)
def test_raw_bodies_are_answered_as_by_mlflow(iris: Any, body: bytes, content_type: str):
    scored = Scorer(iris).answer(body, content_type)
    status, expected = oracle(iris, body, content_type)
    expected.pop("stack_trace", None)
    assert (scored.status, json.loads(scored.body)) == (status, expected)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json; charset=latin-1", "application/json; version=2", "json", ";"],
)
def test_a_wrong_content_type_is_a_json_error(iris: Any, content_type: str):
    scored = Scorer(iris, {"stack_trace": True}).answer(b"{}", content_type)
    assert (scored.status, scored.content_type) == (400, "application/json")
    error = json.loads(scored.body)
    assert error["error_code"] == "BAD_REQUEST"
    expected = server.invocations(b"{}", content_type, iris, None).response
    assert error["message"] == expected


def test_no_content_type_means_json(iris: Any):
    scorer, body = (
        Scorer(iris, {"stack_trace": True}),
        json.dumps({"dataframe_records": RECORDS}).encode(),
    )
    assert scorer.answer(body, None) == scorer.answer(body, "application/json")
    assert scorer.answer(body, None).status == 200


@pytest.mark.parametrize(
    "failure", [ValueError("could not convert 'x'"), SystemExit(3), MemoryError()]
)
def test_a_failure_of_predict_is_400_and_says_why(failure: BaseException):
    def predict(data: Any) -> Any:
        raise failure

    status, error = score(predict)
    assert (status, error["error_code"]) == (400, "BAD_REQUEST")
    last = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
    assert error["message"].endswith(last)
    assert "in predict" in error["stack_trace"]
    assert "stack_trace" not in score(predict, stack_trace=False)[1]


def test_a_failure_is_not_told_for_the_next_request():
    outcomes = iter([ValueError("first"), None])

    def predict(data: Any) -> Any:
        outcome = next(outcomes)
        if outcome:
            raise outcome
        return {1}

    scorer = Scorer(Stub(predict), {"stack_trace": True})
    assert b"first" in scorer.answer(b'{"instances": [1]}', None).body
    assert b"first" not in scorer.answer(b'{"instances": [1]}', None).body


def test_an_mlflow_error_of_the_model_is_never_a_fault_of_the_platform():
    def predict(data: Any) -> Any:
        raise MlflowException("confused")  # INTERNAL_ERROR, 500

    status, error = score(predict)
    assert (status, error["error_code"]) == (400, "BAD_REQUEST")
    assert "confused" in error["message"]


@pytest.mark.parametrize(
    ("result", "name"),
    [({1, 2}, "set"), (Decimal("1"), "Decimal"), ([{1}], "set"), (object(), "object")],
)
def test_a_result_that_is_not_json_names_its_type(result: Any, name: str):
    status, error = score(lambda data: result)
    assert (status, error["error_code"]) == (400, "BAD_REQUEST")
    assert "cannot be written as JSON" in error["message"]
    assert name in error["message"]


def test_nan_and_infinities_become_null():
    values = [math.nan, math.inf, -math.inf, 1.5, "NaN", {"x": math.nan}]
    status, answer = score(lambda data: values)
    assert (status, answer) == (200, {"predictions": [None, None, None, 1.5, "NaN", {"x": None}]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_strict_json_changes_nothing_else(value: Any):
    text = json.dumps([value, "NaN", "Infinity"])
    assert json.loads(strict_json(text)) == json.loads(text, parse_constant=lambda name: None)


@pytest.mark.parametrize("key", ["messages", "prompt", "input"])
def test_extras_for_the_platform_do_not_reach_a_model_that_takes_the_whole_body(key: str):
    seen = []
    body = {key: "x", "client_request_id": "7", "usage_context": {"a": 1}, "temperature": 1}
    status, answer = score(lambda data: seen.append(data) or "ok", body)
    assert (status, answer) == (200, "ok")
    assert seen == [{key: "x", "temperature": 1}]


@given(json_values)
def test_other_bodies_stay_as_they_are(value: Any):
    body = json.dumps({"inputs": value}).encode()
    assert without_extras(body, json.loads(body)) is body


def test_mlflow_without_invocations_is_served_by_its_parts(
    iris: Any, monkeypatch: pytest.MonkeyPatch
):
    """As in MLflow 2.0 to 2.2, whose Flask route did all of it."""
    monkeypatch.delattr(server, "invocations")
    monkeypatch.delattr(server, "CONTENT_TYPE_PARQUET")

    def infer_and_parse_json_input(text: str, schema: Any) -> Any:
        return server.infer_and_parse_data(json.loads(text), schema)

    monkeypatch.setattr(
        server, "infer_and_parse_json_input", infer_and_parse_json_input, raising=False
    )
    scorer = Scorer(iris, {"stack_trace": True})
    body = json.dumps({"dataframe_records": RECORDS}).encode()
    assert json.loads(scorer.answer(body, "application/json").body) == {"predictions": [0, 2]}
    csv = (",".join(COLUMNS) + "\n5.1,3.5,1.4,0.2\n").encode()
    assert json.loads(scorer.answer(csv, "text/csv").body) == {"predictions": [0]}
    assert scorer.answer(body, "text/plain").status == 400


def test_a_body_beyond_the_bound_is_refused():
    scorer = Scorer(Stub(lambda data: [1]), {"max_body_bytes": 20})
    assert scorer.answer(b'{"instances": [1]}', None).status == 200
    scored = scorer.answer(b'{"instances": [1, 2]}', None)
    assert (scored.status, json.loads(scored.body)["error_code"]) == (400, "BAD_REQUEST")
    assert "at most 20" in json.loads(scored.body)["message"]


def test_a_spec_is_not_needed():
    scorer = Scorer(Stub(lambda data: [1]))
    assert scorer.answer(b'{"instances": [1]}', None).status == 200
    assert scorer.describe() == {"fast_path": {"kind": None, "reason": "not compared yet"}}
    scorer.learn(b'{"instances": [1]}')
    assert scorer.fast is None
