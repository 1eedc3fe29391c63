"""``check_model``: each planted bug fails with a hint that names its cause, and all models of the book pass."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_models import data_of
from sentences import one_sentence
from test_contract import CASES, NO_EVIDENCE, Case
from torch import nn
from torch.distributions import (
    Bernoulli,
    Distribution,
    HalfNormal,
    Independent,
    LogNormal,
    Normal,
    kl_divergence,
)

from aevb_utils.checking import causes, check_model
from aevb_utils.checking.arguments import check_arguments
from aevb_utils.checking.company import check_company
from aevb_utils.checking.comparisons import draws_shared
from aevb_utils.checking.contract import check_seeds
from aevb_utils.checking.sampling import check_draws
from aevb_utils.checking.terms import check_log_weights, check_other_terms, check_reconstruction
from aevb_utils.models.item_response import ItemResponse
from aevb_utils.models.vae import VAE

PATTERNS = torch.tensor([[0, 0, 0, 0, 1], [0, 1, 0, 1, 1], [1, 0, 0, 0, 1], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]])
X = PATTERNS.double().repeat(2, 1)  # ten rows of answers to five questions


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def built(kind):
    """A model of answers in which nothing is at a special value, so that a mistake shows."""
    torch.manual_seed(0)
    model = kind(5).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


class WrongSign(ItemResponse):
    """The KL is added."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"minus_kl": -terms["minus_kl"]}


class SampleForRsample(ItemResponse):
    """The samples forget φ."""

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.sample((num_samples,))
        return {"reconstruction": self.p_x_given_z(z).log_prob(x).mean(0), "minus_kl": -kl_divergence(q, self.p_z())}


class DroppedConstant(ItemResponse):
    """A Gaussian density written by hand, without its ½ log 2π, in the KL of one dimension."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"minus_kl": terms["minus_kl"] + 0.5 * math.log(2 * math.pi)}


class MeanForSum(ItemResponse):
    """The mean of the answers' log-probabilities."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"reconstruction": terms["reconstruction"] / x.shape[1]}


class InNeither(ItemResponse):
    """A parameter that no step moves."""

    def generative_parameters(self):
        return [self.a]


class OtherSupport(ItemResponse):
    """A positive latent with a Gaussian q."""

    def p_z(self):
        return Independent(HalfNormal(self.b.new_ones(1)), 1)

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        log_q = q.log_prob(z)
        log_p = HalfNormal(1.0, validate_args=False).log_prob(z).sum(-1).clamp(min=-100)
        return {"reconstruction": self.p_x_given_z(z).log_prob(x).mean(0), "minus_kl": (log_p - log_q).mean(0)}


class MeanOverTheBatch(ItemResponse):
    """The KL divided by the number of rows."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"minus_kl": terms["minus_kl"] / len(x)}


class CountedTooOften(ItemResponse):
    """A likelihood that counts the answers twice."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"reconstruction": terms["reconstruction"] * x.shape[1]}


PLANTED = {
    WrongSign: "minus the KL, has the wrong sign",
    SampleForRsample: r"is z drawn by .sample() where .rsample() is needed",
    DroppedConstant: "a constant was dropped",
    MeanForSum: "'reconstruction' is a mean over the dimensions of x where the sum is meant",
    InNeither: "b: in neither generative_parameters nor inference_parameters",
    OtherSupport: "give q the prior's support",
    MeanOverTheBatch: "a mean over the rows of the batch where the sum is meant",
    CountedTooOften: "is too large by the number of dimensions of x",
}


def message_of(model, *data):
    """What check_model says, on one line."""
    with pytest.raises(AssertionError) as caught:
        check_model(model, *data)
    return " ".join(str(caught.value).split())


@pytest.mark.parametrize("kind", PLANTED, ids=lambda kind: kind.__name__)
def test_planted_bug_is_named_in_the_first_line_that_fails(kind, capsys):
    first = message_of(built(kind), X).split("✗")[1]
    assert PLANTED[kind] in first
    assert "✗" not in capsys.readouterr().out, "what fails stands in the error, and is not printed twice"


def test_no_hint_is_given_for_the_model_without_a_bug(capsys):
    check_model(built(ItemResponse), X)
    out = " ".join(capsys.readouterr().out.split())
    assert out.endswith("All 21 checks hold.")
    assert not [hint for hint in PLANTED.values() if hint in out]


def vae(dtype):
    model = VAE(D=6, L=2, hidden=[8, 7]).to(dtype)
    return model, data_of(model, 8)


BOOK = {**CASES, "VAE": Case(vae, NO_EVIDENCE)}


