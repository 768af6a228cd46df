"""Bad input is told well: each message says what, where, why and the next step, and nothing is lost."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from services import Services, until
from zoo import Zoo

from jupyter_serving import connect
from jupyter_serving.errors import (
    ControllerDown,
    InvalidParameter,
    NotFound,
    StartFailed,
)


@pytest.fixture(scope="module")
def strict(shared_services: Services, zoo: Zoo) -> Iterator[tuple[Services, str]]:
    """A live endpoint whose model refuses negative values, and a query token."""
    client = shared_services.client_started()
    uri = zoo.raises_in_predict()
    client.create("strict", {"served_entities": [zoo.entity(uri)]})
    client.wait("strict")
    yield shared_services, client.token("strict")
    client.delete("strict")


def post(url: str, token: str, body: bytes, path: str | None = None) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path or parts.path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_an_unknown_model(shared_services: Services, zoo: Zoo) -> None:
    client = shared_services.client_started()
    zoo.forest()
    with pytest.raises(NotFound, match=r"(?s)irys.*iris"):
        client.create("x", {"served_entities": [zoo.entity("models:/irys/1")]})
    assert "x" not in [e.name for e in client.list()]


def test_an_unknown_version(shared_services: Services, zoo: Zoo) -> None:
    client = shared_services.client_started()
    zoo.forest()
    with pytest.raises(NotFound, match=r"(?s)iris.*99.*1"):
        client.create("x", {"served_entities": [zoo.entity("models:/iris/99")]})


def test_a_model_without_a_signature(shared_services: Services, zoo: Zoo) -> None:
    client = shared_services.client_started()
    client.create("unsigned", {"served_entities": [zoo.entity(zoo.unsigned())]})
    with pytest.raises(StartFailed, match=r"(?s)no signature.*infer_signature"):
        client.wait("unsigned")
    assert client.get("unsigned").phase == "FAILED"
    client.delete("unsigned")


def test_a_model_whose_load_raises(shared_services: Services, zoo: Zoo) -> None:
    client = shared_services.client_started()
    client.create("unloadable", {"served_entities": [zoo.entity(zoo.raises_in_load())]})
    with pytest.raises(StartFailed, match="RuntimeError: the weights are missing"):
        client.wait("unloadable")
    assert "the weights are missing" in client.logs("unloadable")
    client.delete("unloadable")


def test_a_model_whose_predict_raises(strict: tuple[Services, str]) -> None:
    services, token = strict
    url = services.client.get("strict").url
    status, body = post(url, token, b'{"dataframe_records": [{"x": -1.0}]}')
    assert status == 400
    assert body["error_code"] == "BAD_REQUEST"
    assert "ValueError: x must not be negative" in body["message"]
    assert "in predict" in body["stack_trace"]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"{", "JSON"),
        (b"", "JSON"),
        (b"[1]", "dataframe_split"),
        (b'{"dataframe_records": [{"y": 1.0}]}', "x"),
        (b'{"dataframe_records": [{"x": "many"}]}', "many|double"),
        (b'{"dataframe_split": {"columns": ["x"], "data": [[1, 2]]}}', "column"),
        (b'{"rows": [[1]]}', "dataframe_split"),
    ],
)
def test_malformed_rows_and_wrong_columns(
    strict: tuple[Services, str], payload: bytes, said: str
) -> None:
    import re

    services, token = strict
    status, body = post(services.client.get("strict").url, token, payload)
    assert status == 400
    assert body["error_code"] in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
    assert re.search(said, body["message"])


def test_a_body_over_16_mb(strict: tuple[Services, str]) -> None:
    services, token = strict
    status, body = post(services.client.get("strict").url, token, b" " * (17 * 1024 * 1024))
    assert status == 400
    assert body["error_code"] == "BAD_REQUEST"
    assert "16" in body["message"]
    status, _ = post(
        services.client.get("strict").url, token, b'{"dataframe_records": [{"x": 1.0}]}'
    )
    assert status == 200


def test_a_name_with_a_slash(strict: tuple[Services, str], zoo: Zoo) -> None:
    services, token = strict
    with pytest.raises(InvalidParameter, match=r"'a/b'.*'a-b'"):
        services.client.create("a/b", {"served_entities": [zoo.entity(zoo.doubles())]})
    with pytest.raises(NotFound, match="'a/b'"):
        services.client.get("a/b")
    path = f"/serving-endpoints/{quote('a/b', safe='')}/invocations"
    status, body = post(services.client.get("strict").url, token, b"{}", path)
    assert (status, body["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "a/b" in body["message"]


def test_an_alias_that_does_not_exist(shared_services: Services, zoo: Zoo) -> None:
    client = shared_services.client_started()
    zoo.forest()
    with pytest.raises(NotFound, match="champion"):
        entity = zoo.entity("models:/iris/1") | {"entity_version": "@champion"}
        client.create("x", {"served_entities": [entity]})


def test_a_stopped_endpoint(services: Services, zoo: Zoo) -> None:
    client = services.client_started()
    client.create("paused", {"served_entities": [zoo.entity(zoo.doubles())]})
    endpoint = client.wait("paused")
    token = client.token("paused")
    client.stop("paused")
    until(lambda: client.get("paused").phase == "STOPPED", what="STOPPED")
    body = b'{"dataframe_records": [{"x": 1.0}]}'
    status, answer = post(endpoint.url, token, body)
    assert status == 400
    assert "jupyter serving start paused" in answer["message"]
    client.start("paused")
    client.wait("paused")
    status, answer = post(endpoint.url, token, body)
    assert (status, answer) == (200, {"predictions": [{"x": 2.0}]})


def test_a_port_in_use(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("JUPYTER_SERVING_GATEWAY_PORT", str(port))
        client = services.client_started()
        problem = until(
            lambda: [p for p in client.status()["problems"] if str(port) in p], what="the problem"
        )
        assert "in use" in problem[0]
        assert "gateway_port" in problem[0] or "GATEWAY_PORT" in problem[0]


def test_a_full_disk(tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system of 3 MB: the model does not fit; the endpoint says so and everything else goes on."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)]
    subprocess.run(mount, check=True)
    services = Services(small / "data")
    monkeypatch.setenv("JUPYTER_SERVING_DATA_DIR", str(small / "data"))
    try:
        client = services.client_started()
        filler = small / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            except OSError:
                pass
        with pytest.raises(Exception, match=r"(?i)full|space"):
            client.create("big", {"served_entities": [zoo.entity(zoo.forest())]})
            client.wait("big")
        filler.unlink()
        assert [e.name for e in client.list()] in ([], ["big"])
        client.deploy("big", zoo.entity(zoo.forest()))
        assert client.wait("big").phase == "READY"
    finally:
        services.end()
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_no_controller(services: Services) -> None:
    with pytest.raises(ControllerDown, match="jupyter serving start"):
        connect.local(services.places.data, start=False)


def test_a_stale_socket_is_replaced(services: Services) -> None:
    services.places.prepare()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(services.places.controller_socket))
    assert services.places.controller_socket.exists()
    with pytest.raises(ControllerDown):
        connect.local(services.places.data, start=False)
    client = services.client_started()
    assert client.list() == []


def test_a_controller_that_cannot_start_tells_why(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SERVING_QUEUE_LIMIT", "many")
    with pytest.raises(ControllerDown, match=r"(?s)QUEUE_LIMIT.*many"):
        connect.local(services.places.data)


def test_a_long_data_directory_works(
    tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("d" * 110) / ("e" * 110)
    assert len(str(long)) > 200
    monkeypatch.setenv("JUPYTER_SERVING_DATA_DIR", str(long))
    services = Services(long)
    try:
        client = services.client_started()
        client.create("far", {"served_entities": [zoo.entity(zoo.doubles())]})
        client.wait("far")
        assert client.query("far", {"dataframe_records": [{"x": 4.0}]}).predictions == [{"x": 8.0}]
    finally:
        services.end()


def test_a_second_update_while_one_runs_is_refused(services: Services, zoo: Zoo) -> None:
    client = services.client_started()
    entity = zoo.entity(zoo.doubles())
    client.create("busy", {"served_entities": [entity]})
    with pytest.raises(Exception, match="being updated"):
        client.update("busy", {"served_entities": [entity]})
    client.wait("busy")
    client.update("busy", {"served_entities": [entity]})
    client.wait("busy")


def test_a_failed_update_leaves_the_old_config_serving(services: Services, zoo: Zoo) -> None:
    client = services.client_started()
    client.create("sturdy", {"served_entities": [zoo.entity(zoo.doubles())]})
    client.wait("sturdy")
    client.update("sturdy", {"served_entities": [zoo.entity(zoo.raises_in_load())]})
    with pytest.raises(StartFailed, match="the weights are missing"):
        client.wait("sturdy")
    assert client.get("sturdy").phase == "UPDATE_FAILED"
    query = client.query("sturdy", {"dataframe_records": [{"x": 4.0}]})
    assert query.predictions == [{"x": 8.0}]
    detail = client.get("sturdy").detail
    assert detail["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
    failed = detail["pending_config"]["served_entities"][0]["state"]
    assert failed["deployment"] == "DEPLOYMENT_FAILED"
    assert "the weights are missing" in failed["deployment_state_message"]


def test_a_command_without_a_server_is_one_line(services: Services) -> None:
    services.places.prepare()
    (services.places.data / "store.sqlite").write_bytes(b"not a database" * 100)
    command = [sys.executable, "-m", "jupyter_serving.cli", "list"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ), timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "store" in done.stderr


def test_a_killed_service_is_not_mistaken_for_another(services: Services) -> None:
    client = services.client_started()
    pid = services.pid_of("controller")
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in services.census(), what="the end of the controller")
    again = connect.local(services.places.data)
    assert again.places == services.places
    assert client.list() == []
    assert services.pid_of("controller") != pid
