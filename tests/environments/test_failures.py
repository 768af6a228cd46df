import pytest

from jupyter_serving.environments.failures import disk_full, from_output, is_full

# As uv 0.13 says it.
UNSATISFIABLE = [
    "error: No solution found when resolving dependencies",
    "  cause: Because there is no version of scikit-learn==99.0 and you require scikit-learn==99.0, we can conclude "
    "that your requirements are unsatisfiable.",
]
OLDER_UV = [
    "  × No solution found when resolving dependencies:",
    "  ╰─▶ Because only numpy<=2.3 is available and you require numpy==9, we can conclude that your",
    "      requirements are unsatisfiable.",
]
OFFLINE = [
    "Resolved nothing",
    "error: Request failed after 3 retries in 5.9s",
    "  cause: Failed to fetch: https://user:secret@pypi.example.org/simple/six/",
    "  cause: tcp connect error",
]
BUILD = [
    "   Building sad==1.0",
    "error: Failed to build `sad==1.0`",
    "  cause: The build backend returned an error",
    "  cause: gcc: command not found",
]
FULL = [
    "error: Failed to install: numpy-2.4.6.whl (numpy==2.4.6)",
    "  cause: failed to copy file: No space left on device (os error 28)",
]


@pytest.mark.parametrize(
    ("lines", "told", "hint"),
    [
        (UNSATISFIABLE, "no version of scikit-learn==99.0", "Correct the pin"),
        (OLDER_UV, "you require numpy==9", "Correct the pin"),
        (OFFLINE, "cannot be reached at pypi.example.org", "UV_DEFAULT_INDEX"),
        (BUILD, "gcc: command not found", "has a wheel"),
        (["something new"], "something new", "build.log"),
        ([], "uv said nothing", "build.log"),
    ],
)
def test_the_cause_and_the_next_step_are_named(lines: list[str], told: str, hint: str) -> None:
    error = from_output(lines, "/logs/build.log")
    assert told in error.message
    assert hint in error.hint
    assert "/logs/build.log" in str(error)


def test_marks_of_the_terminal_are_not_part_of_the_message() -> None:
    assert not set("×╰─▶") & set(str(from_output(OLDER_UV, "log")))


def test_a_full_disk_is_recognised_and_told_with_what_to_delete() -> None:
    assert is_full(" ".join(FULL))
    assert not is_full(" ".join(BUILD))
    error = disk_full("/data/environments", 12_000_000)
    assert "12 MB are free for /data/environments" in str(error)
    assert "Delete environments" in error.hint
