"""Item analysis: how hard each question of a quiz was and how well it tells students apart, with intervals."""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from course.engine.settings import SettingsError

MOODLE = re.compile(r"Q\. ?(\d+) ?/ ?([\d.,]+)")
CANVAS = re.compile(r"(\d+): (.*)", re.DOTALL)
LEAST = 5
"""Students, below whom nothing is said."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Answers:
    """What a class answered.

    Attributes:
        items: the questions' names.
        scores: a row a student, a column an item, from 0 to 1.
        given: for each item how often each answer was given; empty where the file has scores alone.
    """

    items: list[str]
    scores: np.ndarray
    given: list[Counter[str]]


@dataclass(frozen=True)
class Analysis:
    """An item's figures, each with its interval of 95 %.

    Attributes:
        item: its name.
        share: the mean score, "difficulty", with Wilson's interval.
        share_interval: that interval.
        discrimination: the correlation of its score with the sum of all others; None where one of them is constant.
        discrimination_interval: by Fisher's transformation.
        flag: a sentence, where even the interval's upper end says that something is odd.
    """

    item: str
    share: float
    share_interval: Interval
    discrimination: float | None
    discrimination_interval: Interval | None
    flag: str


def read(path: Path) -> Answers:
    """Read Canvas's student analysis, Moodle's report of grades, or a table ``id, item, …`` with scores from 0 to 1.

    Raises:
        SettingsError: it is none of these.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head, *rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise SettingsError(f"{path} cannot be read as a CSV file with a line of headings: {error}.") from error
    rows = [row for row in rows if len(row) == len(head) and not row[0].startswith("Overall average")]
    if len(rows) < LEAST:
        raise SettingsError(f"{path} has {len(rows)} whole lines of students; {LEAST} are the least.")
    columns: list[
        tuple[str, int, float, int | None]
    ] = []  # the name, its scores' column, the most, its answers' column
    for index, name in enumerate(head):
        if found := MOODLE.fullmatch(name.strip()):
            columns.append((f"Q{found[1]}", index, float(found[2].replace(",", ".")), None))
        elif (found := CANVAS.fullmatch(name.strip())) and index + 1 < len(head):
            columns.append((" ".join(found[2].split())[:60], index + 1, _number(path, head[index + 1]), index))
    if not columns:
        columns = [(name, index, 1.0, None) for index, name in enumerate(head) if index]
    scores = np.array([[_number(path, row[at]) / most for _, at, most, _ in columns] for row in rows])
    if scores.shape[1] < 2 or not ((scores >= 0) & (scores <= 1)).all():
        raise SettingsError(f"{path}: scores of at least two items, none below 0 or above its points, are expected.")
    given = [Counter(row[at] for row in rows) if at is not None else Counter() for *_, at in columns]
    return Answers([name for name, *_ in columns], scores, given)


def _number(path: Path, text: str) -> float:
    """A score; nothing, or a dash, is 0."""
    text = text.strip().replace(",", ".")
    try:
        return 0.0 if text in {"", "-"} else float(text)
    except ValueError as error:
        raise SettingsError(f"{path}: a score is a number, and {text[:40]!r} is none.") from error


def analyze(answers: Answers) -> list[Analysis]:
    """Each item's difficulty and discrimination, with intervals."""
    found = []
    for index, name in enumerate(answers.items):
        score = answers.scores[:, index]
        rest = answers.scores.sum(axis=1) - score
        wilson = stats.binomtest(round(score.sum()), len(score)).proportion_ci(method="wilson")
        correlation = interval = None
        flag = ""
        if np.ptp(score) > 0 and np.ptp(rest) > 0:
            test = stats.pearsonr(score, rest)
            limits = test.confidence_interval(0.95)
            correlation, interval = float(test.statistic), (float(limits.low), float(limits.high))
            if limits.high < 0:
                flag = "Those who do well elsewhere miss it: look at the key and the wording."
        found.append(
            Analysis(name, float(score.mean()), (float(wilson.low), float(wilson.high)), correlation, interval, flag)
        )
    return found


def alpha(scores: np.ndarray) -> float:
    """Cronbach's α of a quiz: k / (k − 1) · (1 − Σ var(item) / var(sum)); NaN where all sums are the same."""
    k = scores.shape[1]
    total = scores.sum(axis=1).var(ddof=1)
    return float(k / (k - 1) * (1 - scores.var(axis=0, ddof=1).sum() / total)) if total > 0 else float("nan")


def alpha_interval(scores: np.ndarray, draws: int = 2000) -> Interval:
    """The interval of 95 % of α by the bootstrap over students, from a fixed seed."""
    generator = np.random.default_rng(0)
    rows = generator.integers(len(scores), size=(draws, len(scores)))
    values = [alpha(scores[each]) for each in rows]
    return tuple(np.nanquantile(values, [0.025, 0.975]).tolist())  # type: ignore[return-value]


def report(answers: Answers) -> str:
    """The analysis as a table, and what it can and cannot say."""
    n, k = answers.scores.shape
    width = max(len(name) for name in answers.items)
    lines = [f"{n} students, {k} items", f"{'item':{width}}  right [95 %]         with the rest [95 %]"]
    for each, given in zip(analyze(answers), answers.given, strict=True):
        low, high = each.share_interval
        line = f"{each.item:{width}}  {each.share:4.2f} [{low:4.2f}, {high:4.2f}]   "
        if each.discrimination is None or each.discrimination_interval is None:
            line += "all the same"
        else:
            low, high = each.discrimination_interval
            line += f"{each.discrimination:+.2f} [{low:+.2f}, {high:+.2f}]"
        lines += [line, *([f"  {each.flag}"] if each.flag else [])]
        lines += [f"  {count:4d} × {' '.join(answer.split()) or '(nothing)'}" for answer, count in given.most_common()]
    low, high = alpha_interval(answers.scores)
    lines.append(f"Cronbach's α {alpha(answers.scores):.2f} [{low:.2f}, {high:.2f}]")
    if n < 60:
        lines.append("With fewer than 60 students these intervals are wide: pool terms before you drop an item.")
    return "\n".join(lines)
