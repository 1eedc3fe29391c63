"""Run the benchmarks, beside other libraries, and store what the page of benchmarks shows: ``book/benchmarks.json``.

``python -m tools.bench [NAME ...]`` (all if none is named; ten minutes, on an idle machine). The other
libraries are installed into an environment of their own, ``_build/bench``, which sees the packages of this one; one
that cannot be installed is said in the table. Each benchmark is stored when it is done, and one that fails leaves its
figures as they were. ``--rounds 3`` is a short run of each, to try it: its figures are printed and not stored.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aevb_utils.results.json_files import read_object
from aevb_utils.training.atomic_write import write_atomically
from tools.commands import command
from tools.environments import ROOT, UTF8, python_path
from tools.processes import run

BENCHMARKS = (
    "fit_speed",
    "step_attempts",
    "em_speed",
    "em_stream",
    "em_agreement",
    "fa_speed",
    "gmvae_step",
    "vrnn_step",
)
"""The modules of ``benchmarks/`` with a function ``rows``, in the order of the table."""
PEERS = ("pyro-ppl", "numpyro")
"""What they are compared with besides scikit-learn, which the book needs itself."""
RESULTS = ROOT / "book" / "benchmarks.json"


def environment(root: Path = ROOT) -> Path:
    """The Python of an environment that has the packages of this one, and the peers as far as they can be installed.

    Raises:
        OSError: it cannot be made.
    """
    folder = root / "_build" / "bench"
    site = sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)})
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not _fits(folder, python):
        venv.create(folder, clear=True, with_pip=True, symlinks=sys.platform != "win32")
    Path(site, "book.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    for package in PEERS:
        if next(importlib.metadata.distributions(name=package, path=[site]), None):
            continue
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        if run([*pip, package], folder=root).status:
            print(f"{package} could not be installed; the table says so.", file=sys.stderr)
    return python


def _fits(folder: Path, python: Path) -> bool:
    """Whether an environment is there, made by this version of Python."""
    version = "version = {}.{}.{}\n".format(*sys.version_info[:3])
    return python.exists() and version in Path(folder, "pyvenv.cfg").read_text(encoding="utf-8")


def measure(python: Path, name: str, rounds: int | None, root: Path = ROOT) -> dict[str, Any] | None:
    """What a benchmark tells, or None if it fails; why is on stderr."""
    script = [python, root / "benchmarks" / "_rows.py", name]
    options = [] if rounds is None else ["--rounds", str(rounds)]
    began = time.perf_counter()
    settings = os.environ | UTF8 | {"PYTHONPATH": python_path(root), "TQDM_DISABLE": "1"}
    how = {"cwd": root, "env": settings, "stdout": subprocess.PIPE, "encoding": "utf-8", "check": False}
    ended = subprocess.run([*map(str, script), *options], **how)
    if ended.returncode:
        return None
    told = json.loads(ended.stdout.splitlines()[-1])
    return told | {"minutes": round((time.perf_counter() - began) / 60, 1)}


def stored(file: Path = RESULTS) -> dict[str, Any]:
    """What was stored of earlier runs.

    Raises:
        BrokenFileError: the file is no JSON object.
    """
    return read_object(file) if file.exists() else {}


@command
def main(arguments: Sequence[str], file: Path = RESULTS) -> int:
    """Run benchmarks and store what they tell; return 1 if one fails, 2 if there is none of that name."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, help="how often all take their turn")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in BENCHMARKS]:
        print(f"There is no benchmark {unknown[0]!r}: name {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    python, failed = environment(), []
    for name in asked.names or BENCHMARKS:
        print(f"{name} …", flush=True)
        told = measure(python, name, asked.rounds)
        if told is None:
            failed.append(name)
            continue
        if asked.rounds is not None:
            for row in told["rows"]:
                spread = f"{row['low']:.3g} to {row['high']:.3g}"
                print(f"  {row['what']}: {row['median']:.3g} {row['unit']} ({spread})", flush=True)
            continue
        both = stored(file) | {name: told}
        ordered = {each: both[each] for each in BENCHMARKS if each in both}
        write_atomically(file, (json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    for name in failed:
        print(f"{name} failed, and says why above; its figures are as they were.", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
