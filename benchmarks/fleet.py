"""What endpoints cost that are scaled to zero: ``python -m benchmarks.fleet --endpoints 10,100,1000 [--json]``.

All are made through the public API from one model of an MLflow registry. Each is proven by one replica and left idle
until nothing of it runs, and the process that reads registries has ended (``registry_idle_seconds``, shortened here).
Then memory by process, CPU of a quiet minute and the latency of the list are measured at each size of the fleet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jupyter_serving import connect
from jupyter_serving.client import Client
from jupyter_serving.registry.log import quiet

from . import accounting, subjects
from .accounting import MIB, Reading, Use
from .peers.ours import READER, processes
from .report import Bar, publish
from .tables import number, table

SIZES = (10, 100, 1000)
# 400 MB
MEMORY_BOUND_MIB = 381.0
CPU_BOUND_PERCENT = 5.0
LIST_BOUND_MS = 50.0
QUIET_SECONDS = 60.0
# Starts at a time: as many as two cores keep busy.
AT_ONCE = 4
IDLE_SECONDS = 1.0
REGISTRY_IDLE = {"JUPYTER_SERVING_REGISTRY_IDLE_SECONDS": "5"}
READY_SECONDS = 300.0
LISTS = 40
MODEL = "lr"


@dataclass(frozen=True)
class Fleet:
    """One size: seconds to make each further endpoint, MiB by process, CPU of one core at rest, the list.

    ``list_cpu_ms`` is our processes' time for one list: unlike the latency it does not feel what else the machine does.
    """

    endpoints: int
    seconds_each: float
    memory: dict[str, float]
    cpu_percent: float
    list_p50_ms: float
    list_p95_ms: float
    list_cpu_ms: float
    list_bytes: int

    @property
    def total(self) -> float:
        """MiB of all our processes."""
        return sum(self.memory.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    options = _options(argv)
    found = measure(options.endpoints, options.quiet, lambda text: print(text, file=sys.stderr))
    if not options.json:
        print(text(found))
    return publish(bars(found), options.json, {"fleet": [asdict(fleet) for fleet in found]})


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost of endpoints that are scaled to zero.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--endpoints", type=_sizes, default=SIZES, help="sizes of the fleet: 10,100,1000"
    )
    parser.add_argument("--quiet", type=float, default=QUIET_SECONDS, help="seconds to watch CPU")
    return parser.parse_args(argv)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(part) for part in text.split(",")))


def measure(
    sizes: Sequence[int], quiet: float, progress: Callable[[str], None] = lambda _: None
) -> list[Fleet]:
    """Grow one fleet to each size in turn and weigh it at rest."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        served = registered(Path(folder))
        data = Path(folder) / "data"
        with patch.dict(os.environ, REGISTRY_IDLE):
            client = Client(server=connect.local(data))
        try:
            found: list[Fleet] = []
            made = 0
            for size in sizes:
                progress(f"{size} endpoints")
                each = _grow(client, served, made, size)
                _until(lambda: READER not in processes(str(data)).values(), "the registry is read")
                made = size
                found.append(_weigh(client, data, size, each, quiet))
                progress(f"  {found[-1]}")
            return found
        finally:
            client.shutdown()
            client.close()
            _gone(data)


def _gone(data: Path) -> None:
    """Wait for the end of the services: they write their last figures into the folder that is removed then."""
    limit = time.monotonic() + READY_SECONDS
    while processes(str(data)) and time.monotonic() < limit:
        time.sleep(0.05)


def registered(folder: Path) -> dict[str, Any]:
    """The served entity of each endpoint: version 1 of a model in a registry of its own, in SQLite."""
    import mlflow

    (subject,) = subjects.make([MODEL], folder / "models")
    uri = f"sqlite:///{folder / 'registry.db'}"
    with quiet():
        registry = mlflow.MlflowClient(uri, uri)
        registry.create_registered_model(MODEL)
        registry.create_model_version(MODEL, str(subject.directory))
    return {
        "entity_name": MODEL,
        "entity_version": "1",
        "name": "model",
        "registry": {"tracking_uri": uri, "registry_uri": uri},
        "kernel_python": sys.executable,
        "min_provisioned_concurrency": 0,
        "max_provisioned_concurrency": 1,
        "scale_to_zero_enabled": True,
        "scale_to_zero_seconds": IDLE_SECONDS,
    }


