"""Estimators of scikit-learn, xgboost and LightGBM: which predict row by row, and a copy that knows no column names."""

from __future__ import annotations

import copy
from typing import Any, Dict, Optional

# Public parts of scikit-learn whose predict and transform treat each row by itself.
_ROW_WISE = frozenset(
    f"sklearn.{name}"
    for name in (
        "calibration",
        "compose",
        "discriminant_analysis",
        "ensemble",
        "feature_selection",
        "gaussian_process",
        "isotonic",
        "kernel_ridge",
        "linear_model",
        "mixture",
        "model_selection",
        "multiclass",
        "multioutput",
        "naive_bayes",
        "neighbors",
        "neural_network",
        "pipeline",
        "preprocessing",
        "svm",
        "tree",
    )
)
# Of parts that also hold others: some of those look at all rows together (NMF, LDA) or draw random numbers.
_SINGLE = frozenset(
    (
        "FastICA",
        "IncrementalPCA",
        "KMeans",
        "KNNImputer",
        "MiniBatchKMeans",
        "MissingIndicator",
        "PCA",
        "SimpleImputer",
        "TruncatedSVD",
    )
)
_DEPTH = 8
_BOOSTERS = ("xgboost", "lightgbm")
METHODS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba")


def raw_model(model: Any) -> Optional[Any]:
    """The estimator or booster within a pyfunc model of a listed flavour; None for other flavours."""
    module = str(getattr(model, "loader_module", "") or "")
    if module not in ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm"):
        return None
    implementation = getattr(model, "_model_impl", None)
    get = getattr(implementation, "get_raw_model", None)
    if callable(get):
        return get()
    for name in ("sklearn_model", "xgb_model", "lgb_model"):
        if hasattr(implementation, name):
            return getattr(implementation, name)
    return implementation


def method_of(model: Any) -> str:
    """The name of the estimator's method that the pyfunc model calls."""
    flavour: Dict[str, Any] = model.metadata.flavors.get("python_function", {})
    return str(flavour.get("predict_fn") or "predict")


def is_row_wise(value: Any, depth: int = 0) -> bool:
    """Whether an estimator, with all that it is composed of, is known to predict row by row."""
    if depth > _DEPTH or not _is_listed(type(value)):
        return False
    if type(value).__name__ == "FunctionTransformer" and value.func is not None:
        return False
    get_params = getattr(value, "get_params", None)
    if get_params is not None:
        try:
            parameters = get_params(deep=False)
        except Exception:
            return False
        if any(map(_is_function, parameters.values())):
            return False
    fitted = getattr(value, "__dict__", {})
    return all(is_row_wise(part, depth + 1) for part in _parts(fitted))


def without_names(value: Any) -> Any:
    """The same estimator without the column names of its training, so that it takes arrays without a warning.

    Copies only what holds names; trees, coefficients and so on stay shared.
    """
    if isinstance(value, (list, tuple)):
        items = [without_names(item) for item in value]
        changed = any(new is not old for new, old in zip(items, value))
        return type(value)(items) if changed and type(value) in (list, tuple) else value
    if type(value).__module__.startswith("lightgbm.") and hasattr(value, "get_params"):
        # Its names are a property of the class, read from the booster.
        twin = copy.copy(value)
        twin.__class__ = type(type(value).__name__, (type(value),), {"feature_names_in_": None})
        return twin
    if not _is_estimator(value):
        return value
    fields = getattr(value, "__dict__", None)
    if fields is None:
        return value
    bare = {
        name: without_names(part) for name, part in fields.items() if name != "feature_names_in_"
    }
    if len(bare) == len(fields) and all(bare[name] is fields[name] for name in bare):
        return value
    twin = copy.copy(value)
    twin.__dict__.clear()
    twin.__dict__.update(bare)
    return twin


def _is_estimator(value: Any) -> bool:
    return type(value).__module__.startswith("sklearn.") and hasattr(value, "get_params")


def _parts(fields: Dict[str, Any]) -> Any:
    """Estimators that an estimator holds: directly, in lists, in (name, estimator, ...) tuples."""
    for value in fields.values():
        trees = set()
        for part in value if isinstance(value, (list, tuple)) else (value,):
            for each in part if isinstance(part, tuple) else (part,):
                if hasattr(each, "get_params") and not isinstance(each, type):
                    # A forest's trees are alike: one of a kind tells.
                    if type(each) not in trees:
                        yield each
                    if type(each).__module__.startswith("sklearn.tree."):
                        trees.add(type(each))


def _is_listed(kind: type) -> bool:
    module = kind.__module__
    if module.split(".")[0] in _BOOSTERS:
        return True
    if not module.startswith("sklearn."):
        return False
    room = ".".join(module.split(".")[:2])
    return room in _ROW_WISE or kind.__name__ in _SINGLE


def _is_function(value: Any) -> bool:
    """A callable that is neither a type nor scikit-learn's own."""
    if not callable(value) or isinstance(value, type) or hasattr(value, "get_params"):
        return False
    return not str(getattr(value, "__module__", "")).startswith("sklearn.")
