"""jupyter-serving: from a model in a notebook cell to a production-grade endpoint without leaving Jupyter.

Everything is imported lazily: ``import jupyter_serving`` in a kernel costs milliseconds and loads neither tornado,
docker nor mlflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client as Client
    from .errors import ServingError as ServingError
    from .handle import Endpoint as Endpoint
    from .notebook.serving import delete as delete
    from .notebook.serving import deploy as deploy
    from .notebook.serving import endpoint as endpoint
    from .notebook.serving import endpoints as endpoints
    from .notebook.serving import log as log

_PUBLIC = {
    "Client": "client",
    "Endpoint": "handle",
    "ServingError": "errors",
    "delete": "notebook.serving",
    "deploy": "notebook.serving",
    "endpoint": "notebook.serving",
    "endpoints": "notebook.serving",
    "log": "notebook.serving",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from .version import version

        return version()
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext jupyter_serving``: register ``%serve`` and its completion."""
    from .notebook import register

    register(ipython)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server.app import ServingApp

    return [{"module": "jupyter_serving.server", "app": ServingApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-serving"}]
