"""Our gateway and model server beside others: ``python -m benchmarks.serving [--json] [--quick]``.

All peers serve the same saved models and get the same rows; they take turns in short cells within one run, every
answer is compared with the model's own, and only ratios within a round are told. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from types import FrameType

from . import pages, subjects, verdict
from .campaign import Campaign, Plan
from .load.generator import Generator
from .peers import CEILING, OURS, RECIPES
from .report import publish

QUICK_PEERS = (OURS, "mlflow", "fastapi", CEILING)
QUICK_MODELS = ("rf", "dbl")


def options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Our server beside others, in one run.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round of one row, peers from this environment: shows that it runs, proves little",
    )
    names = ", ".join(RECIPES)
    parser.add_argument("--peers", help=f"beside ours, separated by commas: {names}")
    parser.add_argument("--models", help=f"separated by commas: {', '.join(subjects.TITLES)}")
    parser.add_argument("--rounds", type=int, help="rounds of one row; half of it for 100 rows")
    parser.add_argument("--seconds", type=float, help="of one cell")
    parser.add_argument("--connections", help="separated by commas; default 1,8,32")
    parser.add_argument("--tables", type=Path, help="write the tables (markdown) to this file")
    return parser.parse_args(argv)


def plan_of(given: argparse.Namespace) -> Plan:
    """The plan that the options ask for.

    Raises:
        SystemExit: a peer or a model that does not exist.
    """
    quick = bool(given.quick)
    peers = _names(given.peers, QUICK_PEERS if quick else tuple(RECIPES), RECIPES)
    rounds = given.rounds or (1 if quick else 5)
    return Plan(
        peers=(OURS, *(p for p in peers if p != OURS)),
        models=_names(
            given.models, QUICK_MODELS if quick else tuple(subjects.TITLES), subjects.TITLES
        ),
        rounds={1: rounds} if quick else {1: rounds, 100: max(rounds // 2, 1)},
        connections=tuple(map(int, given.connections.split(",")))
        if given.connections
        else ((1, 32) if quick else (1, 8, 32)),
        seconds=given.seconds or (1.0 if quick else 1.6),
        cost_rounds=2 if quick else 6,
        slots=(1,) if quick else (1, 4),
        home=Path(sys.executable) if quick else None,
    )


def _names(given: str | None, default: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    names = tuple(given.split(",")) if given else tuple(default)
    for name in names:
        if name not in known and name != OURS:
            raise SystemExit(f"unknown: {name!r}; known: {', '.join(known)}")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    given = options(argv)
    plan = plan_of(given)
    # Ended from outside, the servers are ended too.
    signal.signal(signal.SIGTERM, _leave)
    # Servers that compile their modules at each start would be measured by that.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch, Generator() as generator:
        folder = Path(scratch)
        made = subjects.make(plan.models, folder / "models")
        findings = Campaign(plan, folder, generator, _say).run(made)
    text = pages.page(findings, plan)
    if given.tables:
        given.tables.write_text(text)
    if not given.json:
        print(text)
    bars = verdict.bars(findings, plan.models, plan.connections)
    return publish(bars, given.json, pages.details(findings, plan))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
