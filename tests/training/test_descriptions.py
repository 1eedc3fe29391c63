"""What a model says of itself: a checkpoint tells each setting of each model, and nothing that makes no difference."""

import copy
import functools
import importlib
import inspect
import itertools
import json
import math
import pickle
import pkgutil

import pytest
import torch
from checking.test_contract import CASES
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Bernoulli, ContinuousBernoulli, Distribution, Independent, Normal
from torch.nn.functional import softplus

import aevb_utils.models
from aevb_utils import networks
from aevb_utils.models import BinomialVAE, FactorAnalysis, LocalLevel
from aevb_utils.models.binomial_vae import BinomialModel, BinomialWithEncoder
from aevb_utils.models.clustered_start import JitteredVAE
from aevb_utils.models.conditional_vae import ConditionalVAE, DirectNetwork
from aevb_utils.models.factor_analysis import FactorModel, LinearEncoder
from aevb_utils.models.flow_vae import FlowVAE
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE, MixtureEncoder, MixturePrior
from aevb_utils.models.item_response import ItemResponse
from aevb_utils.models.linear_state_space import ExactStateSpace, LinearStateSpace, MarkovEncoder
from aevb_utils.models.local_level import ExactLocalLevel, LocalLevelModel, MarkovGaussian
from aevb_utils.models.logit_network import LogitNetwork
from aevb_utils.models.masked_factor_analysis import EntryEncoder, MaskedFactorAnalysis, MaskedFactorModel
from aevb_utils.models.mixture_em import MixtureParameters
from aevb_utils.models.recipe import FreeParameters
from aevb_utils.models.vae import VAE
from aevb_utils.models.variational_mixture import FreeLogits, FreeMixture, VariationalMixture
from aevb_utils.models.variational_rnn import GatedUnit, RecurrentNetwork, StepEncoder, VariationalRNN
from aevb_utils.training import fit
from aevb_utils.training.checkpoints import CheckpointError, load_weights, save
from aevb_utils.training.descriptions import describe, first_difference, modules_outside

# Every model of the book, with each argument of its constructor changed once

ROWS = torch.arange(12.0).reshape(6, 2).sin()
OTHER_ROWS = 3 * ROWS + 1


def mixture(mean=0.0, C=2):
    return MixtureParameters(torch.full((C,), 1 / C), torch.full((C, 2), mean), torch.eye(2).expand(C, 2, 2))


WIDE = {"layer": ("relu", "tanh"), "dropout": (0.1, 0.2)}
DECODED = {"likelihood": (networks.bernoulli, networks.continuous_bernoulli), "outputs": (4, 5)}
SIZES = {"D": (4, 5), "L": (2, 3), "C": (3, 4)}
NETWORK = {"inputs": (3, 4), "hidden": ((6,), (5,)), "outputs": (2, 3), **WIDE}
AUTO = {"D": (4, 5), "L": (2, 3), "hidden": ((6, 5), (5, 6)), **DECODED, **WIDE}
COUNTS = {"D": (4, 5), "L": (2, 3), "trials": (4, 5), "hidden": ((6, 5), (5, 6))}
FACTORS = {"D": (4, 5), "L": (2, 3), "noise": ("diagonal", "isotropic"), "floor": (1e-4, 1e-3)}
SERIES = {"T": (5, 6), "first": ((0.0, 1.0), (0.0, 2.0)), "variances": ((1.0, 1.0), (2.0, 1.0))}

