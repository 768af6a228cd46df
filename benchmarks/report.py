"""The one form of a benchmark's result: bars, each a figure with its bound."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .machine import machine, versions


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure: it holds up to ``bound``, or from it on where more is better."""

    name: str
    value: float
    bound: float
    unit: str
    more_is_better: bool = False

    @property
    def holds(self) -> bool:
        """True while the figure is within its bound."""
        return self.value >= self.bound if self.more_is_better else self.value <= self.bound

    def to_json(self) -> dict[str, Any]:
        """``{name, value, bound, unit, holds}``."""
        fields = asdict(self)
        del fields["more_is_better"]
        return fields | {"holds": self.holds}


def wants_json(description: str, argv: Sequence[str] | None = None) -> bool:
    """Parse a benchmark's command line; True for ``--json``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return bool(parser.parse_args(argv).json)


def publish(bars: Sequence[Bar], as_json: bool, details: Mapping[str, Any] | None = None) -> int:
    """Print the result, in JSON with the ``details`` beside it; exit status 0 only if every bar holds."""
    if as_json:
        facts = {"bars": [b.to_json() for b in bars], "machine": machine(), "versions": versions()}
        print(json.dumps({**facts, **(details or {})}))
    else:
        for bar in bars:
            sign = ">=" if bar.more_is_better else "<="
            mark = "ok  " if bar.holds else "FAIL"
            print(
                f"{mark} {bar.name}: {bar.value:g} {bar.unit} ({sign} {bar.bound:g})",
                file=sys.stdout,
            )
    return 0 if all(bar.holds for bar in bars) else 1
