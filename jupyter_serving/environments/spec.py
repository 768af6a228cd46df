"""What a model needs, read from its directory; what an interpreter lacks of it. No effects but reading files.

The files are MLflow's: ``MLmodel`` names ``python_env.yaml`` (Python, build tools, ``-r requirements.txt``) and
``conda.yaml``; ``requirements.txt`` and ``constraints.txt`` lie beside them
(https://mlflow.org/docs/latest/ml/model/dependencies).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..errors import StagingFailed

# What MLflow itself writes into conda.yaml for a model that needs nothing of conda.
_PLAIN_CONDA = frozenset({"python", "pip", "setuptools", "wheel"})
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz")
_FILE_OPTIONS = ("-r", "--requirement", "-c", "--constraint")
_EDITABLE = ("-e", "--editable")


@dataclass(frozen=True, slots=True)
class ModelRequirements:
    """Requirements of one model.

    Attributes:
        python: version it was logged with, ``3.11.7``; "" when it is not recorded.
        requirements: lines for pip; files of the model as absolute paths, nothing editable.
        constraints: the same, of its constraints file.
        build: build tools of ``python_env.yaml`` that some packages import when they run (setuptools).
        options: index and resolver options among the lines (``--extra-index-url …``).
        conda_only: conda packages besides Python and pip, as written.
        notes: what was assumed, for the build log.
    """

    python: str = ""
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    conda_only: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, model: Path) -> ModelRequirements:
        """Read a model directory.

        Raises:
            StagingFailed: no ``MLmodel``, or a file in it that cannot be read.
        """
        meta = _yaml(model / "MLmodel", needed=True)
        flavour = meta.get("flavors", {}).get("python_function", {})
        files = _environment_files(model, flavour.get("env"))
        conda, virtualenv = _yaml(files["conda"]), _yaml(files["virtualenv"])
        conda_python, conda_pip, conda_only = _conda(conda)
        lines = _Lines(model)
        lines.take(_sources(model, virtualenv, conda_pip))
        lines.add_mlflow(str(meta.get("mlflow_version") or ""))
        return cls(
            python=str(
                virtualenv.get("python") or flavour.get("python_version") or conda_python or ""
            ),
            requirements=tuple(dict.fromkeys(lines.requirements)),
            constraints=tuple(dict.fromkeys(lines.constraints)),
            build=_build_tools(virtualenv, lines.requirements),
            options=tuple(dict.fromkeys(lines.options)),
            conda_only=conda_only,
            notes=tuple(lines.notes),
        )

    @property
    def python_minor(self) -> str:
        """``3.11`` of ``3.11.7``; "" when the version is not recorded."""
        return ".".join(self.python.split(".")[:2])

    def local_files(self) -> list[Path]:
        """Wheels and source trees of the model itself that the requirements name."""
        return [Path(line) for line in self.requirements if Path(line).is_absolute()]


class _Lines:
    """Requirement lines sorted into what they are; relative files made absolute to the model directory."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self.requirements: list[str] = []
        self.constraints: list[str] = []
        self.options: list[str] = []
        self.notes: list[str] = []
        self._seen: set[Path] = set()

    def take(self, lines: Iterable[str], *, constraint: bool = False) -> None:
        """Sort ``lines`` in."""
        for line in lines:
            word, _, rest = line.replace("=", " ", line.startswith("--")).partition(" ")
            if word in _FILE_OPTIONS:
                self._take_file(rest.strip(), constraint or "-c" in word)
            elif word in _EDITABLE:
                self.requirements.append(self._absolute(rest.strip()))
            elif line.startswith("-"):
                self.options.append(line)
            elif constraint:
                self.constraints.append(line)
            else:
                self.requirements.append(self._absolute(line))

    def _take_file(self, name: str, constraint: bool) -> None:
        path = (self.model / name).resolve()
        if path in self._seen:
            return
        self._seen.add(path)
        self.take(_logical_lines(_text(path)), constraint=constraint)

    def _absolute(self, line: str) -> str:
        """A path relative to the model (``code/x.whl``, ``file:wheels/x.whl``) made absolute; others unchanged."""
        bare = line.split(" #", 1)[0].strip().removeprefix("file:")
        path = (self.model / bare).resolve()
        looks = bare.startswith((".", "/")) or bare.endswith(_ARCHIVES)
        return str(path) if looks and "://" not in bare and path.exists() else line

    def add_mlflow(self, version: str) -> None:
        """Loading a model needs MLflow; where no line names it, the version that logged the model is taken."""
        names = {r.name.lower() for r in parsed(self.requirements)}
        if names & {"mlflow", "mlflow-skinny"} or any("mlflow" in r for r in self.requirements):
            return
        final = re.fullmatch(r"[0-9.]+(rc[0-9]+)?", version)
        self.requirements.append(f"mlflow=={version}" if final else "mlflow")
        self.notes.append(f"no requirement names mlflow: {self.requirements[-1]} is added")


def parsed(lines: Iterable[str]) -> Iterator[Requirement]:
    """Requirements among ``lines`` that are names with specifiers or URLs; paths are left out."""
    for line in lines:
        try:
            yield Requirement(_bare(line))
        except InvalidRequirement:
            continue


