"""The chapter 2 mixture for gradients: θ as free numbers, and any q from logits.

Exported from notebooks/03_approximate_e_step.ipynb by ``make export``: edit the chapter.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MultivariateNormal, kl_divergence

from aevb_utils.models.gaussian_mixture import check_data
from aevb_utils.models.mixture_em import MixtureParameters, cholesky, log_joint


def to_free(covariances: Tensor) -> Tensor:
    """κ of eq. (3.4) for covariances (C, D, D): Cholesky factors, log on the diagonal."""
    factors = cholesky(covariances)  # K
    log_diagonal = factors.diagonal(dim1=-2, dim2=-1).log()
    return factors.tril(-1) + torch.diag_embed(log_diagonal)


def to_factors(free: Tensor) -> Tensor:
    """K of eq. (3.4), lower triangular with positive diagonal, (C, D, D), from κ."""
    diagonal = free.diagonal(dim1=-2, dim2=-1).exp()
    return free.tril(-1) + torch.diag_embed(diagonal)


class FreeMixture(nn.Module):
    """A Gaussian mixture whose θ are free numbers, eq. (3.4); x is (batch, D), in nats."""

    def __init__(self, start: MixtureParameters) -> None:
        super().__init__()
        if not (start.weights > 0).all():
            raise ValueError("Expected positive weights: a weight of 0 has no logit.")
        self.weight_logits = nn.Parameter(start.weights.log())  # α, (C,)
        self.means = nn.Parameter(start.means.clone())  # μ, (C, D)
        self.free_factors = nn.Parameter(to_free(start.covariances))  # κ, (C, D, D)

    def parameters_as_mixture(self) -> MixtureParameters:
        """π, μ and Σ, eq. (3.4), differentiable."""
        K = to_factors(self.free_factors)
        return MixtureParameters(self.weight_logits.softmax(dim=0), self.means, K @ K.mT)

    def log_joint(self, x: Tensor) -> Tensor:
        """The log of p(x_i, z_i = c), eq. (2.1), (batch, C)."""
        x = check_data(x, columns=self.means.shape[1])
        return log_joint(x, self.parameters_as_mixture())

    def log_evidence(self, x: Tensor) -> Tensor:
        """The log of p(x_i), eq. (2.2), (batch,)."""
        return self.log_joint(x).logsumexp(dim=1)

    def p_z(self) -> Categorical:
        """The prior of the component."""
        return Categorical(logits=self.weight_logits)

    def p_x_given_z(self, z: Tensor) -> MultivariateNormal:
        """The Gaussians of components z, a tensor of indices of any shape."""
        factors = to_factors(self.free_factors)
        return MultivariateNormal(self.means[z], scale_tril=factors[z])


class FreeLogits(nn.Module):
    """One row of logits λ_i for each of N data: an inference module without a network."""

    def __init__(self, N: int, C: int) -> None:
        super().__init__()
        self.lam = nn.Parameter(torch.zeros(N, C))  # q_ic = 1 / C

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """λ_i of the data with these row numbers, (batch, C); x itself is not used."""
        return self.lam[index]


Terms = dict[str, Tensor]  # the ELBO's terms by name, (batch,) each, in nats


def elbo_terms(model: FreeMixture, x: Tensor, q: Categorical) -> Terms:
    """E_q[log p(x | z)] and −KL(q ‖ p(z)) of each datum, eq. (1.21), in nats."""
    log_prior = model.p_z().logits  # log π, (C,)
    log_likelihood = model.log_joint(x) - log_prior  # log p(x | z = c), (batch, C)
    return {
        "reconstruction": (q.probs * log_likelihood).sum(dim=1),
        "minus_kl": -kl_divergence(q, model.p_z()),
    }


def log_weights(model: FreeMixture, x: Tensor, q: Categorical, samples: int) -> Tensor:
    """The log of p(x, z) / q(z) at samples z of q, (samples, batch), in nats."""
    z = q.sample((samples,))  # (samples, batch)
    joint = model.log_joint(x).expand(samples, -1, -1)  # (samples, batch, C)
    return joint.gather(-1, z[..., None])[..., 0] - q.log_prob(z)


@torch.no_grad()
def draw(model: FreeMixture, n: int) -> tuple[Tensor, Tensor]:
    """Draw n data, (n, D), and their components, (n,), by torch's global generator."""
    z = model.p_z().sample((n,))
    return model.p_x_given_z(z).sample(), z


def check_logits(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the logits, or say what is wrong with their shape.

    Raises:
        ValueError: they are not one row a datum and one column a component.
    """
    if logits.shape != shape:
        raise ValueError(
            f"Expected logits of shape (batch, C) = {shape}, not {tuple(logits.shape)}: "
            "the inference module gives a row a datum and a column a component."
        )
    return logits


class VariationalMixture(FreeMixture):
    """The mixture with q(z_i | x_i) = softmax of the logits ``inference(x, *context)``."""

    def __init__(self, start: MixtureParameters, inference: nn.Module) -> None:
        super().__init__(start)
        self.inference = inference  # its parameters are λ, or φ

    def posterior(self, x: Tensor) -> Categorical:
        """The exact p(z_i | x_i), eq. (2.6)."""
        return Categorical(logits=self.log_joint(x))

    def q_z_given_x(self, x: Tensor, *context: Tensor) -> Categorical:
        """The approximate posterior, one distribution a datum."""
        logits = self.inference(x, *context)
        return Categorical(logits=check_logits(logits, (len(x), len(self.means))))

    def elbo_terms(self, x: Tensor, *context: Tensor, num_samples: int = 1) -> Terms:
        """The two terms of eq. (1.21), (batch,) each, summed exactly over c."""
        return elbo_terms(self, x, self.q_z_given_x(x, *context))

    def elbo(self, x: Tensor, *context: Tensor, num_samples: int = 1) -> Tensor:
        """The ELBO of each datum, eq. (2.4), (batch,), summed exactly over c."""
        return sum(self.elbo_terms(x, *context).values())

    def log_weights(self, x: Tensor, *context: Tensor, num_samples: int) -> Tensor:
        """The log of p(x, z) / q(z | x) at samples of q, (num_samples, batch)."""
        return log_weights(self, x, self.q_z_given_x(x, *context), num_samples)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw n data, (n, D), and their components, (n,)."""
        return draw(self, n)

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ: what an M-step moves."""
        return [self.weight_logits, self.means, self.free_factors]

    def inference_parameters(self) -> list[nn.Parameter]:
        """λ or φ: what an E-step moves."""
        return list(self.inference.parameters())
