"""Where we mean to answer otherwise than MLflow's server; docs/scoring.md has the same table."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from . import corpus
from .models import IRIS
from .sides import World

ROW = dict(zip(IRIS, [5.1, 3.5, 1.4, 0.2], strict=True))
GOOD = json.dumps({"dataframe_records": [ROW]}).encode()
WHOLE = {"d": 1.5, "n": 3, "k": 4}


def told(reply: Any) -> Any:
    return json.loads(reply.body)


@pytest.mark.parametrize("type", ["text/plain", "application/json; charset=latin-1"])
def test_a_wrong_content_type_is_400_and_json(world: World, type: str):
    assert world.theirs("forest", GOOD, type).status == 415
    ours = world.ours("answer", "forest", GOOD, type)
    assert (ours.status, ours.type) == (400, "application/json")


def test_no_content_type_means_json(world: World):
    connection = http.client.HTTPConnection("127.0.0.1", world.theirs.first, timeout=60)
    connection.request("POST", "/forest/invocations", GOOD)
    assert connection.getresponse().status == 500
    connection.close()
    assert told(world.ours("answer", "forest", GOOD, None)) == {"predictions": [0]}


@pytest.mark.parametrize("want", ["set", "mlflow"])
def test_a_failure_of_the_models_code_is_never_5xx(world: World, want: str):
    body = json.dumps({"dataframe_records": [{"want": want}]}).encode()
    ours = world.ours("answer", "results", body)
    assert ours.status == 400
    assert told(ours)["error_code"] == "BAD_REQUEST"


def test_a_result_that_is_not_json_is_500_there_and_400_here(world: World):
    body = json.dumps({"dataframe_records": [{"want": "set"}]}).encode()
    assert world.theirs("results", body).status == 500
    assert (
        "a set that cannot be written as JSON"
        in told(world.ours("answer", "results", body))["message"]
    )


def test_a_failed_prediction_says_why(world: World):
    body = json.dumps({"dataframe_records": [{"want": "raise"}]}).encode()
    theirs, ours = told(world.theirs("results", body)), told(world.ours("answer", "results", body))
    assert "IndexError" not in theirs["message"] and "IndexError" in theirs["stack_trace"]
    assert ours["message"] == f"{theirs['message']} IndexError: list index out of range"
    assert "stack_trace" not in ours


def test_nan_and_infinities_are_null(world: World):
    body = json.dumps({"dataframe_records": [{"want": "nan"}]}).encode()
    assert world.theirs("results", body).body == b'{"predictions": [NaN, Infinity, -Infinity, 1.0]}'
    assert told(world.ours("answer", "results", body)) == {"predictions": [None, None, None, 1.0]}


@pytest.mark.parametrize("name", ["n", "k"])
def test_a_fraction_in_an_integer_column_is_refused(world: World, name: str):
    cut, refused = [], []
    for body in corpus.formats([WHOLE, {**WHOLE, name: 3.75}]):
        data = json.dumps(body).encode()
        cut.append(world.theirs("mixed", data).status)
        for path in ("slow", "answer"):
            reply = world.ours(path, "mixed", data)
            refused.append((reply.status, f"Column '{name}'" in told(reply)["message"]))
    assert 200 in cut  # MLflow predicts with 3 where it was sent 3.75
    assert set(refused) == {(400, True)}


def test_a_fraction_in_csv_is_refused_with_its_place(world: World):
    body = corpus.csv([WHOLE, {**WHOLE, "n": 3.75}])
    assert world.theirs("mixed", body, "text/csv").status == 400
    message = told(world.ours("answer", "mixed", body, "text/csv"))["message"]
    assert "Column 'n' is of type long" in message and "row 1 has 3.75" in message


def test_a_fraction_in_an_integer_tensor_is_refused(world: World):
    for body in (
        {"inputs": {"i": [1.5], "x": [[0.1, 2]]}},
        {"instances": [{"i": 1.5, "x": [0.1, 2]}]},
    ):
        data = json.dumps(body).encode()
        assert b'"i": ["int64", [1]]' in world.theirs("tensors", data).body
        assert "row 0 has 1.5" in told(world.ours("answer", "tensors", data))["message"]


def test_platform_keys_do_not_reach_the_model(world: World):
    body = json.dumps({"prompt": "x", "client_request_id": "7", "usage_context": {"a": 1}}).encode()
    assert b"client_request_id" in world.theirs("describes", body).body
    assert set(told(world.ours("answer", "describes", body))["given"]) == {"prompt"}
