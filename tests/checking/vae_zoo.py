"""Ten small VAEs of the shapes that everybody writes, and their losses: right as they stand here, to be broken."""

import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)
from torch.nn import functional as F

D, L, H = 12, 3, 10
ROWS = 6


def data(kind="binary", rows=ROWS, shape=(D,)):
    """A few rows: ``binary``, ``grey``, ``normal``, ``bytes`` or ``tokens``."""
    generator = torch.Generator().manual_seed(11)
    u = torch.rand((rows, *shape), generator=generator)
    if kind == "binary":
        return (u > 0.6).float()
    if kind == "grey":
        return u
    if kind == "bytes":
        return (255 * u).round()
    if kind == "tokens":
        return (5 * u).long()
    return torch.randn((rows, *shape), generator=generator)


def kl(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


class Dense(nn.Module):
    """The usual one: two layers each way, log σ², a sigmoid at the end."""

    def __init__(self, out=D, extra=0):
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Linear(D + extra, H)
        self.fc_mu, self.fc_logvar = nn.Linear(H, L), nn.Linear(H, L)
        self.up, self.out = nn.Linear(L + extra, H), nn.Linear(H, out)

    def encode(self, x):
        h = torch.tanh(self.hidden(x.flatten(1)))
        return self.fc_mu(h), self.fc_logvar(h)

    def draw(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def logits(self, z):
        return self.out(torch.tanh(self.up(z)))

    def decode(self, z):
        return torch.sigmoid(self.logits(z))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.draw(mu, logvar)), mu, logvar


def bernoulli_loss(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    return (bce + kl(mu, logvar).sum()) / len(x)


class Logits(Dense):
    """The decoder returns logits."""

    def decode(self, z):
        return self.logits(z)


def logits_loss(recon, x, mu, logvar):
    bce = F.binary_cross_entropy_with_logits(recon, x, reduction="none").sum(dim=1)
    return (bce + kl(mu, logvar).sum(dim=1)).mean()


def gaussian_loss(recon, x, mu, logvar):
    return (0.5 * (recon - x).square().sum(dim=1) + kl(mu, logvar).sum(dim=1)).mean()


class Conv(nn.Module):
    """Two convolutions each way, batch normalization, for one channel of 8 × 8."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.fc_mu, self.fc_logvar = nn.Linear(64, L), nn.Linear(64, L)
        self.up = nn.Sequential(nn.Linear(L, 64), nn.Unflatten(1, (4, 4, 4)), nn.ReLU())
        self.out = nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)

    def encode(self, x):
        h = self.down(x)
        return self.fc_mu(h), self.fc_logvar(h)

    def decode(self, z):
        return torch.sigmoid(self.out(self.up(z)))

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + (logvar / 2).exp() * torch.randn_like(mu)
        return {"recon": self.decode(z), "mu": mu, "logvar": logvar}


def conv_loss(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="none").flatten(1).sum(dim=1)
    return (bce + kl(mu, logvar).sum(dim=1)).mean()


class Conditional(Dense):
    """A label goes into both networks."""

    def __init__(self):
        super().__init__(extra=2)

    def forward(self, x, y):
        mu, logvar = self.encode(torch.cat([x, y], dim=1))
        z = self.draw(mu, logvar)
        return self.decode(torch.cat([z, y], dim=1)), mu, logvar


def labels(rows=ROWS):
    return F.one_hot(torch.arange(rows) % 2, 2).float()


class Own(Dense):
    """The loss is a method; μ, log σ² and z are made inside."""

    beta = 1.0

    def loss(self, x):
        mu, logvar = self.encode(x)
        recon = self.decode(self.draw(mu, logvar))
        bce = F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1)
        return (bce + self.beta * kl(mu, logvar).sum(dim=1)).mean()


class Autoencoder(nn.Module):
    """A deterministic code, held to the prior by MMD: WAE-like."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.encoder, self.decoder = nn.Linear(D, L), nn.Linear(L, D)

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z), z


def wae_loss(recon, x, z):
    prior = torch.randn_like(z)
    near = [torch.exp(-torch.cdist(a, b)).mean() for a, b in ((z, z), (prior, prior), (z, prior))]
    return F.mse_loss(recon, x) + near[0] + near[1] - 2 * near[2]


class Recurrent(nn.Module):
    """A GRU each way over tokens."""

    def __init__(self, words=5):
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(words, H)
        self.reader, self.writer = nn.GRU(H, H, batch_first=True), nn.GRU(L, H, batch_first=True)
        self.fc_mu, self.fc_logvar, self.out = nn.Linear(H, L), nn.Linear(H, L), nn.Linear(H, words)

    def forward(self, x):
        _, h = self.reader(self.embed(x))
        mu, logvar = self.fc_mu(h[-1]), self.fc_logvar(h[-1])
        z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
        states, _ = self.writer(z[:, None].expand(-1, x.shape[1], -1).contiguous())
        return self.out(states), mu, logvar


def token_loss(recon, x, mu, logvar):
    nll = F.cross_entropy(recon.movedim(2, 1), x, reduction="none").sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


class LearnedWidth(Dense):
    """A Gaussian decoder with a mean and a log variance for each number."""

    def __init__(self):
        super().__init__(out=2 * D)

    def decode(self, z):
        return self.logits(z).chunk(2, dim=1)

    def forward(self, x):
        mu, logvar = self.encode(x)
        x_mean, x_logvar = self.decode(self.draw(mu, logvar))
        return x_mean, x_logvar, mu, logvar


def width_loss(output, x):
    x_mean, x_logvar, mu, logvar = output
    nll = 0.5 * ((x - x_mean).square() / x_logvar.exp() + x_logvar).sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


class SharedWidth(Dense):
    """One σ for all, a parameter of the model."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-0.7))

    def decode(self, z):
        return self.logits(z)

    def loss_function(self, recon, x, mu, logvar):
        nll = (0.5 * ((x - recon) / self.log_scale.exp()) ** 2 + self.log_scale).sum(dim=1)
        return (nll + kl(mu, logvar).sum(dim=1)).mean()


class WithDistributions(Dense):
    """The encoder returns σ in a Normal, the decoder a distribution."""

    family = Bernoulli

    def forward(self, x):
        mu, log_scale = self.encode(x)
        q = Normal(mu, log_scale.exp())
        return Independent(self.family(logits=self.logits(q.rsample())), 1), q


def distribution_loss(p_x, q, x):
    kl_ = kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1)
    return (kl_ - p_x.log_prob(x)).mean()


class Continuous(WithDistributions):
    family = ContinuousBernoulli


class MixtureLikelihood(WithDistributions):
    """Two Gaussians for each number of the data."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(H, 4 * D)

    def forward(self, x):
        mu, log_scale = self.encode(x)
        q = Normal(mu, log_scale.exp())
        logits, means = self.logits(q.rsample()).reshape(-1, D, 2, 2).unbind(-1)
        parts = Normal(means, torch.full_like(means, 0.7))
        return Independent(MixtureSameFamily(Categorical(logits=logits), parts), 1), q


class SampledKL(Dense):
    """Returns z, with which the KL is estimated."""

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = self.draw(mu, logvar)
        return self.decode(z), z, mu, logvar


def sampled_loss(recon, x, z, mu, logvar):
    q, p = Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)
    kl_ = (q.log_prob(z) - p.log_prob(z)).sum(dim=1)
    return (F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1) + kl_).mean()
