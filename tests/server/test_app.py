"""The extension application: how it is loaded, what it starts, what it takes back."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from traitlets.config import Config

import jupyter_serving
from jupyter_serving.connect import credential
from jupyter_serving.server import kernels
from jupyter_serving.server.app import ServingApp
from jupyter_serving.settings import Settings

from .conftest import wait_for


def test_the_extension_point_names_the_app():
    points = jupyter_serving._jupyter_server_extension_points()
    assert points == [{"module": "jupyter_serving.server", "app": ServingApp}]


def test_extension_list_says_ok(jp_environ, jp_config_dir):
    folder = jp_config_dir / "jupyter_server_config.d"
    folder.mkdir(parents=True)
    enabled = {"ServerApp": {"jpserver_extensions": {"jupyter_serving": True}}}
    (folder / "jupyter_serving.json").write_text(json.dumps(enabled))
    listed = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in (listed.stdout + listed.stderr).splitlines() if "serving" in line]
    assert any("enabled" in line for line in lines), listed
    assert any("OK" in line for line in lines), listed


async def test_kernels_are_told_at_start_and_not_before(
    serving, jp_serverapp, places, jp_runtime_dir
):
    assert "JUPYTER_SERVING_URL" not in os.environ
    await serving._start_jupyter_server_extension(jp_serverapp)
    url = os.environ["JUPYTER_SERVING_URL"]
    assert url == f"http://127.0.0.1:{jp_serverapp.port}/a%40b/jupyter-serving"
    path = os.environ["JUPYTER_SERVING_CREDENTIAL_FILE"]
    assert credential(os.environ) == jp_serverapp.identity_provider.token
    assert os.environ["JUPYTER_SERVING_DATA_DIR"] == str(places.data)
    assert not places.data.exists(), "starting Jupyter must start and make nothing"
    await serving.stop_extension()
    assert "JUPYTER_SERVING_URL" not in os.environ
    assert path not in map(str, jp_runtime_dir.iterdir())


def a_full_disk(**_):
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_credential_that_cannot_be_written_stops_nothing(
    serving, jp_serverapp, monkeypatch, caplog
):
    monkeypatch.setattr(kernels.tempfile, "mkstemp", a_full_disk)
    await serving._start_jupyter_server_extension(jp_serverapp)
    assert "No space left" in caplog.text and "doctor" in caplog.text
    assert "JUPYTER_SERVING_URL" not in os.environ


async def test_an_extension_that_failed_to_load_can_be_stopped(serving):
    loaded, serving._forwarder = serving._forwarder, None
    await serving.stop_extension()
    serving._forwarder = loaded


class TestOneConfigurationFile:
    """`jupyter_serving_config` holds our settings and the extension's own; neither disturbs the other."""

    @pytest.fixture
    def jp_server_config(self, places, jp_config_dir):
        jp_config_dir.mkdir(parents=True, exist_ok=True)
        (jp_config_dir / "jupyter_serving_config.py").write_text(
            "c = get_config()\n"
            "c.Settings.max_body_bytes = 4_000_000\n"
            "c.ServingApp.log_level = 'WARN'\n"
        )
        return Config(
            {
                "ServerApp": {
                    "jpserver_extensions": {
                        "jupyter_serving": True,
                        "jupyter_server_terminals": False,
                    },
                    "allow_unauthenticated_access": False,
                }
            }
        )

    def test_both_are_read(self, serving):
        assert serving.max_body_bytes == 4_000_000
        assert serving.log_level == 30
        assert Settings.load().max_body_bytes == 4_000_000


class TestSettingsThatCannotBeRead:
    """Jupyter starts all the same, and says what is wrong."""

    @pytest.fixture
    def jp_server_config(self, capsys, places, monkeypatch):
        monkeypatch.setenv("JUPYTER_SERVING_MAX_BODY_BYTES", "many")
        return Config(
            {
                "ServerApp": {
                    "jpserver_extensions": {
                        "jupyter_serving": True,
                        "jupyter_server_terminals": False,
                    },
                    "allow_unauthenticated_access": False,
                    "reraise_server_extension_failures": True,
                }
            }
        )

    async def test_jupyter_starts_and_the_log_names_the_setting(self, capsys, anybody, url):
        assert "JUPYTER_SERVING_MAX_BODY_BYTES" in capsys.readouterr().err
        answer = await anybody.get(url + "/.well-known/databricks-config")
        assert answer.status_code == 200


def test_a_real_server_from_start_to_end(real_server, places, jp_runtime_dir, tmp_path):
    facts = real_server.facts
    files = wait_for(
        "the credential file", lambda: list(Path(jp_runtime_dir).glob("jupyter-serving-*"))
    )
    assert files[0].read_text() == facts["token"]
    base = facts["url"] + "jupyter-serving"
    answer = httpx.get(base + "/.well-known/databricks-config", trust_env=False)
    assert answer.json() == {}
    assert httpx.get(base + "/api/2.0/serving-endpoints", trust_env=False).status_code == 403
    assert not places.data.exists(), "nothing may start before its first use"
    real_server.stop()
    assert not files[0].exists(), (tmp_path / "log").read_text()
