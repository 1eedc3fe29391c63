"""Small models whose answers are known, for the tests."""

import math

import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence


class Conjugate(nn.Module):
    """z ~ 𝒩(0, I), x | z ~ 𝒩(Wz + b, σ²I), and q(z | x) diagonal and linear in x: evidence and posterior are exact."""

    def __init__(self, D=4, L=2, *, dropout=0.0, dtype=torch.float64):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.L = L
        self.W = nn.Parameter(torch.randn(D, L, generator=draw, dtype=torch.float64).to(dtype))
        self.b = nn.Parameter(torch.randn(D, generator=draw, dtype=torch.float64).to(dtype))
        self.log_sigma = nn.Parameter(torch.tensor(-0.3, dtype=dtype))
        self.encoder = nn.Linear(D, 2 * L, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for parameter in self.encoder.parameters():
                noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
                parameter.copy_(0.2 * noise)

    def p_z(self):
        return Independent(Normal(self.W.new_zeros(self.L), self.W.new_ones(self.L)), 1)

    def p_x_given_z(self, z):
        return Independent(Normal(z @ self.W.T + self.b, self.log_sigma.exp()), 1)

    def q_z_given_x(self, x):
        mean, log_scale = self.encoder(self.dropout(x)).chunk(2, dim=-1)
        return Independent(Normal(mean, log_scale.exp()), 1)

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return {
            "reconstruction": self.p_x_given_z(z).log_prob(x).mean(dim=0),
            "minus_kl": -kl_divergence(q, self.p_z()),
        }

    def elbo(self, x, *, num_samples=1):
        return sum(self.elbo_terms(x, num_samples=num_samples).values())

    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return self.p_x_given_z(z).log_prob(x) + self.p_z().log_prob(z) - q.log_prob(z)

    def log_evidence(self, x):
        noise = (2 * self.log_sigma).exp() * torch.eye(len(self.b)).to(x)
        return MultivariateNormal(self.b, self.W @ self.W.T + noise).log_prob(x)

    def posterior(self, x):
        precision = torch.eye(self.L).to(x) + self.W.T @ self.W * (-2 * self.log_sigma).exp()
        mean = torch.linalg.solve(precision, ((x - self.b) @ self.W).T).T * (-2 * self.log_sigma).exp()
        return MultivariateNormal(mean, precision_matrix=precision)

    def exact_elbo(self, x):
        """The ELBO of q(z | x), in closed form."""
        q = self.q_z_given_x(x)
        spread = (q.variance[:, None, :] * self.W.square()).sum(dim=(1, 2))
        residual = (x - self.b - q.mean @ self.W.T).square().sum(dim=1) + spread
        D = len(self.b)
        reconstruction = -D * (self.log_sigma + math.log(2 * math.pi) / 2) - residual * (-2 * self.log_sigma).exp() / 2
        return reconstruction - kl_divergence(q, self.p_z())

    def sample(self, n):
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).sample(), z

    def generative_parameters(self):
        return [self.W, self.b, self.log_sigma]

    def inference_parameters(self):
        return list(self.encoder.parameters())


def data_of(model, n=8, seed=1):
    """Data drawn from the model, (n, D); torch's global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.sample(n)[0]