MODELS = {
    networks.Gated: {"inputs": (3, 4), "outputs": (2, 3)},
    networks.Network: NETWORK,
    networks.GaussianNetwork: NETWORK,
    VAE: AUTO,
    JitteredVAE: AUTO,
    ConditionalVAE: AUTO | {"C": (3, 4), "enters": ("both", "prior")},
    DirectNetwork: {key: value for key, value in AUTO.items() if key not in ("L", "outputs")} | {"C": (3, 4)},
    MixturePrior: {"L": (2, 3), "C": (3, 4), "mean_scale": (0.1, 0.2)},
    MixtureEncoder: SIZES | {"hidden": ((6, 5), (5, 6)), **WIDE},
    GaussianMixtureVAE: AUTO | {"C": (3, 4), "mean_scale": (0.1, 0.2)},
    BinomialModel: COUNTS,
    BinomialWithEncoder: COUNTS | {"encoder_hidden": ((6,), (5,)), "covariance": ("diagonal", "full")},
    BinomialVAE: COUNTS | {"encoder_hidden": ((6,), (5,)), "covariance": ("diagonal", "full")},
    FlowVAE: {"D": (4, 5), "trials": (4, 5), "hidden": ((6, 5), (5, 6)), "couplings": (1, 2)},
    FactorModel: FACTORS,
    LinearEncoder: {"D": (4, 5), "L": (2, 3), "covariance": ("full", "diagonal")},
    FactorAnalysis: FACTORS | {"covariance": ("full", "diagonal"), "kl": ("path", "sampled")},
    MaskedFactorModel: {"D": (4, 5), "L": (2, 3), "floor": (1e-4, 1e-3)},
    MaskedFactorAnalysis: {"D": (4, 5), "L": (2, 3), "floor": (1e-4, 1e-3)},
    EntryEncoder: {"D": (4, 5), "L": (2, 3)},
    ItemResponse: {"D": (4, 5), "hidden": (3, 4), "nodes": (61, 31)},
    MarkovEncoder: {"T": (5, 6), "family": ("smoothing", "filtering")},
    LinearStateSpace: {"T": (5, 6), "family": ("filtering", "mean-field")},
    ExactStateSpace: {"T": (5, 6), "family": ("mean-field", "smoothing")},
    LocalLevelModel: SERIES,
    ExactLocalLevel: SERIES,
    MarkovGaussian: {"N": (3, 4), "T": (5, 6), "center": (0.0, 1.0), "scale": (1.0, 10.0), "structured": (True, False)},
    LocalLevel: SERIES | {"N": (3, 4), "scale": (1.0, 10.0), "structured": (True, False)},
    LogitNetwork: {
        "x": (ROWS, OTHER_ROWS),
        "n_components": (2, 3),
        "hidden": ((4,), (5,)),
        "quadratic": (False, True),
    },
    FreeMixture: {"start": (mixture(), mixture(1.0))},
    FreeParameters: {"N": (3, 4), "K": (2, 3)},
    FreeLogits: {"N": (6, 7), "C": (2, 3)},
    VariationalMixture: {
        "start": (mixture(), mixture(1.0)),
        "inference": (LogitNetwork(ROWS, 2), LogitNetwork(ROWS, 2, hidden=(3,))),
    },
    GatedUnit: {"D": (4, 5), "L": (2, 3), "H": (5, 6)},
    StepEncoder: {"D": (4, 5), "H": (5, 6), "L": (2, 3), "hidden": ((6, 5), (5, 6)), "dropout": (0.1, 0.2)},
    VariationalRNN: {
        **{"D": (4, 5), "L": (2, 3), "H": (5, 6), "T": (3, 4), "hidden": ((6, 5), (5, 6))},
        **DECODED,
        "dropout": (0.1, 0.2),
    },
    RecurrentNetwork: {"D": (4, 5), "H": (5, 6), "hidden": ((6, 5), (5, 6)), "dropout": (0.1, 0.2)},
}

IN_THE_STATE = {
    "mean_scale",
    "variances",
    "x",
    "start",
}  # where parameters begin, and buffers: the file gives them back
CHANGES = [
    (kind, argument)
    for kind, arguments in MODELS.items()
    for argument in arguments
    if argument not in IN_THE_STATE and (kind, argument) != (MarkovEncoder, "family")
]


def build(kind, changed=None):
    """A model with the first value of each argument, or with the second of one."""
    return kind(**{name: values[name == changed] for name, values in MODELS[kind].items()})


