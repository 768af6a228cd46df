"""One virtual environment for each peer, made by uv once and kept.

The model's own packages have our versions in all of them, so that the same model code runs everywhere.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from .base import PeerFailed, Recipe

CACHE_VARIABLE = "JUPYTER_SERVING_BENCHMARKS"
MODEL_PACKAGES = (
    *("mlflow", "scikit-learn", "pandas", "numpy", "scipy", "joblib", "threadpoolctl"),
    *("cloudpickle", "pyarrow"),
)
SHOWN = ("mlflow", "scikit-learn", "pandas", "numpy", "fastapi", "uvicorn", "uvloop")


def cache() -> Path:
    """Where the environments are: ``$JUPYTER_SERVING_BENCHMARKS``, else in the user's cache directory."""
    named = os.environ.get(CACHE_VARIABLE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "jupyter-serving" / "benchmarks"


def requirements(recipe: Recipe) -> list[str]:
    """The model's packages at our versions, then the peer's own."""
    ours = [f"{name}=={metadata.version(name)}" for name in MODEL_PACKAGES]
    return [*ours, *recipe.packages]


def python_of(recipe: Recipe, say: Callable[[str], None]) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there.

    Raises:
        PeerFailed: it cannot be installed; the message holds the end of what uv said.
    """
    wanted = requirements(recipe)
    mark = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:10]
    folder = cache() / f"{recipe.environment or recipe.name}-{mark}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        say(f"making the environment of {recipe.name} in {folder}")
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        install = ("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python))
        _uv(*install, *wanted)
        done.write_text("\n".join(wanted))
    return python


def versions_in(python: Path) -> dict[str, str]:
    """Versions of the packages that matter, in another environment."""
    code = (
        "import importlib.metadata as m\n"
        f"for name in {SHOWN!r}:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass"
    )
    told = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return dict(line.split() for line in told.stdout.splitlines())


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [find_uv_bin(), *arguments], capture_output=True, text=True, env=environ, check=False
    )
    if done.returncode:
        raise PeerFailed(f"uv {arguments[0]} failed: {done.stderr[-1500:]}")
