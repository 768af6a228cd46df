"""The command line: what scripts rely on (JSON, exit status), and what a person reads."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import Services, until
from zoo import Zoo

from jupyter_serving import cli
from jupyter_serving.commands.console import Progress
from jupyter_serving.processes import Identity

Run = tuple[int, str, str]


@pytest.fixture
def run(shared_services: Services, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run one command against the shared data directory; gives status, output and errors."""
    shared_services.client_started()

    def run(*words: str) -> Run:
        capfd.readouterr()
        try:
            status = cli.main([*words, "--data-dir", str(shared_services.places.data)])
        except SystemExit as end:  # argparse ends the process for wrong usage
            status = int(str(end.code))
        told = capfd.readouterr()
        return status, told.out, told.err

    return run


@pytest.fixture(scope="module")
def deployed(shared_services: Services, zoo: Zoo) -> Iterator[dict[str, Any]]:
    """What ``deploy --wait --json`` prints, run as scripts run it."""
    uri, data = zoo.doubles(), str(shared_services.places.data)
    given = (
        f"--tracking-uri {zoo.uri} --max-concurrency 1 --env MODE=test --idle 900 --data-dir {data} "
        "--target-utilisation 0.5 --scale-down-window 90"
    )
    command = f"-m jupyter_serving.cli deploy {uri} --name cli --wait --json {given}"
    told = subprocess.run(
        [sys.executable, *command.split()],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert told.returncode == 0, told.stderr
    yield json.loads(told.stdout) | {"stderr": told.stderr}
    shared_services.client.delete("cli")


def test_deploy_prints_what_a_program_needs_to_query(deployed: dict[str, Any]) -> None:
    assert deployed["name"] == "cli"
    assert deployed["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    entity = deployed["config"]["served_entities"][0]
    assert entity["environment_vars"] == {"MODE": "test"}
    assert (entity["scale_to_zero_enabled"], entity["scale_to_zero_seconds"]) == (True, 900.0)
    headers = {"Content-Type": "application/json", "Authorization": deployed["authorization"]}
    body = b'{"dataframe_records": [{"x": 2.0}]}'
    request = urllib.request.Request(deployed["invocations_url"], body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer) == {"predictions": [{"x": 4.0}]}


def test_progress_goes_to_standard_error_a_line_per_phase(deployed: dict[str, Any]) -> None:
    lines = deployed["stderr"].splitlines()
    assert any(line.startswith("ready") for line in lines)
    assert "\x1b" not in deployed["stderr"]


@pytest.mark.usefixtures("deployed")
def test_list_and_get(run: Any) -> None:
    status, out, _ = run("list", "--json")
    assert status == 0
    assert "cli" in [e["name"] for e in json.loads(out)["endpoints"]]
    assert json.loads(run("get", "cli", "--json")[1])["name"] == "cli"
    assert "cli" in run("list")[1]
    text = run("get", "cli")[1]
    assert "delete with jupyter serving delete cli" in text
    assert "scales to zero after 15 min idle" in text


@pytest.mark.usefixtures("deployed")
def test_query_takes_csv_json_and_standard_input(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d.csv").write_text("x\n1\n2.5\n")
    (tmp_path / "d.json").write_text('[{"x": 3}]')
    assert run("query", "cli", "--data", str(tmp_path / "d.csv"))[1] == '[{"x": 2.0}, {"x": 5.0}]\n'
    told = json.loads(run("query", "cli", "--data", str(tmp_path / "d.json"), "--json")[1])
    assert told["predictions"] == [{"x": 6.0}]
    assert told["served_entity"] == "doubles-1"
    for text in ('{"x": 4}', "x\n4\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert run("query", "cli", "--data", "-")[1] == '[{"x": 8.0}]\n'


@pytest.mark.usefixtures("deployed")
def test_what_was_recorded_is_simulated_and_makes_advice(run: Any, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('[{"x": 3}]')
    assert run("query", "cli", "--data", str(tmp_path / "d.json"))[0] == 0
    until(lambda: run("simulate", "cli", "--json")[0] == 0, what="a record of the request")
    status, out, errors = run("simulate", "cli", "--idle", "60,never", "--hours", "1", "--json")
    assert status == 0, errors
    now, short, never = json.loads(out)["settings"]
    assert now["setting"].startswith("now: 0-1 slots, idle 15 min")
    assert (short["setting"], never["setting"]) == ("idle 1 min", "idle never")
    assert all(line["replicas_max"] <= 1.0 for line in (now, short, never))
    assert "COLD STARTS/DAY" in run("simulate", "cli")[1]
    advised = until(
        lambda: json.loads(run("why", "cli", "--json")[1])["served_entities"][0].get("advice"),
        what="advice",
    )
    sizing = advised["sizing"]
    assert (sizing["provisioned"], sizing["needed"], sizing["advised"]) == (1, 1, 1)
    assert sizing["execution_seconds"] > 0
    assert f"Advice: {sizing['text']}" in run("why", "cli")[1]


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("d.json", "{bad", "is not valid JSON"),
        ("d.json", '[{"wrong": 1}]', "missing inputs ['x']"),
        ("d.parquet", "x", "neither a .csv nor a .json"),
        ("d.csv", None, "cannot be read"),
    ],
)
def test_bad_data_is_told(
    run: Any, tmp_path: Path, name: str, content: str | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    status, out, err = run("query", "cli", "--data", str(tmp_path / name))
    assert (status, out) == (1, "")
    assert why in err


@pytest.mark.usefixtures("deployed")
def test_why_tells_the_sentence_the_rules_of_the_endpoint_and_the_changes(run: Any) -> None:
    told = json.loads(run("why", "cli", "--json")[1])
    rules = told["served_entities"][0]["rules"]
    assert (rules["target_utilisation"], rules["scale_down_window_seconds"]) == (0.5, 90.0)
    assert told["decisions"][0]["wanted_before"] == 0
    text = run("why", "cli")[1]
    assert "1 replica kept" in text
    assert "50% of the slots busy; windows 60 s and 6 s" in text
    assert "Up from 0 to 1 replica" in text
    assert len(json.loads(run("why", "cli", "--json", "--limit", "0")[1])["decisions"]) == 0


@pytest.mark.usefixtures("deployed")
def test_logs_events_and_tokens(run: Any) -> None:
    assert run("logs", "cli")[1]
    assert "environment" in run("logs", "cli", "--build")[1]
    assert "logs" in json.loads(run("logs", "cli", "--json")[1])
    assert "ENDPOINT_CREATED" in run("events", "cli")[1]
    assert (
        json.loads(run("events", "cli", "--json", "--limit", "1")[1])["events"][0]["endpoint"]
        == "cli"
    )
    assert run("token", "cli")[1].startswith("Authorization: Bearer jst_")
    assert json.loads(run("token", "cli", "--json")[1])["authorization"].startswith("Bearer jst_")


def test_an_error_is_one_line_or_one_json_object(run: Any) -> None:
    status, out, err = run("get", "nobody")
    assert (status, out) == (1, "")
    assert err.startswith("jupyter serving: There is no endpoint 'nobody'.")
    assert len(err.splitlines()) == 1
    status, out, err = run("get", "nobody", "--json")
    assert (status, out) == (1, "")
    assert json.loads(err)["error_code"] == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "iris/1"),
        ("deploy", "iris/1", "--name", "x", "--size", "Huge"),
        ("nothing",),
        ("query", "x"),
        ("deploy", "iris/1", "--name", "x", "--idle", "soon"),
    ],
)
def test_wrong_usage_has_status_2(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2


def test_bad_names_models_and_variables_are_told(run: Any, zoo: Zoo) -> None:
    zoo.unsigned()
    where = ("--tracking-uri", zoo.uri)
    assert "Try 'a-b'" in run("deploy", "doubles/1", "--name", "a/b", *where)[2]
    assert "does not name a model" in run("deploy", "iris", "--name", "x", *where)[2]
    assert "no registered model 'nope'" in run("deploy", "nope/1", "--name", "x", *where)[2]
    assert "NAME=VALUE" in run("deploy", "doubles/1", "--name", "x", "--env", "A", *where)[2]
    status, _, err = run("deploy", "unsigned/1", "--name", "unsigned", "--wait", *where)
    assert status == 1
    assert "has no signature" in err
    run("delete", "unsigned", "--yes")


def test_delete_asks_unless_told_not_to(
    run: Any, shared_services: Services, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared_services.client
    client.create("goner", {"served_entities": [zoo.entity(zoo.doubles())]}).wait(120)
    status, _, err = run("delete", "goner")
    assert status == 1
    assert "--yes" in err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    status, _, err = run("delete", "goner")
    assert status == 1
    assert "doubles version 1" in err
    assert "tokens, events and logs are lost" in err
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    assert run("delete", "goner")[:2] == (0, "Deleted the endpoint goner.\n")
    assert "goner" not in {e.name for e in client.list()}


def test_an_endpoint_is_stopped_and_started_by_name(
    run: Any, shared_services: Services, zoo: Zoo
) -> None:
    client = shared_services.client
    client.create("pausing", {"served_entities": [zoo.entity(zoo.doubles())]}).wait(120)
    assert run("stop", "pausing")[0] == 0
    until(lambda: client.get("pausing").phase == "STOPPED", 60, "the stop")
    assert run("start", "pausing", "--json")[0] == 0
    assert client.wait("pausing", 120).phase == "READY"
    client.delete("pausing")


def test_status_names_services_and_endpoints(
    run: Any, deployed: dict[str, Any], shared_services: Services
) -> None:
    _, out, _ = run("status")
    assert str(shared_services.places.data) in out
    assert "cli" in out
    facts = json.loads(run("status", "--json")[1])
    assert facts["running"] is True
    assert facts["gateway"]["url"] in deployed["invocations_url"]


def test_the_services_start_stop_and_tell_that_they_are_down(
    services: Services, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status"]) == 1
    assert "No controller runs" in capfd.readouterr().out
    assert cli.main(["stop"]) == 0
    assert cli.main(["start", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out.splitlines()[-1])
    controller = Identity.of(facts["pid"])
    assert controller is not None
    assert cli.main(["stop"]) == 0
    until(lambda: not controller.alive(), 30, "the controller's end")
    until(lambda: not services.census(), 30, "the end of all processes")


def test_an_interrupt_has_status_130(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main(["list"]) == 130
    assert "interrupted" in capfd.readouterr().err


def test_a_reader_that_went_away_is_no_traceback(shared_services: Services) -> None:
    shared_services.client_started()
    program = f"{sys.executable} -m jupyter_serving.cli doctor | true"
    told = subprocess.run(program, shell=True, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in told.stderr


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["deploy", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0
    out = capfd.readouterr().out
    assert "quickstart" in out
    assert "--scale-to-zero, --no-scale-to-zero" in out
    assert out.splitlines()[-1].startswith("jupyter-serving ")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_live_line_that_fits() -> None:
    screen = Screen()
    progress = Progress(screen, clock=lambda: 0.0, width=lambda: 40)
    progress.say("x" * 100)
    progress.phase("SCALED_TO_ZERO", "", 1.0)
    progress.done()
    assert "\n" not in screen.getvalue()
    parts = screen.getvalue().split("\r\x1b[K")
    assert parts[1] == "x" * 39
    assert parts[2] == "scaled to zero (0.0 s)"
    assert parts[-1] == ""


def test_a_file_gets_a_line_for_each_change() -> None:
    file = io.StringIO()
    progress = Progress(file, clock=lambda: 0.0)
    for message in ("staging", "staging", "loading"):
        progress.phase("CREATING", message, 1.0)
    progress.done()
    assert file.getvalue() == "creating: staging (0.0 s)\ncreating: loading (0.0 s)\n"
