"""An environment that can load a model: which interpreter, and what proves that it is still the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Environment:
    """One usable environment.

    Attributes:
        key: 16 hexadecimal characters; equal keys mean the same interpreter and distributions.
        python: absolute path of the interpreter (not resolved: a venv is known by this path).
        kind: ``kernel`` for the environment of a notebook's kernel, ``staged`` for one that we made.
        fingerprint: hash over the installed distributions when it was checked or made.
        lock: text of the lock it was made from; "" for a kernel's.
        version: full Python version, ``3.11.7``.
    """

    key: str
    python: Path
    kind: Literal["kernel", "staged"]
    fingerprint: str
    lock: str = ""
    version: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for the store."""
        return asdict(self) | {"python": str(self.python)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Environment:
        """Inverse of ``to_json``; unknown keys (of a newer version) are ignored."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(**known | {"python": Path(known["python"])})
