"""``python -m serving_runtime``: zygote, serve, fingerprint (and front, worker: processes that a leader starts)."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from typing import Any, Callable, Dict, List, Optional


def _zygote(options: argparse.Namespace) -> int:
    born = time.monotonic()
    from . import preload

    # Before numpy is imported, which reads them once.
    os.environ.update(preload.QUIET)
    from . import course, importclock

    interpreter = born - course.asked({"asked": options.asked}, born)
    with importclock.ImportClock() as clock:
        from . import log, zygote

    log.line_buffered()
    made = zygote.Zygote(options.socket, options.key, options.preload, options.idle)
    return made.run(clock, interpreter)


def _serve(options: argparse.Namespace) -> int:
    born = time.monotonic()
    from . import address, course, log, preload, session

    with open(options.spec, encoding="utf-8") as file:
        spec: Dict[str, Any] = json.load(file)
    spec.setdefault("id", os.path.basename(options.spec))
    spec["interpreter"] = born - course.asked(spec, born)
    spec.setdefault("slots", 1)
    spec.setdefault("deadline", 297.0)
    spec.setdefault("stack_trace", True)
    for name, value in preload.SILENT.items():
        os.environ.setdefault(name, value)
    try:
        listener = address.listen(spec.get("address") or f"unix:{spec['socket']}")
    except (OSError, ValueError, KeyError) as error:
        log.say("leader", f"cannot listen: {log.last_line(error)}")
        return 2
    return session.lead(spec, listener, born)


def _fingerprint(options: argparse.Namespace) -> int:
    from .fingerprint import fingerprint

    print(json.dumps(fingerprint()))
    return 0


def _front(options: argparse.Namespace) -> int:
    from . import front, log, process

    process.die_with_parent(options.leader)
    process.name("front")
    log.line_buffered()
    listener, control = (
        socket.socket(fileno=descriptor) for descriptor in (options.listener, options.control)
    )
    return front.run(json.loads(options.spec), listener, control)


def _worker(options: argparse.Namespace) -> int:
    from . import course, importclock, imports, log, process, worker

    process.die_with_parent(options.leader)
    process.name(f"worker {options.slot}")
    log.line_buffered()
    sock = socket.socket(fileno=options.socket)
    way = course.Course(options.born, importclock.ImportClock())
    return worker.run(json.loads(options.spec), options.slot, sock, imports.latest(), way)


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], help: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help)
    parser.set_defaults(run=run)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serving_runtime", description=__doc__)
    commands = parser.add_subparsers(required=True)
    zygote = _command(
        commands, "zygote", _zygote, "keep an environment imported and fork replicas from it"
    )
    zygote.add_argument("--socket", required=True, help="unix socket to listen on")
    zygote.add_argument("--key", default="", help="name of the environment, told to clients")
    zygote.add_argument(
        "--preload", help="JSON file with names of modules to import; learned ones are added"
    )
    zygote.add_argument(
        "--idle", type=float, default=600.0, help="seconds without a client until it ends"
    )
    zygote.add_argument("--asked", type=float, help="monotonic time at which it was asked for")
    serve = _command(
        commands, "serve", _serve, "run one replica in the foreground, without a zygote"
    )
    serve.add_argument(
        "spec",
        help="JSON file: a spawn spec; address (unix:PATH or tcp:HOST:PORT) instead of socket",
    )
    _command(commands, "fingerprint", _fingerprint, "print what is installed, as JSON")
    front = _command(commands, "front", _front, "for a leader: the HTTP process")
    front.add_argument("listener", type=int)
    front.add_argument("control", type=int)
    worker = _command(commands, "worker", _worker, "for a leader: one slot")
    worker.add_argument("socket", type=int)
    worker.add_argument("slot", type=int)
    worker.add_argument("born", type=float)
    for child in (front, worker):
        child.add_argument("--leader", type=int, required=True)
        child.add_argument("--spec", required=True)
    return parser


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # What imported libraries would do at exit is not ours to wait for.
    os._exit(code)
