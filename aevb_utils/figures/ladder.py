"""The book's ladder, from EM to AEVB, as one picture: each rung changes one thing, and every model stands on top."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from aevb_utils.figures.style import PALETTE, STYLE


@dataclass(frozen=True)
class Rung:
    """A rung of the method: what its E-step and its M-step do, and which of the two is new."""

    chapter: int
    name: str
    e_step: str
    m_step: str
    changes: str  # "E", "M" or "EM"
    exact: bool = False  # whether q is the exact posterior


@dataclass(frozen=True)
class Model:
    """A model that the top rung trains: only its ELBO differs."""

    chapter: int
    name: str
    change: str


GROUND = Model(1, "Latent variable models", "evidence = ELBO + KL, for every q")
RUNGS: tuple[Rung, ...] = (
    Rung(2, "EM", "q = exact posterior", "θ in closed form", "EM", exact=True),
    Rung(3, "Gradient M-step", "q = exact posterior", "gradient on θ", "M", exact=True),
    Rung(3, "Variational E-step", "gradient on each λᵢ", "gradient on θ", "E"),
    Rung(4, "Amortized E-step", "gradient on φ, with λᵢ = fᵩ(xᵢ)", "gradient on θ", "E"),
    Rung(5, "Stochastic gradients", "estimated gradient on φ", "estimated gradient on θ", "EM"),
)
TOP = Model(6, "AEVB", "one estimated gradient step on φ and θ together")
MODELS: tuple[Model, ...] = (
    Model(7, "VAE", "deep p(x | z)"),
    Model(8, "Conditional\nVAE", "all given y"),
    Model(9, "Gaussian\nmixture VAE", "discrete latent"),
    Model(10, "Variational\nRNN", "latent per step"),
    Model(11, "Your own\nmodel", "your own ELBO"),
)
BEYOND = Model(12, "Beyond", "tighter bounds, flows, hierarchies, discrete codes")

INK, MUTED, LINE, PAPER, LIT = PALETTE["evidence"], "#5E5E5E", "#B5B5B5", "#FFFFFF", "#FFF1C2"
WIDTH, ROW, GAP = 700.0, 36.0, 9.0  # one unit is one pixel of the picture
LEFT, RIGHT = 8.0, WIDTH - 8.0
E_LEFT, M_LEFT = 240.0, 486.0
CARD, BRIDGE = 82.0, 40.0  # height of a model's card, and of the space below the cards


def ladder(lit: int | None = None) -> Figure:
    """Draw the ladder, with one chapter's place on it lit.

    Read it upward: chapter 1 is the ground, EM the first rung, AEVB the last, and the models stand on top. On each rung
    the step that changed has a tinted cell (green for the exact posterior, purple for q, blue for the ELBO of both),
    the one that stayed is gray.

    Args:
        lit: the chapter to light, 1 to 12; ``None`` lights none.

    Raises:
        ValueError: there is no such chapter.
    """
    _check(lit)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "figure.constrained_layout.use": False})
        height = 8.0 + (len(RUNGS) + 3) * (ROW + GAP) + BRIDGE + CARD + 8.0
        fig = Figure(figsize=(WIDTH / 96, height / 96), facecolor=PAPER)
        ax = fig.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.set(xlim=(0, WIDTH), ylim=(0, height))
        ax.axis("off")
        y = _method(ax, lit, bottom=8.0)
        y = _models(ax, lit, bottom=y)
        _wide_row(ax, BEYOND, y, lit=lit, dashed=True)
    return fig


def ladder_alt_text(lit: int | None = None) -> str:
    """Say in words what :func:`ladder` draws, for the figure's alt text.

    Args:
        lit: the chapter that is lit, 1 to 12; ``None`` for none.

    Raises:
        ValueError: there is no such chapter.
    """
    _check(lit)
    rungs = "; ".join(f"{r.name} (chapter {r.chapter}): {_change_in_words(r)}" for r in RUNGS)
    models = ", ".join(f"{_one_line(m.name)} ({m.chapter})" for m in MODELS)
    text = (
        f"A ladder, read from the ground up. Ground, chapter {GROUND.chapter}: {GROUND.name.lower()}. "
        f"Rungs: {rungs}; {TOP.name} (chapter {TOP.chapter}): {TOP.change}. "
        f"On top stand the models that one fit trains, by chapter: {models}. Above them, chapter {BEYOND.chapter}: "
        f"{BEYOND.change}."
    )
    return text if lit is None else f"{text} Chapter {lit} is lit."


def write(path: Path) -> None:
    """Write the unlit ladder as an SVG file; the same code gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "aevb", "svg.fonttype": "path"}):
        ladder().savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _check(lit: int | None) -> None:
    """Refuse a chapter that is not on the ladder."""
    if lit is not None and lit not in range(GROUND.chapter, BEYOND.chapter + 1):
        raise ValueError(
            f"The ladder has chapters {GROUND.chapter} to {BEYOND.chapter}, not {lit!r}: give one of them, or None."
        )


def _one_line(name: str) -> str:
    """A name that is broken in the picture, in one line."""
    return name.replace("\n", " ")


