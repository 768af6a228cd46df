"""BentoML around the model as MLflow loads it, with batches: an array in, an array out."""

import json
from pathlib import Path

import bentoml
import mlflow.pyfunc
import numpy as np
import pandas as pd


@bentoml.service(traffic={"timeout": 60})
class Pyfunc:
    """One method, ``invocations``."""

    def __init__(self) -> None:
        self.model = mlflow.pyfunc.load_model("model")
        self.columns = json.loads(Path("columns.json").read_text())

    @bentoml.api(batchable=True, max_batch_size=3200, max_latency_ms=10000)
    def invocations(self, rows: np.ndarray) -> np.ndarray:
        """Predict all rows of a batch at once."""
        return np.asarray(self.model.predict(pd.DataFrame(rows, columns=self.columns)))
