"""What a deployment takes along: the model named for another process, or its files where that one cannot read them."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api import Registry
from . import digest as digests
from . import reach, resolve
from .reference import Kind, ModelReference, parse

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Parcel:
    """A model's files: digest, uncompressed tar of the directory, and what names it on arrival."""

    digest: str
    archive: Path
    entity: dict[str, Any]

    def chunks(self) -> Iterator[bytes]:
        """The archive in pieces."""
        with self.archive.open("rb") as stream:
            while piece := stream.read(CHUNK):
                yield piece


def reference_of(text: str, base: Path) -> ModelReference:
    """Parse a model URI; an existing model directory may be named relative to ``base``.

    Raises:
        InvalidParameter: none of the forms.
    """
    path = base / text
    if (path / "MLmodel").is_file():
        return ModelReference(Kind.PATH, key=os.path.normpath(path))
    return parse(text)


def entity_of(reference: ModelReference, registry: Registry | None) -> dict[str, Any]:
    """Fields of a served entity that name this model for the controller; ``registry`` is absolute."""
    match reference.kind:
        case Kind.VERSION | Kind.LATEST:
            version = reference.key or "latest"
            fields = {"entity_name": reference.name, "entity_version": version}
        case Kind.ALIAS:
            fields = {"entity_name": reference.name, "entity_version": f"@{reference.key}"}
        case _:
            fields = {"model_uri": str(reference)}
    if registry is None or reference.kind is Kind.PATH:
        return dict(fields)
    stores = {"tracking_uri": registry.tracking_uri, "registry_uri": registry.registry_uri}
    return fields | {"registry": {name: uri for name, uri in stores.items() if uri}}


def absolute(registry: Registry, base: Path) -> Registry:
    """The same stores, named independently of the working directory."""
    return Registry(
        tracking_uri=reach.absolute(registry.tracking_uri, base),
        registry_uri=reach.absolute(registry.registry_uri, base) if registry.registry_uri else "",
    )


def pack(
    reference: ModelReference, registry: Registry, scratch: Path, progress: Callable[[str], None]
) -> Parcel:
    """Fetch a model with this process's own MLflow and credentials, and pack it into ``scratch``.

    Raises:
        NotFound, RegistryUnreachable, StoreFault: as ``resolve.resolve`` and ``resolve.fetch``.
    """
    resolved = resolve.resolve(reference, registry)
    digest, directory = resolve.fetch(resolved, registry, scratch / "models", progress)
    archive = scratch / "model.tar"
    with tarfile.open(archive, "w") as tar:
        for path in digests.files(directory):
            # Owner and rights are this machine's business; the receiver sets its own.
            facts = tarfile.TarInfo(path.relative_to(directory).as_posix())
            facts.size, facts.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                tar.addfile(facts, stream)
    entity: dict[str, Any] = {"model_digest": digest, "entity_name": resolved.name}
    if resolved.version is not None:
        entity["entity_version"] = resolved.version
    return Parcel(digest, archive, entity)
