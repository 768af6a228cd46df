"""Whether a notebook kernel's own environment can serve a model as it is: then nothing has to be staged."""

from __future__ import annotations

import hashlib
from pathlib import Path

from . import python as interpreters
from .environment import Environment
from .installed import Installed, inspect
from .spec import ModelRequirements, satisfied


async def usable(
    wanted: ModelRequirements, python: Path, cwd: Path
) -> tuple[Environment | None, list[str]]:
    """Compare the kernel's environment with a model's requirements.

    Returns:
        The environment where every requirement is satisfied, else None; and the reasons against it.

    Raises:
        StagingFailed: the interpreter does not run.
    """
    installed = await inspect(python, cwd)
    reasons = satisfied(wanted, installed.python, installed.distributions)
    minor = tuple(int(part) for part in installed.python.split(".")[:2])
    if minor < interpreters.OLDEST:
        reasons.append(f"Python {installed.python} is older than the runtime supports")
    return (None if reasons else environment_of(python, installed)), reasons


def environment_of(python: Path, installed: Installed) -> Environment:
    """The environment record of a kernel's interpreter; its key changes with every installed distribution."""
    identity = f"kernel\0{python}\0{installed.fingerprint}"
    return Environment(
        key=hashlib.sha256(identity.encode()).hexdigest()[:16],
        python=python,
        kind="kernel",
        fingerprint=installed.fingerprint,
        version=installed.python,
    )
