"""The book's models, exported from their chapters by ``make export``."""

from aevb_utils.models.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
