"""A served entity that is cold never delays one that is warm (serving-engines 5, complaint 1)."""

from __future__ import annotations

from pathlib import Path

from load import OpenLoop
from services import until

from .clients import Later
from .stage import Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
TO_ZERO = {
    "min_provisioned_concurrency": 0,
    "scale_to_zero_enabled": True,
    "scale_to_zero_seconds": 0.5,
}


def test_a_cold_entity_never_delays_a_warm_one(stage: Stage, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    zoo, client = stage.zoo, stage.client
    warm = zoo.entity(zoo.doubles(), name="warm")
    slow = {"environment_vars": {"GATE": str(gate)}, **TO_ZERO}
    cold = zoo.entity(zoo.waits_in_load(), name="cold", **slow)
    routes = [{"served_entity_name": n, "traffic_percentage": 50} for n in ("warm", "cold")]
    with stage.endpoint(zoo.doubles()) as played:
        config = {"served_entities": [warm, cold], "traffic_config": {"routes": routes}}
        client.update(played.name, config)
        client.wait(played.name)
        until(lambda: len(stage.leaders()) == 1, what="zero replicas of the cold one")
        gate.unlink()
        named = played.url.replace("/invocations", "/served-models/{}/invocations")
        to_warm = (named.format("warm"), played.authorization, ROWS)
        with OpenLoop(*to_warm, rate=20) as load:
            until(lambda: load.good_since(0.0), what="answers of the warm one")
            with Later(named.format("cold"), played.authorization, ROWS) as held:
                until(lambda: len(stage.leaders()) == 2, what="its replica loads")
                moment = load.mark("loading")
                until(lambda: load.good_since(moment, 60), what="answers while it loads")
                load.mark("loaded")
                assert not held.answered
                gate.touch()
                assert held.reply().json == {"predictions": [21.0]}
        assert load.failures() == []
        waits = sorted(a.headers["server-timing"] for a in load.between("loading", "loaded"))
        assert not any("cold" in wait for wait in waits), "none of them waited for a replica"
