"""From a model reference to one immutable version, where its files lie, and a copy of them by digest.

Only explicit clients are used, never MLflow's process-wide settings, because one controller serves deployments that
mean different registries. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import difflib
import errno
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..api import Registry
from ..errors import NotFound, RegistryUnreachable, StoreFault
from . import digest as digests
from . import reach
from .reference import Kind, ModelReference, of_entity, parse

__all__ = ["ModelReference", "Resolved", "fetch", "keep", "of_entity", "parse", "resolve"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """One immutable model: ``source`` is the artifact URI (or local path) of its files.

    ``name`` is the registered model's, else the last part of what was named; ``version`` is None for a model that is
    not a registered version.
    """

    name: str
    version: str | None
    source: str
    run_id: str | None = None
    model_id: str | None = None

    @property
    def local(self) -> str:
        """Path of the files where they lie on this machine, else ""."""
        path = (
            unquote(urlsplit(self.source).path) if self.source.startswith("file:") else self.source
        )
        return path if path.startswith("/") else ""


def resolve(reference: ModelReference, registry: Registry) -> Resolved:
    """Find the one version that a reference means now and where its files lie.

    Raises:
        NotFound: no such model, version, alias, run or path; the message lists what exists.
        RegistryUnreachable: the registry cannot be read from this process.
    """
    if reference.kind is Kind.PATH:
        return _at_path(reference)
    client = reach.client(registry)
    with reach.told(registry):
        match reference.kind:
            case Kind.LOGGED_MODEL:
                return _logged(client, reference.key)
            case Kind.RUN:
                return _in_run(client, reference)
            case _:
                return _version(client, reference, registry)


def _at_path(reference: ModelReference) -> Resolved:
    path = Path(reference.key)
    if not (path / "MLmodel").is_file():
        raise NotFound(
            f"There is no model directory at {path} (no MLmodel file in it).",
            hint="Name the directory that mlflow's save_model wrote.",
        )
    return Resolved(path.name, None, str(path))


def _logged(client: Any, model_id: str) -> Resolved:
    model = _found(
        lambda: client.get_logged_model(model_id),
        lambda: NotFound(f"There is no logged model {model_id}.", hint="Check the id in MLflow."),
    )
    return Resolved(model.name, None, model.artifact_location, model.source_run_id, model_id)


def _in_run(client: Any, reference: ModelReference) -> Resolved:
    run = _found(
        lambda: client.get_run(reference.key),
        lambda: NotFound(f"There is no run {reference.key}.", hint="Check the run's id in MLflow."),
    )
    # MLflow 3 keeps a run's models beside the run, by name; MLflow 2 among its artifacts, by path.
    outputs = getattr(getattr(run, "outputs", None), "model_outputs", None) or []
    for output in reversed(outputs):
        model = client.get_logged_model(output.model_id)
        if model.name == reference.path:
            return Resolved(
                model.name, None, model.artifact_location, reference.key, output.model_id
            )
    source = f"{run.info.artifact_uri.rstrip('/')}/{reference.path}"
    return Resolved(posixpath.basename(reference.path), None, source, reference.key)


def _version(client: Any, reference: ModelReference, registry: Registry) -> Resolved:
    version = _found(lambda: _look_up(client, reference), lambda: _missing(client, reference))
    source = str(version.source)
    model_id = getattr(version, "model_id", None)
    match = re.fullmatch(r"models:/(m-[0-9a-f]+)", source)
    if match:
        model_id = match.group(1)
        source = client.get_logged_model(model_id).artifact_location
    elif (registry.registry_uri or registry.tracking_uri).startswith(("databricks", "uc")):
        # Unity Catalog hands out the files itself, with credentials for each download.
        source = f"models:/{reference.name}/{version.version}"
    elif source.startswith("runs:"):
        source = _in_run(client, parse(source)).source
    return Resolved(
        reference.name, str(version.version), source, version.run_id or None, model_id or None
    )


def _look_up(client: Any, reference: ModelReference) -> Any:
    match reference.kind:
        case Kind.ALIAS:
            return client.get_model_version_by_alias(reference.name, reference.key)
        case Kind.LATEST:
            found = _versions(client, reference.name)
            return max(found, key=lambda v: int(v.version)) if found else None
        case _:
            return client.get_model_version(reference.name, reference.key)


def _found(ask: Callable[[], Any], missing: Callable[[], NotFound]) -> Any:
    """Answer of ``ask``; ``missing()`` is raised where the store says that there is no such thing."""
    try:
        answer = ask()
    except Exception as error:
        if not reach.says_absent(error):
            raise
        answer = None
    if answer is None:
        raise missing()
    return answer


def _versions(client: Any, name: str) -> list[Any]:
    quote = '"' if "'" in name else "'"
    return list(client.search_model_versions(f"name={quote}{name}{quote}", max_results=200))


def _missing(client: Any, reference: ModelReference) -> NotFound:
    name = reference.name
    try:
        model = client.get_registered_model(name)
    except Exception as error:
        if not reach.says_absent(error):
            raise
        return NotFound(f"There is no registered model {name!r}.", hint=_nearest(client, name))
    numbers = sorted(int(v.version) for v in _versions(client, name))
    if not numbers:
        return NotFound(f"The model {name!r} has no versions.", hint="Log the model first.")
    hint = f"Existing versions: {', '.join(map(str, numbers[-20:]))}."
    if reference.kind is not Kind.ALIAS:
        return NotFound(f"The model {name!r} has no version {reference.key}.", hint=hint)
    aliases = ", ".join(sorted(model.aliases)) or "none"
    return NotFound(
        f"The model {name!r} has no alias {reference.key!r}.",
        hint=f"Existing aliases: {aliases}. {hint}",
    )


def _nearest(client: Any, name: str) -> str:
    names = [model.name for model in client.search_registered_models(max_results=1000)]
    if not names:
        return "The registry holds no models: log one first."
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.4) or sorted(names)[:5]
    return f"Nearest of {len(names)}: {', '.join(near)}."


def fetch(
    resolved: Resolved,
    registry: Registry,
    models_dir: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[str, Path]:
    """Copy or download the model's files to their place by digest; return ``(digest, directory)``.

    The place appears complete or not at all (a temporary directory beside it is renamed). A copy that is already there
    is verified, and replaced where its content differs from its name.

    Raises:
        NotFound: the registered files are gone.
        RegistryUnreachable: the artifact store cannot be read from this process.
        StoreFault: the disk is full or cannot be written.
    """
    try:
        models_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=models_dir) as scratch:
            fresh = Path(scratch) / "model"
            _bring(resolved, registry, fresh, progress)
            if not (fresh / "MLmodel").is_file():
                raise NotFound(
                    f"{resolved.source} holds no model (no MLmodel file).",
                    hint="Log the model again, or correct the artifact path.",
                )
            progress("verifying the files")
            return keep(fresh, models_dir)
    except Exception as error:
        if isinstance(error, OSError) or reach.disk_is_full(error):
            raise _disk(error, models_dir) from error
        raise


def keep(fresh: Path, models_dir: Path) -> tuple[str, Path]:
    """Move a complete directory on the same file system to its place by digest; return ``(digest, directory)``."""
    digest = digests.of(fresh)
    place = digests.place(models_dir, digest)
    if place.exists() and not digests.verify(place, digest):
        shutil.rmtree(place)
    try:
        fresh.rename(place)
    except OSError as error:
        # Somebody else was first with the same content.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    return digest, place


def _bring(
    resolved: Resolved, registry: Registry, fresh: Path, progress: Callable[[str], None]
) -> None:
    source = resolved.source
    if local := resolved.local:
        if not Path(local).is_dir():
            raise _gone(resolved, registry, local)
        progress(f"copying {local}")
        shutil.copytree(local, fresh, ignore=shutil.ignore_patterns(digests.LEFT_OUT))
        return
    progress(f"downloading {source}")
    with reach.told(registry):
        from mlflow.artifacts import download_artifacts

        where = download_artifacts(
            artifact_uri=source,
            dst_path=str(fresh.with_name("download")),
            tracking_uri=registry.tracking_uri or registry.registry_uri,
            registry_uri=registry.registry_uri or registry.tracking_uri,
        )
    Path(where).rename(fresh)


def _gone(resolved: Resolved, registry: Registry, local: str) -> NotFound | RegistryUnreachable:
    text = (
        f"The files of {resolved.name} {resolved.version or ''}".rstrip() + f" are not at {local}."
    )
    if registry.tracking_uri.startswith(("http:", "https:")):
        return RegistryUnreachable(
            f"{text} The registry keeps them on its own machine.", hint=reach.UPLOAD_HINT
        )
    return NotFound(text, hint="They were moved or deleted: log the model again.")


def _disk(error: Exception, models_dir: Path) -> StoreFault:
    if reach.disk_is_full(error):
        return StoreFault(
            f"The disk of {models_dir} is full: the model was not copied.",
            hint="Free space there, or set JUPYTER_SERVING_DATA_DIR to another disk.",
        )
    return StoreFault(
        f"The model cannot be copied to {models_dir}: {getattr(error, 'strerror', None) or error}.",
        hint="Check the permissions of the data directory.",
    )
