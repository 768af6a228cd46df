"""What a model directory says about itself: read from its ``MLmodel`` file, without importing MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import InvalidParameter, StoreFault

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Description:
    """Facts of one model.

    ``inputs``, ``outputs`` and ``params`` are MLflow's signature as parsed JSON, None where
    it is not declared. ``serving_example`` is the file that holds the input example as a scoring request, if any.
    ``hinted``: the signature comes from type hints, so that ``predict`` gets a list instead of a frame.
    """

    directory: Path
    flavours: dict[str, dict[str, Any]]
    inputs: list[dict[str, Any]] | None
    outputs: list[dict[str, Any]] | None
    params: list[dict[str, Any]] | None
    mlflow_version: str
    serving_example: Path | None
    hinted: bool = False

    @property
    def flavour(self) -> str:
        """Name of the model's own flavour (``sklearn``); ``python_function`` where it has no other."""
        return next(
            (name for name in self.flavours if name != "python_function"), "python_function"
        )

    @property
    def signed(self) -> bool:
        """True where the model declares its inputs."""
        return self.inputs is not None


def describe(directory: Path) -> Description:
    """Read a model directory.

    Raises:
        InvalidParameter: no ``MLmodel`` file, one that is not YAML, or a model without the pyfunc flavour.
        StoreFault: the file cannot be read.
    """
    whole = _mlmodel(directory / "MLmodel")
    flavours = whole.get("flavors")
    if not isinstance(flavours, dict) or "python_function" not in flavours:
        raise InvalidParameter(
            f"The model in {directory} has no python_function flavour, so nothing can call its predict.",
            hint="Log it with a flavour that supports mlflow.pyfunc.",
        )
    signature = whole.get("signature") or {}
    return Description(
        directory=directory,
        flavours={str(name): dict(facts or {}) for name, facts in flavours.items()},
        inputs=_schema(signature.get("inputs")),
        outputs=_schema(signature.get("outputs")),
        params=_schema(signature.get("params")),
        mlflow_version=str(whole.get("mlflow_version") or ""),
        serving_example=_example(directory, whole.get("saved_input_example_info")),
        hinted=bool(whole.get("is_signature_from_type_hint")),
    )


def require_signature(description: Description, name: str) -> None:
    """Refuse a model without a signature.

    Raises:
        InvalidParameter: the model ``name`` declares no inputs.
    """
    if not description.signed:
        raise InvalidParameter(
            f"The model {name} has no signature, so requests cannot be checked against it.",
            hint="Log it with signature=infer_signature(X, model.predict(X)) or an input_example, "
            "or set JUPYTER_SERVING_ALLOW_UNSIGNED_MODELS=1.",
        )


def _mlmodel(path: Path) -> dict[str, Any]:
    try:
        whole = yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML)
    except FileNotFoundError as error:
        raise InvalidParameter(
            f"There is no MLmodel file in {path.parent}.",
            hint="Name a model that MLflow logged or saved.",
        ) from error
    except OSError as error:
        raise StoreFault(f"{path} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidParameter(
            f"{path} is not valid YAML: {str(error).splitlines()[0]}.", hint="Log the model again."
        ) from error
    if not isinstance(whole, dict):
        raise InvalidParameter(f"{path} is empty or not a mapping.", hint="Log the model again.")
    return whole


def _schema(text: Any) -> list[dict[str, Any]] | None:
    if text is None:
        return None
    try:
        parsed = json.loads(text)
    except (TypeError, ValueError) as error:
        raise InvalidParameter(
            f"The model's signature cannot be read: {error}.", hint="Log the model again."
        ) from error
    return parsed if isinstance(parsed, list) else [parsed]


def _example(directory: Path, facts: Any) -> Path | None:
    if not isinstance(facts, dict) or not facts.get("serving_input_path"):
        return None
    path = directory / str(facts["serving_input_path"])
    # The name comes from the model's own file: it must not lead out of the directory.
    return path if path.is_file() and path.resolve().is_relative_to(directory.resolve()) else None
