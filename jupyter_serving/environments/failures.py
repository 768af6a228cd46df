"""From the output of uv to one message with the useful line and the next step. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import StagingFailed

_NETWORK = re.compile(
    r"error sending request|client error|dns error|tcp connect|network connectivity is disabled|"
    r"failed to fetch|timed out|connection (refused|reset)|certificate|status (client|server) error|offline",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left on device|os error 28|disk quota exceeded|os error 122", re.I)
_BUILD = re.compile(r"failed to (build|prepare distributions)|build backend", re.IGNORECASE)
_LONGEST = 1500


def is_full(text: str) -> bool:
    """True where ``text`` tells of a full disk or quota."""
    return bool(_FULL.search(text))


def disk_full(place: str, free: int) -> StagingFailed:
    """The error for a full disk; ``free`` in bytes."""
    return StagingFailed(
        f"The disk is full: {free / 1e6:.0f} MB are free for {place}.",
        hint="Delete environments that no endpoint uses (everything under environments/ of the data directory is "
        "made again when needed) or run `uv cache prune`, then deploy again.",
    )


def from_output(lines: Sequence[str], log: str) -> StagingFailed:
    """Name the cause in uv's ``lines``; ``log`` is where all of it can be read."""
    useful = _useful(lines)
    text = " ".join(useful)[:_LONGEST]
    see = f"The whole build log is {log}."
    if _unsatisfiable(lines):
        return StagingFailed(
            f"No environment satisfies the model's requirements. {text}",
            hint=f"Correct the pin in the model's requirements and log it again, or configure the package index "
            f"that has it. {see}",
        )
    if _NETWORK.search(text):
        return StagingFailed(
            f"The package index cannot be reached{_host(text)}. {text}",
            hint="Check the network, or set UV_DEFAULT_INDEX (pip's own configuration is used where uv has none), "
            f"and deploy again. {see}",
        )
    if _BUILD.search(text):
        return StagingFailed(
            f"A package could not be built from source. {text}",
            hint=f"Pin a version that has a wheel for this Python, or install what its build needs. {see}",
        )
    return StagingFailed(
        f"The model's environment could not be made. {text or 'uv said nothing.'}", hint=see
    )


def _unsatisfiable(lines: Sequence[str]) -> bool:
    # uv reports an index that it cannot reach under the same heading, with a network cause.
    text = " ".join(lines)
    offline = "network connectivity is disabled" in text or "error sending request" in text
    return "No solution found" in text and not offline


def _useful(lines: Sequence[str]) -> list[str]:
    """From the first ``error`` on, its marks and the repeated heading taken away; else the last five lines."""
    plain = [re.sub(r"^\s*[×╰├│▶─→-]+\s*", "", line).strip() for line in lines]
    first = next((i for i, p in enumerate(plain) if re.match(r"(error|×)\b|No solution", p)), None)
    chosen = plain[-5:] if first is None else plain[first : first + 14]
    bare = (re.sub(r"^(error|cause|hint):\s*", "", line) for line in chosen)
    headings = ("No solution found when resolving dependencies",)
    return [line for line in bare if line and not line.startswith(headings)] or list(chosen)


def _host(text: str) -> str:
    found = re.search(r"https?://([^/\s@]*@)?([^/\s`)]+)", text)
    return f" at {found[2]}" if found else ""
