import asyncio
import contextlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services import until

from jupyter_serving.backends import census
from jupyter_serving.environments import Environment, Stager, stage
from jupyter_serving.errors import StagingFailed
from jupyter_serving.places import Places
from jupyter_serving.settings import Settings

from .conftest import OLDER, Staged
from .models import mlmodel, write


@contextlib.asynccontextmanager
async def stager_of(places: Places) -> AsyncIterator[Stager]:
    stager = Stager(places, Settings())
    try:
        yield stager
    finally:
        await stager.close()


async def stage_once(
    places: Places, model: Path, kernel: Path | None = None, log: str = "build.log"
) -> Environment:
    async with stager_of(places) as stager:
        return await stager.stage(model, kernel, places.logs / log, lambda phase: None)


def rests(places: Places) -> list[str]:
    """What a stage should not leave behind."""
    return [p.name for p in places.environments.iterdir() if p.name.startswith(".")]


def environments(places: Places) -> list[str]:
    return [p.name for p in places.environments.iterdir() if len(p.name) == 16]


# -- the kernel's own ------------------------------------------------------------------------------


def test_a_kernel_that_fits_is_used_as_it_is(places: Places, tmp_path: Path) -> None:
    model = write(tmp_path / "m", meta=mlmodel(None), requirements="mlflow\nnumpy\n")
    found = asyncio.run(stage_once(places, model, Path(sys.executable)))
    assert found.kind == "kernel"
    assert found.python == Path(sys.executable)
    assert environments(places) == []


def test_why_a_kernel_does_not_fit_is_logged(places: Places, small: Path) -> None:
    (small / "requirements.txt").write_text(
        (small / "requirements.txt").read_text() + "iniconfig==1.1.1\n"
    )
    found = asyncio.run(stage_once(places, small, Path(sys.executable)))
    assert found.kind == "staged"
    log = (places.logs / "build.log").read_text()
    assert "iniconfig 1.1.1 is pinned, the kernel has" in log
    assert ": staging an environment" in log


def test_a_kernel_that_is_gone_is_no_obstacle(places: Places, small: Path, tmp_path: Path) -> None:
    found = asyncio.run(stage_once(places, small, tmp_path / "removed" / "python"))
    assert found.kind == "staged"


# -- staging ---------------------------------------------------------------------------------------


def test_the_environment_has_what_the_model_pins(staged: Staged) -> None:
    script = "import sklearn, uvloop, httptools, orjson; print(sklearn.__version__)"
    told = subprocess.run([staged.environment.python, "-c", script], capture_output=True, text=True)
    assert told.stdout.strip() == OLDER, told.stderr
    assert f"scikit-learn=={OLDER}" in staged.environment.lock
    assert not any(name in staged.environment.lock for name in stage.RUNTIME_EXTRAS)


def test_phases_are_told_and_every_line_is_logged(staged: Staged) -> None:
    assert [phase.split()[0] for phase in staged.phases] == [
        "resolving",
        "installing",
        "environment",
    ]
    log = staged.log.read_text()
    assert all(phase in log for phase in staged.phases)
    assert f"scikit-learn=={OLDER}" in log


def test_the_marker_tells_what_was_made(staged: Staged) -> None:
    root = staged.environment.python.parents[1]
    marker = json.loads((root / "environment.json").read_text())
    assert marker["fingerprint"] == staged.environment.fingerprint
    assert marker["bytes"] > 10_000_000
    assert root.name == staged.environment.key == marker["key"]
    assert rests(staged.places) == []


