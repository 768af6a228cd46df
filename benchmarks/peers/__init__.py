"""The servers that are compared: one module each, all with the same few facts (``base.Recipe``)."""

from __future__ import annotations

from .base import Peer
from .bentoml_batchable import BENTOML
from .handwritten import ESTIMATOR, FASTAPI
from .litserve_api import LITSERVE, LITSERVE_BATCHING
from .mlflow_serve import MLFLOW, MLFLOW_TUNED
from .mlserver_runtime import MLSERVER, MLSERVER_BATCHING
from .process import ProcessPeer

OURS = "ours"
CEILING = ESTIMATOR.name
RECIPES = {
    recipe.name: recipe
    for recipe in (
        *(MLFLOW, MLFLOW_TUNED, MLSERVER, MLSERVER_BATCHING, BENTOML),
        *(LITSERVE, LITSERVE_BATCHING, FASTAPI, ESTIMATOR),
    )
}

__all__ = ["CEILING", "OURS", "RECIPES", "Peer", "ProcessPeer"]
