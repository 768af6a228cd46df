"""What zygotes cost is told, and those that hold more than they may end, the longest unused first."""

from __future__ import annotations

import asyncio

from services import until

from jupyter_serving.backends.process import ProcessBackend
from jupyter_serving.settings import Settings

from .harness import World, ready

MB = 1_000_000


class Standing:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_zygote_tells_its_price_and_ends_when_memory_is_short(own_world: World) -> None:
    async def scenario() -> None:
        clock = Standing()
        backend = ProcessBackend(own_world.places, Settings(), clock)
        try:
            spec = own_world.spec()
            started = await ready(backend, spec)
            held = (await backend.memory({spec.id: started.handle}))[spec.id]
            (spare,) = await backend.spare()
            assert spare.pid in own_world.zygotes()
            assert spare.environment == own_world.environment.key
            assert spare.endpoints == ("e",)
            assert spare.replicas == 1
            assert MB < spare.memory_bytes < 2000 * MB
            assert MB < held < 2000 * MB
            await backend.stop(started.handle, 30.0)
            await backend.shrink(1 << 40)
            assert len(await backend.spare()) == 1, "one that was just used stays"
            clock.now = 60.0
            await backend.shrink(1)
            assert await backend.spare() == []
            await asyncio.to_thread(until, lambda: not own_world.zygotes())
        finally:
            await backend.close()

    asyncio.run(scenario())
