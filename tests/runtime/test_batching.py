from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_serving.runtime.batching import EVERY, Batching, Trial, Unfit, declared, measure
from jupyter_serving.runtime.fastpath import Rows

from .harness import ask_later, eventually
from .inline import ArrayPath, PathScorer


class Metadata:
    """What the check reads of a loaded model: custom metadata, and a signature of two numbers."""

    saved_input_example_info = None

    def __init__(self, custom: Any = None) -> None:
        self.metadata = custom

    def get_input_schema(self) -> Any:
        from mlflow.types import Schema, TensorSpec

        return Schema([TensorSpec(np.dtype("float64"), (-1, 2))])


def scorer(predict: Callable[[np.ndarray], Any], row_wise: bool = True) -> PathScorer:
    made = PathScorer(predict)
    made.fast = ArrayPath(predict, row_wise)
    return made


def double(data: np.ndarray) -> np.ndarray:
    return data[:, 0] * 2


def check(
    predict: Callable[[np.ndarray], Any], row_wise: bool = True, custom: Any = None, **wanted: Any
) -> Batching:
    return Batching.check(scorer(predict, row_wise), {"batching": wanted}, Metadata(custom))


class Costly:
    """Doubles, and says that ``fixed`` plus ``row`` ms per row have passed on its own clock."""

    def __init__(self, fixed: float, row: float) -> None:
        self.fixed, self.row, self.now = fixed, row, 0.0

    def __call__(self, data: np.ndarray) -> np.ndarray:
        self.now += (self.fixed + self.row * len(data)) / 1000
        return double(data)

    def measured(self, limit: int) -> Any:
        path = ArrayPath(self)
        trials = [Trial(Rows(1, np.ones((1, 2)) * number), None) for number in range(5)]
        return measure(path, trials, limit, lambda: self.now)


def test_a_listed_model_that_keeps_the_promise_is_batched(capfd: pytest.CaptureFixture[str]):
    batching = check(double)
    assert batching.describe()["batch"]["max_size"] >= 2
    assert f"batching: up to {batching.max_size} requests\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("fixed", "row", "limit", "size"),
    [
        (5, 3, 32, 2),  # 1 row: 8 ms; 2: 11; 4: 17, which is too long
        (4, 0.01, 32, 32),
        (4, 0.01, 20, 16),
        (4, 0.5, 32, 8),  # 4.5 ms; 8 rows: 8
        (400, 0, 32, 2),  # no time to try more
    ],
)
def test_the_size_is_the_largest_that_at_most_doubles_the_time(
    fixed: float, row: float, limit: int, size: int
):
    found = Costly(fixed, row).measured(limit)
    assert found.max_size == size
    assert found.reason.startswith(f"{size} rows take")


@pytest.mark.parametrize(("fixed", "row"), [(0, 4), (1, 4), (-1, 4)])
def test_a_model_whose_rows_gain_nothing_together_is_not_batched(fixed: float, row: float):
    with pytest.raises(Unfit, match="two rows take nearly as long as two times one"):
        Costly(fixed, row).measured(32)


@pytest.mark.parametrize(
    ("row_wise", "custom", "wanted", "why"),
    [
        (True, None, {"mode": "off"}, "switched off for this endpoint"),
        (True, None, {"max_size": 1}, "max_size is 1"),
        (False, None, {}, "not known to treat each row by itself"),
        (False, {"jupyter_serving": {"row_wise": "yes"}}, {}, "not known"),
        (False, {"jupyter_serving": True}, {}, "not known"),
        (False, {"jupyter_serving": {"row_wise": True}}, {}, ""),
        (False, None, {"mode": "on"}, ""),
    ],
)
def test_who_may_batch(row_wise: bool, custom: Any, wanted: dict[str, Any], why: str):
    batching = check(double, row_wise, custom, **wanted)
    assert (batching.max_size > 1) == (why == "")
    assert why in batching.reason


