import stat
from pathlib import Path

from jupyter_serving.environments.buildlog import BuildLog


def test_lines_carry_the_time_since_the_build_began_and_phases_are_told(tmp_path: Path) -> None:
    times = iter([100.0, 100.5, 112.25])
    told: list[str] = []
    log = BuildLog(tmp_path / "logs" / "b.log", told.append, lambda: next(times))
    log.line("Resolved 3 packages")
    log.phase("installing")
    assert log.path.read_text() == "[   0.50 s] Resolved 3 packages\n[  12.25 s] installing\n"
    assert told == ["installing"]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    BuildLog(tmp_path / "file" / "b.log").phase("goes on")
