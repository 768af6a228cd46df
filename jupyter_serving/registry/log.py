"""Log and register a model from a kernel, with signature and input example, so that it can be served.

The model is saved and tried out in a temporary directory first: nothing is written to the registry until it is known
to load and predict, and what a failed registration left behind is removed.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api import Registry
from ..errors import InvalidParameter, RegistryUnreachable
from . import digest as digests
from . import example as examples
from . import reach
from .register import ARTIFACT_NAME, register


@dataclass(frozen=True, slots=True)
class Logged:
    """A registered version: its URI, the stores it is in, the digest of its files, and sentences worth reading."""

    name: str
    version: str
    registry: Registry
    digest: str
    run_id: str | None = None
    model_id: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """``models:/name/version``."""
        return f"models:/{self.name}/{self.version}"

    def __repr__(self) -> str:
        return f"<{self.uri}>"


def log(
    model: Any,
    *,
    name: str,
    X: Any = None,
    registry: Registry | None = None,
    experiment_id: str | None = None,
    row_wise: bool = False,
    **save_options: Any,
) -> Logged:
    """Log ``model`` and register it as the next version of ``name``.

    Args:
        model: a fitted scikit-learn-like estimator, an ``mlflow.pyfunc.PythonModel`` instance, any object with
            ``predict``, or a function of the input.
        name: the registered model's name; it is created if need be.
        X: input as the endpoint will get it, for the signature and the example (five rows of it are stored with the
            model). Without it, floating-point inputs are assumed for fitted scikit-learn estimators.
        registry: stores to write to; default: those that MLflow is configured with.
        experiment_id: the experiment that the model belongs to; default: MLflow's current one.
        row_wise: declares that each row's prediction depends on that row alone, so that requests which wait may be
            predicted together (checked when it is served).
        save_options: passed on to the flavour's ``save_model`` (``pip_requirements``, ``code_paths``, ...).

    Raises:
        InvalidParameter: not a model, not fitted, no way to know its inputs, or it does not load back.
        RegistryUnreachable: the registry cannot be written.
    """
    _check_name(name)
    _check_model(model)
    if row_wise:
        metadata = dict(save_options.get("metadata") or {})
        save_options["metadata"] = metadata | {"jupyter_serving": {"row_wise": True}}
    with quiet(), tempfile.TemporaryDirectory(prefix="jupyter-serving-log-") as scratch:
        predict = _predict_of(model)
        example = examples.of(model, predict, X)
        directory = Path(scratch) / ARTIFACT_NAME
        _save(model, directory, example, save_options)
        _try_out(directory, example)
        stores = registry or configured()
        version = register(directory, name, stores, experiment_id)
        notes = [example.assumed] if example.assumed else []
        return Logged(
            name,
            version.version,
            stores,
            digests.of(directory),
            version.run_id,
            version.logged_model_id,
            notes,
        )


def configured() -> Registry:
    """The stores that MLflow is configured with in this process, as absolute URIs."""
    base = Path.cwd()
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if (
        named and "mlflow" not in sys.modules
    ):  # spares a command line the second that the import takes
        tracking, registry = named, os.environ.get("MLFLOW_REGISTRY_URI") or named
    else:
        import mlflow

        tracking, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    return Registry(
        tracking_uri=reach.absolute(tracking, base), registry_uri=reach.absolute(registry, base)
    )


def _check_name(name: str) -> None:
    if not name or any(mark in name for mark in "/:"):
        raise InvalidParameter(
            f"{name!r} is not a name for a registered model: it must not be empty or hold '/' or ':'.",
            hint="Use letters, digits, '-', '_' and '.'.",
        )


def _check_model(model: Any) -> None:
    if isinstance(model, type):
        raise InvalidParameter(
            f"{model.__name__} is a class, not a model.",
            hint=f"Pass an instance: {model.__name__}(...).",
        )
    if not callable(model) and not callable(getattr(model, "predict", None)):
        raise InvalidParameter(
            f"A {type(model).__name__} is not a model: it has no predict method and is not a function.",
            hint="Pass a fitted estimator, an mlflow PythonModel or a function.",
        )
    if _is_sklearn(model):
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        try:
            check_is_fitted(model)
        except NotFittedError as error:
            raise InvalidParameter(
                f"This {type(model).__name__} is not fitted.", hint="Call its fit(X, y) first."
            ) from error
        except TypeError:
            pass  # no estimator by scikit-learn's own reading: predict will tell


def _is_sklearn(model: Any) -> bool:
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(model, base.BaseEstimator)


def _is_python_model(model: Any) -> bool:
    from mlflow.pyfunc import PythonModel

    return isinstance(model, PythonModel)


def _predict_of(model: Any) -> Callable[[Any], Any]:
    if _is_python_model(model):
        # MLflow 3 allows predict(self, model_input) beside predict(self, context, model_input).
        if next(iter(inspect.signature(model.predict).parameters), "") != "context":
            return lambda data: model.predict(data)
        return lambda data: model.predict(None, data)
    if callable(getattr(model, "predict", None)):
        predict: Callable[[Any], Any] = model.predict
        return predict
    called: Callable[[Any], Any] = model
    return called


def _save(model: Any, directory: Path, example: examples.Example, options: dict[str, Any]) -> None:
    import mlflow

    known = {"path": str(directory), "signature": example.signature, "input_example": example.rows}
    try:
        if _is_sklearn(model):
            # MLflow's default, skops, refuses to load the trees of forests and boosting back.
            form = {"serialization_format": "cloudpickle"}
            mlflow.sklearn.save_model(model, **(known | form | options))
        else:
            python_model = model if _is_python_model(model) else _function(model)
            mlflow.pyfunc.save_model(python_model=python_model, **(known | options))
    except Exception as error:
        raise InvalidParameter(
            f"MLflow cannot save this {type(model).__name__}: {reach.first_line(error)}",
            hint="What it refers to must be picklable; pass files and clients in load_context instead.",
        ) from error


def _function(model: Any) -> Callable[[Any], Any]:
    """A plain function of one argument; defined here so that it is pickled by value, without this package."""
    predict = _predict_of(model)

    def predict_rows(model_input):  # type: ignore[no-untyped-def]
        return predict(model_input)

    return predict_rows


def _try_out(directory: Path, example: examples.Example) -> None:
    import mlflow

    try:
        mlflow.pyfunc.load_model(str(directory)).predict(example.rows)
    except Exception as error:
        raise InvalidParameter(
            f"The model does not work after it was saved and loaded back: {reach.first_line(error)}",
            hint="Modules of your own must be passed as code_paths=[...]; the signature must fit its input.",
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's hints (pickle, integer columns, new tables) out of the notebook while it logs."""
    # Its first import sets up its loggers anew, so it has to come before their levels are changed.
    import mlflow  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


__all__ = ["Logged", "RegistryUnreachable", "configured", "log"]
