"""The book's models, exported from their chapters by ``make export``."""

from aevb_utils.models.binomial_vae import BinomialVAE
from aevb_utils.models.conditional_vae import ConditionalVAE, DirectNetwork
from aevb_utils.models.factor_analysis import FactorAnalysis
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.logit_network import LogitNetwork
from aevb_utils.models.vae import VAE
from aevb_utils.models.variational_mixture import FreeLogits, VariationalMixture

__all__ = [
    "VAE",
    "BinomialVAE",
    "ConditionalVAE",
    "DirectNetwork",
    "FactorAnalysis",
    "FreeLogits",
    "GaussianMixture",
    "GaussianMixtureVAE",
    "LogitNetwork",
    "VariationalMixture",
]
