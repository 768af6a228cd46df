"""The loop of one worker: groups of requests from the front, answers back, until the front is gone."""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from . import bodies, frames, log, v2
from .agreement import difference
from .batching import Batching, size
from .frames import Answered, Request
from .scoring import Scored

# Rows that are computed together at most; what is beyond goes back to the front.
MAX_ROWS = 4096
_BUFFER = 1 << 20
_EVENTS = "text/event-stream"


class Part(NamedTuple):
    """A request of a group that the fast path took: its place in the group and its rows."""

    place: int
    request: Request
    rows: Any


def serve(sock: socket.socket, scorer: Any, batching: Batching, name: str) -> None:
    """Answer what comes over ``sock``; returns when the front is gone. ``name``: who speaks in the log."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    reader = frames.Reader(sock)
    slot = Slot(sock, reader, scorer, batching, name)
    try:
        while True:
            frame = reader.next()
            if frame is None:
                return
            if frame.kind == frames.GROUP:
                slot.take(frames.requests(frame))
    except ConnectionError:
        return


class Slot:
    """One worker: computes one group at a time. The methods raise ConnectionError when the front is gone."""

    def __init__(
        self,
        sock: socket.socket,
        reader: frames.Reader,
        scorer: Any,
        batching: Batching,
        name: str,
    ) -> None:
        self._sock = sock
        self._reader = reader
        self._scorer = scorer
        self._batching = batching
        self._name = name
        self._limit = int(getattr(scorer, "max_body_bytes", 0) or 0)
        self._began = 0.0

    def take(self, requests: List[Request]) -> None:
        """Answer a group."""
        self._began = time.perf_counter()
        if len(requests) > 1:
            self._together(requests)
            return
        scored = self._scored(requests[0])
        if scored is not None:
            self._send([self._answered(0, scored)], True)

    # Groups

    def _together(self, requests: List[Request]) -> None:
        parts: List[Part] = []
        back: List[Answered] = []
        count = 0
        for place, request in enumerate(requests):
            rows = self._rows(request)
            if rows is None or rows.labels is not None:  # joined rows are labelled anew
                back.append(Answered(place, frames.ALONE, 0.0, 1, b""))
            elif parts and count + rows.count > MAX_ROWS:
                back.append(Answered(place, frames.LATER, 0.0, 1, b""))
            else:
                parts.append(Part(place, request, rows))
                count += rows.count
        if len(parts) < 2:
            self._one_by_one(parts, back)
            return
        try:
            result, bodies_ = self._joined(parts, count)
        except BaseException as error:
            if self._one_by_one(parts, back):
                self._switch_off(
                    f"{len(parts)} requests failed together ({log.last_line(error, 200)}), each by itself did not"
                )
            return
        passed = self._passed()
        answered = [
            Answered(part.place, 200, passed, len(parts), body)
            for part, body in zip(parts, bodies_)
        ]
        self._send(answered + back, True)
        if self._batching.due():
            self._compare(parts, result)

    def _joined(self, parts: List[Part], count: int) -> Tuple[Any, List[bytes]]:
        fast = self._scorer.fast
        result = fast.predict(fast.join([part.rows for part in parts]))
        if size(result) != count:
            raise ValueError(f"predict returned {size(result)} answers to {count} rows")
        encoded: List[bytes] = fast.encode_parts(result, [part.rows.count for part in parts])
        return result, encoded

    def _one_by_one(self, parts: List[Part], back: List[Answered]) -> bool:
        """Answer each as if it had come alone; True when each is a success."""
        good = True
        if not parts:
            self._send(back, True)
        for number, part in enumerate(parts, 1):
            self._began = time.perf_counter()
            scored = self._scorer.answer(part.request.body, part.request.content_type)
            good = good and scored.status == 200
            answered = self._answered(part.place, scored)
            self._send([answered, *(back if number == 1 else [])], number == len(parts))
        return good

    def _compare(self, parts: List[Part], result: Any) -> None:
        """Compute one member of an answered group again, alone; switch batching off when it differs."""
        fast = self._scorer.fast
        chosen = self._batching.groups % len(parts)
        start = sum(part.rows.count for part in parts[:chosen])
        rows = parts[chosen].rows
        try:
            alone = fast.cut(fast.predict(rows), 0, rows.count)
            found = difference(fast.cut(result, start, start + rows.count), alone)
        except BaseException as error:
            found = log.last_line(error, 200)
        if found:
            self._switch_off(f"a request had another answer among {len(parts)} than alone: {found}")

    def _switch_off(self, reason: str) -> None:
        if self._batching.max_size > 1:
            self._batching.switch_off(reason)
            log.say(self._name, f"batching: {self._batching.sentence()}")
            self._sock.sendall(frames.event({"event": "batch", "max_size": 1, "reason": reason}))

    # One request

    def _rows(self, request: Request) -> Any:
        fast = self._scorer.fast
        if fast is None or request.what != frames.INVOCATION:
            return None
        if "content-encoding" in request.headers or not frames.is_plain(request.content_type):
            return None
        return fast.parse(request.body)

    def _scored(self, request: Request) -> Optional[Scored]:
        """The answer to one request; None when it has been answered in pieces."""
        coding = request.headers.get("content-encoding")
        if coding is not None:
            try:
                body = bodies.unpacked(request.body, coding, self._limit)
            except bodies.Refused as refused:
                return _refusal("BAD_REQUEST", str(refused))
            request = request._replace(body=body)
        if request.what == frames.V2:
            return v2.infer(self._scorer, request.body, request.headers)
        pieces = self._scorer.stream(request.body, request.content_type)
        if pieces is not None:
            return self._stream(pieces)
        scored: Scored = self._scorer.answer(request.body, request.content_type)
        return scored

    def _answered(self, place: int, scored: Scored) -> Answered:
        if scored.status != 200:
            text = scored.body[:500].decode("utf-8", "replace")
            log.say(self._name, f"answered {scored.status}: {text}")
        more = "".join(f"{name}: {value}\r\n" for name, value in scored.headers)
        passed = self._passed()
        return Answered(place, scored.status, passed, 1, scored.body, scored.content_type, more)

    # Streams

    def _stream(self, pieces: Iterator[bytes]) -> Optional[Scored]:
        """Send the pieces as they come; an error before the first one is an answer."""
        try:
            piece = next(pieces, b"")
        except BaseException as error:
            return _refusal("BAD_REQUEST", _story(error))
        self._sock.sendall(frames.stream(_EVENTS))
        try:
            while piece:
                log.flush()
                self._sock.sendall(frames.piece(piece))
                if self._reader.cancelled():
                    log.say(self._name, "the client left the stream")
                    break
                piece = self._next(pieces)
        finally:
            _close(pieces)
        log.flush()
        self._sock.sendall(frames.ENDED)
        return None

    def _next(self, pieces: Iterator[bytes]) -> bytes:
        try:
            return next(pieces, b"")
        except BaseException as error:
            log.say_traceback(self._name, "the stream failed")
            body = _refusal("BAD_REQUEST", _story(error)).body
            self._sock.sendall(frames.piece(b"data: " + body + b"\n\n"))
            return b""

    def _send(self, answered: List[Answered], done: bool) -> None:
        log.flush()
        self._sock.sendall(frames.answers(answered, done))

    def _passed(self) -> float:
        return (time.perf_counter() - self._began) * 1000.0


def _refusal(code: str, message: str, status: int = 400) -> Scored:
    return Scored(status, json.dumps({"error_code": code, "message": message}).encode())


def _story(error: BaseException) -> str:
    return f"Encountered an unexpected error while evaluating the model. {log.last_line(error)}"


def _close(pieces: Any) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        try:
            close()
        except BaseException as error:
            log.say("stream", f"its end failed: {log.last_line(error)}")
