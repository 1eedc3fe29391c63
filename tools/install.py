"""The environment ``.venv``: made, filled in seconds from the locks, and left alone while nothing has changed.

It has two levels: the *site*, what building the pages needs, and the *whole*, what running and testing needs
besides. ``book.json`` in it says what was installed. It is written when all is done: where an installation was cut
off, the environment is made anew. Nothing here needs more than the standard library.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tools import torch_wheel
from tools.environments import ROOT
from tools.processes import alone, run

NEWEST = (3, 14)
"""The newest Python that the locks are made for; the oldest is in ``tools/__main__.py``."""
LONGEST_CHECK = 60  # seconds that a Python may take to say which it is


class InstallError(RuntimeError):
    """The environment cannot be had; the message is one sentence."""


class Level(Enum):
    """How much is installed."""

    SITE = "site"
    WHOLE = "whole"

    @property
    def lock(self) -> str:
        """The file of its packages."""
        return "requirements-site.lock" if self is Level.SITE else "requirements.lock"

    @property
    def said(self) -> str:
        """What is downloaded for it, in words."""
        if self is Level.SITE:
            return "what building the site needs (about 60 MB)"
        return "all that the book needs (about 250 MB, and then PyTorch)"


@dataclass(frozen=True)
class Environment:
    """The environment of a copy of the book, whether it is there or not."""

    root: Path = ROOT

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def marker(self) -> Path:
        """The file that says what was installed."""
        return self.folder / "book.json"

    def record(self) -> dict[str, Any]:
        """What was installed; nothing, where the file is missing or broken."""
        try:
            record = json.loads(self.marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def note(self, record: dict[str, Any]) -> None:
        """Write down what was installed, whole or not at all."""
        partial = self.marker.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.marker)

    def made_of(self, level: Level) -> str:
        """The hash of all that a level is installed from."""
        digest = hashlib.sha256((self.root / level.lock).read_bytes())
        if level is Level.WHOLE:
            project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            digest.update(f"{torch_wheel.pin(self.root)} {json.dumps(project, sort_keys=True)}".encode())
        return digest.hexdigest()

    def fault(self) -> str | None:
        """What is wrong with the environment, in words; None if nothing is, which costs no process."""
        if not os.path.lexists(self.folder):
            return "is missing"
        record = self.record()
        if not os.path.exists(self.python) or not os.path.exists(_base_of(self.folder)):
            return "has lost its Python"
        if not record:
            return "was made by another command" if not self.marker.exists() else "has lost what was noted of it"
        if record.get("folder") != str(self.folder.resolve()):
            return f"was moved here from {record.get('folder')}"
        return "was not finished" if record.get("begun") else None

    def has(self, level: Level) -> bool:
        """Whether a level is installed as the files ask for it, and with the PyTorch that the caller asks for."""
        if self.fault() is not None:
            return False
        record = self.record()
        index = torch_wheel.wanted_index() if level is Level.WHOLE else None
        return record.get(level.value) == self.made_of(level) and index in (None, record.get("torch_index"))

    def version_of(self, package: str) -> str | None:
        """The version of a package that is installed; None if it is not."""
        libraries = [*self.folder.glob("lib/python3.*/site-packages"), *self.folder.glob("Lib/site-packages")]
        found = importlib.metadata.distributions(name=package, path=list(map(str, libraries)))
        return next((package.version for package in found), None)


def _base_of(folder: Path) -> Path:
    """The folder of the Python that an environment was made with."""
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return folder / "pyvenv.cfg"
    entries = dict(map(str.strip, line.split("=", 1)) for line in lines if "=" in line)
    return Path(entries.get("home", "pyvenv.cfg"))


def ensure(level: Level, environment: Environment | None = None) -> Path:
    """Make and fill the environment, as far as it is not, and return its Python.

    Raises:
        InstallError: it cannot be had.
    """
    environment = environment or Environment()
    try:
        if environment.has(level):
            return environment.python
        if level is Level.WHOLE:
            torch_wheel.wanted_index()  # an address that is none is refused before anything is done
            if reason := torch_wheel.why_none(environment.root):
                raise InstallError(reason)
        with alone(environment.root / ".venv.lock"):
            before = environment.record()
            _make(environment)
            _fill(environment, level, before)
    except BlockingIOError as error:
        raise InstallError("Another command is installing into .venv: run this again when it has finished.") from error
    except ValueError as error:
        raise InstallError(str(error)) from error
    except OSError as error:
        raise InstallError(
            f"{error.filename or environment.folder} cannot be read or written: {error.strerror or error}."
        ) from error
    return environment.python


def _make(environment: Environment) -> None:
    """Make the environment where it is missing, and anew where it is broken."""
    folder, fault = environment.folder, environment.fault()
    if fault is None and _starts(environment.python):
        return
    ensurepip = importlib.util.find_spec("ensurepip")
    outer = shutil.which("uv") is not None or _has_pip()
    if not outer and ensurepip is None:
        raise InstallError(
            f"{sys.executable} has neither pip nor ensurepip: install them (on Debian and Ubuntu: apt-get install "
            "python3-venv), or uv."
        )
    if os.path.lexists(folder):
        if folder.is_symlink():
            raise InstallError(f"{folder} {fault or 'is broken'}, and is a link: remove it, and run this again.")
        if not environment.marker.exists():  # what is in it may be in no other place
            what = "was made by another command" if (folder / "pyvenv.cfg").is_file() else "is no virtual environment"
            raise InstallError(f"{folder} {what}: move it away or remove it, and run this again.")
        if os.name == "nt" and Path(sys.prefix).resolve() == folder.resolve():
            raise InstallError(
                f"{folder} {fault or 'is broken'}, and its own Python runs this: call py -m tools instead."
            )
        print(f"{folder.name} {fault or 'is broken'}: making it anew.", flush=True)
        shutil.rmtree(folder)
    folder.mkdir()
    environment.note({"folder": str(folder.resolve()), "begun": "nothing yet"})  # from now on it is known as the book's
    try:
        venv.create(folder, symlinks=os.name != "nt", with_pip=not outer)
    except subprocess.CalledProcessError as error:
        raise InstallError(f"{sys.executable} -m venv .venv fails: run it by hand to see why.") from error


def _starts(python: Path) -> bool:
    """Whether a Python starts, and is new enough."""
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", question], timeout=LONGEST_CHECK, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _has_pip() -> bool:
    """Whether the Python that runs this has a pip that installs into other environments: 22.3 or later."""
    try:
        version = importlib.metadata.version("pip").split(".")
    except importlib.metadata.PackageNotFoundError:
        return False
    return tuple(int(part) for part in version[:2] if part.isdigit()) >= (22, 3)


def _fill(environment: Environment, level: Level, before: dict[str, Any]) -> None:
    """Install a level, from its lock, and note it when all of it is there; ``before`` is what was noted last."""
    torch = {name: value for name, value in before.items() if name.startswith("torch")}
    record = torch | {"folder": str(environment.folder.resolve()), "begun": level.value}
    installer = Installer(environment, record)
    environment.note(record)
    print(f"Installing {level.said} into {environment.folder.name}, with {installer.name} …", flush=True)
    installer.install("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", environment.root / level.lock)
    if level is Level.WHOLE:
        record |= _install_torch(environment, installer, torch)
        installer.install("--no-deps", "--no-build-isolation", "-e", ".")
        _give_pip(environment)
    levels = Level if level is Level.WHOLE else [Level.SITE]
    environment.note(
        {name: value for name, value in record.items() if name != "begun"}
        | {level.value: environment.made_of(level) for level in levels}
    )


def _install_torch(environment: Environment, installer: "Installer", before: dict[str, Any]) -> dict[str, Any]:
    """Install PyTorch, unless it is there as it is wanted; return what is to be noted of it.

    An index that was named once is taken again for a later version.
    """
    pin, index = torch_wheel.pin(environment.root), torch_wheel.wanted_index()
    named = index is not None or before.get("torch_named", False)
    there = environment.version_of("torch")
    if there and there.split("+")[0] == pin.removeprefix("torch==") and index in (None, before.get("torch_index")):
        return {"torch_index": before.get("torch_index"), "torch_named": named}
    if index is None:
        index = before["torch_index"] if named else torch_wheel.usual_index()
    source = torch_wheel.without_secrets(index) or "PyPI"
    print(f"Installing {pin} from {source} …", flush=True)
    if there:  # another build of this version would be taken for the one that is wanted
        installer.uninstall("torch")
    installer.install("--only-binary", ":all:", pin, *installer.from_index(index))
    return {"torch_index": index, "torch_named": named}


def _give_pip(environment: Environment) -> None:
    """Put pip into the environment, where it has none: for this installer, or for those who install more there."""
    if environment.version_of("pip") is not None:
        return
    command = [environment.python, "-m", "ensurepip", "--default-pip"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        print(f"{environment.folder.name} has no pip, since ensurepip fails; the book itself does not need it.")


class Installer:
    """uv where it is to be had, else pip: this Python's own, or the environment's."""

    def __init__(self, environment: Environment, record: dict[str, Any]) -> None:
        self.environment = environment
        self.record = record
        self.uv = shutil.which("uv")
        self.name = "uv" if self.uv else "pip"

    def install(self, *arguments: str | Path) -> None:
        """Install what the arguments name.

        Raises:
            InstallError: it failed.
        """
        python = self.environment.python
        if self.uv:
            self.call("uv", [self.uv, "pip", "install", "--python", python, "--quiet", *arguments])
        else:
            quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile")
            self.call("pip", [*self._pip(), "install", *quiet, *arguments])

    def uninstall(self, package: str) -> None:
        """Remove a package.

        Raises:
            InstallError: it failed.
        """
        if self.uv:
            python = self.environment.python
            self.call("uv", [self.uv, "pip", "uninstall", "--python", python, "--quiet", package])
        else:
            self.call("pip", [*self._pip(), "uninstall", "--quiet", "--yes", package])

    def from_index(self, index: str) -> tuple[str, ...]:
        """The arguments that name an index besides PyPI."""
        return ("--index" if self.uv else "--extra-index-url", index) if index else ()

    def _pip(self) -> list[str | Path]:
        python = self.environment.python
        if _has_pip():
            return [sys.executable, "-m", "pip", "--python", python]
        _give_pip(self.environment)
        return [python, "-m", "pip"]

    def call(self, name: str, command: list[str | Path]) -> None:
        """Run a command; where it ends by itself with an error, nothing is half-installed, and that is noted.

        Raises:
            InstallError: it failed.
        """
        ended = run(command, {"PIP_USER": "0"}, self.environment.root)
        if ended.interrupted or ended.status >= 128:
            raise InstallError("The installation was stopped: run the command again, and it begins anew.")
        if ended.status:
            self.environment.note({name: value for name, value in self.record.items() if name != "begun"})
            raise InstallError(f"{name} could not install everything, and says why above{_newer()}: {_CURE}.")


_CURE = "see that the internet can be reached and the disk has room, then run the command again"


def _newer() -> str:
    newest, here = ".".join(map(str, NEWEST)), sys.version.split()[0]
    return (
        f" (the book is made for Python 3.11 to {newest}, and this is {here})" if sys.version_info[:2] > NEWEST else ""
    )
