"""FastAPI around the model as MLflow loads it, the way its users write it: ``def``, pydantic, a data frame."""

import mlflow.pyfunc
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

model = mlflow.pyfunc.load_model("model")
app = FastAPI()


class Table(BaseModel):
    """MLflow's split orientation."""

    columns: list[str]
    data: list[list[float]]


class Question(BaseModel):
    """A request."""

    dataframe_split: Table


@app.post("/invocations")
def invocations(question: Question) -> dict:
    """Predict; data frames are answered as records, as MLflow does."""
    table = question.dataframe_split
    result = model.predict(pd.DataFrame(table.data, columns=table.columns))
    records = isinstance(result, pd.DataFrame)
    return {"predictions": result.to_dict(orient="records") if records else result.tolist()}
