"""What the checks at load found, kept in a file for later starts of the same model, environment and code.

The controller names the file after the model's digest, the environment with its variables and our code, so that its
content holds as long as its name is asked for. What was asked of the checks is inside. Deleting it costs one check.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, Optional

from . import log

FORMAT = 1
# Findings that hung on time are looked for so many times before they are believed: the machine may have been busy.
TRIES = 3
# Appended to reasons of what was not checked at this start.
EARLIER = "; checked at an earlier start"
_SERVICE = "service"

Memo = Dict[str, Any]


class Verdicts:
    """The file at ``path`` for checks of which ``asked`` was asked; ``path`` None keeps nothing."""

    def __init__(self, path: Optional[str], asked: Mapping[str, Any]) -> None:
        self._path = path
        self._asked = dict(asked)
        self._record: Optional[Dict[str, Any]] = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Verdicts:
        """Those of a spawn spec."""
        wanted = spec.get("batching") or {}
        asked = {
            "mode": wanted.get("mode"),
            "max_size": wanted.get("max_size"),
            "nan": spec.get("nan"),
        }
        path = spec.get("verdicts")
        return cls(path if isinstance(path, str) and path else None, asked)

    def read(self) -> Optional[Dict[str, Any]]:
        """``{"fast_path": memo, "batch": memo}`` of an earlier start; None where there is none to go by."""
        self._record = self._load()
        if self._record is None:
            return None
        timed = any(self._record[part].get("timed") for part in ("fast_path", "batch"))
        return None if timed and self._record["tries"] < TRIES else self._record

    def write(self, fast_path: Optional[Memo], batch: Optional[Memo]) -> None:
        """Keep the findings of completed checks; None stands for one that was not completed: nothing is kept."""
        if self._path is None:
            return
        if fast_path is None or batch is None:
            self._record = None
            return
        before = self._load() or {"batch": {}, "tries": 0}
        if before["batch"].get("seen_in") == _SERVICE:  # by another replica meanwhile
            batch = before["batch"]
        self._save({"fast_path": fast_path, "batch": batch, "tries": before["tries"] + 1})

    def stop_batching(self, reason: str) -> None:
        """Later starts shall not batch: requests have shown why."""
        if self._record is not None:
            batch = {"max_size": 1, "reason": f"in service: {reason}", "seen_in": _SERVICE}
            self._save({**self._record, "batch": batch})

    def _load(self) -> Optional[Dict[str, Any]]:
        if self._path is None:
            return None
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
            if found["format"] != FORMAT or found["asked"] != self._asked:
                return None
            kept = {name: found[name] for name in ("fast_path", "batch", "tries")}
            whole = all(isinstance(kept[name], dict) for name in ("fast_path", "batch"))
            return kept if whole and isinstance(kept["tries"], int) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _save(self, record: Dict[str, Any]) -> None:
        self._record = record
        fresh = f"{self._path}.{os.getpid()}.new"
        try:
            with open(fresh, "w", encoding="utf-8", opener=_private) as file:
                json.dump({"format": FORMAT, "asked": self._asked, **record}, file)
            os.replace(fresh, str(self._path))
        except (OSError, TypeError, ValueError) as error:
            # Nothing depends on it but time.
            log.say("worker", f"what the checks found is not kept: {log.last_line(error)}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
