"""What the processes of a run use, read from Linux's ``/proc``, how they are ended, and what they leave."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
EVERYBODYS = ("/tmp", "/var/tmp", "/dev/shm")  # where any user may write who is not in a box


class StillRunningError(RuntimeError):
    """What a run has started cannot be ended."""


@dataclass(frozen=True)
class Usage:
    """Processes and threads alive, their memory in bytes, and their CPU seconds."""

    processes: int = 0
    memory: int = 0
    cpu: float = 0.0

    def at_least(self, other: "Usage") -> "Usage":
        """The larger of each number."""
        return Usage(max(self.processes, other.processes), max(self.memory, other.memory), max(self.cpu, other.cpu))


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    alive: bool
    threads: int
    memory: int
    cpu: float


def _all() -> Iterator[_Process]:
    page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    for name in os.listdir(PROC):
        if not name.isdigit():
            continue
        try:
            text = (PROC / name / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            continue
        words = text.rpartition(")")[2].split()
        cpu = sum(map(int, words[11:15])) / ticks
        yield _Process(int(name), int(words[1]), words[0] != "Z", int(words[17]), int(words[21]) * page, cpu)


def usage(root: int, user: int | None = None) -> Usage:
    """What a process and its descendants use, and with a ``user``, all of that user's processes."""
    table = list(_all())
    below: dict[int, list[_Process]] = {}
    for process in table:
        below.setdefault(process.parent, []).append(process)
    found = {process.pid: process for process in table if process.pid == root}
    waiting = list(found)
    while waiting:
        for process in below.get(waiting.pop(), ()):
            found[process.pid] = process
            waiting.append(process.pid)
    if user is not None:
        found |= {process.pid: process for process in table if owner(process.pid) == user}
    alive = [process for process in found.values() if process.alive]
    return Usage(
        sum(process.threads for process in alive),
        sum(process.memory for process in alive),
        sum(process.cpu for process in found.values()),
    )


def owner(pid: int) -> int | None:
    """The user of a process; None where it has ended."""
    try:
        return (PROC / str(pid)).stat().st_uid
    except OSError:
        return None


def kill_all_of(user: int) -> None:
    """Kill every process of a user that is used for one run alone, until there is none.

    Raises:
        StillRunningError: some are left after five seconds.
    """
    end = time.monotonic() + 5
    while True:
        left = [int(name) for name in os.listdir(PROC) if name.isdigit() and owner(int(name)) == user]
        alive = [process for process in _all() if process.pid in left and process.alive]
        if not alive:
            return
        if time.monotonic() > end:
            raise StillRunningError(
                f"Processes of the user {user} cannot be ended: {[process.pid for process in alive]}."
            )
        for process in alive:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def kill_group(group: int) -> None:
    """Kill what is left of a group of processes, if anything is."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def remove_files_of(user: int, scratch: Path) -> None:
    """Remove what a run left where all users may write: the next one is the same user, and would read it.

    Args:
        user: a user that is used for one run alone.
        scratch: a folder of the user that stays.
    """
    for folder in filter(Path.is_dir, map(Path, EVERYBODYS)):
        for path in folder.iterdir():
            try:
                left = path.lstat().st_uid == user and path != scratch
            except FileNotFoundError:  # somebody else's, who has removed it
                continue
            if left and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif left:
                path.unlink()
