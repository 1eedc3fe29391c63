"""The look at a model and data before a training or an evaluation: nothing is broadcast, and x can be what it is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_models import Conjugate, data_of
from torch import nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence

from aevb_utils.evaluation import elbo_terms, iwae_bound, mean_elbo_terms
from aevb_utils.evaluation.bounds import estimate
from aevb_utils.models.clustered_start import JitteredVAE
from aevb_utils.models.conditional_vae import ConditionalVAE, DirectNetwork, grey_bernoulli
from aevb_utils.models.masked_factor_analysis import MaskedFactorAnalysis
from aevb_utils.models.vae import VAE
from aevb_utils.models.variational_rnn import VariationalRNN
from aevb_utils.networks import bernoulli, binomial, continuous_bernoulli
from aevb_utils.training import fit

D = 16
X = torch.bernoulli(torch.full((30, D), 0.5), generator=torch.Generator().manual_seed(0))
Y = torch.eye(3)[torch.arange(30) % 3]


def train(model, data, **options):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return fit(model, data, **{"optimizer": optimizer, "epochs": 1, "batch_size": 10} | options)


def parts(data):
    return data if isinstance(data, tuple) else (data,)


CALLS = {
    "fit": train,
    "held out": lambda model, data: train(model, X, held_out=data),
    "iwae_bound": lambda model, data: iwae_bound(model, *parts(data), num_samples=2),
    "elbo_terms": lambda model, data: elbo_terms(model, *parts(data)),
    "mean_elbo_terms": lambda model, data: mean_elbo_terms(model, *parts(data)),
}
ALONE = ["fit", "iwae_bound", "elbo_terms", "mean_elbo_terms"]


@pytest.fixture(params=["checks on", "checks off"])
def validation(request):
    """Torch's own checks of values, which python -O and Distribution.set_default_validate_args(False) turn off."""
    Distribution.set_default_validate_args(request.param == "checks on")
    yield request.param
    Distribution.set_default_validate_args(True)


def vae(**options):
    torch.manual_seed(0)
    return VAE(D, 2, hidden=(8,), **options)


# Shapes


@settings(max_examples=25)
@given(st.integers(1, 40).filter(lambda width: width != D), st.sampled_from(ALONE), st.booleans())
def test_a_decoder_of_another_width_never_gives_a_number(width, call, checked):
    Distribution.set_default_validate_args(checked)
    try:
        with pytest.raises(ValueError, match=rf"p\(x \| z\) must be a distribution of x.* \({width},\), so that one"):
            CALLS[call](vae(outputs=width), X)
    finally:
        Distribution.set_default_validate_args(True)


class Level(nn.Module):
    """z ~ 𝒩(0, 1), x | z ~ 𝒩(z, s²), one number a datum; what q and p(x | z) are like is told by functions."""

    def __init__(self, q=lambda m: Normal(m, 1.0), p=lambda z: Normal(z, 0.5)):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.3))
        self.q, self.p = q, p

    def q_z_given_x(self, x):
        return self.q(self.a * x)

    def p_x_given_z(self, z):
        return self.p(z)

    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        log_p = self.p_x_given_z(q.rsample((num_samples,))).log_prob(x)
        return {"reconstruction": log_p.mean(dim=0), "minus_kl": -kl_divergence(q, Normal(0.0, 1.0))}

    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return self.p_x_given_z(z).log_prob(x) + Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)

    def inference_parameters(self):
        return [self.a]

    def generative_parameters(self):
        return []


NUMBERS = torch.linspace(-1, 1, 7)


@pytest.mark.parametrize("call", ALONE)
def test_one_number_a_datum_without_independent_is_a_distribution_of_x(call):
    CALLS[call](Level(), NUMBERS)


@pytest.mark.parametrize("call", ALONE)
def test_a_column_is_not_broadcast_against_numbers(call):
    with pytest.raises(ValueError, match=r"p\(x \| z\) must be a distribution of x, of the shape \(7,\)"):
        CALLS[call](Level(p=lambda z: Normal(z[..., None], 0.5)), NUMBERS)


@pytest.mark.parametrize("call", ALONE)
def test_numbers_are_not_broadcast_against_a_column(call):
    with pytest.raises(ValueError, match=r"of the shape \(7, 1\), but its batch and event shapes are \(7,\) and \(\)"):
        CALLS[call](Level(q=lambda m: Normal(m.squeeze(-1), 1.0)), NUMBERS[:, None])


