"""What is installed in this environment, and one hash that says whether it changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import sys
from typing import Any, Dict, Iterator, List, Tuple

# name-version.dist-info, as installers have written it since PEP 427; anything else is read with importlib.metadata
_PLAIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-([0-9][A-Za-z0-9.!+_]*)\.dist-info")


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 compares it: ``Foo.Bar_baz`` -> ``foo-bar-baz``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(path: List[str]) -> Dict[str, str]:
    """Installed distributions on ``path``: normalised name -> version; the first on the path wins, as for imports."""
    found: Dict[str, str] = {}
    for folder in path:
        for name, version in _in_folder(folder):
            found.setdefault(normalised(name), version)
    return dict(sorted(found.items()))


def _in_folder(folder: str) -> Iterator[Tuple[str, str]]:
    try:
        entries = sorted(os.listdir(folder or "."))
    except OSError:
        return
    for entry in entries:
        plain = _PLAIN.fullmatch(entry)
        if plain is not None:
            yield plain.group(1), plain.group(2)
        elif entry.endswith((".dist-info", ".egg-info")) and not entry.startswith("~"):
            yield from _by_metadata(os.path.join(folder, entry))


def _by_metadata(entry: str) -> Iterator[Tuple[str, str]]:
    from pathlib import Path

    metadata = importlib.metadata.Distribution.at(Path(entry)).metadata
    name, version = metadata["Name"], metadata["Version"]
    if name and version:
        yield name, version


def fingerprint() -> Dict[str, Any]:
    """``python``, ``implementation``, ``distributions`` of this interpreter, and their ``fingerprint`` (sha256)."""
    installed = distributions(_import_path())
    python, implementation = platform.python_version(), sys.implementation.name
    lines = [f"{implementation} {python}"] + [f"{name}=={installed[name]}" for name in installed]
    return {
        "python": python,
        "implementation": implementation,
        "distributions": installed,
        "fingerprint": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def _import_path() -> List[str]:
    # The working directory is on the path of ``python -m`` and may be a source tree with an egg-info.
    here = os.getcwd()
    return [folder for folder in sys.path if folder and folder != here]
