"""What an interpreter has installed, asked of the interpreter itself with the runtime's own query."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import StagingFailed
from . import command

# By path, never by import: it runs in the other interpreter, and must be the very query that zygotes answer with.
FINGERPRINT = Path(__file__).parents[1] / "runtime" / "fingerprint.py"
_QUERY = """
import importlib.util, json, platform, sys
spec = importlib.util.spec_from_file_location("serving_fingerprint", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(module)
facts = module.fingerprint()
facts["paths"] = [p for p in sys.path if p]
facts["platform"] = sys.platform + "-" + platform.machine().lower()
print(json.dumps(facts))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """Facts of one interpreter.

    Attributes:
        python: full version. ``platform``: ``linux-x86_64``.
        distributions: version by normalised name.
        fingerprint: hash over implementation, version and distributions; zygotes tell the same.
        paths: its import path.
    """

    python: str
    platform: str
    distributions: Mapping[str, str]
    fingerprint: str
    paths: tuple[str, ...]

    def stamp(self) -> str:
        """A hash that changes when a distribution is added, moved or removed; reads directory names only."""
        return stamp(self.paths)


def stamp(paths: Iterable[str]) -> str:
    """Hash over the names of installed metadata directories on ``paths`` (about a millisecond)."""
    names = []
    for path in paths:
        try:
            names += [n for n in os.listdir(path) if n.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


async def inspect(python: Path, cwd: Path) -> Installed:
    """Ask ``python`` what it has; ``cwd`` must hold no Python files.

    Raises:
        StagingFailed: it cannot be run, or answers nonsense.
    """
    try:
        outcome = await command.run(
            [python, "-c", _QUERY, FINGERPRINT],
            cwd=cwd,
            environ=command.isolated_environment(),
            separate=True,
        )
        facts = json.loads(outcome.lines[-1])
        return Installed(
            facts["python"],
            facts["platform"],
            facts["distributions"],
            facts["fingerprint"],
            tuple(facts["paths"]),
        )
    except (OSError, ValueError, LookupError) as error:
        raise StagingFailed(
            f"The interpreter {python} cannot tell what is installed in it: {error}.",
            hint="Check that it runs, or deploy without naming it.",
        ) from error
