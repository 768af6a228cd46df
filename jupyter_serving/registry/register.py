"""Write a saved model to MLflow's stores: logged model (or run artifact) and registered version, all or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api import Registry
from ..errors import InvalidParameter
from . import reach

ARTIFACT_NAME = "model"
WRITE_HINT = "Check MLFLOW_TRACKING_URI, and the experiment if one was set."


@dataclass(slots=True)
class _Written:
    """What a registration made so far, to be undone if it fails."""

    client: Any
    undo: list[Callable[[], Any]] = field(default_factory=list)

    def take_back(self) -> None:
        for step in reversed(self.undo):
            with contextlib.suppress(Exception):
                step()


@dataclass(frozen=True, slots=True)
class Registered:
    """A new version, and the run and logged model that it came from."""

    version: str
    run_id: str | None
    logged_model_id: str | None


def register(
    directory: Path, name: str, stores: Registry, experiment_id: str | None = None
) -> Registered:
    """Upload a saved model and make it the next version of ``name``, created if need be.

    A failure takes back what was made: version, logged model, run and a registered model that was new.

    Raises:
        InvalidParameter: the name is not allowed.
        RegistryUnreachable: the stores cannot be written.
    """
    from mlflow import MlflowClient

    with reach.told(stores, "written", WRITE_HINT):
        client = MlflowClient(
            tracking_uri=stores.tracking_uri,
            registry_uri=stores.registry_uri or stores.tracking_uri,
        )
    written = _Written(client)
    try:
        with reach.told(stores, "written", WRITE_HINT):
            _ensure_model(written, name)
            experiment = experiment_id or _current_experiment()
            if hasattr(client, "create_logged_model"):
                return _as_logged_model(written, directory, name, experiment)
            return _as_run_artifact(written, directory, name, experiment)
    except BaseException:
        written.take_back()
        raise


def _ensure_model(written: _Written, name: str) -> None:
    client = written.client
    try:
        client.create_registered_model(name)
    except Exception as error:
        code = getattr(error, "error_code", "")
        if code in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            return
        if code == "INVALID_PARAMETER_VALUE":
            raise InvalidParameter(
                f"{name!r} is not a name for a registered model: {reach.first_line(error)}",
                hint="Use letters, digits, '-', '_' and '.'.",
            ) from error
        raise
    written.undo.append(lambda: client.delete_registered_model(name))


def _current_experiment() -> str:
    from mlflow.tracking.fluent import _get_experiment_id

    return str(_get_experiment_id())


def _active_run(client: Any) -> Any:
    """The run that is open in this kernel, if it is in the same store."""
    import mlflow

    run = mlflow.active_run()
    return run if run is not None and mlflow.get_tracking_uri() == client.tracking_uri else None


def _as_logged_model(written: _Written, directory: Path, name: str, experiment: str) -> Registered:
    """MLflow 3: a logged model of its own, tied to the open run if there is one."""
    client = written.client
    run = _active_run(client)
    run_id = run.info.run_id if run else None
    experiment = run.info.experiment_id if run else experiment
    made = client.create_logged_model(experiment, name=ARTIFACT_NAME, source_run_id=run_id)
    written.undo.append(lambda: client.delete_logged_model(made.model_id))
    _name_itself(directory, made.artifact_location, made.model_id, run_id)
    client.log_model_artifacts(made.model_id, str(directory))
    client.finalize_logged_model(made.model_id, "READY")
    if run_id:
        from mlflow.entities import LoggedModelOutput

        client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
    # The SQL registry looks models:/m-... up in the process-wide tracking store, whichever client asks.
    import mlflow

    shared = mlflow.get_tracking_uri() == client.tracking_uri
    source = f"models:/{made.model_id}" if shared else made.artifact_location
    version = client.create_model_version(name, source, run_id=run_id)
    return Registered(str(version.version), run_id, made.model_id)


def _as_run_artifact(written: _Written, directory: Path, name: str, experiment: str) -> Registered:
    """MLflow 2: an artifact of the open run, or of one made for it."""
    client = written.client
    run = _active_run(client)
    run_id = run.info.run_id if run else client.create_run(experiment).info.run_id
    if not run:
        written.undo.append(lambda: client.delete_run(run_id))
    location = f"{client.get_run(run_id).info.artifact_uri}/{ARTIFACT_NAME}"
    client.log_artifacts(run_id, str(directory), ARTIFACT_NAME)
    version = client.create_model_version(name, location, run_id=run_id)
    if not run:
        client.set_terminated(run_id)
    return Registered(str(version.version), run_id, None)


def _name_itself(directory: Path, location: str, model_id: str, run_id: str | None) -> None:
    """Write the logged model's identity into its MLmodel file, as MLflow does."""
    from mlflow.models import Model

    mlmodel = Model.load(str(directory))
    mlmodel.artifact_path, mlmodel.model_uuid, mlmodel.run_id = location, model_id, run_id
    mlmodel.model_id = model_id
    mlmodel.save(str(directory / "MLmodel"))