def _change_in_words(rung: Rung) -> str:
    """The new part of a rung."""
    parts = {"E": f"E-step, {rung.e_step}", "M": f"M-step, {rung.m_step}"}
    return " and ".join(parts[step] for step in rung.changes)


def _method(ax: Axes, lit: int | None, *, bottom: float) -> float:
    """Draw the ground, the two rails and the rungs; return where the models begin."""
    top = bottom + (len(RUNGS) + 2) * (ROW + GAP)
    for x in (LEFT + 26, RIGHT - 26):
        ax.plot([x, x], [bottom + ROW, top - GAP - ROW], color=LINE, linewidth=4, zorder=0)
    _wide_row(ax, GROUND, bottom, lit=lit)
    y = bottom + ROW + GAP
    for rung in RUNGS:
        _box(ax, LEFT, y, RIGHT - LEFT, ROW, lit=rung.chapter == lit)
        _badge(ax, LEFT + 26, y + ROW / 2, rung.chapter, lit=rung.chapter == lit)
        ax.text(LEFT + 50, y + ROW / 2, rung.name, color=INK, weight="bold", va="center", fontsize=9.5)
        _cell(ax, E_LEFT, y, "E", rung.e_step, PALETTE["posterior" if rung.exact else "q"], new="E" in rung.changes)
        _cell(ax, M_LEFT, y, "M", rung.m_step, INK, new="M" in rung.changes)
        y += ROW + GAP
    _wide_row(ax, TOP, y, lit=lit)
    _cell(ax, E_LEFT, y, "", "", PALETTE["elbo"], new=True)
    return y + ROW + GAP


def _models(ax: Axes, lit: int | None, *, bottom: float) -> float:
    """Draw the models side by side on the top rung; return where the last row begins."""
    width, y = (RIGHT - LEFT - 4 * GAP) / len(MODELS), bottom - GAP + BRIDGE
    for i, model in enumerate(MODELS):
        x, is_lit = LEFT + i * (width + GAP), model.chapter == lit
        ax.plot([x + width / 2] * 2, [bottom - GAP, y], color=LINE, linewidth=2, zorder=0)
        _box(ax, x, y, width, CARD, lit=is_lit)
        _badge(ax, x + 19, y + CARD - 27, model.chapter, lit=is_lit)
        ax.text(x + 37, y + CARD - 27, model.name, color=INK, weight="bold", va="center", fontsize=8.5)
        ax.text(x + width / 2, y + 18, model.change, color=MUTED, ha="center", va="center", fontsize=9)
    label = ax.text(WIDTH / 2, (bottom - GAP + y) / 2, "one fit, many models", color=INK, style="italic")
    label.set(ha="center", va="center", fontsize=9.5, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 3})
    return y + CARD + GAP


def _wide_row(ax: Axes, row: Model, y: float, *, lit: int | None, dashed: bool = False) -> None:
    """Draw a row that is not split into E and M."""
    is_lit = row.chapter == lit
    _box(ax, LEFT, y, RIGHT - LEFT, ROW, lit=is_lit, dashed=dashed)
    _badge(ax, LEFT + 26, y + ROW / 2, row.chapter, lit=is_lit)
    ax.text(LEFT + 50, y + ROW / 2, row.name, color=INK, weight="bold", va="center", fontsize=9.5)
    ax.text(E_LEFT + 10, y + ROW / 2, row.change, color=INK, va="center", fontsize=9.5)


def _box(ax: Axes, x: float, y: float, width: float, height: float, *, lit: bool, dashed: bool = False) -> None:
    """Draw the rounded board of a rung."""
    ax.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=8", facecolor=LIT if lit else PAPER,
            edgecolor=INK if lit else LINE, linewidth=2.2 if lit else 1.2, linestyle="--" if dashed else "-",
        )
    )  # fmt: skip


def _badge(ax: Axes, x: float, y: float, chapter: int, *, lit: bool) -> None:
    """Draw a chapter's number in a circle."""
    ax.add_patch(Circle((x, y), 12, facecolor=INK if lit else PAPER, edgecolor=INK, linewidth=1.4))
    ax.text(
        x, y - 0.5, str(chapter), color=PAPER if lit else INK, weight="bold", ha="center", va="center",
        fontsize=9,
    )  # fmt: skip


def _cell(ax: Axes, x: float, y: float, step: str, text: str, color: str, *, new: bool) -> None:
    """Draw one step of a rung: in color where it is new, in gray where it stayed."""
    if new:
        width = (M_LEFT if step == "E" else RIGHT) - x - 8
        tint = FancyBboxPatch((x, y + 6), width, ROW - 12, boxstyle="round,pad=0,rounding_size=6")
        tint.set(facecolor=[1 - 0.19 * (1 - c) for c in to_rgb(color)], edgecolor="none")
        ax.add_patch(tint)
    ink = INK if new else MUTED
    ax.text(x + 10, y + ROW / 2, step, color=ink, weight="bold", va="center", fontsize=9)
    ax.text(x + 29, y + ROW / 2, text, color=ink, va="center", fontsize=9)
