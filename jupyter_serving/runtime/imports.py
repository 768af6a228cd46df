"""Which modules a model's load imported."""

from __future__ import annotations

import itertools
import os
import sys
import sysconfig
from typing import Dict, List


def environment_folders() -> List[str]:
    """Folders with the standard library and the installed distributions of this environment, resolved."""
    wanted = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = sysconfig.get_paths()
    return sorted({os.path.realpath(paths[name]) + os.sep for name in wanted if name in paths})


def latest() -> str:
    """The name of the module that was imported last.

    Enough to tell later what is new: a look at each of thousands of names makes a fork copy the pages that hold them.
    """
    return next(reversed(sys.modules))


def _since(name: str) -> List[str]:
    """Names of modules imported after ``name``, in order; of all where that is gone."""
    try:
        new = list(itertools.takewhile(lambda other: other != name, reversed(sys.modules)))
    except RuntimeError:  # a thread of the model's imports meanwhile
        new = list(itertools.takewhile(lambda other: other != name, list(sys.modules)[::-1]))
    return new[::-1]


def learned(before: str, folders: List[str], model: str) -> List[str]:
    """Names of modules imported after ``before`` (in order) whose file is the environment's and not the model's."""
    own = os.path.realpath(model) + os.sep
    places: Dict[str, bool] = {}
    found = []
    for name in _since(before):
        module = sys.modules.get(name)
        if name.startswith("__") or getattr(module, "__name__", None) != name:
            continue
        file = getattr(getattr(module, "__spec__", None), "origin", None)
        if not isinstance(file, str) or not os.path.isabs(file):
            continue
        folder = os.path.dirname(file)
        if folder not in places:
            real = os.path.realpath(folder) + os.sep
            places[folder] = real.startswith(tuple(folders)) and not real.startswith(own)
        if places[folder]:
            found.append(name)
    return found
