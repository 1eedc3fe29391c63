"""What came out of a box, read strictly: whoever wrote it may wish us ill."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course.engine.driver import DEEPEST, LARGEST_ARRAY, LONGEST_TEXT

MOST_LINES = 5_000
STATUSES = frozenset({"ok", "missing", "error", "timeout", "crash", "silent"})


class NotAnAnswer(ValueError):
    """What was written is none of the things that a driver writes."""


@dataclass(frozen=True)
class Answer:
    """What one call gave.

    Attributes:
        status: ``ok``, or why there is no value.
        value: None, a number, text, an array of float64, or a list or dict of them.
        error: the exception's type.
        message: what it says.
    """

    status: str
    value: Any = None
    error: str = ""
    message: str = ""


@dataclass
class Report:
    """What one run in the box gave.

    Attributes:
        answers: by the number of the call; the first line of a call counts.
        errors: of the cells: their number, the exception's type and its words.
        begun: the last cell that began.
        calling: the last call that began.
        ready: whether the driver came as far as to run a cell.
        done: whether it came to its end.
        cpu: the CPU seconds that it says it took.
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    errors: list[tuple[int, str, str]] = field(default_factory=list)
    begun: int | None = None
    calling: int | None = None
    ready: bool = False
    done: bool = False
    cpu: float = 0.0


def value_of(said: object, depth: int = 0) -> object:
    """A value that a driver's ``plain`` wrote.

    Raises:
        NotAnAnswer: it is of another form.
    """
    if depth > DEEPEST:
        raise NotAnAnswer("nested too deeply")
    if said is None or type(said) in (bool, float):
        return said
    if type(said) is int:
        return said if abs(said) < 2**63 else math.copysign(math.inf, said)
    if isinstance(said, list):
        if len(said) > LARGEST_ARRAY:
            raise NotAnAnswer("too long")
        return [value_of(item, depth + 1) for item in said]
    if isinstance(said, dict):
        if set(said) == {"text"} and isinstance(said["text"], str):
            return said["text"][:LONGEST_TEXT]
        if set(said) == {"shape", "kind", "data"}:
            return _array(said["shape"], said["data"])
        if set(said) == {"keys", "of"} and isinstance(said["keys"], list) and isinstance(said["of"], list):
            keys = said["keys"]
            if len(keys) == len(said["of"]) <= 100 and all(isinstance(key, str) for key in keys):
                return {key: value_of(item, depth + 1) for key, item in zip(keys, said["of"], strict=True)}
    raise NotAnAnswer("of an unknown form")


def _array(shape: object, data: object) -> np.ndarray:
    if not isinstance(shape, list) or len(shape) > 8 or any(type(n) is not int or n < 0 for n in shape):
        raise NotAnAnswer("an array with a wrong shape")
    if not isinstance(data, list) or len(data) > LARGEST_ARRAY or math.prod(shape) != len(data):
        raise NotAnAnswer("an array whose shape and length differ")
    if any(type(number) not in (int, float, bool) for number in data):
        raise NotAnAnswer("an array of something else than numbers")
    try:
        return np.array(data, dtype=np.float64).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise NotAnAnswer("an array of impossible numbers") from error


def read(written: bytes) -> Report:
    """The lines that left a box; what is no line of a driver counts as not written."""
    report = Report()
    for line in written.split(b"\n", MOST_LINES)[:MOST_LINES]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            _take(said, report)
    return report


def _number(said: dict[str, Any], name: str) -> int | None:
    value = said.get(name)
    return value if type(value) is int and 0 <= value < 10_000 else None


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _take(said: dict[str, Any], report: Report) -> None:
    begun, calling, cell, call = (_number(said, name) for name in ("begin", "calling", "cell", "call"))
    if said.get("ready") is True:
        report.ready = True
    elif begun is not None:
        report.begun = begun
    elif calling is not None:
        report.calling = calling
    elif cell is not None and len(report.errors) < 200:
        report.errors.append((cell, _text(said, "error"), _text(said, "message")))
    elif call is not None and call not in report.answers and said.get("status") in STATUSES:
        status, value = said["status"], None
        try:
            value = value_of(said.get("value")) if status == "ok" else None
        except (NotAnAnswer, RecursionError):
            status = "silent"
        report.answers[call] = Answer(status, value, _text(said, "error"), _text(said, "message"))
    elif said.get("done") is True:
        report.done = True
        cpu = said.get("cpu")
        report.cpu = float(cpu) if type(cpu) in (int, float) and 0 <= cpu < 1e6 else 0.0