@pytest.mark.parametrize("case", ["VAE", "factor analysis with holes"])
def test_all_checks_hold_and_nothing_is_changed(case, capsys):
    model, x, *context = BOOK[case].build(torch.float64)
    generator = torch.random.get_rng_state()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    check_model(model, x, *context)
    out = capsys.readouterr().out
    assert "✗" not in out
    assert f"All {22 - len(BOOK[case].cannot)} checks hold." in out
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("case", [case for case in BOOK if "distributions" not in BOOK[case].cannot])
def test_the_terms_of_the_books_models_can_be_recomputed(case):
    """The checks that are ``check_model``'s own; the others are made on every model by test_contract.py."""
    model, x, *context = BOOK[case].build(torch.float64)
    with draws_shared():
        for check in (check_reconstruction, check_other_terms, check_log_weights, check_company, check_draws):
            check(model, x, *context)


class StepByStep(nn.Module):
    """Two steps with a latent each, whose distributions ask for a state: the latent of the step before."""

    def __init__(self):
        super().__init__()
        self.encoder, self.log_scale = nn.Linear(2, 1), nn.Parameter(torch.tensor(0.3))

    def p_z(self, h):
        return Independent(Normal(0.5 * h, torch.ones_like(h)), 1)

    def p_x_given_z(self, z, h):
        return Independent(Normal(z + h, self.log_scale.exp()), 1)

    def q_z_given_x(self, a, h):
        return Independent(Normal(self.encoder(torch.cat([a, h], dim=-1)), torch.ones_like(h)), 1)

    def steps(self, x, num_samples):
        """log p(x_t | z_t), −KL and log p(z_t) − log q(z_t) of both steps, (2, num_samples, batch) each."""
        h, parts = x.new_zeros(num_samples, len(x), 1), []
        for t in range(2):
            a = x[:, t : t + 1].expand_as(h)
            q, p_z = self.q_z_given_x(a, h), self.p_z(h)
            z = q.rsample()
            ratio = p_z.log_prob(z) - q.log_prob(z)
            parts.append((self.p_x_given_z(z, h).log_prob(a), -kl_divergence(q, p_z), ratio))
            h = z
        return [torch.stack(part) for part in zip(*parts, strict=True)]

    def elbo_terms(self, x, *, num_samples=1):
        reconstruction, minus_kl, _ = self.steps(x, num_samples)
        return {"reconstruction": reconstruction.sum(0).mean(0), "minus_kl": minus_kl.sum(0).mean(0)}

    def elbo(self, x, *, num_samples=1):
        return sum(self.elbo_terms(x, num_samples=num_samples).values())

    def log_weights(self, x, *, num_samples):
        reconstruction, _, ratio = self.steps(x, num_samples)
        return (reconstruction + ratio).sum(0)

    def sample(self, n):
        h, x, z = torch.zeros(n, 1, dtype=self.log_scale.dtype), [], []
        for _ in range(2):
            z.append(self.p_z(h).sample())
            x.append(self.p_x_given_z(z[-1], h).sample())
            h = z[-1]
        return torch.cat(x, dim=1), torch.cat(z, dim=1)

    def inference_parameters(self):
        return list(self.encoder.parameters())

    def generative_parameters(self):
        return [self.log_scale]


class WrongSignStepByStep(StepByStep):
    """The KL is added."""

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return terms | {"minus_kl": -terms["minus_kl"]}


def test_where_p_z_needs_a_state_what_needs_a_whole_datum_is_skipped_and_said(capsys):
    model = StepByStep().double()
    x = data_of(model, 8)
    check_model(model, x)
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("– skipped: p_z needs h, more than the context that elbo_terms takes (a state?), so that")
    assert out.endswith("All 13 checks hold.")
    assert "elbo is not the mean of log_weights" in message_of(WrongSignStepByStep().double(), x)


def test_a_kl_that_begins_at_zero_is_moved_so_that_its_sign_shows():
    def at_prior(kind):
        model = kind(5).double()
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.zero_()
        return model

    assert PLANTED[WrongSign] in message_of(at_prior(WrongSign), X)


def test_a_model_that_raises_is_shown_and_the_other_checks_go_on(capsys):
    class Raises(ItemResponse):
        def sample(self, n):
            raise KeyError("no such thing")

    message = message_of(built(Raises), X)
    assert "It stopped with KeyError: 'no such thing'" in message
    assert "✓ θ and φ partition the parameters" in capsys.readouterr().out


def test_what_is_missing_is_named():
    class Empty(nn.Module):
        def elbo(self, x):
            return x

    assert "has no p_z, p_x_given_z, q_z_given_x, elbo_terms, log_weights" in message_of(Empty(), X)


