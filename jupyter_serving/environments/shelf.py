"""Where staged environments stand: one directory per key, complete or not there.

An environment is made in a temporary sibling and renamed last; its marker, written before the rename, holds the lock,
the Python and the fingerprint. Temporary directories carry the identity of the process that fills them, so that those
of a killed controller can be told from those of a living one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..processes import Identity, boot_id
from .environment import Environment

MARKER = "environment.json"
_TEMPORARY = ".making-"
_OLD = ".replaced-"


class Shelf:
    """The directory of staged environments."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Directory of the environment ``key``."""
        return self.root / key

    def temporary(self) -> Path:
        """A new directory to make an environment in; its name tells who fills it."""
        me = Identity.of(os.getpid())
        owner = f"{os.getpid()}-{me.start if me else 0}"
        path = self.root / f"{_TEMPORARY}{owner}-{secrets.token_hex(4)}"
        path.mkdir(mode=0o700, parents=True)
        return path

    def read(self, key: str) -> Environment | None:
        """The environment if it is complete: marker readable and interpreter there."""
        try:
            value = json.loads((self.path(key) / MARKER).read_text())
            python = self.path(key) / "bin" / "python"
            found = Environment.from_json(value | {"key": key, "python": python, "kind": "staged"})
        except (OSError, ValueError, TypeError, LookupError):
            return None
        return found if os.access(found.python, os.X_OK) else None

    def publish(self, made: Path, key: str, marker: dict[str, Any]) -> Environment:
        """Turn ``made`` into the environment ``key``: marker first, rename last.

        One that stands there already is moved away and removed: what it held was not what its marker says.
        """
        text = json.dumps(marker | {"key": key}, indent=1)
        fresh = made / f"{MARKER}.new"
        fresh.write_text(text)
        _sync(fresh)
        fresh.replace(made / MARKER)
        target = self.path(key)
        if target.exists():
            old = self.root / f"{_OLD}{key}-{secrets.token_hex(4)}"
            target.rename(old)
            made.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            made.rename(target)
        _sync(self.root)
        found = self.read(key)
        if found is None:
            raise FileNotFoundError(f"{target} vanished while it was made")
        return found

    def sweep(self) -> list[Path]:
        """Remove what processes that are gone left half made; returns the removed directories.

        An installer that outlived its controller still writes there: it is known by the directory in its command
        line (whose name is random), and killed first.
        """
        removed = []
        for path in self._abandoned():
            for pid in _users_of(path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
        return removed

    def _abandoned(self) -> Iterator[Path]:
        for path in self.root.glob(f"{_TEMPORARY}*"):
            parts = path.name.removeprefix(_TEMPORARY).split("-")
            if not _lives(int(parts[0]), int(parts[1])):
                yield path
        yield from self.root.glob(f"{_OLD}*")


def size_of(path: Path) -> int:
    """Bytes of all files below ``path``; hard links count in full, though they share their blocks with uv's cache."""
    total, pending = 0, [str(path)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _users_of(path: Path) -> list[int]:
    """Processes of this user whose command line names ``path``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                os.fsencode(str(path)) in (folder / "cmdline").read_bytes()
                and folder.stat().st_uid == os.getuid()
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def _lives(pid: int, start: int) -> bool:
    if start:
        return Identity(boot_id(), pid, start).alive()
    try:  # a system without /proc: the number is all there is
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
