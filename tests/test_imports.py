"""What an import loads, and who may import whom (the rooms of the design, lowest first)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_serving

PACKAGE = Path(jupyter_serving.__file__).parent

LOWEST = {"errors", "api", "observed", "workloads", "settings", "places", "processes", "version"}
CLIENT = {
    *("connect", "transport", "payload", "stream", "cards", "client", "handle", "doctor"),
    *("waterfall", "observing", "history", "updates", "configs", "whatif", "why"),
}
# Room: what it may import besides itself and the lowest row.
MAY_IMPORT: dict[str, set[str]] = {
    **{room: set() for room in ("registry", "environments", "autoscale", "metrics")},
    # Backends stage nothing, but are handed staged environments.
    "backends": {"environments"},
    "controller": {"registry", "environments", "backends", "autoscale", "metrics"},
    "gateway": {"metrics"},
    "runtime": set(),
    **{room: CLIENT for room in CLIENT},
    # What-if is computed where it is asked for: in the kernel, or by the command.
    "whatif": CLIENT | {"autoscale"},
    "delivery": CLIENT | {"registry"},
    "commands": CLIENT | {"delivery", "autoscale"},
    "quickstart": CLIENT | {"delivery", "commands", "registry"},
    "cli": {"commands", "quickstart"},
    # %serve takes its options of a deployment from the command line, and logging runs in the kernel.
    "notebook": CLIENT | {"delivery", "registry", "commands", "cli"},
    "server": {"connect", "transport"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package as a dotted name below it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "labextension" and "__pycache__" not in parts:
            yield ".".join(parts).removesuffix(".__init__"), path


def rooms_imported(name: str, path: Path) -> set[str]:
    """First names below the package that a module imports, anywhere in it (also inside functions)."""
    is_package = path.name == "__init__.py"
    here = name.split(".") if name != "__init__" else []
    base = here if is_package else here[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            stem = base[: len(base) - node.level + 1] + (
                node.module.split(".") if node.module else []
            )
            targets = [["jupyter_serving", *stem, alias.name] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [[*str(node.module).split("."), alias.name] for alias in node.names]
        else:
            continue
        found |= {t[1] for t in targets if t[0] == "jupyter_serving" and len(t) > 1}
    return found


ALL = [pytest.param(name, path, id=name) for name, path in modules() if name != "__init__"]


@pytest.mark.parametrize(("name", "path"), ALL)
def test_no_room_imports_one_above_it(name: str, path: Path) -> None:
    room = name.split(".")[0]
    known = set(MAY_IMPORT) | LOWEST | {"_version"}
    assert room in known, f"{room} has no place in the order: give it one here"
    if room == "_version":
        return
    allowed = LOWEST | MAY_IMPORT.get(room, set()) | {room}
    if room == "runtime":
        allowed = {"runtime"}  # it is copied into the model's environment, alone
    assert rooms_imported(name, path) & known <= allowed


def test_the_order_has_no_cycles() -> None:
    for room, others in MAY_IMPORT.items():
        for other in others - {room}:
            if {room, other} <= CLIENT:
                continue  # one row
            assert room not in MAY_IMPORT.get(other, set()), f"{room} and {other} import each other"


def test_the_finder_sees_imports_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import jupyter_serving.gateway\n"
        "from jupyter_serving.controller import x\n"
        "from .. import metrics\n"
        "def f():\n    from ..registry.log import log\n    from . import near\n"
    )
    assert rooms_imported("notebook.m", path) == {
        "gateway", "controller", "metrics", "registry", "notebook",
    }  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # What the statement itself printed stands before.
    return {name.split(".")[0] for name in told.stdout.splitlines()[-1].split()}


HEAVY = {"tornado", "docker", "mlflow", "pandas", "numpy", "httpx", "jupyter_server", "requests"}


def test_the_bare_import_is_lazy() -> None:
    loaded = loaded_by("import jupyter_serving")
    assert not loaded & (HEAVY | {"msgspec", "traitlets", "yaml", "IPython"})
    assert "jupyter_serving" in loaded


@pytest.mark.parametrize(
    "statement",
    [
        "import jupyter_serving.client",
        "import jupyter_serving.notebook.serving",
        "import jupyter_serving.delivery",
        "import jupyter_serving.cli as c; c.parser()",
        "import jupyter_serving.commands.endpoints",
        "import jupyter_serving.registry.resolve, jupyter_serving.registry.log",
    ],
)
def test_what_a_person_uses_loads_nothing_heavy(statement: str) -> None:
    assert not loaded_by(statement) & HEAVY


def test_loading_the_extension_of_ipython_loads_nothing_heavy() -> None:
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
    loaded = loaded_by(shell + "s.run_line_magic('load_ext', 'jupyter_serving')")
    assert not loaded & (HEAVY - {"tornado"})


def test_help_needs_the_standard_library_only() -> None:
    code = "import jupyter_serving.cli as c\ntry: c.main(['deploy', '--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & (HEAVY | {"msgspec", "traitlets", "yaml"})


def test_every_public_name_is_there_and_hides_no_module() -> None:
    files = {path.stem for path in PACKAGE.glob("*.py")}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    for name in jupyter_serving.__all__:
        assert getattr(jupyter_serving, name) is not None
        # An imported module would take the name's place in the package.
        assert name not in files | folders
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jupyter_serving.nothing  # noqa: B018