def test_without_a_fast_path_there_is_no_batching():
    slow = scorer(double)
    slow.fast = None
    batching = Batching.check(slow, {"batching": {"mode": "on"}}, Metadata())
    assert batching.sentence() == "off (no fast path: a test)"


def test_rows_to_try_it_with_are_needed():
    class Unknown(Metadata):
        def get_input_schema(self) -> Any:
            return None

    batching = Batching.check(scorer(double), {}, Unknown())
    assert "log the model with an input example" in batching.reason


def _count(data: np.ndarray) -> Any:
    return double(data) + len(data)


_ticks = itertools.count()

LIARS = {
    "mean of the batch": lambda data: double(data) - double(data).mean(),
    "another way for many": lambda data: double(data) if len(data) == 1 else double(data) + 1,
    "rank": lambda data: np.argsort(np.argsort(data[:, 0])),
    "number of rows": _count,
    "one answer for all": lambda data: double(data)[:1],
    "sorted": lambda data: np.sort(double(data)),
    "state": lambda data: double(data) + next(_ticks),
    "other type": lambda data: double(data) if len(data) == 1 else double(data).astype("float32"),
    "other shape": lambda data: double(data) if len(data) == 1 else double(data)[:, None],
    "classes": lambda data: np.array(["a"] if len(data) == 1 else ["b"] * len(data)),
    "refuses many": lambda data: double(data) if len(data) == 1 else int("many"),
    "a dictionary": lambda data: {"a": double(data)},
    "a little off": lambda data: double(data) * (1 + 1e-7 * len(data)),
}


@pytest.mark.parametrize("predict", LIARS.values(), ids=LIARS)
def test_a_model_that_answers_by_batch_is_never_batched_whoever_says_so(predict: Any):
    batching = check(predict, True, {"jupyter_serving": {"row_wise": True}}, mode="on")
    assert batching.max_size == 1, batching.reason


def test_last_bits_that_change_with_the_batch_are_no_lie():
    assert check(lambda data: double(data) * (1 + 1e-15 * len(data))).max_size > 1


def test_a_failure_of_the_check_is_a_reason_not_an_end():
    class Broken(ArrayPath):
        def parse(self, body: bytes) -> Any:
            raise RuntimeError("no parser")

    made = scorer(double)
    made.fast = Broken(double)
    batching = Batching.check(made, {}, Metadata())
    assert batching.reason == "the check failed: RuntimeError: no parser"


def test_comparisons_in_service_are_dense_at_first_then_one_in_many():
    batching = Batching(32, "")
    due = [number for number in range(1, 3 * EVERY + 1) if batching.due()]
    assert due == [1, 2, 4, 8, 16, 32, 64, 128, EVERY, 2 * EVERY, 3 * EVERY]
    batching.switch_off("a lie")
    assert not any(batching.due() for _ in range(EVERY))
    assert batching.sentence() == "off (a lie)"


@pytest.mark.parametrize(
    "custom", [None, [], {"jupyter_serving": None}, {"jupyter_serving": {"row_wise": 1}}]
)
def test_a_declaration_is_exact(custom: Any):
    assert not declared(Metadata(custom))


# Real models, in real replicas


SCRIPT = """
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        values = model_input["x"] * 2
        {lie}
        return values.to_numpy()

mlflow.models.set_model(Model())
"""
DECLARED = {"jupyter_serving": {"row_wise": True}}


def save(folder: Path, name: str, lie: str, metadata: Any) -> str:
    """A pyfunc that doubles; ``lie`` is what it does to ``values`` besides."""
    import mlflow.pyfunc
    import pandas as pd

    script = folder / f"{name}.py"
    script.write_text(SCRIPT.format(lie=lie))
    example = pd.DataFrame({"x": [1.0, 2.5, 4.0]})
    mlflow.pyfunc.save_model(
        folder / name,
        python_model=str(script),
        metadata=metadata,
        signature=mlflow.models.infer_signature(example, example["x"].to_numpy()),
        input_example=example,
        pip_requirements=["mlflow", "pandas"],
    )
    return str(folder / name)


