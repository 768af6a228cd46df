"""The input example and the signature of a model that is about to be logged, from data or from the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidParameter

ROWS = 5
ROWS_PREDICTED = 100
GIVE_DATA = "Pass some rows of input: js.log(model, X=df, name=...) or %serve deploy MODEL --data df --name NAME."


@dataclass(frozen=True, slots=True)
class Example:
    """What a model takes: a few rows of input, MLflow's signature, and what was assumed, if anything."""

    rows: Any
    signature: Any
    assumed: str = ""


def of(model: Any, predict: Callable[[Any], Any], X: Any) -> Example:
    """Example and signature from ``X``, or synthesised for a fitted scikit-learn estimator where ``X`` is None.

    Args:
        model: what is logged; its fitted attributes are read where there is no data.
        predict: calls it on input of the kind of ``X``.
        X: data frame, array, list or dictionary of input as the endpoint will get it.

    Raises:
        InvalidParameter: predict fails on the data, or there is no data and none can be made up.
    """
    if X is not None and len(X) == 0:
        raise InvalidParameter("The data for the signature has no rows.", hint=GIVE_DATA)
    data = _named(model, X) if X is not None else _made_up(model)
    assumed = "" if X is not None else _assumption(model)
    sample = head(data, ROWS_PREDICTED)
    try:
        answers = predict(sample)
    except Exception as error:
        raise _fails(error, assumed) from error
    return Example(head(data, ROWS), _signature(data, answers), assumed)


def head(data: Any, rows: int) -> Any:
    """The first rows of anything that has rows; a dictionary of columns keeps its keys."""
    if hasattr(data, "iloc"):
        return data.iloc[:rows]
    if isinstance(data, dict):
        return {name: head(column, rows) for name, column in data.items()}
    return data[:rows] if hasattr(data, "__getitem__") and not isinstance(data, str) else data


def _named(model: Any, data: Any) -> Any:
    """Put the names that the model was fitted with on an array without names."""
    names = getattr(model, "feature_names_in_", None)
    if names is None or hasattr(data, "columns") or getattr(data, "ndim", 0) != 2:
        return data
    import pandas as pd

    return pd.DataFrame(data, columns=list(names)) if data.shape[1] == len(names) else data


def _made_up(model: Any) -> Any:
    names = getattr(model, "feature_names_in_", None)
    count = getattr(model, "n_features_in_", None)
    if names is None and count is None:
        raise InvalidParameter(
            f"The inputs of this {type(model).__name__} are not known: it was not fitted on data with features, "
            "and no example was given.",
            hint=GIVE_DATA,
        )
    import numpy as np

    zeros = np.zeros((ROWS, len(names) if names is not None else int(count or 0)))
    if names is None:
        return zeros
    import pandas as pd

    return pd.DataFrame(zeros, columns=[str(name) for name in names])


def _assumption(model: Any) -> str:
    count = getattr(model, "n_features_in_", None) or len(model.feature_names_in_)
    return (
        f"No data was given, so the {count} inputs are assumed to be floating-point numbers: pass data "
        "(X=df, or --data df) if they are not."
    )


def _fails(error: Exception, assumed: str) -> InvalidParameter:
    line = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    told = f"{type(error).__name__}: {line}"
    if assumed:
        return InvalidParameter(
            f"The model's inputs cannot be guessed: predict fails on rows of zeros ({told}).",
            hint=GIVE_DATA,
        )
    return InvalidParameter(
        f"The model's predict fails on the data given ({told}).",
        hint="Pass the input as the endpoint will get it, with the columns the model was fitted on.",
    )


def _signature(data: Any, answers: Any) -> Any:
    from mlflow.models import infer_signature

    try:
        return infer_signature(data, answers)
    except Exception as error:
        raise InvalidParameter(
            f"No signature can be made from this data: {str(error).splitlines()[0][:300]}",
            hint="Use a data frame, an array, a list or a dictionary of them.",
        ) from error
