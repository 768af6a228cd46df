"""The control loop's figures: ``python -m benchmarks.control [--json] [--quick] [--parts wakes,rollouts,...]``.

Cold starts from zero beside ``mlflow models serve``, deploys of new versions and what requests feel of them, a fleet
of endpoints at zero, and how true and how fast the simulator is. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import fidelity, rollouts, simulation, subjects, wakes
from .load.generator import Generator
from .report import Bar, publish

SAMPLES, QUICK_SAMPLES = 20, 2
ROLLOUTS, QUICK_ROLLOUTS = 10, 2
MODEL = "rf"

# Bars, and more for ``--json``.
Told = tuple[list[Bar], Mapping[str, Any]]


def _wakes(quick: bool) -> Told:
    with tempfile.TemporaryDirectory(prefix="control-") as folder:
        (subject,) = subjects.make([MODEL], Path(folder) / "models")
        samples = QUICK_SAMPLES if quick else SAMPLES
        found = wakes.measure(subject, Path(folder), samples, _say)
    _say(wakes.page(found))
    return wakes.bars(found), {name: series.to_json() for name, series in found.items()}


def _rollouts(quick: bool) -> Told:
    with tempfile.TemporaryDirectory(prefix="control-") as folder, Generator() as generator:
        (subject,) = subjects.make([MODEL], Path(folder) / "models")
        samples = QUICK_ROLLOUTS if quick else ROLLOUTS
        found = rollouts.measure(subject, generator, Path(folder), samples, _say)
    _say(found.page())
    return found.bars(), found.to_json()


def _simulation(quick: bool) -> Told:
    sizes = simulation.QUICK_SIZES if quick else simulation.SIZES
    seconds = simulation.QUICK_SECONDS if quick else simulation.DAY
    found = [simulation.measure(size, seconds) for size in sizes]
    _say(simulation.page(found))
    return simulation.bars(found), simulation.details(found)


def _fidelity(quick: bool) -> Told:
    found = fidelity.measure(quick)
    bars = [bar for told in found for bar in told.bars()]
    return bars, {told.shape: told.to_json() for told in found}


def _module(name: str) -> Callable[[bool], Told]:
    """A benchmark of its own that takes part: its ``run(quick)`` gives bars and says the rest."""

    def run(quick: bool) -> Told:
        return list(importlib.import_module(f".{name}", __package__).run(quick)), {}

    return run


PARTS: Mapping[str, Callable[[bool], Told]] = {
    "wakes": _wakes,
    "rollouts": _rollouts,
    "simulation": _simulation,
    "fleet": _module("fleet"),
    "fidelity": _fidelity,
}
# The others have quick runs of their own.
QUICK_PARTS = ("wakes", "rollouts", "simulation")


def options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        SystemExit: an option or a part that does not exist.
    """
    parser = argparse.ArgumentParser(description="Cold starts, deploys, scale: the control loop.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    quick = "a few samples of each: shows that it runs, proves little"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--parts", help=f"separated by commas: {','.join(PARTS)}")
    given = parser.parse_args(argv)
    usual = QUICK_PARTS if given.quick else tuple(PARTS)
    given.parts = given.parts.split(",") if given.parts else list(usual)
    for name in given.parts:
        if name not in PARTS:
            raise SystemExit(f"unknown: {name!r}; known: {', '.join(PARTS)}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    given = options(argv)
    # Servers that compile their modules at each start would be measured by that.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    bars: list[Bar] = []
    details: dict[str, Any] = {}
    for name in given.parts:
        _say(f"-- {name}")
        own, more = PARTS[name](given.quick)
        bars += own
        details[name] = more
    return publish(bars, given.json, details)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