def body(*values: float) -> dict[str, Any]:
    return {"dataframe_split": {"columns": ["x"], "data": [[value] for value in values]}}


def flood(replica: Any, count: int, value: float) -> list[Any]:
    """Requests at the same time, so that some of them wait."""
    later = [
        ask_later(replica.address, "POST", "/invocations", body(value + n)) for n in range(count)
    ]
    return [each.reply() for each in later]


def test_a_forest_is_batched_and_its_answers_stay(spawn: Any, models: Path):
    replica = spawn("iris")
    facts = replica.ready().json
    assert facts["batch"]["max_size"] == facts["capacity"] > 1
    assert facts["fast_path"]["kind"] == "array"
    assert f"batching: up to {facts['capacity']} requests" in replica.log()
    columns = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    flowers = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.9, 3.1, 5.4, 2.1]]
    bodies = [{"dataframe_split": {"columns": columns, "data": [row]}} for row in flowers]
    alone = [replica.invoke(each).json for each in bodies]

    def grouped() -> bool:
        later = [
            ask_later(replica.address, "POST", "/invocations", bodies[n % 3]) for n in range(24)
        ]
        assert [each.reply().json for each in later] == [alone[n % 3] for n in range(24)]
        return any(int(size) > 1 for size in replica.status()["batch"]["sizes"])

    eventually(grouped, "some requests are computed together")
    assert len({str(each) for each in alone}) == 3


@pytest.mark.parametrize(
    ("name", "lie", "metadata", "why"),
    [
        ("honest_silent", "", None, "not known to treat each row by itself"),
        ("mean", "values = values - values.mean()", DECLARED, "another answer among"),
        (
            "many",
            "if len(model_input) > 1: values = values + 1",
            DECLARED,
            "another answer among",
        ),
    ],
)
def test_pyfuncs_that_are_never_batched(
    spawn: Any, short: Path, name: str, lie: str, metadata: Any, why: str
):
    replica = spawn(save(short, name, lie, metadata))
    facts = replica.ready().json
    assert (facts["capacity"], facts["batch"]["max_size"]) == (1, 1)
    assert why in facts["batch"]["reason"]
    assert "batching: off (" in replica.log()


def test_a_declared_pyfunc_is_batched_until_it_is_caught(spawn: Any, short: Path):
    lie = "values = values - values.mean() * (len(values) > 1 and values.max() > 1000)"
    replica = spawn(save(short, "liar", lie, DECLARED))
    assert replica.ready().json["capacity"] > 1
    assert {reply.status for reply in flood(replica, 8, 1.0)} == {200}
    assert replica.ready().json["capacity"] > 1

    def caught() -> Any:
        replies = flood(replica, 16, 5000.0)
        return replica.status()["capacity"] == 1 and replies

    eventually(caught, "the lie is found")
    replies = [*flood(replica, 3, 5000.0)]
    facts = replica.ready().json
    assert "another answer among" in facts["batch"]["reason"]
    assert "batching: off (a request had another answer" in replica.log()
    assert [reply.json["predictions"] for reply in replies] == [[10_000], [10_002], [10_004]]


def test_a_pipeline_with_a_function_of_all_rows_is_not_batched_by_default(spawn: Any, short: Path):
    import mlflow.sklearn
    import pandas as pd
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    data = pd.DataFrame({"x": [1.0, 2.0, 3.0, 5.0]})
    centre = FunctionTransformer(np.negative)
    pipeline = make_pipeline(centre, LinearRegression()).fit(data, data["x"])
    mlflow.sklearn.save_model(
        pipeline,
        short / "pipeline",
        signature=mlflow.models.infer_signature(data, pipeline.predict(data)),
        input_example=data,
        pip_requirements=["mlflow", "pandas", "scikit-learn"],
        serialization_format="cloudpickle",
    )
    replica = spawn(str(short / "pipeline"))
    assert replica.ready().json["capacity"] == 1
