"""A zip file of submissions, as learning platforms give it: only notebooks and scripts are taken out of it."""

import lzma
import os
import zipfile
import zlib
from datetime import datetime
from pathlib import Path, PurePath, PurePosixPath

from course.engine.handed_in import SUFFIXES, UNPACKED, HandedInError
from course.engine.submission import LARGEST

MOST_FILES = 5_000


def names(archive: Path) -> list[PurePath]:
    """What the files in an archive are called.

    Raises:
        HandedInError: it is no zip file.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            return [PurePath(one.filename) for one in file.infolist() if not one.is_dir()]
    except zipfile.BadZipFile as error:
        raise HandedInError(f"{archive} is no zip file that can be read: {error}.") from error


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the notebooks and scripts of an archive into a folder, each under a name of its own and with its date.

    Of one that is too large no more is unpacked than shows it: it cannot be graded, which costs its owner alone.

    Raises:
        HandedInError: it is no zip file, holds too many files, or cannot be unpacked here.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = [one for one in file.infolist() if PurePosixPath(one.filename).suffix in SUFFIXES]
            if len(members) > MOST_FILES:
                raise HandedInError(f"{archive} holds {len(members)} notebooks and scripts; {MOST_FILES} are the most.")
            for number, member in enumerate(members):
                inside = folder / f"{UNPACKED}{number:04}"
                parts = [part for part in PurePosixPath(member.filename).parts if part not in ("/", "..", ".")]
                target = inside.joinpath(*(_harmless(part) for part in parts))
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source:
                    target.write_bytes(source.read(LARGEST + 1))
                written = _written(member)
                os.utime(target, (written, written))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise HandedInError(f"{archive} is no zip file that can be read: {error}.") from error
    except OSError as error:
        raise HandedInError(f"{archive} cannot be unpacked here: {error}.") from error
    return folder


def _written(member: zipfile.ZipInfo) -> float:
    """When a file was written, by which a student's newest is found; long ago where that is no date."""
    try:
        return datetime(*member.date_time).timestamp()
    except ValueError:
        return datetime(1980, 1, 1).timestamp()


def _harmless(part: str) -> str:
    """A file's name with no characters that a system gives a meaning."""
    return "".join(letter if letter.isalnum() or letter in "._-@+ " else "-" for letter in part) or "-"
