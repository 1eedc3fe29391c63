"""Item response theory: right and wrong answers, explained by one ability a person.

Exported from notebooks/11_your_own_model.ipynb by ``make export``: edit the chapter.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal

from aevb_utils.evaluation.quadrature import gauss_hermite
from aevb_utils.inputs import check_finite, check_sizes
from aevb_utils.models.vae import AutoEncodingModel, check_rows


class ItemResponse(AutoEncodingModel):
    """The two-parameter logistic model of D answers, eqs. (11.2) and (11.5); in nats."""

    def __init__(self, D: int, hidden: int = 8, nodes: int = 61) -> None:
        super().__init__()
        check_sizes(D=D, hidden=hidden, nodes=nodes)
        self.D, self.nodes = D, nodes
        self.a = nn.Parameter(torch.ones(D))  # discriminations
        self.b = nn.Parameter(torch.zeros(D))  # eases
        layers = (nn.Linear(D, hidden), nn.Tanh(), nn.Linear(hidden, 2))
        self.encoder = nn.Sequential(*layers)

    def p_z(self) -> Independent:
        """Ability, N(0, 1)."""
        return Independent(Normal(self.b.new_zeros(1), self.b.new_ones(1)), 1)

    def p_x_given_z(self, z: Tensor) -> Independent:
        """Bernoulli answers, eq. (11.2), for z of shape (…, 1)."""
        return Independent(Bernoulli(logits=self.a * z + self.b), 1)

    def q_z_given_x(self, x: Tensor) -> Independent:
        """The Gaussian of eq. (11.5), for answers of shape (batch, D)."""
        check_rows(x, self.D, self.b.dtype)
        m, log_s = self.encoder(x - 0.5).chunk(2, dim=-1)
        return Independent(Normal(m, log_s.exp()), 1)

    def log_evidence(self, x: Tensor) -> Tensor:
        """By Gauss–Hermite quadrature, eq. (11.4), (batch,)."""
        check_rows(x, self.D, self.b.dtype)
        check_finite(x)
        if not ((x == 0) | (x == 1)).all():
            raise ValueError("Answers must be 0, wrong, or 1, right.")
        u, w = (part.to(x) for part in gauss_hermite(self.nodes, 1))
        log_likelihood = self.p_x_given_z(u[:, None]).log_prob(x)  # (nodes, batch)
        return (log_likelihood + w.log()[:, None]).logsumexp(dim=0)
