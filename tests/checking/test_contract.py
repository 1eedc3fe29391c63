"""The contract of latent-variable models: every model of the book keeps it, and each classic mistake breaks it.

A new model joins by a function that builds it, in ``CASES``.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from latent_models import Conjugate, data_of
from torch import nn
from torch.distributions import Bernoulli, HalfNormal, Independent, Normal, Uniform, kl_divergence

from aevb_utils.checking import contract
from aevb_utils.evaluation.gaps import log_evidence
from aevb_utils.evaluation.quadrature import make_grid
from aevb_utils.models.binomial_vae import BinomialVAE
from aevb_utils.models.conditional_vae import ConditionalVAE
from aevb_utils.models.factor_analysis import FactorAnalysis
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.item_response import ItemResponse
from aevb_utils.models.linear_state_space import ExactStateSpace
from aevb_utils.models.local_level import LocalLevel
from aevb_utils.models.logit_network import LogitNetwork
from aevb_utils.models.masked_factor_analysis import MaskedFactorAnalysis
from aevb_utils.models.mixture_em import MixtureParameters
from aevb_utils.models.variational_mixture import FreeLogits, VariationalMixture
from aevb_utils.models.variational_rnn import VariationalRNN

FORMATS = {"float64": torch.float64, "float32": torch.float32}
ALL = {check.__name__.removeprefix("check_"): check for check in (*contract.CHECKS, *contract.EXACT_CHECKS)}


@dataclass
class Case:
    """A model with some data: ``build(dtype)`` gives (model, x, *context)."""

    build: Callable[[torch.dtype], tuple]
    cannot: dict[str, str] = field(default_factory=dict)  # checks that make no sense for it, and why


def mixture(dtype):
    """Three overlapping components in two dimensions, and a few data near them."""
    draw = torch.Generator().manual_seed(0)
    means = torch.tensor([[0.0, 0.0], [2.0, 1.0], [-1.0, 2.0]], dtype=dtype)
    factors = torch.randn(3, 2, 2, generator=draw, dtype=torch.float64).to(dtype)
    start = MixtureParameters(
        torch.tensor([0.2, 0.5, 0.3], dtype=dtype), means, factors @ factors.mT / 4 + 0.5 * torch.eye(2, dtype=dtype)
    )
    return start, torch.randn(7, 2, generator=draw, dtype=torch.float64).to(dtype)


def mixture_with_free_logits(dtype):
    start, x = mixture(dtype)
    model = VariationalMixture(start, FreeLogits(len(x), 3).to(dtype))
    with torch.no_grad():
        model.inference.lam += torch.linspace(-1, 1, 21).reshape(7, 3)
    return model, x, torch.arange(len(x))


def mixture_with_network(dtype):
    start, x = mixture(dtype)
    return VariationalMixture(start, LogitNetwork(x, 3, hidden=[5], quadratic=True)), x


class BinomialWithEvidence(BinomialVAE):
    """With its evidence, by quadrature."""

    def log_evidence(self, x):
        grid = make_grid([(-8.0, 8.0)] * 2, 200)
        return log_evidence(self, x, grid._replace(points=grid.points.to(x.dtype)))


def binomial(dtype, **options):
    model = BinomialWithEvidence(D=5, hidden=[8], encoder_hidden=[8], trials=4, **options).to(dtype)
    return model, data_of(model, 6)


def factor_analysis(dtype, **options):
    model = FactorAnalysis(D=6, L=2, **options).to(dtype)
    return model, data_of(model, 8)


def mixture_vae(dtype, **options):
    model = GaussianMixtureVAE(D=6, L=2, C=3, hidden=[8, 7], mean_scale=1.0, **options).to(dtype)
    with torch.no_grad():
        model.encoder.shifts.mul_(50)  # the classes differ
    return model, data_of(model, 6)


def conditional_vae(dtype, enters):
    torch.manual_seed(0)
    model = ConditionalVAE(D=6, C=3, L=2, enters=enters, hidden=[8, 7]).to(dtype)
    y = torch.eye(3, dtype=dtype).repeat(2, 1)
    return model, model.sample(6, y)[0], y


def item_response(dtype):
    model = ItemResponse(D=5, hidden=4).to(dtype)
    return model, data_of(model, 8)


def local_level(dtype, *, structured):
    model = LocalLevel(T=6, N=3, structured=structured).to(dtype)
    return model, data_of(model, 3), torch.arange(3)


def masked_factor_analysis(dtype):
    model = MaskedFactorAnalysis(D=6, L=2).to(dtype)
    observed = (torch.arange(48).reshape(8, 6) % 5 > 0).to(dtype)
    return model, model.sample(8, observed)[0], observed


def state_space(dtype, family):
    model = ExactStateSpace(5, family).to(dtype)
    return model, data_of(model, 6)


def variational_rnn(dtype, **options):
    model = VariationalRNN(D=4, L=2, H=5, T=6, hidden=(8,), **options).to(dtype)
    lengths = torch.tensor([6, 2, 5, 1])
    return model, model.sample(4, lengths)[0], lengths


def conjugate(dtype, kind=Conjugate, **options):
    return kind(dtype=dtype, **options), data_of(Conjugate(dtype=dtype), 6)


NO_POSTERIOR = {"posterior": "its posterior is not exact, and it has none"}
NO_EVIDENCE = NO_POSTERIOR | dict.fromkeys(
    ("elbo_below_evidence", "weights_average_to_evidence"), "its evidence is not exact, and it has none"
)

OF_A_STEP = NO_EVIDENCE | dict.fromkeys(("supports", "distributions"), "its distributions are those of a step")

CASES = {
    "mixture, free logits": Case(mixture_with_free_logits),
    "mixture, network": Case(mixture_with_network),
    "binomial VAE, diagonal": Case(binomial, NO_POSTERIOR),
    "binomial VAE, full": Case(lambda dtype: binomial(dtype, covariance="full"), NO_POSTERIOR),
    "factor analysis": Case(factor_analysis),
    "factor analysis, diagonal q": Case(lambda dtype: factor_analysis(dtype, covariance="diagonal")),
    "factor analysis, sampled KL": Case(lambda dtype: factor_analysis(dtype, kl="sampled")),
    "factor analysis, path derivative": Case(lambda dtype: factor_analysis(dtype, kl="path", noise="isotropic")),
    **{
        f"conditional VAE, {enters}": Case(lambda dtype, enters=enters: conditional_vae(dtype, enters), NO_EVIDENCE)
        for enters in ("likelihood", "prior", "both")
    },
    "Gaussian-mixture VAE": Case(mixture_vae, NO_EVIDENCE),
    "Gaussian-mixture VAE, gated": Case(lambda dtype: mixture_vae(dtype, layer="gated"), NO_EVIDENCE),
    "item response": Case(item_response, NO_POSTERIOR),
    "local level": Case(lambda dtype: local_level(dtype, structured=True)),
    "local level, mean-field": Case(lambda dtype: local_level(dtype, structured=False)),
    "factor analysis with holes": Case(masked_factor_analysis),
    **{
        f"state space, {family}": Case(lambda dtype, family=family: state_space(dtype, family))
        for family in ("smoothing", "filtering", "mean-field")
    },
    "variational RNN": Case(variational_rnn, OF_A_STEP),
    "variational RNN, dropout": Case(lambda dtype: variational_rnn(dtype, dropout=0.5), OF_A_STEP),
    "conjugate": Case(conjugate),
    "conjugate, dropout": Case(lambda dtype: conjugate(dtype, dropout=0.5)),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("case", CASES)
class TestContract:
    """Each check, for every model and number format."""

    @pytest.mark.parametrize("check", ALL)
    def test_check(self, case, dtype, check):
        if check in CASES[case].cannot:
            with pytest.raises((AttributeError, TypeError, RuntimeError)):  # no such method, or one of a step alone
                ALL[check](*CASES[case].build(FORMATS[dtype]))
            return
        model, x, *context = CASES[case].build(FORMATS[dtype])
        generator, modes = torch.random.get_rng_state(), [module.training for module in model.modules()]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        ALL[check](model, x, *context)
        assert torch.equal(torch.random.get_rng_state(), generator)
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


# The classic mistakes, each in a model that is right but for it

MISTAKES: dict[type[Conjugate], set[str]] = {}


def caught_by(*checks):
    """Put a model with a mistake, and all the checks that fail for it, into the table."""

    def enter(model):
        MISTAKES[model] = set(checks)
        return model

    return enter


@caught_by("reconstruction_reaches_inference")
class SampleForRsample(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.sample((num_samples,))
        return {"reconstruction": self.p_x_given_z(z).log_prob(x).mean(0), "minus_kl": -kl_divergence(q, self.p_z())}


@caught_by("elbo_is_mean_log_weight")
class WrongSignOfKL(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"minus_kl": -terms["minus_kl"]}


@caught_by("elbo_is_mean_log_weight", "elbo_below_evidence")
class MeanOverDimensions(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"reconstruction": terms["reconstruction"] / x.shape[1]}


@caught_by("elbo_below_evidence", "weights_average_to_evidence")
class MeanOverDimensionsEverywhere(MeanOverDimensions):
    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return self.p_x_given_z(z).log_prob(x) / x.shape[1] + self.p_z().log_prob(z) - q.log_prob(z)


@caught_by("weights_average_to_evidence")
class NoConstants(Conjugate):
    """Without the D/2 · log 2π of the likelihood, everywhere but in the evidence."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"reconstruction": terms["reconstruction"] + x.shape[1] / 2 * math.log(2 * math.pi)}

    def log_weights(self, x, *, num_samples):
        return super().log_weights(x, num_samples=num_samples) + x.shape[1] / 2 * math.log(2 * math.pi)


