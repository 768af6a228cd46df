"""Models as the controller needs them: resolved once, kept by digest, checked before every load.

Registry calls and hashing block, so they run in a small thread pool of their own.
"""

from __future__ import annotations

import asyncio
import os
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..api import Registry, ServedEntityInput
from ..errors import BadRequest, InvalidParameter, NotFound, ServingError, StoreFault
from ..registry import describe, digest, examples, reference, resolve, signature
from .openapi import Served
from .records import EntityRecord
from .registrar import Registrar


class Models:
    """The models directory of one data directory."""

    def __init__(
        self, directory: Path, allow_unsigned: bool, default: Registry, registrar: Registrar
    ) -> None:
        self._directory, self._allow_unsigned, self._default = directory, allow_unsigned, default
        self._registrar = registrar
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="models")
        self._proven: dict[str, tuple[int, int]] = {}
        self._metadata: dict[str, dict[str, Any] | None] = {}

    async def warm(self) -> None:
        """Import what resolving needs, ahead of the first deploy: it takes seconds and is not needed before."""
        await self._registrar.warm()

    async def resolve(self, spec: ServedEntityInput) -> resolve.Resolved:
        """Find the one version that ``spec`` means now.

        Raises:
            InvalidParameter, NotFound, RegistryUnreachable: as ``registry.resolve``.
        """
        if spec.model_digest:
            place = self.path(spec.model_digest)
            if not place.is_dir():
                raise NotFound(
                    f"No model with digest {spec.model_digest} has been uploaded.",
                    hint="Upload it first: PUT /api/2.0/jupyter-serving/models/{digest}.",
                )
            name = spec.entity_name or "uploaded"
            version = None if spec.entity_version is None else str(spec.entity_version)
            return resolve.Resolved(name, version, str(place))
        if spec.model_uri:
            wanted = reference.parse(spec.model_uri)
        elif spec.entity_name and spec.entity_version:
            wanted = reference.of_entity(spec.entity_name, spec.entity_version)
        else:
            raise InvalidParameter(
                "A served entity names no model.",
                hint="Send entity_name and entity_version, or model_uri.",
            )
        if wanted.kind is not reference.Kind.PATH:
            return await self._registrar.resolve(wanted, self.registry(spec))
        here: resolve.Resolved = await self._in_thread(resolve.resolve, wanted, self.registry(spec))
        return here

    def registry(self, spec: ServedEntityInput) -> Registry:
        """The registry that a served entity means: its own, else the controller's."""
        return spec.registry or self._default

    def path(self, model: str) -> Path:
        """Directory of a model by digest."""
        return digest.place(self._directory, model)

    def has(self, model: str) -> bool:
        """True if a model with this digest lies here."""
        return bool(model) and self.path(model).is_dir()

    def bytes_of(self, model: str) -> int:
        """Size of a model's files; 0 where it is not here. Blocks."""
        try:
            return (
                sum(f.stat().st_size for f in digest.files(self.path(model)))
                if self.has(model)
                else 0
            )
        except OSError:
            return 0

    def title(self, entity: EntityRecord) -> str:
        """The model as a person names it: ``iris version 3``."""
        source = entity.source
        return (
            f"{source['name']} version {source['version']}" if source["version"] else source["name"]
        )

    async def fetch(self, entity: EntityRecord, progress: Callable[[str], None]) -> str:
        """Bring the entity's model here; return its digest.

        Raises:
            StoreFault: the files are not those that were deployed (digest differs), or no space.
        """
        expected = entity.digest or entity.spec.model_digest
        if expected and self.has(expected):
            return expected
        source = resolve.Resolved(**entity.source)
        if source.local:
            found, _ = await self._in_thread(
                resolve.fetch, source, entity.registry, self._directory, progress
            )
        else:
            found = await self._registrar.fetch(source, entity.registry, self._directory, progress)
        if expected and found != expected:
            raise StoreFault(
                f"The files of {self.title(entity)} have changed since they were deployed:"
                f" digest {found}, recorded {expected}.",
                hint="Register the changed model as a new version and deploy that.",
            )
        return str(found)

    def check(self, model: str, entity: EntityRecord) -> None:
        """Refuse a model that cannot be served as it is.

        Raises:
            InvalidParameter: no signature (unless ``allow_unsigned_models``), or not a Python model.
        """
        if not self._allow_unsigned:
            describe.require_signature(describe.describe(self.path(model)), self.title(entity))

    def metadata(self, model: str) -> dict[str, Any] | None:
        """What the Open Inference Protocol tells of a model; None while it is not here or where it has no signature."""
        if not self.has(model):
            return None
        if model not in self._metadata:
            try:
                self._metadata[model] = signature.v2(describe.describe(self.path(model)))
            except ServingError:
                # Whoever loads the model is told; routing goes on without what only informs.
                self._metadata[model] = None
        return self._metadata[model]

    async def served(self, entity: EntityRecord) -> Served:
        """What a document about an endpoint tells of a served entity whose model is here.

        Raises:
            BadRequest: the model has no signature.
        """
        served: Served = await self._in_thread(self._served, entity)
        return served

    def _served(self, entity: EntityRecord) -> Served:
        description = describe.describe(self.path(entity.digest))
        known, metadata = signature.signature(description), signature.v2(description)
        if known is None or metadata is None:
            raise BadRequest(
                f"The model of the served entity {entity.name!r} has no signature, so its requests are not known.",
                hint="Log it with signature=infer_signature(X, model.predict(X)) or an input_example.",
            )
        return Served(
            name=entity.name,
            model=entity.source["name"],
            version=entity.source["version"] or "",
            signature=known,
            metadata=metadata,
            example=examples.read(description),
        )

    async def verify(self, model: str) -> None:
        """Check the files against their digest before a load.

        Unchanged files (same sizes and modification times since they were last hashed here) are not hashed again.

        Raises:
            StoreFault: they differ from what was deployed.
        """
        place = self.path(model)
        mark = await self._in_thread(_mark, place)
        if self._proven.get(model) == mark:
            return
        if not await self._in_thread(digest.verify, place, model):
            raise StoreFault(
                f"The model files in {place} do not have their recorded digest: they were changed or damaged.",
                hint="Delete that directory; it is fetched again from the registry.",
            )
        self._proven[model] = mark

    def size(self, model: str) -> int:
        """Bytes of a model's files; 0 where it has not been verified here."""
        return self._proven.get(model, (0, 0))[0]

    async def receive(self, model: str, chunks: AsyncIterator[bytes]) -> None:
        """Take an uploaded model, a tar stream of its directory.

        Raises:
            InvalidParameter: not a tar, unsafe members, or another digest than named.
        """
        digest.check(model)
        with tempfile.TemporaryDirectory(prefix=".upload-", dir=self._directory) as scratch:
            archive = Path(scratch) / "model.tar"
            with archive.open("wb") as file:
                async for chunk in chunks:
                    await self._in_thread(file.write, chunk)
            await self._in_thread(_unpack, archive, Path(scratch) / "model")
            found = await self._in_thread(digest.of, Path(scratch) / "model")
            if found != model:
                raise InvalidParameter(
                    f"The uploaded model has digest {found}, not {model}.", hint="Upload it again."
                )
            await self._in_thread(resolve.keep, Path(scratch) / "model", self._directory)

    def close(self) -> None:
        """End the threads; running downloads are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *args)
        except ServingError:
            raise
        except OSError as error:
            raise StoreFault(
                f"The models directory {self._directory} cannot be used: {error.strerror or error}.",
                hint="Free space or permissions there.",
            ) from error


def source_of(resolved: resolve.Resolved) -> dict[str, Any]:
    """Plain values of a resolved model, for the store."""
    return asdict(resolved)


def _mark(place: Path) -> tuple[int, int]:
    """Bytes of all files, and a number that changes with any file's path, size or modification time."""
    facts = [(str(f), os.stat(f)) for f in digest.files(place)]
    whole = hash(tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in facts))
    return sum(stat.st_size for _, stat in facts), whole


def _unpack(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
    except tarfile.TarError as error:
        raise InvalidParameter(
            f"The uploaded model is not a plain tar archive: {error}.",
            hint="Send an uncompressed tar of the model directory's content.",
        ) from error
