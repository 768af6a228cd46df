"""``jupyter serving deploy``."""

from __future__ import annotations

import argparse

from .. import cards
from ..api import Registry
from ..client import Client
from ..delivery import Options, deliver
from ..errors import InvalidParameter
from ..handle import Endpoint
from . import console


def run(options: argparse.Namespace) -> int:
    """Create or update an endpoint; with ``--json`` print it with what a program needs to query it."""
    progress = console.Progress()
    wanted, stores = serving_options(options), registry(options)
    client = console.client(options, progress)
    try:
        endpoint = deliver(
            client, options.name, options.model, wanted, registry=stores, progress=progress.say
        )
        notes = endpoint.notes
        if options.wait:
            endpoint = _wait(client, endpoint, options.timeout, progress)
    finally:
        progress.done()
    if options.json:
        token = endpoint.token("jupyter serving deploy")
        facts = endpoint.refresh().detail
        console.print_json(
            facts
            | ({"notes": notes} if notes else {})
            | {"invocations_url": endpoint.url, "authorization": f"Bearer {token}"}
        )
    else:
        print(cards.endpoint_text(endpoint.detail, endpoint.message, notes, delete=cards.IN_SHELL))
    return 0


def _wait(
    client: Client, endpoint: Endpoint, timeout: float | None, progress: console.Progress
) -> Endpoint:
    try:
        return client.wait(endpoint.name, timeout, progress.phase)
    except KeyboardInterrupt:
        progress.done()
        progress.say(
            f"Stopped waiting; the deployment goes on. See: jupyter serving get {endpoint.name}"
        )
        raise


def serving_options(options: argparse.Namespace) -> Options:
    """Options of a deployment from parsed arguments (also those of ``%serve deploy``).

    Raises:
        InvalidParameter: an ``--env`` without ``=``.
    """
    variables = {}
    for text in options.env:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise InvalidParameter(f"--env {text!r} is not of the form NAME=VALUE.")
        variables[name] = value
    return Options(
        size=options.size,
        min_concurrency=options.min_concurrency,
        max_concurrency=options.max_concurrency,
        workload_type=options.workload_type,
        scale_to_zero=options.scale_to_zero,
        idle_seconds=options.idle,
        batching=options.batching,
        max_batch_size=options.max_batch_size,
        capture=options.capture,
        when_no_room=options.when_no_room,
        deadline_seconds=options.deadline,
        reload_every_seconds=options.reload_every,
        autoscaling=_rules(options),
        environment_vars=variables,
    )


def _rules(options: argparse.Namespace) -> dict[str, float]:
    """Rules of the autoscaler that were given, by their names in the API."""
    given = {
        "target_utilisation": options.target_utilisation,
        "stable_window_seconds": options.stable_window,
        "panic_window_seconds": options.panic_window,
        "panic_threshold": options.panic_threshold,
        "scale_down_window_seconds": options.scale_down_window,
        "max_scale_up_rate": options.max_scale_up_rate,
        "max_scale_down_rate": options.max_scale_down_rate,
    }
    return {name: value for name, value in given.items() if value is not None}


def registry(options: argparse.Namespace) -> Registry | None:
    """Stores named by the arguments; None where none is."""
    if not options.tracking_uri and not options.registry_uri:
        return None
    tracking = options.tracking_uri or options.registry_uri
    return Registry(tracking_uri=tracking, registry_uri=options.registry_uri or "")
