from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from sklearn.compose import make_column_transformer
from sklearn.decomposition import NMF, PCA
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from jupyter_serving.runtime import estimators, learning, plain, results
from jupyter_serving.runtime.fastpath import FastPath
from jupyter_serving.runtime.scoring import Scorer

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
FEATURES = pd.DataFrame(np.random.default_rng(0).random((60, 4)), columns=IRIS)
TARGET = (FEATURES[IRIS[0]] > 0.5).astype(int)
SPLIT = "dataframe_split"


class Model(mlflow.pyfunc.PythonModel):
    """A pyfunc whose predict is given; ``seen`` holds what it was called with."""

    def __init__(self, predict: Any) -> None:
        self.given = predict
        self.seen: list[Any] = []

    def predict(self, context, model_input, params=None):
        self.seen.append(model_input)
        return self.given(model_input)


def pyfunc(
    predict: Any, columns: Any = (("x", "double"),), params: Any = None
) -> tuple[Any, Model]:
    """A loaded pyfunc model with columns of these types, and what is behind it."""
    own = Model(predict)
    signature = ModelSignature(Schema([ColSpec(kind, name) for name, kind in columns]))
    if params is not None:
        signature = ModelSignature(
            signature.inputs, None, infer_signature(None, None, params).params
        )
    meta = mlflow.models.Model(signature=signature)
    meta.add_flavor("python_function", loader_module="mlflow.pyfunc.model")
    wrapper = mlflow.pyfunc.model._PythonModelPyfuncWrapper(own, None, signature)
    return mlflow.pyfunc.PyFuncModel(meta, wrapper), own


def estimator(fitted: Any, predict_fn: str = "predict", features: Any = FEATURES) -> Any:
    """A loaded model of the sklearn flavour."""
    meta = mlflow.models.Model(signature=ModelSignature(infer_signature(features).inputs))
    meta.add_flavor("python_function", loader_module="mlflow.sklearn", predict_fn=predict_fn)
    return mlflow.pyfunc.PyFuncModel(meta, mlflow.sklearn._SklearnModelWrapper(fitted), predict_fn)


def learned(model: Any, example: Any = None, **spec: Any) -> Scorer:
    scorer = Scorer(model, {"stack_trace": True, **spec})
    scorer.learn(None if example is None else json.dumps(example).encode())
    return scorer


def fast(scorer: Scorer) -> FastPath:
    assert scorer.fast is not None, scorer.describe()
    return scorer.fast


def reason(scorer: Scorer) -> str:
    assert scorer.fast is None
    told: dict[str, Any] = scorer.describe()["fast_path"]
    assert told["kind"] is None
    return str(told["reason"])


def split(frame: pd.DataFrame) -> bytes:
    columns, data = frame.columns.tolist(), frame.to_numpy().tolist()
    return json.dumps({SPLIT: {"columns": columns, "data": data}}).encode()


# Which path


@pytest.mark.parametrize("predict_fn", ["predict", "predict_proba"])
def test_an_estimator_gets_arrays_and_knows_no_names(predict_fn: str):
    model = LogisticRegression().fit(FEATURES, TARGET)
    scorer = learned(estimator(model, predict_fn))
    path, body = fast(scorer), split(FEATURES[:7])
    assert (path.kind, path.row_wise) == ("array", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick = scorer.answer(body, None)
    assert json.loads(quick.body) == json.loads(scorer.slow(body, None).body)
    expected = getattr(model, predict_fn)(FEATURES[:7]).tolist()
    assert json.loads(quick.body) == {"predictions": expected}
    assert list(model.feature_names_in_) == IRIS  # the model itself is as it was


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), PCA(2), LinearRegression()),
        VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(3))]),
        make_pipeline(StandardScaler(), make_pipeline(KNeighborsClassifier(3))),
    ],
    ids=["pipeline", "voting", "nested"],
)
def test_what_is_composed_of_listed_estimators_gets_arrays(model: Any):
    scorer = learned(estimator(model.fit(FEATURES, TARGET)))
    assert (fast(scorer).kind, fast(scorer).row_wise) == ("array", True)


def test_columns_chosen_by_name_need_a_frame():
    encode = make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough")
    table = pd.DataFrame({"c": ["a", "b"] * 30, "x": FEATURES[IRIS[0]]})
    model = make_pipeline(encode, LinearRegression()).fit(table, TARGET)
    scorer = learned(estimator(model, features=table))
    assert (fast(scorer).kind, fast(scorer).row_wise) == ("frame", True)


