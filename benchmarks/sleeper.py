"""The pyfunc that sleeps as long as its row says: it holds a slot and no processor. It travels in its pickle."""

import time

import mlflow.pyfunc


class Sleeper(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is untyped here
    """Sleeps the sum of the column ``seconds`` and answers it."""

    # Without type hints, which MLflow would take for a schema.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A data frame in, its column out."""
        time.sleep(float(model_input["seconds"].sum()))
        return model_input["seconds"].tolist()
