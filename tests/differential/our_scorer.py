"""Our scoring of every model of a folder, in the environment of its interpreter; a script.

``python our_scorer.py FOLDER`` answers one JSON line with one, on standard input and output; first a line with what
each model's ``describe`` says. ``path`` of a request is "slow" (MLflow's own code) or "answer" (as in a replica).
"""

from __future__ import annotations

import base64
import json
import os
import sys
import warnings
from pathlib import Path

import mlflow.pyfunc
from serving_runtime.scoring import Scorer


def scorer_of(path: Path) -> Scorer:
    scorer = Scorer(mlflow.pyfunc.load_model(str(path)), {"stack_trace": False})
    example = path / "serving_input_example.json"
    body = example.read_bytes() if example.exists() else None
    if body is not None:
        scorer.answer(body, None)
    scorer.learn(body)
    return scorer


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    # What models print must not come between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    scorers = {path.name: scorer_of(path) for path in sorted(folder.iterdir())}
    described = {name: scorer.describe() for name, scorer in scorers.items()}
    print(json.dumps(described), file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        scorer = scorers[asked["model"]]
        path = {"slow": scorer.slow, "answer": scorer.answer}[asked["path"]]
        scored = path(base64.b64decode(asked["body"]), asked["type"])
        told = {
            "status": scored.status,
            "type": scored.content_type,
            "body": base64.b64encode(scored.body).decode(),
        }
        print(json.dumps(told), file=out, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
