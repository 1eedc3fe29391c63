"""Small models written out by hand, as a reader writes them, with a place for each of the usual mistakes."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    Poisson,
    constraints,
    kl_divergence,
)
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot


class GaussianModel(nn.Module):
    """z ~ 𝒩(0, I), x | z Gaussian about a small network, a Gaussian q; every density and the KL by hand."""

    C = 0  # numbers of context a row
    unit = 1.0  # of x, where the encoder sees it

    def __init__(self, D=4, L=2, *, seed=0, hidden=6):
        super().__init__()
        self.D, self.L = D, L
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.encoder = nn.Linear(D + self.C, 2 * L)
            self.decoder = nn.Sequential(nn.Linear(L + self.C, hidden), nn.Tanh(), nn.Linear(hidden, D))
            self.log_scale = nn.Parameter(torch.tensor(-0.4))
            with torch.no_grad():
                self.encoder.weight.mul_(1.5)  # q is not the prior, nor far from it
                self.encoder.bias.copy_(torch.randn(2 * L) / 3)
        self.double()

    # The three distributions

    def p_z(self, *y):
        zero = self.log_scale.new_zeros(self.L)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def p_x_given_z(self, z, *y):
        return Independent(Normal(self.decode(z, *y), self.log_scale.exp()), 1)

    def q_z_given_x(self, x, *y):
        m, log_s = self.encode(x, *y)
        return Independent(Normal(m, log_s.exp()), 1)

    # What a mistake may change

    def encode(self, x, *y):
        return self.encoder(torch.cat([x / self.unit, *y], dim=-1)).chunk(2, dim=-1)

    def decode(self, z, *y):
        return self.decoder(torch.cat([z, *(part.expand(*z.shape[:-1], -1) for part in y)], dim=-1))

    def draw(self, m, log_s, num_samples):
        return m + log_s.exp() * torch.randn(num_samples, *m.shape, dtype=m.dtype)

    def log_likelihood(self, x, z, *y):
        return self.p_x_given_z(z, *y).log_prob(x)

    def log_prior(self, z, *y):
        return self.p_z(*y).log_prob(z)

    def kl(self, m, log_s, *y):
        return (0.5 * (m**2 + (2 * log_s).exp() - 1) - log_s).sum(dim=-1)

    # What follows

    def elbo_terms(self, x, *y, num_samples=1):
        m, log_s = self.encode(x, *y)
        z = self.draw(m, log_s, num_samples)
        return {"reconstruction": self.log_likelihood(x, z, *y).mean(dim=0), "minus_kl": -self.kl(m, log_s, *y)}

    def elbo(self, x, *y, num_samples=1):
        return sum(self.elbo_terms(x, *y, num_samples=num_samples).values())

    def log_weights(self, x, *y, num_samples):
        m, log_s = self.encode(x, *y)
        z = self.draw(m, log_s, num_samples)
        log_q = Independent(Normal(m, log_s.exp()), 1).log_prob(z)
        return self.log_likelihood(x, z, *y) + self.log_prior(z, *y) - log_q

    def sample(self, n):
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).sample(), z

    def inference_parameters(self):
        return list(self.encoder.parameters())

    def generative_parameters(self):
        phi = {id(parameter) for parameter in self.inference_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in phi]


class Discrete(GaussianModel):
    """Without a scale of x, which has none."""

    def __init__(self, D=4, L=2, **options):
        super().__init__(D, L, **options)
        self.log_scale.requires_grad_(False)
        del self.log_scale
        self.register_buffer("log_scale", torch.zeros((), dtype=torch.float64))


class BernoulliModel(Discrete):
    """Binary data; the log-likelihood is minus a cross-entropy."""

    def p_x_given_z(self, z, *y):
        return Independent(Bernoulli(logits=self.decode(z, *y)), 1)

    def log_likelihood(self, x, z, *y):
        logits = self.decode(z, *y)
        return -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(dim=-1)


class PoissonModel(Discrete):
    """Counts without an upper limit."""

    unit = 3.0

    def p_x_given_z(self, z, *y):
        return Independent(Poisson(self.decode(z, *y).exp()), 1)

    def log_likelihood(self, x, z, *y):
        log_rate = self.decode(z, *y)
        return (x * log_rate - log_rate.exp() - torch.lgamma(x + 1)).sum(dim=-1)


class BinomialModel(Discrete):
    """Counts of ten trials."""

    trials = 10
    unit = 10.0

    def p_x_given_z(self, z, *y):
        return Independent(Binomial(self.trials, logits=self.decode(z, *y)), 1)


class ConditionalModel(GaussianModel):
    """A label y, one-hot, that enters the prior, the encoder and the decoder."""

    C = 3

    def __init__(self, D=4, L=2, **options):
        super().__init__(D, L, **options)
        start = torch.arange(2 * L * self.C, dtype=torch.float64).reshape(2 * L, self.C)
        self.prior = nn.Parameter(0.5 * torch.sin(1 + start))  # mean and log σ of each class

    def prior_of(self, y):
        return (y @ self.prior.T).chunk(2, dim=-1)

    def p_z(self, y):
        m, log_s = self.prior_of(y)
        return Independent(Normal(m, log_s.exp()), 1)

    def kl(self, m, log_s, y):
        return kl_divergence(Independent(Normal(m, log_s.exp()), 1), ConditionalModel.p_z(self, y))

    def sample(self, n, y):
        z = self.p_z(y).sample()
        return self.p_x_given_z(z, y).sample(), z


class MixtureModel(GaussianModel):
    """z is one of three classes, summed out exactly; x given z is Gaussian."""

    def __init__(self, D=2, C=3, **options):
        super().__init__(D, C, **options)
        self.encoder = nn.Linear(D, C).double()
        self.decoder = None
        self.weight_logits = nn.Parameter(torch.linspace(-1, 1, C).double())
        self.means = nn.Parameter(torch.linspace(-2, 2, C * D).double().sin().reshape(C, D))

    def p_z(self):
        return Categorical(logits=self.weight_logits)

    def p_x_given_z(self, z):
        return Independent(Normal(self.means[z], self.log_scale.exp()), 1)

    def q_z_given_x(self, x):
        return Categorical(logits=self.encoder(x))

    def of_each_class(self, x):
        """log p(x | z = c), (batch, C)."""
        return self.p_x_given_z(torch.arange(self.L)).log_prob(x[:, None])

    def class_kl(self, q):
        return kl_divergence(q, self.p_z())

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        return {"reconstruction": (q.probs * self.of_each_class(x)).sum(dim=-1), "minus_kl": -self.class_kl(q)}

    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z = q.sample((num_samples,))
        return self.p_x_given_z(z).log_prob(x) + self.p_z().log_prob(z) - q.log_prob(z)


class MixtureOfLatents(GaussianModel):
    """A class y, then z given y, then x given z: two KLs, the sum over y exact."""

    K = 3

    def __init__(self, D=4, L=2, **options):
        super().__init__(D, L, **options)
        self.y_head = nn.Linear(D, self.K).double()
        self.means = nn.Parameter(torch.linspace(-1.5, 1.5, self.K * L).double().reshape(self.K, L))

    def p_y(self):
        return Categorical(probs=self.means.new_tensor([0.2, 0.3, 0.5]))

    def p_z_given_y(self, y):
        return Independent(Normal(self.means[y], 1.0), 1)

    def p_z(self):
        return MixtureSameFamily(self.p_y(), self.p_z_given_y(torch.arange(self.K)))

    def parts(self, x):
        m, log_s = self.encode(x)
        each = Independent(Normal(m[:, None] + 0.3 * self.means, log_s.exp()[:, None].expand(-1, self.K, -1)), 1)
        return Categorical(logits=self.y_head(x)), each

    def q_z_given_x(self, x):
        return MixtureSameFamily(*self.parts(x))

    def minus_kl_y(self, q_y):
        return -kl_divergence(q_y, self.p_y())

    def log_p_y(self, y):
        return self.p_y().log_prob(y)

    def elbo_terms(self, x, *, num_samples=1):
        q_y, q_z = self.parts(x)
        z = q_z.rsample((num_samples,))
        each = self.p_x_given_z(z).log_prob(x[:, None]).mean(dim=0)
        kl_z = kl_divergence(q_z, self.p_z_given_y(torch.arange(self.K)))
        return {
            "reconstruction": (q_y.probs * each).sum(dim=-1),
            "minus_kl_z": -(q_y.probs * kl_z).sum(dim=-1),
            "minus_kl_y": self.minus_kl_y(q_y),
        }

    def log_weights(self, x, *, num_samples):
        q_y, q_z = self.parts(x)
        y = q_y.sample((num_samples,))
        at_y = (one_hot(y, self.K).double()[..., None] * q_z.mean).sum(dim=-2)
        of_z = Independent(Normal(at_y, q_z.stddev[:, 0]), 1)
        z = of_z.rsample()
        log_joint = self.log_p_y(y) + self.p_z_given_y(y).log_prob(z) + self.p_x_given_z(z).log_prob(x)
        return log_joint - q_y.log_prob(y) - of_z.log_prob(z)

    def inference_parameters(self):
        return [*self.encoder.parameters(), *self.y_head.parameters()]


class Chain(Distribution):
    """(z₁, z₂) in one vector: the first is Gaussian, the second given the first too."""

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, first: Independent, given):
        self.first, self.given = first, given
        super().__init__(first.batch_shape, torch.Size([2 * first.event_shape[0]]))

    def rsample(self, sample_shape=()) -> Tensor:
        first = self.first.rsample(sample_shape)
        return torch.cat([first, self.given(first).rsample()], dim=-1)

    def log_prob(self, value) -> Tensor:
        first, second = value.chunk(2, dim=-1)
        return self.first.log_prob(first) + self.given(first).log_prob(second)

    def expand(self, batch_shape, _instance=None):
        return Chain(self.first.expand(batch_shape), self.given)


class HierarchicalModel(GaussianModel):
    """Two layers of latents, z₂ ~ 𝒩(0, I), z₁ | z₂, x | z₁; z = (z₂, z₁) in the prior's order; the KL by samples."""

    def __init__(self, D=4, L=2, **options):
        super().__init__(D, L, **options)
        self.upper = nn.Linear(L, L).double()
        self.second = nn.Linear(L, L).double()  # of q

    def p_z(self):
        top = self.log_scale.new_zeros(self.L)
        return Chain(
            Independent(Normal(top, torch.ones_like(top)), 1), lambda z: Independent(Normal(self.upper(z), 0.7), 1)
        )

    def p_x_given_z(self, z):
        return Independent(Normal(self.decoder(z[..., self.L :]), self.log_scale.exp()), 1)

    def q_z_given_x(self, x):
        m, log_s = self.encode(x)
        return Chain(Independent(Normal(m, log_s.exp()), 1), lambda z: Independent(Normal(self.second(z), 0.6), 1))

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return {
            "reconstruction": self.log_likelihood(x, z).mean(dim=0),
            "minus_kl": (self.log_prior(z) - q.log_prob(z)).mean(dim=0),
        }

    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return self.log_likelihood(x, z) + self.log_prior(z) - q.log_prob(z)

    def inference_parameters(self):
        return [*self.encoder.parameters(), *self.second.parameters()]


def with_data(kind, rows=6, **options):
    """A model and data drawn from one of its kind that is right: (model, x, *context), always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(**options)
        right = next(base for base in kind.__mro__ if base.__module__ == __name__)(**options)
        torch.manual_seed(1)
        if right.C:
            y = torch.eye(right.C).double().repeat(1 + rows // right.C, 1)[:rows]
            return model, right.sample(rows, y)[0], y
        return model, right.sample(rows)[0]
