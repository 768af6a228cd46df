"""Modules that a zygote imports before it forks: a fixed base, and what loads of models have taught.

A taught module is first imported in a throw-away fork: one that starts threads or opens a device would make later
forks unsafe, and is refused together with its whole top-level package.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from typing import Any, Iterable, List, Optional

from . import burden, log, threads

BASE = (
    "json",
    "asyncio",
    "ctypes",
    "uvloop",
    "numpy",
    "pandas",
    "mlflow.pyfunc",
    "mlflow.pyfunc.scoring_server",
)
# Set before any import: no telemetry; and one thread per library in a process that serves nobody.
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", **threads.WAITING}
QUIET = {**SILENT, **dict.fromkeys(threads.VARIABLES, "1")}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def load(names: Iterable[str], who: str = "zygote") -> List[str]:
    """Import modules in order; returns those that could be imported. The others are logged and left out."""
    good = []
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.say(who, f"{name} is not preloaded: {log.last_line(error, 300)}")
        except BaseException:
            log.say_traceback(who, f"{name} is not preloaded")
        else:
            good.append(name)
    return good


def touch(who: str = "zygote") -> None:
    """Have MLflow list the installed distributions once: every load does it, 0.2 s, and keeps the list in memory."""
    try:
        requirements = importlib.import_module("mlflow.utils.requirements_utils")
        listing = getattr(requirements, "_init_modules_to_packages_map", None)
        if listing is not None:
            listing()
    except Exception as error:
        # Nothing depends on it but time.
        log.say(who, f"the list of distributions is not kept: {log.last_line(error, 300)}")


def read(path: Optional[str]) -> List[str]:
    """The learned list; empty when there is none or it is damaged."""
    if path is None:
        return []
    try:
        with open(path, encoding="utf-8") as file:
            return valid(json.load(file))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.say("zygote", f"the list of learned modules is not read: {log.last_line(error)}")
        return []


def write(path: Optional[str], names: List[str]) -> None:
    """Replace the learned list in one step."""
    if path is None:
        return
    fresh = f"{path}.{os.getpid()}.new"
    try:
        with open(fresh, "w", encoding="utf-8", opener=_private) as file:
            json.dump(names, file, indent=0)
        os.replace(fresh, path)
    except OSError as error:
        log.say("zygote", f"the list of learned modules is not written: {log.last_line(error)}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def valid(names: Any) -> List[str]:
    """The entries of ``names`` that are names of modules, each once, in order."""
    if not isinstance(names, list):
        return []
    good = (name for name in names if isinstance(name, str) and _NAME.fullmatch(name))
    return list(dict.fromkeys(good))


def unknown(names: List[str]) -> List[str]:
    """Those that this process has not imported yet."""
    return [name for name in names if name not in sys.modules]


def try_out(names: Iterable[str], report: int) -> None:
    """In a throw-away fork: import modules one by one and write a line about each to the descriptor ``report``.

    A line is ``["ok", name]``, ``["refused", name, why]`` or ``["failed", name, why]``; nothing follows a refusal.
    """
    before = burden.now()
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            line = ["failed", name, log.last_line(error, 300)]
        else:
            what = burden.describe(before, burden.now())
            line = ["refused", name, f"its import leaves {what} behind"] if what else ["ok", name]
        os.write(report, (json.dumps(line) + "\n").encode())
        if line[0] == "refused":
            return
