"""How a leader starts its children: as forks, whose imports are done, or as new interpreters."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable, Dict, List, Tuple

from . import log, process

BROKEN = 70
_LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[1]); from importlib import import_module; "
    "sys.exit(import_module(sys.argv[2]).main(sys.argv[3:]))"
)


def default() -> str:
    """``fork`` where it is safe; on macOS, where system libraries forbid it, ``exec``."""
    return "exec" if sys.platform == "darwin" else "fork"


def forked(name: str, main: Callable[[], int], let_go: Callable[[], None]) -> int:
    """Run ``main`` in a fork that dies with this process; returns its pid.

    ``let_go`` closes, in the child, what belongs to this process only.

    Raises:
        OSError: no process can be made now.
    """
    leader = os.getpid()
    pid = process.fork()
    if pid:
        return pid
    code = BROKEN
    try:
        let_go()
        process.die_with_parent(leader)
        process.name(name)
        code = main()
    except BaseException:
        log.say_traceback(name, "unexpected end")
    finally:
        log.flush()
        os._exit(code)


def launched(spec: Dict[str, Any], arguments: List[str], descriptors: Tuple[int, ...]) -> int:
    """Run a command of ``__main__`` in a new interpreter that inherits ``descriptors``; returns its pid.

    Its environment is this process's; nothing secret is on the command line.

    Raises:
        OSError: no process can be made now.
    """
    package = __package__ or "serving_runtime"
    parent = os.path.dirname(os.path.abspath(__file__))
    for _ in package.split("."):
        parent = os.path.dirname(parent)
    told = {name: spec[name] for name in spec if name not in ("environ", "preload")}
    argv = [sys.executable, "-c", _LAUNCH, parent, f"{package}.__main__", *arguments]
    argv += ["--leader", str(os.getpid()), "--spec", json.dumps(told)]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    return os.posix_spawn(sys.executable, argv, dict(os.environ))