def test_every_argument_of_every_model_is_in_the_table():
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(aevb_utils.models.__path__, "aevb_utils.models.")
    ]
    kinds = {
        kind
        for module in [networks, *modules]
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind.__module__ == module.__name__
    }
    without_constructor = {kind for kind in kinds if not inspect.signature(kind).parameters.keys() - {"args", "kwargs"}}
    assert {kind.__name__ for kind in without_constructor} <= {
        "AutoEncodingModel",
        "ConditionalModel",
        "MixtureAutoEncoder",
        "SampledKL",
        "SequenceModel",
    }
    names = {kind.__name__: set(inspect.signature(kind).parameters) for kind in kinds - without_constructor}
    inherited = {"MixtureAutoEncoder"}  # whose arguments are MixturePrior's, and which cannot be built
    assert {name: found for name, found in names.items() if name not in inherited} == {
        kind.__name__: set(arguments) for kind, arguments in MODELS.items()
    }


@pytest.mark.parametrize(("kind", "argument"), CHANGES, ids=lambda part: getattr(part, "__name__", part))
def test_each_argument_that_is_changed_is_refused(tmp_path, kind, argument):
    path = tmp_path / "weights.safetensors"
    model, other = build(kind), build(kind, argument)
    save(path, model)
    load_weights(path, build(kind))
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(CheckpointError, match=r"does not fit the model|was saved with"):
        load_weights(path, other)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "argument"),
    [(kind, name) for kind in MODELS for name in MODELS[kind] if (kind, name) not in CHANGES],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_an_argument_that_is_only_in_the_state_comes_back_from_the_file(tmp_path, kind, argument):
    path = tmp_path / "weights.safetensors"
    model, other = build(kind), build(kind, argument)
    save(path, model)
    load_weights(path, other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert describe(other) == describe(model)


@pytest.mark.parametrize(
    ("model", "other", "message"),
    [
        (
            VAE(4, 2, hidden=(3,)),
            VAE(4, 2, hidden=(3,), likelihood=networks.continuous_bernoulli),
            "was saved with likelihood.function = 'aevb_utils.networks.bernoulli', but the model has "
            "'aevb_utils.networks.continuous_bernoulli'",
        ),
        (
            VAE(4, 2, hidden=(3,)),
            VAE(4, 2, hidden=(3,), layer="tanh"),
            "was saved with encoder.network.layers.1.class = 'ReLU', but the model has 'Tanh'",
        ),
        (
            VAE(4, 2, hidden=(3,), dropout=0.5),
            VAE(4, 2, hidden=(3,), dropout=0.1),
            "was saved with encoder.network.layers.2.p = 0.5, but the model has 0.1",
        ),
        (
            VAE(4, 2, hidden=(3,), likelihood=networks.binomial(16)),
            VAE(4, 2, hidden=(3,), likelihood=networks.binomial(8)),
            r"was saved with likelihood\..*trials = 16, but the model has 8",
        ),
        (build(LocalLevel), build(LocalLevel, "scale"), "was saved with q.scale = 1.0, but the model has 10.0"),
        (build(LocalLevel), build(LocalLevel, "first"), "was saved with first.1 = 1.0, but the model has 2.0"),
    ],
    ids=["likelihood", "layer", "dropout", "trials", "scale", "first"],
)
def test_the_refusal_names_what_differs(tmp_path, model, other, message):
    path = tmp_path / "weights.safetensors"
    save(path, model)
    with pytest.raises(CheckpointError, match=message):
        load_weights(path, other)


# Nothing that is equal is refused


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_was_used_is_the_same_model_and_can_be_copied(tmp_path, case):
    model, x, *context = CASES[case].build(torch.float64)
    new = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = fit(model, (x, *context) if context else x, optimizer=optimizer, epochs=2, batch_size=4)
    path = tmp_path / "model.pt"
    torch.save(model.eval(), path)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(path, weights_only=False)]
    torch.manual_seed(0)
    elbo = model.elbo(x, *context)
    for other in copies:
        assert describe(other) == describe(model)
        torch.manual_seed(0)
        assert torch.equal(other.elbo(x, *context), elbo)
    for other in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history)):
        assert torch.equal(other.elbo, history.elbo)
        assert repr(other) == repr(history)
    for other in (new, new.requires_grad_(requires_grad=False)):
        assert first_difference(json.loads(json.dumps(describe(model))), describe(other)) is None


