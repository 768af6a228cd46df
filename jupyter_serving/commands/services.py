"""``jupyter serving start | stop | status | doctor``."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

from .. import cards
from ..client import Client
from ..connect import answers
from ..errors import ControllerDown, ServingError
from ..places import Places
from ..workloads import size
from . import console
from .endpoints import HEADERS, row

STOP_SECONDS = 60.0
START_SECONDS = 20.0
NOT_CONNECTED = "not connected"


def start(options: argparse.Namespace) -> int:
    """Start the services, or an endpoint that was stopped."""
    client = console.client(options, console.Progress())
    if options.name:
        return _show(
            options, client.start(options.name).detail, f"Starting the endpoint {options.name}."
        )
    facts = _await_gateway(client)
    return _show(options, facts, _services(facts))


def _await_gateway(client: Client) -> dict[str, Any]:
    """Status once the gateway listens, so that the next command of a script finds it; or with what hinders it."""
    limit = time.monotonic() + START_SECONDS
    while True:
        facts = client.status()
        # A gateway that cannot have its port has written down why; one that starts has only not connected yet.
        hindered = any(NOT_CONNECTED not in problem for problem in facts["problems"])
        if facts["gateway"]["alive"] or hindered or time.monotonic() > limit:
            return facts
        time.sleep(0.05)


def stop(options: argparse.Namespace) -> int:
    """Stop an endpoint, or the services."""
    progress = console.Progress()
    try:
        client = console.client(options, progress, start=bool(options.name))
    except ControllerDown:
        return _show(options, {"running": False}, "The services do not run.")
    if options.name:
        return _show(
            options, client.stop(options.name).detail, f"Stopping the endpoint {options.name}."
        )
    facts = client.status()
    client.shutdown(keep_replicas=options.keep_replicas)
    progress.say("stopping the services")
    _await_end(client)
    progress.done()
    return _show(options, {"running": False}, f"Stopped the services of {facts['data_dir']}.")


def _await_end(client: Client) -> None:
    places = client.server.places or Places.of()
    limit = time.monotonic() + STOP_SECONDS
    while answers(places.controller_socket) or answers(places.gateway_socket):
        if time.monotonic() > limit:
            raise ServingError(
                f"The services still run after {STOP_SECONDS:g} s.",
                hint=f"Requests in flight may hold them; logs are in {places.logs}.",
            )
        time.sleep(0.05)


def status(options: argparse.Namespace) -> int:
    """Services and endpoints; nothing is started."""
    try:
        client = console.client(options, console.Progress(), start=False)
    except ControllerDown as error:
        _show(options, {"running": False}, str(error))
        return 1
    facts, found = client.status(), client.list()
    text = _services(facts)
    if found:
        text += "\n\n" + cards.table_text(HEADERS, [row(endpoint) for endpoint in found])
    return _show(options, facts | {"running": True}, text)


def _services(facts: dict[str, object]) -> str:
    gateway = facts.get("gateway")
    lines = [
        f"controller  pid {facts.get('pid')}, version {facts.get('version')}",
        "gateway     "
        + (
            f"pid {gateway.get('pid')}, {gateway.get('url')}{'' if gateway.get('alive') else ' (down)'}"
            if isinstance(gateway, dict) and gateway.get("pid")
            else "not started"
        ),
        f"data        {facts.get('data_dir')}",
        f"endpoints   {facts.get('endpoints', 0)}",
    ]
    lines += _host(facts.get("host")) + _zygotes(facts.get("zygotes"))
    problems = facts.get("problems")
    lines += [f"problem     {text}" for text in problems] if isinstance(problems, list) else []
    return "\n".join(lines)


def _host(host: object) -> list[str]:
    """What the machine has, and how contended it is."""
    if not isinstance(host, dict):
        return []
    reserved, budget = size(host["reserved_bytes"]), size(host["memory_budget_bytes"])
    pressure = f"CPU {host['cpu_pressure']:.0%}, memory {host['memory_pressure']:.0%}"
    lines = [
        f"memory      {reserved} reserved by replicas of {budget}, {size(host['memory_available'])} available",
        f"waiting     {pressure} of the last 10 s",
        f"disk        {size(host['disk_free'])} free",
    ]
    return lines + ([f"GPUs        {host['gpus']}"] if host["gpus"] else [])


def _zygotes(zygotes: object) -> list[str]:
    """The price of fast cold starts: each environment's zygote, what it holds, who uses it."""
    return [
        f"zygote      {z['key']} of environment {z['environment'] or '(not used since the start)'}:"
        f" {size(z['memory_bytes'])}, {z['replicas']} replica(s), idle {z['idle_seconds']:.0f} s,"
        f" endpoints: {', '.join(z['endpoints']) or 'none yet'}"
        for z in (zygotes if isinstance(zygotes, list) else [])
    ]


def doctor(options: argparse.Namespace) -> int:
    """Check this machine; status 1 if a check failed."""
    from .. import doctor as examine

    if options.data_dir:
        console.use_data_dir(options.data_dir)
    checks = examine.run()
    if options.json:
        console.print_json({"checks": [asdict(check) for check in checks]})
    else:
        print(cards.table_text(examine.HEADERS, [check.row() for check in checks]))
    return 1 if any(check.state == "fail" for check in checks) else 0


def _show(options: argparse.Namespace, facts: object, text: str) -> int:
    if options.json:
        console.print_json(facts)
    else:
        print(text)
    return 0
