"""Models to serve, registered in a SQLite registry: good ones, slow ones, and each kind of bad one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier


class Doubles(mlflow.pyfunc.PythonModel):
    """Doubles every value."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input * 2


class Sleeps(mlflow.pyfunc.PythonModel):
    """Sleeps as many seconds as the row says."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        time.sleep(float(model_input["x"].iloc[0]))
        return model_input["x"].tolist()


class RaisesInPredict(mlflow.pyfunc.PythonModel):
    """Its predict raises for negative values."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        if (model_input["x"] < 0).any():
            raise ValueError("x must not be negative")
        return model_input["x"].tolist()


class RaisesInLoad(mlflow.pyfunc.PythonModel):
    """Its load_context raises, but only where it is served."""

    def load_context(self, context: Any) -> None:
        if os.environ.get("JUPYTER_SERVING_TESTS") != "logging":
            raise RuntimeError("the weights are missing")

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input


class WaitsInLoad(mlflow.pyfunc.PythonModel):
    """Is not loaded before the file exists that $GATE names; a text in it is raised."""

    def load_context(self, context: Any) -> None:
        gate = os.environ.get("GATE")
        while gate and not os.path.exists(gate):
            time.sleep(0.01)
        if gate and (trouble := Path(gate).read_text()):
            raise RuntimeError(trouble)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input["x"].tolist()


class Misdeclared(mlflow.pyfunc.PythonModel):
    """Doubles, but large values are given times the number of rows that came together."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        large = (model_input["x"] >= 1000).any()
        return model_input * (len(model_input) if large else 2)


class Puppet(mlflow.pyfunc.PythonModel):
    """Does what its one row says, and writes into ``<folder>/journal`` when it began and ended.

    A row is ``{"act", "x", "folder"}``; no folder, no journal. Acts: ``answer`` x; ``sleep`` x seconds; ``hold`` until
    the file ``<folder>/open`` exists; ``die`` by SIGKILL; ``warm`` (its example): wait for
    the file that $GATE names, if there is one. It answers x.
    """

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        act, x, folder = (model_input[name].iloc[0] for name in ("act", "x", "folder"))
        self._write(folder, "begin", x)
        getattr(self, f"_{act}")(float(x), folder)
        self._write(folder, "end", x)
        return [float(x)]

    def _write(self, folder: str, what: str, x: float) -> None:
        """One line of JSON; a single append, so lines of all processes stand in the order of their time."""
        if folder:
            line = {"replica": os.getsid(0), "pid": os.getpid(), "what": what, "x": float(x)}
            with open(f"{folder}/journal", "ab", buffering=0) as file:
                file.write(json.dumps(line).encode() + b"\n")

    def _answer(self, x: float, folder: str) -> None:
        pass

    def _warm(self, x: float, folder: str) -> None:
        gate = os.environ.get("GATE")
        while gate and not os.path.exists(gate):
            time.sleep(0.01)

    def _sleep(self, x: float, folder: str) -> None:
        time.sleep(x)

    def _hold(self, x: float, folder: str) -> None:
        while not os.path.exists(f"{folder}/open"):
            time.sleep(0.01)

    def _die(self, x: float, folder: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Fragile(mlflow.pyfunc.PythonModel):
    """Doubles, row by row (as it declares); a negative x kills its process, and 1000 takes half a second."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        if (model_input["x"] < 0).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (model_input["x"] == 1000).any():
            time.sleep(0.5)
        return model_input * 2


