from pathlib import Path

from jupyter_serving.environments import Environment


def test_an_environment_survives_the_store() -> None:
    one = Environment("k" * 16, Path("/env/bin/python"), "staged", "f", "six==1.17.0", "3.11.7")
    assert Environment.from_json(one.to_json()) == one
    assert Environment.from_json(one.to_json() | {"of_a_newer_version": 1}) == one
