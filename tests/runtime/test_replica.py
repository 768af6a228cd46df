from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .conftest import Replica, Spawner
from .harness import ask_later, eventually, gone

DOUBLE = {"dataframe_records": [{"x": 2}]}


def waits(folder: Path, name: str) -> tuple[dict, Path, Path]:
    """A request that begins (a file appears) and waits until another file is there."""
    begun, go = folder / f"{name}.begun", folder / f"{name}.go"
    return {"dataframe_records": [{"begun": str(begun), "go": str(go)}]}, begun, go


def worker_pids(replica: Replica) -> list[int]:
    return [worker["pid"] for worker in replica.status()["workers"]]


def test_ready_tells_phases_modules_and_memory(spawn: Spawner):
    reply = spawn("double", slots=2).ready(0)
    assert reply.status == 200
    facts = reply.json
    assert (facts["ready"], facts["slots"]) == (True, 2)
    assert set(facts["phases"]) == {"spawn", "imports", "model_load", "warm_up"}
    assert all(seconds >= 0 for seconds in facts["phases"].values())
    assert facts["memory"]["rss_bytes"] > 1_000_000
    assert not any("double" in name for name in facts["modules"])


def test_a_model_with_an_example_is_warmed_up_and_serves(spawn: Spawner, models: Path):
    replica = spawn("iris")
    body = (models / "iris" / "serving_input_example.json").read_bytes()
    reply = replica.invoke(body, x_request_id="abc-1")
    assert (reply.status, reply.json) == (200, {"predictions": [0, 0]})
    assert reply.headers["x-request-id"] == "abc-1"
    assert float(reply.headers["server-timing"].partition("dur=")[2]) > 0
    assert replica.ready().json["phases"]["warm_up"] > 0
    assert "keeper: model loaded in" in replica.log()


def test_two_requests_on_two_slots_run_at_the_same_time(spawn: Spawner, short: Path):
    replica = spawn("waits", slots=2)
    (one, one_begun, one_go), (two, two_begun, two_go) = (waits(short, name) for name in "ab")
    first = ask_later(replica.address, "POST", "/invocations", one)
    second = ask_later(replica.address, "POST", "/invocations", two)
    # each begins although the other cannot end
    eventually(lambda: one_begun.exists() and two_begun.exists(), "both predictions have begun")
    assert replica.status()["busy"] == 2
    two_go.touch()
    one_go.touch()
    pids = {later.reply().json["predictions"][0] for later in (first, second)}
    assert pids == set(worker_pids(replica))


def test_a_request_waits_for_a_free_slot_in_order(spawn: Spawner, short: Path):
    replica = spawn("waits")
    requests = [waits(short, name) for name in "abc"]
    later = []
    for number, (body, _, _) in enumerate(requests):
        later.append(ask_later(replica.address, "POST", "/invocations", body))
        eventually(
            lambda number=number: (
                replica.status()["queued"] + replica.status()["busy"] == number + 1
            ),
            "the request has come",
        )
    for (_, begun, go), following in zip(requests, [*requests[1:], None], strict=True):
        eventually(begun.exists, "it has begun")
        assert following is None or not following[1].exists()
        go.touch()
    assert [each.reply().status for each in later] == [200, 200, 200]


def test_a_worker_that_dies_is_replaced_and_its_request_is_502(spawn: Spawner):
    replica = spawn("dies")
    before = worker_pids(replica)
    reply = replica.invoke({"dataframe_records": [{"die": True}]})
    assert (reply.status, reply.json["error_code"]) == (502, "INTERNAL_ERROR")
    assert "exit code 5" in reply.json["message"]
    reply = replica.invoke({"dataframe_records": [{"die": False}]})
    assert reply.status == 200
    assert reply.json["predictions"] == worker_pids(replica) != before
    assert "worker 1 (pid" in replica.log()


def test_a_worker_that_closes_its_socket_and_lives_on_is_replaced(spawn: Spawner):
    replica = spawn("closes")
    before = worker_pids(replica)
    assert replica.invoke({"dataframe_records": [{"close": True}]}).status == 502
    reply = replica.invoke({"dataframe_records": [{"close": False}]})
    assert reply.json["predictions"] == worker_pids(replica) != before
    eventually(lambda: gone(before[0]), "the old worker has ended")


