"""Where student code runs: a bubblewrap box; without bubblewrap, another user; without that, nowhere unless it is said.

Nothing of the machine can be written from the box, and of what can be read there is the system, Python and the driver:
neither checks nor submissions. The order comes in by stdin, lines of JSON leave by stdout, and both are all there is.
"""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from course.engine.processes import Usage, kill_all_of, kill_group, remove_files_of, usage

DRIVER, NEEDED = Path(__file__).with_name("driver.py"), Path(__file__).with_name("needed.py")
GIB = 2**30
SCRATCH = "/scratch"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "AEVB_FAST": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Rung(Enum):
    """How student code is kept in, best first."""

    BOX = "a bubblewrap box: no network, a read-only system, its own processes"
    USER = "another user: it cannot read the checks or signal the grader, but the network is open"
    UNSAFE = "nothing: student code runs as you do"


class NoBoxError(RuntimeError):
    """There is no way here to keep student code in."""


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        cell_seconds: CPU seconds of one cell; wall time is given twice as much.
        total_seconds: wall seconds of a whole run.
        silent_seconds: wall seconds, once it has begun, without a new cell or call.
        memory: bytes, of one process's addresses and of all processes' memory together.
        processes: processes and threads at once; one that comes near it is ended.
        output: bytes that may leave the box.
    """

    cell_seconds: int = 20
    total_seconds: int = 240
    silent_seconds: int = 90
    memory: int = 3 * GIB
    processes: int = 16
    output: int = 32 * 2**20


USUAL = Limits()


@dataclass(frozen=True)
class Ended:
    """What a run wrote, and why it was ended: ``time``, ``memory``, ``processes``, ``output``; "" if by itself."""

    written: bytes
    why: str
    status: int
    said: str
    cpu: float


def slot_user(slot: int) -> int:
    """A user id that no account has, for one run at a time on this machine."""
    return 200_000 + (os.getpid() * 64 + slot) % 1_000_000


def best_rung(*private: Path, unsafe: bool = False) -> Rung:
    """The best rung that this machine offers, tried out.

    Args:
        private: files and folders that student code must not read; the second rung is refused where it can.
        unsafe: that no rung is wanted, since the code is trusted.

    Raises:
        NoBoxError: neither rung holds here, or not even none; the message says what to do.
    """
    if unsafe and (reason := why_not(Rung.UNSAFE)):
        raise NoBoxError(f"Student code cannot be run here, {reason}: grade on a Linux machine or on Gradescope.")
    if unsafe:
        return Rung.UNSAFE
    reasons = []
    for rung in (Rung.BOX, Rung.USER):
        reason = why_not(rung, *private)
        if reason is None:
            return rung
        reasons.append(reason)
    advice = (
        "Install bubblewrap (apt-get install bubblewrap), grade on another Linux machine or on Gradescope, or, for "
        "code that you trust, say --unsafe"
    )
    advice = advice if why_not(Rung.UNSAFE) is None else "Grade on a Linux machine or on Gradescope"
    raise NoBoxError(f"Student code cannot be kept in here: {'; '.join(reasons)}. {advice}.")


def why_not(rung: Rung, *private: Path) -> str | None:
    """Why a rung does not hold on this machine; None where it does."""
    if sys.platform != "linux":
        return f"{rung.name.lower()}: it needs Linux (on Windows, WSL)"
    if rung is Rung.UNSAFE:
        return None
    needed = ["bwrap"] if rung is Rung.BOX else []
    needed += ["setpriv"] if os.geteuid() == 0 or rung is Rung.USER else []
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        return f"{rung.name.lower()}: there is no {' and no '.join(missing)}"
    if rung is Rung.USER and os.geteuid() != 0:
        return "user: only root can become another user"
    with _driver_for(rung) as driver:
        test = "import os, sys, torch; seen = [p for p in sys.argv[1:] if os.access(p, os.R_OK)]; print(*seen[:1]); "
        start = _command(rung, slot_user(63), driver, None)[:-1]
        command = [*start, "-c", test + "sys.exit(7 if seen else 0)", *(str(path.resolve()) for path in private)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=60, check=False, env={}, cwd="/")
        except subprocess.TimeoutExpired:
            return f"{rung.name.lower()}: it did not start within 60 s"
    if done.returncode == 7:
        seen = done.stdout.decode(errors="replace").strip()
        return f"{rung.name.lower()}: {seen} could be read by it (chmod 700 its folder)"
    last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it does not start"])[-1]
    return f"{rung.name.lower()}: {last}" if done.returncode else None


@contextmanager
def _driver_for(rung: Rung) -> Iterator[Path]:
    """The driver where the rung's user can read it."""
    if rung is not Rung.USER:
        yield DRIVER
        return
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        os.chmod(folder, 0o755)
        for path in (DRIVER, NEEDED):
            Path(shutil.copy(path, folder)).chmod(0o644)
        yield Path(folder) / DRIVER.name


