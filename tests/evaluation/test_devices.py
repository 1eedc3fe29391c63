"""compute_on: where a training and an evaluation compute, and that all is on the CPU again afterwards."""

import copy
import types

import matplotlib.pyplot as plt
import pytest
import torch
from fake_device import FakeDevice
from latent_models import Conjugate, data_of
from torch import nn

from aevb_utils import compute_on, fit
from aevb_utils.evaluation import active_units, devices, elbo_terms, iwae_bound, make_grid, mean_elbo_terms, split_gaps
from aevb_utils.evaluation.modes import own_random_numbers
from aevb_utils.figures.style import covariance_ellipse, responsibility_colors
from aevb_utils.models.binomial_vae import BinomialVAE
from aevb_utils.training import TrainingStopped, checkpoint_callback, checkpoints

X = data_of(Conjugate(dtype=torch.float32), 12)


class Watched(Conjugate):
    """Notes where it is called in training mode with gradients, and elsewhere."""

    def __init__(self, **options):
        super().__init__(**{"dropout": 0.3, "dtype": torch.float32} | options)
        self.register_buffer("center", torch.zeros_like(self.b))
        self.part = nn.ModuleDict({"encoder": self.encoder})  # a second name of the same tensors
        self.part.register_buffer("same", self.center)
        self.trains, self.evaluates = [], []

    def elbo_terms(self, x, *, num_samples=1):
        assert x.device == self.center.device == self.W.device
        (self.trains if torch.is_grad_enabled() else self.evaluates).append(x.device.type)
        return super().elbo_terms(x - self.center, num_samples=num_samples)


def plain():
    return Conjugate(dropout=0.3, dtype=torch.float32)


def run(model, data=X, optimizer=None, **options):
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=0.02)
    return fit(model, data, optimizer=optimizer, **({"epochs": 2, "batch_size": 5, "seed": 3} | options))


def tensors_of(model, optimizer=None):
    state = optimizer.state.values() if optimizer else ()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [*model.parameters(), *model.buffers(), *gradients, *(value for each in state for value in each.values())]


def kinds(model, optimizer=None):
    return {tensor.device.type for tensor in tensors_of(model, optimizer)}


def same(first, second):
    return all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.fixture(autouse=True)
def on_the_cpu_afterwards():
    torch.manual_seed(0)
    yield
    compute_on("cpu")


@pytest.fixture
def cuda():
    with FakeDevice("cuda") as device:
        compute_on("cuda")
        yield device


# The choice


@pytest.mark.parametrize("name", ["gpu", "xpu", "meta", "", None, 1.5, "cuda:x"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match=r'^compute_on takes "cpu", "cuda" or "mps", not .*\.$'):
        compute_on(name)


@pytest.mark.parametrize(
    ("asked", "cure"),
    [("cuda", "on Colab choose Runtime"), ("mps", "a Mac with an Apple chip"), ("cpu:3", "has no number")],
)
def test_a_device_that_is_not_here(asked, cure, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=rf'^compute_on\("{asked}"\) finds no such device here, but cpu: .*{cure}'):
        compute_on(asked)


def test_a_second_gpu_that_is_not_here_leaves_the_choice_as_it_was(cuda):
    with pytest.raises(ValueError, match=r"here, but cpu, cuda, cuda:0: on Colab"):
        compute_on("cuda:1")
    model = Watched()
    mean_elbo_terms(model, X)
    assert model.evaluates[-1] == "cuda"
    compute_on("cuda:0")
    compute_on(torch.device("cpu"))
    mean_elbo_terms(model, X)
    assert model.evaluates[-1] == "cpu"


def test_a_torch_that_is_too_old_for_apple_s_device():
    with FakeDevice("mps"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.amp, "is_autocast_available", lambda kind: False)
        with pytest.raises(ValueError, match=r'^compute_on\("mps"\) needs PyTorch 2.5 or newer, not .*\.$'):
            compute_on("mps")


def test_by_default_nothing_is_moved():
    model = Watched()
    where = [tensor.data_ptr() for tensor in tensors_of(model)]
    run(model, held_out=X[:3])
    iwae_bound(model, X, num_samples=2)
    assert [tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())] == where


# Training


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("drawn", [False, True])
def test_a_training_there_is_that_of_the_cpu(fused, drawn):
    data = (lambda: torch.bernoulli(X.sigmoid())) if drawn else X
    here, there = Watched(), Watched()
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.02, fused=fused or None) for model in (here, there)]
    expected = run(here, data, optimizers[0], held_out=X[:3])
    before = [id(tensor) for tensor in (*there.parameters(), *there.buffers())]
    groups = [*optimizers[1].param_groups], [*optimizers[1].param_groups[0]["params"]]
    with FakeDevice("cuda"):
        compute_on("cuda")
        history = run(there, data, optimizers[1], held_out=X[:3])
        assert set(there.trains) == {"cuda"}
        assert there.evaluates[-1] == "cuda"
        assert kinds(there, optimizers[1]) == {"cpu"}
        assert history.elbo.device.type == history.held_out_elbo.device.type == "cpu"
    assert same(tensors_of(here, optimizers[0]), tensors_of(there, optimizers[1]))
    assert torch.equal(history.step_elbo, expected.step_elbo)
    assert torch.equal(history.held_out_elbo, expected.held_out_elbo)
    assert [id(tensor) for tensor in (*there.parameters(), *there.buffers())] == before
    assert all(one is two for one, two in zip(groups[0], optimizers[1].param_groups, strict=True))
    assert all(one is two for one, two in zip(groups[1], groups[0][0]["params"], strict=True))
    assert there.part.same is there.center


