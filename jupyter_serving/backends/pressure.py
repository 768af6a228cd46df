"""How much tasks wait for CPU and memory: pressure stall information of the kernel.

Read from our own control group (version 2: ``cpu.pressure``, ``memory.pressure``), which tells of Jupyter and its
kernels too where they share it, else of the whole machine (``/proc/pressure``). See
https://docs.kernel.org/accounting/psi.html.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SOME = re.compile(r"^some avg10=(\d+(?:\.\d+)?)", re.M)


def share(text: str) -> float | None:
    """Share of the last 10 s in which some task waited, 0 to 1, of a pressure file's content; None if it has none."""
    found = _SOME.search(text)
    return None if found is None else min(1.0, float(found[1]) / 100)


def waited(resource: str, groups: Sequence[Path], proc: Path = Path("/proc")) -> float:
    """The same for ``cpu`` or ``memory``, of our control group, else of the machine; 0 where the system tells nothing.

    Args:
        resource: ``cpu`` or ``memory``.
        groups: directories of our control group and of those above it, innermost first.
        proc: where /proc is.
    """
    own = [group / f"{resource}.pressure" for group in groups[:1]]
    for place in [*own, proc / "pressure" / resource]:
        try:
            known = share(place.read_text())
        except OSError:
            continue
        if known is not None:
            return known
    return 0.0
