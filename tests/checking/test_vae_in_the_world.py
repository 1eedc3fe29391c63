"""What people report of public VAEs, each kind written afresh: what ``check_vae`` says of it unaided.

The table is on the site's page on ``check_vae``; no code of the repositories is here. Three well-known shapes that are
right follow: no mistake is found in them.
"""

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from vae_zoo import D, Dense, H, L, Logits, bernoulli_loss, data, kl

from aevb_utils.checking import check_vae

REPORTS = {}


def report(name, *keys):
    """Enter a function that returns the arguments of ``check_vae``, and the keys that must be found."""

    def enter(build):
        REPORTS[name] = keys, build
        return build

    return enter


class Pictures(nn.Module):
    """Three channels of 8 × 8, without batch normalization."""

    def __init__(self, end=nn.Sigmoid):
        super().__init__()
        torch.manual_seed(4)
        self.down = nn.Sequential(nn.Conv2d(3, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten())
        self.fc_mu, self.fc_var = nn.Linear(64, L), nn.Linear(64, L)
        self.up = nn.Sequential(nn.Linear(L, 64), nn.ReLU(), nn.Unflatten(1, (4, 4, 4)))
        self.last = nn.Sequential(nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1), end())

    def encode(self, x):
        h = self.down(x)
        return [self.fc_mu(h), self.fc_var(h)]

    def decode(self, z):
        return self.last(self.up(z))

    def reparameterize(self, mu, log_var):
        return torch.randn_like(mu) * torch.exp(0.5 * log_var) + mu

    def forward(self, x, **options):
        mu, log_var = self.encode(x)
        return [self.decode(self.reparameterize(mu, log_var)), x, mu, log_var]


def pictures(kind="grey"):
    return data(kind, shape=(3, 8, 8))


@report(
    "AppliedDataSciencePartners/WorldModels #12: the KL is 4e-7",
    "recon-mean-pixels",
    "kl-mean-latents",
)
def world_models():
    def loss(recon, x, mu, log_var):
        return 10 * (recon - x).square().mean() + kl(mu, log_var).mean()

    return Logits(), data("grey"), {"loss": loss}


@report("keras-team/keras #6015, keras-io #270: a mean over the latents?", "kl-mean-latents")
def mean_over_the_latents():
    def loss(recon, x, z_mean, z_log_var):
        image_loss = D * F.binary_cross_entropy(recon, x)
        return image_loss - 0.5 * torch.mean(1 + z_log_var - z_mean**2 - z_log_var.exp())

    return Dense(), data(), {"loss": loss}