@pytest.mark.parametrize("fused", [False, True])
def test_adam_counts_its_steps_where_torch_wants_them(cuda, fused):
    counted = []

    class Model(Watched):
        def elbo_terms(self, x, *, num_samples=1):
            counted.extend(state["step"].device.type for state in optimizer.state.values())
            return super().elbo_terms(x, num_samples=num_samples)

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), fused=fused or None)
    run(model, optimizer=optimizer, epochs=1)
    del counted[:]
    run(model, optimizer=optimizer, epochs=1)
    assert counted[-1] == ("cuda" if fused else "cpu")


def test_a_callback_finds_the_model_on_the_cpu_and_can_change_it(cuda):
    model = Watched()
    optimizer = torch.optim.SGD([{"params": [*model.parameters()], "lr": 1e-4}], momentum=0.9)
    (group,) = optimizer.param_groups
    seen = []

    def callback(epoch, model, history):
        seen.append((kinds(model, optimizer), model.W.detach().numpy().sum(), mean_elbo_terms(model, X)))
        group["lr"] = 0.0 if epoch == 2 else 1e-4
        if epoch == 2:
            model.encoder = nn.Linear(4, 4)
            optimizer.add_param_group({"params": [*model.encoder.parameters()], "lr": 0.0})

    model.trains.clear()
    run(model, optimizer=optimizer, epochs=3, callback=callback)
    assert set(model.trains) == {"cuda"}
    assert model.evaluates[-1] == "cuda"
    assert {kind for at, _, _ in seen for kind in at} == {"cpu"}
    assert {term.device.type for *_, terms in seen for term in terms.values()} == {"cpu"}
    assert seen[0][1] != seen[1][1] == seen[2][1]  # its learning rate is that of the group that the callback holds


