from dataclasses import replace
from pathlib import Path

from jupyter_serving.backends import ReplicaSpec, environ
from jupyter_serving.environments import Environment

SPEC = ReplicaSpec(
    "r", "e", "m", 1, Path("/m"), Environment("k" * 16, Path("/env/bin/python"), "staged", "f"),
    1, 2, {}, 60.0, True, Path("/log"),
)  # fmt: skip


def test_the_users_variables_win_and_ours_are_those_of_the_machine() -> None:
    ours = {
        "PATH": "/bin",
        "HOME": "/h",
        "LANG": "C",
        "JUPYTERHUB_USER": "x",
        "MLFLOW_RUN_ID": "1",
        "VIRTUAL_ENV": "v",
    }
    found = environ.replica_environment(
        replace(SPEC, environment_vars={"LANG": "de", "A": "1"}), ours
    )
    assert found["PATH"] == "/env/bin:/bin"
    assert (found["LANG"], found["A"], found["HOME"], found["OMP_NUM_THREADS"]) == (
        "de",
        "1",
        "/h",
        "2",
    )
    assert not {"JUPYTERHUB_USER", "MLFLOW_RUN_ID", "VIRTUAL_ENV"} & set(found)


def test_the_users_word_on_threads_counts() -> None:
    assert environ.threads(SPEC) == 2
    assert environ.threads(replace(SPEC, environment_vars={"OMP_NUM_THREADS": "7"})) == 7
    assert environ.threads(replace(SPEC, environment_vars={"OMP_NUM_THREADS": "many"})) == 2


def test_a_zygote_serves_one_environment_one_runtime_and_one_set_of_variables() -> None:
    here = Path("/data/runtime/abc")
    key = environ.zygote_key(SPEC, here)
    assert len(key) == 16
    assert environ.zygote_key(replace(SPEC, id="other", slots=4), here) == key
    others = {
        environ.zygote_key(SPEC, Path("/data/runtime/def")),
        environ.zygote_key(replace(SPEC, environment_vars={"A": "1"}), here),
        environ.zygote_key(replace(SPEC, environment=replace(SPEC.environment, key="other")), here),
    }
    assert key not in others
    assert len(others) == 3


def test_the_runtime_is_found_before_the_users_own_search_path() -> None:
    assert environ.with_runtime({}, Path("/r"))["PYTHONPATH"] == "/r"
    assert environ.with_runtime({"PYTHONPATH": "/own"}, Path("/r"))["PYTHONPATH"] == "/r:/own"


def test_what_checks_found_is_named_after_all_that_they_depend_on() -> None:
    here = Path("/data/runtime/abc")
    spec = replace(SPEC, model=Path("/models/0123"))
    name = environ.verdicts_name(spec, here)
    assert name.startswith("0123-")
    assert environ.verdicts_name(replace(spec, id="other", slots=4, entity="o"), here) == name
    environment = spec.environment
    others = {
        environ.verdicts_name(spec, Path("/data/runtime/def")),
        environ.verdicts_name(replace(spec, model=Path("/models/4567")), here),
        environ.verdicts_name(replace(spec, environment_vars={"A": "1"}), here),
        environ.verdicts_name(replace(spec, batching={"mode": "on"}), here),
        environ.verdicts_name(replace(spec, bare_nan=True), here),
        environ.verdicts_name(replace(spec, environment=replace(environment, key="o")), here),
        environ.verdicts_name(
            replace(spec, environment=replace(environment, fingerprint="o")), here
        ),
    }
    assert name not in others
    assert len(others) == 7
