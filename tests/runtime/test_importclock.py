"""How long imports take, by package: with modules that take exactly as long as a clock says."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_serving.runtime.importclock import ImportClock

MODULES = {
    "slowpkg/__init__.py": "import ticker; ticker.tick(1); import slowpkg.part; import otherpkg",
    "slowpkg/part.py": "import ticker; ticker.tick(2)",
    "otherpkg.py": "import ticker; ticker.tick(4)",
    "brokenpkg.py": "import ticker; ticker.tick(8); raise ImportError('no')",
    "ticker.py": "now = 0\ndef tick(n):\n    global now\n    now += n\n",
}


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportClock]:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    ticker = importlib.import_module("ticker")
    yield ImportClock(lambda: float(ticker.now))
    for name in ("ticker", "slowpkg", "slowpkg.part", "otherpkg", "brokenpkg"):
        sys.modules.pop(name, None)


def test_each_package_has_its_own_seconds_and_those_with_what_it_brought_along(
    clock: ImportClock,
) -> None:
    with clock:
        importlib.import_module("slowpkg")
    assert clock.seconds == 7
    assert clock.own == {"slowpkg": 3, "otherpkg": 4}
    assert clock.whole == {"slowpkg": 7, "otherpkg": 4}
    assert clock.slowest() == [("otherpkg", 4.0, 4.0), ("slowpkg", 3.0, 7.0)]


def test_what_is_there_already_costs_nothing_and_a_second_turn_adds_up(clock: ImportClock) -> None:
    with clock:
        __import__("otherpkg")
    with clock:
        __import__("otherpkg")
        __import__("slowpkg")
    assert (clock.seconds, clock.own["otherpkg"], clock.own["slowpkg"]) == (7, 4, 3)


def test_an_import_that_fails_counts_and_leaves_nothing_open(clock: ImportClock) -> None:
    with clock:
        with pytest.raises(ImportError, match="no"):
            __import__("brokenpkg")
        __import__("otherpkg")
    assert clock.own == {"brokenpkg": 8, "otherpkg": 4}


def test_imports_of_other_threads_and_after_the_end_do_not_count(clock: ImportClock) -> None:
    with clock:
        thread = threading.Thread(target=lambda: __import__("otherpkg"))
        thread.start()
        thread.join()
    __import__("slowpkg")
    assert clock.seconds == 0


def test_only_the_slowest_ten_are_told() -> None:
    clock = ImportClock()
    clock.own = {f"p{n}": float(n) for n in range(20)}
    clock.whole = dict(clock.own)
    assert [name for name, _, _ in clock.slowest()] == [f"p{n}" for n in range(19, 9, -1)]
