"""`course open`: a learner's own copies of labs and quizzes, and JupyterLab at the start page.

What a running course leaves behind is under .course/, and a learner's work is under work/. Git ignores both.
"""

import hashlib
import json
import os
import shutil
import sys
import sysconfig
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

START = "notebooks/00-start-here.ipynb"
PORT = 8888
TOC = "@jupyterlab/toc:plugin"
PUBLISHED = ("labs", "quizzes")
RELEASES = ".releases.json"  # in work/: the fingerprint of the released file that each copy was made from

WORKSPACE: dict[str, Any] = {
    "data": {
        "layout-restorer:data": {
            "main": {
                "dock": {"type": "tab-area", "currentIndex": 0, "widgets": [f"notebook:{START}"]},
                "current": f"notebook:{START}",
            },
            "left": {
                "collapsed": False,
                "visible": True,
                "current": TOC,
                "widgets": ["filebrowser", "running-sessions", TOC],
            },
            "right": {"collapsed": True, "visible": True, "widgets": []},
            "relativeSizes": [0.22, 0.78, 0],
        },
        f"notebook:{START}": {"data": {"path": START, "factory": "Notebook"}},
    },
    "metadata": {"id": "course"},
}
SETTINGS: dict[str, Any] = {
    # No news, no question about news, no look-up of newer versions: the course works without a network.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/extensionmanager-extension:plugin": {"enabled": False},
}
# Figures have a white ground; on a dark page it is softened.
STYLE = '[data-jp-theme-light="false"] .jp-OutputArea-output img { filter: brightness(0.88); }\n'


# ---- a learner's own copies


def prepare(root: Path) -> list[str]:
    """Copy labs and quizzes to work/ and lay out JupyterLab; give back what the learner should be told."""
    messages = []
    for folder in PUBLISHED:
        for released in sorted((root / folder).glob("*-*/**/*")):
            if released.is_file() and not any(part.startswith(".") for part in released.parts[-2:]):
                messages += copy_once(released, root / "work", released.relative_to(root / folder))
    lay_out(root)
    return messages


def copy_once(released: Path, work: Path, name: Path) -> list[str]:
    """Copy a released file to work/name. An edited copy stays: a newer release goes beside it."""
    work.mkdir(exist_ok=True)
    record = work / RELEASES
    copied_from: dict[str, str] = {}
    with suppress(OSError, ValueError):  # lost or damaged: then every copy counts as edited
        copied_from = json.loads(record.read_text())
    copy, now = work / name, fingerprint(released)
    before = copied_from.get(name.as_posix())
    messages = []
    if copy.exists() and before == now:
        return []
    if copy.exists() and fingerprint(copy) not in (before, now):
        beside = free_name(copy)
        messages = [f"{show(copy)} is yours and was kept; a newer release of it is beside it: {beside.name}"]
        copy = beside
    elif copy.exists() and before:
        messages = [f"{show(copy)} was as released, and is now the newer release"]
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(released, copy)
    copied_from[name.as_posix()] = now
    write_whole(record, json.dumps(copied_from, indent=1, sort_keys=True))
    return messages


def fingerprint(path: Path) -> str:
    """Sum up a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def free_name(copy: Path) -> Path:
    """Find lab-new-2027-03-01.ipynb beside lab.ipynb, or the next name that is free."""
    name = f"{copy.stem}-new-{date.today().isoformat()}"
    beside, count = copy.with_name(name + copy.suffix), 2
    while beside.exists():
        beside, count = copy.with_name(f"{name}-{count}{copy.suffix}"), count + 1
    return beside


def show(copy: Path) -> str:
    """Name a copy as a learner sees it: work/03-retries/lab.ipynb."""
    return "/".join(copy.parts[-3:])


def write_whole(path: Path, text: str) -> None:
    """Write a file so that an interruption leaves the old one or the new one, never half of it."""
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text)
    draft.replace(path)


# ---- JupyterLab


def lay_out(root: Path) -> None:
    """Put the settings under .course/, and the first layout: the start page, its contents on the left."""
    from jupyterlab_server.workspaces_handler import WORKSPACE_EXTENSION, slugify

    config = root / ".course" / "jupyter"
    files = {
        config / "lab" / "workspaces" / (slugify("course") + WORKSPACE_EXTENSION): WORKSPACE,
        config / "labconfig" / "default_setting_overrides.json": SETTINGS,
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is SETTINGS or not path.exists():  # a layout that the learner has made is kept
            write_whole(path, json.dumps(content, indent=1))
    style = config / "custom" / "custom.css"
    style.parent.mkdir(exist_ok=True)
    write_whole(style, STYLE)


def open_course(root: Path, port: int | None = None, browser: bool | None = None) -> int:
    """Open the course in JupyterLab and stay until it ends; browser=None: where there is a display."""
    os.chdir(root)
    for message in prepare(root):
        print(message)
    os.environ["JUPYTER_CONFIG_DIR"] = str(root / ".course" / "jupyter")
    os.environ["JUPYTER_RUNTIME_DIR"] = str(root / ".course" / "runtime")
    # so that `course` and `nbgrader` are found in Lab's terminals, also where .venv was not activated
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    from jupyterlab.labapp import LabApp

    options = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or PORT}",  # or the next one that is free
        f"--ServerApp.root_dir={root}",
        f"--ServerApp.open_browser={has_display() if browser is None else browser}",
        f"--LabApp.default_url=/lab/workspaces/course/tree/{START}",
        "--LabApp.custom_css=True",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--KernelManager.transport_encryption=auto",  # without it each kernel prints a warning
        # where Jupyter itself has no terminal (nohup, a container) it takes login shells, which reset PATH
        f"--ServerApp.terminado_settings=shell_command={os.environ.get('SHELL') or 'sh'}",
        "--Application.log_level=ERROR",  # Jupyter still prints the address
        "-y",  # Ctrl-C stops it without a question
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    try:
        LabApp.launch_instance(options)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def has_display() -> bool:
    """Tell whether a browser has somewhere to appear."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
