"""The identity of an environment: a hash over its lock, its Python and the content of the model's own wheels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_HASHED = 1 << 20


def normalise(text: str) -> str:
    """A lock without what does not change the environment: comments, blank lines, order, line ends, case of names."""
    lines = set()
    for line in text.splitlines():
        bare = re.sub(r"(^|\s+)#.*$", "", line).strip()
        if bare:
            lines.add(re.sub(r"^[A-Za-z0-9._-]+(?===|\s*@)", lambda m: m[0].lower(), bare))
    return "\n".join(sorted(lines))


def lock_hash(
    text: str,
    python: str = "",
    platform: str = "",
    files: Mapping[str, str] | None = None,
    extras: Iterable[str] = (),
) -> str:
    """Return 64 hexadecimal characters that are equal exactly for equal environments.

    Args:
        text: the lock, as ``uv pip compile`` writes it.
        python: full version of the interpreter.
        platform: operating system and machine, ``linux-x86_64``.
        files: content hash by the path that the lock names; the path itself then counts for nothing.
        extras: requirements that are added outside the lock (the runtime's, build tools).
    """
    for path, content in sorted((files or {}).items(), key=lambda item: -len(item[0])):
        text = text.replace(f"file://{path}", content).replace(path, content)
    parts = [normalise(text), python, platform, *sorted(extras)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def content_hash(path: Path) -> str:
    """``sha256:…`` of a file, or of all files of a directory with their relative names."""
    whole = hashlib.sha256()
    members = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for member in members:
        name = path.name if member == path else str(member.relative_to(path))
        whole.update(f"{name}\0{member.stat().st_size}\0".encode())
        with open(member, "rb") as file:
            while block := file.read(_HASHED):
                whole.update(block)
    return f"sha256:{whole.hexdigest()}"
