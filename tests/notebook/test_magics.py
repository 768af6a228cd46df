from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from services import Services, until
from zoo import Zoo

from jupyter_serving.errors import InvalidParameter, NotFound, ServingError
from jupyter_serving.handle import Endpoint
from jupyter_serving.notebook.magics import OPTIONS, USAGE, VERBS


@pytest.fixture
def own_registry(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow configured as a notebook has it by default: a SQLite file in the working directory."""
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    # The experiment that another test has set is one of another store.
    mlflow.set_experiment("Default")
    yield
    mlflow.set_tracking_uri(before)


def deploy_doubles(magic: Any, zoo: Zoo, name: str, more: str = "") -> Endpoint:
    given = f"--tracking-uri {zoo.uri} --max-concurrency 1 {more}"
    endpoint = magic(f"deploy {zoo.doubles()} --name {name} {given}")
    assert isinstance(endpoint, Endpoint)
    return endpoint


def simulation(magic: Any) -> Any:
    """The simulated table, None while nothing is recorded."""
    try:
        return magic("simulate magic --idle 60,300")
    except InvalidParameter:
        return None


@pytest.mark.usefixtures("own_registry")
def test_a_fitted_model_in_a_variable_becomes_an_endpoint(
    magic: Any, shell: InteractiveShell, zoo: Zoo
) -> None:
    rows, model = zoo.iris
    shell.user_ns |= {"forest": model, "df": rows, "some": rows.iloc[[0, 70, 149]]}
    endpoint = magic("deploy forest --name magic-iris --data df --max-concurrency 1")
    assert endpoint.phase == "READY"
    assert "delete with %serve delete magic-iris" in repr(endpoint)
    assert (
        list(magic("query magic-iris --data some"))
        == model.predict(rows.iloc[[0, 70, 149]]).tolist()
    )
    # The same again without data: the inputs are assumed, and that is said.
    assert "assumed to be floating-point" in repr(
        magic("deploy forest --name magic-iris --max-concurrency 1")
    )
    assert endpoint.refresh().served_entities[0]["entity_version"] == "2"
    assert magic("delete magic-iris") is None
    with pytest.raises(NotFound):
        endpoint.refresh()


def test_a_registered_model_is_deployed_queried_and_looked_after(
    magic: Any,
    shell: InteractiveShell,
    zoo: Zoo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deploy_doubles(magic, zoo, "magic", "--env MODE='with blanks' --idle 900")
    shell.user_ns["rows"] = [{"x": 1.0}]
    assert list(magic("query magic --data rows")) == [{"x": 2.0}]
    (tmp_path / "d.csv").write_text("x\n3\n")
    (tmp_path / "d.json").write_text('{"x": 4}')
    assert list(magic(f"query magic --data {tmp_path / 'd.csv'}")) == [{"x": 6.0}]
    assert list(magic(f"query magic --data {tmp_path / 'd.json'}")) == [{"x": 8.0}]
    cell = shell.run_cell('%%serve query magic\n{"dataframe_records": [{"x": 5}]}')
    cell.raise_error()
    assert list(cell.result) == [{"x": 10.0}]
    entity = magic("status magic").served_entities[0]
    assert entity["environment_vars"] == {"MODE": "with blanks"}
    assert "magic" in [e.name for e in magic("list")]
    assert "<td" in magic("status")._repr_mimebundle_()["text/html"]
    assert "controller pid" in capsys.readouterr().out
    assert "worker" in repr(magic("logs magic"))
    assert "environment" in repr(magic("logs magic --build"))
    assert "ENDPOINT_CREATED" in repr(magic("events magic"))
    assert "Last changes" in magic("why magic")._repr_mimebundle_()["text/html"]
    simulated = until(lambda: simulation(magic), what="a record of the queries")
    assert "<table" in simulated._repr_mimebundle_()["text/html"]
    assert [line.setting for line in simulated][1:] == ["idle 1 min", "idle 5 min"]
    magic("stop magic")
    until(lambda: magic("status magic").phase == "STOPPED", 60, "the stop")
    magic("start magic").wait(120)
    magic("delete magic --yes")
    assert "Deleted the endpoint magic" in capsys.readouterr().out


def test_deploy_without_waiting_returns_at_once(magic: Any, zoo: Zoo) -> None:
    endpoint = deploy_doubles(magic, zoo, "hasty", "--no-wait")
    assert endpoint.wait(120).phase == "READY"
    endpoint.delete()


@pytest.mark.usefixtures("own_registry")
def test_log_registers_without_deploying(magic: Any, shell: InteractiveShell, zoo: Zoo) -> None:
    rows, model = zoo.iris
    shell.user_ns |= {"forest": model, "df": rows}
    logged = magic("log forest --name only-logged --data df")
    assert repr(logged) == "<models:/only-logged/1>"
    shell.user_ns["logged"] = logged
    endpoint = magic("deploy logged --max-concurrency 1")
    assert endpoint.name == "only-logged"
    endpoint.delete()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("deplyo x", "Did you mean 'deploy'"),
        ("deploy", "the following arguments are required: model"),
        ("deploy forest", "give the endpoint a name"),
        ("deploy forrest --name x", "Did you mean 'forest'"),
        ("deploy forest --name x --size Huge", "invalid choice: 'Huge'"),
        ("deploy forest --name 'x", "No closing quotation"),
        ("query x", "--data VARIABLE"),
        ("query x --data nothing", "no variable 'nothing'"),
        ("query x --data no/file.json", "neither a variable, nor an expression"),
        ("query x --data forest.nothing", "forest.nothing fails: AttributeError"),
        ("query x --data no/file.csv", "cannot be read"),
        ("stop", "required: name"),
    ],
)
def test_wrong_usage_is_one_short_error(
    magic: Any, shell: InteractiveShell, line: str, why: str
) -> None:
    shell.user_ns["forest"] = lambda rows: rows
    with pytest.raises(UsageError) as told:
        magic(line)
    assert why in str(told.value)


@pytest.mark.parametrize("cell", ["%%serve list\n{}", "%%serve query x\n{bad"])
def test_a_wrong_cell_is_told(shell: InteractiveShell, cell: str) -> None:
    with pytest.raises(UsageError):
        shell.run_cell(cell).raise_error()


def test_an_error_is_shown_without_a_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    result = shell.run_cell("%serve status nobody")
    assert isinstance(result.error_in_exec, NotFound)
    told = capsys.readouterr()
    assert "There is no endpoint 'nobody'" in told.out + told.err
    assert "Traceback" not in told.out + told.err
    assert len((told.out + told.err).strip().splitlines()) == 1


def test_what_is_no_model_or_name_is_told(magic: Any, shell: InteractiveShell) -> None:
    shell.user_ns["number"] = 3
    with pytest.raises(InvalidParameter, match="is not a model"):
        magic("deploy number --name x")
    with pytest.raises(InvalidParameter, match="Try 'a-b'"):
        magic("deploy number --name a/b")


def test_the_models_own_failure_reaches_the_cell(
    magic: Any, shell: InteractiveShell, zoo: Zoo
) -> None:
    uri = zoo.raises_in_predict()
    magic(f"deploy {uri} --name raising --tracking-uri {zoo.uri} --max-concurrency 1")
    shell.user_ns["bad"] = [{"x": -1.0}]
    with pytest.raises(ServingError, match="x must not be negative"):
        magic("query raising --data bad")
    magic("delete raising")


def test_an_interrupt_stops_the_waiting_only(
    magic: Any,
    shell: InteractiveShell,
    zoo: Zoo,
    shared_services: Services,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "wait", interrupted)
        uri = zoo.doubles()
        shell.run_cell(
            f"%serve deploy {uri} --name patient --tracking-uri {zoo.uri} --max-concurrency 1"
        )
    told = capsys.readouterr()
    assert "Stopped waiting; the deployment of patient goes on" in told.out + told.err
    assert shared_services.client.wait("patient", 120).phase == "READY"
    magic("delete patient")


def test_doctor_shows_a_table(magic: Any) -> None:
    table = magic("doctor")
    assert "controller" in repr(table)
    assert "●" in table._repr_mimebundle_()["text/html"]


def test_help_names_every_verb(
    magic: Any, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert magic("") is None
    assert magic("deploy --help") is None
    out = capsys.readouterr().out
    assert "--scale-to-zero" in out
    assert shell.find_line_magic("serve").__doc__ == USAGE
    for verb in VERBS:
        assert f"%serve {verb}" in USAGE
        assert "--help" in OPTIONS[verb]


def test_the_terminals_and_the_notebooks_deploy_take_the_same_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from jupyter_serving import cli

    with pytest.raises(SystemExit):
        cli.main(["deploy", "--help"])
    shown = capsys.readouterr().out
    own = {"--data", "--no-wait"}
    for option in set(OPTIONS["deploy"]) - own:
        assert option in shown