def test_a_users_function_among_the_steps_is_not_known_to_be_row_wise():
    centre = FunctionTransformer(lambda X: X - X.mean(axis=0))
    scorer = learned(estimator(make_pipeline(centre, LinearRegression()).fit(FEATURES, TARGET)))
    assert (fast(scorer).kind, fast(scorer).row_wise) == ("frame", False)


class Mine(LinearRegression):
    """A user's own estimator."""


@pytest.mark.parametrize(
    "model",
    [
        Mine(),
        make_pipeline(NMF(2), LinearRegression()),
        KNeighborsClassifier(metric=lambda a, b: abs(a - b).sum()),
        make_pipeline(FunctionTransformer(np.log1p), LinearRegression()),
    ],
    ids=["subclass", "all rows together", "callable metric", "function"],
)
def test_what_is_not_listed_is_not_row_wise(model: Any):
    assert not estimators.is_row_wise(model)


def test_a_pyfunc_gets_frames_and_is_not_row_wise_by_itself():
    model, own = pyfunc(lambda frame: frame * 2)
    scorer = learned(model, {SPLIT: {"columns": ["x"], "data": [[1.5]]}})
    path = fast(scorer)
    assert (path.kind, path.row_wise) == ("frame", False)
    own.seen.clear()
    body = b'{"dataframe_split": {"columns": ["x"], "data": [[0.1], [3]]}}'
    assert json.loads(scorer.answer(body, None).body) == {"predictions": [{"x": 0.2}, {"x": 6.0}]}
    assert len(own.seen) == 1


def test_made_up_rows_never_reach_a_users_code():
    model, own = pyfunc(lambda frame: frame["x"].tolist())
    fast(learned(model))
    assert own.seen == []
    fast(learned(model, {"dataframe_records": [{"x": 7.5}]}))
    assert [frame["x"].tolist() for frame in own.seen] == [[7.5]] * len(own.seen)


def test_an_estimator_with_a_users_code_is_not_tried_with_made_up_rows():
    seen = []
    step = FunctionTransformer(lambda X: (seen.append(len(X)), X)[1])
    model = estimator(make_pipeline(step, LinearRegression()).fit(FEATURES, TARGET))
    seen.clear()
    fast(learned(model))
    assert seen == []


def test_a_model_that_prints_is_left_alone(capsys: pytest.CaptureFixture[str]):
    model, own = pyfunc(lambda frame: print("predicting") or [1])
    assert reason(learned(model, {"dataframe_records": [{"x": 1}]})) == "predict prints"
    assert capsys.readouterr().out == "predicting\n"
    assert len(own.seen) == 1


def test_a_model_that_answers_differently_is_left_alone():
    answers = iter(range(100))
    model, _ = pyfunc(lambda frame: [next(answers)])
    assert "differently" in reason(learned(model, {"dataframe_records": [{"x": 1}]}))


def test_a_slow_model_is_left_alone():
    model, own = pyfunc(lambda frame: [1])
    times = iter(range(0, 1000, 100))
    scorer = Scorer(model)
    comparison = learning.Comparison(
        model, results.Encoder(), scorer._compared, clock=lambda: float(next(times))
    )
    found = comparison.learn(b'{"dataframe_records": [{"x": 1}]}')
    assert (found.path, "takes more than" in found.reason, len(own.seen)) == (None, True, 1)


def test_a_model_whose_fast_answer_differs_is_left_alone():
    """It tells frames made by MLflow from ours, which no comparison of data could see."""

    def predict(frame: Any) -> Any:
        return [any("learning" in f or "fastpath" in f for f in _files()) and not _mlflow()]

    model, _ = pyfunc(predict)
    assert "answers differ" in reason(learned(model, {"dataframe_records": [{"x": 1}]}))


def _files() -> list[str]:
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(frame.f_code.co_filename)
        frame = frame.f_back
    return found


def _mlflow() -> bool:
    return any("scoring_server" in name for name in _files())


def test_a_model_that_refuses_its_example_is_compared_by_its_input_only():
    def predict(frame: Any) -> Any:
        raise ValueError("never")

    model, own = pyfunc(predict)
    assert fast(learned(model, {"dataframe_records": [{"x": 1}]})).kind == "frame"
    assert len(own.seen) == 1


