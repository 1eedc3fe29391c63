"""Three models of other fields, written as a reader would from the template: survival times, topics, a mixed logistic.

Each is ``with_rows(kind)``: a model with nothing at a special value, and a few rows of data and context drawn from it.
"""

from typing import ClassVar

import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Dirichlet,
    Distribution,
    Gamma,
    Independent,
    LogisticNormal,
    LogNormal,
    Normal,
    constraints,
)

from aevb_utils.models.vae import AutoEncodingModel


class SampledKL(AutoEncodingModel):
    """Both terms from the same samples, for a prior and a q whose KL is not known."""

    def elbo_terms(self, x, *context, num_samples=1):
        q, p_z, p_x_given_z = self.parts(x, *context)
        z = q.rsample((num_samples,))
        minus_kl = (p_z.log_prob(z) - q.log_prob(z)).mean(dim=0)
        return {"reconstruction": p_x_given_z(z).log_prob(x).mean(dim=0), "minus_kl": minus_kl}


class Censored(Distribution):
    """Weibull times of a group, (…, group), of which some ended, some were still running, and some places are empty."""

    arg_constraints: ClassVar = {}
    has_rsample = False

    def __init__(self, log_rate, shape, ended, there):
        self.log_rate, self.shape, self.ended, self.there = log_rate, shape, ended, there
        super().__init__(log_rate.shape[:-1], log_rate.shape[-1:], validate_args=False)

    @property
    def support(self):
        return constraints.independent(constraints.nonnegative, 1)

    def log_prob(self, x):
        time = torch.where(self.there > 0, x, 1.0)
        log_hazard = self.log_rate + self.shape.log() + (self.shape - 1) * time.log()
        log_survival = -self.log_rate.exp() * time**self.shape
        return (self.there * (self.ended * log_hazard + log_survival)).sum(dim=-1)

    def sample(self, shape=()):
        with torch.no_grad():
            log_rate = self.log_rate.expand(*shape, *self.log_rate.shape)
            unit = -torch.rand_like(log_rate).clamp(min=1e-12).log()
            return self.there * (unit / log_rate.exp()) ** (1 / self.shape)


class Frailty(SampledKL):
    """Times x of the members of a group that share a frailty z; context: which ended, which places hold a time."""

    def __init__(self):
        super().__init__()
        self.beta, self.log_shape = nn.Parameter(torch.tensor(-0.4)), nn.Parameter(torch.tensor(0.2))
        self.log_kappa = nn.Parameter(torch.tensor(-0.7))
        self.encoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def p_z(self):
        rate = (-self.log_kappa).exp()[None]
        return Independent(Gamma(rate, rate), 1)

    def p_x_given_z(self, z, ended, there):
        return Censored(z.log() + self.beta + torch.zeros_like(there), self.log_shape.exp(), ended, there)

    def q_z_given_x(self, x, ended, there):
        events, exposure = (ended * there).sum(dim=-1), (there * x).sum(dim=-1)
        m, log_s = self.encoder(torch.stack([events, exposure], dim=-1).log1p()).chunk(2, dim=-1)
        return Independent(LogNormal(m, log_s.exp()), 1)

    def log_evidence(self, x, ended, there):
        """The frailty integrated out by hand."""
        one = self.p_x_given_z(x.new_ones(len(x), 1), ended, there)
        events = (ended * there).sum(dim=-1)
        hazard = (there * self.p_x_given_z(x.new_ones(len(x), 1), there * 0, there).log_prob(x)[:, None]).amin(dim=-1)
        rate = (-self.log_kappa).exp()
        gamma = torch.lgamma(events + rate) - torch.lgamma(rate) + rate * rate.log()
        return one.log_prob(x) - hazard + gamma - (events + rate) * (rate - hazard).log()


class Words(Distribution):
    """How often each word of a list stands in a text, with a total for each text, and the words' shares."""

    arg_constraints: ClassVar = {}
    has_rsample = False

    def __init__(self, shares, total):
        self.shares, self.total = shares, total
        super().__init__(shares.shape[:-1], shares.shape[-1:], validate_args=False)

    @property
    def support(self):
        return constraints.independent(constraints.nonnegative_integer, 1)

    def log_prob(self, x):
        constant = torch.lgamma(x.sum(dim=-1) + 1) - torch.lgamma(x + 1).sum(dim=-1)
        return constant + (x * self.shares.log()).sum(dim=-1)

    def sample(self, shape=()):
        shares = self.shares.expand(*shape, *self.shares.shape)
        total = self.total.expand(shares.shape[:-1])
        most = int(total.max())
        places = torch.multinomial(shares.reshape(-1, shares.shape[-1]), most, replacement=True).reshape(
            *total.shape, most
        )
        there = (torch.arange(most) < total[..., None]).to(shares)
        return torch.zeros_like(shares).scatter_add(-1, places, there)


class Topics(SampledKL):
    """Counts x of V words in a text of a known length, the context; z are the shares of K topics in it."""

    def __init__(self, V=12, K=3):
        super().__init__()
        self.words = nn.Parameter(torch.randn(K, V))
        self.log_alpha = nn.Parameter(torch.tensor([0.1, -0.2, 0.3])[:K])
        self.encoder = nn.Sequential(nn.Linear(V, 8), nn.Tanh(), nn.Linear(8, 2 * (K - 1)))

    def p_z(self):
        return Dirichlet(self.log_alpha.exp())

    def p_x_given_z(self, z, total):
        return Words(z @ self.words.softmax(dim=-1), total)

    def q_z_given_x(self, x, total):
        m, log_s = self.encoder((1 + x).log()).chunk(2, dim=-1)
        return LogisticNormal(m, log_s.exp())


class MixedLogistic(AutoEncodingModel):
    """Yes or no x, (batch, J), of the members of a group that share an intercept z; context: a covariate of each."""

    def __init__(self):
        super().__init__()
        self.b, self.log_sigma = nn.Parameter(torch.tensor([-0.3, 0.8])), nn.Parameter(torch.tensor(0.2))
        self.encoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def p_z(self):
        scale = self.log_sigma.exp()[None]
        return Independent(Normal(torch.zeros_like(scale), scale), 1)

    def p_x_given_z(self, z, covariate):
        return Independent(Bernoulli(logits=z + self.b[0] + self.b[1] * covariate), 1)

    def q_z_given_x(self, x, covariate):
        seen = torch.stack([x.mean(dim=-1), (x * covariate).mean(dim=-1)], dim=-1)
        m, log_s = self.encoder(seen).chunk(2, dim=-1)
        return Independent(Normal(m, log_s.exp()), 1)


def context_of(kind, rows, members=5):
    """What the model is told besides x, a few rows of it."""
    if issubclass(kind, Frailty):
        ended = (torch.rand(rows, members) < 0.7).double()
        there = (torch.arange(members) < torch.randint(2, members + 1, (rows, 1))).double()
        return ended * there, there
    if issubclass(kind, Topics):
        return (torch.randint(5, 40, (rows,)).double(),)
    return (torch.randn(rows, members, dtype=torch.float64),)


def with_rows(kind, rows=8, members=5, *, seed=0):
    """A model of the kind, with data of the right one and context; torch's global generator is left as it was."""
    right = next(each for each in kind.__mro__ if each.__module__ == __name__)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, source, context = kind().double(), right().double(), context_of(kind, rows, members)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model, source.sample(rows, *context)[0], *context