def run(quick: bool = False) -> list[Bar]:
    """Bars of the largest fleet, and a table; of a tiny one for a quick look."""
    sizes, quiet = ((2, 4), 1.0) if quick else (SIZES, QUIET_SECONDS)
    found = measure(sizes, quiet, lambda line: print(line, file=sys.stderr, flush=True))
    print(text(found), file=sys.stderr, flush=True)
    return bars(found)


def _grow(client: Client, served: dict[str, Any], made: int, size: int) -> float:
    """Make endpoints up to ``size``, each proven; returns the seconds for each once all are at zero."""
    begun = time.monotonic()

    def one(index: int) -> None:
        name = f"fleet-{index:04}"
        client.create(name, {"served_entities": [served]})
        client.wait(name, READY_SECONDS)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(made, size)))
    seconds = time.monotonic() - begun
    _until(lambda: not client.status()["replicas"], "replicas run")
    return seconds / max(1, size - made)


def _until(done: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + READY_SECONDS
    while not done():
        if time.monotonic() > limit:
            raise SystemExit(f"{what} still, {READY_SECONDS:g} s after the last deploy")
        time.sleep(0.5)


def _weigh(client: Client, data: Path, size: int, each: float, quiet: float) -> Fleet:
    asked = Reading.now(processes(str(data)), ())
    lists = [_list(client) for _ in range(LISTS)]
    before = Reading.now(processes(str(data)), ())
    time.sleep(quiet)
    after = Reading.now(processes(str(data)), ())
    milliseconds = [seconds * 1000 for seconds, _ in lists]
    return Fleet(
        endpoints=size,
        seconds_each=round(each, 3),
        memory=memory(data),
        cpu_percent=round(100 * Use.between(before, after).cpu / (after.at - before.at), 2),
        list_p50_ms=round(statistics.median(milliseconds), 2),
        list_p95_ms=round(statistics.quantiles(milliseconds, n=20)[-1], 2),
        list_cpu_ms=round(1000 * Use.between(asked, before).cpu / LISTS, 2),
        list_bytes=lists[-1][1],
    )


def _list(client: Client) -> tuple[float, int]:
    """Seconds and bytes of one answer on the controller's socket."""
    control = client.server.control()
    begun = time.perf_counter()
    answer = control.request("GET", "/api/2.0/serving-endpoints")
    return time.perf_counter() - begun, len(answer.body)


def memory(data: Path) -> dict[str, float]:
    """Proportional MiB by kind of process."""
    found: dict[str, float] = {}
    for pid, part in processes(str(data)).items():
        found[part] = round(found.get(part, 0.0) + accounting.pss(pid) / MIB, 1)
    return found


def bars(found: Sequence[Fleet]) -> list[Bar]:
    """The issue's bounds, at the largest size."""
    last = found[-1]
    what = f"{last.endpoints} endpoints at zero"
    return [
        Bar(
            f"{what}: memory of all processes (PSS)", round(last.total, 1), MEMORY_BOUND_MIB, "MiB"
        ),
        Bar(f"{what}: CPU of one core", last.cpu_percent, CPU_BOUND_PERCENT, "%"),
        Bar(f"{what}: list answer p95", last.list_p95_ms, LIST_BOUND_MS, "ms"),
    ]


def text(found: Sequence[Fleet]) -> str:
    """One line for each size, and the price of one endpoint more between two of them."""
    parts = sorted({part for fleet in found for part in fleet.memory})
    head = ["endpoints", *[f"{part} MiB" for part in parts], "all MiB", "KiB each", "CPU %"]
    head += ["list p50 ms", "list p95 ms", "list CPU ms", "list kB", "deploy s each"]
    lines, before = [], None
    for fleet in found:
        more = (
            number((fleet.total - before.total) * 1024 / (fleet.endpoints - before.endpoints))
            if before
            else "-"
        )
        line = [str(fleet.endpoints), *[number(fleet.memory.get(part, 0.0)) for part in parts]]
        line += [number(fleet.total), more, number(fleet.cpu_percent)]
        line += [number(fleet.list_p50_ms), number(fleet.list_p95_ms)]
        line.append(number(fleet.list_cpu_ms))
        lines.append([*line, number(fleet.list_bytes / 1000), number(fleet.seconds_each)])
        before = fleet
    return table(head, lines)


if __name__ == "__main__":
    sys.exit(main())
