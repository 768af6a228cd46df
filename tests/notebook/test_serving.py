from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from services import Services, until
from zoo import Zoo

import jupyter_serving as js
from jupyter_serving import connect
from jupyter_serving.errors import ControllerDown, InvalidParameter
from jupyter_serving.notebook import serving
from jupyter_serving.processes import Identity


@pytest.mark.usefixtures("shell")
def test_the_functions_do_what_the_magic_does(zoo: Zoo) -> None:
    endpoint = js.deploy(
        zoo.doubles(), "coded", tracking_uri=zoo.uri, max_concurrency=1, idle_seconds=900
    )
    assert list(endpoint.query([{"x": 1.0}])) == [{"x": 2.0}]
    assert endpoint.served_entities[0]["scale_to_zero_seconds"] == 900
    assert js.endpoint("coded").phase == "READY"
    assert "coded" in [e.name for e in js.endpoints()]
    js.delete("coded")
    assert "coded" not in [e.name for e in js.endpoints()]


@pytest.mark.usefixtures("shell")
def test_the_registered_name_is_the_endpoints_unless_told(zoo: Zoo) -> None:
    endpoint = js.deploy(zoo.doubles(), tracking_uri=zoo.uri, max_concurrency=1)
    assert endpoint.name == "doubles"
    endpoint.delete()


@pytest.mark.usefixtures("shell")
def test_a_missing_name_is_told() -> None:
    with pytest.raises(InvalidParameter, match="has no name"):
        js.deploy(lambda rows: rows)
    with pytest.raises(InvalidParameter, match="does not tell a name"):
        js.deploy("runs:/abc/model")


def test_a_controller_that_was_killed_is_found_again(
    services: Services, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SERVING_DATA_DIR", str(services.places.data))
    assert js.endpoints() == []
    identity = Identity.of(services.pid_of("controller"))
    assert identity is not None
    identity.signal(9)
    until(lambda: not identity.alive(), 30, "its end")
    assert js.endpoints() == []
    assert services.pid_of("controller") != identity.pid


def test_a_server_that_has_gone_is_looked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        """A client of a server that went away."""

    class Here:
        """A client of the server that is there now."""

    clients = iter([Gone(), Here()])
    monkeypatch.setattr(connect, "find", lambda **_: None)
    monkeypatch.setattr(serving, "Client", lambda **_: next(clients))

    def ask(client: Any) -> str:
        if isinstance(client, Gone):
            raise ControllerDown("nobody listens")
        return "answer"

    assert serving._Default().ask(ask) == "answer"
