"""Mistakes that people make in VAEs, planted in ten architectures: ``check_vae`` names each by its key."""

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F
from vae_zoo import (
    Autoencoder,
    Conditional,
    Continuous,
    Conv,
    D,
    Dense,
    H,
    L,
    LearnedWidth,
    Logits,
    MixtureLikelihood,
    Recurrent,
    SampledKL,
    WithDistributions,
    bernoulli_loss,
    conv_loss,
    data,
    gaussian_loss,
    kl,
    labels,
    logits_loss,
    sampled_loss,
    wae_loss,
)

from aevb_utils.checking import check_vae

PLANTED = {}


def plant(key, kind="binary", model=Dense, shape=(D,), context=(), **options):
    """Enter a loss, or a model class with the loss ``loss``, into the table; the key is what must be found."""

    def enter(given):
        loss, build = (options.pop("loss", None), given) if isinstance(given, type) else (given, model)
        PLANTED[given.__name__] = (key, build, loss, data(kind, shape=shape), context, options)
        return given

    return enter


def bce(recon, x):
    return F.binary_cross_entropy(recon, x, reduction="none").flatten(1).sum(dim=1)


# The KL


@plant("kl-sign")
def added_elbo(recon, x, mu, logvar):
    return (bce(recon, x) - kl(mu, logvar).sum(dim=1)).mean()


@plant("kl-sign", kind="tokens", model=Recurrent, shape=(7,))
def sign_in_a_sequence(recon, x, mu, logvar):
    nll = F.cross_entropy(recon.movedim(2, 1), x, reduction="sum")
    return nll + 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())


@plant("kl-sign", kind="normal", model=MixtureLikelihood)
def sign_with_a_mixture(p_x, q, x):
    return -(p_x.log_prob(x) + kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1)).mean()


@plant("kl-mean-latents")
def mean_over_latents(recon, x, mu, logvar):
    return bce(recon, x).mean() + kl(mu, logvar).mean()


@plant("kl-mean-latents", model=Conv, shape=(1, 8, 8))
def mean_over_latents_of_images(recon, x, mu, logvar):
    return (bce(recon, x) - 0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)).mean()


@plant("kl-mean-latents", kind="normal", model=LearnedWidth)
def mean_over_latents_with_width(output, x):
    x_mean, x_logvar, mu, logvar = output
    nll = 0.5 * ((x - x_mean).square() / x_logvar.exp() + x_logvar).sum(dim=1)
    return (nll + kl(mu, logvar).mean(dim=1)).mean()


@plant("kl-weight", kind="binary")
def data_set_in_the_weight(recon, x, mu, logvar, kld_weight=0.00025):
    return (bce(recon, x) + kld_weight * kl(mu, logvar).sum(dim=1)).mean()


@plant("kl-weight", model=Logits)
def beta_four(recon, x, mu, logvar):
    nll = F.binary_cross_entropy_with_logits(recon, x, reduction="none").sum(dim=1)
    return (nll + 4 * kl(mu, logvar).sum(dim=1)).mean()


@plant("kl-weight")
def no_half_at_all(recon, x, mu, logvar):
    return (bce(recon, x) + (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)).mean()


@plant("kl-over-pixels")
def divided_by_the_pixels(recon, x, mu, logvar):
    return (bce(recon, x) + kl(mu, logvar).sum(dim=1) / x[0].numel()).mean()


@plant("kl-half")
def no_half_of_the_square(recon, x, mu, logvar):
    return (bce(recon, x) + (mu**2 + 0.5 * (logvar.exp() - 1 - logvar)).sum(dim=1)).mean()


@plant("kl-half")
def half_the_logarithm(recon, x, mu, logvar):
    return (bce(recon, x) + 0.5 * (mu**2 + logvar.exp() - 1 - 0.5 * logvar).sum(dim=1)).mean()


@plant("kl-term")
def no_square_of_the_mean(recon, x, mu, logvar):
    return (bce(recon, x) + 0.5 * (mu + logvar.exp() - 1 - logvar).sum(dim=1)).mean()


@plant("kl-term")
def no_logarithm(recon, x, mu, logvar):
    return (bce(recon, x) + 0.5 * (mu**2 + logvar.exp() - 1).sum(dim=1)).mean()


@plant("kl-term")
def sign_of_one_part(recon, x, mu, logvar):
    return (bce(recon, x) - 0.5 * torch.sum(1 + logvar + mu**2 - logvar.exp(), dim=1)).mean()


@plant("kl-reverse", model=WithDistributions)
def exchanged_distributions(p_x, q, x):
    return (kl_divergence(Normal(0.0, 1.0), q).sum(dim=1) - p_x.log_prob(x)).mean()


@plant("kl-missing", model=Conditional, context=(labels(),))
def forgotten(recon, x, mu, logvar):
    return bce(recon, x).mean()


@plant("kl-detached")
def item_of_the_kl(recon, x, mu, logvar):
    return bce(recon, x).mean() + kl(mu, logvar).sum(dim=1).mean().item()


