"""Every benchmark runs and prints what scripts rely on; figures are judged by people, not here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# The whole run takes half an hour and installs the other servers.
OPTIONS = {
    "serving": ["--quick"],
    "control": ["--quick"],
    "fidelity": ["--quick"],
    "fleet": ["--endpoints", "2,4", "--quiet", "1"],
}
ROOT = Path(__file__).parent.parent
NAMES = [
    path.stem
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "__main__" in path.read_text()
]


def test_there_are_benchmarks() -> None:
    assert "imports" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_its_bars(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *OPTIONS.get(name, [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["bars"]
    for bar in report["bars"]:
        assert set(bar) == {"name", "value", "bound", "unit", "holds"}
        assert isinstance(bar["holds"], bool)
        assert isinstance(bar["value"], int | float)
