"""The pyfunc that only doubles; it travels by value in its pickle."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc


class Doubles(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is untyped here
    """Doubles every value."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """A data frame in, the doubled one out."""
        return model_input * 2
