from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_serving.errors import InvalidParameter
from jupyter_serving.registry.describe import describe, require_signature
from jupyter_serving.registry.log import Logged
from jupyter_serving.registry.reference import parse
from jupyter_serving.registry.resolve import resolve

PLAIN = "flavors:\n  python_function:\n    loader_module: m\n"


def write(directory: Path, text: str) -> Path:
    (directory / "MLmodel").write_text(text)
    return directory


def test_a_logged_model_says_what_it_is(iris: list[Logged]) -> None:
    source = resolve(parse("iris/1"), iris[0].registry).source
    found = describe(Path(source.removeprefix("file://")))
    assert found.flavour == "sklearn"
    assert found.inputs is not None
    assert found.inputs[0]["name"] == "sepal length (cm)"
    assert found.mlflow_version
    assert found.serving_example is not None
    require_signature(found, "iris")


def test_a_model_without_a_signature_is_refused_with_the_remedy(tmp_path: Path) -> None:
    found = describe(write(tmp_path, PLAIN))
    assert not found.signed
    with pytest.raises(InvalidParameter, match=r"iris 3 has no signature.*infer_signature"):
        require_signature(found, "iris 3")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("flavors: [", "not valid YAML"),
        ("", "empty or not a mapping"),
        ("flavors:\n  sklearn: {}\n", "no python_function flavour"),
        (PLAIN + "signature:\n  inputs: '[{'\n", "signature cannot be read"),
    ],
)
def test_a_bad_model_file_is_told(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InvalidParameter, match=why):
        describe(write(tmp_path, text))


def test_no_model_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="no MLmodel file"):
        describe(tmp_path)


def test_an_example_outside_of_the_model_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    directory = tmp_path / "model"
    directory.mkdir()
    text = PLAIN + "saved_input_example_info:\n  serving_input_path: ../secret.json\n"
    assert describe(write(directory, text)).serving_example is None
