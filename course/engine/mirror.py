"""The mirror for students: what they need of the course, in a folder that is written again during the term.

A list of what was written, with a hash of each file, lies beside it. What is not on that list is never touched.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from course.engine import build, quiz, quiz_formats
from course.engine.assignments import COURSE, assignment, assignments
from course.engine.settings import Settings, SettingsError
from course.engine.source import solution_lines, without_solution

LIST = ".mirror.json"
"""The file in the mirror that names what was written."""
LICENSES = ("LICENSE", "LICENSE-CC-BY-4.0")
PROJECT = "project"
SLIDES = "slides"
QUIZZES = "quizzes"
PRIVATE = ("checks.py", "rubric.yml")
"""Files of an assignment that are never published."""
SHORTEST = 40
"""Characters of a line of checks, of a rubric or of a quiz's key that is looked for: a shorter one may be anybody's."""


@dataclass(frozen=True)
class Written:
    """What an update did.

    Attributes:
        files: all that the mirror has written into the folder, now or before, and that is still its own.
        changed: those that are new, or other than before.
        removed: those that are no longer part of it.
    """

    files: list[str]
    changed: list[str]
    removed: list[str]


def publish(
    out: Path, settings: Settings, names: Sequence[str], more: Mapping[str, bytes], alone: Sequence[str] = ()
) -> Written:
    """Write what students need: notebooks, the project, a page to begin with, licenses.

    Args:
        out: a folder that is empty or not there, a git checkout, or an earlier mirror.
        settings: what ``course.yml`` says.
        names: the assignments that are given out.
        more: other files, such as the syllabus and slides, by their path in the mirror.
        alone: the quizzes that students do by themselves by now, such as ``q08``; the answers stand on their pages.

    Raises:
        SettingsError: something private would be shown, an assignment is unknown, or the folder holds what the mirror
            did not write. Nothing has been written then.
    """
    content = _notebooks(settings, names)
    content |= {f"{PROJECT}/{name}": data for name, data in build.project_files(COURSE / PROJECT).items()}
    content |= {name: (COURSE.parent / name).read_bytes() for name in LICENSES} | more
    for name in alone:
        one = quiz.load(COURSE / "quizzes" / f"{name}.yml")
        content[f"{QUIZZES}/{name}.html"] = quiz_formats.self_check(one).encode()
    content["README.md"] = _readme(settings, names, content).encode()
    with tempfile.TemporaryDirectory(prefix="course-mirror-") as work:
        for name, data in content.items():
            _write(Path(work) / name, data)
        leaks = leaked(Path(work), settings, alone)
    if any(name.startswith(f"{SLIDES}/") for name in content):  # no line can be looked for in a PDF
        leaks += leaked(COURSE / SLIDES, settings)
    if leaks:
        raise SettingsError(f"The mirror would show what is private, and was not written: {'; '.join(leaks[:3])}.")
    return update(out, content)


def _notebooks(settings: Settings, names: Sequence[str]) -> dict[str, bytes]:
    """The student's notebooks of these assignments."""
    works = [assignment(name) for name in names]
    with tempfile.TemporaryDirectory(prefix="course-mirror-") as work:
        build.build(Path(work), settings)
        return {f"{each.name}.ipynb": (Path(work) / "student" / f"{each.name}.ipynb").read_bytes() for each in works}


def _readme(settings: Settings, names: Sequence[str], content: Mapping[str, bytes]) -> str:
    """The page to begin with."""
    rows = [f"| {assignment(name).rubric()['title']} | [`{name}.ipynb`]({name}.ipynb) |" for name in names]
    slides = [name for name in content if name.startswith(f"{SLIDES}/")]
    rows += [f"| slides, a file for each chapter | [`{SLIDES}`]({SLIDES}) |"] * bool(slides)
    alone = [name for name in content if name.startswith(f"{QUIZZES}/")]
    rows += [f"| quiz {int(Path(name).stem[1:])}, for yourself | [`{name}`]({name}) |" for name in alone]
    rows += [f"| the project | [`brief.md`]({PROJECT}/brief.md) |"] * (f"{PROJECT}/brief.md" in content)
    config = yaml.safe_load((COURSE.parent / "_config.yml").read_text(encoding="utf-8"))
    address = config["html"]["baseurl"]
    plan = yaml.safe_load((COURSE / "syllabi" / f"{settings.plan}.yml").read_text(encoding="utf-8"))
    values = {"TITLE": plan["title"], "TERM": settings.term, "WHAT": "\n".join(rows)}
    values["BOOK"] = f" ({address})" if address else ""
    text = (COURSE / "mirror" / "README.md").read_text(encoding="utf-8")
    return re.sub("@([A-Z]+)@", lambda found: values[found[1]], text)


