"""Grading one submission: it runs in a box, and what came out is compared here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.engine import answers, box, submission
from course.engine.answers import Answer, Report
from course.engine.box import USUAL, Limits, Rung
from course.engine.checks import Check, Verdict
from course.engine.driver import plain

MOST_RUNS = 4
"""Runs of one submission: a cell or a function that ends the run is left out in the next one."""

ENDED = {
    "time": "it used up its time",
    "memory": "it used too much memory",
    "processes": "it started too many processes",
    "output": "it returned too much",
    "": "it ended Python",
}

LEFT_OUT = frozenset({"ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError"})
"""Errors after which the driver runs the rest of a cell."""


@dataclass(frozen=True)
class Item:
    """What one check gave."""

    question: str
    name: str
    score: float
    points: float
    sentence: str
    visible: bool
    function: str = ""
    secret: bool = False


@dataclass(frozen=True)
class Result:
    """What one submission gave.

    Attributes:
        student: the id, as the instructor knows it.
        items: one for each check, in order; none where it could not be graded, and a note says why.
        notes: sentences about the submission as a whole.
        rung: how the code was kept in.
        cpu: CPU seconds that were seen.
        named: the id that the notebook names.
        file: what the file was called.
        late: whether the platform marks it as late.
        later: sentences that tell of cases which are not visible at once.
    """

    student: str
    items: tuple[Item, ...]
    notes: tuple[str, ...]
    rung: str
    cpu: float
    named: str = ""
    file: str = ""
    late: bool = False
    later: tuple[str, ...] = ()

    @property
    def graded(self) -> bool:
        """Whether it was graded at all."""
        return bool(self.items)

    @property
    def score(self) -> float:
        """The points of all checks together."""
        return round(sum(item.score for item in self.items), 4)

    @property
    def points(self) -> float:
        """The points there were to have."""
        return round(sum(item.points for item in self.items), 4)


@dataclass
class _Runs:
    """What several runs of one submission gave together."""

    answers: dict[int, Answer] = field(default_factory=dict)
    errors: dict[int, tuple[str, str]] = field(default_factory=dict)
    cpu: float = 0.0


def grade(
    path: Path,
    student: str,
    checks: Sequence[Check],
    rung: Rung,
    limits: Limits = USUAL,
    *,
    slot: int = 0,
    cache: Path | None = None,
) -> Result:
    """Grade a file that a student handed in.

    Args:
        path: a notebook or a script.
        student: the id, from the learning platform, never from the notebook.
        checks: of this student.
        rung: how the code is kept in.
        limits: what it may use.
        slot: which of the runs at one time this is.
        cache: a folder that matplotlib finds its fonts in.

    Raises:
        NoBoxError: the box itself did not start, which is no fault of the student's.
    """
    try:
        handed_in = submission.read(path)
    except submission.UnreadableError as error:
        items = tuple(_scored(check, Verdict(0.0, str(error))) for check in checks)
        return Result(student, items, (str(error),), rung.name, 0.0)
    runs = _run(handed_in.cells, checks, rung, limits, slot, cache)
    notes = [_stopped(cell, kind, words) for cell, (kind, words) in sorted(runs.errors.items())]
    if handed_in.named and handed_in.named != student:
        notes.insert(0, f"The notebook says STUDENT = {handed_in.named!r}; it was handed in by {student!r}.")
    defined = submission.defined(handed_in.cells)
    verdicts = [_verdict(check, runs.answers.get(number), defined) for number, check in enumerate(checks)]
    items = tuple(map(_scored, checks, verdicts))
    notes += _through_others([item for item in items if item.visible], defined)
    later = tuple(note for note in _through_others(items, defined) if note not in notes)
    return Result(student, items, tuple(notes), rung.name, round(runs.cpu, 2), handed_in.named, later=later)


def _stopped(cell: int, kind: str, words: str) -> str:
    said = f"{kind}{': ' + words if words else ''}."
    if kind in LEFT_OUT:
        return f"Cell {cell + 1}: what needs something that is not there was left out. {said}"
    return f"Cell {cell + 1} stopped: {said}"


def _through_others(items: Sequence[Item], defined: Mapping[str, set[str]]) -> list[str]:
    """A sentence for each function that lost points and calls others that did: one mistake may have cost both."""
    lost = list(dict.fromkeys(item.function for item in items if item.score < item.points))
    reached = {function: submission.reached(function, defined) for function in lost}
    called = {function: [other for other in lost if other in reached[function]] for function in lost}
    return [
        f"{function} calls {' and '.join(others)}, which lost points too: with that mended, {function} may be right."
        for function, others in called.items()
        if others
    ]


def _run(
    cells: Sequence[str], checks: Sequence[Check], rung: Rung, limits: Limits, slot: int, cache: Path | None
) -> _Runs:
    """Run the cells and make the calls; again without what ended the run, some times.

    Secret cases come last: what a function keeps of theirs, no later call can tell in its error's message.
    """
    runs, skip, calls = _Runs(), [], [call(number, check) for number, check in enumerate(checks)]
    calls.sort(key=lambda one: checks[one["id"]].secret)
    for _ in range(MOST_RUNS):
        order = {"cells": list(cells), "skip": skip, "calls": calls}
        ended = box.run(order, rung, limits, slot=slot, cache=cache)
        report = answers.read(ended.written)
        if not report.ready:
            raise box.NoBoxError(f"The box did not start: {ended.said or ended.why or ended.status}.")
        runs.cpu += max(ended.cpu, report.cpu)
        runs.errors |= {cell: (kind, words) for cell, kind, words in report.errors if cell < len(cells)}
        runs.answers = report.answers | runs.answers  # the first answer counts
        if report.done and not ended.why:
            break
        calls = _without_the_end(report, ended.why, calls, runs, skip)
        if not calls:
            break
    return runs


def _without_the_end(
    report: Report, why: str, calls: list[dict[str, Any]], runs: _Runs, skip: list[int]
) -> list[dict[str, Any]]:
    """The calls of the next run; the cell or function that ended this one is left out of it."""
    reason = ENDED[why]
    if report.calling is None:
        begun = report.begun
        if begun is None or begun in skip:
            return []
        skip.append(begun)
        runs.errors[begun] = (reason, "")
        return calls
    function = next((one["function"] for one in calls if one["id"] == report.calling), None)
    for one in calls:
        if one["function"] == function:
            runs.answers.setdefault(one["id"], Answer("error", error="The run ended", message=reason))
    return [one for one in calls if one["id"] not in runs.answers] if function else []


def call(number: int, check: Check) -> dict[str, Any]:
    """A check's call, as the driver reads it."""
    args = [plain(arg) for arg in check.args]
    return {"id": number, "function": check.function, "args": args, "seconds": check.seconds, "seed": check.seed}