def with_value(value, row=3, column=2):
    """The answers with another value."""
    x = X.clone()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ((X.numpy(),), TypeError, "x and its context must be tensors: torch.as_tensor makes one"),
        (([[1.0]],), TypeError, "must be tensors"),
        ((X[:0],), ValueError, "at least one"),
        ((X, X[:2]), ValueError, "the same number of rows"),
        ((X[0, 0],), ValueError, "must have a row a datum"),
        ((with_value(math.nan),), ValueError, "x is nan in row 3, column 2"),
        ((with_value(-math.inf),), ValueError, "x is -inf in row 3, column 2"),
        (
            (X.long(),),
            TypeError,
            "x is torch.int64 and the model is torch.float64: convert x, as by x.to.torch.float64",
        ),
        ((X.bool(),), TypeError, "x is torch.bool and the model is torch.float64"),
        ((X.float(),), TypeError, "x is torch.float32 and the model is torch.float64: convert x"),
        ((X.to("meta"),), ValueError, "The model is on cpu, and x or its context on meta: move them"),
    ],
)
def test_data_that_make_no_sense_are_refused_in_a_sentence(data, error, words):
    with pytest.raises(error, match=words) as caught:
        check_model(built(ItemResponse), *data)
    one_sentence(caught.value)


def test_of_a_single_row_it_is_said_what_cannot_be_seen(capsys):
    check_model(built(ItemResponse), X[:1])
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("– skipped: x is a single row, so that a row cannot be compared with the same row in company")
    assert out.endswith("All 20 checks hold.")


def test_what_is_no_model_or_too_coarse_is_refused():
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, not a function"):
        check_model(lambda: 0, X)
    with pytest.raises(TypeError, match=r"The model is torch\.bfloat16, too coarse to check") as caught:
        check_model(built(ItemResponse).bfloat16(), X.bfloat16())
    one_sentence(caught.value)


@pytest.mark.parametrize("validated", [True, False])
def test_x_outside_the_support_is_named_whatever_torch_validates(validated):
    before = Distribution._validate_args
    Distribution.set_default_validate_args(validated)
    try:
        message = message_of(built(ItemResponse), with_value(255.0))
        assert Distribution._validate_args is validated
    finally:
        Distribution.set_default_validate_args(before)
    assert "x has values where p(x | z) has no density: look at the data's scale" in message
    assert "the first is in row 3, column 2 (255)." in message


def test_the_support_is_checked_where_only_a_step_has_distributions():
    class Steps(StepByStep):
        def p_x_given_z(self, z, h):
            return Independent(LogNormal(z + h, self.log_scale.exp()), 1)

    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        assert "within the support" in message_of(Steps().double(), X[:, :2] - 1)
    finally:
        Distribution.set_default_validate_args(before)


def test_a_nan_in_a_hole_of_a_mask_is_no_nan():
    x = with_value(math.nan)
    observed = torch.ones_like(x)
    observed[3, 2] = 0
    check_arguments(built(ItemResponse), x, (observed,))
    with pytest.raises(ValueError, match="row 3, column 2"):
        check_arguments(built(ItemResponse), x, (1 - observed,))


def test_a_sample_of_few_binary_data_may_repeat_itself():
    class Rare(ItemResponse):
        def p_x_given_z(self, z):
            return Independent(Bernoulli(logits=self.a * z + self.b - 4), 1)

    check_seeds(built(Rare), X[:2])


@given(
    seed=st.integers(0, 2**20),
    factor=st.floats(0.05, 20).filter(lambda each: abs(each - 1) > 0.05),
    constant=st.floats(0.1, 10),
)
@settings(max_examples=15)
def test_any_weight_and_any_constant_is_told_from_the_other(seed, factor, constant):
    """β of any size, and a constant of any size, with the number in the sentence."""
    draw = torch.Generator().manual_seed(seed)
    right = torch.randn(200, 6, generator=draw, dtype=torch.float64) * 0.1 - torch.arange(1.0, 7)
    sizes = {"dimensions of x": 11, "dimensions of z": 13, "rows of the batch": 17}
    weighed = causes.sentence("The KL", factor * right, right, iter(()), sizes)
    assert f"is multiplied by {factor:.3g}: β" in weighed or "is a mean over" in weighed or "is too large by" in weighed
    assert "is off by the same" not in weighed
    shifted = causes.sentence("The KL", right + constant, right, iter(()), sizes)
    assert f"is off by the same +{constant:.3g} nats" in shifted
