"""Which modules loading a model will import, read from its files without executing anything.

A pickle names the module of every global that it refers to (``GLOBAL`` and ``STACK_GLOBAL`` opcodes, see
``pickletools``); a skops file lists them in its ``schema.json``; ``MLmodel`` names the flavour's loader. A zygote that
imports them before its first fork saves every worker of the first start the same seconds. A hint that is wrong costs
nothing: a module that cannot be imported is dropped.
"""

from __future__ import annotations

import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PICKLES = frozenset({".pkl", ".pickle", ".joblib"})
MOST_BYTES = 50_000_000
_LOADER = re.compile(r"^ *loader_module: *([\w.]+) *$", re.M)
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TEXT = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})


def modules(model: Path) -> list[str]:
    """Names of modules that the files of a model directory refer to, sorted; files over 50 MB are not read."""
    found: set[str] = set()
    for path in sorted(model.rglob("*")):
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        if path.suffix in PICKLES:
            found.update(_of_pickle(path.read_bytes()))
        elif path.suffix == ".skops":
            found.update(_of_skops(path))
        elif path.name == "MLmodel":
            found.update(_LOADER.findall(path.read_text(errors="replace")))
    return sorted(name for name in found if _MODULE.fullmatch(name) and name != "__main__")


def _of_pickle(data: bytes) -> Iterator[str]:
    """Modules of all globals. Python names them by two strings, the first of which may come from the memo."""
    recent: list[str] = []
    memo: list[str | None] = []
    last: str | None = None
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL":
                yield str(argument).split(" ", 1)[0]
            elif opcode.name == "STACK_GLOBAL" and len(recent) >= 2:
                yield recent[-2]
            if opcode.name == "MEMOIZE":
                memo.append(last)
            text = _text(opcode.name, argument, memo)
            last = text
            if text is not None:
                recent = [*recent[-1:], text]
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        return  # compressed, truncated or not a pickle: loading it will tell


def _text(name: str, argument: Any, memo: list[str | None]) -> str | None:
    if name in _TEXT:
        return str(argument)
    if name in ("BINGET", "LONG_BINGET") and argument < len(memo):
        return memo[int(argument)]
    return None


def _of_skops(path: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            schema = json.loads(archive.read("schema.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return
    stack: list[Any] = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("__module__"), str):
                yield node["__module__"]
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
