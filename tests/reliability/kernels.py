"""Kernels that a real Jupyter server starts, and its REST API."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from services import until

from .jupyter import BASE_URL, Jupyter


def ask(jupyter: Jupyter, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """One request to Jupyter, below its base URL."""
    connection = http.client.HTTPConnection("127.0.0.1", jupyter.port, timeout=60)
    headers = {"Authorization": jupyter.authorization, "Content-Type": "application/json"}
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, BASE_URL + path, content, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


class Kernel:
    """Context manager: a kernel that is started on enter and ended on exit."""

    def __init__(self, jupyter: Jupyter) -> None:
        self._jupyter = jupyter

    def __enter__(self) -> Kernel:
        status, kernel = ask(self._jupyter, "api/kernels", "POST", {})
        assert status == 201, kernel
        self._id = kernel["id"]
        self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.stop_channels()
        ask(self._jupyter, f"api/kernels/{self._id}", "DELETE")

    def restart(self) -> None:
        """As a person does who presses that button."""
        self._client.stop_channels()
        status, told = ask(self._jupyter, f"api/kernels/{self._id}/restart", "POST", {})
        assert status == 200, told
        self._connect()

    def run(self, code: str) -> dict[str, Any]:
        """What ``code`` leaves in ``told``."""
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            printed.append(content.get("text") or "\n".join(content.get("traceback", [])))

        code += "\nimport json; print(json.dumps(told))"
        self._client.execute_interactive(code, timeout=60, output_hook=hear)
        try:
            told: dict[str, Any] = json.loads("".join(printed))
        except ValueError:
            pytest.fail("".join(printed))
        return told

    def _connect(self) -> None:
        file = self._jupyter.runtime_dir / f"kernel-{self._id}.json"
        self._client = BlockingKernelClient(connection_file=str(file))
        self._client.load_connection_file()
        self._client.start_channels()
        until(self._answers, what="an answer of the kernel")

    def _answers(self) -> bool:
        """False where its heart has not begun to beat, which the client takes for its death."""
        try:
            self._client.wait_for_ready(timeout=30)
        except RuntimeError:
            return False
        return True