def test_a_comparison_that_breaks_leaves_no_path():
    model, _ = pyfunc(lambda frame: [1])
    comparison = learning.Comparison(model, results.Encoder(), lambda body: 1 / 0)  # type: ignore
    found = comparison.learn(None)
    assert (found.path, "ZeroDivisionError" in found.reason) == (None, True)


@pytest.mark.parametrize(
    "columns",
    [[("x", "datetime")], [("x", "binary")], [("x", "double"), ("y", "datetime")]],
)
def test_other_signatures_have_no_path(columns: Any):
    model, _ = pyfunc(lambda frame: [1], columns)
    assert "simple types" in reason(learned(model))


def test_params_get_their_defaults_and_cannot_be_spoilt():
    model, own = pyfunc(lambda frame: [1], params={"l": [1, 2]})
    own.predict = lambda context, model_input, params=None: [params["l"].append(3) or params["l"]]
    scorer = learned(model)
    path = fast(scorer)
    rows = path.parse(b'{"dataframe_records": [{"x": 1}]}')
    assert rows is not None
    assert [path.predict(rows) for _ in range(2)] == [[[1, 2, 3]], [[1, 2, 3]]]


def test_the_log_says_which(capfd: pytest.CaptureFixture[str]):
    model, _ = pyfunc(lambda frame: [1])
    learned(model)
    learned(pyfunc(lambda frame: [1], [("x", "binary")])[0])
    log = capfd.readouterr().err
    assert "fast path: frame (answers are equal)" in log
    assert "fast path: off (the signature is not one of" in log


# A failure is not asked twice


def test_a_pyfunc_that_raises_is_asked_once_and_answered_as_by_mlflow():
    def predict(frame: Any) -> Any:
        raise ValueError(f"bad {frame['x'].iloc[0]}")

    model, own = pyfunc(predict)
    scorer = learned(model)
    body = b'{"dataframe_records": [{"x": 1.5}]}'
    quick = scorer.answer(body, None)
    assert len(own.seen) == 1
    fields, expected = json.loads(quick.body), json.loads(scorer.slow(body, None).body)
    assert "ValueError: bad 1.5" in fields.pop("stack_trace")
    del expected["stack_trace"]
    assert (quick.status, fields) == (400, expected)
    assert fields["message"].endswith("ValueError: bad 1.5")


def test_a_result_that_is_not_json_is_not_computed_again():
    model, own = pyfunc(lambda frame: {1, 2})
    scorer = learned(model)
    body = b'{"dataframe_records": [{"x": 1.5}]}'
    quick = scorer.answer(body, None)
    assert len(own.seen) == 1
    assert (quick.status, b"a set that cannot be written" in quick.body) == (400, True)


def test_an_estimator_that_refuses_is_answered_by_mlflows_way():
    scorer = learned(estimator(LogisticRegression().fit(FEATURES, TARGET)))

    class Refusing:
        def __call__(self, data: Any) -> Any:
            raise ValueError("of an array")

    fast(scorer)._predict = Refusing()
    assert scorer.answer(split(FEATURES[:1]), None).status == 200


def test_a_request_is_forgotten_after_its_failure():
    model, _ = pyfunc(lambda frame: [1 / 0])
    scorer = learned(model)
    scorer.answer(b'{"dataframe_records": [{"x": 1}]}', None)
    assert scorer.model._known is None


# Rows of several requests


def test_joined_rows_are_those_of_the_parts_in_order():
    for model in (
        estimator(
            LinearRegression().fit(FEATURES[["sepal length (cm)"]], TARGET),
            features=FEATURES[["sepal length (cm)"]],
        ),
        pyfunc(lambda frame: frame, [("x", "double")])[0],
        pyfunc(lambda frame: frame, [("x", "double"), ("s", "string"), ("b", "boolean")])[0],
    ):
        path = fast(learned(model))
        names = model.metadata.get_input_schema().input_names()
        kinds = [kind.name for kind in model.metadata.get_input_schema().input_types()]
        columns = [plain.Column(*pair) for pair in zip(names, kinds, strict=True)]
        bodies = [
            learning.request(SPLIT, columns, learning._ORDINARY, count) for count in (1, 3, 2)
        ]
        parts = [rows for body in bodies if (rows := path.parse(body)) is not None]
        assert [part.count for part in parts] == [1, 3, 2]
        joined = path.join(parts)
        assert joined.count == 6
        result = path.predict(joined)
        start = 0
        for part in parts:
            cut = path.cut(result, start, start + part.count)
            alone = json.loads(path.encode(path.predict(part)))["predictions"]
            grouped = json.loads(path.encode(cut))["predictions"]
            if path.kind == "array":
                assert grouped == pytest.approx(alone, rel=1e-12)
            else:
                assert grouped == alone
            start += part.count


