"""A V2 answer is the answer of MLflow's protocol for the same rows, on real models of every kind of signature."""

from __future__ import annotations

import base64
import json
import struct
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import Array, ParamSchema, ParamSpec

from jupyter_serving.runtime.scoring import Scored, Scorer
from jupyter_serving.runtime.v2 import infer

from .models import SCRIPT

NAMED = {"x-serving-model": "m", "x-serving-model-version": "3"}
ECHO = "return model_input.assign(kinds=str(dict(model_input.dtypes)))"
# what a result may be, by the row's column "kind"
RESULTS = """
        import datetime
        return {
            "list": [1, 2, 2**62],
            "floats": [1, 2.5, float("nan")],
            "texts": ["a", "ü"],
            "nested": [[1, 2], [3, 4]],
            "ragged": [[1], [2, 3]],
            "records": [{"a": 1, "b": float("nan")}, {"a": None}],
            "mapping": {"a": np.array([1.5, np.inf], dtype="float32"), "b": [True, False], "c": "one"},
            "series": pd.Series([1, 2], name="s", dtype="int16"),
            "missing": pd.Series([1, None], dtype="Int64"),
            "categories": pd.DataFrame({"c": pd.Categorical(["u", "v"]), "s": ["x", None]}),
            "times": pd.DataFrame({"t": pd.to_datetime(["2020-01-02T03:04:05", None])}),
            "days": [datetime.date(2020, 1, 2)],
            "cube": np.arange(8, dtype="uint8").reshape(2, 2, 2),
            "half": np.array([0.5], dtype="float16"),
            "truth": np.array([True, False]),
            "strings": np.array(["a", "b"]),
            "mixed": [1, "a", None],
            "large": [2**70],
            "nothing": None,
            "empty": [],
            "number": 7,
            "set": {1, 2},
        }[model_input.iloc[0]["kind"]]
"""


def pyfunc(folder: Path, name: str, predict: str, signature: ModelSignature | None) -> Any:
    script = folder / f"{name}.py"
    imports = "import numpy as np\nimport pandas as pd"
    script.write_text(SCRIPT.format(imports=imports, load="pass", predict=predict))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / name, python_model=str(script), signature=signature, pip_requirements=[]
        )
        return Scorer(mlflow.pyfunc.load_model(str(folder / name)), {"stack_trace": False})


COLUMNS = {
    "boolean": ("BOOL", st.booleans()),
    "integer": ("INT32", st.integers(-(2**31), 2**31 - 1)),
    "long": ("INT64", st.integers(-(2**63), 2**63 - 1)),
    "float": ("FP32", st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none()),
    "double": ("FP64", st.floats(allow_nan=False, allow_infinity=False) | st.none()),
    "string": ("BYTES", st.text(st.characters(exclude_categories=["Cs"])) | st.none()),
    "datetime": (
        "BYTES",
        st.datetimes().map(lambda t: t.replace(year=2000 + t.year % 200).isoformat()),
    ),
    "binary": ("BYTES", st.binary().map(lambda raw: base64.b64encode(raw).decode())),
}
CONTENT = {"string": "str", "datetime": "datetime", "binary": "base64"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("v2")


@pytest.fixture(scope="module")
def echo(folder: Path) -> Any:
    """One optional column of each type."""
    specs = [ColSpec(kind, kind, required=kind == "long") for kind in COLUMNS]
    return pyfunc(folder, "echo", ECHO, ModelSignature(Schema(specs), Schema(specs)))


@pytest.fixture(scope="module")
def results(folder: Path) -> Any:
    signature = ModelSignature(Schema([ColSpec("string", "kind")]))
    return pyfunc(folder, "results", RESULTS, signature)


@pytest.fixture(scope="module")
def adds(folder: Path) -> Any:
    """A pyfunc with params."""
    params = ParamSchema([ParamSpec("by", "double", 1.0), ParamSpec("name", "string", "n")])
    schema = Schema([ColSpec("double", "x")])
    predict = "return {'sum': model_input['x'].to_numpy() + params['by'], 'name': params['name']}"
    return pyfunc(folder, "adds", predict, ModelSignature(schema, None, params))


@pytest.fixture(scope="module")
def tensor(folder: Path) -> Any:
    spec = TensorSpec(np.dtype("float32"), (-1, 2, 2))
    return pyfunc(folder, "tensor", "return model_input * 2", ModelSignature(Schema([spec])))


@pytest.fixture(scope="module")
def two_tensors(folder: Path) -> Any:
    schema = Schema(
        [
            TensorSpec(np.dtype("int64"), (-1, 2), "a"),
            TensorSpec(np.dtype("str"), (-1,), "b"),
        ]
    )
    predict = "return {'a': model_input['a'] + 1, 'b': model_input['b']}"
    return pyfunc(folder, "two_tensors", predict, ModelSignature(schema))


@pytest.fixture(scope="module")
def iris(models: Path) -> Any:
    return Scorer(mlflow.pyfunc.load_model(str(models / "iris")))


def asked(scorer: Any, request: dict[str, Any], tail: bytes = b"", **headers: str) -> Scored:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return infer(scorer, json.dumps(request).encode() + tail, NAMED | named)


def column(name: str, datatype: str, data: list[Any], **parameters: Any) -> dict[str, Any]:
    extra = {"parameters": parameters} if parameters else {}
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data, **extra}


