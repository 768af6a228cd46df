from pathlib import Path

import pytest

from jupyter_serving.backends import host

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"
KB = 1024


def machine(tmp_path: Path, group: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A /proc and a /sys/fs/cgroup with the given files."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self" / "cgroup").write_text(group)
    for name, text in files.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return proc, cgroups


def test_this_machine() -> None:
    found = host.capacity()
    assert found.cpus > 0
    assert 0 < found.memory_available <= found.memory_bytes


def test_without_limits_the_machine_counts(tmp_path: Path) -> None:
    found = host.capacity(*machine(tmp_path, "0::/user\n", {"user/memory.max": "max\n"}))
    assert (found.memory_bytes, found.memory_available) == (16000000 * KB, 8000000 * KB)


@pytest.mark.parametrize("place", ["a/b/", "a/", ""])
def test_limits_of_any_group_above_count(tmp_path: Path, place: str) -> None:
    files = {
        f"{place}memory.max": "4000000000\n",
        f"{place}memory.current": "3000000000\n",
        f"{place}memory.stat": "anon 1\ninactive_file 500000000\n",
        f"{place}cpu.max": "50000 100000\n",
    }
    found = host.capacity(*machine(tmp_path, "0::/a/b\n", files))
    assert found.cpus == 0.5
    assert (found.memory_bytes, found.memory_available) == (4_000_000_000, 1_500_000_000)


def test_groups_of_version_1(tmp_path: Path) -> None:
    files = {
        "memory/x/memory.limit_in_bytes": "4000000000",
        "memory/x/memory.usage_in_bytes": "1000000000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu,cpuacct/x/cpu.cfs_quota_us": "25000",
        "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
    }
    group = "4:memory:/x\n3:cpu,cpuacct:/x\n2:pids:/x\n"
    found = host.capacity(*machine(tmp_path, group, files))
    assert found.cpus == 0.25
    assert (found.memory_bytes, found.memory_available) == (4_000_000_000, 3_000_000_000)
