from __future__ import annotations

import os
from pathlib import Path

from .conftest import Spawner
from .harness import ask_later, eventually

ROW = {"dataframe_records": [{"x": 1}]}


def test_print_reaches_the_log_before_the_answer(spawn: Spawner):
    replica = spawn("prints")
    assert replica.invoke(ROW).status == 200
    assert "predicting 1\n" in replica.log()
    assert (Path(replica.spec["log"]).stat().st_mode & 0o777) == 0o600


def test_print_reaches_the_log_during_a_prediction(spawn: Spawner, short: Path):
    replica = spawn("waits")
    begun, go = short / "begun", short / "go"
    body = {"dataframe_records": [{"begun": str(begun), "go": str(go)}]}
    running = ask_later(replica.address, "POST", "/invocations", body)
    eventually(begun.exists, "the prediction has begun")
    assert f"waiting for {go}\n" in replica.log()
    go.touch()
    assert running.reply().status == 200


def test_the_environment_is_the_one_of_the_spec_and_no_other(spawn: Spawner):
    environ = {"PATH": os.environ["PATH"], "COLOUR": "grün"}
    replica = spawn("environ", environ=environ)

    def value(name: str) -> str | None:
        return replica.invoke({"dataframe_records": [{"name": name}]}).json["predictions"][0]

    assert value("COLOUR") == "grün"
    assert value("HOME") is None  # the zygote has one
    assert value("PYTHONPATH") is None
    assert value("OMP_NUM_THREADS") == "1"
    assert value("MLFLOW_DISABLE_TELEMETRY") == "true"


def test_workers_draw_different_random_numbers(spawn: Spawner):
    replicas = [spawn("random", slots=1) for _ in range(2)]
    drawn = [replica.invoke(ROW).json["predictions"] for replica in replicas]
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


def test_a_failure_of_the_model_names_its_last_line(spawn: Spawner):
    shown = spawn("raises").invoke({"dataframe_records": [{"x": "abc"}]})
    assert (shown.status, shown.json["error_code"]) == (400, "BAD_REQUEST")
    assert shown.json["message"].endswith("ValueError: could not convert string to float: 'abc'")
    assert "raises.py" in shown.json["stack_trace"]
    hidden = spawn("raises", stack_trace=False).invoke({"dataframe_records": [{"x": "abc"}]})
    assert "stack_trace" not in hidden.json
    assert hidden.json["message"] == shown.json["message"]


def test_sys_exit_in_predict_is_a_failure_of_the_model_not_of_the_worker(spawn: Spawner):
    replica = spawn("exits")
    before = replica.status()["workers"]
    reply = replica.invoke(ROW)
    assert reply.status == 400
    assert reply.json["message"].endswith("SystemExit: 7")
    assert [worker["pid"] for worker in replica.status()["workers"]] == [before[0]["pid"]]


def test_answers_are_json_whatever_the_model_returns(spawn: Spawner):
    nan = spawn("nan").invoke(ROW)
    assert nan.json == {"predictions": {"values": [None, None, None, 1.5], "text": "NaN"}}
    unfit = spawn("set").invoke(ROW)
    assert unfit.status == 400
    assert "a set that cannot be written as JSON" in unfit.json["message"]


def test_programs_that_the_model_starts_get_default_signals(spawn: Spawner):
    printed = spawn("child").invoke(ROW).json["predictions"][0]
    assert printed == "0 <built-in function default_int_handler>\n" or "SIG_DFL" in printed
    assert "SIG_IGN" not in printed


def test_a_refused_request_leaves_a_line_in_the_log(spawn: Spawner):
    replica = spawn("double")
    assert replica.invoke(b"{").status == 400
    eventually(lambda: "worker 1: answered 400" in replica.log(), "the refusal is logged")
