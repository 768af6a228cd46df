"""What installing the package gives: both extensions enabled, the command there, no further step."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.prefix) / "bin"


def said(*command: str) -> str:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_server_extension_is_enabled() -> None:
    text = said("jupyter", "server", "extension", "list")
    lines = [line for line in text.splitlines() if "jupyter_serving" in line]
    assert any("enabled" in line for line in lines), text
    assert any("OK" in line for line in lines), text


def test_the_labextension_is_enabled() -> None:
    text = said("jupyter", "labextension", "list")
    (line,) = [line for line in text.splitlines() if "jupyter-serving" in line]
    assert "enabled" in line
    assert "OK" in line


def test_one_version_for_python_and_typescript() -> None:
    package = Path(__file__).parent.parent / "labextension" / "package.json"
    assert json.loads(package.read_text())["version"] == version("jupyter-serving")


def test_the_command_is_a_jupyter_subcommand() -> None:
    text = said("jupyter", "serving", "--help")
    for verb in (
        "deploy",
        "list",
        "get",
        "delete",
        "start",
        "stop",
        "status",
        "doctor",
        "quickstart",
    ):
        assert verb in text


def test_the_wheel_brings_no_tests_and_no_node_modules() -> None:
    from importlib.metadata import files

    names = [str(f) for f in files("jupyter-serving") or []]
    assert any(n.endswith("labextensions/jupyter-serving/install.json") for n in names)
    assert any("jupyter_server_config.d/jupyter_serving.json" in n for n in names)
    assert not [n for n in names if n.startswith("tests/") or "node_modules" in n]
    assert not [n for n in names if n.endswith(".map")]
