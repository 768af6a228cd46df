"""Config versions: what is carried on, what became of each, what a rollback goes to, what may be forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jupyter_serving.api import ConfigState, Registry, ServedEntityInput
from jupyter_serving.controller import versions
from jupyter_serving.controller.records import ConfigRecord, EndpointRecord, EntityRecord

ENTITY = EntityRecord(
    name="a",
    spec=ServedEntityInput(name="a", entity_name="iris", entity_version="1"),
    source={"name": "iris", "version": "1", "uri": "models:/m-1"},
    registry=Registry(tracking_uri="sqlite:////r"),
    created=0,
    creator="me",
)
PREPARED = replace(ENTITY, digest="sha256:aa", environment={"python": "/p"})
ENDPOINT = EndpointRecord(id="e", name="iris", creator="me", created=0, updated=0)


def config(version: int, *entities: EntityRecord, **more: Any) -> ConfigRecord:
    known = {"routes": (("a", 100),), **more}
    return ConfigRecord(
        endpoint="e", version=version, created=0, entities=entities or (PREPARED,), **known
    )


def spec(**changes: Any) -> EntityRecord:
    return replace(ENTITY, spec=replace(ENTITY.spec, **changes))


@pytest.mark.parametrize(
    "changed",
    [
        spec(environment_vars={"X": "1"}),
        spec(workload_size="Medium"),
        spec(min_provisioned_concurrency=1, max_provisioned_concurrency=2),
        spec(kernel_python="/other"),
        replace(ENTITY, name="b"),
        replace(ENTITY, source={**ENTITY.source, "uri": "models:/m-2"}),
        replace(ENTITY, registry=Registry(tracking_uri="sqlite:////other")),
        replace(ENTITY, digest="sha256:bb"),
    ],
)
def test_what_changes_how_replicas_serve_is_not_carried_on(changed: EntityRecord) -> None:
    (entity,) = versions.carry([changed], config(3), lambda _, e: e, lambda _: True)
    assert entity.since == 0


@pytest.mark.parametrize(
    "changed",
    [
        ENTITY,
        spec(scale_to_zero_enabled=True, scale_to_zero_seconds=5.0),
        spec(reload_every_seconds=60.0),
        spec(entity_version="@champion"),
        replace(ENTITY, creator="you", created=9),
    ],
)
def test_the_rest_keeps_its_replicas_and_what_was_prepared(changed: EntityRecord) -> None:
    active = config(3, replace(PREPARED, since=1))
    first = replace(PREPARED, digest="sha256:first")
    (entity,) = versions.carry([changed], active, lambda _, __: first, lambda _: True)
    assert (entity.since, entity.digest) == (1, "sha256:first")
    assert entity.spec == changed.spec
    assert config(4, entity).key(entity) == active.key(active.entities[0]) == "e:1:a"


def test_replicas_that_cannot_start_are_not_carried_on_so_that_a_new_deploy_heals() -> None:
    (entity,) = versions.carry([ENTITY], config(3), lambda _, e: e, lambda _: False)
    assert (entity.since, entity.digest) == (0, "")


def test_a_fresh_version_of_one_that_was_carried_on_is_fresh() -> None:
    (entity,) = versions.carry([replace(PREPARED, since=2)], None, lambda _, e: e, lambda _: True)
    assert (entity.since, entity.digest) == (0, "sha256:aa"), "what is here of it is used"


def test_what_became_of_a_version() -> None:
    endpoint = replace(ENDPOINT, active=4, pending=6, failed=5)
    states = {
        n: versions.state(endpoint, config(n, outcome=outcome))
        for n, outcome in [
            (1, None),
            (2, ConfigState.CANCELED),
            (3, ConfigState.FAILED),
            (4, ConfigState.SUPERSEDED),
            (5, None),
            (6, None),
        ]
    }
    assert list(states.values()) == [
        ConfigState.SUPERSEDED,
        ConfigState.CANCELED,
        ConfigState.FAILED,
        ConfigState.ACTIVE,
        ConfigState.FAILED,
        ConfigState.PENDING,
    ]


def test_a_rollback_goes_to_the_last_other_version_that_worked() -> None:
    good = {"outcome": ConfigState.SUPERSEDED}
    other = replace(PREPARED, spec=replace(PREPARED.spec, environment_vars={"X": "1"}))
    known = [
        config(1, other, **good),
        config(2, other, outcome=ConfigState.FAILED),
        config(3, PREPARED, **good),
        config(4, PREPARED, **good),
    ]
    found = versions.last_good(replace(ENDPOINT, active=4), known)
    assert found is not None
    assert found.version == 1
    assert versions.last_good(replace(ENDPOINT, active=1), known) is None


def test_fifty_versions_are_kept_and_those_that_something_refers_to() -> None:
    known = [config(n) for n in range(1, 61)] + [config(61, replace(PREPARED, since=3))]
    endpoint = replace(ENDPOINT, active=61, failed=5)
    gone = [c.version for c in versions.expendable(endpoint, known)]
    assert gone == [1, 2, 4, 6, 7, 8, 9, 10, 11]
    assert versions.expendable(endpoint, known[:50]) == []
