"""JupyterLab and Chromium for tests: `lab` starts a server in an empty folder, `notebook` opens cells in it.

Fixtures (see conftest.py): `chromium`, `lab`, `open_notebook`. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
SETTINGS = {"apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"}}


def find_chromium() -> str | None:
    """Where a Chromium or Chrome is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Lab:
    """A JupyterLab server of its own: `folder` is its root, `url` where it listens."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        own = folder / ".jupyter-of-this-test"
        for name, settings in SETTINGS.items():
            path = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings))
        env = os.environ | {
            "JUPYTER_CONFIG_DIR": str(own / "config"), "JUPYTER_DATA_DIR": str(own / "data"),
            "JUPYTER_RUNTIME_DIR": str(own / "runtime"), "IPYTHONDIR": str(own / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
            "PYTHONPATH": str(Path(__file__).parents[1] / "src"), "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        } | environment  # fmt: skip
        (own / "runtime").mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser",
            "--ip=127.0.0.1", f"--port={self.url.split(':')[-1]}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={folder}",
            *(["--allow-root"] if os.name == "posix" and os.geteuid() == 0 else []),
        ]  # fmt: skip
        self.log = (own / "log").open("w")
        self.process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._wait()

    def _wait(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                self.api("GET", "/api")
                return
            time.sleep(0.1)
        raise RuntimeError("JupyterLab did not start:\n" + Path(self.log.name).read_text()[-3000:])

    def api(self, method: str, path: str) -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            body = reply.read()
        return json.loads(body) if body else None

    def write(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code cells; returns its name."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.folder / name)
        return name

    def kill_kernels(self) -> None:
        """End all kernels, for good."""
        for session in self.api("GET", "/api/sessions"):
            self.api("DELETE", f"/api/sessions/{session['id']}")

    def stop(self) -> None:
        with contextlib.suppress(Exception):
            self.kill_kernels()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def chromium_running() -> Iterator[Any]:
    """A headless Chromium (playwright's Browser), which reaches nothing but 127.0.0.1."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, headless=True)
        try:
            yield browser
        finally:
            browser.close()


KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"


class Notebook:
    """A notebook open in JupyterLab: `page` is playwright's page, `errors` its uncaught errors."""

    def __init__(
        self, lab: Lab, browser: Any, name: str, *, width: int = 1280, height: int = 900, **context: Any
    ) -> None:
        self.lab = lab
        self.context = browser.new_context(viewport={"width": width, "height": height}, **context)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{lab.url}/lab/tree/{name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.idle()

    def command(self, command: str, arguments: dict[str, Any] | None = None) -> None:
        """Start one of JupyterLab's own commands (it is not waited for: it may ask something)."""
        self.page.evaluate(
            "([c, a]) => { window.jupyterapp.commands.execute(c, a); }", [command, arguments or {}]
        )

    def idle(self, seconds: float = 60) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=seconds * 1000)

    def run_all(self) -> None:
        """Run all cells and wait for the last one."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.idle()

    def theme(self, dark: bool) -> None:
        self.command("apputils:change-theme", {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"})
        self.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{str(not dark).lower()}'")
        self.page.wait_for_timeout(300)

    def close(self) -> None:
        self.context.close()