class Broken(mlflow.pyfunc.PythonModel):
    """A candidate that cannot serve, each ``how`` in its own way, but only where it is served."""

    def __init__(self, how: str) -> None:
        self.how = how

    def load_context(self, context: Any) -> None:
        if os.environ.get("JUPYTER_SERVING_TESTS") != "logging":
            getattr(self, f"_{self.how}", lambda: None)()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        if os.environ.get("JUPYTER_SERVING_TESTS") != "logging" and self.how == "crashes":
            os.kill(os.getpid(), signal.SIGKILL)
        return model_input["x"].tolist()

    def _imports(self) -> None:
        import a_module_that_is_not_there  # noqa: F401

    def _raises(self) -> None:
        raise RuntimeError("the weights are missing")

    def _dies(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def _hangs(self) -> None:
        while True:
            time.sleep(0.1)

    def _hoards(self) -> None:
        """More than a slot may hold; touched, so that any limit sees it."""
        self.weights = bytearray(b"x") * 6_000_000_000


# The servers cannot import this module: its classes travel in the pickle.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ROW_WISE = {"jupyter_serving": {"row_wise": True}}
ONE_COLUMN = pd.DataFrame({"x": [1.0]})


class Zoo:
    """A registry of its own; each method registers a model once and returns its URI."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'registry.db'}"
        self.artifacts = folder / "artifacts"
        self._known: set[str] = set()

    @cached_property
    def iris(self) -> tuple[pd.DataFrame, RandomForestClassifier]:
        """Features, and a forest fitted on them."""
        features, target = load_iris(return_X_y=True, as_frame=True)
        return features, RandomForestClassifier(10, random_state=0).fit(features, target)

    def forest(self) -> str:
        """RandomForest on iris, version 1 of ``iris``."""
        features, model = self.iris

        def log() -> Any:
            return mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(features, model.predict(features)),
                input_example=features.head(2),
                serialization_format="cloudpickle",
                registered_model_name="iris",
            )

        return self._once("iris", log)

    def doubles(self) -> str:
        """A pyfunc that doubles."""
        return self._pyfunc("doubles", Doubles())

    def doubles_again(self) -> str:
        """The same model as version 2 of ``doubles``."""
        self.doubles()
        return self._pyfunc("doubles", Doubles(), version=2)

    def doubles_rows(self) -> str:
        """A pyfunc that doubles and declares that it does so row by row."""
        return self._pyfunc("doubles-rows", Doubles(), metadata=ROW_WISE)

    def sleeps(self) -> str:
        """A pyfunc that sleeps."""
        example = pd.DataFrame({"x": [0.0]})
        return self._pyfunc("sleeps", Sleeps(), example)

    def raises_in_predict(self) -> str:
        """A pyfunc whose predict raises for some rows."""
        return self._pyfunc("raises-in-predict", RaisesInPredict())

    def raises_in_load(self) -> str:
        """A pyfunc that cannot be loaded."""
        return self._pyfunc("raises-in-load", RaisesInLoad())

    def waits_in_load(self) -> str:
        """A pyfunc whose load waits for the file that $GATE names and raises the text in it."""
        return self._pyfunc("waits-in-load", WaitsInLoad())

    def puppet(self) -> str:
        """A pyfunc that does what its row says."""
        example = pd.DataFrame({"act": ["warm"], "x": [0.0], "folder": [""]})
        return self._pyfunc("puppet", Puppet(), example)

    def puppet_again(self) -> str:
        """The same model as version 2 of ``puppet``."""
        self.puppet()
        example = pd.DataFrame({"act": ["warm"], "x": [0.0], "folder": [""]})
        return self._pyfunc("puppet", Puppet(), example, version=2)

    def broken(self, how: str) -> str:
        """A pyfunc that ``imports`` what is not there, ``raises``, ``dies``, ``hangs`` or ``hoards`` at its load.

        One that ``crashes`` dies at its first prediction.
        """
        return self._pyfunc(f"broken-{how}", Broken(how))

    def fragile(self) -> str:
        """A row-wise pyfunc that some rows kill."""
        return self._pyfunc("fragile", Fragile(), metadata=ROW_WISE)

    def misdeclared(self) -> str:
        """A pyfunc that says it is row-wise, which its example does not refute."""
        return self._pyfunc("misdeclared", Misdeclared(), metadata=ROW_WISE)

    def unsigned(self) -> str:
        """A model without a signature."""
        _, model = self.iris

        def log() -> Any:
            return mlflow.sklearn.log_model(
                model,
                name="model",
                serialization_format="cloudpickle",
                registered_model_name="unsigned",
            )

        return self._once("unsigned", log)

    def entity(self, uri: str, **fields: Any) -> dict[str, Any]:
        """A served entity of ``models:/name/version`` that may use this environment."""
        name, version = uri.removeprefix("models:/").rsplit("/", 1)
        return {
            "entity_name": name,
            "entity_version": version,
            "kernel_python": sys.executable,
            "registry": {"tracking_uri": self.uri, "registry_uri": self.uri},
            "min_provisioned_concurrency": 1,
            "max_provisioned_concurrency": 1,
            **fields,
        }

    def _pyfunc(
        self,
        name: str,
        model: Any,
        example: pd.DataFrame = ONE_COLUMN,
        version: int = 1,
        **more: Any,
    ) -> str:
        def log() -> Any:
            return mlflow.pyfunc.log_model(
                name="model",
                python_model=model,
                signature=ModelSignature(inputs=infer_signature(example).inputs),
                input_example=example,
                registered_model_name=name,
                **more,
            )

        return self._once(name, log, version)

    def _once(self, name: str, log: Callable[[], Any], version: int = 1) -> str:
        key = f"models:/{name}/{version}"
        if key not in self._known:
            before = mlflow.get_tracking_uri()
            os.environ["JUPYTER_SERVING_TESTS"] = "logging"
            mlflow.set_tracking_uri(self.uri)
            try:
                client = mlflow.MlflowClient(self.uri)
                known = client.get_experiment_by_name("zoo")
                experiment = (
                    known.experiment_id
                    if known
                    else client.create_experiment("zoo", artifact_location=str(self.artifacts))
                )
                # Not set_experiment: it would stay set for every later test.
                with mlflow.start_run(experiment_id=experiment):
                    info = log()
                assert info.registered_model_version == version
                self._known.add(key)
            finally:
                mlflow.set_tracking_uri(before)
                del os.environ["JUPYTER_SERVING_TESTS"]
        return key
