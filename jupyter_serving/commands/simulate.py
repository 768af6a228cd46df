"""``jupyter serving simulate``: the autoscaler in simulated time, over recorded or made-up arrivals."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import whatif
from ..errors import InvalidParameter
from . import console

if TYPE_CHECKING:
    from ..autoscale.crowd import Crowd
    from ..autoscale.traces import Trace

HOUR = 3600.0


def run(options: argparse.Namespace) -> int:
    """A table of settings, or the figures of many endpoints."""
    if options.endpoints > 1:
        told = crowd(options)
        if options.json:
            facts = asdict(told) | {"seconds_per_endpoint": told.seconds_per_endpoint}
            console.print_json(facts)
        else:
            print(crowd_text(told))
        return 0
    table = compare(options)
    if options.json:
        console.print_json(table.to_json())
    else:
        print(table)
    return 0


def compare(options: argparse.Namespace) -> whatif.WhatIf:
    """Settings side by side.

    Raises:
        InvalidParameter: neither an endpoint nor arrivals, or arrivals of two sources.
    """
    if options.name is not None and not (options.trace or options.synthetic):
        endpoint = console.client(options, console.Progress()).get(options.name)
        return endpoint.simulate(hours=options.hours, **tried(options))
    facts = whatif.Facts()
    if options.name is not None:
        client = console.client(options, console.Progress())
        facts = whatif.facts_of(client, options.name)
    if options.cold_start is not None:
        facts = replace(facts, cold_start=options.cold_start)
    return whatif.compare(made_up(options), facts, settings(options))


def tried(options: argparse.Namespace) -> dict[str, list[float]]:
    """The lists of values to try, as ``Endpoint.simulate`` names them; those not given are left out."""
    names = ("idle", "target", "min", "max", "scale_down_window")
    return {n: whatif.numbers(getattr(options, n)) for n in names if getattr(options, n)}


def settings(options: argparse.Namespace) -> whatif.Options:
    """The same as options of the simulation."""
    return whatif.options(**tried(options))


def made_up(options: argparse.Namespace) -> Trace:
    """Arrivals from a file, or synthetic ones."""
    from ..autoscale.synthetic import synthetic
    from ..autoscale.traces import Trace

    if bool(options.trace) == bool(options.synthetic):
        raise InvalidParameter(
            "There are no arrivals to simulate.",
            hint="Name an endpoint, or give one of --trace FILE.csv and --synthetic diurnal --rate R.",
        )
    if options.trace:
        return Trace.of_csv(Path(options.trace), options.tick, options.execution)
    return synthetic(
        options.synthetic,
        1.0 if options.rate is None else options.rate,
        seconds=options.hours * HOUR,
        step=options.tick,
        execution=options.execution,
        seed=options.seed,
    )


def crowd(options: argparse.Namespace) -> Crowd:
    """Many synthetic endpoints.

    Raises:
        InvalidParameter: arrivals of one endpoint were given for many.
    """
    if options.name or options.trace:
        raise InvalidParameter("--endpoints makes its own arrivals: give no name and no --trace.")
    from ..autoscale.crowd import crowd as simulated
    from ..autoscale.simulate import Profile

    kind = options.synthetic or "mixed"
    rate = options.rate or 1000.0 * options.endpoints
    cold_start = whatif.GUESSED_COLD_START if options.cold_start is None else options.cold_start
    return simulated(
        kind,
        rate,
        options.endpoints,
        seconds=options.hours * HOUR,
        step=options.tick,
        execution=options.execution,
        profile=Profile(cold_start_seconds=cold_start),
        seed=options.seed,
    )


def crowd_text(told: Crowd) -> str:
    """The figures of many endpoints, with the cost of the simulation."""
    hours = told.simulated_seconds / HOUR
    rate = (told.requests + told.refused) / told.simulated_seconds
    whole = told.seconds + told.trace_seconds
    return "\n".join(
        [
            f"{told.endpoints:,} endpoints, {hours:g} h in steps of {told.step:g} s, {rate:,.0f} requests/s in all",
            f"  replicas      {told.replicas:,.0f} in the mean, {told.gb_hours:,.0f} GB-hours",
            f"  cold starts   {told.cold_starts:,.0f}; {told.met_cold_start:,.0f} requests met one",
            f"  waiting p95   {told.waiting_p95_median:.3g} s (median endpoint), "
            f"{told.waiting_p95_worst:.3g} s (worst)",
            f"  refused       {told.refused:,.0f} of {told.requests + told.refused:,.0f} requests",
            f"  cost          {whole:.1f} s ({told.trace_seconds:.1f} s of it for making up the arrivals): "
            f"{told.seconds_per_endpoint * 1000:.1f} ms per endpoint",
        ]
    )
