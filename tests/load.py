"""A client that asks without end: sends requests one after the other to a gateway and writes down every answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """When (monotonic seconds), which status (0: no answer at all) and the body or error."""

    at: float
    status: int
    body: Any


class QueryLoop:
    """Context manager: asks in a thread of its own from enter to exit."""

    def __init__(
        self, url: str, token: str, payload: Any, headers: dict[str, str] | None = None
    ) -> None:
        self._url = urlsplit(url)
        self._body = json.dumps(payload)
        self._headers = {"Authorization": token, "Content-Type": "application/json"} | (
            headers or {}
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: list[Answer] = []

    def __enter__(self) -> QueryLoop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def failures(self) -> list[Answer]:
        """Everything but 200."""
        return [a for a in self.answers if a.status != 200]

    def good_since(self, moment: float, count: int = 20) -> bool:
        """True when the last ``count`` answers all came after ``moment`` and were 200."""
        last = self.answers[-count:]
        return len(last) == count and all(a.status == 200 and a.at > moment for a in last)

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    host, port = self._url.hostname or "", self._url.port
                    connection = http.client.HTTPConnection(host, port, timeout=60)
                connection.request("POST", self._url.path, self._body, self._headers)
                response = connection.getresponse()
                answer = Answer(time.monotonic(), response.status, response.read())
            except (OSError, http.client.HTTPException) as error:
                answer = Answer(time.monotonic(), 0, repr(error))
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.02)
            self.answers.append(answer)
