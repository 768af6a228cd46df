from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from services import Services, until
from zoo import Zoo

from jupyter_serving import connect
from jupyter_serving.client import Client
from jupyter_serving.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidParameter,
    NotFound,
    ServingError,
    StartFailed,
)
from jupyter_serving.handle import Endpoint
from jupyter_serving.transport import Answer


@pytest.fixture(scope="module")
def client(shared_services: Services) -> Client:
    return shared_services.client_started()


@pytest.fixture(scope="module")
def iris(client: Client, zoo: Zoo) -> Iterator[Endpoint]:
    """An endpoint of the forest, ready."""
    endpoint = client.create("iris", {"served_entities": [zoo.entity(zoo.forest())]})
    yield endpoint.wait(120)
    client.delete("iris")


def test_a_query_gives_the_models_own_predictions(iris: Endpoint, zoo: Zoo) -> None:
    rows, model = zoo.iris
    sample = rows.iloc[[3, 60, 140]]
    answer = iris.query(sample)
    assert list(answer) == model.predict(sample).tolist()
    assert answer.frame().index.equals(sample.index)
    assert {"queue", "predict", "total"} <= set(answer.timing)
    assert (answer.served_entity, answer.version) == ("iris-1", "1")
    assert answer.request_id


def test_a_named_served_entity_and_raw_bytes_can_be_asked(
    client: Client, iris: Endpoint, zoo: Zoo
) -> None:
    rows, model = zoo.iris
    body = rows.head(2).to_csv(index=False).encode()
    answer = client.query("iris", body, content_type="text/csv", served_entity="iris-1")
    assert list(answer) == model.predict(rows.head(2)).tolist()


def test_bad_data_is_told_by_the_model(iris: Endpoint) -> None:
    with pytest.raises(ServingError, match="missing inputs") as told:
        iris.query([{"wrong": 1}])
    assert told.value.status == 400


def test_an_endpoint_shows_itself(client: Client, iris: Endpoint) -> None:
    shown = iris.refresh()._repr_mimebundle_()
    assert "Endpoint iris: ready" in shown["text/plain"]
    assert iris.url in shown["text/html"]
    assert (iris.phase, iris.message) == ("READY", "")
    assert [e["name"] for e in iris.served_entities] == ["iris-1"]
    listed = next(e for e in client.list() if e.name == "iris")
    assert "iris version 1" in repr(listed)


def test_logs_events_and_starts_are_there(iris: Endpoint) -> None:
    assert iris.logs()
    assert "environment" in iris.logs(build=True)
    events = iris.events()
    assert events[0]["type"] == "ENDPOINT_CREATED"
    assert [e["id"] for e in iris.client.events("iris", after=events[0]["id"])] == [
        e["id"] for e in events[1:]
    ]
    starts = until(iris.starts, 10, "a recorded start")
    assert starts[0]["reason"] == "deploy"


def test_why_tells_how_many_replicas_there_are_for_what_reason(iris: Endpoint) -> None:
    why = iris.why()
    assert "replica" in why["served_entities"][0]["last"]["reason"]
    assert "Up from 0 to 1 replica" in repr(why)
    with pytest.raises(InvalidParameter, match="limit"):
        iris.client.autoscaling("iris", limit=-1)


