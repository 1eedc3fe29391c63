"""Helper package of the book *From EM to AEVB*: data, figures, checks and the book's models."""

from typing import TYPE_CHECKING

from aevb_utils.lazy import lazily

if TYPE_CHECKING:
    from aevb_utils.evaluation.devices import compute_on
    from aevb_utils.training import History, fit

__all__ = ["History", "compute_on", "fit"]

__getattr__ = lazily(__name__, evaluation=("compute_on",), training=("History", "fit"))
