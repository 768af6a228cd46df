"""Package indexes: uv's own configuration where there is one, else pip's, which uv does not read."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# pip's option -> uv's variable (https://docs.astral.sh/uv/reference/environment/)
_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
}
_OWN = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX")
_COMMA = {"UV_FIND_LINKS"}


def variables(
    environ: Mapping[str, str] | None = None, files: Iterable[Path] | None = None
) -> dict[str, str]:
    """Variables that make uv use the indexes pip uses; {} where uv is configured itself.

    pip takes the best version of all its indexes, so uv is told to do the same.
    """
    environ = os.environ if environ is None else environ
    if any(environ.get(name) for name in (*_OWN, "UV_CONFIG_FILE")) or _uv_files(environ):
        return {}
    options = pip_options(environ, pip_files(environ) if files is None else files)
    found = {
        variable: ("," if variable in _COMMA else " ").join(options[option].split())
        for option, variable in _VARIABLES.items()
        if options.get(option, "").strip() and variable not in environ
    }
    if "UV_INDEX" in found:
        found.setdefault("UV_INDEX_STRATEGY", environ.get("UV_INDEX_STRATEGY", "unsafe-best-match"))
    return found


def pip_options(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """pip's options of the files (later ones win) and of ``PIP_<OPTION>`` variables (which win over files)."""
    found: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update(parser.items(section))
    for option in _VARIABLES:
        value = environ.get("PIP_" + option.upper().replace("-", "_"))
        if value:
            found[option] = value
    return found


def pip_files(environ: Mapping[str, str]) -> list[Path]:
    """pip's configuration files, in the order in which pip reads them."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(environ.get("HOME") or Path.home())
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    files = [Path(folder) / "pip" / "pip.conf" for folder in reversed(shared) if folder]
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf"]
    files.append(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf")
    return files + ([Path(named)] if named else [])


def _uv_files(environ: Mapping[str, str]) -> bool:
    home = Path(
        environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".config"
    )
    return any((p / "uv" / "uv.toml").exists() for p in (home, Path("/etc/xdg"), Path("/etc")))
