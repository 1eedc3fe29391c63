"""VAEs that are right: ``check_vae`` finds no mistake, names the likelihood, and leaves everything as it was."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Laplace, Normal, Poisson, kl_divergence
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
    Own,
    Recurrent,
    SampledKL,
    SharedWidth,
    WithDistributions,
    bernoulli_loss,
    conv_loss,
    data,
    distribution_loss,
    gaussian_loss,
    kl,
    labels,
    logits_loss,
    sampled_loss,
    token_loss,
    wae_loss,
    width_loss,
)

from aevb_utils.checking import check_vae

RIGHT = {}


def right(verdict, kind="binary", model=None, shape=(D,), context=(), **options):
    """Enter a loss, or a model class, into the table, with words of the verdict."""

    def enter(given):
        loss, build = (None, given) if isinstance(given, type) else (given, model)
        RIGHT[given.__name__] = (verdict, build, {"loss": loss} | options, data(kind, shape=shape), context)
        return given

    return enter


for verdict, build, loss, kind, options in (
    ("a Bernoulli of probabilities", Dense, bernoulli_loss, "binary", {}),
    ("a Bernoulli of logits", Logits, logits_loss, "binary", {}),
    ("a Gaussian with σ² = 1", Logits, gaussian_loss, "normal", {}),
    ("a Bernoulli of probabilities", Conv, conv_loss, "binary", {"shape": (1, 8, 8)}),
    ("no ELBO", Autoencoder, wae_loss, "normal", {}),
    ("a categorical of logits", Recurrent, token_loss, "tokens", {"shape": (7,)}),
    ("the second output being log σ²", LearnedWidth, width_loss, "normal", {}),
    ("the decoder's Bernoulli", WithDistributions, distribution_loss, "binary", {}),
    ("the decoder's ContinuousBernoulli", Continuous, distribution_loss, "grey", {}),
    ("the decoder's MixtureSameFamily", MixtureLikelihood, distribution_loss, "normal", {}),
    ("exactly", SampledKL, sampled_loss, "binary", {}),
    ("a Gaussian with σ²", SharedWidth, None, "normal", {}),
):
    shape = options.pop("shape", (D,))
    RIGHT[build.__name__] = (verdict, build, {"loss": loss} | options, data(kind, shape=shape), ())
RIGHT["Conditional"] = ("exactly", Conditional, {"loss": bernoulli_loss}, data(), (labels(),))


@right("exactly", model=Dense)
def a_row_each(recon, x, mu, logvar):
    return F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1) + kl(mu, logvar).sum(dim=1)


@right("the sum over the rows", model=Dense)
def everything_summed(recon, x, mu, logvar):
    return F.binary_cross_entropy(recon, x, reduction="sum") - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()


@right("0.08333 times the mean over the rows", model=Dense)
def everything_a_mean(recon, x, mu, logvar):
    return F.binary_cross_entropy(recon, x) + kl(mu, logvar).sum() / x.numel()


@right("β = 4", model=Dense)
def beta_vae(recon, x, mu, logvar, beta=4):
    return (F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1) + beta * kl(mu, logvar).sum(dim=1)).mean()


@right("a Laplace with scale 1", model=Logits, kind="normal")
def absolute_error(recon, x, mu, logvar):
    return F.l1_loss(recon, x, reduction="sum") / len(x) + kl(mu, logvar).sum(dim=1).mean()


@right("exactly", model=None, kind="normal")
class WithItsConstants(Logits):
    def loss_fn(self, recon, x, mu, logvar):
        log_p = Normal(recon, 1.0).log_prob(x).sum(dim=1)
        return (kl(mu, logvar).sum(dim=1) - log_p).mean()


@right("the decoder's Laplace", kind="normal")
class AbsoluteError(WithDistributions):
    def forward(self, x):
        mu, log_scale = self.encode(x)
        q = Normal(mu, log_scale.exp())
        return Independent(Laplace(self.logits(q.rsample()), 0.5), 1), q

    def loss(self, p_x, q, x):
        return distribution_loss(p_x, q, x)


@right("the decoder's Poisson", kind="bytes")
class Counts(WithDistributions):
    def forward(self, x):
        mu, log_scale = self.encode(x / 255)
        q = Normal(mu, log_scale.exp())
        return Independent(Poisson(self.logits(q.rsample()).exp()), 1), q

    def loss(self, p_x, q, x):
        return distribution_loss(p_x, q, x)


@right("exactly")
class SoftplusWidth(Dense):
    """The encoder returns σ, with a floor."""

    def encode(self, x):
        h = torch.tanh(self.hidden(x))
        return self.fc_mu(h), F.softplus(self.fc_logvar(h)) + 1e-4

    def draw(self, mu, sigma):
        return mu + sigma * torch.randn(sigma.shape)

    def loss(self, recon, x, mu, sigma):
        nll = F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1)
        return (nll + kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(dim=1)).mean()


@right("up to a constant")
class LearnedPrior(Conditional):
    """The prior depends on the label."""

    def __init__(self):
        super().__init__()
        self.prior = nn.Linear(2, L)
        self.y = labels()

    def forward(self, x):
        return super().forward(x, self.y[: len(x)])

    def loss(self, recon, x, mu, logvar):
        p = Normal(self.prior(self.y[: len(x)]), 1.5)
        nll = F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1)
        return (nll + kl_divergence(Normal(mu, (0.5 * logvar).exp()), p).sum(dim=1)).mean()


@right("β = 0.25")
class WarmUp(Dense):
    """β grows with each call: what it is now is said, and the counter stays."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.calls = 1

    def loss(self, recon, x, mu, logvar):
        beta, self.calls = self.calls / 4, self.calls + 1
        nll = F.binary_cross_entropy(recon, x, reduction="none").sum(dim=1)
        return (nll + beta * kl(mu, logvar).sum(dim=1)).mean()


