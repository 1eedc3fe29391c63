"""A project's machine part: ``run.py`` twice and the model's contract, each in a box of its own, judged outside."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from course.engine import answers, box, project_code, project_folder
from course.engine.answers import Answer
from course.engine.box import Limits, Rung
from course.engine.driver import plain
from course.engine.grade import ENDED
from course.engine.project_folder import NAMES, Number

INSIDE = Path(__file__).with_name("project_inside.py")
SECONDS = 600
"""CPU seconds that ``run.py`` may take."""
DRIVER_SECONDS = 30
"""CPU seconds that the driver around it may take, at most."""
OUT_OF_TIME = -24
"""The status of a process that Linux ended by SIGXCPU."""
CHECK_SECONDS = 120
LIMITS = Limits(cell_seconds=20, total_seconds=1260, silent_seconds=1260, processes=32, output=16 * 2**20)
POINTS = {"files": 1, "run": 3, "numbers": 4, "seed": 2, "paper": 3, "contract": 9}
LEAST_SETS = 20
ERRORS = 5
"""Standard errors that two means of the same thing may differ by."""


@dataclass(frozen=True)
class Part:
    """What one part of the machine's points gave, and a sentence where it is not all."""

    name: str
    points: float
    said: str = ""

    @property
    def of(self) -> int:
        """The points there were to have."""
        return POINTS[self.name]


@dataclass(frozen=True)
class Line:
    """One number: as the report says it, and as it came out for each seed."""

    number: Number
    got: tuple[float | None, ...]


