"""What a fast run shows of how some code behaves, in numbers: two runs that agree in all are taken for the same.

A fingerprint is a list of rows, one for each check (the values it compared), what each cell prints and shows, its
figures (a small picture of each, projected), the parameters that optimizers moved (their norm, and a projection on a
fixed direction, which no reordering or change of sign leaves as it is) and the optimizers' settings; for an experiment,
the figures that it returns. :func:`tools.rows.differences` compares two.
"""

import contextlib
import hashlib
import math
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from aevb_utils import budget, checking
from tools.rows import Row, summary

CHECKS = ("check_close", "check_at_most", "check_at_least", "check_true", "check_answer")
NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-−+]?\d+)?")
HOW = ("params", "foreach", "fused", "capturable", "differentiable")
SMALL_DPI = 25
DIRECTIONS = 4  # of a picture's projection
TIME = re.compile(r"\b(s|ms|µs|seconds?|min|minutes?|hours?|times?|fast\w*|slow\w*|quick\w*|speed\w*|processor|over)\b")
"""What a line or a claim says that is about how long something took, or about one such time over another."""


class Recorder:
    """Notes rows while code runs; :meth:`place` says where in the code it is."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._place, self._count, self._timed = "", 0, False
        self._coarse = False  # whether a float32 number has been seen
        self._moved: dict[int, tuple[Optimizer, int]] = {}
        self._pictures: list[np.ndarray] = []
        self._budgets: list[str] = []

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Note checks, optimizers and figures in a ``with`` block."""
        originals = {name: getattr(checking, name) for name in CHECKS}
        choose, noted = budget.budget, self._noting_budget(budget.budget)
        print_figure = FigureCanvasBase.print_figure
        recorder = self

        def print_and_note(canvas: FigureCanvasBase, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            recorder.picture(canvas.figure)
            return print_figure(canvas, *arguments, **options)

        hook = register_optimizer_step_post_hook(lambda optimizer, *_: self._note_step(optimizer))
        try:
            for name, check in originals.items():
                setattr(checking, name, self._noting(check))
            FigureCanvasBase.print_figure = print_and_note
            _exchange(choose, noted)
            yield
        finally:
            hook.remove()
            FigureCanvasBase.print_figure = print_figure
            _exchange(noted, choose)
            for name, check in originals.items():
                setattr(checking, name, check)

    def _noting(self, check: Any) -> Any:  # noqa: ANN401
        """A check that first notes what it is about to compare."""

        def noted(claim: str, *values: Any, **options: Any) -> None:  # noqa: ANN401
            self.note(claim, [*values, *(value for _, value in sorted(options.items()))])
            check(claim, *values, **options)

        return noted

    def _noting_budget(self, choose: Any) -> Any:  # noqa: ANN401
        """``budget`` that notes what it would give in the full run: a fast run sees nothing else of it."""

        def noted(*, full: Any, fast: Any) -> Any:  # noqa: ANN401
            self._budgets.append(repr(_plain(full)))
            return choose(full=full, fast=fast)

        return noted

    def place(self, name: str, *, timed: bool = False) -> None:
        """Code of this name begins: a cell, or the part of a run; of one that takes times, these are not noted."""
        self.close()
        self._place, self._count, self._timed = name, 0, timed

    def note(self, what: str, values: list[Any]) -> None:
        """A row of some values: numbers, arrays (as norm and projection), or text."""
        self._coarse = self._coarse or any(getattr(value, "dtype", None) in _COARSE for value in values)
        timed = self._timed and TIME.search(what)
        flat = [] if timed else [entry for value in values for entry in summary(value)]
        self._add(what, "float32" if self._coarse else "float64", flat)

    def text(self, text: str, what: str = "printed") -> None:
        """Printed text: the numbers in it, and a hash of the rest."""
        if text.strip():
            rest = " ".join(NUMBER.sub("#", text).split())
            lines = (line for line in text.splitlines() if not (self._timed and TIME.search(line)))
            numbers = [number.replace("−", "-") for line in lines for number in NUMBER.findall(line)]
            kind = f"text, {'float32' if self._coarse else 'float64'}"
            self._add(what, kind, [_digest(rest), *numbers])

    def words(self, what: str, text: str) -> None:
        """Text that must be the same."""
        self._add(what, "text, float64", [_digest(text)])

    def picture(self, figure: Figure) -> None:
        """A figure, drawn small."""
        canvas, dpi = figure.canvas, figure.dpi
        try:
            figure.dpi = SMALL_DPI
            small = FigureCanvasAgg(figure)
            small.draw()
            self._pictures.append(np.asarray(small.buffer_rgba(), dtype=np.float64)[..., :3].ravel() / 255)
        finally:
            figure.dpi = dpi
            figure.set_canvas(canvas)

    def close(self) -> None:
        """Note what the code that ends here has left: figures that are open, parameters that were moved."""
        for number in plt.get_fignums():
            self.picture(plt.figure(number))
        plt.close("all")
        if self._pictures:
            shown = np.concatenate(self._pictures)
            directions = [np.cos(np.arange(1, shown.size + 1) * (k + 1.618)) for k in range(DIRECTIONS)]
            sizes = [float((shown @ direction) / math.sqrt(shown.size)) for direction in directions]
            self._add("figures", "picture", [len(self._pictures), shown.size, *(round(size, 5) for size in sizes)])
        if self._moved:
            tensors = [p for optimizer, _ in self._moved.values() for g in optimizer.param_groups for p in g["params"]]
            self._coarse = self._coarse or any(tensor.dtype in _COARSE for tensor in tensors)
            everything = torch.cat([tensor.detach().double().flatten().cpu() for tensor in tensors])
            steps = sum(count for _, count in self._moved.values())
            kind = "float32" if any(tensor.dtype in _COARSE for tensor in tensors) else "float64"
            self._add("parameters moved", f"parameters, {kind}", [len(self._moved), steps, *summary(everything)])
            settings = sorted({_settings(optimizer) for optimizer, _ in self._moved.values()})
            self._add("optimizers", "text, float64", ["; ".join(settings)])
        if self._budgets:
            self.words("full budgets", "\n".join(self._budgets))
        self._moved, self._pictures, self._budgets = {}, [], []

    def _note_step(self, optimizer: Optimizer) -> None:
        """An optimizer has made a step."""
        self._moved[id(optimizer)] = (optimizer, self._moved.get(id(optimizer), (None, 0))[1] + 1)

    def _add(self, what: str, kind: str, values: list[Any]) -> None:
        self._count += 1
        self.rows.append([f"{self._place} {self._count}: {what}", kind, *values])


def _exchange(one: Any, other: Any) -> None:  # noqa: ANN401
    """Give the modules of the package that have one ``budget`` the other, those that have imported it too."""
    for name, module in sys.modules.copy().items():  # another thread may import
        if name.split(".")[0] == "aevb_utils" and vars(module).get("budget") is one:
            module.budget = other


_COARSE = {torch.float32, torch.bfloat16, torch.float16, np.dtype("float32"), np.dtype("float16")}


def _settings(optimizer: Optimizer) -> str:
    """An optimizer's class and the settings of its groups, those that only tell how it computes aside."""
    groups = [
        " ".join(f"{name}={value:.6g}" for name, value in sorted(group.items()) if isinstance(value, int | float))
        for group in ({k: v for k, v in group.items() if k not in HOW} for group in optimizer.param_groups)
    ]
    return f"{type(optimizer).__name__} {', '.join(dict.fromkeys(groups))}"


def _digest(text: str) -> str:
    """A hash of some text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:  # noqa: ANN401 (a budget may be anything)
    """A budget as what has a ``repr`` that says all: an array by its numbers, a function by its code.

    Raises:
        TypeError: it is anything else.
    """
    match value:
        case None | bool() | int() | float() | str() | range() | slice():
            return value
        case list() | tuple() | set() | frozenset():
            return type(value).__name__, [_plain(each) for each in value]
        case dict():
            return [(_plain(name), _plain(each)) for name, each in value.items()]
        case np.ndarray() | torch.Tensor() | np.number():
            return str(value.dtype), np.asarray(value).tolist()
        case types.FunctionType():
            return value.__code__.co_code, repr(value.__code__.co_consts), value.__code__.co_names
    raise TypeError(f"budget(full=…) should be numbers, words or collections of them, but it is {value!r}.")