def test_an_idle_worker_that_is_killed_is_replaced(spawn: Spawner):
    replica = spawn("double", slots=2)
    before = worker_pids(replica)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: before[0] not in worker_pids(replica), "the death is noticed")
    assert replica.ready().status == 200
    after = worker_pids(replica)
    assert before[1] in after and len(after) == 2
    assert replica.invoke(DOUBLE).status == 200


def test_a_crash_loop_makes_the_replica_unready_until_it_answers(spawn: Spawner):
    replica = spawn("dies")
    for _ in range(3):
        assert replica.invoke({"dataframe_records": [{"die": True}]}).status == 502
    reply = replica.ready(0)
    assert reply.status == 503
    assert "3 worker processes ended within 10 s" in reply.json["message"]
    assert "exit code 5" in reply.json["message"]
    eventually(lambda: "starts in 0.1 s" in replica.log(), "the third one waits a little")
    assert replica.log().count("starts in 0.0 s") == 2
    # restarts go on, and an answer ends the loop
    assert replica.invoke({"dataframe_records": [{"die": False}]}).status == 200
    assert replica.ready(0).status == 200


def test_three_deaths_with_an_answer_in_between_are_no_loop(spawn: Spawner):
    replica = spawn("dies")
    for die in (True, True, False, True):
        reply = replica.invoke({"dataframe_records": [{"die": die}]})
        assert reply.status == (502 if die else 200)
    assert replica.ready().status == 200


@pytest.mark.parametrize("deadline_in", ["header", "spec"])
def test_a_deadline_frees_the_slot(spawn: Spawner, short: Path, deadline_in: str):
    replica = spawn("waits", deadline=0.5 if deadline_in == "spec" else 297.0)
    before = worker_pids(replica)
    body, _, _ = waits(short, "a")
    headers = {"x_serving_deadline": str(time.time() + 0.5)} if deadline_in == "header" else {}
    reply = replica.invoke(body, **headers)
    assert (reply.status, reply.json["error_code"]) == (504, "DEADLINE_EXCEEDED")
    eventually(lambda: gone(before[0]), "its worker is killed")
    body, _, go = waits(short, "b")
    go.touch()
    reply = replica.invoke(body, x_serving_deadline=str(time.time() + 60))
    assert reply.status == 200
    assert reply.json["predictions"] == worker_pids(replica) != before
    assert replica.ready(0).status == 200  # no crash: it was told to


def test_deadlines_are_no_crash_loop(spawn: Spawner, short: Path):
    replica = spawn("waits")
    for name in "abcd":
        body, _, _ = waits(short, name)
        reply = replica.invoke(body, x_serving_deadline=str(time.time() + 0.05))
        assert reply.status == 504
    # a loop would be told for 10 s
    assert replica.ready(8).status == 200


def test_a_deadline_that_passes_in_the_queue_leaves_the_worker_alone(spawn: Spawner, short: Path):
    replica = spawn("waits")
    before = worker_pids(replica)
    (one, begun, go), (two, never, _) = (waits(short, name) for name in "ab")
    first = ask_later(replica.address, "POST", "/invocations", one)
    eventually(begun.exists, "the first has begun")
    for deadline in (time.time() + 0.2, time.time() - 5):
        reply = replica.invoke(two, x_serving_deadline=str(deadline))
        assert (reply.status, reply.json["error_code"]) == (504, "DEADLINE_EXCEEDED")
    go.touch()
    assert first.reply().json["predictions"] == before
    assert not never.exists()


@pytest.mark.parametrize("value", ["soon", "nan", "inf", ""])
def test_a_deadline_that_is_no_time_is_refused(spawn: Spawner, value: str):
    reply = spawn("double").invoke(DOUBLE, x_serving_deadline=value)
    assert (reply.status, reply.json["error_code"]) == (400, "BAD_REQUEST")


