"""The fuzz itself: its cases are the same for the same seed, and it sees what it is to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from . import bodies, framing, v2_bodies
from .attack import Report, attack
from .cases import SOUND, Case, End, Maker, Target, series

TARGET = Target("/invocations", b'{"dataframe_records": [{"x": 1.0}]}')
ALL: tuple[Maker, ...] = (*framing.MAKERS, *bodies.MAKERS, *v2_bodies.MAKERS)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_the_same_seed_makes_the_same_cases() -> None:
    first, again = (list(series(7, 400, TARGET, ALL)) for _ in range(2))
    assert first == again
    assert first != list(series(8, 400, TARGET, ALL))


def test_no_two_cases_are_alike_too_often() -> None:
    cases = list(series(1, 2000, TARGET, ALL))
    assert len({case.data for case in cases}) > 1000
    assert all(500 not in case.statuses for case in cases)


def answer(status: str, body: str, more: str = "") -> Serve:
    """A server that answers everything the same."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(2**20):
            head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
            writer.write((head + body).encode())
            if "close" in more:
                break
        writer.close()

    return serve


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(2**20)
    writer.close()


def attacked(folder: Path, serve: Serve, case: Case, times: int = 30) -> Report:
    async def run() -> Report:
        path = str(folder / "s")
        server = await asyncio.start_unix_server(serve, path)
        try:
            return await attack(f"unix:{path}", [case] * times, 1)
        finally:
            server.close()

    return asyncio.run(run())


ERROR = '{"error_code": "BAD_REQUEST", "message": "no"}'
ASKED = Case("asked", TARGET.request(), SOUND)
REFUSED = Case("refused", TARGET.request(), frozenset({400}), End.CLOSE)


@pytest.mark.parametrize(
    ("serve", "case", "fault"),
    [
        (answer("500 Oops", ERROR), ASKED, "500"),
        (answer("400 No", "no"), ASKED, "without error_code"),
        (answer("400 No", '{"error_code": "", "message": "m"}'), ASKED, "without error_code"),
        (answer("Hello", ERROR), ASKED, "not HTTP"),
        (answer("200 OK", "{}", "transfer-encoding: chunked\r\n"), ASKED, "plain length"),
        (silence, ASKED, "closed without an answer"),
        (answer("200 OK", "{}", "connection: close\r\n"), REFUSED, "200"),
    ],
)
def test_an_unsound_server_is_found(tmp_path: Path, serve: Serve, case: Case, fault: str) -> None:
    report = attacked(tmp_path, serve, case)
    assert len(report.failures) == report.cases == 30
    assert fault in report.failures[0] and "seed 1, case 0" in report.failures[0]


def test_two_answers_to_a_smuggled_request_are_found(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(2**20)
        head = f"HTTP/1.1 400 No\r\ncontent-length: {len(ERROR)}\r\n\r\n"
        writer.write((head + ERROR).encode() * 2)
        writer.close()

    report = attacked(tmp_path, serve, REFUSED)
    assert len(report.failures) == 30 and "2 answers" in report.failures[0]


@pytest.mark.parametrize(
    ("serve", "case"),
    [
        (answer("200 OK", "{}"), ASKED),
        (answer("400 No", ERROR), ASKED),
        (answer("400 No", ERROR, "connection: close\r\n"), REFUSED),
        (silence, REFUSED),
    ],
)
def test_a_sound_server_is_not_blamed(tmp_path: Path, serve: Serve, case: Case) -> None:
    report = attacked(tmp_path, serve, case)
    assert report.failures == [] and report.cases == 30
