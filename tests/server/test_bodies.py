"""Request bodies: bounded collection, and a pipe that slows its sender."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_serving.errors import BadRequest
from jupyter_serving.server.bodies import Collected, Piped


async def collected(body):
    return [piece async for piece in body]


async def test_a_collected_body_comes_out_once():
    body = Collected(10)
    for piece in (b"abc", b"def"):
        await body.receive(piece)
    body.check()
    assert body.size == 6
    assert await collected(body) == [b"abc", b"def"]
    assert await collected(body) == []


async def test_beyond_the_limit_nothing_is_kept():
    body = Collected(4)
    await body.receive(b"abc")
    await body.receive(b"def")
    await body.receive(b"g")
    assert await collected(body) == []
    with pytest.raises(BadRequest, match="limit"):
        body.check()


async def test_a_pipe_holds_its_sender_back():
    pipe = Piped(depth=1)
    await pipe.receive(b"1")
    second = asyncio.ensure_future(pipe.receive(b"2"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    pieces = aiter(pipe)
    assert await anext(pieces) == b"1"
    await asyncio.wait_for(second, 20)
    ending = asyncio.ensure_future(pipe.end())
    assert [piece async for piece in pieces] == [b"2"]
    await asyncio.wait_for(ending, 20)


async def test_a_pipe_without_reader_lets_its_sender_go_on():
    pipe = Piped(depth=1)
    await pipe.receive(b"1")
    stuck = asyncio.ensure_future(pipe.receive(b"2"))
    await asyncio.sleep(0)
    pipe.abandon()
    await asyncio.wait_for(stuck, 20)
    await asyncio.wait_for(pipe.receive(b"3"), 20)
    await asyncio.wait_for(pipe.end(), 20)


async def test_an_empty_piece_does_not_end_a_pipe():
    pipe = Piped()
    await pipe.receive(b"")
    await pipe.receive(b"x")
    await pipe.end()
    assert await collected(pipe) == [b"x"]