def test_another_choice_in_a_callback_counts_from_the_next_training_on(cuda):
    model = Watched()
    run(model, epochs=2, callback=lambda *_: compute_on("cpu"))
    assert set(model.trains) == {"cuda"}
    model.trains.clear()
    run(model, epochs=1)
    assert set(model.trains) == {"cpu"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("where", ["in a step", "in the callback"])
def test_whatever_stops_a_training_model_and_optimizer_are_on_the_cpu_again(cuda, error, where):
    class Stops(Watched):
        def elbo_terms(self, x, *, num_samples=1):
            if where == "in a step" and len(self.trains) == 4:
                self.trains.append("stopped")
                raise error
            return super().elbo_terms(x, num_samples=num_samples)

    def callback(epoch, model, history):
        if where == "in the callback":
            raise error

    model = Stops()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(TrainingStopped if error is KeyboardInterrupt else error) as stopped:
        run(model, optimizer=optimizer, callback=callback)
    assert len(stopped.value.history) == 1
    assert kinds(model, optimizer) == {"cpu"}
    run(model, optimizer=optimizer)


def test_a_device_without_memory_leaves_all_on_the_cpu(cuda, monkeypatch):
    model, move, asked = Watched(), devices._move_data, []

    def full(tensor, device):
        asked.append(device.type)
        if asked == ["cuda"] * 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        move(tensor, device)

    monkeypatch.setattr(devices, "_move_data", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(model)
    assert "cpu" in asked
    assert kinds(model) == {"cpu"}


def test_bfloat16(cuda):
    here, there = Watched(dropout=0), Watched(dropout=0)
    run(there, bfloat16=True)
    compute_on("cpu")
    run(here, bfloat16=True)
    assert set(there.trains) == {"cuda"}
    assert same(here.parameters(), there.parameters())


@pytest.mark.parametrize("begins", ["cpu", "cuda"])
def test_a_checkpoint_of_one_device_goes_on_on_the_other(tmp_path, begins):
    path = tmp_path / "run.safetensors"
    whole = plain()
    run(whole, epochs=4)
    with FakeDevice("cuda"):
        compute_on(begins)
        model = plain()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        run(model, optimizer=optimizer, callback=checkpoint_callback(path, optimizer))
        compute_on("cuda" if begins == "cpu" else "cpu")
        again = plain()
        optimizer = torch.optim.Adam(again.parameters(), lr=0.02)
        history = checkpoints.load(path, again, optimizer)
        assert kinds(again, optimizer) == {"cpu"}
        run(again, optimizer=optimizer, history=history, epochs=4)
    assert same(whole.parameters(), again.parameters())


# Evaluation


def test_evaluations_there_give_the_bits_of_the_cpu():
    model = BinomialVAE(D=5, hidden=[8], encoder_hidden=[8], trials=4).double()
    x, grids = data_of(model, 4), [make_grid([(-6.0, 6.0)] * 2, size) for size in (20, 24)]
    grids = [grid._replace(points=grid.points.double()) for grid in grids]

    def measure():
        gaps = split_gaps(model, x, *grids, steps=2)
        return [*gaps, *elbo_terms(model, x).values(), iwae_bound(model, x, num_samples=3), active_units(model, x)]

    here = measure()
    with FakeDevice("cuda") as device:
        compute_on("cuda")
        there = measure()
        assert device.operations > 1000
        assert {tensor.device.type for tensor in (*there, *model.parameters())} == {"cpu"}
        assert {tensor.dtype for tensor in there[:-1]} == {torch.float64}
    assert same(here, there)


def test_a_model_evaluated_in_inference_mode_can_be_trained_afterwards(cuda):
    model = Watched()
    with torch.inference_mode():
        elbo_terms(model, X)
    assert model.evaluates[-1] == "cuda"
    run(model)


def test_the_modules_inside_of_something_else_are_moved(cuda):
    inner = Watched()
    wrapper = types.SimpleNamespace(inner=inner, elbo_terms=inner.elbo_terms, name="wrapper")
    terms = elbo_terms(wrapper, X)
    assert inner.evaluates[-1] == "cuda"
    assert kinds(inner) == {term.device.type for term in terms.values()} == {"cpu"}


def test_what_has_no_tensors_is_computed_here(cuda):
    class Standard:
        def elbo_terms(self, x, *, num_samples=1):
            return {"elbo": -x.square().sum(dim=1) / 2}

    assert elbo_terms(Standard(), X)["elbo"].device.type == "cpu"


# Apple's devices


def test_float64_is_computed_on_the_cpu_with_apple_s_device_as_is_said_once(capsys):
    model = Watched(dtype=torch.float64)
    with FakeDevice("mps"):
        compute_on("mps")
        run(model, X.double())
        elbo_terms(model, X.double())
        said = capsys.readouterr().out
        assert set(model.trains) == set(model.evaluates) == {"cpu"}
        float32 = Watched()
        run(float32)
        assert set(float32.trains) == {"mps"}
    assert said == "Apple's GPU has no float64: what is in float64 is computed on the CPU.\n"
    assert capsys.readouterr().out == ""


# By hand, and what is beside


def test_a_model_that_was_moved_by_hand_stays_where_it_is(tmp_path):
    here = plain()
    run(here, held_out=X[:3])
    with FakeDevice("cuda"):
        there = plain().to("cuda")
        history = run(there, held_out=X[:3], callback=lambda epoch, model, history: elbo_terms(model, X))
        terms, bound = elbo_terms(there, X), iwae_bound(there, X, num_samples=2)
        assert {value.device.type for value in (*terms.values(), bound)} == kinds(there) == {"cuda"}
        assert history.elbo.device.type == "cpu"
        checkpoints.save(tmp_path / "weights.safetensors", there)
        loaded = plain()
        checkpoints.load_weights(tmp_path / "weights.safetensors", loaded)
        assert kinds(loaded) == {"cpu"}
        compute_on("cuda")
        elbo_terms(there, X)
        assert kinds(there) == {"cuda"}
    assert same(here.parameters(), loaded.parameters())


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_seeds_hold_on_a_device_with_random_numbers_of_its_own(kind):
    with FakeDevice(kind, own_generator=True) as device:
        compute_on(kind)
        model, state = Watched(), getattr(torch, kind).get_rng_state()
        first, again, other = (iwae_bound(model, X, num_samples=2, seed=seed) for seed in (1, 1, 2))
        trained = [copy.deepcopy(model) for _ in range(2)]
        for each in trained:
            run(each)
        assert torch.equal(getattr(torch, kind).get_rng_state(), state)
        assert len(set(device.seeds)) > 3
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert same(*(each.parameters() for each in trained))


def test_the_device_s_own_generator_is_seeded_anew():
    with FakeDevice("cuda", own_generator=True):
        x = torch.zeros(3, device="cuda")
        with own_random_numbers(x.device, 4):
            first = torch.randn_like(x).tolist()
        with own_random_numbers(x.device, 4):
            assert torch.randn_like(x).tolist() == first


def test_figures_of_tensors_on_a_device():
    with FakeDevice("cuda"):
        _, ax = plt.subplots()
        covariance_ellipse(ax, torch.zeros(2, device="cuda"), torch.eye(2, device="cuda"), color="k")
        assert responsibility_colors(torch.eye(2, device="cuda")).shape == (2, 3)
    plt.close()
