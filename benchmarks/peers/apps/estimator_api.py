"""FastAPI that calls the bare estimator on the event loop: no MLflow, no schema. What remains is the model's own time.

A pyfunc has no estimator: its own ``predict`` is called, with the data frame that it is written for.
"""

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
loaded = mlflow.pyfunc.load_model("model")
is_estimator = "sklearn" in loaded.metadata.flavors
bare = mlflow.sklearn.load_model("model") if is_estimator else loaded.unwrap_python_model()


class Table(BaseModel):
    """MLflow's split orientation."""

    columns: list[str]
    data: list[list[float]]


class Question(BaseModel):
    """A request."""

    dataframe_split: Table


@app.post("/invocations")
async def invocations(question: Question) -> dict:
    """Predict on the event loop's thread."""
    table = question.dataframe_split
    if is_estimator:
        return {"predictions": bare.predict(np.array(table.data)).tolist()}
    result = bare.predict(None, pd.DataFrame(table.data, columns=table.columns))
    return {"predictions": result.to_dict(orient="records")}
