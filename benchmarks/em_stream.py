"""EM on a file that is larger than the memory it takes: time a row and extra memory, for 10⁶ and for 10⁷ rows.

``python benchmarks/em_stream.py`` (some minutes, and 320 MB of the disk; memory needs Linux). The files hold float32,
D = 8, drawn from a mixture of C = 8 components; EM makes 10 iterations. A file is read in two ways. *Mapped*:
``np.load`` maps it, and the extra memory is what the process holds besides pages of the file (RssAnon, looked at every
millisecond). *Read*: ``np.fromfile`` reads block by block, so that no page of the file is the process's, and the extra
memory is the peak that the system itself notes (VmHWM). Every run is a process of its own, on one thread; the four take
turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from _memory import MISSING, extra_memory, extra_memory_of_its_own
from _rows import Row, load, ratios

from aevb_utils import data
from aevb_utils.models.gaussian_mixture import random_start
from aevb_utils.streams import Stream, run_em

D, C, ITERATIONS, ROWS = 8, 8, 10, 100_000
"""Columns, components, iterations, and rows that are drawn, or read, at a time."""
SIZES = 1_000_000, 10_000_000
WAYS = "mapped", "read"
THREADS = 1  # of every run
HEADER = 128  # bytes before the numbers in a .npy file of this size
BAR_MEMORY, BAR_TIME = 150, 1.1
"""MB that a run may take besides, and how much longer a row may take in the large file."""


def write(path: Path, n: int) -> None:
    """A file of n rows, float32, drawn block by block."""
    means = 3 / D**0.5 * torch.randn(C, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mixture = {"weights": [1 / C] * C, "means": means, "covariances": torch.eye(D).expand(C, D, D)}
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, D))
    for number, begin in enumerate(range(0, n, ROWS)):
        rows = file[begin : begin + ROWS]
        rows[:] = data.simulated_mixture(len(rows), **mixture, seed=number + 1).train.numpy()
    file.flush()


def read(path: Path) -> Iterator[np.ndarray]:
    """The blocks of a file, read without mapping it."""
    with path.open("rb") as file:
        file.seek(HEADER)
        while (block := np.fromfile(file, np.float32, ROWS * D)).size:
            yield block.reshape(-1, D)


def run(way: str, path: Path) -> dict[str, float]:
    """EM on a file, in this process: seconds, seconds of the processor, and MB."""
    first = next(read(path))
    start = random_start(torch.from_numpy(first).double(), C, seed=0)
    sources = {"mapped": np.load(path, mmap_mode="r"), "read": lambda: read(path)}
    options = {"covariance_floor": 1e-6, "tolerance": 0.0, "max_iterations": ITERATIONS}
    run_em(Stream([first[:1000]]), start, **options)  # pools, libraries
    seconds, of_processor = [], []

    def program() -> None:
        began, worked = time.perf_counter(), time.process_time()
        run_em(Stream(sources[way]), start, **options)
        seconds.append(time.perf_counter() - began)
        of_processor.append(time.process_time() - worked)

    if MISSING:
        program()
        memory = {}
    else:
        memory = {"MB": {"mapped": extra_memory_of_its_own, "read": extra_memory}[way](program)}
    return {"seconds": seconds[0], "of processor": of_processor[0]} | memory


def measure(sizes: list[int], rounds: int) -> dict[tuple[str, int], list[dict[str, float]]]:
    """The figures of every run, by way and size, in turns."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {n: Path(folder) / f"{n}.npy" for n in sizes}
        for n, path in files.items():
            write(path, n)
        for _ in range(rounds):
            for n, path in files.items():
                for way in WAYS:
                    command = [sys.executable, __file__, "--one", way, str(path)]
                    said = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
                    found.setdefault((way, n), []).append(json.loads(said))
                    print(f"  {way}, N = {n:,}: {said.strip()}, load {load()}", file=sys.stderr, flush=True)
    return found


def rows(rounds: int = 3) -> list[Row]:
    """The rows of the book's table."""
    few, many = SIZES
    found = measure(list(SIZES), rounds)
    made = []
    for way in WAYS:
        cost = {n: [run["of processor"] / n for run in found[way, n]] for n in SIZES}
        name = f"EM on a file of {many:,} rows, {way}"
        if memory := [run["MB"] for run in found[way, many] if not MISSING]:
            means = f"What it needs besides; wanted: under {BAR_MEMORY} MB."
            made.append(Row(f"{name}: extra memory", means, memory, "MB"))
        made.append(
            Row(
                f"{name}: a row / one of {few:,}",
                f"The processor's time for a row does not grow with the file; wanted: at most {BAR_TIME}.",
                ratios(cost[many], cost[few]),
            )
        )
    return made


def main() -> int:
    """Print time and memory of both ways and both sizes; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, help="how often all take their turn")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FILE"), help="only print one run's figures")
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(THREADS)
        way, name = arguments.one
        print(json.dumps(run(way, Path(name))))
        return 0
    print(f"D = {D}, C = {C}, {ITERATIONS} iterations, float32 in the file, float64 in the sums, 1 thread")
    return _table(measure(arguments.sizes, arguments.rounds), arguments.sizes)


def _table(found: dict[tuple[str, int], list[dict[str, float]]], sizes: list[int]) -> int:
    """Print medians and their ratios; 1 where a bar is missed."""
    missed = 0
    for way in WAYS:
        costs = []
        for n in sizes:
            runs = found[way, n]
            median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            costs.append(median["of processor"] / n)
            print(
                f"{way}, N = {n:,}: {1e6 * median['seconds'] / n:.2f} µs a row, of the processor {1e6 * costs[-1]:.2f}"
            )
            if not MISSING:
                megabytes = max(run["MB"] for run in runs)
                print(f"  extra memory at most {megabytes:.0f} MB (wanted: under {BAR_MEMORY})")
                missed |= megabytes >= BAR_MEMORY
        print(
            f"{way}: a row of {sizes[1]:,} takes {costs[1] / costs[0]:.3f} times one of {sizes[0]:,}, of the processor"
        )
        missed |= costs[1] / costs[0] > BAR_TIME
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
