"""The book's models, exported from their chapters by ``make export``."""

from aevb_utils.models.binomial_vae import BinomialVAE
from aevb_utils.models.clustered_start import JitteredVAE
from aevb_utils.models.conditional_vae import ConditionalVAE, DirectNetwork
from aevb_utils.models.factor_analysis import FactorAnalysis
from aevb_utils.models.flow_vae import FlowVAE
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.item_response import ItemResponse
from aevb_utils.models.linear_state_space import ExactStateSpace
from aevb_utils.models.local_level import LocalLevel
from aevb_utils.models.logit_network import LogitNetwork
from aevb_utils.models.masked_factor_analysis import MaskedFactorAnalysis
from aevb_utils.models.mixture_checks import check_data
from aevb_utils.models.mixture_doubts import doubts
from aevb_utils.models.mixture_em import FitError, MixtureParameters
from aevb_utils.models.recipe import FreeParameters, SampledKL
from aevb_utils.models.vae import VAE
from aevb_utils.models.variational_mixture import FreeLogits, VariationalMixture
from aevb_utils.models.variational_rnn import RecurrentNetwork, VariationalRNN

__all__ = [
    "VAE",
    "BinomialVAE",
    "ConditionalVAE",
    "DirectNetwork",
    "ExactStateSpace",
    "FactorAnalysis",
    "FitError",
    "FlowVAE",
    "FreeLogits",
    "FreeParameters",
    "GaussianMixture",
    "GaussianMixtureVAE",
    "ItemResponse",
    "JitteredVAE",
    "LocalLevel",
    "LogitNetwork",
    "MaskedFactorAnalysis",
    "MixtureParameters",
    "RecurrentNetwork",
    "SampledKL",
    "VariationalMixture",
    "VariationalRNN",
    "check_data",
    "doubts",
]