@report("mkusner/grammarVAE #2, maxhodak/keras-molecules #59: the same over strings", "kl-mean-latents")
def grammar():
    length, words = 7, 5

    class Strings(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(5)
            self.hidden, self.mean, self.log_var = nn.Linear(length * words, H), nn.Linear(H, L), nn.Linear(H, L)
            self.out = nn.Linear(L, length * words)

        def forward(self, x):
            h = self.hidden(x.flatten(1)).tanh()
            mean, log_var = self.mean(h), self.log_var(h)
            z = mean + (log_var / 2).exp() * torch.randn_like(mean)
            return self.out(z).sigmoid().reshape(x.shape), mean, log_var

    def loss(x, x_decoded_mean, z_mean, z_log_var):
        xent = length * words * F.binary_cross_entropy(x_decoded_mean, x)
        return xent - 0.5 * (1 + z_log_var - z_mean**2 - z_log_var.exp()).mean(dim=-1).mean()

    x = F.one_hot(data("tokens", shape=(length,)), words).float()
    return Strings(), x, {"loss": loss}


@report("orybkin/sigma-vae-tensorflow #2: mean for MSE, sum for the others", "recon-mean-pixels", "kl-mean-latents")
def two_means():
    def loss(recon, x, mu, log_var):
        return F.mse_loss(recon, x) - torch.mean(0.5 * (1 + log_var - mu**2 - log_var.exp()))

    return Logits(), data("normal"), {"loss": loss}


@report("AntixK/PyTorch-VAE #11, #23, #35, #40, #56: why kld_weight = M/N?", "recon-mean-pixels", "kl-weight")
def vanilla():
    class Vanilla(Pictures):
        def loss_function(self, *args, **options):
            recons, x, mu, log_var = args
            weight = options.get("M_N", 0.00025)
            recons_loss = F.mse_loss(recons, x)
            kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
            return {"loss": recons_loss + weight * kld, "Reconstruction_Loss": recons_loss.detach()}

    return Vanilla(nn.Tanh), 2 * pictures() - 1, {}


@report("AntixK/PyTorch-VAE #68: the reported KLD is negative", "kl-reported-sign")
def reported():
    class Reported(Pictures):
        def loss_function(self, *args, **options):
            recons, x, mu, log_var = args
            recons_loss = (recons - x).square().flatten(1).sum(dim=1).mean()
            kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
            return {"loss": recons_loss + kld, "Reconstruction_Loss": recons_loss.detach(), "KLD": -kld.detach()}

    return Reported(nn.Tanh), 2 * pictures() - 1, {}


@report("AntixK/PyTorch-VAE #13: why not the distribution's own sample?", "blocked-sample")
def own_sample():
    class Sampled(Pictures):
        def reparameterize(self, mu, log_var):
            return torch.distributions.Normal(mu, torch.exp(0.5 * log_var)).sample()

    def loss(recon, x, mu, log_var):
        return F.binary_cross_entropy(recon, x, reduction="sum") + kl(mu, log_var).sum()

    return Sampled(), pictures("binary"), {"loss": lambda out, x: loss(out[0], x, out[2], out[3])}


@report("rachtsingh/ibp_vae #3, rishikksh20/vae_tacotron2 #3: exp(logvar) is a variance", "scale-mismatch")
def variance_for_scale():
    class Variance(Dense):
        def draw(self, mu, logvar):
            noise = mu.data.clone().normal_(0, 1)
            return mu + noise * logvar.exp()

    return Variance(), data(), {"loss": bernoulli_loss}


@report("keras-team/keras #4211: noise with a standard deviation of 0.01", "noise-scaled")
def small_noise():
    class Small(Dense):
        epsilon_std = 0.01

        def draw(self, mu, logvar):
            epsilon = torch.normal(torch.zeros_like(mu), self.epsilon_std)
            return mu + (logvar / 2).exp() * epsilon

    return Small(), data(), {"loss": bernoulli_loss}


@report("vanderschaarlab/synthcity #331, pyg-team/pytorch_geometric #500: NaN from exp(logvar)", "unbounded-width")
def overflow():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(6)
            self.encoder, self.decoder = nn.Sequential(nn.Linear(D, H), nn.LeakyReLU()), nn.Linear(L, D)
            self.mu_fc, self.logvar_fc = nn.Linear(H, L), nn.Linear(H, L)

        def training_step(self, x):
            h = self.encoder(x)
            mu, logvar = self.mu_fc(h), self.logvar_fc(h)
            recon = self.decoder(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar))
            return F.mse_loss(recon, x, reduction="sum") / len(x) + kl(mu, logvar).sum(dim=1).mean()

    model = Table()
    return model, data("normal"), {"step": model.training_step, "encoder": ("mu_fc", "logvar_fc")}


@report("lightning-bolts #177, yunjey/pytorch-tutorial #104: cross-entropy of normalized pixels", "data-outside")
def normalized_pixels():
    class Loss(nn.Module):
        def forward(self, recon, x, mu, log_var):
            bce = F.binary_cross_entropy_with_logits(recon, x, reduction="sum")
            return (bce + kl(mu, log_var).sum()) / len(x)

    class Plain(Pictures):
        def forward(self, x):
            recon, _, mu, log_var = super().forward(x)
            return recon, mu, log_var

    return Plain(nn.Identity), pictures("normal"), {"loss": Loss()}


