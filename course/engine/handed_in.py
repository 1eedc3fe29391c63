"""What a class handed in: which file is whose, and which of a student's files counts."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from course.engine import submission
from course.engine.settings import STUDENT, Student

SUFFIXES = (".ipynb", ".py")
UNPACKED = "@unpacked-"
"""Begins, before a number, the name of a folder that unpacking made, and that nobody handed in."""
PLATFORM = re.compile(r"(?P<who>[^_]*)_(?P<late>LATE_)?(?P<id>\d+)_(?:\d+_|assignsubmission_)")
"""How Canvas (``name_41001_880000_a01.ipynb``) and Moodle (``Name_41001_assignsubmission_file_``) name files."""
LIST = "name the class list, ROSTER=…."
NEVER = ("__MACOSX", "studenttest_")
"""How files and folders begin that are no student's: a Mac's own, and Canvas's test student."""


class HandedInError(ValueError):
    """The folder of submissions is not what was expected."""


@dataclass(frozen=True)
class HandedIn:
    """The file of one student that counts.

    Attributes:
        path: of the file.
        name: what it was called when it was handed in, with its folders.
        late: whether Canvas marks it as late.
        others: the names of the student's other files, which do not count.
        tie: whether one of them is of the same date.
    """

    path: Path
    name: str = ""
    late: bool = False
    others: tuple[str, ...] = ()
    tie: bool = False


def name_in(path: Path, folder: Path) -> PurePath:
    """What a file in a folder was called when it was handed in."""
    inside = path.relative_to(folder)
    first, *others = inside.parts
    return PurePath(*others) if others and first.startswith(UNPACKED) else inside


def notebooks(folder: Path) -> list[Path]:
    """The notebooks and scripts in a folder, in order, without what a system or Jupyter keeps beside them.

    Raises:
        HandedInError: there is no folder, or it holds none.
    """
    if not folder.is_dir():
        raise HandedInError(f"There is no folder {folder}: DIR is the folder of the notebooks that were handed in.")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES
        and not path.is_symlink()
        and path.is_file()
        and not any(part.startswith((".", *NEVER)) for part in name_in(path, folder).parts)
    ]
    if not found:
        raise HandedInError(f"{folder} holds no notebook: DIR is the folder or the zip file that was handed in.")
    return found


def submissions(
    folder: Path, students: Sequence[Student], columns: str = "the class list's ids"
) -> dict[str, HandedIn]:
    """The file of each student who handed one in: ``ID.ipynb``, a folder ``ID``, or a platform's name for it.

    Where a student has several files, the newest counts, and the others are named.

    Args:
        folder: of the files.
        students: of the class.
        columns: what the message calls the words that were looked for.

    Raises:
        HandedInError: there is no file, or one belongs to nobody.
    """
    words = _words(students)
    mine: dict[str, list[Path]] = {}
    nobody: list[PurePath] = []
    for path in notebooks(folder):
        name = name_in(path, folder)
        owner = owner_of(name, words)
        if owner is None:
            nobody.append(name)
        else:
            mine.setdefault(owner, []).append(path)
    if nobody:
        more = f", and {len(nobody) - 3} more" if len(nobody) > 3 else ""
        held = set().union(*map(_held, nobody))
        fits = Counter(column for one in students for column, cell in one.row.items() if cell.strip() in held)
        hint = f" Their names hold what stands in the column {fits.most_common(1)[0][0]!r}." if fits else ""
        raise HandedInError(
            f"{len(nobody)} of the files belong to nobody on the class list: {', '.join(map(str, nobody[:3]))}{more}. "
            f"A file is called ID.ipynb, or lies in a folder ID, or has _ID_ in its name, where ID is one of {columns}."
            + hint
        )
    return {owner: _newest(paths, folder) for owner, paths in mine.items()}


def without_notebook(names: Iterable[PurePath], students: Sequence[Student], files: Collection[str]) -> dict[str, str]:
    """A sentence on those who handed in something, such as a PDF, and no notebook.

    Args:
        names: of all files.
        students: of the class.
        files: the ids of those who have one.
    """
    words = _words(students)
    found: dict[str, list[str]] = {}
    for name in names:
        owner = owner_of(name, words) if name.suffix not in SUFFIXES else None
        if owner is not None and owner not in files:
            found.setdefault(owner, []).append(name.as_posix())
    return {owner: f"no notebook among what was handed in ({', '.join(mine)})" for owner, mine in found.items()}