@pytest.mark.parametrize("call", ALONE)
def test_a_distribution_of_all_data_together_is_refused(call):
    with pytest.raises(ValueError, match=r"p\(x \| z\) must be a distribution of x.* are \(\) and \(7,\)"):
        CALLS[call](Level(p=lambda z: Independent(Normal(z, 0.5), 1)), NUMBERS)
    model = Level(q=lambda m: Independent(Normal(m, 1.0), 2), p=lambda z: Independent(Normal(z, 0.5), 1))
    with pytest.raises(ValueError, match=r"q\(z \| x\) of 7 data .* batch shape \(\) and the event shape \(7, 2\)"):
        CALLS[call](model, NUMBERS[:, None].expand(-1, 2))


def test_a_sum_by_hand_in_place_of_independent_is_fine():
    class ByHand(Level):
        def elbo_terms(self, x, *, num_samples=1):
            return {name: term.sum(dim=-1) for name, term in super().elbo_terms(x, num_samples=num_samples).items()}

    assert elbo_terms(ByHand(), X)["reconstruction"].shape == (30,)


def test_images_keep_their_shape():
    model = Level(p=lambda z: Independent(Normal(z, 0.5), 3))
    model.elbo_terms = lambda x, num_samples=1: {"reconstruction": model.p_x_given_z(x).log_prob(x)}
    images = torch.randn(5, 1, 4, 4)
    assert elbo_terms(model, images)["reconstruction"].shape == (5,)
    model.p = lambda z: Independent(Normal(z.flatten(1), 0.5), 1)
    with pytest.raises(ValueError, match=r"of the shape \(5, 1, 4, 4\)"):
        elbo_terms(model, images)


@pytest.mark.parametrize("shape", [(2, 7, 7), (7,), (7, 2), (1, 7)])
def test_log_weights_of_another_shape(shape):
    model = Level()
    model.log_weights = lambda x, num_samples: torch.zeros(shape)
    with pytest.raises(ValueError, match=r"log_weights must have the shape \(num_samples, batch\) = \(2, 7\), but has"):
        iwae_bound(model, NUMBERS, num_samples=2)


def test_terms_are_one_value_a_datum_in_an_evaluation_too():
    model = Level()
    model.elbo_terms = lambda x, num_samples=1: {"reconstruction": x.sum()}
    with pytest.raises(ValueError, match=r"'reconstruction' should have the shape \(7,\), but it has \(\)"):
        elbo_terms(model, NUMBERS)


# Supports


