"""The book's models, exported from their chapters by ``make export``."""

from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.variational_mixture import FreeLogits, VariationalMixture

__all__ = ["FreeLogits", "GaussianMixture", "VariationalMixture"]
