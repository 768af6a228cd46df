"""JupyterLab in a browser: its commands, our sidebar, and what the console said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, Response, expect

SIDEBAR = "jupyter-serving-sidebar"
OURS = ("jupyter-serving", "jupyter_serving", "jp-serving")
WIDE, NARROW = (1400, 900), (700, 900)
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
SECONDS = 1000.0  # Playwright counts milliseconds
# Limits against a hang only.
PATIENCE = 60 * SECONDS
expect.set_options(timeout=PATIENCE)


class Lab:
    """One window with JupyterLab."""

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page = page
        self._screenshots = screenshots
        self._said: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._said.append(f"exception: {error.stack}"))
        page.on("response", self._response)

    def open(self, url: str, token: str, workspace: str) -> None:
        """Sign in with the token (a cookie from then on) and wait until everything is there."""
        self.page.goto(f"{url}lab/workspaces/{workspace}?token={token}")
        self.page.wait_for_function("() => window.jupyterapp")
        self.page.evaluate("() => window.jupyterapp.restored.then(() => null)")
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def run(self, command: str, **arguments: Any) -> None:
        """Run one of Lab's commands and wait for its end."""
        self.page.evaluate(
            "([id, args]) => window.jupyterapp.commands.execute(id, args).then(() => null)",
            [command, arguments],
        )

    # -- notebooks -----------------------------------------------------------------------------------

    def open_notebook(self, path: str) -> None:
        """Open a notebook and wait for its kernel."""
        self.run("docmanager:open", path=path)
        self.page.evaluate(
            "() => { const panel = window.jupyterapp.shell.currentWidget;"
            " return panel.context.ready.then(() => panel.sessionContext.ready).then(() => null) }"
        )

    def begin_run_all(self) -> None:
        """Run all cells; ``run_ended`` waits."""
        self.page.evaluate(
            "() => { window.ranAll = window.jupyterapp.commands.execute('notebook:run-all-cells')"
            ".then(() => null) }"
        )

    def run_ended(self) -> dict[str, Any]:
        """Wait for the end of ``begin_run_all``; the notebook as it is then."""
        self.page.evaluate("() => window.ranAll")
        found: dict[str, Any] = self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.model.toJSON()"
        )
        return found

    def show_cell(self, text: str) -> None:
        """Scroll to the first cell of the current notebook that holds a text."""
        self.page.evaluate(
            "async text => { const notebook = window.jupyterapp.shell.currentWidget.content;"
            " const at = notebook.widgets.findIndex(c => c.model.sharedModel.source.includes(text));"
            " if (at < 0) throw new Error(`no cell holds ${text}`);"
            " notebook.activeCellIndex = at; await notebook.scrollToItem(at, 'center') }",
            text,
        )

    # -- sidebar -------------------------------------------------------------------------------------

    def show_sidebar(self) -> Locator:
        """Open our sidebar by its tab."""
        sidebar = self.page.locator(f"#{SIDEBAR}")
        if not sidebar.is_visible():
            self.page.locator(f'.jp-SideBar [data-id="{SIDEBAR}"]').click()
        expect(sidebar).to_be_visible()
        return sidebar

    def endpoint(self, name: str) -> Locator:
        """An endpoint in the sidebar."""
        return self.page.locator(f'#{SIDEBAR} li[data-endpoint="{name}"]')

    def expect_state(self, name: str, text: str, seconds: float = 120) -> None:
        """Wait until the sidebar says so."""
        state = self.endpoint(name).locator(".jp-serving-State-text")
        expect(state).to_have_text(text, timeout=seconds * SECONDS)

    def expect_empty(self) -> None:
        """Wait until the sidebar tells that there is no endpoint, and what to do."""
        empty = self.page.locator(f'#{SIDEBAR} [data-state="empty"]')
        expect(empty).to_contain_text("%serve deploy")

    def press(self, name: str, verb: str) -> None:
        """Press one of an endpoint's buttons."""
        self.endpoint(name).locator(f'[data-command="jupyter-serving:{verb}"]').last.click()

    # -- looks ---------------------------------------------------------------------------------------

    def look(self, name: str) -> None:
        """Keep pictures in light and dark, wide and narrow."""
        for size, width in ((NARROW, "narrow"), (WIDE, "wide")):
            # The size first: while the theme changes, toolbars find their new form.
            self.page.set_viewport_size({"width": size[0], "height": size[1]})
            for theme, tone in ((DARK, "dark"), (LIGHT, "light")):
                self.run("apputils:change-theme", theme=theme)
                self.keep(f"{name}-{tone}-{width}")

    def keep(self, name: str) -> None:
        """Keep one picture."""
        self.page.screenshot(path=self._screenshots / f"{name}.png", animations="disabled")

    # -- console -------------------------------------------------------------------------------------

    def complaints(self) -> list[str]:
        """Errors in the console, exceptions and refused requests that are ours."""
        return [text for text in self._said if any(mark in text for mark in OURS)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._said.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._said.append(f"{response.status} for {response.request.method} {response.url}")