@plant("kl-detached", kind="normal", model=Logits)
def detached_kl(recon, x, mu, logvar):
    return (0.5 * (recon - x).square().sum(dim=1) + kl(mu, logvar).sum(dim=1).detach()).mean()


@plant("scale-mismatch")
def log_scale_in_the_kl(recon, x, mu, logvar):
    return (bce(recon, x) + (0.5 * (mu**2 + (2 * logvar).exp() - 1) - logvar).sum(dim=1)).mean()


@plant("kl-reported-sign")
def reported_with_the_other_sign(recon, x, mu, logvar):
    term = -kl(mu, logvar).sum(dim=1).mean()
    return {"loss": bce(recon, x).mean() - term, "bce": bce(recon, x).mean().detach(), "kld": term.detach()}


# The reconstruction


@plant("recon-mean-pixels")
def mean_over_pixels(recon, x, mu, logvar):
    return F.binary_cross_entropy(recon, x) + kl(mu, logvar).sum(dim=1).mean()


@plant("recon-mean-pixels", kind="normal", model=Logits)
def mean_squared_error(recon, x, mu, logvar):
    return F.mse_loss(recon, x) + kl(mu, logvar).sum(dim=1).mean()


@plant("recon-mean-pixels", kind="tokens", model=Recurrent, shape=(7,))
def mean_over_steps(recon, x, mu, logvar):
    return F.cross_entropy(recon.movedim(2, 1), x) + kl(mu, logvar).sum(dim=1).mean()


@plant("recon-mean-pixels", model=Conv, shape=(1, 8, 8))
def mean_over_rows_of_an_image(recon, x, mu, logvar):
    nll = F.binary_cross_entropy(recon, x, reduction="none").mean(dim=-1).sum(dim=(1, 2))
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


@plant("batch-reduction")
def mean_and_sum_over_the_batch(recon, x, mu, logvar):
    return bce(recon, x).mean() + kl(mu, logvar).sum()


@plant("batch-reduction", kind="normal", model=Logits)
def mean_of_everything_beside_a_sum(recon, x, mu, logvar):
    return F.mse_loss(recon, x) + kl(mu, logvar).sum()


@plant("sigmoid-twice")
def logits_loss_of_probabilities(recon, x, mu, logvar):
    nll = F.binary_cross_entropy_with_logits(recon, x, reduction="none").sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


@plant("sigmoid-twice", model=Logits)
def sigmoid_in_the_logits_loss(recon, x, mu, logvar):
    nll = F.binary_cross_entropy_with_logits(recon.sigmoid(), x, reduction="none").sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


@plant("bce-on-logits", model=Logits)
def cross_entropy_of_logits(recon, x, mu, logvar):
    return (bce(recon, x) + kl(mu, logvar).sum(dim=1)).mean()


@plant("data-outside", kind="bytes", model=Logits)
def bytes_under_bernoulli(recon, x, mu, logvar):
    return logits_loss(recon, x, mu, logvar)


@plant("data-outside", kind="normal")
def standardized_under_bernoulli(recon, x, mu, logvar):
    return bernoulli_loss(recon, x, mu, logvar)


@plant("grey-pixels", kind="grey", model=Conv, shape=(1, 8, 8))
def grey_under_bernoulli(recon, x, mu, logvar):
    return conv_loss(recon, x, mu, logvar)


@plant("range-mismatch", kind="normal")
def sigmoid_for_any_number(recon, x, mu, logvar):
    return gaussian_loss(recon, x, mu, logvar)


@plant("swapped", kind="grey")
def arguments_exchanged(recon, x, mu, logvar):
    return (bce(x, recon) + kl(mu, logvar).sum(dim=1)).mean()


@plant("fixed-sigma", kind="normal", model=Logits)
def sum_of_squares(recon, x, mu, logvar):
    return ((recon - x).square().sum(dim=1) + kl(mu, logvar).sum(dim=1)).mean()


@plant("no-log-scale", kind="normal", model=LearnedWidth)
def forgotten_log_scale(output, x):
    x_mean, x_logvar, mu, logvar = output
    nll = 0.5 * ((x - x_mean).square() / x_logvar.exp()).sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


@plant("no-log-scale", kind="normal", model=LearnedWidth)
def half_missing_in_the_gaussian(output, x):
    x_mean, x_logvar, mu, logvar = output
    nll = ((x - x_mean).square() / x_logvar.exp() + 0.5 * x_logvar).sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


@plant("recon-sign", model=Continuous, kind="grey")
def likelihood_for_minus_it(p_x, q, x):
    return (kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1) + p_x.log_prob(x)).mean()


@plant("loss-sign", model=Continuous, kind="grey")
def elbo_minimized(p_x, q, x):
    return (p_x.log_prob(x) - kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1)).mean()


@plant("recon-missing")
def detached_reconstruction(recon, x, mu, logvar):
    return (bce(recon.detach(), x) + kl(mu, logvar).sum(dim=1)).mean()


@plant("log-zero")
def logarithms_by_hand(recon, x, mu, logvar):
    nll = -(x * torch.log(recon) + (1 - x) * torch.log(1 - recon)).sum(dim=1)
    return (nll + kl(mu, logvar).sum(dim=1)).mean()


