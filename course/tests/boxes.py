"""Whether this machine has a box, where one is required (AEVB_REQUIRE_BOX=1); and who else may run this Python."""

import os
import shutil
from pathlib import Path

import pytest

from course.engine.box import Limits, Rung, python_folders, why_not

MISSING = why_not(Rung.BOX)
if MISSING and os.environ.get("AEVB_REQUIRE_BOX") == "1":
    raise RuntimeError(f"AEVB_REQUIRE_BOX=1, but there is no box here: {MISSING}.")

needs_box = pytest.mark.skipif(bool(MISSING), reason=f"There is no box here ({MISSING}).")
needs_root = pytest.mark.skipif(
    bool(MISSING) or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="Only root, with setpriv, becomes another user.",
)
STRICT = Limits(cell_seconds=2, total_seconds=100, silent_seconds=10, memory=2 * 2**30)
PLAIN = 150_001
"""A user that no account has, and who has no rights."""


def with_open_python() -> list[str]:
    """What a command begins with, so that any user may run this Python: as it is, or where it lies in a closed folder.

    There a tmpfs stands over that folder, and only the Python is shown in it.
    """
    words: list[str] = []
    for folder in python_folders():
        closed = next((each for each in [*reversed(folder.parents), folder] if not each.stat().st_mode & 1), None)
        if closed is None:
            continue
        if str(closed) not in words:
            words += ["--perms", "0755", "--tmpfs", str(closed)]
        between = [each for each in reversed(folder.parents) if each.is_relative_to(closed) and each != closed]
        words += [word for each in between for word in ("--perms", "0755", "--dir", str(each))]
        words += ["--ro-bind", str(folder), str(folder)]
    return (
        [str(shutil.which("bwrap")), "--dev-bind", "/", "/", "--cap-add", "ALL", "--die-with-parent", *words]
        if words
        else []
    )


def as_plain_user() -> list[str]:
    """What a command begins with, so that a user without rights runs it."""
    if os.geteuid() != 0:
        return []
    become = [str(shutil.which("setpriv")), f"--reuid={PLAIN}", f"--regid={PLAIN}", "--clear-groups", "--inh-caps=-all"]
    return [*with_open_python(), *become, "--bounding-set=-all"]


def give_to_plain_user(folder: Path) -> None:
    """Make a folder and all in it the plain user's own."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, PLAIN, PLAIN)


def path_without(folder: Path, *names: str) -> str:
    """A PATH with all that /usr/bin and /bin hold but these programs."""
    folder.mkdir()
    for directory in (Path("/usr/bin"), Path("/bin"), Path("/usr/sbin"), Path("/sbin")):
        for program in directory.iterdir() if directory.is_dir() else ():
            link = folder / program.name
            if program.name not in names and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)
