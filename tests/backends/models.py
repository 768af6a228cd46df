"""Real models, from code, that tell about the process that serves them or fail in a named way."""

from __future__ import annotations

import warnings
from pathlib import Path

SCRIPT = """
import mlflow, os, signal, sys, time
import numpy as np

class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        {load}

    def predict(self, context, model_input, params=None):
        # the values of the environment variables that are asked for
        return [os.environ.get(name, "") for name in np.asarray(model_input).ravel()]

mlflow.models.set_model(Model())
"""

LOADS = {
    "teller": "pass",
    "load_raises": "raise FileNotFoundError('weights.bin is not in the model')",
    "load_dies": "os.kill(os.getpid(), signal.SIGKILL)",
    "load_hangs": "time.sleep(1000)",
}


def save(folder: Path, name: str) -> Path:
    """Save the model ``name`` and return its directory."""
    import mlflow.pyfunc

    script = folder / f"{name}.py"
    script.write_text(SCRIPT.format(load=LOADS[name]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / name, python_model=str(script), pip_requirements=["mlflow"]
        )
    return folder / name
