"""What cannot be read in one way only is refused, and reaches no replica (request smuggling)."""

import contextlib
from pathlib import Path

import pytest

from .wire import PATH, request, served, wire_to
from .world import scenario

HEAD = f"POST {PATH} HTTP/1.1\r\nhost: x\r\n"
CHUNKED = HEAD + "transfer-encoding: chunked\r\n\r\n"
PLAIN = HEAD + "content-length: 1\r\n\r\n1"


DOUBTFUL = [
    (f"POST {PATH} HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n1", "HTTP/1.1"),
    (f"POST {PATH} HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n1", "HTTP/1.1"),
    (
        f"POST {PATH} HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1",
    ),
    (
        f"POST {PATH} HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        "HTTP/1.1",
    ),
    (
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "gzip",
    ),
    (f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "chunk"),
    (f"POST {PATH} HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1"),
    (f"POST {PATH} HTTP/1.1\r\nbad header: 1\r\n\r\n", "HTTP/1.1"),
    (f"POST {PATH} HTTP/1.1\r\na: b\r\n folded\r\n\r\n", "HTTP/1.1"),
    (f"POST {PATH} HTTP/3.9\r\n\r\n", "HTTP/1.1"),
    (HEAD + "content-length: 1, 1\r\n\r\n1", "Content-Length"),
    (HEAD + "content-length: +1\r\n\r\n1", "Content-Length"),
    (HEAD + "content-length: 0x1\r\n\r\n1", "Content-Length"),
    (HEAD + "content-length: \r\n\r\n", "Content-Length"),
    (HEAD + "content-length: 18446744073709551617\r\n\r\n1", "overflow"),
    (HEAD + "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", "xchunked"),
    (HEAD + "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
    (HEAD + "transfer-encoding : chunked\r\n\r\n0\r\n\r\n", "header"),
    (HEAD + "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "header"),
    (HEAD + "transfer-encoding: chunked\r\n" * 2 + "\r\n0\r\n\r\n", "Transfer-Encoding"),
    (CHUNKED.replace("/1.1", "/1.0") + "1\r\n1\r\n0\r\n\r\n", "HTTP/1.0"),
    (PLAIN.replace("\r\n", "\n"), "CR"),
    (HEAD + "a: b\ncontent-length: 1\r\n\r\n1", "CR"),
    (HEAD + "a: b\rcontent-length: 1\r\n\r\n1", "LF"),
    (HEAD + "a: b\0c\r\n\r\n", "header"),
    (HEAD + "a\0: b\r\n\r\n", "header"),
    (HEAD + ": b\r\n\r\n", "header"),
    (f"POST {PATH} HTTP/1.1\r\n a: b\r\nhost: x\r\n\r\n", "space"),
    (CHUNKED + "1\n1\n0\n\n", "CR"),
    (CHUNKED + "1\r\n12\r\n0\r\n\r\n", "chunk"),
    (CHUNKED + "10000000000000001\r\n1\r\n0\r\n\r\n", "overflow"),
    (CHUNKED + "0x1\r\n1\r\n0\r\n\r\n", "chunk size"),
    (CHUNKED + "-1\r\n1\r\n0\r\n\r\n", "chunk size"),
    (CHUNKED + "1;a\nb\r\n1\r\n0\r\n\r\n", "chunk"),
    (CHUNKED + "1\r\n1\r\n0\r\ncontent-length: 5\r\n\r\n", "Content-Length"),
    (PLAIN.replace("host: x\r\n", ""), "no host"),
    (PLAIN.replace("host: x\r\n", "host: x\r\nhost: y\r\n"), "host"),
    (HEAD + "authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n", "authorization"),
    (f"GET {PATH}\r\n\r\n", "HTTP/0.9"),
    (PLAIN.replace("/1.1", "/2.0"), "HTTP/2.0"),
    (PLAIN.replace("HTTP/1.1", "http/1.1"), "HTTP/1.1"),
    (PLAIN.replace("POST ", "POST\t"), "HTTP/1.1"),
    (PLAIN.replace(PATH, PATH + " x"), "HTTP/1.1"),
    (PLAIN.replace(PATH, PATH + "\0"), "url"),
    (PLAIN.replace("POST", "FOO"), "method"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1"),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1"),
    (f"POST {PATH} HTTP/1.1\r\n" + "a: b\r\n" * 101 + "\r\n", "100 headers"),
    (f"POST {PATH} HTTP/1.1\r\na: " + "b" * 33000 + "\r\n\r\n", "32 KiB"),
    (f"POST {PATH}?{'q' * 33000} HTTP/1.1\r\na: b\r\n\r\n", "32 KiB"),
]


@scenario
async def test_what_is_not_beyond_doubt_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, _, replica):
        for data, words in DOUBTFUL:
            async with wire_to(world) as wire:
                await wire.say(data.encode("latin-1"))
                status, message = await wire.error()
                assert status == 400 and words in message, (data, message)
                assert await wire.at_end(), data
        assert replica.begun == 0


@pytest.mark.parametrize(
    ("start", "flood"),
    [
        (b"", b"1;" + b"a" * 4096 + b"\r\n1\r\n"),
        (b"", b"1" + b";a" * 2000 + b"\r\n1\r\n"),
        (b"1;", b"a" * 4096),
    ],
    ids=["extensions", "many extensions", "one endless extension"],
)
@scenario
async def test_framing_without_data_is_refused(tmp_path: Path, start: bytes, flood: bytes) -> None:
    async with served(tmp_path) as (_, wire, replica):
        await wire.say(CHUNKED.encode() + start)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await wire.say(flood)
        status, message = await wire.error()
        assert status == 400 and "framing" in message
        assert replica.begun == 0


@scenario
async def test_endless_trailers_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        await wire.say(CHUNKED.encode() + b"1\r\n1\r\n0\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(200):
                await wire.say(b"t%d: %b\r\n" % (number, b"x" * 1000))
        status, message = await wire.error()
        assert status == 400 and "framing" in message
        assert replica.begun == 0


@scenario
async def test_a_body_in_chunks_of_one_byte_is_served(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        body = b"".join(b"1\r\n%c\r\n" % byte for byte in b"7" * 20_000)
        await wire.say(CHUNKED.encode())
        for start in range(0, len(body), 1000):
            await wire.say(body[start : start + 1000])
        await wire.say(b"0\r\n\r\n")
        assert (await wire.answer())[0] == 200
        assert replica.begun == 1


@scenario
async def test_what_follows_a_last_request_is_not_read(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        await wire.say(request(b"1", "connection: close\r\n") + request(b"2"))
        assert (await wire.answer())[0] == 200
        assert await wire.at_end()
        assert replica.order == [1]
