"""``jupyter serving VERB``: the operator's and the script's way in.

Only the standard library is imported before a verb runs, so that ``--help`` is quick. Results go to standard output,
progress and errors to standard error. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

DESCRIPTION = "Serve models: deploy, query and look after endpoints on this machine."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = parser().parse_args(argv)
    from .errors import ServingError

    try:
        return _run(options)
    except ServingError as error:
        text = json.dumps(error.to_wire()) if options.json else f"jupyter serving: {error}"
        print(text, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\njupyter serving: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, a pager) went away.
        sys.stderr.close()
        return 1


def _run(options: argparse.Namespace) -> int:
    module, _, function = options.run.partition(":")
    run: Callable[[argparse.Namespace], int] = getattr(
        import_module(f".{module}", __package__), function
    )
    return run(options)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="jupyter serving", description=DESCRIPTION)
    top.add_argument("--version", action="version", version=_Version())
    verbs = top.add_subparsers(metavar="VERB", required=True, dest="verb")
    _services(verbs)
    _deploy(verbs)
    _endpoints(verbs)
    _query(verbs)
    _simulate(verbs)
    quick = _verb(
        verbs,
        "quickstart",
        "quickstart:run",
        "train, deploy and query a model on iris; print figures",
    )
    quick.add_argument("--keep", action="store_true", help="leave the endpoint up")
    return top


class _Version(str):
    """Text that looks the version up only when it is printed."""

    def __new__(cls) -> _Version:
        return super().__new__(cls, "%(prog)s")

    def __mod__(self, _: object) -> str:
        from .version import version

        return f"jupyter-serving {version()}"


Verbs = argparse._SubParsersAction  # argparse has no public name for it


def _verb(
    verbs: Verbs[argparse.ArgumentParser], name: str, run: str, text: str
) -> argparse.ArgumentParser:
    made = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    made.set_defaults(run=run)
    made.add_argument(
        "--json", action="store_true", help="print JSON; errors are JSON on standard error"
    )
    made.add_argument(
        "--data-dir", metavar="DIR", help="data directory (default: $JUPYTER_SERVING_DATA_DIR)"
    )
    return made


def _services(verbs: Verbs[argparse.ArgumentParser]) -> None:
    start = _verb(
        verbs, "start", "commands.services:start", "start the services, or a stopped endpoint"
    )
    start.add_argument("name", nargs="?", help="endpoint to start; without it the services")
    stop = _verb(
        verbs,
        "stop",
        "commands.services:stop",
        "stop an endpoint, or the services with all replicas",
    )
    stop.add_argument("name", nargs="?", help="endpoint to stop; without it the services")
    stop.add_argument("--keep-replicas", action="store_true", help="leave the replicas running")
    _verb(verbs, "status", "commands.services:status", "show the services and the endpoints")
    _verb(verbs, "doctor", "commands.services:doctor", "check this machine and tell what to do")


def _deploy(verbs: Verbs[argparse.ArgumentParser]) -> None:
    deploy = _verb(
        verbs, "deploy", "commands.deploy:run", "create an endpoint, or give it a new model"
    )
    deploy.add_argument(
        "model",
        metavar="MODEL_URI",
        help="models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/PATH, models:/m-ID or a model directory",
    )
    deploy.add_argument("--name", required=True, help="the endpoint's name")
    deploy.add_argument(
        "--wait", action="store_true", help="return when it is ready, or has failed"
    )
    deploy.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait")
    add_options(deploy)


def add_options(target: argparse.ArgumentParser) -> None:
    """Options of a deployment, shared with ``%serve deploy``."""
    target.add_argument(
        "--size", choices=("Small", "Medium", "Large"), help="4, 8-16 or 16-64 slots"
    )
    target.add_argument("--min-concurrency", type=int, metavar="N", help="slots that are always up")
    target.add_argument(
        "--max-concurrency", type=int, metavar="N", help="slots that are never exceeded"
    )
    target.add_argument("--workload-type", metavar="TYPE", help="CPU, GPU_SMALL, ... (default CPU)")
    target.add_argument(
        "--scale-to-zero",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="stop all replicas when idle (default: yes)",
    )
    target.add_argument(
        "--idle", type=float, metavar="SECONDS", help="idle time before it scales to zero"
    )
    _autoscaling(target)
    target.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="K=V",
        help="environment variable of the model; repeatable",
    )
    target.add_argument(
        "--batching",
        choices=("auto", "on", "off"),
        help="predict waiting requests together: auto (only models known to answer row by row), on (it does), off",
    )
    target.add_argument(
        "--max-batch-size", type=int, metavar="N", help="most requests that are predicted together"
    )
    target.add_argument(
        "--capture",
        type=float,
        metavar="SHARE",
        help="share of the requests that the gateway keeps for a look, 0 to 1 (default: none)",
    )
    target.add_argument(
        "--when-no-room",
        choices=("refuse", "hold"),
        help="where old and new do not fit side by side: refuse the update, or let requests wait during the swap",
    )
    target.add_argument(
        "--deadline", type=float, metavar="SECONDS", help="longest time until it is ready"
    )
    target.add_argument(
        "--reload-every", type=float, metavar="SECONDS", help="replace replicas that are so old"
    )
    target.add_argument("--tracking-uri", metavar="URI", help="MLflow store of the model")
    target.add_argument(
        "--registry-uri", metavar="URI", help="MLflow registry, if it is another one"
    )


def _autoscaling(target: argparse.ArgumentParser) -> None:
    """Rules of the autoscaler; what is left out is as the settings say."""
    target.add_argument(
        "--target-utilisation", type=float, metavar="SHARE", help="share of the slots to keep busy"
    )
    target.add_argument(
        "--stable-window", type=float, metavar="SECONDS", help="window of the mean load to follow"
    )
    target.add_argument(
        "--panic-window", type=float, metavar="SECONDS", help="shorter window, for bursts"
    )
    target.add_argument(
        "--panic-threshold", type=float, metavar="X", help="panic at X times what is ready"
    )
    target.add_argument(
        "--scale-down-window",
        type=float,
        metavar="SECONDS",
        help="what the load asked for within it stays",
    )
    target.add_argument(
        "--max-scale-up-rate", type=float, metavar="X", help="largest factor of one step up"
    )
    target.add_argument(
        "--max-scale-down-rate", type=float, metavar="X", help="largest factor of one step down"
    )


def add_starts_options(target: argparse.ArgumentParser) -> None:
    """Options of ``starts``, shared with ``%serve starts``."""
    target.add_argument("--limit", type=int, default=4, metavar="N", help="so many at most")
    target.add_argument(
        "--reason",
        choices=("wake", "deploy", "scale_up", "replace", "reload"),
        help="only these; wake: cold starts",
    )


def _endpoints(verbs: Verbs[argparse.ArgumentParser]) -> None:
    _verb(verbs, "list", "commands.endpoints:show_list", "list the endpoints")
    get = _verb(verbs, "get", "commands.endpoints:get", "show one endpoint")
    get.add_argument("name")
    logs = _verb(verbs, "logs", "commands.endpoints:logs", "show what a model printed")
    logs.add_argument("name")
    logs.add_argument("--build", action="store_true", help="how its environment was made instead")
    logs.add_argument("--served-entity", metavar="NAME", help="default: the first one")
    events = _verb(
        verbs, "events", "commands.endpoints:events", "show what happened to an endpoint"
    )
    events.add_argument("name")
    events.add_argument("--limit", type=int, default=50, metavar="N")
    history = _verb(
        verbs, "history", "commands.records:history", "show what an endpoint did over time"
    )
    add_history_options(history)
    _versions(verbs)
    why = _verb(verbs, "why", "commands.endpoints:why", "tell why an endpoint has so many replicas")
    why.add_argument("name")
    why.add_argument("--limit", type=int, default=10, metavar="N", help="changes that are told")
    updates = _verb(
        verbs, "updates", "commands.records:updates", "show what its updates did to an endpoint"
    )
    updates.add_argument("name")
    updates.add_argument("--limit", type=int, default=20, metavar="N")
    starts = _verb(
        verbs,
        "starts",
        "commands.endpoints:starts",
        "show where the seconds of an endpoint's starts went, and what would save most",
    )
    starts.add_argument("name")
    add_starts_options(starts)
    token = _verb(verbs, "token", "commands.endpoints:token", "make a query token for programs")
    token.add_argument("name")
    token.add_argument("--comment", default="", help="what it is for")
    delete = _verb(verbs, "delete", "commands.endpoints:delete", "delete an endpoint")
    delete.add_argument("name")
    delete.add_argument("--yes", action="store_true", help="do not ask")


def add_simulate_options(target: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate``, shared with ``%serve simulate``: how much of the record, and what is tried."""
    target.add_argument(
        "--hours", type=float, default=24.0, metavar="N", help="of arrivals (default 24)"
    )
    many = "comma list; each combination of lists is tried"
    target.add_argument("--idle", metavar="SECONDS", help=f"idle time to zero, or never; {many}")
    target.add_argument("--target", metavar="SHARE", help="share of the slots to keep busy, 0 to 1")
    target.add_argument("--min", metavar="SLOTS", help="slots that are always up")
    target.add_argument("--max", metavar="SLOTS", help="slots that are never exceeded")
    target.add_argument(
        "--scale-down-window", metavar="SECONDS", help="what was needed within it stays"
    )


