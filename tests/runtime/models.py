"""Real models, one directory each, saved by MLflow."""

from __future__ import annotations

import warnings
from pathlib import Path

SCRIPT = """
import mlflow
{imports}

class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        {load}

    def predict(self, context, model_input, params=None):
        {predict}

mlflow.models.set_model(Model())
"""

# name: (imports, load_context, predict); predict gets a DataFrame with one row per request
PYFUNCS = {
    "double": ("", "pass", "return model_input * 2"),
    # waits for the file named in the request, after saying by a file that it has begun
    "waits": (
        "import os, time",
        "pass",
        """
        begun, go = model_input.iloc[0]["begun"], model_input.iloc[0]["go"]
        print("waiting for", go)
        open(begun, "w").close()
        while not os.path.exists(go):
            time.sleep(0.005)
        return [os.getpid()]
""",
    ),
    "load_raises": ("", "raise FileNotFoundError('weights.bin is not in the model')", "return []"),
    "load_dies": ("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)", "return []"),
    "load_waits": (
        "import os, time",
        "while not os.path.exists(os.environ['GO']): time.sleep(0.005)",
        "return [1]",
    ),
    "load_waits_then_raises": (
        "import os, time",
        """
        while not os.path.exists(os.environ['GO']):
            time.sleep(0.005)
        raise MemoryError('too large')
""",
        "return [1]",
    ),
    # closes every descriptor, its way to the front too
    "closes": (
        "import os, time",
        "pass",
        """
        if model_input.iloc[0]["close"]:
            os.closerange(3, 1000)
            time.sleep(600)
        return [os.getpid()]
""",
    ),
    # starts a process of its own, then never ends or dies
    "spawns": (
        "import os, subprocess, time",
        "pass",
        """
        child = subprocess.Popen(["sleep", "600"])
        with open(model_input.iloc[0]["begun"], "w") as file:
            file.write(str(child.pid))
        if model_input.iloc[0]["die"]:
            os._exit(5)
        time.sleep(600)
""",
    ),
    "raises": ("", "pass", "return [float(x) for x in model_input['x']]"),
    "exits": ("import sys", "pass", "sys.exit(7)"),
    "dies": (
        "import os",
        "pass",
        """
        if model_input.iloc[0]["die"]:
            os._exit(5)
        return [os.getpid()]
""",
    ),
    "prints": ("", "pass", "print('predicting', len(model_input)); return [1]"),
    "nan": (
        "import numpy as np",
        "pass",
        "return {'values': [float('nan'), float('inf'), -float('inf'), 1.5], 'text': 'NaN'}",
    ),
    "set": ("", "pass", "return {1, 2}"),
    "random": ("import random, numpy as np", "pass", "return [random.random(), np.random.rand()]"),
    "keys": ("", "pass", "return [sorted(model_input)]"),
    "environ": ("import os", "pass", "return [os.environ.get(model_input.iloc[0]['name'])]"),
    "child": (
        "import subprocess, sys",
        "pass",
        """
        code = "import signal; print(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))"
        return [subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout.decode()]
""",
    ),
    # what a fork could not use safely
    "thread": (
        "import threading",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "return model_input * 2",
    ),
    "file": ("", "self.file = open(__file__)", "return model_input * 2"),
    "connection": (
        "import socket",
        "self.ends = socket.socketpair()",
        "return model_input * 2",
    ),
    "process": (
        "import subprocess",
        "self.child = subprocess.Popen(['sleep', '600'])",
        "return model_input * 2",
    ),
    "hangs_in_forks": (
        "import os, time",
        "self.home = os.getpid()",
        """
        while os.getpid() != self.home and model_input.iloc[0]["x"] == 1:
            time.sleep(0.1)
        return model_input * 2
""",
    ),
    "dies_in_forks": (
        "import os",
        "self.home = os.getpid()",
        """
        if os.getpid() != self.home and model_input.iloc[0]["x"] == 1:
            os._exit(6)
        return model_input * 2
""",
    ),
    "threads_told": (
        "import os",
        "self.at_load = os.environ['OMP_NUM_THREADS']",
        "return [self.at_load, os.environ['OMP_NUM_THREADS']]",
    ),
    # takes memory without end (but 3 GB, for the machine's sake), within the limit set for it or beyond
    "hoards": (
        "import os, resource, time",
        "pass",
        """
        how, held = model_input.iloc[0]["how"], []
        if how == "beyond":
            resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        while how != "not":
            held.append(b"x" * (4 << 20))
            time.sleep(0.002)
            while len(held) > 750:
                time.sleep(1)
        return [os.getpid()]
""",
    ),
    "mlflow_error": (
        "from mlflow.exceptions import MlflowException",
        "pass",
        "raise MlflowException('the model is confused')",
    ),
}


# saved with one row as their input example
WITH_EXAMPLE = ("hangs_in_forks", "dies_in_forks")


def save_pyfunc(folder: Path, name: str, imports: str, load: str, predict: str) -> None:
    """Save a model whose code is a script (no pickle, so nothing of the tests is imported in a replica)."""
    import mlflow.pyfunc
    import pandas as pd

    script = folder / f"{name}.py"
    script.write_text(SCRIPT.format(imports=imports, load=load, predict=predict))
    example = pd.DataFrame({"x": [1]}) if name in WITH_EXAMPLE else None
    mlflow.pyfunc.save_model(
        folder / name,
        python_model=str(script),
        pip_requirements=["mlflow", "pandas"],
        input_example=example,
    )


def save_iris(folder: Path) -> None:
    """A random forest with signature and input example."""
    import mlflow.sklearn
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    features, kinds = load_iris(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(10, random_state=0).fit(features, kinds)
    mlflow.sklearn.save_model(
        forest,
        folder / "iris",
        signature=mlflow.models.infer_signature(features, forest.predict(features)),
        input_example=features.head(2),
        pip_requirements=["mlflow", "pandas", "scikit-learn"],
        serialization_format="cloudpickle",
    )


def save_all(folder: Path) -> None:
    """All models, without the warnings that saving them gives."""
    # load_context runs at save time when the model is a script's: the broken ones must not break the tests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_iris(folder)
        for name, (imports, load, predict) in PYFUNCS.items():
            save_pyfunc(folder, name, imports, load, predict)
