"""Environment variables of zygotes and replicas."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..environments.command import isolated_environment
from .base import ReplicaSpec

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Of the notebook or server that we were started from: they mean that process, not a model.
_FOREIGN = re.compile(
    r"(JUPYTER|JPY|JUPYTERHUB|KERNEL|IPY|VSCODE|PYDEV)(_|$).*|MPLBACKEND|MLFLOW_RUN_ID"
)
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def base_environment(python: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that everything of a model gets: ours, without what belongs to Jupyter or to our own Python."""
    kept = {n: v for n, v in isolated_environment(environ).items() if not _FOREIGN.fullmatch(n)}
    path = kept.get("PATH", os.defpath)
    return kept | _QUIET | {"PATH": f"{python.parent}{os.pathsep}{path}"}


def threads(spec: ReplicaSpec) -> int:
    """Threads of each slot's numeric libraries: the user's word, else the plan's."""
    told = spec.environment_vars.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else max(1, spec.threads)


def replica_environment(
    spec: ReplicaSpec, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of a replica; the user's variables win."""
    count = str(threads(spec))
    base = base_environment(spec.environment.python, environ)
    return base | dict.fromkeys(_THREADS, count) | dict(spec.environment_vars)


def with_runtime(environ: Mapping[str, str], runtime: Path) -> dict[str, str]:
    """The same for an interpreter that has to find the runtime's copy; its own search path stays behind it."""
    path = [str(runtime), *filter(None, [environ.get("PYTHONPATH")])]
    return dict(environ) | {"PYTHONPATH": os.pathsep.join(path)}


def zygote_key(spec: ReplicaSpec, runtime: Path) -> str:
    """16 hexadecimal characters: the environment, our runtime's content and the variables that imports may read."""
    parts = [spec.environment.key, str(spec.environment.python), runtime.name]
    parts.append(json.dumps(sorted(spec.environment_vars.items())))
    return _digest(parts)


def verdicts_name(spec: ReplicaSpec, runtime: Path) -> str:
    """Name of the file of what the checks at load found: it changes with all that they depend on.

    That is the model's digest; the environment as it was last checked, our runtime's content and the variables that a
    model may read; and what was asked of the checks, so that two endpoints of one model do not share a file.
    """
    asked = [dict(spec.batching), spec.bare_nan, threads(spec)]
    parts = [zygote_key(spec, runtime), spec.environment.fingerprint or "", json.dumps(asked)]
    return f"{spec.model.name}-{_digest(parts)}.json"


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
