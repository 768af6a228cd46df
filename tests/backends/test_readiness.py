import asyncio
from pathlib import Path

import pytest

from jupyter_serving.backends import readiness
from jupyter_serving.errors import StartFailed


async def asked(socket: Path, answer: bytes, patience: float = 60.0) -> readiness.Readiness:
    """Ask a peer that answers with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if answer:
            writer.close()

    server = await asyncio.start_unix_server(talk, str(socket))
    try:
        return await readiness.ask(socket, 0.0, patience)
    finally:
        server.close()


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_what_a_ready_replica_says(tmp_path: Path) -> None:
    body = '{"ready": true, "slots": 4, "phases": {"imports": 1.5}, "modules": ["sklearn"]}'
    found = asyncio.run(asked(tmp_path / "s", http("200 OK", body)))
    assert (found.ready, found.failed, found.slots) == (True, False, 4)
    assert (found.phases, found.modules) == ({"imports": 1.5}, ["sklearn"])


@pytest.mark.parametrize(
    ("code", "failed"), [("INTERNAL_ERROR", True), ("TEMPORARILY_UNAVAILABLE", False)]
)
def test_a_failed_load_differs_from_one_that_goes_on(
    tmp_path: Path, code: str, failed: bool
) -> None:
    found = asyncio.run(asked(tmp_path / "s", http("503 X", f'{{"error_code": "{code}"}}')))
    assert (found.ready, found.failed) == (False, failed)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n\r\n", http("200 OK", "no json"), b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_another_program_is_no_replica(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(StartFailed, match="no replica"):
        asyncio.run(asked(tmp_path / "s", answer))


def test_a_connection_that_breaks_and_one_that_stays_mute(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        asyncio.run(asked(tmp_path / "s", b"HTTP/1.1 200"))
    with pytest.raises(TimeoutError):
        asyncio.run(asked(tmp_path / "t", b"", patience=0.05))
