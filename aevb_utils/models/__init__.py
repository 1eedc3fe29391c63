"""The book's models, exported from their chapters by ``make export``: edit the chapters."""

from aevb_utils.models.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
