"""Grades hostile submissions on the second rung: a program that root runs, with the course where nobody else may read.

``test_rungs.py`` starts it, with the names of the attacks, and reads what it prints: the rung, and for each attack the
points and what was left behind.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import hostile
import torch
from boxes import STRICT
from small import checks, notebook

from course.engine import box
from course.engine.grade import grade
from course.engine.processes import EVERYBODYS, owner

LEAVES = "for folder in ('/tmp', '/var/tmp', '/dev/shm'):\n    open(folder + '/left_{0}.py', 'w').write({1!r})"
TAKES = (
    "import sys\nsys.path[:0] = ['/tmp', '/var/tmp', '/dev/shm']\ntry:\n    from left_{0} import cumulate\n"
    "except ModuleNotFoundError:\n    pass"
)
SOLVED = "def cumulate(x): return x.cumsum(0)"
MORE = {
    "leaves its functions": hostile.Attack(LEAVES.format(os.getpid(), SOLVED)),
    "takes the functions of the one before": hostile.Attack(TAKES.format(os.getpid())),
    "ends its parent": hostile.Attack("import os\nos.kill(os.getppid(), 9)"),
    "reads what the grader has open": hostile.Attack(
        "import os\nopen(f'/proc/{os.getppid()}/environ').read()\nraise SystemError"
    ),
    "reads this file": hostile.Attack(f"open({__file__!r})\ndef cumulate(x): return x.cumsum(0)"),
}


def left_behind(user: int) -> list[str]:
    """Processes of a user, those that have ended and are not waited for yet aside, and files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if owner(int(process.name)) == user and (words := (process / "cmdline").read_bytes()):
                found.append(f"{process.name}: {words.decode(errors='replace')}")
        except OSError:  # it has ended
            continue
    for path in (path for folder in EVERYBODYS for path in Path(folder).iterdir()):
        try:
            found += [str(path)] if path.lstat().st_uid == user else []
        except FileNotFoundError:  # another program has removed it
            continue
    return found


def main(names: list[str]) -> None:
    """Grade these attacks, and those that are this rung's own."""
    torch.set_num_threads(1)
    rung = box.best_rung(Path(__file__))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, attack in ({each: hostile.ATTACKS[each] for each in names} | MORE).items():
            code = attack.code.replace("@CANARY@", str(Path(__file__).parent))
            path = notebook(Path(folder) / "handed_in.ipynb", code, hostile.HONEST)
            result = grade(path, "any", checks(), rung, STRICT)
            found[name] = (attack.least, result.score, left_behind(box.slot_user(0)), result.rung)
    seen = box.why_not(box.Rung.USER, Path(__file__), Path("/etc/passwd"))
    print(json.dumps({"rung": rung.name, "seen": seen, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1:])
