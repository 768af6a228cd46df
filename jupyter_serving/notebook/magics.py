"""``%serve``: one word, a verb, its arguments."""

from __future__ import annotations

import argparse
import difflib
import shlex
from collections.abc import Callable
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ..cli import (
    add_history_options,
    add_options,
    add_simulate_options,
    add_starts_options,
)
from ..errors import ServingError
from ..waterfall import Starts
from ..why import Why
from . import serving
from .arguments import Arguments, parsed
from .display import Log, Table

USAGE = """%serve VERB ...

  %serve deploy MODEL --name NAME [--data DF]   MODEL: a variable with a fitted model, or models:/NAME/VERSION,
                                                models:/NAME@ALIAS, runs:/RUN/PATH, a model directory
  %serve query NAME --data DF                   predictions; DF: a variable, X.head(), or a .csv or .json file
  %%serve query NAME                            the same, with JSON in the cell
  %serve list                                   all endpoints
  %serve status [NAME]                          services and endpoints, or one endpoint
  %serve logs NAME [--build]                    what the model printed, or how its environment was made
  %serve events NAME                            what happened to it
  %serve history NAME [--minutes N]             what it did over time
  %serve configs NAME                           its config versions
  %serve rollback NAME [VERSION]                go back to an earlier one
  %serve cancel NAME                            end the update in progress
  %serve reload NAME                            replace every replica by a fresh one
  %serve why NAME                               why it has so many replicas, and the last changes
  %serve simulate NAME [--idle 60,300 ...]      what other settings would have done
  %serve updates NAME                           certificates of its updates: requests lost, latency, gaps
  %serve starts NAME                            where the seconds of its starts went, and what would save most
  %serve stop NAME, %serve start NAME           stop serving, serve again
  %serve delete NAME                            remove it; the registered model stays
  %serve log MODEL --name NAME [--data DF]      register a model without deploying it
  %serve doctor                                 check this machine

%serve VERB --help tells all options of a verb."""


