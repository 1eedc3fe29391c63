"""Say what is here and what is missing, and how to get it: ``python -m tools doctor``.

It needs nothing installed, changes nothing in the book, and asks no other machine. What it prints can go into a report
as it is: the home folder, whose name may be a person's, is written as ``~``.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools import browser, torch_wheel
from tools.environments import ROOT, UTF8
from tools.install import NEWEST, Environment, Level

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib", "ipywidgets", "jupyterlab", "jupyter-book")
"""Those whose versions are told."""
VARIABLES = ("AEVB_DATA_DIR", "AEVB_CACHE_DIR", "AEVB_FAST", "AEVB_REAL_DATA", "OMP_NUM_THREADS", torch_wheel.VARIABLE)
"""Environment variables that the book reads: those that are set are told."""
NEEDED = 3.0  # GB, for the environment and the data
SECONDS = 120  # for what the environment is asked

Finding = tuple[str, str]
"""What is looked at, and what is found, in words."""


def without_home(text: str) -> str:
    """A text in which the home folder is ``~``."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def system() -> Finding:
    """The system, its processor, and the number of its cores."""
    return "system", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} cores"


def python() -> Finding:
    """The Python that runs this, and whether the book is made for it."""
    newest = ".".join(map(str, NEWEST))
    fits = "" if sys.version_info[:2] <= NEWEST else f"; newer than the book is made for: take 3.11 to {newest}"
    return "python", f"{platform.python_version()}, {sys.executable}{fits}"


def environment(here: Environment) -> tuple[Finding, bool]:
    """What is installed, and whether it is enough to build the site."""
    tool = "uv" if shutil.which("uv") else "pip"
    level = next((level for level in (Level.WHOLE, Level.SITE) if here.has(level)), None)
    if level is Level.WHOLE:
        return ("environment", f"{here.folder}: all that the book needs"), True
    if level is Level.SITE:
        more = torch_wheel.why_none(here.root) or f"python -m tools setup installs the rest, with {tool}"
        return ("environment", f"{here.folder}: what building the site needs; {more}"), True
    fault = here.fault() or "is of older requirements"
    return ("environment", f"{here.folder} {fault}: python -m tools setup makes it, with {tool}"), False


def packages(here: Environment) -> Finding:
    """The versions of the most important packages that are installed."""
    versions = ((name, here.version_of(name)) for name in PACKAGES)
    found = ", ".join(f"{name} {version}" for name, version in versions if version)
    return "packages", found or "none"


def inside(here: Environment) -> Iterator[Finding]:
    """What only the environment's own Python can say: the device, the data, whether the notebooks are trusted."""
    if not here.has(Level.WHOLE):
        yield "device, data", "told when all that the book needs is installed: python -m tools setup"
        return
    said = _asked(here)
    if isinstance(said, str):
        yield "device, data", said
        return
    yield "device", said["device"]
    yield from (("data", line) for line in said["data"])
    trusted = f"{said['trusted']} of {said['notebooks']} are trusted by JupyterLab"
    yield (
        "notebooks",
        trusted + ("" if said["trusted"] == said["notebooks"] else ": python -m tools lab trusts them all"),
    )


def _asked(here: Environment) -> dict[str, Any] | str:
    """The answers of the environment's Python; where it has none, why."""
    command = [here.python, "-m", "tools.findings"]
    try:
        done = subprocess.run(
            command,
            cwd=here.root,
            env=os.environ | UTF8,
            timeout=SECONDS,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{here.python} has not answered within {SECONDS} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return f"{here.python} fails ({last}): remove {here.folder}, and python -m tools setup makes it anew"
    return json.loads(done.stdout)


def grading(here: Environment) -> Finding:
    """How student code would be kept in on this machine."""
    if not here.has(Level.WHOLE):
        return "grading", "told when all that the book needs is installed: python -m tools setup"
    command = [here.python, "-m", "course.engine.box"]
    try:
        done = subprocess.run(
            command, cwd=here.root, env=os.environ | UTF8, timeout=SECONDS, capture_output=True, encoding="utf-8"
        )
    except subprocess.TimeoutExpired:
        return "grading", f"{here.python} has not answered within {SECONDS} s"
    return "grading", (done.stdout.strip() or done.stderr.strip() or "it says nothing").splitlines()[-1]


def disk(root: Path) -> Finding:
    """The room on the disk."""
    free = shutil.disk_usage(root).free / 1e9
    return "disk", f"{free:.0f} GB free" + (f": the book needs about {NEEDED:.0f}" if free < NEEDED else "")


def variables() -> Iterator[Finding]:
    """The environment variables of the book that are set."""
    yield from (
        (name, torch_wheel.without_secrets(os.environ[name]) or "(empty)") for name in VARIABLES if name in os.environ
    )


def main(root: Path = ROOT) -> int:
    """Print what is found; return 0 where at least the site can be built with what is installed, else 1."""
    here = Environment(root)
    try:
        installed, enough = environment(here)
        findings = [system(), python(), installed, packages(here), *inside(here), grading(here)]
    except (ValueError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    findings += [("browser", browser.find_browser() or browser.MISSING), disk(root), *variables()]
    for name, said in findings:
        print(f"{name:<12} {without_home(said)}")
    return 0 if enough else 1