@pytest.mark.parametrize("result", [{"a": 1}, "text", 3, None, np.array(3.5), {1, 2}])
def test_a_result_without_rows_cannot_be_cut(result: Any):
    with pytest.raises(TypeError):
        results.Encoder().cut(result, 0, 1)


@pytest.mark.parametrize(
    "result",
    [[1, 2, 3], np.arange(3), pd.Series([1, 2, 3]), pd.DataFrame({"a": [1, 2, 3]})],
    ids=lambda result: type(result).__name__,
)
def test_what_has_rows_can_be_cut(result: Any):
    cut = results.Encoder().cut(result, 1, 3)
    assert type(cut) is type(result) and len(cut) == 2


# What is plain


PLAIN = [plain.Column("a", "double"), plain.Column("b", "long")]


def read(body: Any, columns: Any = PLAIN) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    values = plain.Reader(columns, frozenset(learning.FORMATS)).read(data)
    return None if values is None else plain.Matrix(columns).build(values)


@pytest.mark.parametrize(
    "body",
    [
        {SPLIT: {"columns": ["a", "b"], "data": [[0.5, 2]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[0.5, 2.0]], "index": [7]}},
        {"dataframe_records": [{"b": 2, "a": 0.5}]},
        {"instances": [{"a": 0.5, "b": 2}]},
        {"inputs": [{"a": 0.5, "b": 2}]},
        {"inputs": {"b": [2], "a": [0.5]}},
        {"inputs": {"b": [2], "a": [0.5]}, "client_request_id": "7", "usage_context": {}},
    ],
    ids=str,
)
def test_plain_requests_are_read(body: Any):
    assert read(body).tolist() == [[0.5, 2.0]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"inputs": {"a": [NaN], "b": [1]}}',
        b'{"inputs": {"a": [1e999], "b": [1]}}',
        b"[" * 5000,
        [],
        {},
        7,
        {"dataframe_records": []},
        {"dataframe_records": {}},
        {"dataframe_records": [{"a": 1}]},
        {"dataframe_records": [{"a": 1, "b": 1, "c": 1}]},
        {"dataframe_records": [[1, 2]]},
        {"dataframe_records": [7]},
        {"dataframe_records": [{"a": 1, "b": 1}], "params": None},
        {"dataframe_records": [{"a": 1, "b": 1}], "inputs": 1},
        {"dataframe_records": [{"a": 1, "b": 1}], "prompt": "x"},
        {SPLIT: {"columns": ["b", "a"], "data": [[1, 2]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[1, 2]], "index": ["x"]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[1, 2]], "index": [1, 2]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[1, 2]], "more": 1}},
        {SPLIT: {"columns": ["a", "b"], "data": [1, 2]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[1, 2], [3]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[1, "2"]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[None, 2]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[0.5, 2.5]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[0.5, 1e19]]}},
        {SPLIT: {"columns": ["a", "b"], "data": [[True, False]]}},
        {SPLIT: [1]},
        {"inputs": {"a": [1], "b": [1, 2]}},
        {"inputs": {"a": 1, "b": 2}},
        {"inputs": {"a": [], "b": []}},
        {"inputs": {"a": [[1]], "b": [[1]]}},
        {"inputs": [1]},
        {"inputs": "text"},
    ],
    ids=lambda body: str(body)[:60],
)
def test_everything_else_is_left_to_mlflow(body: Any):
    assert read(body) is None


def test_a_format_that_was_not_found_equal_is_left_to_mlflow():
    body = b'{"inputs": {"a": [1], "b": [1]}}'
    for formats in (frozenset(), frozenset([plain.INPUT_RECORDS]), frozenset([SPLIT])):
        assert plain.Reader(PLAIN, formats).read(body) is None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", [2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, 1.0]),
        ("long", [2**63 - 1, -(2**63)], [2**63, 1.5]),
        ("float", [0.1, 2**40], [2**53, 1e39]),
        ("double", [0.1, 2**62, 1e308], [2**63]),
    ],
)
def test_numbers_at_the_bounds_of_their_type(kind: str, good: list[Any], bad: list[Any]):
    columns = [plain.Column("a", kind)]
    for value in good:
        made = read({"inputs": {"a": [value]}}, columns)
        assert made.tolist() == [[np.dtype(plain._NUMPY[kind]).type(value).item()]]
    for value in bad:
        assert read({"inputs": {"a": [value]}}, columns) is None


