"""Running another program to its end, whatever the keyboard or the system says meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tools.environments import ROOT


class Ended(NamedTuple):
    """How a program ended: its exit status, as a shell gives it, and whether Ctrl-C was pressed meanwhile."""

    status: int
    interrupted: bool


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None, folder: Path = ROOT) -> Ended:
    """Run a program and wait for its end.

    Ctrl-C reaches the program by itself, which ends as it likes and in its own time; a SIGTERM is passed on.

    Args:
        command: the program and its arguments; no shell reads them.
        environment: variables that it gets besides those of this process.
        folder: where it runs.

    Raises:
        OSError: it cannot be started.
    """
    interrupted = False
    process = subprocess.Popen(list(map(str, command)), cwd=folder, env=os.environ | (environment or {}))
    with process, _terminated_by(process):
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    return Ended(status if status >= 0 else 128 - status, interrupted)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock, which the system releases when this process ends, however it ends.

    Raises:
        BlockingIOError: another process holds it.
        OSError: its file cannot be written.
    """
    with lock.open("a", encoding="utf-8") as file:
        try:
            _hold(file.fileno())
        except OSError as error:  # PermissionError on Windows
            raise BlockingIOError(f"{lock} is held") from error
        yield


if sys.platform == "win32":
    import msvcrt

    def _hold(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _hold(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _terminated_by(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass a SIGTERM on to a process."""
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
