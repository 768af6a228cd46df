"""What if: the autoscaler over recorded or made-up arrivals under other settings, as a table.

The arrivals are fetched by the client, the simulation runs here, in the kernel or the command line (it needs numpy).
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

from . import cards
from .errors import InvalidParameter
from .observed import ready_seconds

if TYPE_CHECKING:
    from .autoscale.traces import Trace
    from .client import Client

GUESSED_BYTES = 250e6
GUESSED_COLD_START = 1.0
MOST_SETTINGS = 500
# Tens of seconds in so many hours are one answer of the history.
HOURS_OF_TENS = 55.0
Values = float | Sequence[float] | None
HEADERS = (
    *("SETTING", "REPLICAS MEAN", "MAX", "COLD STARTS/DAY", "WAIT MEAN", "WAIT P95"),
    *("REFUSED", "BUSY", "GB-HOURS/DAY"),
)
CHANCE = (
    "Within a step arrivals are even: waits that come from chance alone are not in it (see the advice of "
    "%serve why)."
)


@dataclass(frozen=True)
class Facts:
    """What the simulation takes as given of a served entity; slots, seconds and bytes.

    ``rules``: as ``autoscale.rules.Rules`` names them; those left out have their defaults. ``idle``: inf for never.
    """

    low: int = 0
    high: int = 4
    slots_per_replica: int = 4
    idle: float = 1800.0
    cold_start: float = GUESSED_COLD_START
    replica_bytes: float = GUESSED_BYTES
    rules: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, scaled: Mapping[str, Any], starts: Sequence[Mapping[str, Any]]) -> Facts:
        """From a served entity of ``GET .../autoscaling`` and the endpoint's starts."""
        bounds = scaled.get("bounds") or {}
        slots = int(bounds.get("slots_per_replica") or 4)
        idle = bounds.get("scale_to_zero_seconds")
        own = [s for s in starts if s.get("served_entity") in (None, scaled.get("served_entity"))]
        # What a request waits for is a start from zero; a deployment's may hold the start of a zygote as well.
        woken = [s for s in own if s.get("reason") == "wake" and s.get("total_seconds")]
        timed = woken or [s for s in own if s.get("total_seconds")]
        totals = [ready_seconds(s["phases"]) for s in timed]
        sizes = [float(s["memory_bytes"]) for s in own if s.get("memory_bytes")]
        return cls(
            low=int(bounds.get("min_replicas") or 0) * slots,
            high=int(bounds.get("max_replicas") or 1) * slots,
            slots_per_replica=slots,
            idle=math.inf if idle is None else float(idle),
            cold_start=statistics.median(totals) if totals else GUESSED_COLD_START,
            replica_bytes=max(sizes, default=GUESSED_BYTES),
            rules=dict(scaled.get("rules") or {}),
            notes=(
                _source("Cold start", f"{_median(totals, GUESSED_COLD_START):.2g} s", len(totals)),
                _source(
                    "Memory of a replica",
                    f"{max(sizes, default=GUESSED_BYTES) / 1e6:.0f} MB",
                    len(sizes),
                ),
            ),
        )


def _median(values: Sequence[float], otherwise: float) -> float:
    return statistics.median(values) if values else otherwise


def _source(what: str, value: str, count: int) -> str:
    return (
        f"{what}: {value} ({f'measured, {count} starts' if count else 'a guess: none measured'})."
    )


@dataclass(frozen=True)
class Options:
    """Values to try; each combination of them is one setting. None or empty: as it is now.

    ``idle`` and ``scale_down_window`` in seconds (idle inf: never), ``low`` and ``high`` in slots.
    """

    idle: Sequence[float] = ()
    target: Sequence[float] = ()
    low: Sequence[int] = ()
    high: Sequence[int] = ()
    scale_down_window: Sequence[float] = ()

    def tried(self, facts: Facts) -> list[tuple[str, Facts]]:
        """Every setting with its title, the present one first.

        Raises:
            InvalidParameter: more settings than one run takes.
        """
        given = {name: values for name, values in asdict(self).items() if values}
        if math.prod(len(values) for values in given.values()) > MOST_SETTINGS:
            raise InvalidParameter(
                f"These options make more than {MOST_SETTINGS} settings.",
                hint="Give fewer values; each combination is tried.",
            )
        found = [(f"now: {_all(facts)}", facts)]
        for values in itertools.product(*given.values()) if given else ():
            choice = dict(zip(given, values, strict=True))
            found.append((", ".join(_title(n, v) for n, v in choice.items()), _with(facts, choice)))
        return found


