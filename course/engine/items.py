"""Item analysis: how hard each question of a quiz was and how well it tells students apart, with intervals."""

import csv
import io
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from course.engine.item_keys import behind
from course.engine.quiz import Item
from course.engine.settings import SettingsError, read_lines

MOODLE = re.compile(r"Q\. ?(\d+) ?/ ?([\d.,]+)")
CANVAS = re.compile(r"(\d+): (.*)", re.DOTALL)
LEAST = 5
"""Students, below whom nothing is said."""
NOTHING = ("", "-")
"""What stands in a file for a score that there is not."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Answers:
    """What a class answered.

    Attributes:
        items: the questions' names: their texts in Canvas's file, ``Q1``, ``Q2`` … in Moodle's.
        scores: a row a student, a column an item, from 0 to 1.
        given: for each item how often each answer was given; empty where the file has scores alone.
        full: for each item the answers to which the platform gave all points.
        unfinished: how many lines have no score at all, and were left out.
    """

    items: list[str]
    scores: np.ndarray
    given: list[Counter[str]]
    full: list[set[str]]
    unfinished: int = 0


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
    [(_, head), *all_rows] = read_lines(path)
    rows = [(number, row) for number, row in all_rows if not row[0].startswith("Overall average")]
    for number, row in rows:
        if len(row) != len(head):
            raise SettingsError(f"{path}, line {number} has {len(row)} cells, and there are {len(head)} headings.")
    columns = _columns(path, head)
    begun = len(rows)
    rows = [(number, row) for number, row in rows if any(row[column.at].strip() not in NOTHING for column in columns)]
    if len(rows) < LEAST:
        raise SettingsError(f"{path} has {len(rows)} lines of students; {LEAST} are the least.")
    if len(columns) < 2:
        raise SettingsError(f"{path}: columns with the scores of at least two items are expected.")
    scores = np.array([[_number(f"{path}, line {n}", row[c.at]) / c.most for c in columns] for n, row in rows])
    if not ((scores >= 0) & (scores <= 1)).all():
        row, item = np.argwhere(~((scores >= 0) & (scores <= 1)))[0]
        column = columns[item]
        raise SettingsError(
            f"{path}, line {rows[row][0]}: a score of {column.name[:60]!r} is from 0 to {column.most:g}, none below 0 "
            f"or above its points, and this one is {rows[row][1][column.at]}."
        )
    words = [[_words(row[c.answers]) for _, row in rows] if c.answers is not None else [] for c in columns]
    full = [
        {word for word, score in zip(answers, each, strict=False) if score == 1}
        for answers, each in zip(words, scores.T, strict=True)
    ]
    return Answers([column.name for column in columns], scores, list(map(Counter, words)), full, begun - len(rows))


def _words(answer: str) -> str:
    return " ".join(answer.split())


class _Column(NamedTuple):
    """An item in a file: its name, the column of its scores, the most it gives, the column of its answers."""

    name: str
    at: int
    most: float
    answers: int | None


def _columns(path: Path, head: list[str]) -> list[_Column]:
    """The items that a line of headings names; without a heading of Canvas or Moodle, all but the first column."""
    columns = []
    for index, name in enumerate(map(str.strip, head)):
        if found := MOODLE.fullmatch(name):
            columns.append(_Column(f"Q{found[1]}", index, _number(f"{path}, {name!r}", found[2]), None))
        elif (found := CANVAS.fullmatch(name)) and index + 1 < len(head):
            most = _number(f"{path}, the column after {name[:40]!r}", head[index + 1])
            columns.append(_Column(_words(found[2]), index + 1, most, index))
    columns = columns or [_Column(name.strip(), index, 1.0, None) for index, name in enumerate(head) if index]
    if nothing := [column.name for column in columns if not 0 < column.most < np.inf]:
        raise SettingsError(
            f"{path}: {nothing[0][:60]!r} gives no points, so it cannot be analyzed: leave its column out."
        )
    return columns


def _number(where: str, text: str) -> float:
    """A score; nothing, or a dash, is 0."""
    text = text.strip().replace(",", ".")
    try:
        return 0.0 if text in NOTHING else float(text)
    except ValueError as error:
        raise SettingsError(f"{where}: a score is a number, and {text[:40]!r} is none.") from error


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
    """The interval of 95 % of α by the bootstrap over students, from a fixed seed; NaN where α itself is."""
    generator = np.random.default_rng(0)
    rows = generator.integers(len(scores), size=(draws, len(scores)))
    values = [alpha(scores[each]) for each in rows]
    if np.isnan(values).all():
        return float("nan"), float("nan")
    return tuple(np.nanquantile(values, [0.025, 0.975]).tolist())  # type: ignore[return-value]


class Given(NamedTuple):
    """How often an answer was given.

    Attributes:
        item: the number of the question, from 0.
        answer: in words.
        count: of students.
        right: whether the platform gave it all points.
        misconception: the key of what somebody believes who gives it; empty where it is right or not known.
        odd: whether the quiz's own key says otherwise than the platform.
    """

    item: int
    answer: str
    count: int
    right: bool
    misconception: str
    odd: bool


def given(answers: Answers, known: Sequence[Item | None]) -> list[Given]:
    """All answers, by question and then by how often they were given."""
    found = []
    for number, (counts, full, item) in enumerate(zip(answers.given, answers.full, known, strict=True)):
        for answer, count in counts.most_common():
            said = behind(item, answer) if item else None
            right, wrong = said or (answer in full, None)
            misconception = wrong.misconception if wrong else ""
            found.append(Given(number, answer, count, answer in full, misconception, right != (answer in full)))
    return found


def table(answers: Answers, known: Sequence[Item | None]) -> str:
    """A CSV file: of each answer its question, how often it was given, whether it is right, and its misconception."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["item", "question", "answer", "count", "right", "misconception"])
    for one in given(answers, known):
        item = known[one.item]
        name = item.key if item else str(one.item + 1)
        text = item.stem if item else answers.items[one.item]
        writer.writerow([name, text, one.answer, one.count, "yes" if one.right else "no", one.misconception])
    return file.getvalue()


