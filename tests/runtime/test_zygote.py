from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Spawner
from .harness import PATIENCE, Peer, eventually, gone, start_zygote

HARM = [
    "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "raise RuntimeError('not here')",
    "raise SystemExit(1)",
]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(package_parent: Path, short: Path) -> Iterator[Start]:
    """Starts zygotes of the test's own, and ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*extra: str) -> subprocess.Popen[bytes]:
        started.append(start_zygote(package_parent, short, *extra))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE)


def test_hello_names_the_environment(peer: Peer, zygote_folder: Path):
    hello = peer.hello
    assert hello["key"] == "test"
    assert len(hello["fingerprint"]) == 64
    assert hello["python"].startswith("3.")
    assert hello["modules"] > 500
    assert 1 <= hello["threads"] < 10
    assert stat.S_IMODE((zygote_folder / "z.sock").stat().st_mode) == 0o600


def test_a_replica_is_a_session_of_its_own_and_its_exit_is_told(spawn: Spawner, peer: Peer):
    other = Peer(peer.path)
    replica = spawn("double")
    assert os.getsid(replica.pid) == replica.pid
    ticks = Path(f"/proc/{replica.pid}/stat").read_text().rpartition(")")[2].split()[19]
    assert replica.start == int(ticks)
    late = Peer(peer.path)
    expected = {"id": replica.spec["id"], "pid": replica.pid, "start": replica.start}
    assert expected in late.hello["children"]
    os.kill(replica.pid, signal.SIGTERM)
    assert replica.exit_status() == 0
    assert other.expect("exit", pid=replica.pid)["status"] == 0
    assert late.expect("exit", pid=replica.pid)["id"] == replica.spec["id"]
    for connection in (other, late):
        connection.close()


def test_a_killed_replica_is_told_with_its_signal(spawn: Spawner):
    replica = spawn("double")
    os.kill(replica.pid, signal.SIGKILL)
    assert replica.exit_status() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"slots": 0}, "slots"),
        ({"slots": "two"}, "slots is str"),
        ({"model": None}, "model"),
        ({"socket": "/nowhere/at/all/r.sock"}, "No such file"),
        ({"socket": "/tmp/" + "x" * 200}, "too long"),
    ],
)
def test_a_spawn_that_cannot_be_done_is_an_error(
    spawn: Spawner, peer: Peer, changes: dict, why: str
):
    peer.send({"op": "spawn", "id": "bad", "spec": spawn.spec("double") | changes})
    assert why in peer.expect("error", id="bad")["message"]


def test_a_missing_field_is_named(spawn: Spawner, peer: Peer):
    spec = spawn.spec("double")
    del spec["environ"]
    peer.send({"op": "spawn", "id": "bad", "spec": spec})
    assert peer.expect("error", id="bad")["message"] == "spec.environ is missing"


def test_the_same_id_and_the_same_socket_run_once(spawn: Spawner, peer: Peer):
    replica = spawn("double")
    peer.send({"op": "spawn", "id": replica.spec["id"], "spec": replica.spec})
    assert "is running" in peer.expect("error", id=replica.spec["id"])["message"]
    peer.send({"op": "spawn", "id": "other", "spec": replica.spec})
    assert "in use" in peer.expect("error", id="other")["message"]
    assert replica.invoke({"dataframe_records": [{"x": 2}]}).status == 200


def test_the_lock_is_held_by_one_replica(spawn: Spawner):
    replica = spawn("double")
    second = spawn("double", ready=False, lock=replica.spec["lock"])
    assert second.exit_status() == 4
    assert "holds" in second.log()


def test_what_is_not_a_message_is_an_error_and_nothing_worse(peer: Peer):
    for line in (b"not json\n", b"[1]\n", b'{"op": "dance"}\n', b"\n\n"):
        peer.sock.sendall(line)
    for _ in range(3):
        assert "unknown message" in peer.expect("error")["message"]
    peer.send({"op": "preload", "modules": "os"})
    assert peer.expect("preloaded")["count"] >= 0


def test_it_serves_on_when_a_client_leaves_with_messages_unread(peer: Peer):
    rude = Peer(peer.path)
    rude.sock.sendall(b'{"op": "dance"}\n' * 2000 + b'{"op": "spa')
    rude.close()
    peer.send({"op": "dance"})
    assert peer.expect("error")


def test_learning_makes_the_next_cold_start_import_nothing(start: Start, short: Path, models: Path):
    start("--preload", str(short / "learned.json"))
    peer = Peer(short / "z.sock")
    spawn = Spawner(peer, short, models)
    try:
        first = spawn("iris").ready().json
        assert "sklearn.ensemble" in first["modules"]
        assert first["phases"]["imports"] > 0
        peer.send({"op": "preload", "modules": first["modules"]})
        count = peer.expect("preloaded")["count"]
        assert count >= 0.9 * len(first["modules"])
        second = spawn("iris").ready().json
        assert "sklearn.ensemble" not in second["modules"]
        assert len(second["modules"]) <= len(first["modules"]) - count
        learned = json.loads((short / "learned.json").read_text())
        assert len(learned) == count
        assert stat.S_IMODE((short / "learned.json").stat().st_mode) == 0o600
    finally:
        spawn.end()
        peer.close()


def test_learned_modules_are_imported_at_the_next_start(start: Start, short: Path):
    learned = ["tabnanny", "no_such_module", "wave; import os", 7]
    (short / "learned.json").write_text(json.dumps(learned))
    start("--preload", str(short / "learned.json"))
    peer = Peer(short / "z.sock")
    peer.send({"op": "preload", "modules": ["wave"]})
    assert peer.expect("preloaded")["count"] == 2
    assert json.loads((short / "learned.json").read_text()) == ["tabnanny", "wave"]
    assert "no_such_module is not preloaded" in (short / "z.log").read_text()
    peer.close()


def test_a_damaged_list_of_learned_modules_is_begun_anew(start: Start, short: Path):
    (short / "learned.json").write_text("[")
    start("--preload", str(short / "learned.json"))
    peer = Peer(short / "z.sock")
    peer.send({"op": "preload", "modules": ["tabnanny"]})
    assert peer.expect("preloaded")["count"] == 1
    peer.close()


@pytest.mark.parametrize("harm", HARM)
def test_a_module_that_would_harm_forks_is_not_learned(
    start: Start, short: Path, harm: str, package_parent: Path
):
    (package_parent / "harmful.py").write_text(harm)
    start("--preload", str(short / "learned.json"))
    peer = Peer(short / "z.sock")
    peer.send({"op": "preload", "modules": ["tabnanny", "harmful", "harmful.more", "wave"]})
    assert peer.expect("preloaded")["count"] == 2
    assert json.loads((short / "learned.json").read_text()) == ["tabnanny", "wave"]
    late = Peer(short / "z.sock")
    assert late.hello["threads"] == peer.hello["threads"]
    for connection in (peer, late):
        connection.close()


def test_a_package_is_learned_whole_or_not(start: Start, short: Path, package_parent: Path):
    package = package_parent / "mixed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "threads.py").write_text(HARM[0])
    start("--preload", str(short / "learned.json"))
    peer = Peer(short / "z.sock")
    peer.send({"op": "preload", "modules": ["mixed", "mixed.threads", "mixed.more", "wave"]})
    assert peer.expect("preloaded")["count"] == 1
    assert json.loads((short / "learned.json").read_text()) == ["wave"]
    assert "mixed is not learned: mixed.threads" in (short / "z.log").read_text()
    peer.close()


def test_replicas_answer_on_when_the_zygote_is_killed(start: Start, short: Path, models: Path):
    process = start()
    peer = Peer(short / "z.sock")
    spawn = Spawner(peer, short, models)
    try:
        replica = spawn("double")
        process.kill()
        process.wait(PATIENCE)
        assert replica.invoke({"dataframe_records": [{"x": 2}]}).json == {"predictions": [{"x": 4}]}
        worker = replica.status()["workers"][0]["pid"]
        os.kill(worker, signal.SIGKILL)
        eventually(
            lambda: [each["pid"] for each in replica.status()["workers"]] not in ([], [worker]),
            "the worker is replaced",
        )
        assert replica.ready().status == 200
        os.kill(replica.pid, signal.SIGTERM)
        eventually(lambda: gone(replica.pid), "the replica has ended")
        assert not Path(replica.spec["socket"]).exists()
    finally:
        spawn.end()
        peer.close()


def test_shutdown_ends_the_zygote_and_leaves_replicas(start: Start, short: Path, models: Path):
    process = start()
    peer = Peer(short / "z.sock")
    spawn = Spawner(peer, short, models)
    try:
        replica = spawn("double")
        peer.send({"op": "shutdown"})
        assert process.wait(PATIENCE) == 0
        assert not (short / "z.sock").exists()
        assert replica.ready().status == 200
    finally:
        spawn.end()
        peer.close()


def test_it_ends_by_itself_when_nobody_is_connected(start: Start, short: Path):
    process = start("--idle", "0.5")
    peer = Peer(short / "z.sock")
    # connected for longer than that: it stays
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    peer.close()
    assert process.wait(PATIENCE) == 0


def test_a_second_zygote_for_the_same_socket_ends_and_harms_nothing(start: Start, short: Path):
    start()
    peer = Peer(short / "z.sock")
    assert start().wait(PATIENCE) == 4
    late = Peer(short / "z.sock")
    assert late.hello["pid"] == peer.hello["pid"]
    for connection in (peer, late):
        connection.close()


def test_a_socket_that_a_killed_zygote_left_is_taken_over(start: Start, short: Path):
    first = start()
    Peer(short / "z.sock").close()
    first.kill()
    first.wait(PATIENCE)
    second = start()
    eventually(lambda: "modules imported" in (short / "z.log").read_text(), "imports are done")

    def greeted() -> bool:
        try:
            peer = Peer(short / "z.sock")
        except OSError:
            return False
        peer.close()
        return peer.hello["pid"] == second.pid

    eventually(greeted, "the second zygote answers")
