from __future__ import annotations

from typing import Any

import pytest

from jupyter_serving.notebook import display
from jupyter_serving.notebook.display import Endpoints, LiveLine, Log, Table


def test_a_table_is_text_and_html() -> None:
    table = Table(("A", "State"), [("<x>", "READY")], marked=1, title="<t>")
    shown = table._repr_mimebundle_()
    assert shown["text/plain"] == "<t>\nA    State\n<x>  READY"
    assert "&lt;x&gt;" in shown["text/html"]
    assert "&lt;t&gt;" in shown["text/html"]
    assert "●" in shown["text/html"]
    assert len(table) == 1


def test_an_empty_table_says_what_to_do() -> None:
    assert repr(Endpoints()) == "No endpoints yet. Make one: %serve deploy MODEL --name NAME"
    assert "No endpoints yet" in Endpoints()._repr_mimebundle_()["text/html"]


def test_a_long_log_is_shown_from_its_end_and_kept_whole() -> None:
    log = Log("a" * 100_000 + "end")
    assert repr(log).endswith("end")
    assert len(repr(log)) < 21_000
    assert len(str(log)) == 100_003
    assert repr(Log("")) == "(the log is empty)"


class FrontEnd:
    """Counts what a front end is sent."""

    def __init__(self) -> None:
        self.updates: list[dict[str, str]] = []

    def display(self, data: dict[str, str], **_: Any) -> FrontEnd:
        self.updates.append(data)
        return self

    def update(self, data: dict[str, str], **_: Any) -> None:
        self.updates.append(data)


@pytest.fixture
def front_end(monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    made = FrontEnd()
    monkeypatch.setattr("IPython.display.display", made.display)
    monkeypatch.setattr(display, "_can_update", lambda: True)
    return made


def test_a_live_line_is_redrawn_twice_a_second_at_most(front_end: FrontEnd) -> None:
    clock = [0.0]
    line = LiveLine(clock=lambda: clock[0])
    for _ in range(100):
        clock[0] += 0.05
        line.phase("CREATING", "staging <x>", clock[0])
    assert len(front_end.updates) <= 11
    assert "staging &lt;x&gt; (" in front_end.updates[-1]["text/html"]
    line.done()
    assert front_end.updates[-1]["text/plain"] == ""


def test_a_change_is_shown_at_once(front_end: FrontEnd) -> None:
    line = LiveLine(clock=lambda: 0.0)
    line.say("one")
    line.say("two")
    assert [u["text/plain"] for u in front_end.updates] == ["one (0 s)", "two (0 s)"]


def test_what_is_told_in_the_end_stays(front_end: FrontEnd) -> None:
    line = LiveLine(clock=lambda: 0.0)
    line.say("one")
    line.done("Stopped waiting.")
    line.done()
    assert front_end.updates[-1]["text/plain"] == "Stopped waiting."


def test_without_a_front_end_changes_go_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = LiveLine(clock=lambda: 0.0)
    line.say("one")
    line.say("one")
    line.done()
    assert capsys.readouterr().err == "one (0 s)\n"
