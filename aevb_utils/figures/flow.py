"""Flow charts in the book's style: boxes for functions, circles for samples, arrows forward, and gradients backward."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from aevb_utils.figures.diagram import (
    INK,
    PAPER,
    WORDS,
    Box,
    Shape,
    arrow,
    bend,
    curve,
    fit_to_page,
    overlap,
    pairs,
    refuse_loops,
    refuse_shared_places,
    refuse_unknown,
    sheet,
    size_of,
    write,
)
from aevb_utils.figures.style import PALETTE

TINT = "#EEF1F4"  # of a box
PAD = 0.13  # from a text to the edge of its box, in units
RADIUS = 0.27  # of a circle with a short text
TEXT = WORDS + 1.5


@dataclass(frozen=True)
class Gradient:
    """An arrow backward.

    Attributes:
        start: the name of the step that it comes from.
        end: the name of the step that it reaches.
        label: what it is a gradient for.
        blocked: whether it does not get through; it is crossed out.
    """

    start: str
    end: str
    label: str = ""
    blocked: bool = False


def flow_chart(
    steps: Mapping[str, tuple[float, float, str]],
    arrows: Sequence[tuple[str, ...]] = (),
    gradients: Sequence[Gradient] = (),
    *,
    boxes: Collection[str] = (),
    random: Collection[str] = (),
) -> Figure:
    r"""Draw what is computed from what, and how the gradients of the ELBO come back (dashed, blue).

    Example::

        flow_chart(
            steps={"phi": (0, 0, r"$\phi$"), "z": (1.2, 0, r"$z$"), "f": (2.4, 0, r"$f(z)$")},
            arrows=[("phi", "z", "f")],
            gradients=[Gradient("f", "z"), Gradient("z", "phi", "no gradient", blocked=True)],
            boxes={"f"},
            random={"z"},
        )

    Args:
        steps: for each name its place, x to the right and y upward, neighbors about 1.2 apart, and its text.
        arrows: from the first name to the second; with more names, from each to the next.
        gradients: the arrows backward, which bend around what is between.
        boxes: names of functions, such as networks, which get a box; a value stands as it is.
        random: names of what is drawn at random, which gets a circle.

    Returns:
        The figure; in a notebook, as the last line of a cell, it shows itself.

    Raises:
        ValueError: there is no step, two are at one place, a name is none of them, or an arrow has too few.
    """
    refuse_shared_places(steps)
    forward = pairs(arrows, steps)
    refuse_unknown([name for g in gradients for name in (g.start, g.end)], steps, "The gradients")
    for gradient in gradients:
        refuse_loops((gradient.start, gradient.end))
    refuse_unknown([*boxes, *random], steps, "The kinds of steps")
    fig, ax = sheet()
    shapes = {
        name: _draw_step(ax, x, y, text, box=name in boxes, circle=name in random)
        for name, (x, y, text) in steps.items()
    }
    filled = [shape.box for shape in shapes.values()]
    taken: dict[frozenset[str], list[tuple[str, float]]] = {}
    for start, end, gradient in [*((*pair, None) for pair in forward), *((g.start, g.end, g) for g in gradients)]:
        others = [shape for name, shape in shapes.items() if name not in (start, end)]
        between = taken.setdefault(frozenset((start, end)), [])
        rad = bend(shapes[start], shapes[end], others, taken=[r if name == start else -r for name, r in between])
        between.append((start, rad))
        color = PALETTE["elbo"] if gradient else INK
        arrow(ax, shapes[start], shapes[end], rad, color=color, dashed=gradient is not None)
        points = curve(shapes[start], shapes[end], rad)
        filled.append((*points.min(axis=0), *points.max(axis=0)))
        if gradient:
            filled.append(_label(ax, gradient, points, rad, filled[: len(shapes)]))
    fit_to_page(ax, filled)
    return fig


def _draw_step(ax: Axes, x: float, y: float, text: str, *, box: bool, circle: bool) -> Shape:
    """Draw a step: a circle, a box, or, unseen, the box that arrows end at."""
    width, height = size_of(text, TEXT)
    if circle:
        half_width = half_height = max(RADIUS, width / 2 + 0.08)
        patch = Circle((x, y), half_width, facecolor=PAPER)
    else:
        half_width, half_height = width / 2 + (PAD if box else 0.06), height / 2 + (PAD if box else 0.02)
        style = "round,pad=0,rounding_size=0.08"
        corner = (x - half_width, y - half_height)
        patch = FancyBboxPatch(corner, 2 * half_width, 2 * half_height, boxstyle=style, facecolor=TINT)
    patch.set(edgecolor=INK, linewidth=1.3, visible=box or circle, zorder=3)
    ax.add_patch(patch)
    write(ax, x, y, text, size=TEXT)
    return Shape(x, y, half_width, half_height, patch)


def _label(ax: Axes, gradient: Gradient, points: np.ndarray, rad: float, boxes: Sequence[Box]) -> Box:
    """Write a gradient's label outside of its arc, off the boxes; cross out what is blocked; return its box."""
    middle, along = points[len(points) // 2], points[-1] - points[0]
    outward = np.array([along[1], -along[0]]) / np.linalg.norm(along) * (1 if rad >= 0 else -1)
    if gradient.blocked:
        ax.plot(*middle, marker="x", color=INK, markersize=11, markeredgewidth=2.4, zorder=5)
        middle = middle + 0.08 * outward
    width, height = size_of(gradient.label, WORDS)
    away = abs(outward[0]) * width / 2 + abs(outward[1]) * height / 2 + 0.05
    while any(overlap(_around(middle + away * outward, width, height + 0.1), box) for box in boxes):
        away += 0.03
    x, y = middle + away * outward
    write(ax, x, y, gradient.label, size=WORDS, color=PALETTE["elbo"])
    return _around((x, y), width, height)


def _around(center: Sequence[float] | np.ndarray, width: float, height: float) -> Box:
    """The box around a point."""
    x, y = center
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