@right("up to the constant 0.9189", kind="normal")
class NamedParts(LearnedWidth):
    """A dictionary, whose names say what is what."""

    def forward(self, x):
        x_mean, x_logvar, mu, logvar = super().forward(x)
        return {"z_logvar": logvar, "z_mean": mu, "x_logvar": x_logvar, "x_mean": x_mean}

    def loss(self, output, x):
        return width_loss((output["x_mean"], output["x_logvar"], output["z_mean"], output["z_logvar"]), x)


@pytest.mark.parametrize("name", RIGHT)
def test_no_mistake_is_found(name, capsys):
    verdict, build, options, x, context = RIGHT[name]
    model = build().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    plain = {key: value for key, value in vars(model).items() if isinstance(value, int | float)}
    generator = torch.random.get_rng_state()
    report = check_vae(model, x, *context, **options)
    assert report.ok, report.findings
    assert verdict in report.verdict
    assert not [line for line in report.skipped if "loss" in line]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert plain == {key: value for key, value in vars(model).items() if isinstance(value, int | float)}
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert not model.training
    assert all(each.grad is None for each in model.parameters())
    assert "✗" not in capsys.readouterr().out


STEPS = {"its encode and decode": {}, "two layers": {"encoder": ("fc_mu", "fc_logvar"), "decoder": "decode"}}


@pytest.mark.parametrize("how", STEPS)
def test_a_step_that_returns_the_loss(how):
    model = Own()
    report = check_vae(model, data(), step=model.loss, **STEPS[how])
    assert report.ok
    assert report.beta == pytest.approx(1, rel=1e-4)
    model.beta = 0.3
    report = check_vae(model, data(), step=model.loss, **STEPS[how])
    assert report.keys == {"kl-weight"}
    assert report.beta == pytest.approx(0.3, rel=1e-4)


def test_a_whole_training_step_changes_nothing():
    model = Own()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    before = [each.detach().clone() for each in model.parameters()]
    report = check_vae(model, data(), step=step, optimizer=optimizer)
    assert report.ok
    assert "exactly" in report.verdict
    assert not optimizer.state
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_parameters_that_the_optimizer_does_not_hold():
    model = Dense()
    optimizer = torch.optim.SGD(model.fc_mu.parameters(), lr=0.1)
    report = check_vae(model, data(), loss=bernoulli_loss, optimizer=optimizer)
    (found,) = report.mistakes
    assert found.key == "not-in-optimizer"
    assert "hidden.weight" in found.seen


def test_units_without_use_are_told_of_a_trained_model_alone():
    model = Dense()
    with torch.no_grad():
        for layer, scale in ((model.fc_mu, 3.0), (model.fc_logvar, 0.0)):
            layer.weight *= scale
            layer.bias *= 0
            layer.weight[1:] = 0
    assert "collapsed-units" not in check_vae(model, data(), loss=bernoulli_loss).keys
    report = check_vae(model, data(), loss=bernoulli_loss, trained=True)
    found = next(each for each in report.findings if each.key == "collapsed-units")
    assert found.seen.startswith("2 of 3 latents")


def test_the_parts_alone():
    class Encoder(nn.Sequential):
        def forward(self, x):
            return super().forward(x).chunk(2, dim=1)

    encoder, decoder = Encoder(nn.Linear(D, 2 * L)), nn.Sequential(nn.Linear(L, H), nn.Tanh(), nn.Linear(H, D))
    report = check_vae(x=data(), encoder=encoder, decoder=decoder, loss=logits_loss)
    assert report.ok
    assert "exactly" in report.verdict
    assert report.skipped
