"""The staged environment serves: a model that pins another scikit-learn than ours answers with it."""

import asyncio

import httpx
from services import until

from jupyter_serving.backends import ReplicaSpec
from jupyter_serving.backends.census import naming
from jupyter_serving.backends.process import ProcessBackend
from jupyter_serving.settings import Settings

from .conftest import OLDER, Staged


def test_a_model_is_served_by_the_environment_that_it_pins(staged: Staged) -> None:
    spec = ReplicaSpec(
        id="staged",
        endpoint="e",
        entity="m",
        config_version=1,
        model=staged.model,
        environment=staged.environment,
        slots=1,
        threads=1,
        environment_vars={},
        deadline=60.0,
        stack_trace=True,
        log=staged.places.logs / "replica.log",
    )

    async def scenario() -> list[str]:
        backend = ProcessBackend(staged.places, Settings())
        try:
            steps = [step async for step in backend.start(spec)]
            transport = httpx.AsyncHTTPTransport(uds=steps[-1].handle["socket"])
            async with httpx.AsyncClient(transport=transport, timeout=60) as client:
                answer = await client.post("http://replica/invocations", json={"inputs": [1]})
            await backend.stop(steps[-1].handle, 30.0)
            return list(answer.json()["predictions"])
        finally:
            await backend.release()
            await backend.close()

    version, python, prefix = asyncio.run(scenario())
    assert version == OLDER
    assert staged.environment.version.startswith(f"{python}.")
    assert prefix == str(staged.environment.python.parents[1])
    site = next((staged.environment.python.parents[1] / "lib").glob("python*/site-packages"))
    assert list((site / "mlflow" / "pyfunc" / "__pycache__").glob("__init__.*.pyc"))
    until(lambda: not naming(str(staged.places.runtime)), what="the end of the zygote")
