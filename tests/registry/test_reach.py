from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jupyter_serving.api import Registry
from jupyter_serving.errors import RegistryUnreachable
from jupyter_serving.registry import reach, resolve
from jupyter_serving.registry.reference import parse


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:////here/mlflow.db"),
        ("sqlite:///sub/mlflow.db?timeout=5", "sqlite:////here/sub/mlflow.db?timeout=5"),
        ("sqlite:////abs/mlflow.db", "sqlite:////abs/mlflow.db"),
        ("./mlruns", "file:///here/mlruns"),
        ("/abs/mlruns", "file:///abs/mlruns"),
        ("file:///abs/mlruns", "file:///abs/mlruns"),
        ("http://server:5000", "http://server:5000"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_stores_are_named_independently_of_the_working_directory(uri: str, expected: str) -> None:
    assert reach.absolute(uri, Path("/here")) == expected


def ask(uri: str) -> str:
    with pytest.raises(RegistryUnreachable) as told:
        resolve.resolve(parse("iris/1"), Registry(tracking_uri=uri))
    return str(told.value)


def test_a_relative_database_of_another_process_is_told() -> None:
    assert "relative to another process's directory" in ask("sqlite:///mlflow.db")


def test_a_typo_makes_no_database(tmp_path: Path) -> None:
    assert "there is no file" in ask(f"sqlite:///{tmp_path / 'typo.db'}")
    assert "there is no directory" in ask(f"file://{tmp_path / 'typo'}")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_database_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as store:
        store.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    assert "not an MLflow database" in ask(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database at all, but long enough to have a header" * 20)
    assert "cannot be read" in ask(f"sqlite:///{path}")


def test_no_store_is_told() -> None:
    assert "No model registry is named" in ask("")


def test_a_refused_connection_is_told() -> None:
    assert "127.0.0.1:1 does not answer" in ask("http://127.0.0.1:1")


class RefusingRegistry(BaseHTTPRequestHandler):
    """An MLflow server that answers every request with the status in its class."""

    status = 401
    seen = 0

    def do_GET(self) -> None:
        type(self).seen += 1
        # MLflow's own authentication answers in plain text.
        body = b"You are not authenticated."
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[tuple[str, type[RefusingRegistry]]]:
    class Handler(RefusingRegistry):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told(
    refusing: tuple[str, type[RefusingRegistry]], status: int
) -> None:
    uri, handler = refusing
    handler.status = status
    assert "cannot be read from here" in ask(uri) or "refuses this process's credentials" in ask(
        uri
    )


def test_a_failing_server_is_not_asked_for_minutes(
    refusing: tuple[str, type[RefusingRegistry]],
) -> None:
    uri, handler = refusing
    handler.status = 503
    begun = time.monotonic()
    ask(uri)
    # MLflow's own default is eight requests over four minutes.
    assert handler.seen <= 3
    assert time.monotonic() - begun < 60


def test_the_bounds_leave_no_trace_and_respect_the_user(
    refusing: tuple[str, type[RefusingRegistry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in reach.BOUNDS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    ask(refusing[0])
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_a_password_is_not_shown() -> None:
    assert "secret" not in reach.shown("postgresql://user:secret@host/db")