def test_a_client_that_leaves_the_queue_is_forgotten(spawn: Spawner, short: Path):
    replica = spawn("waits")
    (one, begun, go), (two, never, _) = (waits(short, name) for name in "ab")
    first = ask_later(replica.address, "POST", "/invocations", one)
    eventually(begun.exists, "the first has begun")
    leaving = replica.http()
    leaving.request("POST", "/invocations", str(two).replace("'", '"'))
    eventually(lambda: replica.status()["queued"] == 1, "the second waits")
    leaving.close()
    eventually(lambda: replica.status()["queued"] == 0, "the second is forgotten")
    go.touch()
    assert first.reply().status == 200
    assert not never.exists()


def test_a_client_that_leaves_during_its_prediction_harms_nobody(spawn: Spawner, short: Path):
    replica = spawn("waits")
    body, begun, go = waits(short, "a")
    leaving = replica.http()
    leaving.request("POST", "/invocations", str(body).replace("'", '"'))
    eventually(begun.exists, "it has begun")
    leaving.close()
    go.touch()
    eventually(lambda: replica.status()["busy"] == 0, "the slot is free")
    assert replica.invoke(body).status == 200


def test_kill_of_the_leader_leaves_no_process(spawn: Spawner, short: Path):
    replica = spawn("waits", slots=2)
    body, begun, _ = waits(short, "a")
    ask_later(replica.address, "POST", "/invocations", body)
    eventually(begun.exists, "a prediction has begun")
    pids = replica.processes()
    assert len(pids) == 5  # leader, front, keeper, two workers
    os.kill(replica.pid, signal.SIGKILL)
    for pid in pids:
        eventually(lambda pid=pid: gone(pid), f"process {pid} has ended")


def test_kill_of_the_front_ends_the_replica(spawn: Spawner):
    replica = spawn("double")
    pids = replica.processes()
    os.kill(replica.status()["front_pid"], signal.SIGKILL)
    assert replica.exit_status() == 5
    for pid in pids:
        eventually(lambda pid=pid: gone(pid), f"process {pid} has ended")


def test_sigterm_finishes_what_has_come(spawn: Spawner, short: Path):
    replica = spawn("waits")
    (one, begun, one_go), (two, _, two_go) = (waits(short, name) for name in "ab")
    idle = replica.http()
    assert idle.ask("GET", "/health/live").status == 200
    running = ask_later(replica.address, "POST", "/invocations", one)
    eventually(begun.exists, "a prediction has begun")
    queued = ask_later(replica.address, "POST", "/invocations", two)
    eventually(lambda: replica.status()["queued"] == 1, "another one waits")
    os.kill(replica.pid, signal.SIGTERM)
    os.kill(replica.pid, signal.SIGINT)

    def refused() -> bool:
        try:
            replica.status()
        except OSError:
            return True
        return False

    eventually(refused, "nothing new is accepted")
    two_go.touch()
    one_go.touch()
    for reply in (running.reply(), queued.reply()):
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
    assert replica.exit_status() == 0
    assert not Path(replica.spec["socket"]).exists()
    idle.close()


def test_signals_to_every_process_do_not_cut_a_prediction(spawn: Spawner, short: Path):
    replica = spawn("waits")
    body, begun, go = waits(short, "a")
    running = ask_later(replica.address, "POST", "/invocations", body)
    eventually(begun.exists, "a prediction has begun")
    # as service managers do
    for pid in reversed(replica.processes()):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: "draining" in replica.log(), "the signal has come")
    go.touch()
    assert running.reply().status == 200
    assert replica.exit_status() == 0


def test_the_grace_ends_a_prediction_that_never_ends(spawn: Spawner, short: Path):
    replica = spawn("waits", grace=0.3)
    body, begun, _ = waits(short, "a")
    running = ask_later(replica.address, "POST", "/invocations", body)
    eventually(begun.exists, "a prediction has begun")
    pids = replica.processes()
    os.kill(replica.pid, signal.SIGTERM)
    assert replica.exit_status() == 0
    with pytest.raises(OSError):
        running.reply()
    for pid in pids:
        eventually(lambda pid=pid: gone(pid), f"process {pid} has ended")


def test_a_model_that_cannot_be_loaded_is_told_and_the_replica_ends(spawn: Spawner):
    replica = spawn("load_raises", ready=False, slots=2)
    reply = replica.ready()
    assert (reply.status, reply.json["error_code"]) == (503, "INTERNAL_ERROR")
    assert reply.json["message"] == "FileNotFoundError: weights.bin is not in the model"
    assert "load_context" in reply.json["traceback"]
    assert replica.exit_status() == 3
    assert "weights.bin" in replica.log()
    assert not Path(replica.spec["socket"]).exists()