def test_a_token_works_at_the_gateway_and_nothing_else_does(
    client: Client, iris: Endpoint, zoo: Zoo
) -> None:
    import urllib.error
    import urllib.request

    body = b'{"inputs": [[1, 2, 3, 4]]}'
    request = urllib.request.Request(iris.url, body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 401
    refused.value.close()
    request.add_header("Authorization", f"Bearer {iris.token('a test')}")
    with pytest.raises(urllib.error.HTTPError) as schema:
        urllib.request.urlopen(request, timeout=30)
    assert schema.value.code == 400  # let in, and refused by the model's schema
    schema.value.close()


def test_what_does_not_exist_is_told_with_what_does(client: Client, iris: Endpoint) -> None:
    for ask in (client.get, client.delete, client.stop, client.logs, client.starts):
        with pytest.raises(NotFound, match="iris"):
            ask("iriss")
    with pytest.raises(NotFound):
        client.query("iriss", [1])


def test_a_taken_or_bad_name_is_told(client: Client, iris: Endpoint, zoo: Zoo) -> None:
    config = {"served_entities": [zoo.entity(zoo.forest())]}
    with pytest.raises(AlreadyExists):
        client.create("iris", config)
    with pytest.raises(InvalidParameter, match="Try 'a-b'"):
        client.create("a/b", config)


def test_deploy_updates_what_is_there_and_creates_what_is_not(
    client: Client, iris: Endpoint, zoo: Zoo
) -> None:
    before = iris.refresh().detail["config"]["config_version"]
    client.deploy("iris", zoo.entity(zoo.forest(), name="again")).wait(120)
    assert iris.refresh().detail["config"]["config_version"] == before + 1
    with pytest.raises(NotFound, match="no version 9"):
        client.deploy("iris", zoo.entity("models:/iris/9"))
    with pytest.raises(NotFound, match="no version 9"):
        client.deploy("fresh", zoo.entity("models:/iris/9"))
    assert "fresh" not in {e.name for e in client.list()}


def test_stop_and_start(client: Client, zoo: Zoo) -> None:
    endpoint = client.create("pause", {"served_entities": [zoo.entity(zoo.doubles())]}).wait(120)
    endpoint.stop()
    until(lambda: endpoint.refresh().phase == "STOPPED", 60, "the stop")
    with pytest.raises(ServingError, match="stopped") as told:
        endpoint.query([{"x": 1.0}])
    assert told.value.status == 400
    endpoint.start().wait(120)
    assert list(endpoint.query([{"x": 1.0}])) == [{"x": 2.0}]
    endpoint.delete()
    with pytest.raises(NotFound):
        endpoint.refresh()


def test_a_failed_deployment_raises_with_the_useful_line(client: Client, zoo: Zoo) -> None:
    said: list[tuple[str, str]] = []
    endpoint = client.create("broken", {"served_entities": [zoo.entity(zoo.raises_in_load())]})
    with pytest.raises(StartFailed, match="the weights are missing") as told:
        endpoint.wait(120, lambda phase, message, _: said.append((phase, message)))
    assert "jupyter serving logs broken" in str(told.value)
    assert "the weights are missing" in repr(endpoint.refresh())
    assert said
    endpoint.delete()


def test_a_failed_update_says_that_the_old_config_serves_on(client: Client, zoo: Zoo) -> None:
    endpoint = client.create("update", {"served_entities": [zoo.entity(zoo.doubles())]}).wait(120)
    client.update("update", {"served_entities": [zoo.entity(zoo.raises_in_load())]})
    with pytest.raises(StartFailed, match="serves on"):
        endpoint.wait(120)
    assert list(endpoint.query([{"x": 1.0}])) == [{"x": 2.0}]
    endpoint.delete()


def test_the_status_names_the_services(client: Client, shared_services: Services) -> None:
    status = client.status()
    assert status["data_dir"] == str(shared_services.places.data)
    assert status["gateway"]["pid"] == connect.peer_pid(shared_services.places.gateway_socket)


class UpdatingForEver:
    """A transport of an endpoint whose update never ends."""

    def request(self, *_: Any, **__: Any) -> Answer:
        body = b'{"name":"e","state":{"ready":"NOT_READY","config_update":"IN_PROGRESS"},"live":{"message":"staging"}}'
        return Answer(200, {}, body)


def test_waiting_ends_at_its_limit_and_tells_what_is_done() -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    client = Client(
        server=connect.Server("a test", url="http://h"), clock=lambda: clock[0], sleep=sleep
    )
    client._control = UpdatingForEver()  # type: ignore[assignment]
    with pytest.raises(DeadlineExceeded, match=r"not ready after 30 s \(staging\).*goes on"):
        client.wait("e", 30)
    assert 30 <= clock[0] < 31


def test_an_interrupt_leaves_the_deployment_alone() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    client = Client(server=connect.Server("a test", url="http://h"), sleep=interrupted)
    client._control = UpdatingForEver()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        client.wait("e")


class ToldByJupyter:
    """A transport through Jupyter whose status tells a gateway on some machine."""

    def __init__(self, runtime_dir: str, pid: int) -> None:
        self.body = f'{{"runtime_dir":"{runtime_dir}","gateway":{{"pid":{pid}}}}}'.encode()

    def request(self, *_: Any, **__: Any) -> Answer:
        return Answer(200, {}, self.body)


def test_the_gateways_socket_is_used_only_if_it_is_the_very_one(
    client: Client, shared_services: Services
) -> None:
    through_jupyter = Client(server=connect.Server("a test", url="http://h/jupyter-serving"))
    runtime, pid = str(shared_services.places.runtime), shared_services.pid_of("gateway")
    through_jupyter._control = ToldByJupyter(runtime, pid)  # type: ignore[assignment]
    assert through_jupyter._gateway_socket() == str(shared_services.places.gateway_socket)
    through_jupyter._control = ToldByJupyter(runtime, pid + 1)  # type: ignore[assignment]
    assert through_jupyter._gateway_socket() == ""
    assert through_jupyter._gateway().prefix == "/jupyter-serving"
