"""``jupyter serving quickstart``: the whole path on iris, with figures.

Train, log to a registry in the data directory, deploy with scale to zero, query, let it fall asleep, query again.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import cards
from .api import Registry
from .client import Client
from .commands import console
from .delivery import Options, deliver
from .errors import DeadlineExceeded, InvalidParameter, Unavailable
from .places import Places

MODEL = "quickstart-iris"
WARM_QUERIES = 200
IDLE_SECONDS = 2.0
DEPLOY_SECONDS = 600.0
SLEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What is printed, with ``--json`` under exactly these names; phases in seconds."""

    endpoint: str
    model: str
    version: str
    deploy_seconds: float
    warm_p50_ms: float
    warm_p99_ms: float
    cold_start_seconds: float
    cold_start_phases: dict[str, float]
    predictions_equal: bool


@dataclass(slots=True)
class Tour:
    """One run; ``say`` tells the progress."""

    client: Client
    name: str
    rows: Any
    expected: list[Any]
    progress: console.Progress
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep

    def deploy(self, model: str, registry: Registry) -> float:
        """Create the endpoint; seconds until it was ready."""
        begun = self.clock()
        options = Options(
            min_concurrency=1, max_concurrency=1, scale_to_zero=True, idle_seconds=IDLE_SECONDS
        )
        deliver(
            self.client, self.name, model, options, registry=registry, progress=self.progress.say
        )
        self.client.wait(self.name, DEPLOY_SECONDS, self.progress.phase)
        return self.clock() - begun

    def warm(self) -> tuple[float, float, bool]:
        """p50 and p99 in milliseconds of warm queries of one row, and whether all answers are the model's own."""
        times, equal = [], self.ask()
        for turn in range(WARM_QUERIES):
            if turn % 20 == 0:
                self.progress.say(f"querying: {turn} of {WARM_QUERIES}")
            row = turn % len(self.rows)
            begun = self.clock()
            answer = self.client.query(self.name, self.rows.iloc[row : row + 1])
            times.append((self.clock() - begun) * 1000)
            equal = equal and list(answer) == self.expected[row : row + 1]
        times.sort()
        return times[len(times) // 2], times[int(len(times) * 0.99) - 1], equal

    def ask(self) -> bool:
        """Query all rows once; True if the answers are the model's own."""
        return list(self.client.query(self.name, self.rows)) == self.expected

    def fall_asleep(self) -> None:
        """Wait until no replica is left."""
        limit = self.clock() + SLEEP_SECONDS
        while (endpoint := self.client.get(self.name)).phase != "SCALED_TO_ZERO":
            if self.clock() > limit:
                raise DeadlineExceeded(
                    f"The endpoint did not scale to zero within {SLEEP_SECONDS:g} s (it is {endpoint.phase}).",
                    hint=f"jupyter serving events {self.name} tells what it did.",
                )
            self.progress.say(
                f"idle: waiting for scale to zero ({cards.phase_words(endpoint.phase)})"
            )
            self.sleep(0.2)

    def wake(self) -> tuple[float, dict[str, float], bool]:
        """Query the sleeping endpoint: seconds until the answer, the phases of the start, and whether it is right."""
        self.progress.say("waking it with a query")
        begun = self.clock()
        equal = self.ask()
        seconds = self.clock() - begun
        return seconds, self._phases(), equal

    def _phases(self) -> dict[str, float]:
        limit = self.clock() + 10
        while self.clock() < limit:
            wakes = [start for start in self.client.starts(self.name) if start["reason"] == "wake"]
            # The last phase is recorded when the gateway's report arrives, a moment after the answer.
            if wakes and "first_byte" in wakes[-1].get("phases", {}):
                return {name: float(value) for name, value in wakes[-1].get("phases", {}).items()}
            self.sleep(0.1)
        raise Unavailable(
            f"The cold start of {self.name!r} was not recorded.", hint="See the controller's log."
        )


def run(options: argparse.Namespace) -> int:
    """Run the tour; status 0 only if every answer was the model's own."""
    progress = console.Progress()
    if options.data_dir:
        console.use_data_dir(options.data_dir)
    client = console.client(options, progress)
    # The controller gets ready for the deploy while the model is trained and logged.
    client.prepare()
    places = Places.of()
    progress.say("training a random forest on iris")
    model, rows = _train()
    progress.say("logging it to MLflow, with signature and input example")
    logged = _log(model, rows, places)
    name = f"quickstart-{secrets.token_hex(3)}"
    tour = Tour(client, name, rows, model.predict(rows).tolist(), progress)
    try:
        result = _drive(tour, logged)
    except BaseException:
        progress.done()
        _remove(client, name, options.keep)
        raise
    _remove(client, name, options.keep)
    progress.done()
    if options.json:
        console.print_json(asdict(result))
    else:
        print(report(result, options.keep))
    return 0 if result.predictions_equal else 1


def _drive(tour: Tour, logged: Any) -> Result:
    seconds = tour.deploy(logged.uri, logged.registry)
    p50, p99, warm_equal = tour.warm()
    tour.fall_asleep()
    cold, phases, cold_equal = tour.wake()
    return Result(
        endpoint=tour.name,
        model=logged.name,
        version=logged.version,
        deploy_seconds=round(seconds, 3),
        warm_p50_ms=round(p50, 3),
        warm_p99_ms=round(p99, 3),
        cold_start_seconds=round(cold, 3),
        cold_start_phases=phases,
        predictions_equal=warm_equal and cold_equal,
    )


def _train() -> tuple[Any, Any]:
    try:
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
    except ImportError as error:
        raise InvalidParameter(
            "The quickstart trains with scikit-learn, which is not installed.",
            hint="pip install 'jupyter-serving[lab]'",
        ) from error
    rows, target = load_iris(return_X_y=True, as_frame=True)
    model = RandomForestClassifier(n_estimators=10, random_state=0).fit(rows, target)
    return model, rows


def _log(model: Any, rows: Any, places: Places) -> Any:
    """Register the model in a SQLite registry of its own under the data directory."""
    from mlflow import MlflowClient

    from .registry.log import log, quiet

    home = places.data / "quickstart"
    home.mkdir(mode=0o700, exist_ok=True)
    uri = f"sqlite:///{home / 'mlflow.db'}"
    with quiet():
        store = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = store.get_experiment_by_name("quickstart")
        # Without a location of its own SQLite puts artifacts under the working directory.
        number = (
            experiment.experiment_id
            if experiment
            else store.create_experiment(
                "quickstart", artifact_location=(home / "artifacts").as_uri()
            )
        )
    return log(
        model,
        name=MODEL,
        X=rows,
        registry=Registry(tracking_uri=uri, registry_uri=uri),
        experiment_id=number,
    )


def _remove(client: Client, name: str, keep: bool) -> None:
    if keep:
        return
    from .errors import ServingError

    try:
        client.delete(name)
    except ServingError:
        pass  # it was never made, or the services are gone: what came before says it better


def report(result: Result, keep: bool) -> str:
    """The table and the next three things to try."""
    phases = ", ".join(
        f"{name} {seconds:.3f}" for name, seconds in result.cold_start_phases.items()
    )
    rows = [
        ("model", f"{result.model} version {result.version}"),
        ("deploy", f"{result.deploy_seconds:.2f} s"),
        (
            "warm query",
            f"p50 {result.warm_p50_ms:.2f} ms, p99 {result.warm_p99_ms:.2f} ms ({WARM_QUERIES} of one row)",
        ),
        ("cold start", f"{result.cold_start_seconds:.2f} s to the answer"),
        ("of that", f"{phases} (seconds)"),
        (
            "predictions",
            "equal to the model's own"
            if result.predictions_equal
            else "DIFFER from the model's own",
        ),
    ]
    name = result.endpoint if keep else "iris"
    first = (
        f"jupyter serving get {name}     (it is still up; delete it with: jupyter serving delete {name})"
        if keep
        else "jupyter serving quickstart --keep     (leaves the endpoint up)"
    )
    return "\n".join(
        [
            cards.table_text(("QUICKSTART", result.endpoint), rows),
            "",
            "Next:",
            f"  1. {first}",
            "  2. In a notebook: %load_ext jupyter_serving, then %serve deploy MODEL --name iris",
            "  3. jupyter serving deploy models:/NAME/VERSION --name NAME --wait",
        ]
    )