def report(answers: Answers, known: Sequence[Item | None]) -> str:
    """The analysis as text, and what it can and cannot say.

    Args:
        answers: what a class answered.
        known: the question behind each column, or None.
    """
    n, k = answers.scores.shape
    every = given(answers, known)
    lines = [f"{n} students, {k} items; ✓ is what got all points"]
    if answers.unfinished:
        lines.append(f"Left out: {answers.unfinished} without any score, as of attempts that were not finished.")
    for number, (each, item) in enumerate(zip(analyze(answers), known, strict=True)):
        text = item.stem if item else each.item
        lines += ["", *textwrap.wrap(f"{number + 1}. {f'{item.key}: ' if item else ''}{text}", 110)]
        low, high = each.share_interval
        line = f"   right {each.share:4.2f} [{low:4.2f}, {high:4.2f}]   with the rest "
        if each.discrimination is None or each.discrimination_interval is None:
            line += "all the same"
        else:
            low, high = each.discrimination_interval
            line += f"{each.discrimination:+.2f} [{low:+.2f}, {high:+.2f}]"
        lines += [line, *([f"   {each.flag}"] if each.flag else [])]
        for one in (one for one in every if one.item == number):
            mark = "✓" if one.right else " "
            misconception = f"   ({one.misconception})" if one.misconception else ""
            lines.append(f" {one.count:4d} × {mark} {one.answer or '(nothing)'}{misconception}")
            if one.odd:
                lines.append("          The quiz's key says otherwise: look at the platform's.")
    lines.append("")
    believed: Counter[str] = Counter()
    for one in every:
        believed[one.misconception] += one.count if one.misconception else 0
    if believed := +believed:
        lines += [
            "Misconceptions, how often:",
            *(f" {count:4d} × {name}" for name, count in believed.most_common()),
            "",
        ]
    whole = alpha(answers.scores)
    if np.isnan(whole):
        lines.append("Cronbach's α: there is none, since all students have the same sum")
    else:
        low, high = alpha_interval(answers.scores)
        lines.append(f"Cronbach's α {whole:.2f} [{low:.2f}, {high:.2f}]")
    lines.append("Brackets are intervals of 95 %.")
    if n < 60:
        lines.append("With fewer than 60 students these intervals are wide: pool terms before you drop an item.")
    return "\n".join(lines)
