"""What a fast run shows of how some code behaves, in numbers: two runs that agree in all are taken for the same.

A fingerprint is a list of rows, one for each check (the values it compared), each cell's printed numbers, its figures
(a small picture of each, projected), the parameters that optimizers moved (their norm, and a projection on a fixed
direction, which no reordering or change of sign leaves as it is) and the optimizers' settings; for an experiment, the
figures that it returns.
:func:`differences` compares two: 1e-9 relative where numbers are float64, 1e-4 where they are, or come after, float32
(parameters 1e-6, or a small change of an optimizer would pass).
"""

import contextlib
import hashlib
import math
import re
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

Row = list[Any]
"""What it is about, the kind of its numbers (a key of ``TOLERANCES``), and the numbers, or text."""

TOLERANCES = {
    "float64": (1e-9, 1e-12),
    "float32": (1e-4, 1e-6),
    "parameters, float64": (1e-9, 0.0),
    "parameters, float32": (1e-6, 0.0),
    "picture": (0.0, 2e-4),
    "text": (1e-4, 0.0),
}
"""Relative to the largest number of a row (for text, to each), and absolute."""

CHECKS = ("check_close", "check_at_most", "check_at_least", "check_true", "check_answer")
NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-−+]?\d+)?")
HOW = ("params", "foreach", "fused", "capturable", "differentiable")
SMALL_DPI = 25
DIRECTIONS = 4  # of a picture's projection


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
        choose = budget.budget
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
            budget.budget = self._noting_budget(choose)
            yield
        finally:
            hook.remove()
            FigureCanvasBase.print_figure = print_figure
            budget.budget = choose
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
            self._budgets.append(re.sub(r"0x[0-9a-f]+", "", repr(full)))
            return choose(full=full, fast=fast)

        return noted

    def place(self, name: str, *, timed: bool = False) -> None:
        """Code of this name begins: a cell, or the part of a run; of one that takes times, no numbers are noted."""
        self.close()
        self._place, self._count, self._timed = name, 0, timed

    def note(self, what: str, values: list[Any]) -> None:
        """A row of some values: numbers, arrays (as norm and projection), or text."""
        self._coarse = self._coarse or any(getattr(value, "dtype", None) in _COARSE for value in values)
        flat = [] if self._timed else [entry for value in values for entry in _summary(value)]
        self._add(what, "float32" if self._coarse else "float64", flat)

    def text(self, text: str) -> None:
        """Printed text: the numbers in it, and a hash of the rest."""
        if text.strip():
            rest = " ".join(NUMBER.sub("#", text).split())
            numbers = (
                [] if self._timed else [number.replace("−", "-").replace(",", "") for number in NUMBER.findall(text)]
            )
            self._add("printed", "text", [hashlib.sha256(rest.encode()).hexdigest()[:12], *numbers])

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
            self._add("parameters moved", f"parameters, {kind}", [len(self._moved), steps, *_summary(everything)])
            settings = sorted({_settings(optimizer) for optimizer, _ in self._moved.values()})
            self._add("optimizers", "text", ["; ".join(settings)])
        if self._budgets:
            self._add("full budgets", "text", [hashlib.sha256("\n".join(self._budgets).encode()).hexdigest()[:12]])
        self._moved, self._pictures, self._budgets = {}, [], []

    def _note_step(self, optimizer: Optimizer) -> None:
        """An optimizer has made a step."""
        self._moved[id(optimizer)] = (optimizer, self._moved.get(id(optimizer), (None, 0))[1] + 1)

    def _add(self, what: str, kind: str, values: list[Any]) -> None:
        self._count += 1
        self.rows.append([f"{self._place} {self._count}: {what}", kind, *values])


_COARSE = {torch.float32, torch.bfloat16, torch.float16, np.dtype("float32"), np.dtype("float16")}


