"""MLflow's wrapper of a PythonModel is left out where it only hands rows on, and nowhere else."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc
import pandas as pd
import pytest

from jupyter_serving.runtime import pyfuncs

FRAME = pd.DataFrame({"x": [1.0, 2.0]})


class WithContext(mlflow.pyfunc.PythonModel):
    """Has all arguments that there are."""

    def predict(self, context, model_input, params=None):
        return "with context", context, model_input, params


class WithoutContext(mlflow.pyfunc.PythonModel):
    """Newer style."""

    def predict(self, model_input, params=None):
        return "without", None, model_input, params


class OnlyInput(mlflow.pyfunc.PythonModel):
    """Takes no params."""

    def predict(self, model_input):
        return "only input", None, model_input, None


class Texts(mlflow.pyfunc.PythonModel):
    """MLflow turns frames into lists of texts for it."""

    def predict(self, context, model_input: list[str], params=None):
        return model_input


def wrapped(model: Any) -> Any:
    context = mlflow.pyfunc.PythonModelContext({}, {})
    return mlflow.pyfunc.model._PythonModelPyfuncWrapper(model, context, None).predict


@pytest.mark.parametrize("model", [WithContext(), WithoutContext(), OnlyInput()])
@pytest.mark.parametrize("params", [None, {"alpha": [1]}])
def test_the_users_predict_gets_what_the_wrapper_would_give(model: Any, params: Any) -> None:
    call = wrapped(model)
    direct = pyfuncs.unwrapped(call, FRAME, {"params": params})
    if direct is None:
        # Params for a predict that takes none are MLflow's to complain about.
        assert params is not None
        assert isinstance(model, OnlyInput)
        return
    name, context, data, given = direct(FRAME)
    theirs = call(FRAME, params=params)
    assert (name, context, given) == (theirs[0], theirs[1], theirs[3])
    assert data is FRAME
    assert given is None or given is not params
    assert call.__self__.python_model is model


def test_a_wrapper_that_converts_rows_stays() -> None:
    texts = pd.DataFrame({"x": ["a", "b"]})
    call = wrapped(Texts())
    assert pyfuncs.unwrapped(call, texts, {"params": None}) is None
    assert list(call(texts)) == ["a", "b"]


class LooksAround(mlflow.pyfunc.PythonModel):
    """Its signature cannot be had without a fault."""

    @property
    def predict_type_hints(self):
        raise RuntimeError("not now")

    def predict(self, context, model_input, params=None):
        return model_input


def test_a_fault_while_watching_leaves_everything_as_it_was() -> None:
    model = LooksAround()
    call = wrapped(model)
    assert pyfuncs.unwrapped(call, FRAME, {"params": None}) is None
    assert call.__self__.python_model is model


def test_other_flavours_are_not_touched() -> None:
    class Flavour:
        def predict(self, data: Any) -> Any:
            raise AssertionError("it must not be called")

    assert pyfuncs.unwrapped(Flavour().predict, FRAME, {}) is None
    assert pyfuncs.unwrapped(len, FRAME, {}) is None