def _with(facts: Facts, choice: Mapping[str, Any]) -> Facts:
    rules = dict(facts.rules)
    if "target" in choice:
        rules["target_utilisation"] = float(choice["target"])
    if "scale_down_window" in choice:
        rules["scale_down_window_seconds"] = float(choice["scale_down_window"])
    bounds = {name: choice[name] for name in ("idle", "low", "high") if name in choice}
    if math.isinf(facts.idle) and math.isfinite(bounds.get("idle", math.inf)):
        bounds.setdefault("low", 0)  # an idle time is tried where it never goes to zero
    return replace(facts, rules=rules, **bounds)


def _title(name: str, value: float) -> str:
    words = {"low": "min", "high": "max", "scale_down_window": "scale-down window"}
    return f"{words.get(name, name)} {_shown(name, value)}"


def _shown(name: str, value: float) -> str:
    if name == "target":
        return f"{value:.0%}"
    if name in ("low", "high"):
        return f"{value:g}"
    return "never" if math.isinf(value) else cards.duration(value)


def _all(facts: Facts) -> str:
    from .autoscale.rules import Rules

    rules = Rules(**facts.rules)
    idle = _shown("idle", facts.idle)
    return f"{facts.low}-{facts.high} slots, idle {idle}, target {rules.target_utilisation:.0%}"


@dataclass(frozen=True)
class Line:
    """What one setting would have done; times in seconds, memory in GB-hours, both counts by day."""

    setting: str
    replicas_mean: float
    replicas_max: float
    cold_starts_a_day: float
    met_cold_start: float
    waiting_mean: float
    waiting_p95: float
    waiting_p99: float
    refused: float
    busy_share: float
    gb_hours_a_day: float

    def row(self) -> tuple[str, ...]:
        """As texts, under ``HEADERS``."""
        return (
            self.setting,
            f"{self.replicas_mean:.2f}",
            f"{self.replicas_max:.0f}",
            f"{self.cold_starts_a_day:.3g}",
            _milliseconds(self.waiting_mean),
            _milliseconds(self.waiting_p95),
            f"{self.refused:,.0f}",
            f"{self.busy_share:.0%}",
            f"{self.gb_hours_a_day:.3g}",
        )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


class WhatIf(list[Line]):
    """Settings side by side, the present one first; ``title`` and ``notes`` tell what it is taken from."""

    def __init__(self, lines: Sequence[Line], title: str, notes: Sequence[str]) -> None:
        super().__init__(lines)
        self.title, self.notes = title, list(notes)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "title": self.title,
            "settings": [asdict(line) for line in self],
            "notes": self.notes,
        }

    def __repr__(self) -> str:
        table = cards.table_text(HEADERS, [line.row() for line in self])
        return "\n".join([self.title, table, *self.notes])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        headers = [name.capitalize().replace("Gb-", "GB-") for name in HEADERS]
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return {
            "text/plain": repr(self),
            "text/html": f"<div>{escape(self.title)}</div>"
            f"{cards.table_html(headers, [line.row() for line in self])}"
            f'<div style="{cards.DIM}; font-size: 90%">{notes}</div>',
        }


def recorded(client: Client, name: str, hours: float, tried: Options) -> WhatIf:
    """Simulate an endpoint over its own history.

    Args:
        client: of its server.
        name: the endpoint.
        hours: of the record, up to now.
        tried: settings beside the present one.

    Raises:
        InvalidParameter: nothing is recorded in that time.
    """
    from .autoscale.traces import Trace

    facts = facts_of(client, name)
    step = 1 if hours <= 1 else 10 * math.ceil(hours / HOURS_OF_TENS)
    # Without an end it reaches to the second that is under way.
    told = client.history(name, time.time() - hours * 3600, step=step)
    answer = {"start": told.start, "step": told.step, "columns": told.columns}
    return compare(Trace.of_history(answer), facts, tried)