def _simulate(verbs: Verbs[argparse.ArgumentParser]) -> None:
    simulate = _verb(
        verbs,
        "simulate",
        "commands.simulate:run",
        "show what the autoscaler would have done with other settings",
    )
    simulate.add_argument("name", nargs="?", help="endpoint whose recorded requests are taken")
    add_simulate_options(simulate)
    simulate.add_argument(
        "--trace", metavar="FILE.csv", help="arrivals instead: time[,requests] in each line"
    )
    simulate.add_argument(
        "--synthetic", metavar="KIND", help="arrivals instead: diurnal, bursty or mixed"
    )
    simulate.add_argument("--rate", type=float, metavar="R", help="synthetic requests per second")
    simulate.add_argument(
        "--endpoints", type=int, default=1, metavar="N", help="so many synthetic endpoints"
    )
    simulate.add_argument(
        "--execution", type=float, default=0.05, metavar="SECONDS", help="of a request (0.05)"
    )
    simulate.add_argument("--cold-start", type=float, metavar="SECONDS", help="of a replica")
    simulate.add_argument(
        "--tick", type=float, default=5.0, metavar="SECONDS", help="step of the simulation (5)"
    )
    simulate.add_argument("--seed", type=int, default=0, metavar="N", help="of synthetic arrivals")


