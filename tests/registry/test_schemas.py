"""The schemas hold for what really is sent and answered: the logged examples, and the answers to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from jsonschema import Draft202012Validator

from jupyter_serving.registry import schemas
from jupyter_serving.registry.describe import describe
from jupyter_serving.registry.examples import in_order, read
from jupyter_serving.registry.signature import Signature, signature
from jupyter_serving.runtime.scoring import Scorer

from .signed import MODELS, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed")


def known(folder: Path, name: str) -> tuple[Signature, dict[str, Any]]:
    """Signature and example of a model."""
    description = describe(save(folder, name))
    found, example = signature(description), read(description)
    assert found is not None
    assert example is not None
    return found, in_order(found, example)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(schema: dict[str, Any], body: Any) -> list[str]:
    return [error.message for error in validator(schema).iter_errors(body)]


@pytest.mark.parametrize("name", MODELS)
def test_the_logged_example_and_its_answer_are_valid(folder: Path, name: str) -> None:
    found, example = known(folder, name)
    assert problems(schemas.request(found), example) == []
    scorer = Scorer(mlflow.pyfunc.load_model(str(save(folder, name))))
    answer = scorer.answer(json.dumps(example).encode(), None)
    assert answer.status == 200, answer.body
    assert problems(schemas.response(found), json.loads(answer.body)) == []


ROW = [1.5, 1, 0.5, 1, True, "a", "2020-01-02", "AP8=", [1.0], {"a": 1, "b": "x"}]
NAMES = list(MODELS["table"][3].columns)
RECORD = dict(zip(NAMES, ROW, strict=True))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("table", {"dataframe_records": [RECORD, RECORD | {"extra": 1}]}),
        ("table", {"instances": [RECORD], "client_request_id": "7", "usage_context": {}}),
        ("table", {"inputs": {column: [value] for column, value in RECORD.items()}}),
        ("table", {"dataframe_split": {"columns": NAMES, "data": [ROW], "index": [0]}}),
        ("params", {"inputs": [1.0], "params": {"seed": 1}}),
        ("optional", {"dataframe_records": [{"x": None}, {"x": 1, "text": None}]}),
        ("tensor", {"instances": [[[1, 2], [3, None]]]}),
        ("tensors", {"instances": [{"mask": [1, 2], "texts": "a"}]}),
        ("list", {"instances": ["a", "b"]}),
        ("list", {"dataframe_split": {"data": [["a"]]}}),
        ("chat", {"dataframe_records": [{"messages": [{"role": "user", "content": "a"}]}]}),
    ],
)
def test_every_format_is_described(folder: Path, name: str, body: dict[str, Any]) -> None:
    found, _ = known(folder, name)
    assert problems(schemas.request(found), body) == []


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("table", {}),
        ("table", {"dataframe_records": [{}]}),
        ("table", {"dataframe_records": [RECORD], "instances": [RECORD]}),
        ("table", {"dataframe_records": [RECORD | {"count": 1.5}]}),
        ("table", {"dataframe_records": [RECORD | {"flag": 1}]}),
        ("table", {"dataframe_records": [RECORD | {"vector": ["a"]}]}),
        ("table", {"dataframe_records": [RECORD | {"thing": {"a": 1}}]}),
        ("table", {"dataframe_split": {"columns": [*NAMES[1:], "other"], "data": [ROW]}}),
        ("table", {"dataframe_split": {"columns": NAMES[1:], "data": [ROW[1:]]}}),
        ("table", {"dataframe_split": {"columns": NAMES, "data": [ROW], "rows": 1}}),
        ("table", {"inputs": {"number": [1.5]}}),
        ("params", {"inputs": [1.0], "params": {"by": "much"}}),
        ("params", {"inputs": [1.0], "params": {"stops": "a"}}),
        ("optional", {"dataframe_records": [{"text": "a"}]}),
        ("tensor", {"instances": [[1, 2], [3, 4]]}),
        ("tensor", {"inputs": [[[1, 2, 3], [3, 4, 5]]]}),
        ("tensor", {"dataframe_records": []}),
        ("tensors", {"inputs": {"mask": [[-1, 2]], "texts": ["a"]}}),
        ("tensors", {"inputs": {"mask": [[1, 2]]}}),
        ("hinted", {"dataframe_records": []}),
        ("hinted", {"inputs": [1]}),
    ],
)
def test_what_the_model_would_refuse_is_not_valid(
    folder: Path, name: str, body: dict[str, Any]
) -> None:
    found, _ = known(folder, name)
    assert problems(schemas.request(found), body)


def test_params_show_their_defaults(folder: Path) -> None:
    found, _ = known(folder, "params")
    branch = schemas.request(found)["oneOf"][0]
    properties = branch["properties"]["params"]["properties"]
    assert {name: schema["default"] for name, schema in properties.items()} == {
        "by": 1.5,
        "stops": ["."],
        "seed": None,
    }
    for name, schema in properties.items():
        assert problems(schema, schema["default"]) == [], name


def test_rows_are_typed_by_place(folder: Path) -> None:
    found, _ = known(folder, "table")
    split = schemas.request(found)["oneOf"][0]["properties"]["dataframe_split"]
    rows = split["properties"]["data"]["items"]["prefixItems"]
    assert [schema.get("format") for schema in rows[:4]] == ["double", "int64", "float", "int32"]
    assert split["properties"]["columns"]["items"]["enum"] == NAMES
    assert "Required: number, count" in split["properties"]["columns"]["description"]


def test_outputs_that_are_not_declared_may_be_anything(folder: Path) -> None:
    found, _ = known(folder, "params")
    assert problems(schemas.response(found), {"predictions": object}) == []
    assert problems(schemas.response(found), {})
