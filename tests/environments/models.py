"""Model directories as MLflow writes them, and a real one that tells what it was loaded with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# A pyfunc from code: needs nothing that was pickled by another version.
SCRIPT = """
import mlflow, os, sys

class Teller(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import sklearn
        self.versions = [sklearn.__version__, "%d.%d" % sys.version_info[:2], sys.prefix]

    def predict(self, context, model_input, params=None):
        return self.versions

mlflow.models.set_model(Teller())
"""


def write(
    path: Path,
    *,
    meta: dict[str, Any] | None = None,
    requirements: str | None = None,
    python_env: dict[str, Any] | None = None,
    conda: dict[str, Any] | None = None,
    files: dict[str, str] | None = None,
) -> Path:
    """Write a model directory with the given parts only."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "MLmodel").write_text(yaml.safe_dump(meta if meta is not None else mlmodel()))
    if requirements is not None:
        (path / "requirements.txt").write_text(requirements)
    if python_env is not None:
        (path / "python_env.yaml").write_text(yaml.safe_dump(python_env))
    if conda is not None:
        (path / "conda.yaml").write_text(yaml.safe_dump(conda))
    for name, text in (files or {}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def mlmodel(
    python: str | None = "3.11.7", mlflow: str = "3.1.0", env: Any = None
) -> dict[str, Any]:
    """What an MLmodel file says of its environment."""
    flavour: dict[str, Any] = {"loader_module": "mlflow.sklearn"}
    if python:
        flavour["python_version"] = python
    flavour["env"] = env or {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    return {"flavors": {"python_function": flavour}, "mlflow_version": mlflow}


def python_env(*dependencies: str, python: str = "3.11.7") -> dict[str, Any]:
    """A python_env.yaml as MLflow writes it."""
    return {
        "python": python,
        "build_dependencies": ["pip==23.2.1", "setuptools==65.5.0", "wheel"],
        "dependencies": list(dependencies) or ["-r requirements.txt"],
    }
