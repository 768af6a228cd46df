from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from services import Services

from jupyter_serving import doctor
from jupyter_serving.places import Places


def one(checks: list[doctor.Check], name: str) -> doctor.Check:
    return next(check for check in checks if check.name == name)


def test_every_check_has_a_state_and_what_is_not_well_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SERVING_DATA_DIR", str(tmp_path / "data"))
    checks = doctor.run()
    names = [check.name for check in checks]
    assert len(set(names)) == len(names) >= 9
    for check in checks:
        assert check.state in ("ok", "warn", "fail")
        assert check.found
        assert check.state == "ok" or check.fix, check
    assert not (tmp_path / "data").exists()  # looking changes nothing


def test_running_services_are_examined(services: Services) -> None:
    client = services.client_started()
    checks = doctor.run()
    assert one(checks, "controller").state == "ok"
    assert str(client.status()["pid"]) in one(checks, "controller").found


def test_a_stale_socket_is_named(services: Services) -> None:
    services.places.prepare()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(services.places.controller_socket))
    assert "left behind" in one(doctor.run(), "controller").found


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("free", "state"), [(50e9, "ok"), (3e9, "warn"), (1e8, "fail")])
def test_a_small_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, int(free)))
    assert doctor.disk(tmp_path / "data").state == state


def test_a_network_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "is_network", lambda _: True)
    assert doctor.data_directory(tmp_path / "data").state == "fail"


def test_a_directory_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = doctor.data_directory(tmp_path / "data")
    assert (found.state, str(tmp_path) in found.found) == ("fail", True)


def test_missing_uv_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert doctor.uv().state == "fail"
    assert "pip install uv" in doctor.uv().fix


def test_a_port_in_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("JUPYTER_SERVING_GATEWAY_PORT", str(other.getsockname()[1]))
        found = doctor.port(Places.of(tmp_path))
    assert found.state == "fail"
    assert "JUPYTER_SERVING_GATEWAY_PORT" in found.fix


def test_what_ends_the_services_is_told() -> None:
    assert "Slurm job 7" in doctor.lifetime({"SLURM_JOB_ID": "7"}).found
    hub = doctor.lifetime({"KUBERNETES_SERVICE_HOST": "h", "JUPYTERHUB_USER": "me"})
    assert (hub.state, "JupyterHub spawned" in hub.found) == ("warn", True)


def test_another_version_of_the_services_is_told() -> None:
    found = doctor._controller({"pid": 1, "version": "0.0.0-other", "endpoints": 2})
    assert (found.state, "keep-replicas" in found.fix) == ("warn", True)


@pytest.mark.parametrize(
    ("gateway", "state"),
    [
        ({"pid": 1, "url": "u", "alive": False}, "fail"),
        ({"pid": 1, "url": "u", "alive": True, "port": 1}, "warn"),
    ],
)
def test_a_gateway_that_is_down_is_told(gateway: dict[str, Any], state: str) -> None:
    assert doctor._gateway({"gateway": gateway}).state == state


def test_a_check_that_breaks_is_a_finding() -> None:
    def breaks() -> doctor.Check:
        raise OSError("no such device")

    found = doctor._guarded(breaks)
    assert (found.name, found.state) == ("breaks", "warn")
    assert "no such device" in found.found
