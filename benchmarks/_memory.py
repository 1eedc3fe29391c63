"""How much memory a program needs besides what it was given; on Linux, in a process of its own."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path

PERIOD = 0.001  # seconds between two looks
MISSING = [] if Path("/proc/self/clear_refs").exists() else ["Memory is measured on Linux only."]
"""What is said where the system does not tell what is needed here."""


def status(field: str) -> float:
    """A memory figure of this process, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def extra_memory(program: Callable[[], object]) -> float:
    """How many MB the peak of this process rises above what it held before: the system's own mark, VmHWM.

    Pages of a mapped file count as its memory, too.
    """
    _give_back()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    held = status("VmRSS")
    program()
    return status("VmHWM") - held


def extra_memory_of_its_own(program: Callable[[], object]) -> float:
    """The same without pages of mapped files: RssAnon, which is looked at every millisecond for want of a mark."""
    _give_back()
    held, most, done = status("RssAnon"), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(PERIOD):
            most[0] = max(most[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        program()
    finally:
        done.set()
        watcher.join()
    return most[0] - held


def _give_back() -> None:
    """Give back to the system what is free."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
