"""Fetch the data sets beforehand, to work offline: ``python -m aevb_utils.data [--look] [--all]``.

It fetches what the chapters use, ``--all`` also the sets that no chapter uses, and says of each where it lies and how
large it is there. ``--look`` fetches nothing and says what is there. The budget does not matter here.
"""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aevb_utils.checking.console import say
from aevb_utils.data.data_dir import own_copy
from aevb_utils.data.download import DataError, RemoteFile, cached, fetch

Files = Sequence[RemoteFile]
Place = Callable[[RemoteFile], Path | None]
"""Where a file lies, verified; None if it is nowhere."""


def sets(*, everything: bool) -> dict[str, Files]:
    """The files of each data set that is downloaded, by the set's name.

    Args:
        everything: also those that no chapter uses.
    """
    of = {
        name: importlib.import_module(f"aevb_utils.data.{name}") for name in ("old_faithful", "mnist", "jsb_chorales")
    }
    in_format = {published.name: tuple(published.files.values()) for published in of["mnist"]._DATA_SETS.values()}
    used = {"Old Faithful": (of["old_faithful"]._GEYSER,), "MNIST": in_format.pop("MNIST")}
    used["JSB chorales"] = (of["jsb_chorales"]._FILE,)
    return used | in_format if everything else used


def find(file: RemoteFile) -> Path | None:
    """Where a file lies on this machine, verified: in ``AEVB_DATA_DIR``, else in the cache; None if in neither.

    Raises:
        DataError: the copy in ``AEVB_DATA_DIR`` is wrong.
    """
    if (own := own_copy(file)).content is not None:
        return own.path
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged: it would be downloaded
        file.read(cached(file))
        return cached(file)
    return None


def get(file: RemoteFile) -> Path | None:
    """Download a file, where it is not on this machine, and return where it lies.

    Raises:
        DataError: it cannot be had, or the copy in ``AEVB_DATA_DIR`` is wrong.
    """
    fetch(file)
    return find(file)


def said_of(name: str, files: Files, place: Place) -> str:
    """One line on a data set: its size and where it lies, or that it is not there.

    Raises:
        DataError: it cannot be had, or a copy is wrong.
    """
    paths = [path for path in map(place, files) if path is not None]
    if len(paths) < len(files):
        more = "" if name in sets(everything=False) else " with --all"
        here = f"{len(paths)} of {len(files)} files are" if paths else "is not"
        return f"{name}: {here} here; python -m aevb_utils.data (in a clone: python -m tools data) fetches it{more}."
    size = sum(path.stat().st_size for path in paths) / 1e6
    where = paths[0] if len(paths) == 1 else ", ".join(sorted({str(path.parent) for path in paths}))
    return f"{name}: {size:.3g} MB, {where}"


def look(*, everything: bool) -> list[str]:
    """A line on each data set, as it is on this machine; a wrong copy is told too."""
    return [line for line, _ in _told(find, everything=everything)]


def _told(place: Place, *, everything: bool) -> Iterator[tuple[str, bool]]:
    """A line on each data set, and whether nothing is wrong with it."""
    for name, files in sets(everything=everything).items():
        try:
            yield said_of(name, files, place), True
        except DataError as error:
            yield f"{name}: {error}", False


def main(arguments: Sequence[str]) -> int:
    """Fetch, or look; return 1 where a data set cannot be had or a copy is wrong, after the others."""
    parser = argparse.ArgumentParser("python -m aevb_utils.data", description="Fetch the book's data sets beforehand.")
    parser.add_argument("--look", action="store_true", help="fetch nothing, and say what is here")
    parser.add_argument("--all", action="store_true", help="also the data sets that no chapter uses")
    asked = parser.parse_args(arguments)
    status = 0
    for line, right in _told(find if asked.look else get, everything=asked.all):
        say(line)
        status = status if right else 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