def test_parameters_outside_the_model_are_part_of_its_description():
    def model(seed):
        made = build(VAE)
        torch.manual_seed(seed)
        made.extra = [nn.Linear(2, 2)]
        made.method = nn.Linear(2, 2).forward
        made.again = [made.encoder]  # registered: its parameters are in the state
        return made

    one, same, other = model(1), model(1), model(2)
    assert first_difference(describe(one), describe(same)) is None
    with torch.no_grad():
        next(same.encoder.parameters()).add_(1.0)
    assert first_difference(describe(one), describe(same)) is None
    assert "extra" in first_difference(describe(one), describe(other))[0]
    other.extra = one.extra
    assert "method" in first_difference(describe(one), describe(other))[0]
    assert len(modules_outside(one)) == 2


@pytest.fixture
def torch_checks_values():
    """Undo what torch.compile does: it turns the checks of torch.distributions off, for all that follows."""
    before = Distribution._validate_args
    yield
    Distribution.set_default_validate_args(before)


@pytest.mark.usefixtures("torch_checks_values")
def test_a_compiled_model_and_the_model_itself_share_checkpoints(tmp_path):
    model, other = build(VAE), build(VAE)
    compiled = torch.compile(other, backend="eager")
    save(tmp_path / "model", model)
    load_weights(tmp_path / "model", compiled)
    assert torch.equal(other.encoder.network.layers[0].weight, model.encoder.network.layers[0].weight)
    save(tmp_path / "compiled", compiled)
    load_weights(tmp_path / "compiled", model)


# Settings of any kind


class Holder(nn.Module):
    """A setting in a part of a model."""

    def __init__(self, setting):
        super().__init__()
        self.part = nn.Linear(1, 1)
        self.part.setting = setting


def differ(one, other):
    """Whether a file of the one is refused by the other."""
    return first_difference(json.loads(json.dumps(describe(Holder(one)))), describe(Holder(other))) is not None


