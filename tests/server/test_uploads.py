"""Uploads of models: of any size, sent on while they arrive."""

from __future__ import annotations

import asyncio
import hashlib

from .upstreams import until

MODEL = "/api/2.0/jupyter-serving/models/sha256:abc"


async def test_an_upload_is_sent_on_while_it_arrives(http, url, controller):
    first, rest = b"a" * 65536, b"b" * (5 * 1024**2)
    go_on = asyncio.Event()

    async def pieces():
        yield first
        await go_on.wait()
        yield rest

    upload = asyncio.create_task(http.put(url + MODEL, content=pieces()))
    await until(lambda: controller.uploaded == len(first), "the first piece behind")
    assert not upload.done()
    go_on.set()
    answer = await upload
    assert answer.json()["digest"] == hashlib.sha256(first + rest).hexdigest()


async def test_an_upload_has_no_limit_of_size(http, url, controller):
    piece = b"z" * (1 << 20)

    async def pieces():
        for _ in range(130):  # more than every limit there is: 1, 16, 64 and tornado's 100 MB
            yield piece

    answer = await http.put(url + MODEL, content=pieces())
    assert answer.json()["size"] == 130 << 20


async def test_an_upload_that_is_refused_early_is_told(http, url, controller):
    answer = await http.put(url + MODEL + "-refused", content=b"q" * (3 << 20))
    assert answer.status_code == 400


async def test_an_upload_whose_client_leaves_ends_behind(http, url, controller):
    never = asyncio.Event()

    async def pieces():
        yield b"a" * 65536
        await never.wait()

    upload = asyncio.create_task(http.put(url + MODEL, content=pieces()))
    await until(lambda: controller.uploaded > 0, "the first piece behind")
    upload.cancel()
    await asyncio.wait_for(controller.upload_aborted.wait(), 20)
