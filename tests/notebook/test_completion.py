from __future__ import annotations

import time
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import CompletionContext, provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from services import until
from zoo import Zoo

from jupyter_serving.notebook import completion, register
from jupyter_serving.notebook.magics import VERBS


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_seen", completion._Names({"iris", "irises", "wine"}))


class Fitted:
    def predict(self, rows: Any) -> Any:
        return rows


NAMESPACE: dict[str, Any] = {
    "forest": Fitted(),
    "frame": pd.DataFrame({"a": [1]}),
    "rows": [1],
    "_hidden": Fitted(),
    "Fitted": Fitted,
    "number": 3,
}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%serve ", sorted(VERBS)),
        ("%serve st", ["start", "starts", "status", "stop"]),
        ("x = %serve st", ["start", "starts", "status", "stop"]),
        ("%%serve qu", ["query"]),
        ("  %serve st", ["start", "starts", "status", "stop"]),
        ("%serve query ir", ["iris", "irises"]),
        ("%serve delete ", ["iris", "irises", "wine"]),
        ("%serve deploy ", ["forest"]),
        ("%serve query iris --da", ["--data"]),
        ("%serve query iris --data ", ["frame", "rows"]),
        ("%serve query iris --data fr", ["frame"]),
        ("%serve deploy forest --size ", ["Large", "Medium", "Small"]),
        ("%serve deploy forest --name w", ["wine"]),
        ("%serve deploy forest --idle ", []),
        ("%serve nothing ", []),
        ("%serve list ", []),
    ],
)
def test_what_may_stand_there_is_offered(line: str, offered: list[str]) -> None:
    assert completion.candidates(line, NAMESPACE) == offered


@pytest.mark.parametrize(
    "line", ["", "serve st", "x = y", "print('%serve')", "%served st", "y%serve st"]
)
def test_other_lines_are_left_alone(line: str) -> None:
    assert completion.candidates(line, NAMESPACE) is None


def complete(shell: InteractiveShell, text: str) -> list[str]:
    shell.Completer.use_jedi = False
    with provisionalcompleter():
        return [c.text for c in shell.Completer.completions(text, len(text))]


def test_ipython_offers_it_and_nothing_else(shell: InteractiveShell) -> None:
    completion.remember_all({"iris"})
    assert complete(shell, "%serve st") == ["start", "starts", "status", "stop"]
    assert complete(shell, "e = %serve query ir") == ["iris"]
    assert complete(shell, "a = 1\n%serve query ir") == ["iris"]
    assert complete(shell, "%serve deploy x --no") == ["--no-scale-to-zero", "--no-wait"]


def test_registering_twice_offers_once(shell: InteractiveShell) -> None:
    register(shell)
    matchers = [m for m in shell.Completer.custom_matchers if getattr(m, "_serve", False)]
    assert len(matchers) == 1


class NeverAnswers:
    """A client whose server hangs."""

    def list(self) -> list[Any]:
        time.sleep(600)
        return []


def test_a_server_that_hangs_does_not_hold_completion(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_serving.notebook import serving

    monkeypatch.setattr(serving.default, "_client", NeverAnswers())
    completion.remember("iris")
    begun = time.monotonic()
    context = CompletionContext(
        token="ir", full_text="%serve query ir", cursor_position=15, cursor_line=0, limit=None
    )
    matcher = next(m for m in shell.Completer.custom_matchers if getattr(m, "_serve", False))
    assert [c.text for c in matcher(context)["completions"]] == ["iris"]
    assert time.monotonic() - begun < 5  # against 600: a hang, not a slow machine


def test_names_of_others_are_learnt_in_the_background(shell: InteractiveShell, zoo: Zoo) -> None:
    from jupyter_serving.notebook import serving

    completion.remember_all(())
    endpoint = serving.default.get().deploy("learnt", zoo.entity(zoo.doubles()))

    def offered() -> bool:
        completion._seen.asked = -1e9
        return "learnt" in complete(shell, "%serve query le")

    until(offered, 30, "the name")
    endpoint.delete()
    completion.forget("learnt")
    assert completion.candidates("%serve query le", {}) == []
