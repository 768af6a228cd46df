"""A real JupyterLab with our package installed, and Chromium that looks at it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_core.paths import jupyter_path
from playwright.sync_api import Browser, sync_playwright
from services import Services, until

from jupyter_serving.places import DATA_DIR_VARIABLE

from .lab import Lab

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "artifacts" / "screenshots"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Without this a pop-up about news covers what is looked at, and asks the network.
NO_NEWS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
# What a Jupyter or an MLflow around the tests has set, and what must not reach ours.
FOREIGN = (
    *("JUPYTER_SERVING_URL", "JUPYTER_SERVING_CREDENTIAL_FILE", "JPY_PARENT_PID", "JUPYTER_TOKEN"),
    *("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_PREFIX"),
    *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
)


class LabServer:
    """JupyterLab as a user of JupyterHub has it: below a base URL, with a token and XSRF checks."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.services = Services(folder / "data")
        self._runtime = folder / "runtime"
        self._log = folder / "lab.log"
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                    *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
                    *("--ServerApp.base_url=/user/x/", f"--ServerApp.root_dir={self.work}"),
                    "--LabApp.expose_app_in_browser=True",
                ],
                stdout=out,
                stderr=out,
                env=self._environ(folder),
                start_new_session=True,
            )
        self.facts = until(self._info, 120, "the info file of JupyterLab")

    @property
    def url(self) -> str:
        """Base URL, with a slash at its end."""
        return str(self.facts["url"])

    @property
    def token(self) -> str:
        return str(self.facts["token"])

    def _environ(self, folder: Path) -> dict[str, str]:
        config = folder / "config"
        (config / "labconfig").mkdir(parents=True)
        (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(NO_NEWS))
        own = {
            "JUPYTER_CONFIG_DIR": config,
            "JUPYTER_DATA_DIR": folder / "jupyter",
            "JUPYTER_RUNTIME_DIR": self._runtime,
            "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
            "IPYTHONDIR": folder / "ipython",
            DATA_DIR_VARIABLE: self.services.places.data,
        }
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return kept | {name: str(value) for name, value in own.items()}

    def _info(self) -> dict[str, str] | None:
        assert self._process.poll() is None, f"JupyterLab ended:\n{self._log.read_text()[-3000:]}"
        for path in self._runtime.glob("jpserver-*.json"):
            try:
                facts: dict[str, str] = json.loads(path.read_text())
                return facts
            except ValueError:
                return None  # it is being written
        return None

    def end(self) -> None:
        """End Jupyter as a service manager does, then the services that outlive it; nothing may be left."""
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(60)
        finally:
            self.services.end()
            left = self._left()
            for process in left:
                process.kill()
        assert not left, f"JupyterLab left processes behind: {left}"

    def _left(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("JUPYTER_RUNTIME_DIR") == str(self._runtime):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """JupyterLab with services of its own."""
    found = [Path(p, "labextensions", "jupyter-serving", "package.json") for p in jupyter_path()]
    if not any(path.is_file() for path in found):
        pytest.fail("The labextension is not installed here: pip install '.[test]'")
    server = LabServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of this machine."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("There is no chromium on the path: bash scripts/machine.sh installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def lab(server: LabServer, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """JupyterLab in a window of its own, signed in, with an empty workspace; it must not complain about us."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    lab = Lab(context.new_page(), SCREENSHOTS)
    lab.open(server.url, server.token, workspace=request.node.name)
    yield lab
    lab.page.screenshot(path=SCREENSHOTS / f"last-{request.node.name}.png")
    context.close()
    assert lab.complaints() == []
