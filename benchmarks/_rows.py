"""A benchmark as rows of the book's table: ``python benchmarks/_rows.py NAME`` prints them as JSON, for ``make bench``.

A benchmark that is in the table has a function ``rows(rounds)``. Each row holds one figure a round, mostly a ratio, so
that its spread can be told.
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what is compared, in a few words.
        means: what the figure says, in a sentence.
        figures: one a round.
        unit: of the figures; a ratio has "×".
    """

    what: str
    means: str
    figures: Sequence[float]
    unit: str = "×"

    def as_json(self) -> dict[str, object]:
        """The row with the median of its figures and their quartiles; of fewer than three, the least and the most."""
        low, high = min(self.figures), max(self.figures)
        if len(self.figures) > 2:
            low, _, high = statistics.quantiles(self.figures, n=4, method="inclusive")
        told = {"median": statistics.median(self.figures), "low": low, "high": high, "rounds": len(self.figures)}
        return {name: value for name, value in asdict(self).items() if name != "figures"} | told


def ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """The ratios within each round."""
    return [a / b for a, b in zip(first, second, strict=True)]


def clock() -> float:
    """Seconds, for differences: of the processor where PyTorch has one thread, which other programs disturb less."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def in_turns(programs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What programs return, called in turns, the order turned around every time."""
    found: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds):
        for name in list(programs)[:: 1 if turn % 2 else -1]:
            found[name].append(programs[name]())
    return found


def processor() -> str:
    """What this machine computes with, as far as the system says."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def load() -> float | None:
    """The machine's load in the last minute, where the system tells it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def main() -> None:
    """Run a benchmark and print its rows, and on what they were measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--rounds", type=int, default=None, help="how often all take their turn")
    arguments = parser.parse_args()
    module = importlib.import_module(arguments.name)
    before = load()
    options = {} if arguments.rounds is None else {"rounds": arguments.rounds}
    found = module.rows(**options)
    about = {"machine": processor(), "threads": getattr(module, "THREADS", torch.get_num_threads())}
    about |= {"load": [before, load()]}
    about |= {"torch": torch.__version__, "missing": list(getattr(module, "MISSING", ()))}
    print(json.dumps(about | {"rows": [row.as_json() for row in found]}))  # the last line: others may print, too


if __name__ == "__main__":
    main()