# The samples


@plant("blocked-sample", loss=bernoulli_loss)
class SampleForRsample(Dense):
    def draw(self, mu, logvar):
        return Normal(mu, (0.5 * logvar).exp()).sample()


@plant("blocked-sample", loss=bernoulli_loss)
class TorchNormal(Dense):
    def draw(self, mu, logvar):
        return torch.normal(mu, (0.5 * logvar).exp())


@plant("blocked-sample", loss=logits_loss)
class DetachedCode(Logits):
    def draw(self, mu, logvar):
        return super().draw(mu, logvar).detach()


@plant("blocked-scale", loss=bernoulli_loss)
class WidthWithoutGradient(Dense):
    def draw(self, mu, logvar):
        return mu + (0.5 * logvar).exp().detach() * torch.randn_like(mu)


@plant("no-noise", loss=bernoulli_loss, context=(labels(),))
class MeansInTraining(Conditional):
    def draw(self, mu, logvar):
        return mu


@plant("noise-unused", loss=bernoulli_loss)
class NoiseOfWidthOne(Dense):
    def draw(self, mu, logvar):
        return mu + torch.randn_like(mu)


@plant("noise-uniform", loss=gaussian_loss, kind="normal")
class UniformNoise(Logits):
    def draw(self, mu, logvar):
        return mu + (0.5 * logvar).exp() * torch.rand_like(mu)


@plant("noise-shared", loss=bernoulli_loss)
class OneNoiseForTheBatch(Dense):
    def draw(self, mu, logvar):
        return mu + (0.5 * logvar).exp() * torch.randn(mu.shape[1])


@plant("noise-scaled", loss=bernoulli_loss)
class HalfTheNoise(Dense):
    def draw(self, mu, logvar):
        return mu + 0.1 * (0.5 * logvar).exp() * torch.randn_like(mu)


@plant("scale-mismatch", loss=bernoulli_loss)
class LogVarianceAsLogScale(Dense):
    def draw(self, mu, logvar):
        return mu + logvar.exp() * torch.randn_like(mu)


@plant("scale-mismatch", loss=sampled_loss)
class OtherWidthInTheSample(SampledKL):
    def draw(self, mu, logvar):
        return mu + logvar.exp() * torch.randn_like(mu)


@plant("evaluation-mean", loss=bernoulli_loss)
class MeansInEvaluation(Dense):
    def draw(self, mu, logvar):
        return super().draw(mu, logvar) if self.training else mu


# The networks


@plant("dropout-on", loss=bernoulli_loss)
class DropoutAlways(Dense):
    def encode(self, x):
        return super().encode(F.dropout(x, 0.2))


@plant("batch-statistics", loss=bernoulli_loss)
class BatchMean(Dense):
    def encode(self, x):
        return super().encode(x - x.mean(dim=0))


@plant("batch-statistics", loss=conv_loss, shape=(1, 8, 8))
class NoRunningStatistics(Conv):
    def __init__(self):
        super().__init__()
        self.down[1] = nn.BatchNorm2d(4, track_running_stats=False)

    def encode(self, x):
        return super().encode(x)


@plant("unregistered", loss=bernoulli_loss)
class PlainList(Dense):
    def __init__(self):
        super().__init__()
        self.heads = [nn.Linear(H, L)]

    def encode(self, x):
        h = torch.tanh(self.hidden(x))
        return self.heads[0](h), self.fc_logvar(h)


@plant("relu-latents", loss=bernoulli_loss)
class RectifiedWidth(Dense):
    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu, F.relu(logvar)


@plant("unbounded-width", loss=bernoulli_loss)
class UnboundedWidth(Dense):
    def encode(self, x):
        h = F.relu(self.hidden(x))
        return self.fc_mu(h), self.fc_logvar(h)


@plant("single-row", loss=bernoulli_loss)
class Squeezed(Dense):
    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu[None].squeeze(), logvar[None].squeeze()


@plant("dropout-on", loss=wae_loss, kind="normal")
class DropoutInAnAutoencoder(Autoencoder):
    def forward(self, x):
        return super().forward(F.dropout(x, 0.3))


@plant("sigmoid-twice", loss=None)
class ProbabilitiesAsLogits(Autoencoder):
    def forward(self, x):
        recon, z = super().forward(x)
        return recon.sigmoid(), z

    def loss_function(self, recon, x, z):
        return F.binary_cross_entropy_with_logits(recon, x, reduction="sum") / len(x) + z.square().mean()


def report_of(name):
    _, build, loss, x, context, options = PLANTED[name]
    return check_vae(build(), x, *context, loss=loss, **options)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_named(name, capsys):
    report = report_of(name)
    assert PLANTED[name][0] in report.keys
    found = next(each for each in report.findings if each.key == PLANTED[name][0])
    assert found.section
    assert " ".join(str(found).split()) in " ".join(capsys.readouterr().out.split())
    if found.kind == "mistake" and " minus the ELBO, with " in report.verdict:
        assert report.verdict.startswith("As a formula")
        assert report.verdict.endswith("what is marked ✗.")
