"""The findings as a page of markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from . import rounds, tables, verdict
from .accounting import MIB
from .campaign import Findings, Plan, own_cost
from .gateway_cost import Cost
from .machine import machine, versions
from .subjects import TITLES
from .tables import number

NOTE = (
    "Closed loop; RPS, p50, p99 and CPU of the whole process tree per request are medians of the rounds; the ratio is"
    " the median of the rounds' own ratios (lowest-highest); * more than half of the rounds were disturbed by other"
    " work (over 0.10 cores)."
)


def page(findings: Findings, plan: Plan) -> str:
    """All tables."""
    return "\n\n".join(_sections(findings, plan)) + "\n"


def _sections(findings: Findings, plan: Plan) -> Iterator[str]:
    facts = machine()
    yield (
        f"{facts['processor']}, {facts['cpus_usable']} processors, {facts['memory_bytes'] / 2**30:.0f} GiB,"
        f" {facts['system']}. {_listed(versions())}."
    )
    if findings.versions:
        yield _environments(findings.versions)
    yield NOTE
    disturbed = sum(c.disturbed for c in findings.cells)
    yield (
        f"{len(findings.cells)} cells of {plan.seconds:g} s, {disturbed} of them disturbed;"
        f" {sum(c.faults for c in findings.cells)} wrong or missing answers; the load generator used"
        f" {own_cost(findings.cells):.0f} µs of CPU per request (median)."
    )
    for model in plan.models:
        yield from _model(findings, plan, model)
    yield "### Start and memory\n\n" + _start_and_memory(findings, plan)
    if findings.cost is not None:
        yield "### The gateway against its replica\n\n" + _cost(findings.cost)
    if findings.slots is not None:
        yield "### Slots\n\n" + _slots(findings)
    if findings.missing:
        lines = (f"- {name}: {why}" for name, why in findings.missing.items())
        yield "### Not measured\n\n" + "\n".join(lines)


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _environments(found: Mapping[str, Mapping[str, str]]) -> str:
    names = sorted({name for versions in found.values() for name in versions})
    lines = [[peer, *(versions.get(n, "-") for n in names)] for peer, versions in found.items()]
    return tables.table(["environment of", *names], lines)


def _model(findings: Findings, plan: Plan, model: str) -> Iterator[str]:
    for rows in plan.rounds:
        cells = [c for c in findings.cells if (c.model, c.rows) == (model, rows)]
        if not cells:
            continue
        size = "1 row" if rows == 1 else f"{rows} rows"
        text = tables.load(cells, findings.titles, plan.connections, "mlflow")
        behind = verdict.behind(findings, model, rows, plan.connections)
        told = "; ".join(behind) if behind else "none"
        yield f"### {TITLES[model]}, {size}\n\n{text}\n\nA peer but the ceiling is ahead in: {told}."


def _start_and_memory(findings: Findings, plan: Plan) -> str:
    head = ["peer"]
    for model in plan.models:
        head += [f"{model} start s", f"{model} PSS MiB"]
    lines = []
    for peer, title in findings.titles.items():
        line = [title]
        for model in plan.models:
            line.append(number(findings.starts.get(model, {}).get(peer, float("nan"))))
            line.append(tables.mib(findings.memory(model, peer)))
        lines.append(line)
    own = "; ".join(
        f"{model}: " + ", ".join(f"{part} {size / MIB:.0f}" for part, size in parts.items())
        for model, parts in findings.parts.items()
    )
    return tables.table(head, lines) + (
        "\n\nStart: from nothing to the first right answer (ours: controller, gateway, zygote, deployment and replica)."
        f" Memory: highest after any cell, our controller left out. Our parts in MiB: {own}."
    )


def _cost(cost: Cost) -> str:
    lines = [
        ["p50 added at 200 requests/s", f"{cost.added_p50():.2f} ms"],
        ["p95 added at 200 requests/s", f"{cost.added_p95():.2f} ms"],
        ["CPU of the gateway per request, closed loop c=8", f"{cost.own_cpu(False):.0f} µs"],
        ["CPU of the gateway per request, 200 requests/s", f"{cost.own_cpu(True):.0f} µs"],
        ["CPU of the whole tree, added, closed loop c=8", f"{cost.added_cpu(False):.0f} µs"],
        ["CPU of the whole tree, added, 200 requests/s", f"{cost.added_cpu(True):.0f} µs"],
        ["memory of the gateway, proportional / resident", f"{cost.pss:.0f} / {cost.rss:.0f} MiB"],
    ]
    return tables.table(["figure", "median of rounds"], lines)


def _slots(findings: Findings) -> str:
    assert findings.slots is not None
    names = sorted({part for f in findings.slots.footprints.values() for part in f.parts})
    lines = [
        [str(count), *(tables.mib(f.parts.get(part, 0)) for part in names), tables.mib(f.serving)]
        for count, f in findings.slots.footprints.items()
    ]
    text = tables.table(["slots", *(f"{n} MiB" for n in names), "without controller"], lines)
    if len(findings.slots.footprints) == 1:
        return text
    return f"{text}\n\nEach further slot: {findings.slots.each():.0f} MiB."


def details(findings: Findings, plan: Plan) -> dict[str, object]:
    """For ``--json``: every cell, starts, footprints, and where a peer is ahead."""
    return {
        "cells": [c.to_json() for c in findings.cells],
        "starts": findings.starts,
        "parts": findings.parts,
        "missing": findings.missing,
        "faults": findings.faults,
        "environments": findings.versions,
        "behind": _behind(findings, plan),
    }


def _behind(findings: Findings, plan: Plan) -> dict[str, Sequence[str]]:
    return {
        f"{model}, {rows} rows": verdict.behind(findings, model, rows, plan.connections)
        for model in plan.models
        for rows in plan.rounds
        if rounds.of(findings.cells, model, rows, plan.connections[0])
    }
