"""The book's one figure style, its palette, and the few pictures that chapters share.

Figures are drawn dark on white, as SVG; on a dark page the site inverts them and keeps their hues.
"""

import logging
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse
from matplotlib_inline.backend_inline import set_matplotlib_formats

PALETTE: dict[str, str] = {
    "evidence": "#222222",
    "elbo": "#0072B2",
    "kl": "#E69F00",
    "prior": "#808080",
    "posterior": "#009E73",
    "q": "#AA3377",
    "data": "#4D4D4D",
}
"""What a color means, in the whole book; from palettes made for color-blind readers (Okabe & Ito; Tol)."""

COMPONENTS: tuple[str, ...] = ("#7755CC", "#CC6677", "#44AA99", "#999933", "#882255", "#88CCEE")
"""Colors of mixture components and classes, in order: mid tones, which stay apart on a dark page too."""

STYLE: dict[str, Any] = {
    "figure.figsize": (6.4, 3.4),
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.grid": False,
    "axes.prop_cycle": mpl.cycler(color=["#0072B2", "#E69F00", "#009E73", "#AA3377", "#56B4E9", "#808080"]),
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "lines.linewidth": 1.8,
    "image.cmap": "binary",
    "svg.hashsalt": "aevb",  # the same figure gives the same bytes
}


def use_style() -> None:
    """Set the book's style for every figure that follows; in a notebook, also draw figures as SVG."""
    plt.rcParams.update(STYLE)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # a missing font is not the reader's concern
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None})


def covariance_ellipse(
    ax: Axes,
    mean: torch.Tensor,
    covariance: torch.Tensor,
    *,
    color: str,
    radii: Sequence[float] = (1.0, 2.0),
    label: str | None = None,
) -> None:
    """Draw the contours of a two-dimensional Gaussian: the points at Mahalanobis distance ``radii`` from its mean.

    Formula: with Σ = Q diag(s) Qᵀ the contour of radius ρ is the ellipse with axes ρ√s along the columns of Q.

    Args:
        ax: where to draw.
        mean: shape (2,).
        covariance: shape (2, 2), symmetric and positive definite.
        color: line color.
        radii: Mahalanobis distances.
        label: legend entry, given to the innermost contour.

    Raises:
        ValueError: the mean or covariance is not two-dimensional.
    """
    if tuple(mean.shape) != (2,) or tuple(covariance.shape) != (2, 2):
        raise ValueError(
            f"An ellipse needs a mean of shape (2,) and a covariance of shape (2, 2), not {tuple(mean.shape)} and "
            f"{tuple(covariance.shape)}: pick two dimensions first."
        )
    scales, axes = np.linalg.eigh(covariance.detach().cpu().numpy())
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    for i, radius in enumerate(sorted(radii)):
        width, height = 2 * radius * np.sqrt(scales[::-1])
        ellipse = Ellipse(mean.tolist(), width, height, angle=angle, fill=False, edgecolor=color, linewidth=1.8)
        ellipse.set(alpha=1.0 / (1 + 0.6 * i), label=label if i == 0 else None)
        ax.add_patch(ellipse)


def responsibility_colors(responsibilities: torch.Tensor) -> np.ndarray:
    """Mix the components' colors in the proportions of the responsibilities.

    Args:
        responsibilities: shape (N, C), rows sum to one.

    Returns:
        Array of shape (N, 3), red, green and blue in [0, 1].
    """
    base = np.array([to_rgb(COMPONENTS[c % len(COMPONENTS)]) for c in range(responsibilities.shape[1])])
    return np.clip(responsibilities.detach().cpu().numpy() @ base, 0.0, 1.0)


def evidence_bar(ax: Axes, elbo: float, evidence: float, *, limits: tuple[float, float]) -> None:
    """Draw evidence = ELBO + KL on an axis of nats: two marks, and the KL as the bar between them.

    Args:
        ax: where to draw.
        elbo: in nats.
        evidence: in nats; the KL is the difference.
        limits: left and right end of the axis, in nats.
    """
    ax.barh(0, evidence - elbo, left=elbo, height=0.3, color=PALETTE["kl"], label="KL")
    ax.plot([elbo], [0], "o", markersize=9, color=PALETTE["elbo"], label="ELBO", clip_on=False)
    ax.plot([evidence, evidence], [-0.4, 0.4], color=PALETTE["evidence"], linewidth=2.5, label="evidence")
    ax.set(xlim=limits, ylim=(-0.5, 0.5), yticks=[], xlabel="nats")
    ax.spines["left"].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(0, 1.5), ncols=3)
