"""From an assignment's tasks to a student's checks: cases that are drawn until they tell right from wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from course.engine.checks import FACTOR, RTOL, Check, Verdict, Wrong, distance, generator

EXTREME = 6
"""The number of the case that is hard on purpose."""
SECRET = (4, 5)
"""The numbers of the cases that are drawn from the term's secret."""
MOST_DRAWS = 50


class CasesError(RuntimeError):
    """No case could be drawn for a student that tells right from wrong."""


Judge = Callable[[object], Verdict]


@dataclass(frozen=True)
class Task:
    """A function that a student writes, and all that is known about it.

    Attributes:
        question: the question it belongs to.
        function: its name.
        points: the points of all its cases together.
        extreme: how many of them the extreme case holds.
        reference: the right function; one more argument, last, names a mistake.
        case: from a case's number and a generator to its arguments, its name, and what the judge alone knows.
        mistakes: known wrong answers that every case shows: the share of the points, and the sentence.
        breaks: mistakes that some cases show, or that a judge finds: the share of all points, words of a sentence.
        judge: from a case's arguments and what is hidden to what decides where more than one value is right.
        tells: whether a judge tells right from wrong at these arguments; without it the first ones are taken.
        numbers: the cases there are.
        seconds: CPU seconds that a call may take.
    """

    question: str
    function: str
    points: float
    extreme: float
    reference: Callable[..., object]
    case: Callable[[int, torch.Generator], tuple[Any, ...]]
    mistakes: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    breaks: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    judge: Callable[..., Judge] | None = None
    tells: Callable[..., bool] | None = None
    numbers: Sequence[int] = range(EXTREME + 1)
    seconds: int = 3

    def worth(self, number: int) -> float:
        """The points of one case."""
        if number == EXTREME:
            return self.extreme
        usual = len(set(self.numbers) - {EXTREME})
        return (self.points - self.extreme) / usual


def uniform(g: torch.Generator, *shape: int) -> torch.Tensor:
    """Numbers from 0 to 1, in float64."""
    return torch.rand(*shape, generator=g, dtype=torch.float64)


def normal(g: torch.Generator, *shape: int) -> torch.Tensor:
    """Standard normal numbers, in float64."""
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def in_float32(args: Sequence[Any]) -> list[Any]:
    """Arguments as a student has them who left torch's usual precision."""
    return [arg.float() if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg for arg in args]


def checks_of(tasks: Sequence[Task], assignment: str, student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks: of each function, cases from the id, from the term's secret, and an extreme one.

    Of a function there are two secret cases, and one where a call takes long.

    Raises:
        CasesError: no case of some number tells right from wrong for this student.
    """
    made = []
    for task in tasks:
        for number in task.numbers:
            hidden = number in SECRET
            drawn = _draw(task, number, assignment, secret if hidden else salt, student)
            made.append(
                Check(
                    task.question,
                    points=task.worth(number),
                    function=task.function,
                    visible=number == 0,
                    secret=hidden,
                    seconds=task.seconds,
                    seed=number,
                    **drawn,
                )
            )
    return made


def _draw(task: Task, number: int, assignment: str, salt: str, student: str) -> dict[str, Any]:
    """A case on which float32 passes and every known mistake is some times farther than is asked.

    Raises:
        CasesError: none of the cases that were drawn is one.
    """
    for attempt in range(MOST_DRAWS):
        g = generator(salt, assignment, student, f"{task.function} {number} {attempt}")
        args, name, *hidden = task.case(number, g)
        if task.judge:
            judge = task.judge(*args, *hidden)
            if task.tells is None or task.tells(judge, *args):
                return {"args": args, "name": name, "judge": judge}
            continue
        want = task.reference(*args)
        wrong = [Wrong(task.reference(*args, mistake), *said) for mistake, said in task.mistakes.items()]
        apart = min((distance(one.value, want) for one in wrong), default=float("inf"))
        if distance(task.reference(*in_float32(args)), want) < RTOL / 3 and apart > 3 * FACTOR * RTOL:
            return {"args": args, "name": name, "want": want, "wrong": wrong}
    raise CasesError(f"No case {number} of {task.function} could be drawn for {student!r} that tells right from wrong.")
