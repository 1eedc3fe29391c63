"""Run the experiments, those runs that are too long for a notebook, and store what they find in ``aevb_utils/results``.

``python -m tools.experiments [NAME ...]`` (all of ``experiments/*.py`` if none is named), two at a time, the longest
first; of one alone, two parts at a time. An experiment has a function ``main`` that returns its figures, ready for
JSON; they are stored with a stamp of the code that made them. One that is stopped goes on where it was when it is
started again.
"""

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from tools.fast_run import FastRunError
from tools.freshness import code_hash
from tools.notebooks import FULL_RUN, ROOT
from tools.stamps import AT_ONCE, Stamp

SCRIPTS: tuple[Path, ...] = tuple(sorted((ROOT / "experiments").glob("[!_]*.py")))
"""A file whose name begins with ``_`` is no experiment: it holds what several share."""


class ExperimentError(RuntimeError):
    """An experiment failed."""


def experiment_hash(script: Path) -> str:
    """The hash of an experiment's file, and of all that it reaches."""
    return code_hash([ast.parse(script.read_text(encoding="utf-8"))], script.parent.parent)


def file_of(script: Path) -> Path:
    """Where an experiment's figures are stored."""
    return script.parent.parent / "aevb_utils" / "results" / f"{script.stem}.json"


def stored(script: Path) -> dict[str, Any]:
    """What is stored of an experiment; an empty dictionary if nothing is."""
    file = file_of(script)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def store(script: Path, entries: dict[str, Any]) -> None:
    """Write what is stored of an experiment, whole or not at all."""
    partial = file_of(script).with_suffix(".partial")
    partial.write_text(json.dumps(entries, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(file_of(script))


def run(script: Path, workers: int = 1) -> None:
    """Run an experiment in a process of its own, store its figures with their stamp, and forget its checkpoints.

    Args:
        script: its file.
        workers: how many of its parts may be computed at a time.

    Raises:
        ExperimentError: it failed; what it had finished is kept.
        FastRunError: it fails in the fast budget.
    """
    made_of = experiment_hash(script)
    folder = script.parent.parent / "_build" / "experiments" / f"{script.stem}-{made_of[:12]}"
    command = [sys.executable, "-u", "-m", "tools.experiments", "--one", str(script), str(folder)]
    environment = os.environ | FULL_RUN | {"AEVB_KEEP": str(folder), "AEVB_WORKERS": str(workers)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            print(f"{script.stem}: {line.strip()}", flush=True)
    if process.returncode:
        raise ExperimentError(f"experiments/{script.name} failed:\n{''.join(lines[-20:])}")
    entries = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    stamp = Stamp.of_full_run(script, made_of)
    if experiment_hash(script) != made_of:
        raise ExperimentError(f"The code of experiments/{script.name} has changed while it ran: run it again.")
    store(script, stamp.as_json() | entries)
    shutil.rmtree(folder)
    print(f"Wrote {file_of(script).relative_to(script.parent.parent)}", flush=True)


def one(script: Path, folder: Path) -> None:
    """Run an experiment in this process, and write what it found to a file in the folder of its checkpoints."""
    from experiments import _runs  # not needed by those who only start experiments

    main = runpy.run_path(str(script))["main"]
    figures = main()
    entries = {
        "machine": f"{os.cpu_count()} CPU cores, one thread, {torch.backends.cpu.get_cpu_capability()}",
        "minutes": round(_runs.minutes(), 1),
        "weights": _runs.shipped(),
        "figures": figures,
    }
    (folder / "result.json").write_text(json.dumps(entries, allow_nan=False), encoding="utf-8")


def main(names: list[str]) -> int:
    """Run the named experiments, or all; return 1 if one failed."""
    known = {script.stem: script for script in SCRIPTS}
    for name in names:
        if name not in known:
            print(f"There is no experiments/{name}.py: name one of {', '.join(known)}.", file=sys.stderr)
            return 1
    expected = {name: stored(known[name]).get("minutes", 0.0) for name in names or known}
    jobs = sorted(expected, key=expected.get, reverse=True)
    print(f"{len(jobs)} to run, {AT_ONCE} at a time; their last runs took {sum(expected.values()):.0f} minutes in all.")
    workers = AT_ONCE if len(jobs) == 1 else 1
    failed, started, lock = [], time.perf_counter(), threading.Lock()

    def go(name: str) -> None:
        try:
            run(known[name], workers)
        except (ExperimentError, FastRunError) as error:
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
    if sys.argv[1:2] == ["--one"]:
        one(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(main(sys.argv[1:]))
