"""``jupyter serving list | get | query | logs | events | starts | why | token | delete``."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import cards, payload
from ..errors import InvalidParameter
from ..handle import Endpoint
from ..transport import JSON_TYPE
from ..waterfall import Starts
from ..why import Why
from . import console


def show_list(options: argparse.Namespace) -> int:
    """All endpoints."""
    found = console.client(options, console.Progress()).list()
    if options.json:
        console.print_json({"endpoints": [endpoint.detail for endpoint in found]})
    elif not found:
        print("No endpoints yet. Try: jupyter serving quickstart --keep")
    else:
        print(cards.table_text(HEADERS, [row(endpoint) for endpoint in found]))
    return 0


HEADERS = ("NAME", "STATE", "MODEL", "REPLICAS", "REQUESTS/S", "URL")


def row(endpoint: Endpoint) -> tuple[str, ...]:
    """One endpoint as a line of the list."""
    live = endpoint.live
    replicas = live.get("replicas") or {}
    return (
        endpoint.name,
        cards.phase_words(endpoint.phase),
        cards.models(endpoint.detail),
        f"{replicas.get('ready', 0)}/{replicas.get('wanted', 0)}",
        f"{live.get('requests_per_second', 0.0):g}",
        endpoint.url,
    )


def get(options: argparse.Namespace) -> int:
    """One endpoint."""
    endpoint = console.client(options, console.Progress()).get(options.name)
    if options.json:
        console.print_json(endpoint.detail)
    else:
        print(cards.endpoint_text(endpoint.detail, endpoint.message, delete=cards.IN_SHELL))
    return 0


def query(options: argparse.Namespace) -> int:
    """Predictions for a file."""
    body, content_type = read_data(options.data)
    client = console.client(options, console.Progress())
    answer = client.query(
        options.name, body, content_type=content_type, served_entity=options.served_entity
    )
    if options.json:
        facts = ("predictions", "timing", "request_id", "served_entity")
        console.print_json({name: getattr(answer, name) for name in facts})
    else:
        print(json.dumps(answer.predictions))
        print(answer.summary(), file=sys.stderr)
    return 0


def read_data(source: str) -> tuple[bytes, str]:
    """Body and content type from a ``.csv`` or ``.json`` file, or standard input (``-``).

    Raises:
        InvalidParameter: no such file, neither of the forms, or not JSON.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"The data file {source} cannot be read: {error}.") from error
    kind = Path(source).suffix.lower()
    if kind == ".csv" or (source == "-" and text.lstrip()[:1] not in ("{", "[")):
        return text.encode(), "text/csv"
    if kind not in (".json", ""):
        raise InvalidParameter(
            f"{source} is neither a .csv nor a .json file.", hint="Convert it to one of the two."
        )
    try:
        return payload.encode(json.loads(text)), JSON_TYPE
    except json.JSONDecodeError as error:
        raise InvalidParameter(f"{source} is not valid JSON: {error}.") from error


def logs(options: argparse.Namespace) -> int:
    """The end of a log."""
    client = console.client(options, console.Progress())
    text = client.logs(options.name, build=options.build, served_entity=options.served_entity)
    if options.json:
        console.print_json({"logs": text})
    else:
        sys.stdout.write(text if not text or text.endswith("\n") else f"{text}\n")
    return 0


def events(options: argparse.Namespace) -> int:
    """What happened, oldest first."""
    found = console.client(options, console.Progress()).events(options.name, options.limit)
    if options.json:
        console.print_json({"events": found})
        return 0
    for event in found:
        print(f"{moment(event)}  {event['type']:<24} {event['message']}")
    return 0


def why(options: argparse.Namespace) -> int:
    """Why so many replicas, and the last changes."""
    client = console.client(options, console.Progress())
    answer = client.autoscaling(options.name, options.limit)
    if options.json:
        console.print_json(answer)
    else:
        print(repr(Why(options.name, answer)))
    return 0


def starts(options: argparse.Namespace) -> int:
    """Starts as waterfalls, oldest first."""
    client = console.client(options, console.Progress())
    found = client.starts(options.name, options.limit, options.reason or "")
    if options.json:
        console.print_json({"starts": found})
    else:
        print(Starts(found, options.limit))
    return 0


def moment(event: dict[str, Any]) -> str:
    """Local time of an event."""
    return datetime.fromtimestamp(event["timestamp"] / 1000).strftime("%Y-%m-%d %H:%M:%S")


def token(options: argparse.Namespace) -> int:
    """A new token, shown once."""
    made = console.client(options, console.Progress()).token(options.name, options.comment)
    if options.json:
        console.print_json({"token": made, "authorization": f"Bearer {made}"})
    else:
        print(f"Authorization: Bearer {made}")
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete after a question, or ``--yes``."""
    client = console.client(options, console.Progress())
    endpoint = client.get(options.name)
    if not options.yes and not _confirmed(endpoint):
        print("Nothing was deleted.", file=sys.stderr)
        return 1
    client.delete(options.name)
    if options.json:
        console.print_json({})
    else:
        print(f"Deleted the endpoint {options.name}.")
    return 0


def _confirmed(endpoint: Endpoint) -> bool:
    rate = endpoint.live.get("requests_per_second", 0.0)
    print(
        f"Delete the endpoint {endpoint.name!r} ({cards.models(endpoint.detail)}, {rate:g} requests/s now)?\n"
        "Its config versions, tokens, events and logs are lost; the registered model stays.",
        file=sys.stderr,
    )
    if not sys.stdin.isatty():
        raise InvalidParameter("Nobody is there to confirm.", hint="Pass --yes.")
    sys.stderr.write("Type yes to delete it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
