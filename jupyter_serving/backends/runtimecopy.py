"""The copy of the runtime that replicas run: by content, so that an upgrade of ours never changes a running one."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "runtime"
PACKAGE = "serving_runtime"


def copy_runtime(target: Path, source: Path = SOURCE) -> Path:
    """Return ``<target>/<content hash>``, the directory to put on the import path; made once, renamed last."""
    files = {path.relative_to(source): path.read_bytes() for path in sorted(source.rglob("*.py"))}
    whole = hashlib.sha256()
    for name, content in files.items():
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    place = target / whole.hexdigest()[:16]
    if not _complete(place, files):
        _make(place, files)
    return place


def _complete(place: Path, files: dict[Path, bytes]) -> bool:
    """A cleaner of old files may have taken some."""
    return all((place / PACKAGE / name).is_file() for name in files)


def _make(place: Path, files: dict[Path, bytes]) -> None:
    fresh = place.with_name(f".making-{place.name}-{os.getpid()}-{secrets.token_hex(4)}")
    for name, content in files.items():
        path = fresh / PACKAGE / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    except OSError:
        if not _complete(place, files):  # another process was faster
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