LIKELIHOODS = {
    "bernoulli": (bernoulli, X, 255 * X, "Boolean"),
    "binomial": (binomial(4), 4 * X, 5 * X, "IntegerInterval from 0 to 4"),
    "continuous Bernoulli": (continuous_bernoulli, X / 2, 2 * X - 1, "Interval from 0 to 1"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_support_holds_x_whether_torch_looks_or_not(name, call, validation):
    likelihood, good, bad, kind = LIKELIHOODS[name]
    CALLS[call](vae(likelihood=likelihood), good if call != "held out" else X)
    with pytest.raises(
        ValueError, match=rf"no density: they must be within the support of .*, {kind}, but row 0 goes .* Look at"
    ):
        CALLS[call](vae(likelihood=likelihood), bad)


@settings(max_examples=20)
@given(st.integers(0, 239), st.integers(0, D - 1), st.sampled_from([-1.0, 0.5, 255.0, float("inf")]))
def test_one_wrong_value_anywhere_is_found_where_torch_does_not_look(row, column, value):
    x = X.repeat(8, 1)
    x[row, column] = value
    Distribution.set_default_validate_args(False)
    try:
        with pytest.raises(ValueError, match=f"no density|x of data is inf in row {row}, column {column}"):
            elbo_terms(vae(), x)
    finally:
        Distribution.set_default_validate_args(True)


def test_a_likelihood_that_is_not_checked_on_purpose_stays_possible(validation):
    grey, model = X / 2, vae(likelihood=grey_bernoulli)
    with torch.no_grad():
        a = model.decoder(model.q_z_given_x(grey).mean)
    expected = (grey * a - nn.functional.softplus(a)).sum(dim=-1)
    assert torch.allclose(model.p_x_given_z(model.q_z_given_x(grey).mean).log_prob(grey), expected, atol=1e-5)
    for call in ALONE:
        CALLS[call](vae(likelihood=grey_bernoulli), grey)
    model = vae(likelihood=lambda outputs: Independent(Bernoulli(logits=outputs), 1, validate_args=False))
    if validation == "checks off":
        CALLS["elbo_terms"](model, grey)


@pytest.mark.parametrize("call", ALONE)
def test_models_whose_distributions_cannot_be_had_are_looked_at_by_torch(call, validation):
    x = torch.bernoulli(torch.full((6, 4, 3), 0.5))
    model = VariationalRNN(3, 2, 4, T=4, hidden=(4,))
    CALLS[call](model, x)
    with pytest.raises(ValueError, match="within the support"):
        CALLS[call](model, 255 * x)
    assert Distribution._validate_args == (validation == "checks on")


@pytest.mark.parametrize("call", ["fit", "elbo_terms"])
def test_a_model_without_a_latent_is_looked_at_by_torch(call, validation):
    CALLS[call](DirectNetwork(D, 3, hidden=(4,)), (X, Y))
    with pytest.raises(ValueError, match="within the support"):
        CALLS[call](DirectNetwork(D, 3, hidden=(4,)), (255 * X, Y))
    with pytest.raises(ValueError, match=r"event_shape|Expected x of shape"):
        CALLS[call](DirectNetwork(5, 3, hidden=(4,)), (X, Y))


# NaN


@pytest.mark.parametrize("call", CALLS)
def test_nan_is_named_by_row_and_column(call, validation):
    x = X.clone()
    x[7, 3] = x[9, 1] = float("nan")
    where = "held_out" if call == "held out" else "data"
    with pytest.raises(ValueError, match=rf"x of {where} is nan in row 7, column 3 \(2 in all\): leave these rows out"):
        CALLS[call](vae(), x)


def test_nan_in_the_context_is_named():
    y = Y.clone()
    y[4, 2] = float("nan")
    with pytest.raises(ValueError, match="the context of data is nan in row 4, column 2"):
        train(ConditionalVAE(D, 3, 2, hidden=(8,)), (X, y))


def test_nan_in_data_that_are_drawn_is_named():
    with pytest.raises(ValueError, match="x of data is nan in row 0, place 1, 2"):
        train(VariationalRNN(3, 2, 4, T=2, hidden=(4,)), lambda: torch.zeros(5, 2, 3).index_put([*HOLE], NAN))


HOLE = torch.tensor([[0], [1], [2]])
NAN = torch.tensor([float("nan")])


class Holes(MaskedFactorAnalysis):
    """Puts zeros into the holes, whatever stands there."""

    def q_z_given_x(self, x, o):
        return super().q_z_given_x(torch.where(o == 1, x, 0), o)

    def parts(self, x, o):
        q, p_z, p_x_given_z = super().parts(x, o)
        return q, p_z, lambda z: Filled(p_x_given_z(z), o)


class Filled:
    def __init__(self, p_x, o):
        self.p_x, self.o = p_x, o

    def log_prob(self, x):
        return self.p_x.log_prob(torch.where(self.o == 1, x, 0))


@pytest.mark.parametrize("call", ALONE)
def test_nan_in_a_hole_is_a_hole_for_a_model_that_knows_holes(call):
    x, o = X.clone(), torch.ones_like(X)
    x[[2, 7], 3], o[[2, 7], 3] = float("nan"), 0
    torch.manual_seed(0)
    model = Holes(D, 2)
    CALLS[call](model, (x, o))
    x[7, 5] = float("nan")
    with pytest.raises(ValueError, match=r"x of data is nan in row 7, column 5 \(3 in all\)"):
        CALLS[call](model, (x, o))


@settings(max_examples=10)
@given(st.integers(100, 239), st.integers(0, D - 1), st.sampled_from([-1.0, 0.5, 255.0]))
def test_one_wrong_value_anywhere_is_found_before_the_first_step(row, column, value):
    x, model = X.repeat(8, 1), vae()
    x[row, column] = value
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(ValueError, match=rf"no density: .* but row {row} goes from"):
        CALLS["fit"](model, x)
    assert all(map(torch.equal, before, model.parameters()))


def test_what_overflows_is_said_to_be_no_number():
    class Overflows(Level):
        def elbo_terms(self, x, *, num_samples=1):
            huge = 1e38 * x
            return {"reconstruction": huge * 10 - huge * 10, "minus_kl": 0 * x}

        def log_weights(self, x, *, num_samples):
            return self.elbo_terms(x)["reconstruction"].expand(num_samples, -1)

    message = r"is NaN in row 0 \(4 rows in all\): data or parameters are too large for torch.float32"
    with pytest.raises(ValueError, match=f"The ELBO's term 'reconstruction' {message}"):
        elbo_terms(Overflows(), NUMBERS)
    with pytest.raises(ValueError, match=f"The importance-weighted bound {message}"):
        iwae_bound(Overflows(), NUMBERS, num_samples=2)


def test_an_impossible_datum_has_minus_infinity():
    class Impossible(Level):
        def elbo_terms(self, x, *, num_samples=1):
            return {"reconstruction": x.log(), "minus_kl": 0 * x}

    values = elbo_terms(Impossible().double(), torch.tensor([1.0, 0.0], dtype=torch.float64))["reconstruction"]
    assert values.tolist() == [0.0, float("-inf")]  # without a warning
    with pytest.warns(UserWarning, match=r"term 'reconstruction' is -inf in row 1 \(1 rows in all\): .* torch.float32"):
        elbo_terms(Impossible(), torch.tensor([1.0, 0.0]))


def test_what_overflows_to_infinity_is_said_and_float64_has_the_number():
    class Far(Level):
        def elbo_terms(self, x, *, num_samples=1):
            return {"reconstruction": -(1e25 * x).square(), "minus_kl": 0 * x}

        def log_weights(self, x, *, num_samples):
            return self.elbo_terms(x)["reconstruction"].expand(num_samples, -1)

    model, x = Far(), torch.ones(3)
    for call in ("elbo_terms", "iwae_bound"):
        with pytest.warns(UserWarning, match=r"is -inf in row 0 \(3 rows in all\): .* torch.float32 cannot hold"):
            CALLS[call](model, x)
    assert elbo_terms(model.double(), x.double())["reconstruction"].tolist() == pytest.approx([-1e50] * 3)


# Calls that cannot be


@pytest.mark.parametrize("call", ALONE)
@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (lambda: vae(), (X, Y), r"x and 1 parts of context, but q_z_given_x of VAE takes \(x: "),
        (lambda: ConditionalVAE(D, 3, 2, hidden=(8,)), X, "x and 0 parts of context, but q_z_given_x of Cond"),
        (lambda: ConditionalVAE(D, 3, 2, hidden=(8,)), (X, Y, Y), "x and 2 parts of context, but q_z_given_x"),
        (lambda: Level(), (NUMBERS, NUMBERS), r"x and 1 parts of context, but (elbo_terms|log_weights) of Level"),
        (lambda: vae(), X.double(), "x is torch.float64 and the model is torch.float32: convert one, as by x.to"),
        (lambda: vae(), X.byte(), "x is torch.uint8 and the model is torch.float32: convert one"),
        (
            lambda: VariationalRNN(3, 2, 4, T=4, hidden=(4,)),
            torch.zeros(2, 4, 3).double(),
            r"x is torch.float64 and the model is torch.float32: convert one, as by x.to\(torch.float32\)",
        ),
    ],
    ids=["extra", "missing", "one too many", "not taken", "float64", "uint8", "another model"],
)
def test_a_call_that_cannot_be_is_explained(call, model, data, message):
    with pytest.raises(ValueError, match=message):
        CALLS[call](model(), data)


