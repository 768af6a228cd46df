from pathlib import Path

import pytest

from jupyter_serving.backends import tail

TRACEBACK = """2026-01-01T00:00:00Z worker 1: the model could not be loaded
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    load()
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2
ValueError: weights.bin is damaged
2026-01-01T00:00:00Z leader: ended with exit code 3
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TRACEBACK, "ValueError: weights.bin is damaged"),
        (
            "2026-01-01T00:00:00Z leader: one\n\n2026-01-01T00:00:00Z leader: two\n",
            "leader: one | leader: two",
        ),
        ("Segmentation fault", "Segmentation fault"),
        ("", ""),
    ],
)
def test_the_line_that_says_most(tmp_path: Path, text: str, told: str) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    assert tail.useful(log) == told


def test_only_what_was_appended_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("ValueError: of an earlier replica\n")
    before = tail.size(log)
    assert tail.useful(log, before) == ""
    with log.open("a") as file:
        file.write("new\n")
    assert tail.useful(log, before) == "new"


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert (tail.size(tmp_path / "none"), tail.useful(tmp_path / "none")) == (0, "")
