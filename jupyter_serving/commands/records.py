"""``jupyter serving history | updates``: what an endpoint did, and what its updates did to it."""

from __future__ import annotations

import argparse

from . import console


def history(options: argparse.Namespace) -> int:
    """Figures over time."""
    client = console.client(options, console.Progress())
    found = client.get(options.name).history(minutes=options.minutes, step=options.step)
    if options.json:
        facts = {"start": found.start, "step": found.step, "columns": found.columns}
        console.print_json(facts | ({"notes": found.notes} if found.notes else {}))
    else:
        print(repr(found))
    return 0


def updates(options: argparse.Namespace) -> int:
    """Certificates of updates, newest last."""
    found = console.client(options, console.Progress()).updates(options.name, options.limit)
    if options.json:
        console.print_json({"updates": [update.detail for update in found]})
    else:
        print(repr(found))
    return 0