SETTINGS = st.recursive(
    st.none() | st.text(max_size=3) | st.integers(-3, 3) | st.sampled_from([math.nan, math.inf, -math.inf, 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(SETTINGS, SETTINGS)
def test_settings_are_the_same_if_their_values_are(one, other):
    assert differ(one, other) == (json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert not differ(one, copy.deepcopy(one))
    assert not differ([one], (one,))


SIGMA = 0.1


def scaled(sigma):
    def likelihood(outputs):
        return Independent(Normal(outputs, sigma), 1)

    return likelihood


class Scaled:
    def __init__(self, sigma):
        self.sigma = sigma

    def __call__(self, outputs):
        return Independent(Normal(outputs, self.sigma), 1)

    def with_floor(self, outputs):
        return Independent(Normal(outputs, self.sigma + 1e-3), 1)


class Remembering:
    """An object that computes a number at first use."""

    def __init__(self, number):
        self.number = number

    @functools.cached_property
    def square(self):
        return self.number**2


def after_use(number):
    remembering = Remembering(number)
    assert remembering.square == number**2
    return remembering


def around_itself():
    setting = [1]
    setting.append(setting)
    return setting


DIFFERENT = {
    "functions": (lambda: torch.tanh, lambda: torch.sigmoid),
    "functions of Python": (lambda: softplus, lambda: nn.functional.relu),
    "classes": (lambda: Bernoulli, lambda: ContinuousBernoulli),
    "closures": (lambda: scaled(0.1), lambda: scaled(0.2)),
    "arguments of a partial": (lambda: functools.partial(Normal, scale=1), lambda: functools.partial(Normal, scale=2)),
    "defaults": (lambda: lambda x, s=0.1: x * s, lambda: lambda x, s=0.2: x * s),
    "keyword defaults": (lambda: lambda x, *, s=0.1: x * s, lambda: lambda x, *, s=0.2: x * s),
    "constants in code": (lambda: lambda x: Normal(x, 0.1), lambda: lambda x: Normal(x, 0.2)),
    "names in code": (lambda: lambda x: Bernoulli(x), lambda: lambda x: ContinuousBernoulli(x)),
    "signs in code": (lambda: lambda x: Normal(x, 1), lambda: lambda x: Normal(-x, 1)),
    "functions inside functions": (lambda: lambda: lambda x: x + 1, lambda: lambda: lambda x: x + 2),
    "objects": (lambda: Scaled(0.1), lambda: Scaled(0.2)),
    "methods": (lambda: Scaled(0.1).with_floor, lambda: Scaled(0.2).with_floor),
    "methods of one object": (lambda: Scaled(0.1).with_floor, lambda: Scaled(0.1).__call__),
    "distributions": (lambda: Normal(0, torch.tensor(1.0)), lambda: Normal(0, torch.tensor(2.0))),
    "probabilities": (lambda: Bernoulli(torch.tensor(0.3)), lambda: Bernoulli(torch.tensor(0.7))),
    "tensors": (lambda: torch.ones(3), lambda: torch.zeros(3)),
    "number formats": (lambda: torch.float32, lambda: torch.float64),
    "arrays": (lambda: torch.ones(2).numpy(), lambda: torch.zeros(2).numpy()),
    "parts in a list": (lambda: [nn.ReLU()], lambda: [nn.Tanh()]),
    "sets": (lambda: {"a", "b"}, lambda: {"a", "c"}),
    "long lists": (lambda: [*range(1000)], lambda: [*range(999), 0]),
    "nothing and zero": (lambda: None, lambda: 0),
    "lists in themselves": (around_itself, lambda: [1, [1]]),
    "numbers kept": (lambda: after_use(2), lambda: after_use(3)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_settings_that_make_other_numbers_are_told_apart_and_equal_ones_are_not(name):
    for one, other in itertools.product(DIFFERENT[name], repeat=2):
        assert differ(one(), other()) == (one is not other)


def by_sigma(outputs):
    """A likelihood whose scale is in no argument."""
    return Normal(outputs, SIGMA)


def test_a_function_is_another_one_where_a_global_number_is(monkeypatch):
    before = describe(Holder(by_sigma))
    monkeypatch.setitem(globals(), "SIGMA", 0.2)
    assert first_difference(before, describe(Holder(by_sigma))) == ("part.setting.globals.SIGMA", 0.1, 0.2)


def test_what_is_computed_at_first_use_makes_no_difference():
    prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    used = copy.deepcopy(prior)
    assert torch.equal(used.precision_matrix, torch.eye(2))
    assert not differ(prior, used)
    assert not differ(after_use(2), Remembering(2))
    model, looked_at = build(VAE), build(VAE)
    model._table, looked_at._table = None, torch.ones(3)
    assert first_difference(describe(looked_at), describe(model)) is None
    model._table = torch.zeros(3)
    assert first_difference(describe(looked_at), describe(model))[0] == "_table.sha256"


def test_settings_that_are_infinite_or_no_numbers_are_saved(tmp_path):
    path = tmp_path / "weights.safetensors"
    save(path, Holder([math.inf, math.nan]))
    load_weights(path, Holder([math.inf, math.nan]))
    with pytest.raises(CheckpointError, match=r"was saved with part.setting.0.float = 'inf', but the model has '-inf'"):
        load_weights(path, Holder([-math.inf, math.nan]))