def told(answer: Scored) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return dict(json.loads(answer.body))


def refused(answer: Scored) -> str:
    body = json.loads(answer.body)
    assert answer.status == 400, body
    assert body["error"] == body["message"]
    assert body["error_code"]
    return str(body["error"])


def values(output: dict[str, Any]) -> Any:
    """The data of an output in its shape, with what its content type says of BYTES undone."""
    data = output["data"]
    if output.get("parameters", {}).get("content_type") == "pd_json":
        data = [json.loads(element) for element in data]
    assert int(np.prod(output["shape"])) == len(data)
    for length in reversed(output["shape"][1:]):
        data = [data[i : i + length] for i in range(0, len(data), length)]
    return [row[0] for row in data] if output["shape"][1:] == [1] else data


def by_column(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs as MLflow writes a DataFrame."""
    columns = {output["name"]: values(output) for output in body["outputs"]}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def predictions(scorer: Any, body: dict[str, Any]) -> Any:
    """What MLflow's protocol answers."""
    answer = scorer.answer(json.dumps(body).encode(), None)
    return json.loads(answer.body)["predictions"] if answer.status == 200 else answer.status


# -- the same answers ------------------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    kinds = draw(st.lists(st.sampled_from(sorted(set(COLUMNS) - {"long"})), unique=True))
    rows = draw(st.integers(1, 4))
    of = {kind: st.lists(COLUMNS[kind][1], min_size=rows, max_size=rows) for kind in kinds}
    return {kind: draw(of[kind]) for kind in kinds} | {
        "long": draw(st.lists(COLUMNS["long"][1], min_size=rows, max_size=rows))
    }


def tensors_of(table: dict[str, list[Any]], nested: bool) -> list[dict[str, Any]]:
    inputs = []
    for kind, data in table.items():
        tensor = column(kind, COLUMNS[kind][0], data)
        if kind in CONTENT:
            tensor["parameters"] = {"content_type": CONTENT[kind]}
        if nested:
            tensor |= {"shape": [len(data), 1], "data": [[element] for element in data]}
        inputs.append(tensor)
    return inputs


@settings(max_examples=200)
@given(table=tables(), nested=st.booleans())
def test_columns_of_every_type_reach_the_model_as_by_mlflows_json(
    echo: Any, table: dict[str, list[Any]], nested: bool
) -> None:
    rows = [list(row) for row in zip(*table.values(), strict=True)]
    expected = predictions(echo, {"dataframe_split": {"columns": list(table), "data": rows}})
    answer = asked(echo, {"inputs": tensors_of(table, nested)})
    if isinstance(expected, int):
        assert answer.status == expected
        return
    for row in expected:  # MLflow breaks base64 into lines
        row |= {"binary": row["binary"].replace("\n", "")} if "binary" in row else {}
    assert by_column(told(answer)) == expected


NUMBERS = {
    "FP16": st.floats(width=16, allow_nan=False, allow_infinity=False),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "UINT8": st.integers(0, 2**8 - 1),
    "INT16": st.integers(-(2**15), 2**15 - 1),
    "UINT32": st.integers(0, 2**32 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
}


@given(
    case=st.sampled_from(sorted(NUMBERS)).flatmap(
        lambda d: st.tuples(st.just(d), st.lists(NUMBERS[d], min_size=1, max_size=3))
    )
)
def test_numbers_of_another_type_are_cast_as_by_mlflow(
    echo: Any, case: tuple[str, list[Any]]
) -> None:
    datatype, data = case
    fixed = [0] * len(data)
    body = {"dataframe_records": [{"double": x, "long": 0} for x in data]}
    inputs = [column("double", datatype, data), column("long", "INT8", fixed)]
    assert by_column(told(asked(echo, {"inputs": inputs}))) == predictions(echo, body)


@settings(max_examples=50)
@given(data=st.lists(st.lists(st.floats(0, 10), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_forest_answers_the_same_by_columns_and_as_one_matrix(
    iris: Any, data: list[list[float]]
) -> None:
    names = iris.model.metadata.get_input_schema().input_names()
    expected = predictions(iris, {"dataframe_split": {"columns": names, "data": data}})
    columns = [column(name, "FP64", [row[i] for row in data]) for i, name in enumerate(names)]
    (output,) = told(asked(iris, {"inputs": columns}))["outputs"]
    assert (output["name"], output["datatype"]) == ("output-1", "INT64")
    assert values(output) == expected
    matrix = {"name": "predict", "datatype": "FP64", "shape": [len(data), 4], "data": data}
    assert values(told(asked(iris, {"inputs": [matrix]}))["outputs"][0]) == expected


@given(
    cube=st.lists(
        st.lists(
            st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=2, max_size=2),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_tensor_is_cast_and_shaped_by_its_signature(tensor: Any, cube: Any) -> None:
    shape = [len(cube), 2, 2]
    expected = predictions(tensor, {"inputs": cube})
    for datatype in ("FP32", "FP64"):
        one = {"name": "any", "datatype": datatype, "shape": shape, "data": cube}
        (output,) = told(asked(tensor, {"inputs": [one]}))["outputs"]
        assert output["datatype"] == "FP32"
        assert values(output) == expected


def test_named_tensors_are_a_dictionary(two_tensors: Any) -> None:
    inputs = [
        {"name": "a", "datatype": "INT8", "shape": [2, 2], "data": [1, 2, 3, 4]},
        {"name": "b", "datatype": "BYTES", "shape": [2, 1], "data": ["x", "ü"]},
    ]
    body = told(asked(two_tensors, {"inputs": inputs}))
    expected = predictions(two_tensors, {"inputs": {"a": [[1, 2], [3, 4]], "b": ["x", "ü"]}})
    assert {output["name"]: values(output) for output in body["outputs"]} == expected
    assert body["parameters"] == {"content_type": "dict"}
    assert "missing inputs" in refused(asked(two_tensors, {"inputs": inputs[:1]}))


def test_params_of_the_model_are_the_parameters_of_the_request(adds: Any) -> None:
    inputs = [column("x", "FP64", [1.0])]
    for params in ({}, {"by": 2.5}, {"by": 3, "name": "z", "unknown": 1}):
        request = {"inputs": inputs, "parameters": {"content_type": "pd", **params}}
        body = told(asked(adds, request))
        expected = predictions(adds, {"dataframe_records": [{"x": 1.0}], "params": params})
        total, name = body["outputs"]
        assert [values(total), values(name)[0]] == [expected["sum"], expected["name"]]
    wrong = asked(adds, {"inputs": inputs, "parameters": {"by": "much"}})
    assert "by" in refused(wrong)


def test_nested_types_come_as_json_text_or_as_a_matrix(folder: Path) -> None:
    schema = Schema([ColSpec(Array("double"), "v")])
    scorer = pyfunc(folder, "vectors", "return model_input['v'].map(sum)", ModelSignature(schema))
    expected = predictions(scorer, {"dataframe_records": [{"v": [1, 2.5]}, {"v": [3, 4.5]}]})
    texts = column("v", "BYTES", ["[1, 2.5]", "[3, 4.5]"], content_type="pd_json")
    matrix = {"name": "v", "datatype": "FP64", "shape": [2, 2], "data": [1, 2.5, 3, 4.5]}
    for one in (texts, matrix):
        assert by_column(told(asked(scorer, {"inputs": [one]}))) == expected
    assert "'v' cannot be read" in refused(asked(scorer, {"inputs": [column("v", "BYTES", ["["])]}))


def test_a_model_without_a_signature_is_told_what_its_input_is(folder: Path) -> None:
    predict = "return [type(model_input).__name__, str(model_input)]"
    scorer = pyfunc(folder, "unsigned", predict, None)
    one = {"name": "a", "datatype": "INT8", "shape": [1, 2], "data": [1, 2]}
    time = column("t", "BYTES", ["2020-01-02"], content_type="datetime")
    raw = column("r", "BYTES", ["YQ=="], content_type="base64")
    shown = [
        ([column("a", "INT8", [1])], "", "DataFrame"),
        ([one], "", "ndarray"),
        ([column("a", "INT8", [1])], "np", "ndarray"),
        ([one], "dict", "dict"),
    ]
    for inputs, content_type, kind in shown:
        request = {"inputs": inputs, "parameters": {"content_type": content_type}}
        assert values(told(asked(scorer, request))["outputs"][0])[0] == kind
    frame = values(told(asked(scorer, {"inputs": [time, raw]}))["outputs"][0])[1]
    assert "2020-01-02" in frame
    assert "b'a'" in frame


def test_a_type_hinted_model_gets_a_list(folder: Path) -> None:
    script = folder / "hinted.py"
    script.write_text(
        "import mlflow\n"
        "class Model(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, model_input: list[str]):\n"
        "        return [text.upper() for text in model_input]\n"
        "mlflow.models.set_model(Model())\n"
    )
    mlflow.pyfunc.save_model(folder / "hinted", python_model=str(script), pip_requirements=[])
    scorer = Scorer(mlflow.pyfunc.load_model(str(folder / "hinted")))
    body = told(asked(scorer, {"inputs": [column("text", "BYTES", ["a", "b"])]}))
    assert values(body["outputs"][0]) == ["A", "B"]
    assert body["outputs"][0]["parameters"] == {"content_type": "str"}
    two = [column("a", "BYTES", ["a"]), column("b", "BYTES", ["a"])]
    assert "one input" in refused(asked(scorer, {"inputs": two}))


# -- what a result becomes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "datatype", "shape"),
    [
        ("list", "INT64", [3, 1]),
        ("floats", "FP64", [3, 1]),
        ("texts", "BYTES", [2, 1]),
        ("nested", "INT64", [2, 2]),
        ("ragged", "BYTES", [2, 1]),
        ("records", "BYTES", [2, 1]),
        ("cube", "UINT8", [2, 2, 2]),
        ("half", "FP16", [1, 1]),
        ("truth", "BOOL", [2, 1]),
        ("strings", "BYTES", [2, 1]),
        ("days", "BYTES", [1, 1]),
        ("mixed", "BYTES", [3, 1]),
        ("large", "BYTES", [1, 1]),
        ("empty", "BYTES", [0, 1]),
    ],
)
def test_a_lone_result_is_one_output_equal_to_mlflows(
    results: Any, kind: str, datatype: str, shape: list[int]
) -> None:
    (output,) = told(asked(results, {"inputs": [column("kind", "BYTES", [kind])]}))["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output-1", datatype, shape)
    assert values(output) == predictions(results, {"dataframe_records": [{"kind": kind}]})


@pytest.mark.parametrize("kind", ["categories", "times", "series", "missing"])
def test_a_frame_is_one_output_per_column(results: Any, kind: str) -> None:
    body = told(asked(results, {"inputs": [column("kind", "BYTES", [kind])]}))
    expected = predictions(results, {"dataframe_records": [{"kind": kind}]})
    for row in expected:  # MLflow writes a missing time as a word
        row |= {"t": None} if row.get("t") == "NaT" else {}
    assert by_column(body) == expected
    assert body["parameters"] == {"content_type": "pd"}


def test_a_mapping_is_one_output_per_key(results: Any) -> None:
    body = told(asked(results, {"inputs": [column("kind", "BYTES", ["mapping"])]}))
    assert [(o["name"], o["datatype"], o["data"]) for o in body["outputs"]] == [
        ("a", "FP32", [1.5, None]),
        ("b", "BOOL", [True, False]),
        ("c", "BYTES", ["one"]),
    ]


@pytest.mark.parametrize(("kind", "data"), [("number", [7]), ("nothing", [None])])
def test_a_scalar_is_one_element(results: Any, kind: str, data: list[Any]) -> None:
    (output,) = told(asked(results, {"inputs": [column("kind", "BYTES", [kind])]}))["outputs"]
    assert (output["shape"], output["data"]) == ([1, 1], data)


def test_a_result_that_is_no_json_is_refused_as_by_mlflows_protocol(results: Any) -> None:
    text = refused(asked(results, {"inputs": [column("kind", "BYTES", ["set"])]}))
    assert "returned a set that cannot be written as JSON" in text
    assert "KeyError" in refused(asked(results, {"inputs": [column("kind", "BYTES", ["no"])]}))


# -- the envelope ----------------------------------------------------------------------------------------


def test_the_answer_names_the_model_and_echoes_the_id(adds: Any) -> None:
    inputs = [column("x", "FP64", [1.0])]
    body = told(asked(adds, {"id": "7", "inputs": inputs}))
    assert (body["id"], body["model_name"], body["model_version"]) == ("7", "m", "3")
    plain = told(infer(adds, json.dumps({"inputs": inputs}).encode(), {}))
    assert plain["model_name"] == "model"
    assert not {"id", "model_version"} & set(plain)


def test_only_the_outputs_asked_for_in_their_order(adds: Any) -> None:
    request: dict[str, Any] = {"inputs": [column("x", "FP64", [1.0])]}
    wanted = [{"name": "name"}, {"name": "sum"}]
    body = told(asked(adds, request | {"outputs": wanted}))
    assert [output["name"] for output in body["outputs"]] == ["name", "sum"]
    body = told(asked(adds, request | {"outputs": wanted[:1]}))
    assert [output["name"] for output in body["outputs"]] == ["name"]
    text = refused(asked(adds, request | {"outputs": [{"name": "other"}]}))
    assert "no output 'other'" in text
    assert "'sum', 'name'" in text


def changed(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]} | fields]}


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ([], "must be a JSON object"),
        ({}, "inputs must be a list"),
        ({"inputs": []}, "at least one tensor"),
        ({"inputs": [1]}, r"inputs\[0\] must be an object"),
        (changed(name=1), "with a name"),
        (changed(datatype="BF16"), "datatype 'BF16'.*FP64.*BYTES"),
        (changed(datatype=["FP64"]), "datatype"),
        (changed(shape=[2]), "is 2 elements, but 1"),
        (changed(shape=[-1]), "none of them negative"),
        (changed(shape=[True]), "none of them negative"),
        (changed(shape="1"), "list of"),
        (changed(shape=[1] * 33), "at most 32"),
        (changed(shape=[10**30, 0]), "is 0 elements"),
        (changed(shape=[]), r"must be \[n\] or \[n, 1\]"),
        (changed(shape=[1, 1, 1]), r"must be \[n\] or \[n, 1\]"),
        (changed(data=None), "has no data"),
        (changed(data="AAAA"), "has no data"),
        (changed(data=["1"]), "FP64, but its data holds '1'"),
        (changed(data=[True]), "FP64, but its data holds True"),
        (changed(data=[[1.0], 2.0]), "ragged"),
        (changed(data=[10**400]), "cannot hold all"),
        (changed(datatype="FP16", data=[1e6]), "cannot hold all"),
        (changed(datatype="INT8", data=[128]), "INT8, which cannot hold 128"),
        (changed(datatype="UINT64", data=[-1]), "cannot hold -1"),
        (changed(datatype="INT64", data=[0.5]), "cannot hold 0.5"),
        (changed(datatype="INT64", data=[None]), "holds null.*FP16, FP32, FP64 and BYTES only"),
        (changed(datatype="BOOL", data=[2]), "cannot hold 2"),
        (changed(datatype="BYTES", data=[1]), "must be strings"),
        (changed(parameters=[]), "parameters that are not an object"),
        (changed(parameters={"binary_data_size": 8}), "both data and binary_data_size"),
        (changed() | {"id": 7}, "id must be a string"),
        (changed() | {"parameters": 1}, "request has parameters that are not"),
        (changed() | {"outputs": {}}, "outputs must be a list"),
        (changed() | {"outputs": ["sum"]}, r"outputs\[0\]"),
        (changed(name="y"), "missing inputs"),
        ({"inputs": changed()["inputs"] * 2}, "Two inputs are called 'x'"),
        (
            {"inputs": [column("x", "FP64", [1.0]), column("y", "FP64", [1.0, 2.0])]},
            "different numbers of rows: 'x': 1, 'y': 2",
        ),
    ],
)
def test_a_malformed_request_is_refused_with_the_reason(adds: Any, request_: Any, why: str) -> None:
    with pytest.raises(AssertionError, match="^(?s:.*)" + why):
        raise AssertionError(refused(asked(adds, request_)))


def test_a_refusal_does_not_send_a_long_name_back(adds: Any) -> None:
    long = "x" * 10_000
    for request in (
        changed(name=long, shape=[2]),
        changed(datatype=long),
        changed() | {"id": [long]},
        changed() | {"outputs": [{"name": long}]},
        {"inputs": changed(name=long)["inputs"] * 2},
    ):
        assert len(refused(asked(adds, request))) < 500


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_bare_words_are_not_json(adds: Any, word: bytes) -> None:
    body = json.dumps(changed(data=[1.5])).encode().replace(b"1.5", word)
    assert "not a JSON value; send null" in refused(infer(adds, body, {}))
    assert told(asked(adds, changed(data=[None])))["outputs"][0]["data"] == [None]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs": ' + b"9" * 5000])
def test_what_is_no_json_is_refused(adds: Any, body: bytes) -> None:
    assert "not JSON" in refused(infer(adds, body, {}))


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("FP64", [1.5]), ("FP64", [float(2**63)]), ("UINT64", [2**63]), ("FP32", [-1e30])],
)
def test_a_number_that_integers_cannot_hold_is_refused_not_changed(
    echo: Any, datatype: str, data: list[Any]
) -> None:
    assert "int64 by the model's signature" in refused(
        asked(echo, {"inputs": [column("long", datatype, data)]})
    )