class _Parser(argparse.ArgumentParser):
    """Raises ``UsageError`` instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _HelpShown


class _HelpShown(Exception):
    """``--help`` was printed: there is nothing else to do."""


def _parser(verb: str) -> _Parser:
    """Parser of one verb."""
    parser = _Parser(prog=f"%serve {verb}")
    match verb:
        case "deploy":
            parser.add_argument("model", help="variable with a fitted model, or a model URI")
            parser.add_argument("--name", help="the endpoint's name")
            parser.add_argument("--data", help="variable with input rows, for the signature")
            parser.add_argument("--no-wait", action="store_true", help="return at once")
            parser.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait")
            add_options(parser)
        case "log":
            parser.add_argument("model", help="variable with a fitted model")
            parser.add_argument("--name", required=True, help="the registered model's name")
            parser.add_argument("--data", help="variable with input rows, for the signature")
        case "query":
            parser.add_argument("name")
            parser.add_argument(
                "--data", help="variable or expression (X.head()), or .csv or .json file"
            )
            parser.add_argument("--served-entity", metavar="NAME")
        case "status":
            parser.add_argument("name", nargs="?")
        case "logs":
            parser.add_argument("name")
            parser.add_argument("--build", action="store_true", help="how its environment was made")
            parser.add_argument("--served-entity", metavar="NAME")
        case "events":
            parser.add_argument("name")
            parser.add_argument("--limit", type=int, default=50)
        case "simulate":
            parser.add_argument("name")
            add_simulate_options(parser)
        case "updates":
            parser.add_argument("name")
            parser.add_argument("--limit", type=int, default=20)
        case "history":
            add_history_options(parser)
        case "why":
            parser.add_argument("name")
            parser.add_argument("--limit", type=int, default=10, metavar="N")
        case "starts":
            parser.add_argument("name")
            add_starts_options(parser)
        case "delete":
            parser.add_argument("name")
            parser.add_argument(
                "--yes", action="store_true", help="accepted for symmetry with the command line"
            )
        case "rollback" | "reload":
            parser.add_argument("name")
            if verb == "rollback":
                parser.add_argument("config_version", nargs="?", type=int)
            parser.add_argument("--no-wait", action="store_true", help="return at once")
            parser.add_argument("--timeout", type=float, metavar="SECONDS", help="longest wait")
        case "start" | "stop" | "cancel" | "configs":
            parser.add_argument("name")
    return parser


VERBS = (
    "deploy",
    "query",
    "list",
    "status",
    "logs",
    "events",
    "history",
    "configs",
    "rollback",
    "cancel",
    "reload",
    "why",
    "simulate",
    "updates",
    "starts",
    "stop",
    "start",
    "delete",
    "log",
    "doctor",
)
POSITIONAL = {"deploy": "model", "log": "model"} | dict.fromkeys(
    (v for v in VERBS if v not in ("deploy", "log", "list", "doctor")), "endpoint"
)
_KINDS = {"--data": "data", "--size": "Small|Medium|Large", "--name": "endpoint"}
# Options of each verb, and what their values are.
OPTIONS: dict[str, dict[str, str]] = {
    verb: {
        text: _KINDS.get(text, "")
        for action in _parser(verb)._actions
        for text in action.option_strings
        if text.startswith("--")
    }
    for verb in VERBS
}


@magics_class
class ServeMagics(Magics):
    """The magic; one method per verb."""

    @no_var_expand
    @line_cell_magic
    def serve(self, line: str, cell: str | None = None) -> Any:
        """Serve models: deploy, query and look after endpoints."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"%serve: {error} in {line!r}") from None
        if not words or words[0] in ("-h", "--help", "help"):
            print(USAGE)
            return None
        verb = words[0]
        if verb not in VERBS:
            near = difflib.get_close_matches(verb, VERBS, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"%serve: there is no verb {verb!r}.{guess} Verbs: {', '.join(VERBS)}."
            )
        if cell is not None and verb != "query":
            raise UsageError("%%serve: only query takes a cell (JSON data).")
        run: Callable[[argparse.Namespace, str | None], Any] = getattr(self, f"_{verb}")
        try:
            return run(_parser(verb).parse_args(words[1:]), cell)
        except _HelpShown:
            return None
        except ServingError as error:
            raise _shown_short(error) from None

    def _deploy(self, options: argparse.Namespace, _: str | None) -> Any:
        from ..commands.deploy import registry, serving_options

        model = self._given.model(options.model)
        return serving.put(
            model,
            options.name or self._default_name(model, options.model),
            serving_options(options),
            X=None if options.data is None else self._given.data(options.data),
            registry=registry(options),
            wait=not options.no_wait,
            timeout=options.timeout,
        )

    def _default_name(self, model: Any, text: str) -> str | None:
        if isinstance(model, str) or hasattr(model, "uri"):
            return None
        raise UsageError(
            f"%serve deploy: give the endpoint a name: %serve deploy {text} --name NAME"
        )

    def _log(self, options: argparse.Namespace, _: str | None) -> Any:
        data = None if options.data is None else self._given.data(options.data)
        return serving.log(self._given.model(options.model), name=options.name, X=data)

    def _query(self, options: argparse.Namespace, cell: str | None) -> Any:
        if (options.data is None) == (cell is None):
            raise UsageError("%serve query: pass --data VARIABLE, or JSON in a %%serve cell.")
        data = self._given.data(options.data) if cell is None else parsed(cell, "the cell")
        return serving.default.ask(
            lambda client: client.query(options.name, data, served_entity=options.served_entity)
        )

    def _list(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.endpoints()

    def _status(self, options: argparse.Namespace, _: str | None) -> Any:
        if options.name:
            return serving.endpoint(options.name)
        facts = serving.default.ask(lambda client: client.status())
        gateway = facts.get("gateway") or {}
        problems = "".join(f"\nProblem: {text}" for text in facts.get("problems") or [])
        print(
            f"jupyter-serving {facts.get('version')}, controller pid {facts.get('pid')}, "
            f"gateway {gateway.get('url') or 'not started'}, data in {facts.get('data_dir')}{problems}"
        )
        return serving.endpoints()

    def _logs(self, options: argparse.Namespace, _: str | None) -> Any:
        return Log(
            serving.default.ask(
                lambda client: client.logs(
                    options.name, build=options.build, served_entity=options.served_entity
                )
            )
        )

    def _events(self, options: argparse.Namespace, _: str | None) -> Any:
        from ..commands.endpoints import moment

        found = serving.default.ask(lambda client: client.events(options.name, options.limit))
        rows = [(moment(event), str(event["type"]), str(event["message"])) for event in found]
        return Table(("Time", "Event", "What happened"), rows, empty="No events yet.")

    def _simulate(self, options: argparse.Namespace, _: str | None) -> Any:
        from ..commands.simulate import tried

        endpoint = serving.endpoint(options.name)
        return endpoint.simulate(hours=options.hours, **tried(options))

    def _updates(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.endpoint(options.name).updates(options.limit)

    def _history(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.endpoint(options.name).history(minutes=options.minutes, step=options.step)

    def _configs(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.endpoint(options.name).configs()

    def _cancel(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.default.ask(lambda client: client.cancel(options.name))

    def _rollback(self, options: argparse.Namespace, _: str | None) -> Any:
        endpoint = serving.default.ask(
            lambda client: client.rollback(options.name, options.config_version)
        )
        return serving.waited(endpoint, options.timeout, wait=not options.no_wait)

    def _reload(self, options: argparse.Namespace, _: str | None) -> Any:
        endpoint = serving.default.ask(lambda client: client.reload(options.name))
        return serving.waited(endpoint, options.timeout, wait=not options.no_wait)

    def _why(self, options: argparse.Namespace, _: str | None) -> Any:
        answer = serving.default.ask(lambda client: client.autoscaling(options.name, options.limit))
        return Why(options.name, answer)

    def _starts(self, options: argparse.Namespace, _: str | None) -> Any:
        limit, reason = options.limit, options.reason or ""
        found = serving.default.ask(lambda client: client.starts(options.name, limit, reason))
        return Starts(found, limit)

    def _stop(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.default.ask(lambda client: client.stop(options.name))

    def _start(self, options: argparse.Namespace, _: str | None) -> Any:
        return serving.default.ask(lambda client: client.start(options.name))

    def _delete(self, options: argparse.Namespace, _: str | None) -> None:
        serving.delete(options.name)
        print(f"Deleted the endpoint {options.name}; the registered model stays.")

    def _doctor(self, options: argparse.Namespace, _: str | None) -> Any:
        from .. import doctor

        rows = [check.row() for check in doctor.run()]
        return Table([name.capitalize() for name in doctor.HEADERS], rows, marked=1)

    @property
    def _given(self) -> Arguments:
        return Arguments(self.shell.user_ns)


ServeMagics.serve.__doc__ = USAGE


def _shown_short(error: ServingError) -> ServingError:
    """The same exception, shown by IPython as one red message without a traceback."""
    red, plain = "\x1b[0;31m", "\x1b[0m"
    shown = [f"{red}{type(error).__name__}{plain}: {error}"]
    error._render_traceback_ = lambda: shown  # type: ignore[attr-defined]
    return error