def _words(students: Sequence[Student]) -> dict[str, str]:
    """The student whom each word that a name may hold stands for."""
    return {word: one.id for one in students for word in (one.id, one.file_id) if word}


def owner_of(name: PurePath, words: Mapping[str, str]) -> str | None:
    """The student whose id a name holds as a whole word; None where there is none or there are several.

    A folder of that name decides, and so does a platform's name, in which the id has one place: what follows it, which
    the student wrote, does not count.
    """
    for part in name.parts:
        if part in words and part != name.name:
            return words[part]
        if given := PLATFORM.match(part):
            return words.get(given["id"])
    owners = {words[word] for word in _held(name) if word in words}
    return owners.pop() if len(owners) == 1 else None


def _held(name: PurePath) -> set[str]:
    """The words in a file's name and its folders' names, and these names themselves."""
    return {word for part in name.with_suffix("").parts for word in {part, *re.split(r"[_ ]+", part)}}


def _newest(paths: Sequence[Path], folder: Path) -> HandedIn:
    *others, path = sorted(paths, key=lambda one: one.stat().st_mtime)
    name = name_in(path, folder)
    return HandedIn(
        path,
        name.as_posix(),
        late=any(given and given["late"] for given in map(PLATFORM.match, name.parts)),
        others=tuple(name_in(one, folder).as_posix() for one in others),
        tie=bool(others) and others[-1].stat().st_mtime == path.stat().st_mtime,
    )


def by_name(folder: Path) -> list[Student]:
    """The students of a folder without a class list: each file's or folder's name is an id.

    A folder around several folders, as zipping makes it, is nobody's.

    Raises:
        HandedInError: a name is no id, or is a platform's for a file, or there is none.
    """
    names = [name_in(path, folder) for path in notebooks(folder)]
    if (top := _one_folder(names)) and (len(names) > 1 or len(names[0].parts) > 2):
        names = [PurePath(*name.parts[1:]) for name in names]
        if _one_folder(names) or not all(len(name.parts) > 1 for name in names):
            raise HandedInError(f"All files lie in one folder, {top!r}, which may be a student or all: {LIST}")
    found = dict.fromkeys(name.parts[0] if len(name.parts) > 1 else name.stem for name in names)
    for each in found:
        if PLATFORM.match(each) or not STUDENT.fullmatch(each):
            raise HandedInError(
                f"{each!r} is no id (letters, digits and . _ @ + -), or a platform's name for a file: {LIST}"
            )
    return [Student(each, each, {}) for each in found]


def _one_folder(names: Sequence[PurePath]) -> str:
    """The one folder in which all files lie; empty where there is none."""
    tops = {name.parts[0] if len(name.parts) > 1 else "" for name in names}
    return tops.pop() if len(tops) == 1 else ""


def check_ids(files: Mapping[str, HandedIn], students: Sequence[Student], least: int = 3) -> None:
    """Look whether the notebooks name the ids by which they will be graded.

    Args:
        files: of each student.
        students: of the class.
        least: how many that do not are too many, if they are most.

    Raises:
        HandedInError: most of them name other ones.
    """
    named = {student: named_in(file.path) for student, file in files.items()}
    named = {student: word for student, word in named.items() if word}
    odd = [student for student, word in named.items() if word.casefold() != student.casefold()]
    if len(odd) < least or 2 * len(odd) <= len(named):
        return
    held = Counter(
        column for one in students if one.id in odd for column, cell in one.row.items() if cell.strip() == named[one.id]
    )
    hint = f"They write what stands in the column {held.most_common(1)[0][0]!r}. " if held else ""
    raise HandedInError(
        f"{len(odd)} of {len(named)} notebooks name another id than they are graded by: the one of {odd[0]!r} says "
        f"STUDENT = {named[odd[0]]!r}. {hint}In course.yml, id_column is the column with what students write, and "
        "file_column the one with what the names of files hold; where the list lacks one, add it."
    )


def named_in(path: Path) -> str:
    """The id that a student wrote into a file; empty where there is none, or it cannot be read."""
    try:
        return submission.read(path).named
    except (submission.UnreadableError, OSError):
        return ""
