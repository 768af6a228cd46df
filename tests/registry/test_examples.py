from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from jupyter_serving.registry.describe import Description, describe
from jupyter_serving.registry.examples import LARGEST, as_v2, in_order, read
from jupyter_serving.registry.signature import Signature, signature
from jupyter_serving.runtime.scoring import Scorer
from jupyter_serving.runtime.v2 import infer

from .signed import save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed")


def known(folder: Path, name: str) -> tuple[Description, Signature, dict[str, Any]]:
    description = describe(save(folder, name))
    found, example = signature(description), read(description)
    assert found is not None
    assert example is not None
    return description, found, example


def test_missing_numbers_are_null(folder: Path) -> None:
    _, _, example = known(folder, "optional")
    assert example["dataframe_split"]["data"][1] == [None, None]


def test_columns_are_put_in_the_order_of_the_signature(folder: Path) -> None:
    _, found, example = known(folder, "optional")
    split = example["dataframe_split"]
    assert split["columns"] == ["x", "text"]
    split["columns"].append("other")
    split["data"] = [[*row, 7] for row in split["data"]]
    assert in_order(found, example)["dataframe_split"] == {
        "columns": ["text", "x"],
        "data": [["a", 1.0], [None, None]],
    }


def test_an_example_that_is_large_broken_or_absent_is_not_shown(
    folder: Path, tmp_path: Path
) -> None:
    description, _, _ = known(folder, "table")
    path = tmp_path / "example.json"
    for text in ("{", "[1]", json.dumps({"inputs": "a" * LARGEST})):
        path.write_text(text)
        assert read(replace(description, serving_example=path)) is None
    assert read(replace(description, serving_example=tmp_path / "gone")) is None
    assert read(replace(description, serving_example=None)) is None


@pytest.mark.parametrize("name", ["table", "params", "optional", "tensor"])
def test_the_v2_example_is_answered_like_the_logged_one(folder: Path, name: str) -> None:
    description, found, example = known(folder, name)
    request = as_v2(found, example)
    assert request is not None
    scorer = Scorer(mlflow.pyfunc.load_model(str(description.directory)))
    predictions = json.loads(scorer.answer(json.dumps(example).encode(), None).body)["predictions"]
    answer = infer(scorer, json.dumps(request).encode(), {})
    assert answer.status == 200, answer.body
    data = {output["name"]: output["data"] for output in json.loads(answer.body)["outputs"]}
    match predictions:
        case dict():
            assert data == predictions
        case [dict(), *_]:
            assert data == {name: [row[name] for row in predictions] for name in predictions[0]}
        case _:
            flat = [x for image in predictions for line in image for x in line]
            assert data == {"output-1": flat}


@pytest.mark.parametrize("name", ["tensors", "hinted", "list", "chat"])
def test_other_forms_have_no_v2_example(folder: Path, name: str) -> None:
    _, found, example = known(folder, name)
    assert in_order(found, example) == example
    assert as_v2(found, example) is None
