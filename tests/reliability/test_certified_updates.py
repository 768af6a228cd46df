"""Updates prove themselves: a replay of captured requests decides, and a certificate tells what clients noticed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from load import ClosedLoop
from services import Services, until
from zoo import Zoo

from jupyter_serving import cli
from jupyter_serving.errors import StartFailed

GATE = {"gate": {"replay": {"max_changed": 0.0, "min_requests": 5}}}
CAPTURE = {"max_requests": 50}


def config(zoo: Zoo, uri: str, **more: Any) -> dict[str, Any]:
    return {"served_entities": [zoo.entity(uri)], "capture": CAPTURE, **more}


def test_a_replay_lets_the_same_answers_pass_and_other_answers_not(
    services: Services, zoo: Zoo
) -> None:
    client = services.client_started()
    client.create("twice", config(zoo, zoo.doubles(), update=GATE))
    endpoint = client.wait("twice")
    rows = {"dataframe_records": [{"x": 1.5}, {"x": 2.5}]}
    with ClosedLoop(endpoint.url, f"Bearer {endpoint.token()}", rows, clients=2) as load:
        load.flows()
        until(lambda: len(endpoint.captures()) >= 20, what="captured requests")

        client.update("twice", config(zoo, zoo.raises_in_predict(), update=GATE))
        with pytest.raises(StartFailed, match="rows changed"):
            client.wait("twice")
        load.flows()

        client.update("twice", config(zoo, zoo.doubles_rows(), update=GATE))
        client.wait("twice")
        load.flows()
    assert load.failures() == []

    def certified() -> list[Any]:
        """All three, once the gateway's last report is in them."""
        found = endpoint.updates()
        told = len(found) == 3 and all(u.detail["requests"] for u in found[1:])
        return list(found) if told and found[1].complete else []

    first, refused, passed = until(certified, what="three certificates")
    assert refused.detail["p95"].get("after") is None  # the next update ended the minute after it
    assert first.replay is not None
    assert "no config before" in first.replay.text
    assert (refused.outcome, passed.outcome) == ("FAILED", "SUCCEEDED")
    for update, version in ((refused, 2), (passed, 3)):
        assert update.failed == 0
        assert update.detail["replaced"] == 1
        assert update.text.startswith(f"Config {version} ")
        assert update.detail["p95"]["during"] > 0
        assert update.detail["phases"]["gate"] > 0
    assert refused.replay is not None
    assert not refused.replay.passed
    # MLflow answers records for the one and plain numbers for the other.
    changed = refused.replay.rows[0]
    assert changed["input"] == '{"x": 1.5}'
    assert "3.0" in changed["before"]
    assert "1.5" in changed["after"]
    assert "Before" in refused.replay._repr_mimebundle_()["text/html"]
    assert passed.replay is not None
    assert passed.replay.passed
    assert passed.replay.detail["changed"] == 0

    # What was replayed is no traffic: history and clients agree to the request.
    def told() -> float:
        return sum(n or 0 for n in endpoint.history(minutes=10, step=1)["finished"])

    until(lambda: told() >= len(load.answers), what="the last report")
    assert told() == len(load.answers)


def test_a_controller_killed_during_an_update_leaves_history_and_certificate(
    services: Services, zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client, gate = services.client_started(), tmp_path / "gate"
    client.create("kept", {"served_entities": [zoo.entity(zoo.doubles())]})
    endpoint = client.wait("kept")

    def total(column: str) -> float:
        return sum(n or 0 for n in endpoint.history(minutes=10, step=1)[column])

    row = {"dataframe_records": [{"x": 1.0}]}
    with ClosedLoop(endpoint.url, f"Bearer {endpoint.token()}", row, clients=2) as load:
        load.flows()
        waits = zoo.entity(zoo.waits_in_load(), environment_vars={"GATE": str(gate)})
        client.update("kept", {"served_entities": [waits]})
        until(lambda: client.get("kept").live["replicas"]["starting"] == 1, what="a start")
        # Written every three seconds: so many are on disk.
        seen = len(load.answers)
        until(lambda: any(folder_of(services)), what="seconds on disk")
        until(lambda: len(load.answers) > seen + 100, what="more answers")
        pid = services.pid_of("controller")
        load.mark("killed")
        os.kill(pid, signal.SIGKILL)
        load.flows()
        gate.touch()
        client.wait("kept")
        load.flows()
    assert load.failures() == []
    update = until(
        lambda: [u for u in endpoint.updates()[1:] if u.detail["requests"]], what="the certificate"
    )[0]
    assert (update.outcome, update.failed, update.detail["replaced"]) == ("SUCCEEDED", 0, 1)
    assert "restarted" in update.detail["notes"][0]
    # A few seconds at the most are missing; what the gateway counted in between is there.
    lost = [a for a in load.answers if load.marks["killed"] - 10 <= a.at <= load.marks["killed"]]
    until(lambda: total("finished") >= len(load.answers) - len(lost), what="the last report")
    assert total("finished") <= len(load.answers)

    for verb in ("history", "updates"):
        assert cli.main([verb, "kept"]) == 0
        assert capsys.readouterr().out.strip()
        assert cli.main([verb, "kept", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
    endpoint.delete()
    until(lambda: not any(folder_of(services)), what="the end of the deleted endpoint's history")


def folder_of(services: Services) -> list[Path]:
    """Files of the metrics history."""
    return list((services.places.data / "history").glob("*/*"))
