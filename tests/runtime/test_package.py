from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import RUNTIME

MODULES = sorted(path.stem for path in RUNTIME.glob("*.py") if path.stem != "__main__")


@pytest.mark.parametrize("path", sorted(RUNTIME.glob("*.py")), ids=lambda path: path.name)
def test_source_is_python_3_9(path: Path):
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("path", sorted(RUNTIME.glob("*.py")), ids=lambda path: path.name)
def test_source_never_names_the_package_it_comes_from(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any(name.partition(".")[0] == "jupyter_serving" for name in names)


def pythons() -> list[str]:
    """This Python and older ones that the machine has (pyenv's are found where its shims are)."""
    found = [sys.executable]
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))]
    for version in ("3.9", "3.10", "3.13"):
        installed = [
            path for root in roots for path in root.glob(f"versions/{version}.*/bin/python")
        ]
        named = shutil.which(f"python{version}")
        if installed:
            found.append(str(installed[0]))
        elif named and "shims" not in named:
            found.append(named)
    return found


@pytest.mark.parametrize("python", pythons())
def test_every_module_imports_with_nothing_but_the_standard_library(
    python: str, package_parent: Path
):
    code = (
        "import sys, importlib; sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2:]: importlib.import_module('serving_runtime.' + name)\n"
        "foreign = {'mlflow', 'numpy', 'pandas', 'uvloop', 'jupyter_serving'} & set(sys.modules)\n"
        "assert not foreign, foreign\n"
    )
    command = [python, "-I", "-S", "-c", code, str(package_parent)]
    subprocess.run([*command, *(name for name in MODULES if name != "__init__")], check=True)


@pytest.mark.parametrize("python", pythons())
def test_fingerprint_command_tells_its_python(python: str, package_parent: Path):
    environ = {"PYTHONPATH": str(package_parent), "PATH": os.environ["PATH"]}
    command = [python, "-m", "serving_runtime", "fingerprint"]
    printed = subprocess.run(command, env=environ, check=True, capture_output=True, cwd="/").stdout
    facts = json.loads(printed)
    version = [python, "-c", "import platform; print(platform.python_version())"]
    assert facts["python"] == subprocess.run(version, capture_output=True, text=True).stdout.strip()
    assert len(facts["fingerprint"]) == 64
