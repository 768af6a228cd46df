"""Answers in pieces: ``predict_stream`` of a model as server-sent events.

A request asks for it with ``"stream": true`` beside its data, as clients of chat endpoints do. Each piece is a line
``data: <json>``; a failure in mid-stream is such a line with ``error_code`` and ``message``; the end is
``data: [DONE]``. There are no other lines: ``mlflow.deployments`` refuses any that does not begin with ``data:``.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Generator, Iterator, Optional, Tuple

from .faults import Scored

DONE = b"data: [DONE]\n\n"


class Events:
    """``server`` is MLflow's scoring server; ``words`` makes its JSON strict; ``fault`` answers for an exception."""

    def __init__(
        self,
        server: Any,
        model: Any,
        words: Callable[[str], str],
        fault: Callable[[BaseException], Scored],
    ) -> None:
        self._parse = getattr(server, "_parse_json_data", None)
        self._encoder = getattr(server, "NumpyEncoder", json.JSONEncoder)
        self._model = model
        self._words = words
        self._fault = fault
        # A stream that failed before its first piece: the body and its ordinary answer, until it is asked for.
        self._failed: Optional[Tuple[bytes, Scored]] = None

    def refused(self, body: bytes) -> Optional[Scored]:
        """The answer to a request whose stream did not begin, once."""
        if self._failed is None:
            return None
        (failed, scored), self._failed = self._failed, None
        return scored if failed is body else None

    def stream(self, body: bytes, cleaned: Callable[[bytes], bytes]) -> Optional[Iterator[bytes]]:
        """Events when the request asks for a stream and the model has one; None otherwise, and on an early failure."""
        self._failed = None
        if b'"stream"' not in body or not self._streams():
            return None
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or fields.get("stream") is not True:
            return None
        try:
            pieces = self._pieces(cleaned(body))
            first = next(pieces, None)
        except BaseException as error:
            self._failed = body, self._fault(error)
            return None
        return self._events(first, pieces)

    def _streams(self) -> bool:
        return (
            self._parse is not None and getattr(self._model, "_predict_stream_fn", None) is not None
        )

    def _pieces(self, body: bytes) -> Generator[bytes, None, None]:
        """The model's pieces as events; raises what it raises."""
        metadata = self._model.metadata
        parsed = self._parse(body, metadata, metadata.get_input_schema())  # type: ignore[misc]
        made = self._model.predict_stream(parsed.data, params=parsed.params)
        try:
            for piece in made:
                yield self._event(json.dumps(piece, cls=self._encoder))
        finally:
            close = getattr(made, "close", None)
            if close is not None:
                close()

    def _events(
        self, first: Optional[bytes], pieces: Generator[bytes, None, None]
    ) -> Iterator[bytes]:
        try:
            if first is not None:
                yield first
            yield from pieces
        except GeneratorExit:
            pieces.close()
            raise
        except BaseException as error:
            yield self._event(self._fault(error).body.decode())
        yield DONE

    def _event(self, text: str) -> bytes:
        return f"data: {self._words(text)}\n\n".encode()
