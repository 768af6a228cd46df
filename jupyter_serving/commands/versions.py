"""``jupyter serving cancel | rollback | reload | configs``."""

from __future__ import annotations

import argparse

from .. import cards
from ..client import Client
from ..configs import Configs
from ..handle import Endpoint
from . import console


def cancel(options: argparse.Namespace) -> int:
    """End the update that is in progress."""
    endpoint = console.client(options, console.Progress()).cancel(options.name)
    return _show(options, endpoint)


def rollback(options: argparse.Namespace) -> int:
    """Go back to an earlier config version."""
    progress = console.Progress()
    client = console.client(options, progress)
    endpoint = client.rollback(options.name, options.config_version)
    return _show(options, _waited(options, client, endpoint, progress))


def reload(options: argparse.Namespace) -> int:
    """Replace every replica by a fresh one."""
    progress = console.Progress()
    client = console.client(options, progress)
    return _show(options, _waited(options, client, client.reload(options.name), progress))


def configs(options: argparse.Namespace) -> int:
    """Config versions, oldest first."""
    found = Configs(console.client(options, console.Progress()).configs(options.name))
    if options.json:
        console.print_json({"configs": found})
    else:
        print(repr(found))
    return 0


def _waited(
    options: argparse.Namespace, client: Client, endpoint: Endpoint, progress: console.Progress
) -> Endpoint:
    if not options.wait:
        return endpoint
    try:
        return client.wait(endpoint.name, options.timeout, progress.phase)
    finally:
        progress.done()


def _show(options: argparse.Namespace, endpoint: Endpoint) -> int:
    if options.json:
        console.print_json(endpoint.detail)
    else:
        print(cards.endpoint_text(endpoint.detail, endpoint.message, delete=cards.IN_SHELL))
    return 0
