from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_serving.runtime import pressure, process
from jupyter_serving.runtime.pressure import Machine, Watch

MB = 1_000_000
GB = 1000 * MB
PARENT = 1


def watch(limit: int, available: int = 8 * GB, **held: int) -> Watch:
    """A replica whose parent holds 200 MB and whose workers hold what is named, on a machine of 16 GB."""
    sizes = {PARENT: 200 * MB} | {int(pid[1:]): size for pid, size in held.items()}
    return Watch(limit, lambda pid: (sizes.get(pid, 0), 50 * MB), lambda: (16 * GB, available))


def test_what_is_shared_counts_once():
    # 200 of the parent, 100 and 150 of the workers' own
    assert watch(500 * MB, w2=300 * MB, w3=350 * MB).look(0, PARENT, [2, 3]) is None


def test_the_worker_that_grew_most_ends_when_the_replica_is_over_its_limit():
    victim = watch(440 * MB, w2=300 * MB, w3=350 * MB).look(0, PARENT, [2, 3])
    assert victim is not None
    assert (victim.pid, victim.held) == (3, 150 * MB)
    assert process.describe(victim.status) == "over its memory limit of 440 MB"


def test_without_a_limit_only_the_machine_counts():
    assert watch(0, w2=9 * GB).look(0, PARENT, [2]) is None
    victim = watch(0, available=300 * MB, w2=9 * GB, w3=1 * GB).look(0, PARENT, [2, 3])
    assert victim is not None
    assert victim.pid == 2
    assert "this machine was nearly out of memory" in process.describe(victim.status)


def test_a_worker_whose_end_would_not_help_lives():
    assert watch(0, available=300 * MB, w2=300 * MB).look(0, PARENT, [2]) is None


def test_the_killed_one_gets_time_to_give_back_what_it_held():
    full = watch(300 * MB, w2=900 * MB)
    assert full.look(0, PARENT, [2]) is not None
    assert full.look(1, PARENT, [2]) is None
    assert full.look(pressure.PAUSE, PARENT, [2]) is not None


def test_no_workers_no_victim():
    assert watch(100 * MB, available=0).look(0, PARENT, []) is None


def test_looks_are_frequent_only_with_a_limit():
    for limit, pause in ((0, pressure.SELDOM), (GB, pressure.OFTEN)):
        own = watch(limit)
        own.look(10, PARENT, [])
        assert own.next == 10 + pause


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A machine of 16 GB, 8 of them available, and a process in a group of its own."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(
        f"MemTotal: {16 * GB // 1024} kB\nMemFree: 5 kB\nMemAvailable: {8 * GB // 1024} kB\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("line", "folder", "files"),
    [
        ("0::/own", "own", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:cpu,memory:/own",
            "memory/own",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_the_control_groups_limit_counts_where_it_is_smaller(
    kernel: Path, line: str, folder: str, files: tuple[str, str, str]
):
    (kernel / "proc" / "self" / "cgroup").write_text(f"3:pids:/x\n{line}\n")
    group = kernel / "groups" / folder
    group.mkdir(parents=True)
    limit, usage, cache = files
    (group / usage).write_text(f"{990 * MB}\n")
    (group / "memory.stat").write_text(f"anon 5\n{cache} {300 * MB}\n")
    for told, expected in (
        # the page cache gives way
        (f"{GB}\n", (GB, 310 * MB)),
        (f"{2 * GB}\n", (2 * GB, 1010 * MB)),
        (f"{64 * GB}\n", (16 * GB, 8 * GB)),
        ("max\n", (16 * GB, 8 * GB)),
    ):
        (group / limit).write_text(told)
        found = Machine(str(kernel / "proc"), str(kernel / "groups")).space()
        assert found == pytest.approx(expected, abs=1024)


def test_where_nobody_tells_nothing_is_scarce(tmp_path: Path):
    machine = Machine(str(tmp_path), str(tmp_path))
    assert machine.space() == (0, 0)
    assert Watch(0, lambda pid: (9 * GB, 0), machine.space).look(0, PARENT, [2]) is None
