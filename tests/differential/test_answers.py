"""MLflow's own server beside ours: the same requests, the same answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import corpus
from .models import IRIS
from .sides import World

IRIS_ROWS = [
    dict(zip(IRIS, row, strict=True)) for row in ([5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3])
]
PLAIN_ROWS = [
    {"d": 0.1, "f": 0.1, "n": 3, "k": -4, "b": True, "s": "a"},
    {"d": 1e300, "f": 2, "n": 2**53 + 1, "k": 2**31 - 1, "b": False, "s": 'ä€ "\\'},
]
ROWS: dict[str, list[dict[str, Any]]] = {
    "forest": IRIS_ROWS,
    "line": [{name: row[name] for name in IRIS[:3]} for row in IRIS_ROWS],
    "mixed": [{"d": 0.3, "n": 3, "k": 4}, {"d": 2, "n": 2**40, "k": -7}],
    "city": [{"city": "a", "d": 0.3}, {"city": "d", "d": 5}],
    "echo": PLAIN_ROWS,
    "dtypes": PLAIN_ROWS,
    "doubles": [{"d": 0.1}, {"d": 7}],
    "params": [{"d": 0.1}, {"d": 7}],
    "hinted": [{"a": 1, "b": 2}, {"a": 3, "b": 4}],
    "describes": [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}],
    "optional": [{"d": 1.5, "s": "x", "n": 2.5}, {"d": 1, "s": "y", "n": 0.5}],
    "times": [{"t": "2020-01-02T03:04:05.678901"}, {"t": "1970-01-01"}],
    "binary": [{"b": "AQID"}, {"b": ""}],
}
# In the environment with MLflow 3 only.
BOOSTERS = ("boost", "boost_line", "light", "booster")
KINDS = {
    "forest": "array",
    "line": "array",
    "mixed": "array",
    "city": "frame",
    "echo": "frame",
    "dtypes": "frame",
    "doubles": "frame",
    "params": "frame",
    "results": "frame",
    "hinted": None,
    "describes": None,
    "optional": None,
    "times": None,
    "binary": None,
    "tensor": None,
    "tensors": None,
}


def test_the_fast_paths_are_there(world: World):
    kinds = {name: world.ours.kind(name) for name in KINDS}
    assert kinds == KINDS, world.ours.described


def test_the_fast_paths_of_boosters_are_there(mlflow3: World):
    kinds = [mlflow3.ours.kind(name) for name in BOOSTERS]
    assert kinds == ["array", "array", "array", "frame"], mlflow3.ours.described


@pytest.mark.parametrize("model", ROWS)
def test_every_format(world: World, model: str):
    for count in (1, 2):
        for body in corpus.formats(ROWS[model][:count]):
            world.compare(model, body)


@pytest.mark.parametrize("model", ROWS)
def test_variations_of_good_requests(world: World, model: str):
    for body in corpus.odd(ROWS[model]):
        world.compare(model, body)


@pytest.mark.parametrize("name", ["n", "k"])
def test_integers_at_their_bounds(world: World, name: str):
    row = ROWS["mixed"][0]
    for bound in (2**31, 2**53, 2**63, 2**64):
        for value in (bound - 1, bound, bound + 1, -bound, -bound - 1, float(bound)):
            for body in corpus.formats([{**row, name: value}]):
                world.compare("mixed", body)


@pytest.mark.parametrize("model", BOOSTERS)
def test_boosters(mlflow3: World, model: str):
    for body in [*corpus.formats(IRIS_ROWS[:1]), *corpus.formats(IRIS_ROWS)]:
        mlflow3.compare(model, body)
    for body in corpus.odd(IRIS_ROWS):
        mlflow3.compare(model, body)


@pytest.mark.parametrize("model", ["forest", "dtypes", "describes", "hinted"])
def test_raw_bodies(world: World, model: str):
    for body in corpus.RAW:
        for type in ("application/json", "text/csv", "application/vnd.apache.parquet"):
            world.compare(model, body, type)


@pytest.mark.parametrize("model", ["forest", "mixed", "city", "echo", "optional", "describes"])
def test_csv(world: World, model: str):
    rows = ROWS[model]
    good = corpus.csv(rows)
    for body in (good, good + b"\n1,2,3,4,5,6,7,8", good.replace(b",", b";"), good[:-3], b"a"):
        for type in ("text/csv", "text/csv; charset=utf-8", "text/csv; header=present"):
            world.compare(model, body, type)


def test_parquet(world: World, tmp_path: Any):
    pandas = pytest.importorskip("pandas")
    for name in ("forest", "dtypes"):
        frame = pandas.DataFrame(ROWS[name][:1])
        body = frame.to_parquet(None)
        assert isinstance(body, bytes)
        world.compare(name, body, "application/vnd.apache.parquet")


@pytest.mark.parametrize(
    "type",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=latin-1",
        "application/json; version=2",
        "application/jsonl",
        "text/plain",
        "json",
        ";",
    ],
)
def test_content_types(world: World, type: str):
    world.compare("forest", {"dataframe_records": IRIS_ROWS}, type)


@pytest.mark.parametrize("format", ["dataframe_records", "instances", "inputs"])
def test_params(world: World, format: str):
    rows = ROWS["params"]
    for params in (
        {"t": 1, "n": 4, "s": "x", "b": False, "l": [3]},
        {"t": 0.25},
        {"n": 1.5},
        {"n": "3"},
        {"s": 1},
        {"b": 1},
        {"l": 3},
        {"l": [1.5]},
        {"unknown": 1},
        {},
        None,
        [],
        "text",
    ):
        world.compare("params", {format: rows, "params": params})


def test_every_kind_of_result(world: World):
    wants = ["series", "named", "series32", "frame", "frame32", "twice", "numbered", "times"]
    wants += ["category", "nullable", "objects", "empty", "int8", "uint64", "float16", "bools"]
    wants += ["texts", "bytes", "scalar", "zero", "mixed", "numpy", "big", "keys", "half", "deep"]
    wants += ["nothing", "nan", "set", "raise", "mlflow", "unknown"]
    for want in wants:
        world.compare("results", {"dataframe_records": [{"want": want}]})


@pytest.mark.parametrize("model", ["describes", "dtypes", "hinted"])
def test_the_unified_llm_format(world: World, model: str):
    for body in (
        {"messages": [{"role": "user", "content": "x"}], "temperature": 0.5},
        {"prompt": "x", "n": 1},
        {"input": ["x", "y"]},
        {"input": "x", "inputs": [1], "dataframe_records": [{"n": 1.5}]},
        {"messages": None},
    ):
        world.compare(model, body)


TENSORS: list[Any] = [
    {"inputs": [[1, 2.5], [3, 4]]},
    {"instances": [[1, 2.5], [3, 4]]},
    {"inputs": [[0.1, 1e300]]},
    {"inputs": [1, 2]},
    {"inputs": [[1, 2, 3]]},
    {"inputs": [["a", "b"]]},
    {"inputs": [["1", "2"]]},
    {"inputs": [[None, 2]]},
    {"inputs": [[1], [2, 3]]},
    {"inputs": []},
    {"inputs": {"i": [1, 2], "x": [[1, 2], [3, 4]]}},
    {"inputs": {"i": [1.0], "x": [[0.1, 2]]}},
    {"inputs": {"i": [1]}},
    {"inputs": {"i": [[1]], "x": [[0.1, 2]]}},
    {"inputs": {"i": [1], "x": [[0.1, 2]], "y": [1]}},
    {"instances": [{"i": 1, "x": [1, 2]}, {"i": 2, "x": [3, 0.1]}]},
    {"instances": [{"i": 1, "x": [1, 2]}, {"i": 2}]},
    {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2.5]]}},
    {"dataframe_split": {"data": [[1, 2.5]]}},
    {"dataframe_split": {"columns": ["i", "x"], "data": [[1, [1, 2]]]}},
    {"dataframe_records": [{"i": 1, "x": [1, 2]}]},
    {"dataframe_records": [{"a": [1, 2]}]},
]


@pytest.mark.parametrize("model", ["tensor", "tensors", "array"])
def test_tensor_signatures(world: World, model: str):
    for body in TENSORS:
        world.compare(model, body)
    four = [[5.1, 3.5, 1.4, 0.2], [6.7, 3, 5.2, 2.3]]
    for key in ("inputs", "instances"):
        world.compare(model, {key: four})
        world.compare(model, {key: four[:1]})


def test_columns_that_may_be_missing(world: World):
    row = ROWS["optional"][0]
    for gone in (["s"], ["n"], ["s", "n"], ["d"]):
        rest = {name: value for name, value in row.items() if name not in gone}
        for body in corpus.formats([rest]):
            world.compare("optional", body)
    for body in corpus.formats([row, {**row, "s": None, "n": None}]):
        world.compare("optional", body)


def test_times_and_bytes(world: World):
    for value in ("2020-01-02", "2020-01-02T03:04:05Z", "soon", 1577934245, 1.5e18, None, True):
        for body in corpus.formats([{"t": value}]):
            world.compare("times", body)
    for value in ("AQID", "AQI", "*", "ä", None, 1):
        for body in corpus.formats([{"b": value}]):
            world.compare("binary", body)


def test_platform_keys_change_nothing(world: World):
    for model in ("forest", "dtypes", "describes"):
        body = corpus.formats(ROWS[model])[2]
        extras = {"client_request_id": "7", "usage_context": {"a": 1}}
        plain = json.loads(world.compare(model, body).body)
        data = json.dumps({**body, **extras}).encode()
        for path in ("slow", "answer"):
            assert json.loads(world.ours(path, model, data).body) == plain
