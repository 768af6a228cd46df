"""Becoming a replica: a session, a log, a lock and an environment of its own; then the leader takes over."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional, Tuple

from . import address, log, process, replica

LOCK_TAKEN = 4
# Fields of a spec that a zygote needs, with their types.
FIELDS: Dict[str, Tuple[type, ...]] = {
    "socket": (str,),
    "log": (str,),
    "lock": (str,),
    "model": (str,),
    "slots": (int,),
    "environ": (dict,),
    "deadline": (int, float),
    "stack_trace": (bool,),
}


def lead(spec: Dict[str, Any], listener: socket.socket, born: float) -> int:
    """Turn this process into the leader of the replica ``spec`` and lead until it ends; returns the exit code."""
    try:
        os.setsid()
    except PermissionError:
        pass  # already the leader of its group, as in a container
    process.name("leader")
    if spec.get("log"):
        _redirect(spec["log"])
    log.line_buffered()
    lock = _take_lock(spec.get("lock"))
    if lock is None:
        address.remove(spec["socket"])
        log.say("leader", f"another process of replica {spec['id']} holds {spec['lock']}")
        return LOCK_TAKEN
    _become(spec.get("environ"))
    code = replica.Leader(spec, listener, born).run()
    if spec.get("socket"):
        address.remove(spec["socket"])
    return code


def faults(spec: Any) -> List[str]:
    """What is wrong with a spawn spec, in words; empty when nothing is."""
    if not isinstance(spec, dict):
        return ["spec is not an object"]
    found = [f"spec.{name} is missing" for name in FIELDS if name not in spec]
    for name, kinds in FIELDS.items():
        if name in spec and not isinstance(spec[name], kinds):
            found.append(f"spec.{name} is {type(spec[name]).__name__}")
    if not found and spec["slots"] < 1:
        found.append("spec.slots is less than 1")
    return found


def _redirect(path: str) -> None:
    log.flush()
    null, out = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
    )
    for source, targets in ((null, (0,)), (out, (1, 2))):
        for target in targets:
            os.dup2(source, target)
        os.close(source)


def _take_lock(path: Optional[str]) -> Optional[int]:
    """Hold the lock while any process of the replica lives; -1 where none is asked for, None if it is taken."""
    if not path:
        return -1
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _become(environ: Optional[Dict[str, str]]) -> None:
    if environ is not None:
        os.environ.clear()
        os.environ.update(environ)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    for folder in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if folder not in sys.path:
            sys.path.append(folder)
    tempfile.tempdir = None  # decided anew from the replica's TMPDIR
    time.tzset()
