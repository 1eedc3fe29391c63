"""What fit is given: it is taken, or refused in one sentence before anything moves."""

import numpy as np
import pytest
import torch
from latent_models import Conjugate, data_of
from torch.optim import lr_scheduler
from torch.overrides import TorchFunctionMode

from aevb_utils.training import History, fit

X = data_of(Conjugate(), 12)


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def run(model, data=X, **options):
    optimizer = options.pop("optimizer", None) or torch.optim.Adam(model.parameters(), lr=0.01)
    return fit(model, data, optimizer=optimizer, **({"epochs": 2, "batch_size": 5, "seed": 1} | options))


@pytest.mark.parametrize("name", ["epochs", "batch_size", "num_samples", "seed"])
@pytest.mark.parametrize("value", [2.5, 3.0, "3", True, None, [3]])
def test_counts_that_are_none(name, value):
    model = Conjugate()
    before = parameters(model)
    with pytest.raises(ValueError, match=f"{name} must be a whole number.*, not "):
        run(model, **{name: value})
    assert torch.equal(parameters(model), before)


def test_whole_numbers_of_numpy_and_torch():
    first, second = Conjugate(), Conjugate()
    run(first, epochs=np.int64(2), batch_size=np.uint8(5), seed=torch.tensor(1))
    run(second)
    assert torch.equal(parameters(first), parameters(second))


OPTIMIZERS = {
    "a class": (lambda model: torch.optim.Adam, r"is the class Adam: build it, as by Adam\(model.parameters\(\), lr"),
    "a list": (lambda model: [torch.optim.Adam(model.parameters())], "must be one optimizer .*, not a list: one alone"),
    "parameters": (lambda model: model.parameters(), "must be one optimizer of torch.optim, not a generator"),
    "LBFGS": (lambda model: torch.optim.LBFGS(model.parameters()), "LBFGS evaluates the loss several times a step"),
    "a scheduler": (
        lambda model: lr_scheduler.ConstantLR(torch.optim.Adam(model.parameters())),
        "optimizer is a scheduler: give it as scheduler=, and the optimizer",
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_no_optimizer_for_fit(name):
    build, message = OPTIMIZERS[name]
    model = Conjugate()
    with pytest.raises(ValueError, match=message):
        run(model, optimizer=build(model))


SCHEDULERS = {
    "a class": (lambda optimizer: lr_scheduler.ConstantLR, "scheduler must be one of torch.optim.lr_scheduler"),
    "an optimizer": (lambda optimizer: optimizer, "built over the optimizer, not a Adam"),
    "a function": (lambda optimizer: lambda step: 1.0, "built over the optimizer, not a function"),
    "one with figures": (lr_scheduler.ReduceLROnPlateau, "ReduceLROnPlateau is stepped with metrics, and fit steps"),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_is_no_scheduler_for_fit(name):
    build, message = SCHEDULERS[name]
    model = Conjugate()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match=message):
        run(model, optimizer=optimizer, scheduler=build(optimizer))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Rprop", "Adafactor"])
def test_other_optimizers_with_schedulers_of_schedulers(name):
    if not hasattr(torch.optim, name):
        pytest.skip(f"torch {torch.__version__} has no {name}")
    model = Conjugate()
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=1e-3)
    parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    assert len(run(model, optimizer=optimizer, scheduler=lr_scheduler.SequentialLR(optimizer, parts, [2]))) == 2


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_training_without_gradients(off):
    with off(), pytest.raises(ValueError, match=rf"fit needs gradients, which torch.{off.__name__}\(\) turns off"):
        run(Conjugate())


def test_a_model_and_data_from_inference_mode():
    with torch.inference_mode():
        model, data = Conjugate(), X + 0
    with pytest.raises(ValueError, match=r"The model was built under torch.inference_mode\(\)"):
        run(model)
    first, second = Conjugate(), Conjugate()
    run(first, data)
    run(second)
    assert torch.equal(parameters(first), parameters(second))


def test_a_source_that_is_exhausted():
    with pytest.raises(ValueError, match="has no more of them in epoch 2: it is called once an epoch, so let it draw"):
        run(Conjugate(), iter([X]).__next__, epochs=3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: None, "data must be a tensor, an array, or a list of numbers, not a NoneType"),
        (lambda: torch.tensor(1.0), "data must have a row for each datum, not be a single number"),
        (torch.tensor(1.0), "data must have a row for each datum"),
        (lambda: (X, X), "x and 1 parts of context, but elbo_terms of Conjugate takes"),
        (torch.utils.data.TensorDataset(X), "not a TensorDataset"),
    ],
    ids=["nothing", "a number drawn", "a number", "an extra part", "a data set"],
)
def test_data_that_are_none(data, message):
    model = Conjugate()
    before = parameters(model)
    with pytest.raises(ValueError, match=message):
        run(model, data)
    assert torch.equal(parameters(model), before)


# Modes and layers that somebody changes


def test_a_model_in_evaluation_mode_is_trained_with_dropout_and_put_back():
    evaluated, trained = Conjugate(dropout=0.5).eval(), Conjugate(dropout=0.5)
    run(evaluated, held_out=X)
    run(trained, held_out=X)
    assert torch.equal(parameters(evaluated), parameters(trained))
    assert not any(module.training for module in evaluated.modules())
    assert trained.dropout.training