def test_a_context_that_one_distribution_does_not_take_is_fine():
    model = JitteredVAE(D, 2, hidden=(8,))
    train(model, (X, X / 2))
    assert elbo_terms(model, X, X / 2)["reconstruction"].shape == (30,)
    with pytest.raises(ValueError, match="no density"):
        elbo_terms(model, X / 2, X)


def test_another_number_format_that_the_model_can_do_with_is_fine():
    assert elbo_terms(Level(), NUMBERS.double())["reconstruction"].dtype == torch.float64


# What the look leaves alone


class Statistics(Conjugate):
    """Has a layer that changes whenever it is called in training mode, and counts the calls in earnest."""

    def __init__(self):
        super().__init__(dropout=0.3)
        self.norm = nn.BatchNorm1d(4, dtype=torch.float64)

    def q_z_given_x(self, x):
        return super().q_z_given_x(self.norm(x))


def test_the_look_changes_no_bit(monkeypatch):
    def run():
        model = Statistics()
        torch.manual_seed(5)
        history = train(model, data_of(Conjugate(), 20), epochs=2, held_out=data_of(Conjugate(), 5, seed=2))
        state = torch.cat([value.flatten().double() for value in model.state_dict().values()])
        return torch.cat([history.step_elbo, history.held_out_elbo, state, torch.rand(2).double()])

    looked = run()
    monkeypatch.setattr("aevb_utils.training.loop.check_data", lambda *arguments: None)
    assert torch.equal(run(), looked)


def test_an_evaluation_is_that_without_the_look():
    model, x = Conjugate(dropout=0.4), data_of(Conjugate(), 9)
    for name, value in elbo_terms(model, x, num_samples=3, seed=4).items():
        assert torch.equal(value, estimate(model, (x,), 3, 4)[name])
