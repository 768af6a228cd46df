"""What a person writes to name a model (``models:/iris@champion``), parsed. Pure: touches nothing."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from ..errors import InvalidParameter

FORMS = (
    "models:/NAME/VERSION, models:/NAME@ALIAS, models:/NAME/latest, models:/m-ID, runs:/RUN/PATH "
    "or an absolute path"
)


class Kind(StrEnum):
    """What a reference names."""

    VERSION = "version"
    ALIAS = "alias"
    LATEST = "latest"
    LOGGED_MODEL = "logged_model"
    RUN = "run"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """One model as a person names it.

    ``name`` is the registered model's; ``key`` is, by kind, the version, the alias, the logged model's id, the run's id
    or the absolute path; ``path`` is the artifact path within a run. ``str()`` gives the canonical URI.
    """

    kind: Kind
    name: str = ""
    key: str = ""
    path: str = ""

    def __str__(self) -> str:
        match self.kind:
            case Kind.VERSION:
                return f"models:/{self.name}/{self.key}"
            case Kind.ALIAS:
                return f"models:/{self.name}@{self.key}"
            case Kind.LATEST:
                return f"models:/{self.name}/latest"
            case Kind.LOGGED_MODEL:
                return f"models:/{self.key}"
            case Kind.RUN:
                return f"runs:/{self.key}/{self.path}"
            case Kind.PATH:
                return self.key


def parse(uri: str) -> ModelReference:
    """Read a model URI; a bare ``name/3``, ``name@alias`` or ``name/latest`` is accepted too. Touches nothing.

    Raises:
        InvalidParameter: none of the forms; the message lists them.
    """
    text = uri.strip()
    if text.startswith("models:"):
        return _registered(text.removeprefix("models:").lstrip("/"), uri)
    if text.startswith("runs:"):
        run, _, path = text.removeprefix("runs:").lstrip("/").partition("/")
        path = path.strip("/")
        if not run or not path or ".." in path.split("/"):
            raise _unreadable(uri, "a run's model needs the run's id and the artifact path")
        return ModelReference(Kind.RUN, key=run, path=path)
    if text.startswith("file:"):
        return _local(unquote(urlsplit(text).path), uri)
    if text.startswith("/"):
        return _local(text, uri)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        raise _unreadable(uri, "this kind of URI is not served")
    return _registered(text, uri)


def of_entity(name: str, version: str | int) -> ModelReference:
    """Reference of a served entity: ``entity_name`` with ``entity_version`` (a number, ``@alias`` or ``latest``).

    Raises:
        InvalidParameter: the version is none of these.
    """
    text = str(version).strip()
    return _registered(
        f"{name}{text}" if text.startswith("@") else f"{name}/{text}", f"{name} version {text}"
    )


def _registered(text: str, uri: str) -> ModelReference:
    text = text.rstrip("/")
    if re.fullmatch(r"m-[0-9a-f]{8,}", text):
        return ModelReference(Kind.LOGGED_MODEL, key=text)
    name, mark, alias = text.partition("@")
    if mark:
        if not name or not alias or "/" in name or "/" in alias:
            raise _unreadable(uri, "an alias is written NAME@ALIAS")
        return ModelReference(Kind.ALIAS, name, alias)
    name, mark, version = text.partition("/")
    if not name or not mark:
        raise _unreadable(uri, "the version or alias is missing")
    if version == "latest":
        return ModelReference(Kind.LATEST, name)
    if not version.isascii() or not version.isdigit():
        raise _unreadable(
            uri, f"{version!r} is no version (stages are not supported: use an alias)"
        )
    return ModelReference(Kind.VERSION, name, str(int(version)))


def _local(path: str, uri: str) -> ModelReference:
    if not path.startswith("/"):
        raise _unreadable(uri, "a path must be absolute")
    return ModelReference(Kind.PATH, key=posixpath.normpath(path))


def _unreadable(uri: str, why: str) -> InvalidParameter:
    return InvalidParameter(f"{uri!r} does not name a model: {why}.", hint=f"Write {FORMS}.")