def test_whole_numbers_among_doubles_at_their_bounds():
    columns = [*PLAIN, plain.Column("c", "integer")]
    for b, c, good in [
        (2**63 - 2048, -(2**31), True),
        (-(2**63) + 2048, 2**31 - 1, True),
        (2**63, 0, False),
        (-(2**63) - 1, 0, False),
        (0, 2**31, False),
        (0, -(2**31) - 1, False),
        (0, 0.5, False),
    ]:
        for a in (0.5, 1):
            made = read({"inputs": {"a": [a], "b": [b], "c": [c]}}, columns)
            assert (made is not None and made.tolist() == [[a, float(b), float(c)]]) == good, (b, c)


def test_a_model_cannot_spoil_the_columns_for_the_next_request():
    def predict(frame: Any) -> Any:
        told = [frame.columns.name, *frame.columns]
        frame.columns.name = "spoilt"
        frame.columns = ["z"]
        frame.loc[0, "z"] = 99.0
        return [told]

    model, _ = pyfunc(predict)
    scorer = learned(model)
    body = b'{"dataframe_records": [{"x": 1}]}'
    answers = [json.loads(scorer.answer(body, None).body) for _ in range(2)]
    assert answers == [{"predictions": [[None, "x"]]}] * 2


# Without orjson, as in environments where it cannot be installed


def test_without_orjson_answers_are_the_same(monkeypatch: pytest.MonkeyPatch):
    values = [float("nan"), 1.0, 1, True, "ä\ud800", 2**70, [1e300, -0.0]]
    with_it = results.Encoder().encode(values)
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert json.loads(results.Encoder().encode(values)) == json.loads(with_it)
    test_plain_requests_are_read({"inputs": {"b": [2], "a": [0.5]}})
    for body in (b'{"inputs": {"a": [NaN], "b": [1]}}', b'{"inputs": {"a": [1e999], "b": [1]}}'):
        test_everything_else_is_left_to_mlflow(body)


def test_bare_words_for_those_who_want_them():
    scorer = learned(pyfunc(lambda frame: np.array([np.nan, np.inf]))[0], nan="bare")
    body = b'{"dataframe_records": [{"x": 1}]}'
    for scored in (scorer.answer(body, None), scorer.slow(body, None)):
        assert scored.body == b'{"predictions": [NaN, Infinity]}'


# Results


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
nested = st.recursive(
    leaves | st.binary(max_size=3) | st.sampled_from([np.float32(0.1), np.int8(3), (1, 2)]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
)


def mlflows(value: Any) -> Any:
    from io import StringIO

    from mlflow.pyfunc.scoring_server import predictions_to_json

    text = StringIO()
    predictions_to_json(value, text)
    return json.loads(text.getvalue(), parse_constant=lambda name: None)


def same(value: Any) -> None:
    got = json.loads(results.Encoder().encode(value))
    assert json.dumps(got, sort_keys=True) == json.dumps(mlflows(value), sort_keys=True)


@given(nested)
def test_any_value_is_written_as_mlflow_writes_it(value: Any):
    same(value)


@given(
    st.sampled_from(["float64", "float32", "float16", "int64", "uint8", "bool", "<U5", "object"]),
    st.lists(st.integers(0, 1) | st.sampled_from([7, 100]), min_size=1, max_size=6),
    st.integers(1, 3),
)
def test_arrays_and_frames_are_written_as_mlflow_writes_them(dtype: str, values: Any, width: int):
    array = np.array([values] * width).T
    array = (array / 7).astype(dtype) if dtype.startswith("float") else array.astype(dtype)
    names: list[Any] = ["a", "b", "c"][:width]
    same(array)
    same(array[:, 0])
    same(pd.Series(array[:, 0]))
    same(pd.Series(array[:, 0], name="x"))
    same(pd.DataFrame(array, columns=names))
    same(pd.DataFrame(array))
    same(pd.DataFrame(array, columns=names).assign(text="t", flag=True, number=0.1, none=None))
