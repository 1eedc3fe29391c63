"""Run the experiments, those runs that are too long for a notebook, and store what they find in ``aevb_utils/results``.

``python -m tools.experiments [NAME ...]`` (all of ``experiments/*.py`` if none is named), two at a time, the longest
first; of one alone, two parts at a time. An experiment has a function ``main`` that returns its figures, ready for
JSON; they are stored with a stamp of the code that made them. One that is stopped goes on where it was when it is
started again.
"""

import contextlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from aevb_utils.results.json_files import BrokenFileError, read_object
from aevb_utils.training.atomic_write import write_atomically
from tools.commands import command
from tools.environments import FULL_RUN, ROOT, UTF8
from tools.fast_run import FastRunError
from tools.freshness import code_hash
from tools.stamps import AT_ONCE, Stamp
from tools.syntax import parse_file

SCRIPTS: tuple[Path, ...] = tuple(sorted((ROOT / "experiments").glob("[!_]*.py")))
"""A file whose name begins with ``_`` is no experiment: it holds what several share."""


class ExperimentError(RuntimeError):
    """An experiment failed."""


def experiment_hash(script: Path, *, fast: bool = True) -> str:
    """The hash of an experiment's file, and of all that it reaches; ``fast`` says whether its fast budgets count.

    Raises:
        BrokenFileError: it is no Python, or a module is that it reaches.
    """
    return code_hash(parse_file(script), script.parent.parent, fast=fast)


def file_of(script: Path) -> Path:
    """Where an experiment's figures are stored."""
    return script.parent.parent / "aevb_utils" / "results" / f"{script.stem}.json"


def stored(script: Path) -> dict[str, Any]:
    """What is stored of an experiment; an empty dictionary if nothing is.

    Raises:
        BrokenFileError: the file is broken.
    """
    file = file_of(script)
    return read_object(file) if file.is_file() else {}


def store(script: Path, entries: dict[str, Any]) -> None:
    """Write what is stored of an experiment, whole or not at all."""
    write_atomically(file_of(script), (json.dumps(entries, indent=1, allow_nan=False) + "\n").encode())


def move_weights(folder: Path, script: Path) -> None:
    """Move the weights that a run has left in its folder into the package."""
    for file in sorted(folder.glob("weights/*.safetensors")):
        target = script.parent.parent / "aevb_utils" / "training" / "weights" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, file.read_bytes())


@contextlib.contextmanager
def alone(script: Path, lock: Path) -> Iterator[None]:
    """Hold a lock while an experiment runs.

    Raises:
        ExperimentError: another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        raise ExperimentError(
            f"experiments/{script.name} runs already, in another process: wait until it has finished, or stop it."
        ) from error


def run(script: Path, workers: int = 1) -> None:
    """Run an experiment in a process of its own, store its figures, ship its weights, and forget its checkpoints.

    Args:
        script: its file.
        workers: how many of its parts may be computed at a time.

    Raises:
        ExperimentError: it failed, and what it had finished is kept; or it runs already.
        FastRunError: it fails in the fast budget.
        BrokenFileError: it is no Python.
    """
    runs = script.parent.parent / "_build" / "experiments"
    with alone(script, runs / f"{script.stem}.lock"):
        made_of = experiment_hash(script)
        _run(script, runs / f"{script.stem}-{made_of[:12]}", made_of, workers)


def _run(script: Path, folder: Path, made_of: str, workers: int) -> None:
    """Run an experiment whose checkpoints are in a folder; see :func:`run`."""
    arguments = [sys.executable, "-u", "-m", "tools.experiments", "--one", str(script), str(folder), made_of]
    environment = os.environ | FULL_RUN | UTF8 | {"AEVB_KEEP": str(folder), "AEVB_WORKERS": str(workers)}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            print(f"{script.stem}: {line.strip()}", flush=True)
    if process.returncode:
        raise ExperimentError(f"experiments/{script.name} failed:\n{''.join(lines[-20:])}")
    entries = read_object(folder / "result.json")
    stamp = Stamp.of_full_run(script, made_of, experiment_hash(script, fast=False), entries["figures"])
    if experiment_hash(script) != made_of:
        raise ExperimentError(f"The code of experiments/{script.name} has changed while it ran: run it again.")
    store(script, stamp.as_json() | entries)
    move_weights(folder, script)
    shutil.rmtree(folder)
    print(f"Wrote {file_of(script).relative_to(script.parent.parent)}", flush=True)


def one(script: Path, folder: Path, made_of: str) -> None:
    """Run an experiment in this process, and write what it found to a file in the folder of its checkpoints.

    Raises:
        ExperimentError: its code is no longer that of the hash ``made_of``, after which the folder is named; or it runs
            already.
    """
    from experiments import _runs  # not needed by those who only start experiments

    with alone(script, folder / "lock"):  # a process whose starter was killed may still be there
        main = runpy.run_path(str(script))["main"]
        if experiment_hash(script) != made_of:  # before a part of other code is kept
            raise ExperimentError(f"The code of experiments/{script.name} has changed: run it again.")
        figures = main()
        entries = {
            "machine": f"{os.cpu_count()} CPU cores, one thread, {torch.backends.cpu.get_cpu_capability()}",
            "minutes": round(_runs.minutes(), 1),
            "weights": _runs.shipped(),
            "figures": figures,
        }
        write_atomically(folder / "result.json", json.dumps(entries, allow_nan=False).encode())


@command
def main(names: list[str]) -> int:
    """Run the named experiments, or all; return 1 if one failed, 2 if there is none of that name."""
    known = {script.stem: script for script in SCRIPTS}
    for name in names:
        if name not in known:
            print(f"There is no experiments/{name}.py: name one of {', '.join(known)}.", file=sys.stderr)
            return 2
    expected = {name: stored(known[name]).get("minutes", 0.0) for name in names or known}
    jobs = sorted(expected, key=expected.get, reverse=True)
    print(f"{len(jobs)} to run, {AT_ONCE} at a time; their last runs took {sum(expected.values()):.0f} minutes in all.")
    workers = AT_ONCE if len(jobs) == 1 else 1
    failed, started, lock = [], time.perf_counter(), threading.Lock()

    def go(name: str) -> None:
        try:
            run(known[name], workers)
        except (ExperimentError, FastRunError, BrokenFileError) as error:
            failed.append(name)
            print(error, file=sys.stderr, flush=True)
        with lock:
            expected.pop(name)
            passed = (time.perf_counter() - started) / 60
            print(f"{passed:.0f} minutes; {len(expected)} to go, {', '.join(expected) or 'done'}", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(go, jobs))
    if failed:
        print(f"Failed: {', '.join(failed)}. Start again to go on where they were.", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--one", file, kept, made_of]:
            one(Path(file), Path(kept), made_of)
        case names:
            sys.exit(main(names))
