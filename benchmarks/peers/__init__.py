"""The servers that are compared: one module each, all with the same few facts (``base.Recipe``)."""

from __future__ import annotations

from .base import Peer
from .bentoml_batchable import BENTOML
from .handwritten import ESTIMATOR, FASTAPI
from .litserve_default import LITSERVE
from .mlflow_serve import MLFLOW, MLFLOW_TUNED
from .mlserver_best import MLSERVER
from .process import ProcessPeer

OURS = "ours"
CEILING = ESTIMATOR.name
RECIPES = {
    recipe.name: recipe
    for recipe in (MLFLOW, MLFLOW_TUNED, MLSERVER, BENTOML, LITSERVE, FASTAPI, ESTIMATOR)
}

__all__ = ["CEILING", "OURS", "RECIPES", "Peer", "ProcessPeer"]
