"""Gradescope's autograder: packing it here, and what it runs there.

Gradescope unpacks the zip file to ``/autograder/source``, runs ``setup.sh`` once while it builds the image, and
``run_autograder`` for each submission. There the code runs as root in a container, without bubblewrap as a rule, so
that the second rung holds: another user, who cannot read the checks.
"""

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch

from course.engine import batch, box
from course.engine.assignments import COURSE, Assignment, assignment
from course.engine.cases import CasesError
from course.engine.grade import Result, grade
from course.engine.handed_in import HandedInError, notebooks
from course.engine.processes import StillRunningError
from course.engine.settings import STUDENT, Settings, SettingsError, load

SETUP = """\
#!/usr/bin/env bash
# Choose the base image Ubuntu 24.04, which has Python 3.12.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-venv util-linux bubblewrap
python3 -m venv /opt/course
/opt/course/bin/pip install --quiet --index-url https://download.pytorch.org/whl/cpu torch
/opt/course/bin/pip install --quiet numpy matplotlib ipython pyyaml scikit-learn
"""
RUN = """\
#!/usr/bin/env bash
# Grades one submission. Whatever happens, there is a results.json afterwards.
BASE=${{AUTOGRADER:-/autograder}}
chmod 700 "$BASE/source"
mkdir -p "$BASE/results"
rm -f "$BASE/results/results.json"
cd "$BASE/source" || exit 1
OMP_NUM_THREADS=1 timeout 540 "${{COURSE_PYTHON:-/opt/course/bin/python}}" -m course.engine.gradescope {name} "$BASE"
status=$?
if [ ! -s "$BASE/results/results.json" ]; then
    printf '{{"score": 0, "output": "The autograder itself stopped (status %d). Tell your instructor; your work is not \
lost."}}\\n' "$status" > "$BASE/results/results.json"
fi
"""
REPEATED = "repeats_an_earlier_try"
"""Marks, in the results of a try that was not graded, that they are those of an earlier one."""


def pack(work: Assignment, folder: Path, told: Settings) -> Path:
    """Write the zip file of one assignment, the private half in it; return its path.

    Raises:
        SettingsError: the secret has not been changed.
    """
    if told.secret.startswith("change me"):
        raise SettingsError("course.yml still holds the secret that everyone knows: change it, then pack.")
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{work.name}.zip"
    sources = [COURSE / "__init__.py", COURSE / "course.yml", *sorted((COURSE / "engine").glob("*.py"))]
    sources += [COURSE / "assignments" / "__init__.py", work.folder / "__init__.py", work.source]
    sources += [work.folder / "checks.py", work.folder / "rubric.yml"]
    part = out.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sources:
            file.writestr(f"course/{path.relative_to(COURSE).as_posix()}", path.read_bytes())
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN.format(name=work.name))):
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system = 0o755 << 16, 3
            file.writestr(info, text)
    part.replace(out)
    return out


def student_of(metadata: Mapping[str, Any]) -> str:
    """The id of who submitted: the student id that Gradescope knows, else the address before its @.

    Raises:
        SettingsError: neither is there.
    """
    users = metadata.get("users") or [{}]
    known = [str(users[0].get("sid") or ""), str(users[0].get("email") or "").partition("@")[0]]
    found = next((one.strip() for one in known if STUDENT.fullmatch(one.strip())), None)
    if found is None:
        raise SettingsError("Gradescope names no student: give the student's line in its roster an id or an address.")
    return found


def graded_before(metadata: Mapping[str, Any]) -> list[tuple[datetime, dict[str, Any]]]:
    """When the earlier tries that were graded were made, and their results, oldest first."""
    found = []
    told = metadata.get("previous_submissions")
    for one in told if isinstance(told, list) else []:
        try:
            when, results = datetime.fromisoformat(one["submission_time"]).astimezone(UTC), one["results"]
        except (KeyError, TypeError, ValueError):  # a try without a time or results, which says nothing of the others
            continue
        if _graded(results):
            found.append((when, results))
    return sorted(found, key=lambda one: one[0])


def _graded(results: object) -> bool:
    """Whether results are those of a try of its own: others have no tests, or repeat what an earlier try had."""
    if not isinstance(results, dict) or not results.get("tests"):
        return False
    extra = results.get("extra_data")
    return not (isinstance(extra, dict) and extra.get(REPEATED))


def tries_today(metadata: Mapping[str, Any]) -> int:
    """How many graded tries there were in the 24 hours before this one."""
    try:
        now = datetime.fromisoformat(str(metadata["created_at"])).astimezone(UTC)
        return sum(now - timedelta(days=1) < when <= now for when, _ in graded_before(metadata))
    except (KeyError, TypeError, ValueError):
        return 0


def not_graded(said: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What Gradescope reads where nothing was graded: why, and the last graded try's results, which count on.

    Gradescope counts a student's newest submission: no points here would take away those of the last one.
    """
    earlier = graded_before(metadata)
    if not earlier:
        return {"score": 0, "output": said}
    results = earlier[-1][1]
    output = f"{said} What follows is your last graded try's.\n{results.get('output') or ''}".rstrip("\n")
    return results | {"output": output, "extra_data": {**(results.get("extra_data") or {}), REPEATED: True}}


def results_of(result: Result, rung: str, files: Sequence[str]) -> dict[str, Any]:
    """A result in Gradescope's form: what is not visible at once is shown after the results are published.

    Args:
        result: of the first of the files.
        rung: how the code was kept in.
        files: the names of all that could have been graded.
    """
    tests = [
        {
            "name": f"{item.question}: {item.name}",
            "score": item.score,
            "max_score": item.points,
            "output": item.sentence or "Right.",
            "visibility": "visible" if item.visible else "after_published",
        }
        for item in result.items
    ]
    others = f"; not {', '.join(files[1:6])}{', …' if len(files) > 6 else ''}" if len(files) > 1 else ""
    output = "\n".join([f"Graded: {files[0]}{others}.", *result.notes])
    return {"score": result.score, "output": output, "tests": tests, "extra_data": {"rung": rung, "cpu": result.cpu}}


def run(name: str, base: Path) -> dict[str, Any]:
    """Grade the submission that lies in ``base``, and return what Gradescope reads."""
    metadata = json.loads((base / "submission_metadata.json").read_text(encoding="utf-8"))
    try:
        return _run(name, base / "submission", metadata)
    except HandedInError:
        return not_graded(f"There is no notebook in what was handed in: hand in {name}.ipynb.", metadata)
    except (SettingsError, CasesError, box.NoBoxError, StillRunningError) as error:
        return not_graded(f"The autograder cannot grade: {error} Tell your instructor.", metadata)


def _run(name: str, folder: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    told, work = load(COURSE / "course.yml"), assignment(name)
    student = student_of(metadata)
    tries = tries_today(metadata)
    if tries >= told.tries_per_day:
        return not_graded(f"There were {tries} tries in 24 hours already; this one is not graded.", metadata)
    files = sorted(notebooks(folder), key=lambda path: (path.stem != name, len(path.parts)))
    rung = box.best_rung(work.folder / "checks.py", COURSE / "course.yml")
    limits = box.Limits(total_seconds=120)
    result = grade(files[0], student, work.checks(student, told), rung, limits)
    return results_of(result, rung.name, [path.relative_to(folder).as_posix() for path in files])


def main(arguments: list[str]) -> int:
    """Grade and write ``results.json``, whole or not at all; return 0 if it is written."""
    name, base = arguments[0], Path(arguments[1])
    found = run(name, base)
    (base / "results").mkdir(exist_ok=True)
    batch.write(base / "results" / "results.json", json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