def add_history_options(target: argparse.ArgumentParser) -> None:
    """Arguments of ``history``, shared with ``%serve history``."""
    target.add_argument("name")
    target.add_argument("--minutes", type=float, default=60, metavar="N", help="how long back")
    target.add_argument("--step", type=int, metavar="SECONDS", help="length of each value")


def _versions(verbs: Verbs[argparse.ArgumentParser]) -> None:
    cancel = _verb(verbs, "cancel", "commands.versions:cancel", "end the update in progress")
    cancel.add_argument("name")
    rollback = _verb(
        verbs, "rollback", "commands.versions:rollback", "go back to an earlier config version"
    )
    rollback.add_argument("name")
    rollback.add_argument(
        "config_version", nargs="?", type=int, help="default: the last one that worked before"
    )
    reload = _verb(
        verbs, "reload", "commands.versions:reload", "replace every replica by a fresh one"
    )
    reload.add_argument("name")
    for verb in (rollback, reload):
        verb.add_argument("--wait", action="store_true", help="return when it is done, or failed")
        verb.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait")
    configs = _verb(verbs, "configs", "commands.versions:configs", "list the config versions")
    configs.add_argument("name")


def _query(verbs: Verbs[argparse.ArgumentParser]) -> None:
    query = _verb(verbs, "query", "commands.endpoints:query", "send data to an endpoint")
    query.add_argument("name")
    query.add_argument(
        "--data", required=True, metavar="FILE", help=".csv or .json file, or - for standard input"
    )
    query.add_argument(
        "--served-entity", metavar="NAME", help="ask this one, whatever the traffic split says"
    )


if __name__ == "__main__":
    sys.exit(main())