def python_folders() -> list[Path]:
    """The folders outside /usr that this Python needs."""
    folders = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.prefix)}
    return sorted(folder for folder in folders if not folder.is_relative_to("/usr"))


def _shown(folders: list[Path]) -> list[str]:
    """Arguments that show folders read-only, with parents that any user may pass."""
    parents = sorted({parent for folder in folders for parent in folder.parents if parent != Path("/")})
    made = [word for parent in parents for word in ("--perms", "0755", "--dir", str(parent))]
    return made + [word for folder in folders for word in ("--ro-bind", str(folder), str(folder))]


def _hidden() -> list[str]:
    """Arguments that cover the book's package, with its answers, where it is installed beside the libraries.

    A project's code needs that package: it is given a copy of it, in ``/given/book``, on purpose.
    """
    libraries = [Path(path) for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    inside = [folder / name for folder in libraries for name in ("aevb_utils", "course")]
    return [word for folder in inside if folder.is_dir() for word in ("--tmpfs", str(folder))]


def where(rung: Rung, given: Path) -> str:
    """Where code on a rung finds a folder that it is given."""
    return "/given" if rung is Rung.BOX else str(given)


def _command(rung: Rung, user: int, driver: Path, cache: Path | None, given: Path | None = None) -> list[str]:
    """What starts the driver on a rung."""
    python = [str(Path(sys.prefix) / "bin" / "python") if sys.prefix != sys.base_prefix else sys.executable, "-I"]
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    become += ["--bounding-set=-all", "--inh-caps=-all"]
    if rung is Rung.UNSAFE:
        return [*python, str(driver)]
    if rung is Rung.USER:
        return [*become, *python, str(driver)]
    root = os.geteuid() == 0
    words = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += [] if root else ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    words += ["--die-with-parent", "--new-session", "--hostname", "box", "--cap-drop", "ALL"]
    words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"] if root else []
    words += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        here = Path("/") / name
        if here.is_symlink():
            words += ["--symlink", os.readlink(here), str(here)]
        elif here.is_dir():
            words += ["--ro-bind", str(here), str(here)]
    words += [*_shown(python_folders()), *_hidden(), "--ro-bind", str(driver), "/driver.py"]
    words += ["--ro-bind", str(NEEDED), "/needed.py"]
    words += ["--ro-bind", str(cache), "/cache"] if cache else []
    words += ["--ro-bind", str(given), where(rung, given)] if given else []
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    for folder in (SCRATCH, "/tmp", "/dev/shm"):
        words += ["--perms", "1777", *_sized(256 * 2**20), "--tmpfs", folder]
    words += ["--remount-ro", "/", "--chdir", SCRATCH, "--clearenv"]
    for name, value in (_environment(SCRATCH) | {"PATH": "/usr/bin:/bin"}).items():
        words += ["--setenv", name, value]
    return [*words, *(become if root else []), *python, "/driver.py"]


def _sized(size: int) -> list[str]:
    """``--size`` for a tmpfs where this bubblewrap has it (0.7 and later)."""
    if "bwrap" not in _HELP:
        done = subprocess.run(["bwrap", "--help"], capture_output=True, check=False)
        _HELP["bwrap"] = (done.stdout + done.stderr).decode(errors="replace")
    return ["--size", str(size)] if "--size" in _HELP["bwrap"] else []


_HELP: dict[str, str] = {}


def _environment(scratch: str) -> dict[str, str]:
    return {**ENVIRONMENT, "HOME": scratch, "TMPDIR": scratch, "MPLCONFIGDIR": f"{scratch}/matplotlib"}


def run(
    order: dict[str, Any],
    rung: Rung,
    limits: Limits = USUAL,
    *,
    slot: int = 0,
    cache: Path | None = None,
    given: Path | None = None,
) -> Ended:
    """Run an order in a box and wait for its end.

    Args:
        order: ``cells``, ``skip`` and ``calls``, as ``driver.py`` reads them.
        rung: how it is kept in.
        limits: what it may use.
        slot: which of the runs at one time this is, from 0 to 62.
        cache: a folder that matplotlib finds its fonts in.
        given: a folder that the code may read, at :func:`where`; anybody must be able to read it.
    """
    user = slot_user(slot)
    alone = user if os.geteuid() == 0 and rung is not Rung.UNSAFE else None  # nobody else runs under this id
    rlimits = {"memory": limits.memory, "file_size": 64 * 2**20, "cpu": limits.total_seconds}
    if rung is not Rung.UNSAFE:
        rlimits["processes"] = limits.processes
    shown = None if cache is None else "/cache" if rung is Rung.BOX else str(cache)
    order = order | {"limits": rlimits, "cell_seconds": limits.cell_seconds, "cache": shown}
    with tempfile.TemporaryDirectory(prefix="course-") as folder, tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(order).encode())
        stdin.seek(0)
        scratch = Path(folder)
        environment = {**_environment(folder), "PATH": os.defpath}
        if rung is Rung.USER:
            os.chown(scratch, user, user)
        with _driver_for(rung) as driver:
            process = subprocess.Popen(
                _command(rung, user, driver, cache, given),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/" if rung is Rung.BOX else scratch,
                env={"PATH": os.defpath} if rung is Rung.BOX else environment,
                start_new_session=True,
            )
            try:
                return _watch(process, limits, alone)
            finally:
                _end(process, alone)
                if rung is Rung.USER:
                    remove_files_of(user, scratch)