def _scored(check: Check, verdict: Verdict) -> Item:
    points = round(check.points, 6)  # both are rounded, so that no score is above its points
    score = round(max(0.0, min(1.0, verdict.share)) * points, 6)
    return Item(
        check.question, check.name, score, points, verdict.sentence, check.visible, check.function, check.secret
    )


def _verdict(check: Check, answer: Answer | None, defined: Collection[str]) -> Verdict:
    if answer is None or answer.status == "silent":
        return Verdict(0.0, "No result came out of the run.")
    if answer.status == "missing":
        return Verdict(0.0, _missing(check.function, defined))
    if answer.status == "timeout":
        return Verdict(0.0, f"It ran longer than {check.seconds} s.")
    if answer.status == "crash":
        return Verdict(0.0, "It crashed Python.")
    if answer.status == "error":
        words = "" if check.secret or not answer.message else f": {answer.message}"
        return Verdict(0.0, f"{answer.error}{words}")
    try:
        return check.verdict(answer.value)
    except (RuntimeError, ValueError, ArithmeticError):  # numbers so extreme that the comparison itself breaks down
        return Verdict(0.0, "What it returned cannot be compared: are the numbers of a sensible size?")


def _missing(function: str, defined: Collection[str]) -> str:
    if function in defined:
        return f"There is no function {function}: its cell stopped, or what it became is no function."
    alike = next((name for name in defined if function in name), None)
    return f"No cell defines {function}: is it called otherwise{f' ({alike[:60]})' if alike else ''}?"
