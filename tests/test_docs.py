"""The manual is true: every setting, route and error code is in it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.controller import routes

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings.md", "errors.md"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    fresh = generator().PAGES[page]()
    assert (REFERENCE / page).read_text() == fresh, "run: python scripts/reference.py"


def documented_routes() -> set[tuple[str, str]]:
    text = (REFERENCE / "api.md").read_text()
    return set(re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) ([^`]+)`", text, re.M))


def served_routes() -> set[tuple[str, str]]:
    application = routes.application(None)  # type: ignore[arg-type]
    found = set()
    for rule in application.wildcard_router.rules:
        pattern = rule.matcher.regex.pattern.rstrip("$").removesuffix("/?").replace("\\", "")
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if method.lower() in vars(rule.target):
                found.add((method, path))
    return found


def test_every_route_of_the_controller_is_documented() -> None:
    assert served_routes()
    assert served_routes() - documented_routes() == set()


def test_every_documented_route_exists() -> None:
    control = {r for r in documented_routes() if r[1].startswith(("/api/", "/.well-known"))}
    assert control - served_routes() == set()


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_gate_is_told_of() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    folder = ROOT / "tests" / "reliability"
    told = set(re.findall(r"`(test_\w+\.py)`", text))
    assert {path.name for path in folder.glob("test_g*.py")} <= told
    assert all((folder / name).exists() for name in told)