def test_a_missing_model_directory_is_told(spawn: Spawner):
    reply = spawn("no_such_model", ready=False).ready()
    assert reply.status == 503
    assert "no_such_model" in reply.json["message"]


def test_a_worker_killed_while_it_loads_is_told_and_not_repeated(spawn: Spawner):
    replica = spawn("load_dies", ready=False)
    reply = replica.ready()
    assert reply.status == 503
    assert "killed by SIGKILL" in reply.json["message"]
    assert "memory" in reply.json["message"]
    assert replica.exit_status() == 3


def test_ready_waits_for_the_load_and_tells_when_it_gives_up(spawn: Spawner, short: Path):
    go = short / "go"
    environ = spawn.spec("load_waits")["environ"] | {"GO": str(go)}
    replica = spawn("load_waits", ready=False, environ=environ)
    for wait in (0, 0.2):
        reply = replica.ready(wait)
        assert reply.status == 503
        assert reply.json["message"] == "0 of 1 slots are warm."
    waiting = ask_later(replica.address, "GET", "/health/ready?wait=60")
    invoked = ask_later(replica.address, "POST", "/invocations", DOUBLE)
    live = replica.http().ask("GET", "/health/live")
    assert live.status == 200
    go.touch()
    assert waiting.reply().status == 200
    assert invoked.reply().json == {"predictions": [1]}


def test_a_request_that_came_before_the_load_failed_is_answered(spawn: Spawner, short: Path):
    go = short / "go"
    environ = spawn.spec("double")["environ"] | {"GO": str(go)}
    replica = spawn("load_waits_then_raises", ready=False, environ=environ)
    waiting = ask_later(replica.address, "POST", "/invocations", DOUBLE)
    eventually(lambda: replica.status()["queued"] == 1, "the request waits")
    go.touch()
    reply = waiting.reply()
    assert (reply.status, reply.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert reply.json["message"] == "The model is not loaded: MemoryError: too large"
    # the failure stays to be asked for
    assert replica.ready().json["message"] == "MemoryError: too large"
    assert replica.exit_status() == 3


def test_a_failure_that_nobody_asks_for_ends_the_replica_too(spawn: Spawner):
    replica = spawn("load_raises", ready=False, failure_stays=0.5)
    assert replica.exit_status() == 3


@pytest.mark.parametrize(("die", "status"), [(True, 502), (False, 504)])
def test_what_a_model_started_ends_with_its_worker(
    spawn: Spawner, short: Path, die: bool, status: int
):
    replica = spawn("spawns")
    begun = short / "begun"
    reply = replica.invoke(
        {"dataframe_records": [{"begun": str(begun), "die": die}]},
        x_serving_deadline=str(time.time() + 2),
    )
    assert reply.status == status
    pid = int(begun.read_text())
    eventually(lambda: gone(pid), "the process that the model started has ended")


def test_a_request_on_its_way_is_finished_when_the_replica_drains(spawn: Spawner):
    replica = spawn("double")
    http = replica.http()
    http.connect()
    http.sock.sendall(b"POST /invocations HTTP/1.1\r\ncontent-length: 38\r\n\r\n")
    assert replica.http().ask("GET", "/health/live").status == 200  # the header has been read
    os.kill(replica.pid, signal.SIGTERM)

    def refused() -> bool:
        try:
            replica.status()
        except OSError:
            return True
        return False

    eventually(refused, "nothing new is accepted")
    http.sock.sendall(b'{"dataframe_records":      [{"x": 2}]}')
    received = http.sock.recv(10_000)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in received
    assert replica.exit_status() == 0
    http.close()


def test_sigterm_during_the_load_ends_at_once(spawn: Spawner, short: Path):
    environ = spawn.spec("load_waits")["environ"] | {"GO": str(short / "never")}
    replica = spawn("load_waits", ready=False, environ=environ)
    assert replica.ready(0).status == 503
    os.kill(replica.pid, signal.SIGTERM)
    assert replica.exit_status() == 0
