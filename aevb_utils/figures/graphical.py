"""Graphical models in the book's style: circles for variables, letters for parameters, plates, arrows for p and q."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Patch, Polygon

from aevb_utils.figures.diagram import (
    INK,
    LETTERS,
    LINE,
    MUTED,
    PAPER,
    SHADE,
    WORDS,
    Box,
    Shape,
    arrow,
    bend,
    curve,
    fit_to_page,
    pairs,
    refuse_shared_places,
    refuse_unknown,
    sheet,
    size_of,
    write,
)
from aevb_utils.figures.style import PALETTE

RADIUS = 0.28  # of a circle, in units
PLATE = 0.17  # from a circle to the border of its plate
NEST = 0.11  # from a plate to the one around it
DOTS = {r"$\cdots$", r"$\vdots$", r"$\ldots$", "…", "⋯"}  # they stand for what is left out, and have no circle

CORNERS = ("lower right", "lower left", "upper right", "upper left")
LIFT = 0.015  # of a label, whose letters mostly hang below the middle

Arc = tuple[tuple[str, str], Box]  # an arrow's two names, and what its curve fills


@dataclass(frozen=True)
class Plate:
    """A box around what is repeated, with its index.

    Attributes:
        names: of the nodes inside.
        label: the index, such as ``r"$i = 1, …, N$"``.
        corner: where the label stands: "lower right", "lower left", "upper right" or "upper left".
    """

    names: Collection[str]
    label: str
    corner: str = "lower right"


def graphical_model(
    nodes: Mapping[str, tuple[float, float, str]],
    edges: Sequence[tuple[str, ...]],
    q_edges: Sequence[tuple[str, ...]] = (),
    *,
    observed: Collection[str] = (),
    parameters: Collection[str] = (),
    deterministic: Collection[str] = (),
    plates: Sequence[Plate] = (),
) -> Figure:
    r"""Draw a graphical model: solid arrows for the generative model p, dashed purple ones for the inference model q.

    A random variable is a circle, shaded where it is observed; a deterministic one a diamond; a parameter a letter. An
    arrow that would run through another node, or over another arrow, is bent.

    Example::

        graphical_model(
            nodes={
                "z": (0, 1, r"$z_i$"), "x": (0, 0, r"$x_i$"), "theta": (1, 0, r"$\theta$"), "phi": (-1, 1, r"$\phi$"),
            },
            edges=[("theta", "x"), ("z", "x")],
            q_edges=[("phi", "z"), ("x", "z")],
            observed={"x"},
            parameters={"theta", "phi"},
            plates=[Plate({"z", "x"}, r"$i = 1, \ldots, N$")],
        )

    Args:
        nodes: for each name its place, x to the right and y upward, neighbors about 1 apart, and its label; the label
            ``r"$\cdots$"`` stands without a circle.
        edges: the arrows of p, from the first name to the second; with more names, from each to the next.
        q_edges: the arrows of q, in the same way.
        observed: names of nodes that are data.
        parameters: names of nodes that are no random variables; those that q alone uses are purple.
        deterministic: names of nodes that are functions of others, such as the state of a network.
        plates: boxes around what is repeated; one that holds all of another's nodes is drawn around it.

    Returns:
        The figure; in a notebook, as the last line of a cell, it shows itself.

    Raises:
        ValueError: there is no node, two are at one place, a name is none of them, an arrow or a plate has too few, or
            a plate's corner is no corner.
    """
    refuse_shared_places(nodes)
    p, q = pairs(edges, nodes), pairs(q_edges, nodes)
    refuse_unknown([*observed, *parameters, *deterministic], nodes, "The kinds of nodes")
    _check_plates(plates, nodes)
    fig, ax = sheet()
    inference = {name for name in (*parameters, *deterministic) if _only_in_q(name, p, q)}
    shapes = {}
    for name, (x, y, label) in nodes.items():
        color = PALETTE["q"] if name in inference else INK
        bare = name in parameters or label in DOTS
        patch = _diamond(x, y) if name in deterministic else Circle((x, y), _radius(label) if bare else RADIUS)
        patch.set(facecolor=SHADE if name in observed else PAPER, edgecolor=color, linewidth=1.4, zorder=3)
        patch.set(visible=not bare)
        ax.add_patch(patch)
        half = _half(patch)
        shapes[name] = Shape(x, y, half, half, patch)
        write(ax, x, y + LIFT, label, size=LETTERS, color=color)
    arcs = _draw_arrows(ax, shapes, p, q)
    boxes = _boxes(plates, shapes, arcs)
    for plate, box in zip(plates, boxes, strict=True):
        _draw_plate(ax, plate, box)
    fit_to_page(ax, [*boxes, *(shape.box for shape in shapes.values()), *(box for _, box in arcs)])
    return fig


def _check_plates(plates: Sequence[Plate], nodes: Mapping[str, object]) -> None:
    """Refuse plates that cannot be drawn."""
    for plate in plates:
        if isinstance(plate.names, str) or not plate.names:
            raise ValueError(f"A plate needs a collection of names, not {plate.names!r}: write them as {{'z', 'x'}}.")
        refuse_unknown(plate.names, nodes, "The plates")
        if plate.corner not in CORNERS:
            raise ValueError(f"A plate's corner is one of {', '.join(CORNERS)}, not {plate.corner!r}.")


def _only_in_q(name: str, p: list[tuple[str, str]], q: list[tuple[str, str]]) -> bool:
    """Whether a node has a part in q and none in p."""
    return any(name in pair for pair in q) and not any(name in pair for pair in p)


def _radius(label: str) -> float:
    """How far from the middle of a bare label arrows keep."""
    return max(0.13, size_of(label, LETTERS)[0] / 2 + 0.05)


def _diamond(x: float, y: float) -> Polygon:
    """The diamond around a point, as large to the eye as a circle."""
    r = 1.22 * RADIUS
    return Polygon([(x + r, y), (x, y + r), (x - r, y), (x, y - r)], joinstyle="round")


def _half(patch: Patch) -> float:
    """Half the width of a circle or a diamond."""
    return patch.radius if isinstance(patch, Circle) else 1.22 * RADIUS


def _boxes(plates: Sequence[Plate], shapes: Mapping[str, Shape], arcs: Sequence[Arc]) -> list[Box]:
    """The borders of the plates: around their nodes, arrows between these, smaller plates inside, and their labels."""
    found: dict[int, Box] = {}
    for k in sorted(range(len(plates)), key=lambda k: len(set(plates[k].names))):
        plate, names = plates[k], set(plates[k].names)
        around = [_grown(shapes[name].box, PLATE) for name in plate.names]
        around += [_grown(box, NEST) for pair, box in arcs if {*pair} <= names]
        around += [_grown(box, NEST) for j, box in found.items() if {*plates[j].names} <= names]
        left, bottom, right, top = (end(box[i] for box in around) for i, end in enumerate((min, min, max, max)))
        width, height = size_of(plate.label, WORDS)
        missing = max(0.0, width + 0.2 - (right - left)) / 2
        below, above = (height, 0.0) if plate.corner.startswith("lower") else (0.0, height)
        box = (left - missing, bottom - below, right + missing, top + above)
        found[k] = _apart(box, [other for j, other in found.items() if {*plates[j].names} & names])
    return [found[k] for k in range(len(plates))]


def _apart(box: Box, others: Sequence[Box]) -> Box:
    """A box with no border on the same line as that of a plate which it crosses: it grows on that side."""
    sides = list(box)
    for i, outward in enumerate((-1, -1, 1, 1)):
        while any(abs(sides[i] - other[i]) < 0.8 * NEST for other in others):
            sides[i] += outward * NEST
    return sides[0], sides[1], sides[2], sides[3]


def _grown(box: Box, by: float) -> Box:
    """A box with room around it."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _draw_plate(ax: Axes, plate: Plate, box: Box) -> None:
    """Draw a plate and its label in a corner."""
    left, bottom, right, top = box
    style = "round,pad=0,rounding_size=0.09"
    border = FancyBboxPatch((left, bottom), right - left, top - bottom, boxstyle=style, fill=False)
    border.set(edgecolor=LINE, linewidth=1.2, zorder=1)
    ax.add_patch(border)
    width, height = size_of(plate.label, WORDS)
    x = right - 0.1 - width / 2 if plate.corner.endswith("right") else left + 0.1 + width / 2
    y = bottom + 0.05 + height / 2 if plate.corner.startswith("lower") else top - 0.05 - height / 2
    write(ax, x, y, plate.label, size=WORDS, color=MUTED)


def _draw_arrows(
    ax: Axes, shapes: Mapping[str, Shape], p: list[tuple[str, str]], q: list[tuple[str, str]]
) -> list[Arc]:
    """Draw the arrows of p, then those of q, none over another."""
    taken: dict[tuple[str, str], list[float]] = {}
    filled = []
    for pair, in_q in [*((pair, False) for pair in p), *((pair, True) for pair in q)]:
        start, end = (shapes[name] for name in pair)
        others = [shape for name, shape in shapes.items() if name not in pair]
        back = [-rad for rad in taken.get(pair[::-1], [])]
        rad = bend(start, end, others, taken=[*taken.get(pair, []), *back])
        taken.setdefault(pair, []).append(rad)
        arrow(ax, start, end, rad, color=PALETTE["q"] if in_q else INK, dashed=in_q)
        points = curve(start, end, rad)
        filled.append((pair, (*points.min(axis=0), *points.max(axis=0))))
    return filled
