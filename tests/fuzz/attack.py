"""Sends cases and judges the answers: strict about what an answer is, and about who has to close."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .cases import Case, End

LANES = 12
HANG = 20.0
"""An answer that is due and does not come for so long is a hang."""
GLANCE = 0.02
"""Before the client of a cut request ends, it waits so long for an answer; then that may be lost."""

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]*")
_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?[\x20-\x7e\x80-\xff]*")


class Unsound(Exception):
    """What the server did is not allowed by the case."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass
class Report:
    """What came of a series."""

    seed: int
    cases: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def count(self, case: Case, answers: Sequence[Answer]) -> None:
        """One case went well."""
        self.cases += 1
        self.kinds[case.name] += 1
        self.statuses.update([str(a.status) for a in answers] or ["closed"])

    def failed(self, number: int, case: Case, trouble: Exception) -> None:
        """One case went wrong."""
        self.cases += 1
        data = case.data if len(case.data) < 600 else case.data[:400] + b"..." + case.data[-100:]
        self.failures.append(
            f"seed {self.seed}, case {number}, {case.name}: {trouble!r}\n  sent {data!r}"
        )


async def attack(address: str, cases: Iterable[Case], seed: int) -> Report:
    """Send all cases to ``unix:/path`` or ``tcp:host:port`` on ``LANES`` connections at a time."""
    report, numbered = Report(seed), iter(enumerate(cases))

    async def lane() -> None:
        wire = Wire(address)
        for number, case in numbered:
            try:
                report.count(case, await wire.play(case))
            except (Unsound, OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as trouble:
                report.failed(number, case, trouble)
                wire.close()
        wire.close()

    await asyncio.gather(*(lane() for _ in range(LANES)))
    return report


class Wire:
    """One connection after the other."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def play(self, case: Case) -> list[Answer]:
        """Send a case and read what comes; raises ``Unsound`` where that is not allowed."""
        reader, writer = await self._open()
        writer.write(case.data)
        async with asyncio.timeout(HANG):
            if case.end is End.ANSWER:
                answers = [await self._one(reader, case)]
            else:
                if case.end is End.CUT:
                    await self._cut(reader, writer)
                answers = await self._rest(reader, case)
        for answer in answers:
            judge(case, answer)
        if case.end is End.CLOSE and len(answers) > 1:
            raise Unsound(f"{len(answers)} answers to one request: {[a.status for a in answers]}")
        return answers

    def close(self) -> None:
        """Leave; the next case gets a new connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            kind, _, rest = self._address.partition(":")
            if kind == "unix":
                self._streams = await asyncio.open_unix_connection(rest)
            else:
                host, _, port = rest.rpartition(":")
                self._streams = await asyncio.open_connection(host, int(port))
        return self._streams

    async def _one(self, reader: asyncio.StreamReader, case: Case) -> Answer:
        answer = await read_answer(reader, case.bodiless)
        if answer is None:
            raise Unsound("closed without an answer")
        if answer.headers.get(b"connection", b"").lower() == b"close":
            if await reader.read(1):
                raise Unsound("more after the last answer")
            self.close()
        return answer

    async def _cut(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(GLANCE)
        try:
            writer.write_eof()
        except OSError:
            pass  # closed already

    async def _rest(self, reader: asyncio.StreamReader, case: Case) -> list[Answer]:
        answers = []
        try:
            while (answer := await read_answer(reader, case.bodiless)) is not None:
                answers.append(answer)
        except ConnectionError:
            pass  # closed before all of what was sent had been read
        except EOFError:
            if case.end is not End.CUT:
                raise
        self.close()
        return answers


async def read_answer(reader: asyncio.StreamReader, bodiless: bool) -> Answer | None:
    """One answer; None where the connection is closed before it.

    Raises:
        Unsound: it is not HTTP/1.1. EOFError: it is cut off.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head[:-4].split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or not all(_FIELD.fullmatch(line) for line in lines):
        raise Unsound(f"not HTTP/1.1: {head[:300]!r}")
    if status.group(1) == b"100":
        return await read_answer(reader, bodiless)
    headers = {
        name.lower(): value.strip() for name, _, value in (li.partition(b":") for li in lines)
    }
    if b"content-length" not in headers or b"transfer-encoding" in headers:
        raise Unsound(f"an answer without a plain length: {head!r}")
    size = 0 if bodiless else int(headers[b"content-length"])
    return Answer(int(status.group(1)), headers, await reader.readexactly(size))


def judge(case: Case, answer: Answer) -> None:
    """Raise ``Unsound`` where the status is not allowed, or an error is not of the one shape."""
    if answer.status not in case.statuses:
        raise Unsound(f"{answer.status}: {answer.body[:500]!r}")
    if answer.status < 400 or case.bodiless:
        return
    try:
        told = json.loads(answer.body)
        sound = all(isinstance(told[key], str) and told[key] for key in ("error_code", "message"))
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound:
        raise Unsound(f"{answer.status} without error_code and message: {answer.body[:500]!r}")
