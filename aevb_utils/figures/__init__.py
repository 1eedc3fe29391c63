"""Figures: the book's style and palette, its ladder, diagrams, viewers that need no kernel, and their live twins."""

from aevb_utils.figures.computing import ComputingFigure
from aevb_utils.figures.flow import Gradient, flow_chart
from aevb_utils.figures.graphical import Plate, graphical_model
from aevb_utils.figures.ladder import ladder, ladder_alt_text
from aevb_utils.figures.live import live
from aevb_utils.figures.style import (
    COMPONENTS,
    PALETTE,
    STYLE,
    covariance_ellipse,
    evidence_bar,
    responsibility_colors,
    use_style,
)
from aevb_utils.figures.viewer import MAX_FRAMES, Viewer, viewer

__all__ = [
    "COMPONENTS",
    "MAX_FRAMES",
    "PALETTE",
    "STYLE",
    "ComputingFigure",
    "Gradient",
    "Plate",
    "Viewer",
    "covariance_ellipse",
    "evidence_bar",
    "flow_chart",
    "graphical_model",
    "ladder",
    "ladder_alt_text",
    "live",
    "responsibility_colors",
    "use_style",
    "viewer",
]