@report("ReyhaneAskari/pytorch_experiments #6: the KLD is divided by 128 · 784", "batch-reduction", "kl-over-pixels")
def divided():
    def loss(recon, x, mu, logvar):
        bce = F.binary_cross_entropy(recon, x, reduction="sum")
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return bce + kld / x.numel()

    return Dense(), data(), {"loss": loss}


@pytest.mark.parametrize("name", REPORTS)
def test_what_people_report_is_found(name):
    keys, build = REPORTS[name]
    model, x, options = build()
    found = check_vae(model, x, **options)
    assert set(keys) <= found.keys
    assert {each.key for each in found.mistakes} <= set(keys), "nothing else is called a mistake"


# Right ones


class PyTorchExample(nn.Module):
    """The shape of PyTorch's own example: summed over the batch, exp without a bound."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 40), nn.Linear(40, 5), nn.Linear(40, 5)
        self.fc3, self.fc4 = nn.Linear(5, 40), nn.Linear(40, 784)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 784))
        std = torch.exp(0.5 * logvar)
        z = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def pytorch_loss(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


class PyroEncoder(nn.Module):
    """The shape of Pyro's tutorial: softplus, and the scale by exp."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(8)
        self.fc1, self.fc21, self.fc22 = nn.Linear(D, H), nn.Linear(H, L), nn.Linear(H, L)

    def forward(self, x):
        hidden = F.softplus(self.fc1(x))
        return self.fc21(hidden), torch.exp(self.fc22(hidden))


class PyroDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(9)
        self.fc1, self.fc21 = nn.Linear(L, H), nn.Linear(H, D)

    def forward(self, z):
        return torch.sigmoid(self.fc21(F.softplus(self.fc1(z))))


def trace_elbo(recon, x, z_loc, z_scale):
    q, p = torch.distributions.Normal(z_loc, z_scale), torch.distributions.Normal(0.0, 1.0)
    log_likelihood = torch.distributions.Bernoulli(recon, validate_args=False).log_prob(x).sum(-1)
    return -(log_likelihood - torch.distributions.kl_divergence(q, p).sum(-1)).sum()


class Posterior:
    """The shape of the Gaussian that latent diffusion's autoencoders return."""

    def __init__(self, moments):
        self.mean, self.logvar = moments.chunk(2, dim=1)
        self.logvar = self.logvar.clamp(-30.0, 20.0)
        self.std, self.var = (0.5 * self.logvar).exp(), self.logvar.exp()

    def sample(self):
        return self.mean + self.std * torch.randn_like(self.mean)

    def kl(self):
        return 0.5 * torch.sum(self.mean.pow(2) + self.var - 1.0 - self.logvar, dim=[1, 2, 3])


class AutoencoderKL(nn.Module):
    beta: ClassVar = 1e-6

    def __init__(self):
        super().__init__()
        torch.manual_seed(10)
        self.encoder, self.decoder = nn.Conv2d(3, 4, 2, stride=2), nn.ConvTranspose2d(2, 3, 2, stride=2)
        self.logvar = nn.Parameter(torch.zeros(()))

    def encode(self, x):
        return Posterior(self.encoder(x))

    def decode(self, z):
        return self.decoder(z)

    def training_loss(self, x):
        posterior = self.encode(x)
        error = (x - self.decode(posterior.sample())).abs()
        nll = (error / self.logvar.exp() + self.logvar).sum() / len(x)
        return nll + self.beta * posterior.kl().sum() / len(x)


LATENT_DIFFUSION = AutoencoderKL()
RIGHT = {
    "PyTorch's example": ((PyTorchExample(), data(shape=(1, 28, 28))), {"loss": pytorch_loss}),
    "Pyro's pieces": ((None, data()), {"encoder": PyroEncoder(), "decoder": PyroDecoder(), "loss": trace_elbo}),
    "latent diffusion's": ((LATENT_DIFFUSION, pictures("normal")), {"step": LATENT_DIFFUSION.training_loss}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_no_mistake_is_found_in_well_known_ones(name):
    given, options = RIGHT[name]
    report = check_vae(*given, **options)
    assert report.ok, report.findings
    assert report.held
    assert not [line for line in report.skipped if "loss" in line]
