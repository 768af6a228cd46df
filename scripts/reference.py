"""Write the generated pages of the manual: ``python scripts/reference.py`` (a test holds them to the code)."""

from __future__ import annotations

from pathlib import Path

from jupyter_serving.errors import ServingError
from jupyter_serving.settings import ENV_PREFIX, Settings

DOCS = Path(__file__).parent.parent / "docs" / "reference"


def settings_page() -> str:
    """The manual's page of all settings."""
    lines = [
        "# Settings",
        "",
        "Put them into `jupyter_serving_config.py` in a directory of `jupyter --paths` (config), as",
        "`c.Settings.gateway_port = 8899`, or into the environment, as `JUPYTER_SERVING_GATEWAY_PORT=8899`;",
        "the environment wins. Controller and gateway read them when they start: `jupyter serving stop`, then",
        "`jupyter serving start`. This page is generated from `jupyter_serving/settings.py`.",
        "",
    ]
    traits = Settings.class_traits(config=True)
    for name in Settings.names():
        trait = traits[name]
        default = trait.default_value if trait.default_value != "" else "(empty)"
        lines += [
            f"## `{name}`",
            "",
            f"{trait.help}",
            "",
            f"Default `{default}`. Environment variable `{ENV_PREFIX}{name.upper()}`.",
            "",
        ]
    return "\n".join(lines)


def errors_page() -> str:
    """The manual's page of all error codes."""
    lines = [
        "# Errors",
        "",
        "Every answer other than 2xx is a JSON object with `error_code` and `message`; the message says what,",
        "where, why and the next step. This page is generated from `jupyter_serving/errors.py`.",
        "",
        "| status | `error_code` | class | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for kind in sorted(_every(ServingError), key=lambda c: (c.status, c.__name__)):
        meaning = (kind.__doc__ or "").split("\n")[0]
        lines.append(f"| {kind.status} | `{kind.code}` | `{kind.__name__}` | {meaning} |")
    return "\n".join([*lines, ""])


def _every(base: type[ServingError]) -> list[type[ServingError]]:
    subs = [s for s in base.__subclasses__() if s.__module__ == "jupyter_serving.errors"]
    return [c for sub in subs for c in (sub, *_every(sub))]


PAGES = {"settings.md": settings_page, "errors.md": errors_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
