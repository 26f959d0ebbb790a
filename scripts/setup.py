"""Set the course up, and open it. `make course` calls this; without make: `python3 scripts/setup.py course`.

Only the standard library is used, and only what Python 3.6 can read, so that it can say what is wrong.

    python3 scripts/setup.py course [--lean]    the environment, then JupyterLab at the start page
    python3 scripts/setup.py install [--lean]   the environment only
    python3 scripts/setup.py dev                the environment with what the tests need
    python3 scripts/setup.py system             what the tests need from the operating system
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "course-ready.txt"
LOG = ROOT / ".course" / "setup.log"

PYTHONS = [(3, 13), (3, 12), (3, 11)]
LOCKS = {"lean": "requirements-lean.txt", "course": "requirements.txt", "dev": "requirements-dev.txt"}
SIZES = list(LOCKS)  # each holds all of the one before it

# What pip cannot bring and the tests want: Debian's package, the names of its program, what it is for.
SYSTEM = [
    ("chromium", ("chromium", "chromium-browser", "google-chrome"), "the browser tests"),
    ("bubblewrap", ("bwrap",), "the sandbox in which labs are marked"),
    # /usr/sbin is not on everybody's PATH
    ("rabbitmq-server", ("rabbitmq-server", "/usr/sbin/rabbitmq-server"), "the real part of unit 09"),
]

# Run as a shell's words: a command, during which Debian's packages start no services. The course starts its
# own RabbitMQ, and one on this machine for everybody to reach is nobody's wish.
NO_SERVICES = """
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap "/bin/rm -f $policy" EXIT
    printf '#!/bin/sh\\nexit 101\\n' > $policy && /bin/chmod 755 $policy
fi
"$@"
"""


class Problem(Exception):
    """What keeps the course from being set up, in words for the one who reads it."""


def main(arguments):
    """Do what the command line asks."""
    wanted = [word for word in arguments if not word.startswith("-")] or ["course"]
    lean = "--lean" in arguments or os.environ.get("LEAN", "") not in ("", "0")
    if wanted == ["system"]:
        install_system()
    elif wanted == ["dev"]:
        install("dev")
    elif wanted in (["install"], ["course"]):
        install("lean" if lean else "course")
    else:
        print(__doc__)
        return 2
    return open_course() if wanted == ["course"] else 0


# ---- the right Python


def version_of(python):
    """Ask an interpreter for (major, minor, micro); None where it does not run."""
    try:
        command = [str(python), "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
        return tuple(map(int, subprocess.check_output(command, stderr=subprocess.DEVNULL).split(b".")))
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def find_python():
    """Choose the interpreter: PYTHON=…, else .venv's, else the one running this, else the newest."""
    named = os.environ.get("PYTHON")
    found = []
    for python in [named] if named else [PYTHON, sys.executable, "python3.13", "python3.12", "python3.11"]:
        version = version_of(python)
        if version and version[:2] in PYTHONS:
            return python, version
        if version:
            found.append("Python {}.{}.{} at {}".format(*version, shutil.which(str(python))))
    raise Problem(
        "The course needs Python 3.11, 3.12 or 3.13, but found "
        f"{' and '.join(found) or f'no Python at {named}'}; install one of them, "
        "or name one that is there: make course PYTHON=/usr/bin/python3.12"
    )


# ---- the environment


def fingerprint():
    """Sum up what the environment is made from; when that changes, it is brought up to date."""
    files = ["pyproject.toml", *LOCKS.values()]
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files)).hexdigest()


def installed_size():
    """Tell which environment stands there, complete and up to date: "lean", "course", "dev" or None."""
    try:
        size, made_from = STAMP.read_text().split()
    except (OSError, ValueError):
        return None
    named = os.environ.get("PYTHON")
    if named and find_python()[1][:2] != version_of(PYTHON)[:2]:
        return None
    return size if made_from == fingerprint() and PYTHON.exists() else None


