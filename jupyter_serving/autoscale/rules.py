"""The rules that an endpoint is scaled by: its own where it says so, else the settings of the same names."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..api import Autoscaling
from ..errors import InvalidParameter
from ..settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """Windows in seconds, factors, and the share of the slots to keep busy.

    Attributes:
        stable_window_seconds: window of the mean load that capacity follows; also how long panic lasts at least, and
            how long nothing is given up after a restart of the controller.
        panic_window_seconds: shorter window, for bursts.
        panic_threshold: panic where that window asks for so many times the ready replicas.
        target_utilisation: share of the slots to keep busy, in (0, 1].
        scale_down_window_seconds: what the load asked for at most within this window stays.
        max_scale_up_rate, max_scale_down_rate: largest factor of one decision.
    """

    stable_window_seconds: float = 60.0
    panic_window_seconds: float = 6.0
    panic_threshold: float = 2.0
    target_utilisation: float = 0.7
    scale_down_window_seconds: float = 300.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0

    def __post_init__(self) -> None:
        for name in LIMITS:
            _within(name, getattr(self, name))
        if self.panic_window_seconds > self.stable_window_seconds:
            raise InvalidParameter(
                f"panic_window_seconds ({self.panic_window_seconds:g}) must not exceed "
                f"stable_window_seconds ({self.stable_window_seconds:g}).",
                hint="The panic window is the shorter one; a tenth of the stable window is usual.",
            )

    def json(self) -> dict[str, Any]:
        """All rules by name."""
        return asdict(self)


# The range of the stable window is Knative's (6 s to 1 h).
LIMITS: dict[str, tuple[float, float]] = {
    "stable_window_seconds": (6.0, 3600.0),
    "panic_window_seconds": (1.0, 3600.0),
    "panic_threshold": (1.1, 100.0),
    "target_utilisation": (0.05, 1.0),
    "scale_down_window_seconds": (0.0, 86400.0),
    "max_scale_up_rate": (1.1, 1000.0),
    "max_scale_down_rate": (1.1, 1000.0),
}


def _within(name: str, value: float) -> None:
    low, high = LIMITS[name]
    # A NaN fails too.
    if not low <= value <= high:
        raise InvalidParameter(
            f"{name} must be between {low:g} and {high:g}, not {value:g}.",
            hint="Leave it out for the default.",
        )


def rules_of(own: Autoscaling | None, settings: Settings | Rules) -> Rules:
    """Rules of a served entity: its own fields, and the settings for those it leaves out.

    Where only one of the two windows is its own, the panic window is at most a tenth of the stable one, or the other
    way round it is cut to the stable one, so that a change of the settings cannot make stored rules wrong.

    Raises:
        InvalidParameter: a rule is outside its range.
    """
    given = {f.name: getattr(own, f.name, None) for f in fields(Rules)}
    values = {
        name: float(getattr(settings, name) if value is None else value)
        for name, value in given.items()
    }
    for name, value in values.items():
        _within(name, value)
    stable, panic = given["stable_window_seconds"], given["panic_window_seconds"]
    if stable is not None and panic is None:
        tenth = max(1.0, values["stable_window_seconds"] / 10)
        values["panic_window_seconds"] = min(values["panic_window_seconds"], tenth)
    elif stable is None and panic is not None:
        least = min(values["panic_window_seconds"], values["stable_window_seconds"])
        values["panic_window_seconds"] = least
    return Rules(**values)
