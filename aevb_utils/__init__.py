"""Helper package of the book *From EM to AEVB*: data, figures, checks and the book's models."""

from aevb_utils.evaluation.devices import compute_on
from aevb_utils.training import History, fit

__all__ = ["History", "compute_on", "fit"]
