"""Content digest of a model directory: what a model *is*, whatever registry, run or upload it came from.

The digest covers the relative path and the SHA-256 of every regular file, in the order of the paths. Bytecode
caches (``__pycache__``) are left out: Python may write them beside a model's own code after the digest was taken.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import InvalidParameter, StoreFault

PREFIX = "sha256:"
LEFT_OUT = "__pycache__"
_FORM = re.compile(r"sha256:[0-9a-f]{64}")


def check(digest: str) -> str:
    """Return a well-formed digest unchanged.

    Raises:
        InvalidParameter: anything but ``sha256:`` and 64 lower-case hexadecimal digits.
    """
    if not _FORM.fullmatch(digest):
        raise InvalidParameter(
            f"{digest[:80]!r} is not a model digest.",
            hint="A digest is 'sha256:' and 64 lower-case hexadecimal digits.",
        )
    return digest


def place(models_dir: Path, digest: str) -> Path:
    """Directory of a digest under ``models_dir``: its digits alone.

    A ``:`` in a directory's name would split ``PYTHONPATH`` where a model brings code of its own.
    """
    return models_dir / check(digest).removeprefix(PREFIX)


def files(directory: Path) -> Iterator[Path]:
    """Every regular file under ``directory`` (links are followed to files), in the order of their relative paths."""
    found: list[Path] = []
    for parent, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name != LEFT_OUT]
        found.extend(Path(parent, name) for name in names)
    return iter(sorted(found, key=lambda path: path.relative_to(directory).as_posix()))


def of(directory: Path) -> str:
    """Digest of a directory, ``sha256:<hex>``.

    Raises:
        StoreFault: a file cannot be read.
    """
    whole = hashlib.sha256()
    try:
        for path in files(directory):
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            name = os.fsencode(path.relative_to(directory).as_posix())
            # The length in front keeps a path with a line break from standing for two files.
            whole.update(b"%d:%s %s\n" % (len(name), name, content.encode()))
    except OSError as error:
        raise StoreFault(
            f"The model files in {directory} cannot be read: {error.strerror or error}.",
            hint="Check the permissions and the disk.",
        ) from error
    return PREFIX + whole.hexdigest()


def verify(directory: Path, digest: str) -> bool:
    """True if the directory is there and its content has this digest."""
    return directory.is_dir() and of(directory) == digest