def test_a_callback_that_turns_dropout_off_does_not_turn_it_off_for_the_training():
    watched, plain = Conjugate(dropout=0.5), Conjugate(dropout=0.5)
    run(watched, callback=lambda epoch, model, history: model.eval())
    run(plain)
    assert torch.equal(parameters(watched), parameters(plain))


def test_the_mode_is_put_back_after_an_error():
    model = Conjugate(dropout=0.5).eval()
    model.encoder.register_forward_pre_hook(fails_in_training)
    with pytest.raises(RuntimeError, match="on purpose"):
        run(model)
    assert not model.dropout.training


def fails_in_training(module, inputs):
    if module.training:
        raise RuntimeError("on purpose")


def test_a_layer_that_a_callback_replaces_is_noticed():
    def replace(epoch, model, history):
        model.encoder = torch.nn.Linear(4, 4, dtype=torch.float64)

    with pytest.raises(ValueError, match=r"holds 3 of the 5 parameter tensors .*a layer that was replaced after"):
        run(Conjugate(), callback=replace)


def test_a_parameter_that_a_callback_freezes_stays():
    model, frozen = Conjugate(), []

    def freeze(epoch, model, history):
        model.W.requires_grad_(False)
        frozen.append(model.W.clone())

    run(model, optimizer=torch.optim.SGD(model.parameters(), lr=1e-4), epochs=3, callback=freeze)
    assert torch.equal(frozen[0], frozen[-1])


# Histories


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 6}, "begun with batch_size 5 and this call has batch_size 6: continue as it began"),
        ({"num_samples": 2}, "begun with num_samples 1 and this call has num_samples 2"),
        ({"update": "inference"}, "begun with update both and this call has update inference"),
        ({"data": X[:7]}, "begun with rows 12 and this call has rows 7"),
        ({"held_out": X[:2]}, "begun with held-out rows 3 and this call has held-out rows 2"),
        ({"model": Conjugate(L=3)}, "begun with numbers to learn 33 and this call has numbers to learn 47"),
        ({"model": type("Other", (Conjugate,), {})()}, "begun with model Conjugate and this call has model Other"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("saved", [False, True])
def test_a_history_of_another_run(options, message, saved):
    history = run(Conjugate(), held_out=X[:3])
    history = History.from_state_dict(history.state_dict()) if saved else history
    options = {"model": Conjugate(), "held_out": X[:3]} | options
    model = options.pop("model")
    before = parameters(model)
    with pytest.raises(ValueError, match=message):
        run(model, epochs=3, history=history, **options)
    assert torch.equal(parameters(model), before)
    assert len(history) == 2


def test_an_old_history_has_no_settings_and_goes_on():
    history = run(Conjugate())
    state = {name: part for name, part in history.state_dict().items() if name not in ("settings", "lengths")}
    again = History.from_state_dict(state)
    assert torch.equal(again.step_elbo, history.step_elbo)
    assert torch.equal(again.elbo, history.elbo)
    assert len(run(Conjugate(), batch_size=6, epochs=3, history=again)) == 3


def test_held_out_terms_are_mapped_by_their_names():
    class Reversed(Conjugate):
        def elbo_terms(self, x, *, num_samples=1):
            terms = super().elbo_terms(x, num_samples=num_samples)
            return terms if self.training else dict(reversed(terms.items()))

    expected, history = run(Conjugate(), held_out=X[:3]), run(Reversed(), held_out=X[:3])
    assert list(history.held_out) == ["reconstruction", "minus_kl"]
    assert all(torch.equal(history.held_out[name], values) for name, values in expected.held_out.items())


def test_held_out_data_with_other_terms():
    class Fewer(Conjugate):
        def elbo_terms(self, x, *, num_samples=1):
            terms = super().elbo_terms(x, num_samples=num_samples)
            return terms if self.training else {"reconstruction": terms["reconstruction"]}

    with pytest.raises(ValueError, match="are reconstruction, minus_kl, but those of the held-out data are recon"):
        run(Fewer(), held_out=X[:3])


# Devices


def test_numbers_leave_their_device_before_they_become_float64():
    calls = []

    class Trace(TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), options=None):
            calls.append(getattr(function, "__name__", ""))
            return function(*arguments, **(options or {}))

    history = History()
    history.add_step({"elbo": torch.tensor(1.0)})
    with Trace():
        history.close_epoch(history.take_steps(), [1], {"elbo": torch.tensor(2.0)})
    moves = [name for name in calls if name in ("cpu", "double")]
    assert moves == ["cpu", "double"] * 2


def test_another_default_device_changes_nothing():
    first, second = Conjugate(dropout=0.2), Conjugate(dropout=0.2)
    expected = run(first, held_out=X, optimizer=torch.optim.SGD(first.parameters(), lr=1e-4))
    torch.set_default_device("meta")
    try:  # Adam would count its steps on the default device, in some versions of torch
        history = run(second, held_out=X, optimizer=torch.optim.SGD(second.parameters(), lr=1e-4))
        values = history.elbo.tolist(), history.held_out_elbo.tolist(), history.state_dict()["steps"].tolist()
    finally:
        torch.set_default_device(None)
    assert torch.equal(parameters(first), parameters(second))
    assert values == (expected.elbo.tolist(), expected.held_out_elbo.tolist(), expected.state_dict()["steps"].tolist())
