"""MLflow's own scoring server for every model of a folder, each below a path of its name; a script.

``python mlflow_server.py FOLDER`` prints its port when it listens.
"""

from __future__ import annotations

import socket
import sys
import warnings
from pathlib import Path

import mlflow.pyfunc
import mlflow.pyfunc.scoring_server as server
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    routes = [
        Mount(f"/{path.name}", app=server.init(mlflow.pyfunc.load_model(str(path))))
        for path in sorted(folder.iterdir())
    ]
    # With the protocol named, asyncio switches Nagle's algorithm off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(Starlette(routes=routes), log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
