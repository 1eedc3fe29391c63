"""Bring what is stored up to date with code that has changed, by fast runs alone: ``python -m tools.refresh``.

A notebook or an experiment is stale when the hash of its code is not the stored one. Each stale one is run in the fast
budget; where its fingerprint agrees with the stored one, the new code behaves as the old did, and the new hash is
stamped on the outputs that are there, "same by fast run". Where it does not, this says what differs and leaves the file
stale: ``make execute`` and ``make results`` are the only ways to new figures. A fast run sees of a full one the values
of ``budget(full=…)`` and no more: what else the full run alone does (real files, bfloat16) asks for a full run. Where
nothing but fast budgets has changed, the full run is the same: the new fingerprint takes the old one's place.

The last digits depend on the processor, and a training that runs away takes more from them. Where a stored fingerprint
came from another processor, ``--before FOLDER`` names a copy of the book as it was: what differs is run there too, and
the two fast runs are compared that this processor made.
"""

import argparse
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aevb_utils.results.json_files import BrokenFileError
from tools.commands import command
from tools.experiments import SCRIPTS, experiment_hash, store, stored
from tools.fast_run import FastRunError, fingerprint
from tools.notebooks import CHAPTERS, PAGES, ROOT, RUN_KEY, code_cells, notebook_hash, outputs_of, read, write
from tools.rows import Row, differences
from tools.stamps import AT_ONCE, SAME, Stamp, output_hash

SHOWN = 8
"""How many differences are printed of each file."""


@dataclass(frozen=True)
class Stored:
    """A notebook or an experiment: its file, the stamp that is stored, the hash of its present code."""

    file: Path
    stamp: Stamp | None
    code_hash: str

    @property
    def is_fresh(self) -> bool:
        """Whether what is stored belongs to the present code."""
        return self.stamp is not None and self.stamp.code_hash == self.code_hash

    @property
    def command(self) -> str:
        """How to run it in full."""
        if self.file.suffix == ".ipynb":
            return f"make execute NOTEBOOK={shlex.quote(f'notebooks/{self.file.name}')}"
        return f"make results NAME={self.file.stem}"

    def outputs(self) -> object:
        """What is stored of its last run: a notebook's outputs, an experiment's figures."""
        notebook = self.file.suffix == ".ipynb"
        return outputs_of(read(self.file)) if notebook else stored(self.file).get("figures")

    def present_hash(self, *, fast: bool = True) -> str:
        """The hash of its code as it is now, with or without its fast budgets."""
        return hash_of(self.file, fast=fast)

    def write(self, stamp: Stamp) -> None:
        """Store another stamp beside the outputs or figures that are there."""
        if self.file.suffix == ".ipynb":
            notebook = read(self.file)
            notebook.metadata[RUN_KEY] = stamp.as_json()
            write(notebook, self.file)
        else:
            store(self.file, stamp.as_json() | {k: v for k, v in stored(self.file).items() if k not in stamp.as_json()})


def hash_of(file: Path, root: Path = ROOT, *, fast: bool = True) -> str:
    """The hash of a notebook's code or of an experiment's, and of what it reaches in its copy of the book."""
    if file.suffix == ".ipynb":
        return notebook_hash(read(file), root, name=file.name, fast=fast)
    return experiment_hash(file, fast=fast)


def all_stored(notebooks: tuple[Path, ...] = (*PAGES, *CHAPTERS), scripts: tuple[Path, ...] = SCRIPTS) -> list[Stored]:
    """Every experiment and every notebook.

    Raises:
        BrokenFileError: a file of code, or one of figures, is broken.
    """
    found = [Stored(script, Stamp.from_json(stored(script)), experiment_hash(script)) for script in scripts]
    for path in notebooks:
        notebook = read(path)
        stamp = Stamp.from_json(notebook.metadata.get(RUN_KEY, {}))
        if any(cell.execution_count is None for cell in code_cells(notebook)):
            stamp = None  # a cell is new: there is no output of it
        found.append(Stored(path, stamp, notebook_hash(notebook, name=path.name)))
    return found


def refresh(item: Stored, before: Path | None = None) -> list[str]:
    """Run a stale file in the fast budget and stamp it if it behaves as before; else what differs, a line each.

    Args:
        item: what is stale.
        before: a copy of the book with the code that its stamp belongs to.
    """
    if item.stamp is None:
        return ["it has never been run as it is"]
    if output_hash(item.outputs()) != item.stamp.output_hash:
        return ["what is stored is not what its last run left: it was changed by hand, or is from another run"]
    try:
        rows = fingerprint(item.file)
        present, full = item.present_hash(), item.present_hash(fast=False)
    except (FastRunError, BrokenFileError) as error:
        return [str(error)]
    if present != item.code_hash:
        return ["its code has changed while it ran: refresh again"]
    if full == item.stamp.full_hash:
        item.write(Stamp(item.code_hash, full, item.stamp.output_hash, item.stamp.made_by, rows))
        return []
    different = differences(item.stamp.fingerprint, rows)
    if different and before is not None:
        different = _differences_here(item, before, rows)
    if not different:
        item.write(Stamp(item.code_hash, full, item.stamp.output_hash, SAME, item.stamp.fingerprint))
    return different


def _differences_here(item: Stored, before: Path, rows: list[Row]) -> list[str]:
    """What differs between a fast run and that of the code as it was, both made on this machine."""
    file = before / item.file.parent.name / item.file.name
    try:
        if hash_of(file, before) != item.stamp.code_hash:
            return [f"{file} is not the code that its stamp belongs to: name a copy of the book where it is fresh"]
        return differences(fingerprint(file, before), rows)
    except (FastRunError, BrokenFileError) as error:
        return [f"as it was: {error}"]


@command
def main(items: list[Stored] | None = None, before: Path | None = None) -> int:
    """Refresh what is stale of these, or of all; return 1 if something stays so."""
    items = all_stored() if items is None else items
    stale = sorted(
        (item for item in items if not item.is_fresh), key=lambda item: item.file.stat().st_size, reverse=True
    )
    print(f"{len(stale)} of {len(items)} notebooks and experiments are stale.", flush=True)
    left: list[Stored] = []
    started = time.perf_counter()

    def go(item: Stored) -> None:
        different = refresh(item, before)
        left.extend([item] if different else [])
        seconds = time.perf_counter() - started
        print(f"{seconds:5.0f} s  {item.file.stem}: {'differs' if different else 'same by fast run'}", flush=True)
        for line in different[:SHOWN]:
            print(f"           {line}", flush=True)
        if len(different) > SHOWN:
            print(f"           and {len(different) - SHOWN} more", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(go, stale))
    if left:
        print("Still stale; for new figures:", *(f"  {item.command}" for item in left), sep="\n")
    return int(bool(left))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools refresh", description="Stamp what behaves as before.")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a copy of the book as it was")
    named = parser.parse_args().before
    sys.exit(main(before=named and named.resolve()))
