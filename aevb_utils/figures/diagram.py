"""What graphical models and flow charts share: an empty sheet, the size of a text, arrows from shape to shape.

One unit of a diagram is ``UNIT`` inches on the page, so that text and circles have the same size in every diagram.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from aevb_utils.figures.style import PALETTE, STYLE

UNIT = 0.95  # inches
INK, PAPER, LINE, MUTED, SHADE = PALETTE["evidence"], "#FFFFFF", "#9A9A9A", "#5E5E5E", "#D4D4D4"
LETTERS = 13.0  # points: what stands in a circle
WORDS = 10.0  # points: what stands in a box, at an arrow, on a plate
MATH = "stix"  # in letters that a browser has too, where a viewer draws them as text
CLEAR = 0.07  # the least distance, in units, between an arrow and a shape that it passes
APART = 0.24  # the least distance, in units, between the middles of two arrows from shape to shape
BENDS = tuple(sign * step / 20 for step in range(24) for sign in (1, -1))  # from straight to round, to either side

Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Shape:
    """Something that arrows lead to: its center, half its width and height in units, and the patch they end at."""

    x: float
    y: float
    half_width: float
    half_height: float
    patch: Patch

    @property
    def box(self) -> Box:
        """What it fills."""
        return self.x - self.half_width, self.y - self.half_height, self.x + self.half_width, self.y + self.half_height


def sheet() -> tuple[Figure, Axes]:
    """An empty figure in the book's style, whatever the caller's own is, and its only axes."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "figure.constrained_layout.use": False})
        fig = Figure(facecolor=PAPER)
        ax = fig.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.axis("off")
    return fig, ax


def fit_to_page(ax: Axes, boxes: Iterable[Box], *, margin: float = 0.08) -> None:
    """Give the sheet the size of what is on it, which fills these boxes."""
    left, bottom, right, top = np.array(list(boxes)).T
    x, y = (left.min() - margin, right.max() + margin), (bottom.min() - margin, top.max() + margin)
    ax.set(xlim=x, ylim=y)
    ax.figure.set_size_inches((x[1] - x[0]) * UNIT, (y[1] - y[0]) * UNIT)


def write(ax: Axes, x: float, y: float, text: str, *, size: float, color: str = INK) -> Text:
    """Write a text, mathematics in the letters of TeX, around a point."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        return ax.text(
            x, y, text, fontsize=size, color=color, ha="center", va="center_baseline" if "\n" not in text else "center",
            math_fontfamily=MATH, linespacing=1.25, zorder=4,
        )  # fmt: skip


def size_of(text: str, size: float) -> tuple[float, float]:
    """Width and height of a text in units; a line is as high as its letters may be."""
    font = FontProperties(family=STYLE["font.family"], size=size, math_fontfamily=MATH)
    lines = text.split("\n")
    widths = [TextPath((0, 0), line, prop=font).get_extents().width if line.strip() else 0.0 for line in lines]
    return max(widths) / 72 / UNIT, len(lines) * 1.25 * size / 72 / UNIT


def bend(start: Shape, end: Shape, others: Collection[Shape], *, taken: Collection[float] = ()) -> float:
    """How far an arrow must bend to keep clear of the other shapes: as little as possible, and to the freer side.

    Args:
        start: where it begins.
        end: where it ends.
        others: the shapes that it must not touch.
        taken: bends that other arrows between the two have, seen from ``start``.

    Raises:
        ValueError: there is no room for one arrow more.
    """
    length = float(np.hypot(end.x - start.x, end.y - start.y))
    free = [rad for rad in BENDS if all(abs(rad - other) * length / 2 >= APART for other in taken)]
    if not free:
        raise ValueError("Two nodes stand too near each other for the arrows between them: put them about 1 apart.")
    room = {rad: _room(start, end, rad, others) for rad in free}
    least = next((abs(rad) for rad in free if room[rad] >= CLEAR), None)
    return max((rad for rad in free if least in (None, abs(rad))), key=room.__getitem__)


def curve(start: Shape, end: Shape, rad: float) -> np.ndarray:
    """Points of the arc from center to center, shape (41, 2), as matplotlib's ``arc3`` draws it."""
    a, b = np.array([start.x, start.y]), np.array([end.x, end.y])
    middle = (a + b) / 2 + rad * np.array([b[1] - a[1], a[0] - b[0]])
    t = np.linspace(0, 1, 41)[:, None]
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t**2 * b


def _room(start: Shape, end: Shape, rad: float, others: Collection[Shape]) -> float:
    """The distance between an arc and the nearest of some shapes; without any, a large one."""
    points = curve(start, end, rad)
    distances = [np.inf]
    for shape in others:
        beyond = np.abs(points - [shape.x, shape.y]) - [shape.half_width, shape.half_height]
        outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
        distances.append(float((outside + np.minimum(beyond.max(axis=1), 0)).min()))
    return min(distances)


def arrow(ax: Axes, start: Shape, end: Shape, rad: float, *, color: str = INK, dashed: bool = False) -> None:
    """Draw an arrow from the edge of a shape to the edge of another."""
    ax.add_patch(
        FancyArrowPatch(
            (start.x, start.y), (end.x, end.y), patchA=start.patch, patchB=end.patch, shrinkA=0, shrinkB=1,
            connectionstyle=f"arc3,rad={rad}", arrowstyle="-|>,head_length=0.45,head_width=0.2", mutation_scale=13,
            color=color, linewidth=1.3, linestyle=(0, (3.5, 2.2)) if dashed else "-", zorder=2,
        )
    )  # fmt: skip


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have a point in common."""
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def pairs(paths: Sequence[tuple[str, ...]], known: Mapping[str, object]) -> list[tuple[str, str]]:
    """The arrows of some paths, each from a name to the next.

    Raises:
        ValueError: a path has less than two names, one that is not declared, or one twice in a row.
    """
    for path in paths:
        if isinstance(path, str) or len(path) < 2:
            raise ValueError(f"An arrow needs two names or more, not {path!r}: write it as ('z', 'x').")
        refuse_unknown(path, known, "The arrows")
        refuse_loops(path)
    return [pair for path in paths for pair in itertools.pairwise(path)]


def refuse_loops(path: Sequence[str]) -> None:
    """Refuse an arrow from a name to itself.

    Raises:
        ValueError: a name stands twice in a row.
    """
    if loops := [start for start, end in itertools.pairwise(path) if start == end]:
        raise ValueError(f"An arrow leads from {loops[0]!r} to itself: give it another end.")


def refuse_shared_places(known: Mapping[str, tuple[float, float, str]]) -> None:
    """Refuse two names at one place, and a diagram without any.

    Raises:
        ValueError: it says which names.
    """
    if not known:
        raise ValueError("A diagram needs something to draw, and nothing is declared: give names with their places.")
    seen: dict[tuple[float, float], str] = {}
    for name, (x, y, _) in known.items():
        if (x, y) in seen:
            raise ValueError(f"{seen[x, y]!r} and {name!r} are both at ({x:g}, {y:g}): move one of them.")
        seen[x, y] = name


def refuse_unknown(names: Iterable[str], known: Mapping[str, object], where: str) -> None:
    """Refuse a name that is not declared.

    Raises:
        ValueError: it says which name, where it stands, and what there is.
    """
    if unknown := sorted(set(names) - known.keys()):
        there = ", ".join(map(repr, known))
        raise ValueError(f"{where} name {unknown[0]!r}, which is not declared: there are {there}.")
