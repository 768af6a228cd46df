"""Reaching an MLflow store without surprises: no database made by a typo, no endless retries, errors told well."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..api import Registry
from ..errors import RegistryUnreachable, ServingError

CONNECT_SECONDS = 5.0
# MLflow retries seven times with doubling waits by default: minutes, where a person waits for an answer.
BOUNDS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
UPLOAD_HINT = "Deploy from a notebook or shell that can read it: the model is then uploaded."


def absolute(uri: str, base: Path) -> str:
    """The same store named independently of the working directory.

    Relative SQLite files and directories are taken from ``base``; remote URIs come back unchanged.
    """
    if uri.startswith("sqlite:///"):
        path, mark, query = uri.removeprefix("sqlite:///").partition("?")
        # Four slashes are an absolute path; three are relative to the working directory (SQLAlchemy's rule).
        return f"sqlite:///{base / path}{mark}{query}" if path and path != ":memory:" else uri
    if uri.startswith("file:"):
        return "file://" + str(base / unquote(urlsplit(uri).path))
    if "://" not in uri and uri.partition(":")[0] not in ("databricks", "databricks-uc", "uc"):
        return "file://" + str(base / uri)
    return uri


def client(registry: Registry) -> Any:
    """An ``MlflowClient`` for exactly these stores.

    Raises:
        RegistryUnreachable: a store that is relative, absent, not MLflow's, or refuses connections.
    """
    tracking = registry.tracking_uri or registry.registry_uri
    store = registry.registry_uri or tracking
    if not tracking:
        raise RegistryUnreachable(
            "No model registry is named.", hint="Set MLFLOW_TRACKING_URI or pass --tracking-uri."
        )
    for uri in dict.fromkeys((tracking, store)):
        _check(uri)
    with told(registry):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=tracking, registry_uri=store)


def _check(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        _check_sqlite(uri)
    elif parts.scheme in ("http", "https"):
        _check_http(uri)
    elif parts.scheme in ("", "file") and not uri.startswith(("databricks", "uc")):
        path = Path(unquote(parts.path))
        if not path.is_absolute() or not path.is_dir():
            raise _absent(uri, f"there is no directory {path}")


def _check_sqlite(uri: str) -> None:
    path = Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))
    if not path.is_absolute():
        raise _absent(uri, "the path is relative to another process's directory")
    if not path.is_file():
        raise _absent(uri, f"there is no file {path}")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise _absent(uri, f"{path} cannot be read ({error})") from error
    # MLflow would turn any SQLite file into a store of its own.
    if "registered_models" not in tables:
        raise _absent(uri, f"{path} is not an MLflow database")


def _check_http(uri: str) -> None:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if os.environ.get(f"{parts.scheme}_proxy") or os.environ.get(f"{parts.scheme.upper()}_PROXY"):
        return  # The server may be reachable through the proxy only; MLflow's own client finds out.
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError as error:
        raise _absent(uri, f"{parts.hostname}:{port} does not answer ({error})") from error


def _absent(uri: str, why: str) -> RegistryUnreachable:
    return RegistryUnreachable(
        f"The model registry {shown(uri)} cannot be read from here: {why}.", hint=UPLOAD_HINT
    )


def shown(uri: str) -> str:
    """The URI without a password in it."""
    parts = urlsplit(uri)
    if not parts.password:
        return uri
    return uri.replace(f":{parts.password}@", ":***@", 1)


def says_absent(error: Exception) -> bool:
    """True where MLflow says that a model, version, alias or run does not exist."""
    code = getattr(error, "error_code", "")
    # The SQL store answers an unknown alias with INVALID_PARAMETER_VALUE.
    return code == "RESOURCE_DOES_NOT_EXIST" or (
        code == "INVALID_PARAMETER_VALUE" and "not found" in str(error)
    )


@contextlib.contextmanager
def told(registry: Registry, doing: str = "read", hint: str = UPLOAD_HINT) -> Iterator[None]:
    """Bound MLflow's retries inside the block and turn what it raises into ``RegistryUnreachable``."""
    uri = shown(registry.registry_uri or registry.tracking_uri)
    try:
        with _BOUNDED:
            yield
    except (ServingError, MemoryError):
        raise
    except Exception as error:
        if disk_is_full(error):
            raise
        raise _translated(uri, error, doing, hint) from error


def disk_is_full(error: Exception) -> bool:
    """True for a full disk or quota, also where the number was lost on the way (``shutil.Error``, MLflow)."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in full or any(
        os.strerror(number) in str(error) for number in full
    )


def _translated(uri: str, error: Exception, doing: str, hint: str) -> RegistryUnreachable:
    text = first_line(error)
    code = getattr(error, "error_code", "")
    if code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED") or _refused(text):
        return RegistryUnreachable(
            f"The model registry {uri} refuses this process's credentials: {text}",
            hint=f"Give this process credentials (MLFLOW_TRACKING_TOKEN). {hint}",
        )
    if "out-of-date database schema" in text:
        return RegistryUnreachable(
            f"The model registry {uri} was written by another MLflow version: {text}",
            hint=f"Run `mlflow db upgrade {uri}` with the newer MLflow.",
        )
    return RegistryUnreachable(
        f"The model registry {uri} cannot be {doing} from here: {text}", hint=hint
    )


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:400]


def _refused(text: str) -> bool:
    return "error code 401" in text or "error code 403" in text


class _Bounded:
    """Environment of bounded retries, held while any thread is inside; what the user set is left alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._ours: list[str] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._ours = [name for name in BOUNDS if name not in os.environ]
                os.environ.update({name: BOUNDS[name] for name in self._ours})
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for name in self._ours:
                    os.environ.pop(name, None)


_BOUNDED = _Bounded()
