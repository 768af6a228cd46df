from __future__ import annotations

import os

import pytest

from jupyter_serving.runtime import threads

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*threads.VARIABLES, *threads.WAITING):
        monkeypatch.setenv(name, "")  # put back after the test, whatever it does
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("spec", "told", "expected"),
    [
        ({"slots": 1, "cpu_share": 3}, "7", 3),
        ({"slots": 1}, "7", 7),
        ({"slots": 1}, "many", 1),
        ({"slots": 1}, "", CPUS),
        ({"slots": 10_000}, "", 1),
    ],
)
def test_the_share_is_the_orders_the_users_or_the_machines(
    monkeypatch: pytest.MonkeyPatch, spec: dict, told: str, expected: int
):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert threads.share(spec) == expected


def test_one_thread_at_first_the_share_after(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    single = threads.Single()
    assert [os.environ[name] for name in threads.VARIABLES] == ["1"] * 4
    # spinning threads of one worker would take the CPUs of the others
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    single.restore(1)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ["MKL_NUM_THREADS"] == "5"
    single.undo()
    assert "OMP_NUM_THREADS" not in os.environ


def test_the_users_way_of_waiting_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.default(2)
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_what_is_loaded_is_raised_and_lowered():
    import numpy as np
    import threadpoolctl

    np.ones((4, 4)) @ np.ones((4, 4))
    before = [each["num_threads"] for each in threadpoolctl.threadpool_info()]
    with threadpoolctl.threadpool_limits(1):
        threads.spread(2)
        assert {each["num_threads"] for each in threadpoolctl.threadpool_info()} == {2}
    assert [each["num_threads"] for each in threadpoolctl.threadpool_info()] == before
