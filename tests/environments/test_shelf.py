import os
import subprocess
import sys
from pathlib import Path

from jupyter_serving.environments.shelf import MARKER, Shelf, size_of

MARK = {"version": "3.11.7", "lock": "six==1.17.0", "fingerprint": "f", "created": 1.0, "bytes": 1}


def made(shelf: Shelf) -> Path:
    place = shelf.temporary() / "environment"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    return place


def test_an_environment_is_there_when_it_was_published(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.read("k") is None
    published = shelf.publish(made(shelf), "k", dict(MARK))
    assert shelf.read("k") == published
    assert published.python == tmp_path / "k" / "bin" / "python"
    assert (published.kind, published.fingerprint, published.lock) == ("staged", "f", "six==1.17.0")


def test_a_half_made_directory_is_none(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    (tmp_path / "k" / "bin").mkdir(parents=True)
    (tmp_path / "k" / "bin" / "python").symlink_to(sys.executable)
    assert shelf.read("k") is None
    (tmp_path / "k" / MARKER).write_text('{"version": "3.11.7", "lo')
    assert shelf.read("k") is None


def test_an_environment_whose_interpreter_went_away_is_none(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.publish(made(shelf), "k", dict(MARK))
    (tmp_path / "k" / "bin" / "python").unlink()
    (tmp_path / "k" / "bin" / "python").symlink_to(tmp_path / "removed")
    assert shelf.read("k") is None


def test_publishing_again_replaces_what_stands_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.publish(made(shelf), "k", dict(MARK))
    (tmp_path / "k" / "spoilt").touch()
    assert shelf.publish(made(shelf), "k", MARK | {"fingerprint": "g"}).fingerprint == "g"
    assert not (tmp_path / "k" / "spoilt").exists()
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".making-")] == ["k"]


def test_what_a_dead_process_left_is_swept_with_what_still_writes_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    mine = shelf.temporary()
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    left = tmp_path / f".making-{int(dead.stdout)}-1-abcd"
    left.mkdir()
    script = "import time; print(1, flush=True); time.sleep(1000)"
    installer = subprocess.Popen([sys.executable, "-c", script, str(left)], stdout=subprocess.PIPE)
    assert installer.stdout is not None
    installer.stdout.readline()  # it runs: a process has no command line while it becomes another program
    assert shelf.sweep() == [left]
    assert installer.wait(30) == -9
    installer.stdout.close()
    assert mine.exists()
    assert not left.exists()


def test_size_counts_files_and_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("/")
    os.link(tmp_path / "sub" / "a", tmp_path / "b")
    assert size_of(tmp_path) == 10