def _settings(optimizer: Optimizer) -> str:
    """An optimizer's class and the settings of its groups, those that only tell how it computes aside."""
    groups = [
        " ".join(f"{name}={value:.6g}" for name, value in sorted(group.items()) if isinstance(value, int | float))
        for group in ({k: v for k, v in group.items() if k not in HOW} for group in optimizer.param_groups)
    ]
    return f"{type(optimizer).__name__} {', '.join(dict.fromkeys(groups))}"


def _summary(value: Any) -> list[Any]:  # noqa: ANN401 (a check compares anything)
    """A value as numbers or text: an array as its size, norm and projection."""
    if isinstance(value, torch.Tensor):
        value = value.detach().double().cpu().numpy()
    if isinstance(value, bool | np.bool_ | str) or value is None or value is ...:
        return [str(value)]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return [type(value).__name__]
    if array.size == 1:
        return [_number(array.item())]
    flat = array.ravel()
    projection = flat @ np.cos(np.arange(1, flat.size + 1) * 1.618)
    return [flat.size, _number(float(np.linalg.norm(flat))), _number(float(projection))]


def _number(value: float) -> float | str:
    """A number to 13 digits, ready for JSON."""
    return float(f"{value:.13g}") if math.isfinite(value) else str(value)


def figures_rows(figures: Any, place: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """The figures that an experiment returns, one by one, by their path; what says how long it took is left out."""
    if isinstance(figures, dict):
        for name, value in figures.items():
            if not re.search(r"minutes|seconds", str(name)):
                yield from figures_rows(value, f"{place}/{name}")
    elif isinstance(figures, list | tuple) and not all(isinstance(value, int | float) for value in figures):
        for number, value in enumerate(figures):
            yield from figures_rows(value, f"{place}/{number}")
    else:
        yield place, figures


def is_row(stored: object) -> bool:
    """Whether something stored has the form of a row."""
    match stored:
        case [str(), "text", *values]:
            return all(isinstance(value, str) for value in values)
        case [str(), str(kind), *values]:
            return kind in TOLERANCES and all(isinstance(value, int | float | str) for value in values)
    return False


def differences(before: list[Row], after: list[Row]) -> list[str]:
    """What differs between two fingerprints, a line each; empty if they agree."""
    found = []
    old, new = ({row[0]: row[1:] for row in rows} for rows in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new or name not in old:
            found.append(f"{name}: {'was there, and is not any more' if name in old else 'is new'}")
        elif not _agree(old[name], new[name]):
            found.append(f"{name}: {_show(old[name])} → {_show(new[name])}")
    return found


def _agree(before: Row, after: Row) -> bool:
    """Whether two rows agree: text and whole numbers exactly, other numbers up to the kind's tolerance."""
    kind = "float32" if "float32" in (before[0], after[0]) else before[0]
    if len(before) != len(after) or {before[0], after[0]} not in ({kind}, {"float32", "float64"}):
        return False
    relative, absolute = TOLERANCES[kind]
    if kind == "text":
        return before[1] == after[1] and all(map(_same_print, before[2:], after[2:]))
    numbers = [abs(value) for value in (*before, *after) if isinstance(value, float)]
    allowed = absolute + relative * max(numbers, default=0.0)
    return all(
        abs(a - b) <= allowed if isinstance(a, float) and isinstance(b, float) else a == b
        for a, b in zip(before[1:], after[1:], strict=True)
    )


def _same_print(before: str, after: str) -> bool:
    """Whether two printed numbers agree, up to one of the last digit that is printed."""
    if before == after:
        return True
    digits = re.match(r"[-+]?\d+(?:\.(\d+))?(?:e([-+]?\d+))?", before)
    last = 10.0 ** (int(digits[2] or 0) - len(digits[1] or ""))
    whole = "." not in before and "e" not in before and "." not in after
    allowed = 0.0 if whole else 1.01 * last + TOLERANCES["text"][0] * abs(float(before))
    return abs(float(before) - float(after)) <= allowed


def _show(row: Row) -> str:
    """A row's values for a reader, cut to a line."""
    text = ", ".join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in row[1:])
    return text if len(text) < 100 else text[:97] + "…"
