"""What kernels are told."""

from __future__ import annotations

import stat

import pytest

from jupyter_serving.connect import credential
from jupyter_serving.server.kernels import announce, local_url


@pytest.mark.parametrize(
    "connection,ip,expected",
    [
        ("http://localhost:8888/", "localhost", "http://127.0.0.1:8888/jupyter-serving"),
        ("http://host:8888/a%40b/", "0.0.0.0", "http://127.0.0.1:8888/a%40b/jupyter-serving"),
        ("http://localhost:8888/", "", "http://127.0.0.1:8888/jupyter-serving"),
        ("https://10.0.0.5:8888/u/", "10.0.0.5", "https://10.0.0.5:8888/u/jupyter-serving"),
        ("http://[::1]:8888/", "::1", "http://[::1]:8888/jupyter-serving"),
        ("http+unix://%2Ftmp%2Fs/", "localhost", None),
    ],
)
def test_the_url_is_one_that_answers_on_this_machine(connection, ip, expected):
    assert local_url(connection, ip, 8888) == expected


def told(environ, tmp_path, token="secret", url="http://127.0.0.1:1/jupyter-serving"):
    return announce(
        environ, url=url, token=token, runtime_dir=tmp_path / "run", data_dir=tmp_path / "data"
    )


def test_the_token_is_in_a_file_for_its_owner_alone(tmp_path):
    environ = {}
    announcement = told(environ, tmp_path)
    assert "secret" not in environ.values()
    path = announcement.credential
    assert path.read_text() == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert credential(environ) == "secret"
    assert environ["JUPYTER_SERVING_URL"] == "http://127.0.0.1:1/jupyter-serving"
    assert environ["JUPYTER_SERVING_DATA_DIR"] == str(tmp_path / "data")


def test_withdrawal_leaves_nothing_and_restores_what_was(tmp_path):
    environ = {"JUPYTER_SERVING_DATA_DIR": "/earlier", "HOME": "/h"}
    announcement = told(environ, tmp_path)
    announcement.withdraw()
    assert environ == {"JUPYTER_SERVING_DATA_DIR": "/earlier", "HOME": "/h"}
    assert list((tmp_path / "run").iterdir()) == []
    announcement.withdraw()


def test_withdrawal_leaves_what_another_server_said_meanwhile(tmp_path):
    environ = {}
    announcement = told(environ, tmp_path)
    environ["JUPYTER_SERVING_URL"] = "http://127.0.0.1:2/jupyter-serving"
    announcement.withdraw()
    assert environ == {"JUPYTER_SERVING_URL": "http://127.0.0.1:2/jupyter-serving"}


def test_under_a_hub_the_credential_is_the_hubs(tmp_path):
    environ = {"JUPYTERHUB_SERVICE_PREFIX": "/user/a/", "JUPYTERHUB_API_TOKEN": "hub-token"}
    announcement = told(environ, tmp_path, token="")
    assert announcement.credential is None
    assert "JUPYTER_SERVING_CREDENTIAL_FILE" not in environ
    assert credential(environ) == "hub-token"
    assert "JUPYTER_SERVING_URL" in environ


@pytest.mark.parametrize("token,url", [("", "http://x/"), ("secret", None)])
def test_without_a_token_or_a_port_there_is_no_credential(tmp_path, token, url):
    environ = {}
    assert told(environ, tmp_path, token=token, url=url).credential is None
    assert "JUPYTER_SERVING_CREDENTIAL_FILE" not in environ
    assert environ["JUPYTER_SERVING_DATA_DIR"] == str(tmp_path / "data")