def _watch(process: subprocess.Popen[bytes], limits: Limits, user: int | None) -> Ended:
    """Read what a run writes until it ends, or until it must be ended."""
    written, said, why, most = bytearray(), bytearray(), "", Usage()
    began = heard = time.monotonic()
    looked = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, written)
        selector.register(process.stderr, selectors.EVENT_READ, said)
        while selector.get_map() and not why:
            for key, _ in selector.select(0.1):
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
                heard = time.monotonic() if key.data is written else heard
            del said[:-2_000]
            now = time.monotonic()
            if now - looked > 0.2:
                looked, used = now, usage(process.pid, user)
                most = most.at_least(used)
            if process.poll() is not None and not selector.select(0):
                break  # what a process left behind holds the pipe
            if len(written) > limits.output:
                why = "output"
            elif most.processes >= limits.processes - 2:
                why = "processes"
            elif most.memory > limits.memory:
                why = "memory"
            elif now - began > limits.total_seconds or (written and now - heard > limits.silent_seconds):
                why = "time"
    _end(process, user)
    return Ended(bytes(written), why, process.returncode, said.decode(errors="replace").strip(), most.cpu)


def _end(process: subprocess.Popen[bytes], user: int | None) -> None:
    """End a run and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # in a box its first process, and with it the box
        process.wait()
    elif user is None:
        kill_group(process.pid)
    if user is not None:
        kill_all_of(user)
    for pipe in (process.stdout, process.stderr):
        pipe.close()


def main() -> int:
    """Say how student code is kept in on this machine."""
    try:
        print(f"student code is kept in by {best_rung().value}")
    except NoBoxError as error:
        print(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