def satisfied(wanted: ModelRequirements, python: str, installed: Mapping[str, str]) -> list[str]:
    """Return why ``installed`` is not what the model needs, one sentence per mismatch; [] when it is.

    Args:
        wanted: the model's requirements.
        python: full version of the interpreter, ``3.11.7``; only its first two numbers must be the model's.
        installed: versions by distribution name as installed there.
    """
    have = {str(canonicalize_name(name)): version for name, version in installed.items()}
    found = []
    if wanted.python_minor and wanted.python_minor != ".".join(python.split(".")[:2]):
        found.append(f"Python {wanted.python} is wanted, the kernel has {python}")
    where = _marker_environment(python)
    for line in wanted.requirements:
        found += _mismatch(line, have, where, needed=True)
    for line in wanted.constraints:
        found += _mismatch(line, have, where, needed=False)
    found += [m for spec in wanted.conda_only for m in _conda_mismatch(spec, have)]
    return found


def _mismatch(
    line: str, have: Mapping[str, str], where: Mapping[str, str], needed: bool
) -> list[str]:
    try:
        requirement = Requirement(_bare(line))
    except InvalidRequirement:
        return [f"{line} is a file of the model or no plain requirement"] if needed else []
    if requirement.marker and not requirement.marker.evaluate(dict(where)):
        return []
    version = have.get(str(canonicalize_name(requirement.name)))
    if version is None:
        return [f"{requirement.name} is required, the kernel does not have it"] if needed else []
    if requirement.url:
        return [f"{requirement.name} is wanted from {requirement.url}"]
    if requirement.specifier.contains(version, prereleases=True):
        return []
    pins = [s.version for s in requirement.specifier if s.operator in ("==", "===")]
    told = f"{requirement.name} {pins[0]} is pinned" if pins else f"{requirement} is required"
    return [f"{told}, the kernel has {version}"]


def _conda_mismatch(spec: str, have: Mapping[str, str]) -> list[str]:
    """Conda packages count as present only where a distribution of that name and version prefix is installed."""
    name, _, version = re.sub(r"\s+", "=", spec.split("::")[-1].strip()).partition("=")
    prefix = version.lstrip("=").split("=")[0].rstrip(".*")
    found = have.get(str(canonicalize_name(name)))
    if found is not None and (
        found == prefix or f"{found}.".startswith(f"{prefix}." if prefix else "")
    ):
        return []
    return [f"the conda package {spec} cannot be verified"]


def _marker_environment(python: str) -> dict[str, str]:
    where = {key: str(value) for key, value in default_environment().items()}
    minor = ".".join(python.split(".")[:2])
    version = str(Version(python))
    return where | {
        "python_version": minor,
        "python_full_version": version,
        "implementation_version": version,
        "extra": "",
    }


def _bare(line: str) -> str:
    """A line without its comment and without pip's per-requirement options (``--hash=…``)."""
    return re.split(r"\s+#|\s+--", line, maxsplit=1)[0].strip()


def _environment_files(model: Path, env: Any) -> dict[str, Path]:
    """``env`` of the pyfunc flavour: a mapping since MLflow 2, the name of the conda file before."""
    names = env if isinstance(env, dict) else {"conda": env} if isinstance(env, str) else {}
    return {
        "conda": model / str(names.get("conda") or "conda.yaml"),
        "virtualenv": model / str(names.get("virtualenv") or "python_env.yaml"),
    }


def _sources(model: Path, virtualenv: Mapping[str, Any], conda_pip: list[str]) -> list[str]:
    """The lines to read, from the most specific file that says anything."""
    named = [str(line) for line in virtualenv.get("dependencies") or []]
    if named and (model / "requirements.txt").exists() | all(not n.startswith("-r") for n in named):
        return named
    if (model / "requirements.txt").exists():
        return ["-r requirements.txt"]
    return conda_pip


def _build_tools(virtualenv: Mapping[str, Any], requirements: Iterable[str]) -> tuple[str, ...]:
    named = {str(canonicalize_name(r.name)) for r in parsed(requirements)}
    tools = parsed(str(line) for line in virtualenv.get("build_dependencies") or [])
    return tuple(str(t) for t in tools if t.name == "setuptools" and t.name not in named)


def _conda(conda: Mapping[str, Any]) -> tuple[str, list[str], tuple[str, ...]]:
    """Python version, pip lines and the packages that only conda can give."""
    python, pip, only = "", [], []
    for entry in conda.get("dependencies") or []:
        if isinstance(entry, dict):
            pip += [str(line) for line in entry.get("pip") or []]
            continue
        name = re.split(r"[=<>!~\s\[]", str(entry).split("::")[-1], maxsplit=1)[0].lower()
        if name == "python":
            python = ".".join(re.findall(r"\d+", str(entry))[:3])
        elif name not in _PLAIN_CONDA:
            only.append(str(entry))
    return python, pip, tuple(only)


def _logical_lines(text: str) -> list[str]:
    """Lines of a requirements file: continuations joined, comments and blank lines dropped."""
    joined = re.sub(r"\\\r?\n\s*", " ", text)
    lines = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StagingFailed(
            f"{path.name} of the model cannot be read: {error}.",
            hint="Log the model again, so that the files which describe its environment are complete.",
        ) from error


def _yaml(path: Path, *, needed: bool = False) -> dict[str, Any]:
    if not needed and not path.exists():
        return {}
    try:
        value = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise StagingFailed(
            f"{path.name} of the model is not valid YAML: {' '.join(str(error).split())}.",
            hint="Log the model again.",
        ) from error
    return value if isinstance(value, dict) else {}
