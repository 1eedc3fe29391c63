"""The folder of a user's own copies of the data files, ``AEVB_DATA_DIR``."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aevb_utils.data.published import DataError, RemoteFile

_DEPTH = 4  # folders below the one that is named: data/MNIST/raw/train-images-idx3-ubyte
_SHOWN = 6  # names in a message


class Search(NamedTuple):
    """What a search found: the file's content and its place, or in words where it looked, and the folder."""

    content: bytes | None
    said: str = ""
    folder: Path | None = None
    path: Path | None = None


def folder_of(variable: str) -> Path | None:
    """The folder that an environment variable names, None where it is unset or blank; ``~`` is the home folder.

    Blanks and the quotation marks that a Windows console keeps around a value do not count.
    """
    name = os.environ.get(variable, "").strip().strip("\"'").strip()
    return Path(os.path.abspath(os.path.expanduser(name))) if name else None  # a stranger's ~ is left as it is


def own_copy(file: RemoteFile) -> Search:
    """Search ``AEVB_DATA_DIR`` for a file and return its verified content.

    A name may differ in capitals and in signs between its letters, and in ``.gz``. It is looked for in the folder
    itself and in its folders of the data set's name, ``data`` and ``raw``, so that torchvision's ``MNIST/raw`` is
    found from ``MNIST``, from the folder above it, and from itself.

    Raises:
        DataError: ``AEVB_DATA_DIR`` is not a folder, or there are copies and all of them are wrong: a user's file is
            never replaced by another one without a word.
    """
    folder = folder_of("AEVB_DATA_DIR")
    if folder is None:
        return Search(None)
    if not os.path.isdir(folder):
        raise DataError(f"AEVB_DATA_DIR should name a folder, but {folder} is none; correct it or unset it.")
    folders = list(_folders(file, folder, _DEPTH))
    copies = [path for place in folders for path in _entries(place) if _is_copy(path, file)]
    if not copies and os.path.lexists(folder / file.path):
        copies = [folder / file.path]  # a folder in the file's place
    if not copies:
        return Search(None, _what_is_there(folders), folder)
    problems = []
    for path in copies:
        try:
            return Search(file.read(path), path=path)
        except OSError as error:
            problems.append(f"{path} should be a file that can be read, but is not ({error.strerror or error})")
        except ValueError as error:
            problems.append(f"{path} {error}")
    others = f" (and {len(problems) - 1} more that are wrong too)" if len(problems) > 1 else ""
    raise DataError(
        f"{problems[0]}{others}; replace it with a fresh copy from {file.urls[0]}, or remove it to have it downloaded."
    )


def _folders(file: RemoteFile, folder: Path, depth: int) -> Iterator[Path]:
    """The folder, and those below it in which the file may be: the data set's own first."""
    yield folder
    data_set = _letters(Path(file.path).parent.name)
    names = ["raw", "data", _letters(Path(file.path).name)]
    names = [data_set, f"{data_set}data", f"{data_set}dataset", *names] if data_set else names
    if depth:
        below = [path for path in _entries(folder) if _letters(path.name) in names and os.path.isdir(path)]
        for path in sorted(below, key=lambda path: names.index(_letters(path.name))):
            yield from _folders(file, path, depth - 1)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"The folder {folder}, in AEVB_DATA_DIR, should be readable, but is not ({error.strerror or error}); "
            "change its permissions, or set AEVB_DATA_DIR to another folder."
        ) from error


def _is_copy(path: Path, file: RemoteFile) -> bool:
    return _letters(path.name) == _letters(Path(file.path).name) and not os.path.isdir(path)


def _letters(name: str) -> str:
    """A name's small letters and digits, without ``.gz``: train-images.idx3-ubyte is train-images-idx3-ubyte.gz."""
    return re.sub(r"[^a-z0-9]", "", name.lower().removesuffix(".gz"))


def _what_is_there(folders: list[Path]) -> str:
    """Where the search looked, and what it found, as part of a sentence."""
    names = list(dict.fromkeys(path.name for place in reversed(folders) for path in _entries(place)))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    found = f"found {', '.join(names[:_SHOWN])}{more}" if names else "found nothing"
    return f"looked in {', '.join(map(str, folders))} and {found}"