def install(size):
    """Make .venv from the hashed lock, unless it stands there already."""
    ready = installed_size()
    if ready and SIZES.index(ready) >= SIZES.index(size):
        return
    began = time.time()
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("")
    make_environment()
    lock = LOCKS[size]
    packages = len(re.findall(r"^[\w.-]+==", (ROOT / lock).read_text(), re.M))
    print(f"Installing what {lock} lists, {packages} packages, into .venv; the log is .course/setup.log")
    pip("--require-hashes", "--no-deps", "--requirement", lock)
    pip("--no-deps", "--no-build-isolation", "--editable", ".")
    STAMP.write_text(f"{size} {fingerprint()}\n")
    print(f"The environment is ready, after {time.time() - began:.0f} s.")


def make_environment():
    """Make .venv with the right Python and with pip, keeping one that fits."""
    python, version = find_python()
    present = version_of(PYTHON)
    if present and present[:2] == version[:2] and run([str(PYTHON), "-m", "ensurepip"]) == 0:
        return
    print("Making .venv with Python {}.{}.{}".format(*version), flush=True)
    if run([str(python), "-m", "venv", "--clear", str(VENV)]) != 0:
        package = "python{}.{}-venv".format(*version)
        raise Problem(
            f"{python} could not make an environment (the log is .course/setup.log); "
            f"on Debian and Ubuntu `sudo apt-get install {package}` brings what it needs."
        )


def pip(*options):
    """Run `pip install`; a failure becomes one sentence."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if run([*command, "--progress-bar", "off", *options]) != 0:
        raise Problem(why_pip_failed(LOG.read_text(errors="replace")))


def why_pip_failed(log):
    """Put pip's failure into one sentence."""
    if re.search(r"NewConnectionError|NameResolutionError|TimeoutError|ProxyError|timed out", log):
        return "The packages could not be fetched, as the network did not answer: connect, and run it again."
    if "No space left" in log:
        return "The disk is full: the README says how much room the course needs, and what a lean one needs."
    missing = re.search(r"No matching distribution found for ([\w.-]+)", log)
    if missing:
        return (
            f"{missing.group(1)} does not exist for this computer; `make course LEAN=1` does without servers."
        )
    errors = re.findall(r"^\s*(error.*)", log, re.IGNORECASE | re.MULTILINE) or ["no word of why"]
    return f"pip stopped with {errors[-1].strip()} (the log is .course/setup.log)"


def run(command):
    """Run a command into the log, showing which package pip is at; give back its exit code."""
    process = subprocess.Popen(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    count = 0
    with LOG.open("ab") as log:
        for line in process.stdout:
            log.write(line)
            if line.startswith((b"Collecting ", b"Processing /", b"Requirement already")):
                count += 1
                if count % 20 == 0:
                    print(f"  {count} packages looked at", flush=True)
            elif line.startswith(b"Installing collected") and count > 1:
                print("  all of them here; unpacking, for about a minute", flush=True)
    return process.wait()


# ---- what only the operating system can bring


def install_system():
    """Install Debian's packages for the tests where that is allowed, else name them in one line each."""
    missing = [package for package, names, _ in SYSTEM if not any(map(shutil.which, names))]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    sudo = [] if root else ["sudo", "-n"]
    may = root or (shutil.which("sudo") and subprocess.call([*sudo, "true"], stderr=subprocess.DEVNULL) == 0)
    if missing and may and shutil.which("apt-get"):
        print(f"Installing {' '.join(missing)}", flush=True)
        apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
        subprocess.call([*sudo, *apt_get, "update"], stdout=subprocess.DEVNULL)
        install = [*apt_get, "install", "-y", "--no-install-recommends", *missing]
        subprocess.call([*sudo, "/bin/sh", "-c", NO_SERVICES, "sh", *install], stdout=subprocess.DEVNULL)
    for package, names, use in SYSTEM:
        if not any(map(shutil.which, names)):
            print(f"Not on this machine: {package}, for {use}; `sudo apt-get install {package}` brings it.")


# ---- JupyterLab


def open_course():
    """Hand over to the environment's own Python, which opens JupyterLab."""
    code = (
        "import pathlib, sys, coursework.workspace as w; sys.exit(w.open_course(pathlib.Path(sys.argv[1])))"
    )
    command = [str(PYTHON), "-c", code, str(ROOT)]
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("Stopped; run it again to go on from there.")
