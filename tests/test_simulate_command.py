"""``jupyter serving simulate`` without services: files, synthetic arrivals, many endpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_serving import cli


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Status, output, errors."""
    status = cli.main(["simulate", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_file_of_arrivals(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time,requests\n0,1\n600,1\n1200,1\n")
    words = ("--trace", str(path), "--idle", "60,3600", "--cold-start", "2", "--json")
    status, out, _ = run(capsys, *words)
    assert status == 0
    told = json.loads(out)["settings"]
    assert [line["setting"] for line in told][1:] == ["idle 1 min", "idle 1 h"]
    assert told[1]["met_cold_start"] == 3
    assert told[2]["met_cold_start"] == 1
    assert told[2]["waiting_mean"] == pytest.approx(2 / 3)


def test_synthetic_arrivals_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--synthetic", "bursty", "--rate", "3", "--hours", "0.5", "--target", "0.5")
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "COLD STARTS/DAY" in out
    assert "target 50%" in out


def test_many_endpoints_and_their_cost(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--endpoints", "30", "--hours", "0.25", "--rate", "3000")
    status, out, _ = run(capsys, *words, "--json")
    assert status == 0
    told = json.loads(out)
    assert told["endpoints"] == 30
    assert told["requests"] + told["refused"] == pytest.approx(3000 * 900, rel=0.02)
    whole = told["seconds"] + told["trace_seconds"]
    assert told["seconds_per_endpoint"] == pytest.approx(whole / 30)
    status, out, _ = run(capsys, *words)
    assert "ms per endpoint" in out
    assert out.startswith("30 endpoints, 0.25 h in steps of 5 s")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "no arrivals"),
        (("--synthetic", "odd"), "no synthetic trace"),
        (("--synthetic", "bursty", "--trace", "x.csv"), "no arrivals"),
        (("iris", "--endpoints", "5"), "makes its own arrivals"),
        (("--synthetic", "bursty", "--hours", "0.1", "--idle", "soon"), "no number"),
    ],
)
def test_what_is_missing_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], what: str
) -> None:
    status, _, errors = run(capsys, *words)
    assert status == 1
    assert what in errors