@dataclass(frozen=True)
class Outcome:
    """What the machine says of a project.

    Attributes:
        team: the folder's name.
        parts: in the order of ``POINTS``.
        lines: the numbers of the report's table.
        notes: for the person who grades.
        rung: how the code was kept in.
        cpu: CPU seconds of each run of ``run.py``.
    """

    team: str
    parts: tuple[Part, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    rung: str
    cpu: tuple[float, ...]

    @property
    def points(self) -> float:
        """The points of all parts."""
        return sum(part.points for part in self.parts)


@dataclass(frozen=True)
class Ran:
    """One run of ``run.py``: its results, or why there are none."""

    results: dict[str, float] | None
    why: str
    cpu: float


def check(folder: Path, rung: Rung, limits: Limits = LIMITS, seconds: int = SECONDS) -> Outcome:
    """Run a team's folder in boxes and say what the machine gives.

    Args:
        folder: as it was handed in; nothing in it is changed.
        rung: how its code is kept in.
        limits: of each box.
        seconds: CPU seconds of ``run.py``.

    Raises:
        ProjectError: it holds links, too much, or is no folder.
        NoBoxError: the box itself did not start.
    """
    with _in_boxes(folder, rung, limits) as (project, inside):
        numbers, wrong = project_folder.numbers_of(project_folder.text_of(project / "report.md"))
        runs = [_run(inside, project, 0, seconds)]
        if runs[0].results is not None:
            runs.append(_run(inside, project, 1, seconds))
        if (project / "model.py").is_file() and not project_code.imports_model(project):
            said = "run.py does not import model: what would be checked is not what is run."
            paper, contract = Part("paper", 0, said), Part("contract", 0, said)
        else:
            paper, contract = _contract(inside, project, CHECK_SECONDS)
        parts = (_files(project), _ended(runs[0]), *_agree(numbers, wrong, runs), paper, contract)
    lines = tuple(Line(number, tuple((run.results or {}).get(number.name) for run in runs)) for number in numbers)
    notes = (*wrong, *_notes(runs[0].results or {}))
    return Outcome(folder.resolve().name, parts, lines, notes, rung.name, tuple(round(run.cpu, 1) for run in runs))


def check_in(folder: Path, rung: Rung, limits: Limits = LIMITS, seconds: int = CHECK_SECONDS) -> tuple[Part, Part]:
    """The parts ``paper`` and ``contract`` alone, which need ``model.py`` and nothing else.

    Raises:
        ProjectError: the folder holds links, too much, or is no folder.
        NoBoxError: the box itself did not start.
    """
    with _in_boxes(folder, rung, limits) as (project, inside):
        return _contract(inside, project, seconds)


class Inside(Protocol):
    """Calls a function of ``project_inside.py`` in a box of its own."""

    def __call__(self, function: str, *args: object, most: int) -> tuple[Answer, float]:
        """The answer, and the CPU seconds that were seen; ``most`` are the CPU seconds that it may take."""


@contextmanager
def _in_boxes(folder: Path, rung: Rung, limits: Limits) -> Iterator[tuple[Path, Inside]]:
    """A harmless copy of a team's folder, and what calls a function in a box that is given it."""
    with tempfile.TemporaryDirectory(prefix="course-") as name:
        kept = Path(name)
        kept.chmod(0o755)
        given = project_folder.copy(folder, kept / "given")

        def inside(function: str, *args: object, most: int) -> tuple[Answer, float]:
            return _call(function, [box.where(rung, given), *args], most, rung, limits, given)

        yield given / "project", inside


def _call(
    function: str, args: Sequence[object], seconds: int, rung: Rung, limits: Limits, given: Path
) -> tuple[Answer, float]:
    """Call one function of ``project_inside.py`` in a box of its own; the CPU seconds that were seen, too."""
    call = {"id": 0, "function": function, "args": [plain(arg) for arg in args], "seconds": seconds, "seed": 0}
    order = {"cells": [INSIDE.read_text(encoding="utf-8")], "skip": [], "calls": [call]}
    ended = box.run(order, rung, limits, given=given)
    report = answers.read(ended.written)
    if not report.ready:
        raise box.NoBoxError(f"The box did not start: {ended.said or ended.why or ended.status}.")
    if ended.why:
        return Answer("error", error="The run ended", message=ENDED[ended.why]), ended.cpu
    return report.answers.get(0, Answer("silent")), ended.cpu


def _run(inside: Inside, project: Path, seed: int, seconds: int) -> Ran:
    if not (project / "run.py").is_file():
        return Ran(None, "There is no run.py.", 0.0)
    answer, seen = inside("run_team", seed, most=seconds)
    got = answer.value if answer.status == "ok" and isinstance(answer.value, dict) else {}
    own = got.get("cpu")
    cpu = own if type(own) is float and own >= seen - DRIVER_SECONDS else seen  # what it says, unless we saw more
    if cpu > seconds or got.get("status") == OUT_OF_TIME:
        return Ran(None, f"run.py used more than {seconds} s of CPU time.", cpu)
    if not got:
        return Ran(None, f"run.py gave nothing: {answer.message or answer.status}.", cpu)
    if got.get("status") != 0:
        said = got.get("said")
        return Ran(None, f"run.py stopped: {said if isinstance(said, str) and said else got.get('status')}.", cpu)
    results = got.get("results")
    if not isinstance(results, dict):
        return Ran(None, f"run.py ended, but {got.get('why') or 'gave nothing'}.", cpu)
    odd = [name for name, value in results.items() if type(value) not in (int, float) or not math.isfinite(value)]
    if odd:
        return Ran(None, f"run.py ended, but {odd[0][:60]} in results.json is no finite number.", cpu)
    return Ran({name: float(value) for name, value in results.items()}, "", cpu)


def _files(project: Path) -> Part:
    said = project_folder.what_is_missing(project)
    return Part("files", 0 if said else POINTS["files"], " ".join(said))


def _ended(ran: Ran) -> Part:
    return Part("run", 0 if ran.results is None else POINTS["run"], ran.why)


def _off(number: Number, results: dict[str, float]) -> str:
    """What is wrong with one number of the report; empty if nothing is."""
    got = results.get(number.name)
    if got is None:
        return f"{number.name} is not in results.json"
    slack = number.tolerance + 1e-9 * max(1.0, abs(number.value))
    return "" if abs(got - number.value) <= slack else f"{number.name} is {number.value:g}, and came out as {got:g}"


def _agree(numbers: Sequence[Number], wrong: Sequence[str], runs: Sequence[Ran]) -> tuple[Part, Part]:
    """The parts ``numbers`` and ``seed``."""
    if runs[0].results is None:
        return Part("numbers", 0, "There is nothing to compare."), Part("seed", 0, "There is nothing to compare.")
    off = {number.name: said for number in numbers if (said := _off(number, runs[0].results))}
    bad, every = len(off) + len(wrong), len(numbers) + len(wrong)
    lacking = {*NAMES} - ({number.name for number in numbers} - {*off})
    few = bad <= every / 4 and len(lacking) <= len(NAMES) / 4  # numbers of one's own make none of those asked for good
    share = 1.0 if not bad else 0.5 if few else 0.0
    said = f"{every - bad} of {every} agree: {'; '.join([*off.values(), *wrong][:3])}." if bad else ""
    first = Part("numbers", share * POINTS["numbers"], said)
    again = runs[1].results
    if again is None:
        return first, Part("seed", 0, f"With --seed 1: {runs[1].why}")
    off = [said for number in numbers if (said := _off(number, again))]
    if off or wrong:
        return first, Part("seed", 0, f"With --seed 1: {'; '.join([*off, *wrong][:3])}.")
    if again == runs[0].results:
        return first, Part("seed", 0, "No number differs with --seed 1 in any digit: is each of them computed?")
    return first, Part("seed", POINTS["seed"])


def _contract(inside: Inside, project: Path, seconds: int) -> tuple[Part, Part]:
    """The parts ``paper`` and ``contract``."""

    def neither(said: str) -> tuple[Part, Part]:
        return Part("paper", 0, said), Part("contract", 0, said)

    if not (project / "model.py").is_file():
        return neither("There is no model.py.")
    if said := project_code.beyond_a_model(project):
        return neither(said)
    answer, _ = inside("contract", most=seconds)
    if answer.status != "ok" or not isinstance(answer.value, dict):
        words = {
            "error": f"{answer.error}: {answer.message}",
            "timeout": f"It took more than {seconds} s.",
            "crash": "It crashed Python.",
        }
        return neither(f"model.py could not be checked. {words.get(answer.status, 'It gave nothing.')}")
    got = answer.value
    said = _paper(got, project)
    paper = Part("paper", 0 if said else POINTS["paper"], said)
    failed = got.get("failed")
    said = f"check_model: {failed}" if failed != "" else differs(got.get("draws"))
    return paper, Part("contract", 0 if said else POINTS["contract"], said)


def _paper(got: dict[str, Any], project: Path) -> str:
    """What is wrong with the value by hand; empty if nothing is."""
    if got.get("paper_failed"):
        return f"paper() stopped: {got['paper_failed']}"
    pair = got.get("paper")
    if not isinstance(pair, list) or len(pair) != 2 or not all(type(v) is float and math.isfinite(v) for v in pair):
        return "paper() gave no value."
    if project_code.paper_uses_code(project):
        return "paper() asks a distribution for its log_prob; a formula with plain numbers is asked for."
    paper, code = pair
    close = abs(paper - code) <= 1e-6 * max(1.0, abs(code))
    return "" if close else f"log p(x, z) is {paper:.6f} by the formula and {code:.6f} by the code."


PAIRS = (
    ("elbo", "log_weights", "elbo and the mean of log_weights"),
    ("reconstruction", "log_likelihood", "the term reconstruction and the mean of log p(x | z)"),
    ("others", "log_ratio", "the other terms and the mean of log p(z) − log q(z | x)"),
)
"""What has the same mean in each row, and how to call it."""


def differs(draws: object) -> str:
    """Which parts of an ELBO, (draws, rows) each, do not agree, in words; empty where all do."""
    names = {name for one, other, _ in PAIRS for name in (one, other)}
    if not isinstance(draws, dict) or set(draws) != names:
        return "The parts of the ELBO could not be drawn."
    arrays = list(draws.values())
    if not all(isinstance(a, np.ndarray) and a.ndim == 2 and a.shape == arrays[0].shape for a in arrays):
        return "The parts of the ELBO have different shapes."
    if len(arrays[0]) < 100 or not all(np.isfinite(array).all() for array in arrays):
        return "The parts of the ELBO are not finite numbers."
    for one, other, words in PAIRS:
        a, b = draws[one], draws[other]
        error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / len(a))
        off = np.abs(a.mean(axis=0) - b.mean(axis=0)) - ERRORS * error - 1e-6 * (1 + np.abs(b).mean(axis=0))
        if (off > 0).any():
            row = int(off.argmax())
            return f"In row {row} {words} differ: {a[:, row].mean():.4g} and {b[:, row].mean():.4g} nats."
    return ""


def _notes(results: dict[str, float]) -> list[str]:
    """What the person who grades should look at."""
    if not set(NAMES) <= set(results):
        return []
    said = []
    if results["simulated_sets"] < LEAST_SETS:
        said.append(f"{results['simulated_sets']:g} simulated sets; {LEAST_SETS} are asked for.")
    away, error = abs(results["answer_aevb"] - results["answer_other"]), results["answer_se"]
    if not away <= 2 * error:
        said.append(f"The two answers are {away:g} apart, with a standard error of {error:g}.")
    if results["gain_of_twice"] > 0.5:
        said.append(f"Twice the steps gain {results['gain_of_twice']:g} nats: the training had not ended.")
    return said