def facts_of(client: Client, name: str) -> Facts:
    """What is known of an endpoint's first served entity.

    Raises:
        InvalidParameter: it has none.
    """
    scaled = client.autoscaling(name, 0)["served_entities"]
    if not scaled:
        raise InvalidParameter(f"The endpoint {name!r} has no served entity.", hint="Deploy one.")
    facts = Facts.of(scaled[0], client.starts(name))
    if len(scaled) == 1:
        return facts
    first = scaled[0].get("served_entity")
    more = (
        f"It has {len(scaled)} served entities: all requests are simulated as if {first} took them."
    )
    return replace(facts, notes=(*facts.notes, more))


def compare(trace: Trace, facts: Facts, options: Options, title: str = "") -> WhatIf:
    """Simulate one endpoint's trace under the present setting and all others, in one run."""
    from .autoscale.simulate import Profile, Setting, simulate

    tried = options.tried(facts)
    outcome = simulate(
        trace.repeated(len(tried)),
        Profile(facts.slots_per_replica, facts.cold_start, facts.replica_bytes),
        Setting.joined([_setting(one) for _, one in tried]),
        ready=trace.ready,
    )
    days = outcome.days
    lines = [
        Line(
            setting=name,
            replicas_mean=float(outcome.replicas[place].mean()),
            replicas_max=float(outcome.replicas[place].max()),
            cold_starts_a_day=float(outcome.cold_starts[place]) / days,
            met_cold_start=float(outcome.met_cold_start[place]),
            waiting_mean=float(outcome.waiting_mean[place]),
            waiting_p95=float(outcome.waiting_p95[place]),
            waiting_p99=float(outcome.waiting_p99[place]),
            refused=float(outcome.refused[place]),
            busy_share=float(outcome.busy_share[place]),
            gb_hours_a_day=float(outcome.gb_hours[place]) / days,
        )
        for place, (name, _) in enumerate(tried)
    ]
    told = title or (
        f"{trace.requests:,.0f} requests of {_milliseconds(float(trace.execution[0]))} in "
        f"{cards.duration(round(trace.seconds))}, simulated in steps of {trace.step:g} s"
    )
    return WhatIf(lines, told, [*facts.notes, CHANCE])


def _setting(facts: Facts) -> Any:
    from .autoscale.rules import Rules
    from .autoscale.simulate import Setting

    slots = facts.slots_per_replica
    if not 0 <= facts.low <= facts.high or facts.high < 1:
        raise InvalidParameter(
            f"min ({facts.low}) and max ({facts.high}) must satisfy 0 <= min <= max, max >= 1."
        )
    low, high = -(-facts.low // slots), -(-facts.high // slots)
    return Setting.of(Rules(**facts.rules), low, high, facts.idle)


def options(
    idle: Values = None,
    target: Values = None,
    min: Values = None,
    max: Values = None,
    scale_down_window: Values = None,
) -> Options:
    """Options from single values or lists of them."""
    return Options(
        idle=_listed(idle),
        target=_listed(target),
        low=[int(v) for v in _listed(min)],
        high=[int(v) for v in _listed(max)],
        scale_down_window=_listed(scale_down_window),
    )


def _listed(values: Values) -> list[float]:
    if values is None:
        return []
    return [float(values)] if isinstance(values, (int, float)) else [float(v) for v in values]


def numbers(text: str | None) -> list[float]:
    """A comma list of an option: ``60,300,never``.

    Raises:
        InvalidParameter: something in it is no number.
    """
    return list(_numbers(text or ""))


def _numbers(text: str) -> Iterator[float]:
    for part in filter(None, (p.strip() for p in text.split(","))):
        try:
            value = math.inf if part == "never" else float(part)
        except ValueError:
            value = math.nan
        if math.isnan(value) or value < 0:
            raise InvalidParameter(f"{part!r} is no number.", hint="Use a list as 60,300,never.")
        yield value