@caught_by("weights_average_to_evidence")
class TermTooMuch(Conjugate):
    """A positive constant is lost: the ELBO stays a bound, and only the weights tell."""

    def elbo_terms(self, x, *, num_samples=1):
        return super().elbo_terms(x, num_samples=num_samples) | {"constant": torch.full_like(x[:, 0], -0.5)}

    def log_weights(self, x, *, num_samples):
        return super().log_weights(x, num_samples=num_samples) - 0.5


@caught_by("terms_add_up", "elbo_is_mean_log_weight")
class ForgottenTerm(Conjugate):
    def elbo(self, x, *, num_samples=1):
        return self.elbo_terms(x, num_samples=num_samples)["reconstruction"]


@caught_by("parameters")
class InNeither(Conjugate):
    def generative_parameters(self):
        return [self.W, self.b]


@caught_by("parameters", "updates")
class InBoth(Conjugate):
    def inference_parameters(self):
        return [*super().inference_parameters(), self.log_sigma]


@caught_by("elbo_reaches_generative")
class DeadParameter(Conjugate):
    def __init__(self, **options):
        super().__init__(**options)
        self.unused = nn.Parameter(torch.zeros_like(self.b))

    def generative_parameters(self):
        return [*super().generative_parameters(), self.unused]


@caught_by("parameters", "updates", "elbo_reaches_generative")
class NotRegistered(Conjugate):
    def __init__(self, **options):
        super().__init__(**options)
        self.tensors = [nn.Parameter(torch.zeros_like(self.b))]

    def generative_parameters(self):
        return [*super().generative_parameters(), *self.tensors]