def update(out: Path, content: Mapping[str, bytes]) -> Written:
    """Bring a folder to this content; what the mirror did not write is left as it is.

    Raises:
        SettingsError: a file that would be written or removed is not as the mirror left it, or the folder is none, or
            neither empty, nor an earlier mirror, nor a git checkout.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise SettingsError(f"{out} is no folder: DEST is one that is empty, a git checkout, or an earlier mirror.")
    before = _listed(out)
    if before is None and out.is_dir() and any(out.iterdir()) and not (out / ".git").exists():
        raise SettingsError(
            f"{out} holds something already: name a folder that is empty or not there, a git checkout, or an earlier "
            "mirror."
        )
    before = before or {}
    for name in sorted({*before, *content}):
        _keep_what_is_others(out, name, before.get(name), content.get(name))
    changed = [name for name, data in content.items() if not _same(out / name, data)]
    for name in changed:
        _write(out / name, content[name])
    removed = [name for name in before if name not in content and (out / name).is_file()]
    for name in removed:
        (out / name).unlink()
        for folder in (out / name).relative_to(out).parents[:-1]:
            if not any((out / folder).iterdir()):
                (out / folder).rmdir()
    hashes = {name: digest((out / name).read_bytes()) for name in sorted(content)}
    text = json.dumps({"written by": "make course-public", "files": hashes}, indent=1) + "\n"
    (out / LIST).write_text(text, encoding="utf-8", newline="\n")
    return Written(sorted(content), sorted(changed), sorted(removed))


def digest(data: bytes) -> str:
    """A hash of a file, the same for both ends of lines, since git may have changed them."""
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def _listed(out: Path) -> dict[str, str] | None:
    """The files that an earlier mirror wrote, each with its hash; None where there was none.

    Raises:
        SettingsError: the list is broken, or names what is outside of the folder.
    """
    path = out / LIST
    if not path.is_file():
        return None
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        names = [PurePosixPath(name) for name in files]
        inside = all(name.parts and not name.is_absolute() and not {"..", ".git"} & {*name.parts} for name in names)
        whole = inside and all(isinstance(value, str) for value in files.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Get it back from git, or name another folder.") from error
    if not whole:
        raise SettingsError(f"{path} names what no mirror writes: get it back from git, or name another folder.")
    return files


def written_before(out: Path, folder: str) -> dict[str, bytes]:
    """What an earlier mirror wrote into one of its folders and is still there."""
    names = [name for name in _listed(out) or () if name.startswith(f"{folder}/")]
    return {name: (out / name).read_bytes() for name in names if (out / name).is_file()}


def _keep_what_is_others(out: Path, name: str, before: str | None, data: bytes | None) -> None:
    """Raise where writing or removing a file would change what another has written."""
    path = out / name
    for folder in (out / part for part in PurePosixPath(name).parents if part.parts):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise SettingsError(f"{folder} is no folder, and {name} goes into one: move it elsewhere.")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise SettingsError(f"{path} is no plain file, and the mirror writes one there: move it elsewhere.")
    if not path.exists() or (data is not None and _same(path, data)):
        return
    if before is None:
        raise SettingsError(f"{path} was not written by the mirror, which has a file of that name: move it elsewhere.")
    if digest(path.read_bytes()) != before:
        raise SettingsError(
            f"{path} has been changed since the mirror wrote it: keep the change elsewhere and remove the file, which "
            "is then written anew."
        )


def _same(path: Path, data: bytes) -> bool:
    """Whether a file holds these bytes, but for the ends of lines and for the moment at which a calendar was made."""

    def plain(content: bytes) -> bytes:
        return re.sub(rb"DTSTAMP:\S*", b"", content.replace(b"\r\n", b"\n"))

    return path.is_file() and plain(path.read_bytes()) == plain(data)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def leaked(folder: Path, settings: Settings, alone: Sequence[str] = ()) -> list[str]:
    """Where a folder shows what is private: a line of a solution or of a file of checks, a sample, a key, the secret.

    The keys of quizzes that students do alone are not private.
    """
    private = dict(_private(settings, alone))
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        text += text.replace('\\"', '"').replace("\\\\", "\\")  # as it stands in a notebook, and between quotes in YAML
        found += [f"{said} stands in {path.name}" for line, said in private.items() if line in text]
    return found


def _private(settings: Settings, alone: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each line that nobody may see, and what it is."""
    yield settings.secret, "the secret of course.yml"
    for name, work in assignments().items():
        public = {line.strip() for cell in work.cells() for line in without_solution(cell).lines}
        yield from ((line, f"a line of the solution of {name}") for line in solution_lines(work.cells()))
        for file in PRIVATE:
            lines = {line.strip() for line in (work.folder / file).read_text(encoding="utf-8").splitlines()}
            lines -= {line for line in lines if line.startswith(("from ", "import ", "question:", "title:"))}
            yield from ((line, f"a line of {name}'s {file}") for line in lines - public if len(line) >= SHORTEST)
    for path in sorted((COURSE / "quizzes").glob("*.yml")):
        keys = () if path.stem in alone else quiz.load(path).items
        yield from ((item.why, f"the key of {item.key}") for item in keys if len(item.why) >= SHORTEST)
