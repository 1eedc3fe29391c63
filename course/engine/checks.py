"""What a graded function is held to, and how a student's cases are drawn. Runs outside the box alone."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

RTOL = 1e-4
"""Relative tolerance of a right answer: above float32's error, below the distance of the nearest wrong answer."""
ATOL = 1e-8
FACTOR = 10
"""How many tolerances a known wrong answer must be away from the right one."""


class Wrong(NamedTuple):
    """A known wrong answer: its value, the share of the points that it gets, and a sentence."""

    value: Any
    share: float
    sentence: str


class Verdict(NamedTuple):
    """The share of the points that an answer gets, and a sentence; no sentence for a right one."""

    share: float
    sentence: str = ""


@dataclass(frozen=True)
class Check:
    """One call of a student's function, and what it should return.

    Attributes:
        question: the question it belongs to.
        name: what the case is, in words.
        points: the points of this case.
        function: the function that is called.
        args: its arguments: numbers, text, tensors, lists of them.
        want: the value that is right; None where ``judge`` decides.
        judge: decides on values that are right in more than one way.
        rtol: the relative tolerance.
        wrong: the known wrong answers.
        visible: whether a student sees this result at once.
        secret: whether the case comes from the term's secret; then no message of the student's code is passed on.
        seconds: CPU seconds that the call may take.
        seed: torch's seed before the call.
    """

    question: str
    name: str
    points: float
    function: str
    args: Sequence[Any]
    want: Any = None
    judge: Callable[[Any], Verdict] | None = None
    rtol: float = RTOL
    wrong: Sequence[Wrong] = field(default_factory=tuple)
    visible: bool = False
    secret: bool = False
    seconds: int = 3
    seed: int = 0

    def verdict(self, got: object) -> Verdict:
        """What a value gets."""
        if got is None:
            return Verdict(0.0, "It returned nothing.")
        if self.judge is not None:
            return self.judge(got)
        if same(got, self.want, self.rtol):
            return Verdict(1.0)
        for wrong in self.wrong:
            if same(got, wrong.value, self.rtol):
                return Verdict(wrong.share, wrong.sentence)
        return Verdict(0.0, difference(got, self.want))


def generator(salt: str, assignment: str, student: str, tag: str) -> torch.Generator:
    """A generator that is the same wherever these four are: 56 bits of a SHA-256, so that Colab draws what we draw."""
    digest = hashlib.sha256(f"{salt}|{assignment}|{student}|{tag}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _array(value: object) -> np.ndarray | None:
    """Numbers as float64; None where it is none."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) or type(value) in (int, float, bool):
        return np.asarray(value, dtype=np.float64)
    return None


def _parts(value: object) -> list[Any] | None:
    return list(value) if isinstance(value, list | tuple) else None


def same(got: object, want: object, rtol: float, atol: float = ATOL) -> bool:
    """Whether two values have one structure and shape, and all numbers agree; NaN agrees with nothing."""
    parts = _parts(want)
    if parts is not None:
        mine = _parts(got)
        return (
            mine is not None
            and len(mine) == len(parts)
            and all(same(g, w, rtol, atol) for g, w in zip(mine, parts, strict=True))
        )
    a, b = _array(got), _array(want)
    if a is None or b is None or a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        return bool((np.abs(a - b) <= atol + rtol * np.abs(b)).all() and np.isfinite(a).all())


def distance(got: object, want: object, atol: float = ATOL) -> float:
    """The largest difference, relative to the right number; infinity where structures differ or a number is none."""
    parts = _parts(want)
    if parts is not None:
        mine = _parts(got)
        if mine is None or len(mine) != len(parts):
            return float("inf")
        return max((distance(g, w, atol) for g, w in zip(mine, parts, strict=True)), default=0.0)
    a, b = _array(got), _array(want)
    if a is None or b is None or a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    return float(np.max(np.abs(a - b) / (np.abs(b) + atol), initial=0.0))


def difference(got: object, want: object) -> str:
    """What is wrong with an answer, without the right numbers."""
    parts, mine = _parts(want), _parts(got)
    if parts is not None:
        if mine is None or len(mine) != len(parts):
            return f"{len(parts)} values were asked for, in a tuple; {_words(got)} came."
        for number, (g, w) in enumerate(zip(mine, parts, strict=True), 1):
            if not same(g, w, RTOL):
                return f"Value {number} of {len(parts)}: {difference(g, w)}"
    a, b = _array(got), _array(want)
    if a is None:
        return f"Numbers were asked for; {_words(got)} came."
    if b is not None and a.shape != b.shape:
        return f"The shape is {_shape(a)}; {_shape(b)} was asked for."
    if not np.isfinite(a).all():
        return "It holds NaN or infinity."
    return "The numbers differ."


def _shape(array: np.ndarray) -> str:
    return str(tuple(array.shape)) if array.ndim else "() (one number)"


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"a tuple of {len(value)}"
    return "one array" if _array(value) is not None else f"a {type(value).__name__}"