@caught_by("elbo_is_mean_log_weight", "num_samples")
class SumOverSamples(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return {name: term * num_samples for name, term in terms.items()}


@caught_by("num_samples")
class OneSampleForAll(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        return super().elbo_terms(x, num_samples=1)


@caught_by("shapes")
class Squeezed(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        return {name: term.squeeze() for name, term in super().elbo_terms(x, num_samples=num_samples).items()}


@caught_by("shapes", "elbo_is_mean_log_weight", "num_samples", "updates", "elbo_below_evidence")
class OneNumberForAll(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        return {name: term.mean() for name, term in super().elbo_terms(x, num_samples=num_samples).items()}


@caught_by("number_format")
class InFloat32(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        return {name: term.float() for name, term in super().elbo_terms(x, num_samples=num_samples).items()}


@caught_by("seeds")
class OwnGenerator(Conjugate):
    def __init__(self, **options):
        super().__init__(**options)
        self.random = random.Random(0)

    def sample(self, n):
        x, z = super().sample(n)
        return x + self.random.random(), z


@caught_by("seeds")
class SeedsItself(Conjugate):
    def sample(self, n):
        torch.manual_seed(0)
        return super().sample(n)


@caught_by("saves_and_loads")
class PlainTensor(Conjugate):
    def __init__(self, **options):
        super().__init__(**options)
        self.center = torch.ones_like(self.b)

    def q_z_given_x(self, x):
        return super().q_z_given_x(x - self.center)


@caught_by("updates")
class WritesToParameters(Conjugate):
    def elbo_terms(self, x, *, num_samples=1):
        if torch.is_grad_enabled():
            self.W.data.mul_(0.999)
        return super().elbo_terms(x, num_samples=num_samples)


@caught_by("distributions", "posterior")
class NotIndependent(Conjugate):
    def p_x_given_z(self, z):
        return super().p_x_given_z(z).base_dist

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        log_likelihood = self.p_x_given_z(q.rsample((num_samples,))).log_prob(x).sum(-1)
        return {"reconstruction": log_likelihood.mean(0), "minus_kl": -kl_divergence(q, self.p_z())}

    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return self.p_x_given_z(z).log_prob(x).sum(-1) + self.p_z().log_prob(z) - q.log_prob(z)


@caught_by("supports", "weights_average_to_evidence")
class BoundedQ(Conjugate):
    """A uniform q: the ELBO is a bound as ever, but the posterior is never in reach."""

    def q_z_given_x(self, x):
        q = super().q_z_given_x(x)
        return Independent(Uniform(q.mean - 2 * q.stddev, q.mean + 2 * q.stddev), 1)


@caught_by("sample")
class SampleWithGradient(Conjugate):
    def sample(self, n):
        z = self.p_z().rsample((n,))
        return self.p_x_given_z(z).rsample(), z


@caught_by("posterior")
class OtherPosterior(Conjugate):
    def posterior(self, x):
        return super().posterior(x + 0.1)


@caught_by("elbo_below_evidence", "weights_average_to_evidence", "posterior")
class OtherEvidence(Conjugate):
    def log_evidence(self, x):
        return super().log_evidence(x) - 30


@pytest.mark.parametrize("check", ALL)
@pytest.mark.parametrize("model", MISTAKES, ids=lambda model: model.__name__)
def test_mistakes_are_caught_by_these_checks_and_no_others(model, check):
    case = conjugate(torch.float64, model)
    if check not in MISTAKES[model]:
        ALL[check](*case)
        return
    with pytest.raises(AssertionError) as caught:
        ALL[check](*case)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))


def test_every_check_catches_a_mistake():
    assert set().union(*MISTAKES.values()) == set(ALL)


@pytest.mark.parametrize(
    ("prior", "likelihood", "message"),
    [
        (HalfNormal, Normal, "q has samples where the prior has no density, so that the KL is infinite"),
        (
            Normal,
            lambda mean, _: Bernoulli(logits=mean),
            "x has values where p.x . z. has no density: look at the data's scale",
        ),
    ],
)
def test_supports(prior, likelihood, message):
    class Model(Conjugate):
        def p_z(self):
            return Independent(prior(*([self.W.new_zeros(2)] if prior is Normal else []), self.W.new_ones(2)), 1)

        def p_x_given_z(self, z):
            return Independent(likelihood(z @ self.W.T, torch.ones(4, dtype=z.dtype)), 1)

    with pytest.raises(AssertionError, match=message):
        contract.check_supports(Model(), data_of(Conjugate()))
