import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jupyter_serving.backends import exits
from jupyter_serving.processes import Identity

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(1000)"
GENTLE = "import time; print(1, flush=True); time.sleep(1000)"


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the given script."""
    argv = [sys.executable, "-c", request.param]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def identity(process: subprocess.Popen[str]) -> Identity:
    found = Identity.of(process.pid)
    assert found is not None
    return found


@pytest.mark.parametrize("child", [GENTLE], indirect=True)
@pytest.mark.parametrize("with_pidfd", [True, False])
def test_the_end_of_a_process_is_an_event(
    child: subprocess.Popen[str], with_pidfd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_pidfd:
        monkeypatch.delattr("os.pidfd_open")

    async def scenario() -> None:
        waiting = asyncio.create_task(exits.ended(identity(child)))
        await asyncio.sleep(0)
        assert not waiting.done()
        child.kill()
        async with asyncio.timeout(60):
            await waiting

    asyncio.run(scenario())


@pytest.mark.parametrize("child", [GENTLE], indirect=True)
def test_a_process_that_only_has_the_number_is_not_waited_for(child: subprocess.Popen[str]) -> None:
    other = identity(child)
    asyncio.run(exits.ended(Identity(other.boot, other.pid, other.start + 1)))
    assert asyncio.run(exits.end(Identity(other.boot, other.pid, other.start + 1), 0.0))
    assert child.poll() is None


@pytest.mark.parametrize(("child", "status"), [(GENTLE, -15), (STUBBORN, -9)], indirect=["child"])
def test_a_process_is_asked_before_it_is_killed(child: subprocess.Popen[str], status: int) -> None:
    assert asyncio.run(exits.end(identity(child), 1.0))
    assert child.wait(60) == status


@pytest.mark.parametrize("child", [GENTLE], indirect=True)
def test_without_grace_it_is_killed_at_once(child: subprocess.Popen[str]) -> None:
    assert asyncio.run(exits.end(identity(child), 0.0))
    assert child.wait(60) == -9


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (0, "exit code 0"),
        (70, "exit code 70"),
        (-11, "SIGSEGV"),
        (-9, "memory"),
        (-200, "signal 200"),
        (None, "unknown"),
    ],
)
def test_a_status_in_words(status: int | None, told: str) -> None:
    assert told in exits.describe(status)