def test_whole_floats_are_integers(echo: Any) -> None:
    body = told(asked(echo, {"inputs": [column("long", "FP64", [-(2.0**63), 4.0])]}))
    assert body["outputs"][0]["data"] == [-(2**63), 4]


# -- the binary extension --------------------------------------------------------------------------------


def elements(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def binary(name: str, datatype: str, count: int, raw: bytes) -> dict[str, Any]:
    size = {"binary_data_size": len(raw)}
    return {"name": name, "datatype": datatype, "shape": [count], "parameters": size}


def test_binary_parts_are_read_in_order(echo: Any) -> None:
    parts = {
        "long": ("INT64", struct.pack("<2q", 2**63 - 1, -1)),
        "float": ("FP32", struct.pack("<2f", 0.5, -2.0)),
        "double": ("FP16", struct.pack("<2e", 0.5, float("nan"))),
        "boolean": ("BOOL", b"\x01\x00"),
        "integer": ("UINT8", b"\x07\xff"),
        "string": ("BYTES", elements(b"", "ü".encode())),
        "binary": ("BYTES", elements(b"\x00\xff", b"YQ==")),
    }
    inputs = [binary(name, datatype, 2, raw) for name, (datatype, raw) in parts.items()]
    head = json.dumps({"inputs": inputs}).encode()
    body = head + b"".join(raw for _, raw in parts.values())
    answer = infer(echo, body, {"inference-header-content-length": str(len(head))})
    rows = by_column(told(answer))
    for row in rows:
        del row["kinds"]
    assert rows == [
        {"long": 2**63 - 1, "float": 0.5, "double": 0.5, "boolean": True, "integer": 7}
        | {"string": "", "binary": base64.b64encode(b"\x00\xff").decode()},
        {"long": -1, "float": -2.0, "double": None, "boolean": False, "integer": 255}
        | {"string": "ü", "binary": base64.b64encode(b"YQ==").decode()},
    ]


def unpacked(answer: Scored) -> dict[str, bytes]:
    """The binary parts of an answer by name."""
    assert answer.status == 200, answer.body
    assert answer.content_type == "application/octet-stream"
    at = int(dict(answer.headers)["inference-header-content-length"])
    found = {}
    for output in json.loads(answer.body[:at])["outputs"]:
        if "data" not in output:
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = answer.body[at : at + size]
            at += size
    assert at == len(answer.body)
    return found


def test_outputs_are_sent_in_binary_where_asked(echo: Any, results: Any) -> None:
    inputs = tensors_of({"long": [1, 2**62], "double": [0.5, None], "string": ["", "ü"]}, False)
    inputs += tensors_of({"binary": ["AP8=", ""], "datetime": ["2020-01-02"] * 2}, False)
    every = asked(echo, {"inputs": inputs, "parameters": {"binary_data_output": True}})
    parts = unpacked(every)
    assert parts["long"] == struct.pack("<2q", 1, 2**62)
    assert parts["double"] == struct.pack("<2d", 0.5, float("nan"))
    assert parts["string"] == elements(b"", "ü".encode())
    assert parts["binary"] == elements(b"\x00\xff", b"")
    assert parts["datetime"] == elements(*[b"2020-01-02T00:00:00"] * 2)
    wanted = [{"name": "long", "parameters": {"binary_data": True}}, {"name": "double"}]
    assert set(unpacked(asked(echo, {"inputs": inputs, "outputs": wanted}))) == {"long"}
    wanted = [{"name": "long", "parameters": {"binary_data": False}}, {"name": "double"}]
    request = {"inputs": inputs, "outputs": wanted, "parameters": {"binary_data_output": True}}
    assert set(unpacked(asked(echo, request))) == {"double"}
    missing = {"inputs": [column("kind", "BYTES", ["missing"])]}
    text = refused(asked(results, missing | {"parameters": {"binary_data_output": True}}))
    assert "missing values, which binary data cannot tell" in text


@given(
    data=st.lists(st.floats(width=16), min_size=1, max_size=5),
    datatype=st.sampled_from(["FP16", "FP32", "FP64"]),
)
def test_what_is_sent_in_binary_is_what_numpy_reads(
    tensor: Any, data: list[float], datatype: str
) -> None:
    dtype = np.dtype(f"<f{int(datatype[2:]) // 8}")
    array = np.repeat(np.array(data, dtype=dtype), 4).reshape(-1, 2, 2)
    one = binary("x", datatype, 0, array.tobytes()) | {"shape": list(array.shape)}
    head = json.dumps({"inputs": [one], "parameters": {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    parts = unpacked(infer(tensor, head + array.tobytes(), headers))
    with np.errstate(invalid="ignore"):
        expected = (array.astype("float32") * 2).ravel()
    np.testing.assert_array_equal(np.frombuffer(parts["output-1"], "<f4"), expected)


@pytest.mark.parametrize(
    ("one", "tail", "length", "why"),
    [
        (binary("x", "FP64", 1, b"8" * 8), b"8" * 7, None, "only 7 bytes"),
        (binary("x", "FP64", 1, b"8" * 8), b"8" * 9, None, "1 bytes follow the JSON"),
        (binary("x", "FP64", 1, b"8" * 7), b"8" * 7, None, "not a multiple of the 8"),
        (binary("x", "FP64", 2, b"8" * 8), b"8" * 8, None, "2 elements, but 1"),
        (binary("x", "FP64", 1, b"8" * 8), b"", "0", "not JSON"),
        (binary("x", "FP64", 1, b"8" * 8), b"", "1000000", "length of the JSON"),
        (binary("x", "FP64", 1, b"8" * 8), b"", "-1", "length of the JSON"),
        (binary("x", "FP64", 1, b"8" * 8), b"", "²", "length of the JSON"),
        (binary("x", "BYTES", 1, b"8" * 3), b"8" * 3, None, "longer than the data"),
        (binary("x", "BYTES", 1, b"8" * 5), b"\x02\0\0\0a", None, "longer than the data"),
        (binary("x", "BYTES", 1, b"8" * 5), b"\x01\0\0\0\xff", None, "cannot be read"),
        (
            binary("x", "FP64", 1, b"") | {"parameters": {"binary_data_size": -1}},
            b"",
            None,
            "whole",
        ),
    ],
)
def test_malformed_binary_parts_are_refused(
    adds: Any, one: dict[str, Any], tail: bytes, length: str | None, why: str
) -> None:
    head = json.dumps({"inputs": [one]}).encode()
    headers = {"inference-header-content-length": length or str(len(head))}
    assert why in refused(infer(adds, head + tail, headers))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("x") | junk,
            "datatype": st.sampled_from(["FP64", "INT8", "BOOL", "BYTES"]) | junk,
            "shape": st.lists(st.integers(-1, 3), max_size=3) | junk,
            "data": st.lists(st.floats() | st.text(max_size=3), max_size=4) | junk,
            "parameters": st.dictionaries(
                st.sampled_from(["binary_data_size", "content_type"]), junk
            )
            | junk,
        },
    ),
    rest=st.dictionaries(st.sampled_from(["id", "outputs", "parameters"]), junk),
    tail=st.binary(max_size=8),
)
def test_no_request_makes_it_fail_otherwise_than_by_400(
    adds: Any, fields: dict[str, Any], rest: dict[str, Any], tail: bytes
) -> None:
    head = json.dumps({"inputs": [fields], **rest}).encode()
    answer = infer(adds, head + tail, {"inference-header-content-length": str(len(head))})
    assert answer.status in (200, 400)
    if answer.status == 400:
        refused(answer)