def test_the_same_requirements_need_no_index_again(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(stage, "find_uv", lambda: "/bin/false")
    assert asyncio.run(stage_once(staged.places, staged.model)) == staged.environment


def test_a_changed_environment_is_staged_again(places: Places, small: Path) -> None:
    first = asyncio.run(stage_once(places, small))
    [site] = (first.python.parents[1] / "lib").glob("python*/site-packages")
    (site / "smuggled-1.0.dist-info").mkdir()
    again = asyncio.run(stage_once(places, small))
    assert again == first
    assert not (site / "smuggled-1.0.dist-info").exists()
    assert "was changed after it was made" in (places.logs / "build.log").read_text()
    assert rests(places) == []


def test_a_half_made_directory_is_ignored(places: Places, small: Path) -> None:
    first = asyncio.run(stage_once(places, small))
    (places.environments / first.key / "environment.json").unlink()
    assert asyncio.run(stage_once(places, small)) == first
    assert (places.environments / first.key / "environment.json").exists()


def wheel(path: Path, version: str = "1.0") -> Path:
    """A wheel with one module, as a model brings it along."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = f"ownthing-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {
            "ownthing.py": "x = 1\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: ownthing\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": f"ownthing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
        }.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def test_wheels_of_the_model_are_installed_and_known_by_content(
    places: Places, small: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        model = tmp_path / name
        wheel(model / "wheels" / "ownthing-1.0-py3-none-any.whl")
        text = (small / "requirements.txt").read_text() + "wheels/ownthing-1.0-py3-none-any.whl\n"
        write(model, meta=mlmodel(None), requirements=text)
        found.append(asyncio.run(stage_once(places, model)))
    assert found[0].key == found[1].key
    subprocess.run([found[0].python, "-c", "import ownthing"], check=True)


# -- failures --------------------------------------------------------------------------------------


def test_an_unsatisfiable_requirement_is_named(places: Places, small: Path) -> None:
    (small / "requirements.txt").write_text("mlflow-skinny\nsix==99.0\n")
    with pytest.raises(StagingFailed, match=r"six==99\.0"):
        asyncio.run(stage_once(places, small))
    assert environments(places) == []
    assert rests(places) == []
    assert "six==99.0" in (places.logs / "build.log").read_text().splitlines()[-1]


def test_an_index_that_cannot_be_reached_is_named(
    places: Places, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(StagingFailed, match=r"index cannot be reached at 127\.0\.0\.1:9"):
        asyncio.run(stage_once(places, small))


def test_packages_that_only_conda_has_are_refused(places: Places, tmp_path: Path) -> None:
    conda = {"dependencies": ["python=3.11", "gdal=3.8", "r-base", {"pip": ["mlflow"]}]}
    model = write(tmp_path / "m", conda=conda)
    with pytest.raises(StagingFailed, match=r"gdal=3\.8, r-base"):
        asyncio.run(stage_once(places, model))


def test_a_full_disk_is_told_with_what_can_be_deleted(
    places: Places, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_on_a_full_disk = tmp_path / "uv"
    uv_on_a_full_disk.write_text(
        "#!/bin/sh\necho 'error: No space left on device (os error 28)'\nexit 2\n"
    )
    uv_on_a_full_disk.chmod(0o700)
    monkeypatch.setattr(stage, "find_uv", lambda: str(uv_on_a_full_disk))
    with pytest.raises(StagingFailed, match=r"disk is full: .* MB are free .*Delete environments"):
        asyncio.run(stage_once(places, small))
    assert rests(places) == []


def test_extras_that_cannot_be_had_are_told_and_the_rest_goes_on(
    places: Places, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "RUNTIME_EXTRAS", ("orjson", "no-such-package-at-all"))
    found = asyncio.run(stage_once(places, small))
    subprocess.run([found.python, "-c", "import orjson"], check=True)
    log = (places.logs / "build.log").read_text()
    assert "no-such-package-at-all cannot be added" in log


# -- at the same time ------------------------------------------------------------------------------


def test_stages_of_one_lock_are_made_once(places: Places, small: Path) -> None:
    async def scenario() -> list[Environment]:
        async with stager_of(places) as stager:
            logs = [places.logs / f"{i}.log" for i in range(3)]
            return await asyncio.gather(
                *(stager.stage(small, None, log, lambda p: None) for log in logs)
            )

    found = asyncio.run(scenario())
    assert found[0] == found[1] == found[2]
    texts = [(places.logs / f"{i}.log").read_text() for i in range(3)]
    assert sum("] installing " in text for text in texts) == 1
    assert sum("is being made for another model" in text for text in texts) == 2


def test_who_gives_up_waiting_does_not_take_it_from_the_others(places: Places, small: Path) -> None:
    async def scenario() -> Environment:
        async with stager_of(places) as stager:
            installing = asyncio.Event()

            def told(phase: str) -> None:
                if phase.startswith(("installing", "waiting")):
                    installing.set()

            first = asyncio.create_task(stager.stage(small, None, places.logs / "1", told))
            await installing.wait()
            installing.clear()
            second = asyncio.create_task(stager.stage(small, None, places.logs / "2", told))
            await installing.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await second

    assert asyncio.run(scenario()).kind == "staged"


@pytest.mark.parametrize("phase", ["resolving", "installing"])
def test_cancelling_leaves_nothing(places: Places, small: Path, phase: str) -> None:
    async def scenario() -> None:
        async with stager_of(places) as stager:
            reached = asyncio.Event()

            def told(text: str) -> None:
                if text.startswith(phase):
                    reached.set()

            task = asyncio.create_task(stager.stage(small, None, places.logs / "b", told))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
    assert environments(places) == []
    assert rests(places) == []
    assert census.naming(str(places.environments)) == []


KILLED = """
import asyncio, sys
from pathlib import Path
from jupyter_serving.environments import Stager
from jupyter_serving.places import Places
from jupyter_serving.settings import Settings
places = Places(Path(sys.argv[1]), Path(sys.argv[2]))
stage = Stager(places, Settings()).stage
asyncio.run(stage(Path(sys.argv[3]), None, Path(sys.argv[4]), lambda phase: print(phase, flush=True)))
"""


def test_what_a_killed_controller_left_is_removed_and_made_anew(
    places: Places, small: Path
) -> None:
    folders = [places.data, places.runtime, small, places.logs / "b"]
    argv = [sys.executable, "-c", KILLED, *map(str, folders)]
    # Copying takes long enough to be killed in.
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"UV_LINK_MODE": "copy"}
    ) as killed:
        assert killed.stdout is not None
        assert any("installing" in phase for phase in killed.stdout)
        until(lambda: rests(places), what="the temporary directory")
        killed.kill()
    assert rests(places) != []
    assert asyncio.run(stage_once(places, small)).kind == "staged"
    assert rests(places) == []
    assert len(environments(places)) == 1


# -- bytecode --------------------------------------------------------------------------------------


def test_bytecode_of_the_whole_environment_is_compiled_in_the_background(
    places: Places, small: Path
) -> None:
    async def scenario() -> Path:
        async with stager_of(places) as stager:
            found = await stager.stage(small, None, places.logs / "b", lambda p: None)
            await stager.compiled()
            return found.python.parents[1]

    root = asyncio.run(scenario())
    [site] = (root / "lib").glob("python*/site-packages")
    sources = list((site / "mlflow").rglob("*.py"))
    compiled = list((site / "mlflow").rglob("*.pyc"))
    assert len(compiled) == len(sources) > 100
    assert (root / ".compiled").exists()


def test_closing_ends_the_compilation(places: Places, small: Path) -> None:
    asyncio.run(stage_once(places, small))
    until(lambda: not census.naming(str(places.environments)), what="the end of the compiler")
    assert not any(
        (places.environments / key / ".compiled").exists() for key in environments(places)
    )
