"""The pyfunc that only doubles; it travels by value in its pickle."""

import mlflow.pyfunc


class Doubles(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is untyped here
    """Doubles every value."""

    # Without type hints, which MLflow would take for a schema.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A data frame in, the doubled one out."""
        return model_input * 2
