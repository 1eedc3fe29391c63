"""Checkpoints: a resumed run has the bits of one never stopped, and a file that does not fit changes nothing."""

import copy
import errno
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import safetensors.torch
import torch
from latent_models import Conjugate, data_of
from systems import needs_fork, needs_modes, no_administrator, said
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop, lr_scheduler

from aevb_utils.models import BinomialVAE, FactorAnalysis
from aevb_utils.training import History, fit, sealed_files
from aevb_utils.training.checkpoints import (
    CheckpointError,
    checkpoint_callback,
    load,
    load_weights,
    read_provenance,
    save,
)

X = data_of(Conjugate(), 20)


def adam(model):
    return Adam(model.parameters(), lr=0.02)


def run(model, optimizer, scheduler=None, *, epochs, data=X, path=None, history=None, **options):
    """Train; after each epoch move the learning rate, then save if a path is given."""
    save_epoch = checkpoint_callback(path, optimizer, scheduler=scheduler) if path else None

    def after(epoch, model, history):
        if scheduler is not None:
            arguments = (-history.elbo[-1],) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else ()
            scheduler.step(*arguments)
        if save_epoch is not None:
            save_epoch(epoch, model, history)

    options = {"batch_size": 8, "seed": 5} | options
    return fit(model, data, optimizer=optimizer, epochs=epochs, history=history, callback=after, **options)


def bits(*parts):
    """All state of some models, optimizers and schedulers, to be compared."""
    return [copy.deepcopy(part.state_dict()) for part in parts]


def assert_same_bits(first, second):
    """The same values of the same types and formats, not a number included."""
    assert type(first) is type(second)
    match first:
        case torch.Tensor():
            torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
        case dict():
            assert_same_bits(list(first.items()), list(second.items()))
        case list() | tuple():
            assert len(first) == len(second)
            for one, other in zip(first, second, strict=True):
                assert_same_bits(one, other)
        case _:
            assert first == second or (first != first and second != second)


@pytest.fixture
def saved(tmp_path):
    """A checkpoint after two epochs, and the model, optimizer and scheduler it was saved from."""
    model = Conjugate()
    optimizer = adam(model)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    path = tmp_path / "run.safetensors"
    run(model, optimizer, scheduler, epochs=2, path=path)
    return path, model, optimizer, scheduler


def fresh():
    """Another model with its optimizer and scheduler, not in the saved state."""
    model = Conjugate()
    optimizer = adam(model)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    run(model, optimizer, scheduler, epochs=1, seed=99)
    return model, optimizer, scheduler


def assert_refused(path, message, model, optimizer, scheduler=None):
    """Loading fails with one sentence, and changes nothing."""
    parts = [part for part in (model, optimizer, scheduler) if part is not None]
    before = bits(*parts)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path, model, optimizer, scheduler)
    assert "\n" not in str(caught.value)
    assert_same_bits(bits(*parts), before)


# Resuming


OPTIMIZERS = {
    "Adam": adam,
    "fused Adam": lambda model: Adam(model.parameters(), lr=0.02, fused=True),
    "SGD with momentum": lambda model: SGD(model.parameters(), lr=1e-5, momentum=0.9, nesterov=True),
    "AdamW, amsgrad, two groups": lambda model: AdamW(
        [{"params": model.generative_parameters()}, {"params": model.inference_parameters(), "lr": 0.05}], amsgrad=True
    ),
    "RMSprop": lambda model: RMSprop(model.parameters(), lr=1e-3, centered=True, momentum=0.5),
}
SCHEDULERS = {
    "none": lambda optimizer: None,
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, 2, gamma=0.3),
    "MultiStepLR": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [2, 4]),
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 6),
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=8),
    "SequentialLR": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)], [3]
    ),
    "ReduceLROnPlateau": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0),
}


def noisy():
    """X with noise that is drawn anew for every epoch."""
    return X + torch.randn_like(X)


def assert_resumes(tmp_path, make_model, make_optimizer, make_scheduler, **options):
    """Three epochs, a checkpoint, and three more in new objects end like six epochs at once."""

    def build():
        model = make_model()
        optimizer = make_optimizer(model)
        return model, optimizer, make_scheduler(optimizer)

    at_once, stopped = tmp_path / "at_once.safetensors", tmp_path / "stopped.safetensors"
    run(*build(), epochs=6, path=at_once, **options)
    run(*build(), epochs=3, path=stopped, **options)
    assert stopped.read_bytes() != at_once.read_bytes()
    model, optimizer, scheduler = build()
    history = load(stopped, model, optimizer, scheduler)
    torch.rand(7)  # the caller's random numbers do not matter
    assert len(run(model, optimizer, scheduler, epochs=6, path=stopped, history=history, **options)) == 6
    assert stopped.read_bytes() == at_once.read_bytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_resumes_bit_for_bit(tmp_path, optimizer):
    assert_resumes(tmp_path, Conjugate, OPTIMIZERS[optimizer], SCHEDULERS["none"])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_resumes_bit_for_bit(tmp_path, scheduler):
    assert_resumes(tmp_path, Conjugate, adam, SCHEDULERS[scheduler])


@pytest.mark.parametrize(
    "options",
    [{}, {"data": noisy}, {"held_out": X[:3]}, {"update": "inference"}],
    ids=["dropout", "data", "held out", "inference"],
)
def test_dropout_data_and_held_out_data_resume_bit_for_bit(tmp_path, options):
    assert_resumes(tmp_path, lambda: Conjugate(dropout=0.3), adam, SCHEDULERS["CosineAnnealingLR"], **options)


def test_float32_resumes_bit_for_bit(tmp_path):
    assert_resumes(tmp_path, lambda: Conjugate(dtype=torch.float32), adam, SCHEDULERS["none"], data=X.float())


@needs_fork
def test_a_run_that_is_killed_at_nine_random_moments_ends_as_if_it_had_not_been(tmp_path):
    command = [sys.executable, Path(__file__).parents[1] / "killed_runs.py", tmp_path]
    environment = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["endings"] == [0] * 10
    assert report["identical"] == [True] * 10  # nine runs killed once, and one run killed again and again
    assert report["kills"] >= 2
    assert len(set(report["resumed_after"])) >= 4, "the moments are spread over the run"


# What is in the file


def test_everything_comes_back(saved):
    path, *parts = saved
    others = fresh()
    history = load(path, *others)
    assert_same_bits(bits(*others), bits(*parts))
    assert repr(history) == "<History: 2 epochs, 6 steps; reconstruction, minus_kl>"


def test_it_is_a_safetensors_file_with_json_in_its_header(saved):
    path, model, *_ = saved
    tensors = safetensors.torch.load_file(path)
    assert torch.equal(tensors["model/encoder.weight"], model.encoder.weight)
    assert {"optimizer/state/0/exp_avg", "history/steps"} <= set(tensors)
    with safetensors.safe_open(path, "pt") as file:
        content = json.loads(file.metadata()["aevb_checkpoint"])
    assert content["format"] == 1
    assert content["classes"] == {
        "model": "Conjugate",
        "optimizer": "Adam",
        "scheduler": "StepLR",
        "history": "History",
    }
    assert content["groups"] == [["W", "b", "log_sigma", "encoder.weight", "encoder.bias"]]


def test_nothing_is_unpickled(saved, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("something was unpickled")

    for module, name in [(pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")]:
        monkeypatch.setattr(module, name, refuse)
    path, *_ = saved
    assert len(load(path, *fresh())) == 2


class Odd(nn.Module):
    """Every kind of tensor that a model may hold: tied, of bfloat16, a number, flags, counts, and state of its own."""

    def __init__(self, fill, passing=2.0):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        nn.init.constant_(self.first.weight, fill)
        self.register_buffer("short", torch.full((2, 2), fill, dtype=torch.bfloat16))
        self.register_buffer("number", torch.tensor(fill, dtype=torch.float64))
        self.register_buffer("flags", torch.tensor([fill > 1, True]))
        self.register_buffer("counts", torch.arange(int(fill), int(fill) + 3))
        self.register_buffer("turned", torch.full((2, 3), fill).T)
        self.register_buffer("passing", torch.tensor(passing), persistent=False)
        self.extra = {"best": float("inf") * fill, "names": ["a", None], "pair": (int(fill), True), "nan": float("nan")}
        self.extra["milestones"] = Counter({int(fill): 2})

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def test_odd_models(tmp_path):
    path = tmp_path / "odd.safetensors"
    model, other = Odd(1.0), Odd(-2.0)
    save(path, model)
    load_weights(path, other)
    assert_same_bits(bits(other), bits(model))
    assert isinstance(other.extra["pair"], tuple)
    assert other.second.weight is other.first.weight
    with pytest.raises(CheckpointError, match=r"was saved with passing\.sha256 = "):
        load_weights(path, Odd(1.0, passing=3.0))  # no part of the state: the file cannot give it back


def test_weights_alone(tmp_path, saved):
    path = tmp_path / "weights.safetensors"
    model = saved[1]
    save(path, model)
    assert_refused(path, "holds no optimizer, so no run to go on with: use load_weights", *fresh())
    other, optimizer, _ = fresh()
    before = bits(optimizer)
    load_weights(path, other)
    assert_same_bits(bits(other), bits(model))
    assert_same_bits(bits(optimizer), before)


def test_load_weights_takes_those_of_a_whole_checkpoint(saved):
    path, model, *_ = saved
    other = fresh()[0]
    load_weights(path, other)
    assert_same_bits(bits(other), bits(model))


def test_provenance(tmp_path):
    path = tmp_path / "weights.safetensors"
    provenance = {"data": "MNIST", "seed": 3, "epochs": [1, 2.5], "ok": True, "by": None, "ψ": {'"sha256": "x"': "\\"}}
    save(path, Conjugate(), provenance=provenance)
    assert read_provenance(path) == provenance
    save(path, Conjugate())
    assert read_provenance(path) == {}


@pytest.mark.parametrize("value", [torch.ones(1), float("nan"), {3: "three"}, (1, 2), b"bytes"], ids=repr)
def test_provenance_that_is_not_json(tmp_path, value):
    with pytest.raises(CheckpointError, match="provenance must be JSON"):
        save(tmp_path / "weights.safetensors", Conjugate(), provenance={"value": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, {1, 2}], ids=["object", "tuple as key", "set"])
def test_a_state_that_is_neither_tensors_nor_json(tmp_path, value):
    model = Odd(1.0)
    model.extra = {"value": value}
    with pytest.raises(CheckpointError, match="holds tensors and JSON alone, but model/_extra_state/value is a"):
        save(tmp_path / "odd.safetensors", model)
    assert list(tmp_path.iterdir()) == []


# Files that do not fit


def test_a_file_that_is_cut_short(saved):
    path, *_ = saved
    data = path.read_bytes()
    others = fresh()
    for length in [0, 1, 7, 8, 9, 100, 500, len(data) // 2, len(data) - 64, len(data) - 1]:
        path.write_bytes(data[:length])
        assert_refused(path, "is not a checkpoint, or it was cut short|is damaged: it was cut short", *others)
    path.write_bytes(data + b"\0")
    assert_refused(path, "is damaged", *others)
    path.write_bytes(data)
    assert len(load(path, *others)) == 2


def test_a_file_with_any_byte_altered(tmp_path):
    path = tmp_path / "weights.safetensors"
    model = nn.Linear(2, 1)
    save(path, model, provenance={"seed": 1})
    data = path.read_bytes()
    before = bits(model)
    for place in range(len(data)):
        for flip in (1, 0x2A):  # 0x2A makes a space of the header's padding a line feed
            altered = bytearray(data)
            altered[place] ^= flip
            path.write_bytes(altered)
            with pytest.raises(CheckpointError, match=r"is damaged|is not a checkpoint"):
                load_weights(path, model)
    assert_same_bits(bits(model), before)


def test_a_checkpoint_with_a_byte_altered(saved):
    path, *_ = saved
    data = path.read_bytes()
    others = fresh()
    for place in range(0, len(data), len(data) // 40):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert_refused(path, r"is damaged|is not a checkpoint", *others)


@pytest.mark.parametrize("kind", ["safetensors", "pickle", "text"])
def test_a_file_that_is_not_a_checkpoint(tmp_path, kind):
    path = tmp_path / "other.safetensors"
    tensors = Conjugate().state_dict()
    match kind:
        case "safetensors":
            safetensors.torch.save_file(tensors, path, {"format": "pt"})
        case "pickle":
            torch.save(tensors, path)
        case "text":
            path.write_text("nothing\n" * 100, encoding="utf-8")
    assert_refused(path, "other.safetensors is not a checkpoint", *fresh())
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        read_provenance(path)


def test_a_file_of_a_later_format(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(sealed_files, "FORMAT", 2)
        save(path, Conjugate())
    with pytest.raises(CheckpointError, match="has format 2, and this version of aevb_utils reads format 1"):
        load_weights(path, Conjugate())


class Other(Conjugate):
    """The same tensors under another name."""


class Larger(Conjugate):
    """A parameter more."""

    def __init__(self):
        super().__init__()
        self.more = nn.Parameter(torch.zeros(2, dtype=torch.float64))


def renamed(name, model):
    """The model, with the name of another class."""
    model.__class__ = type(name, (type(model),), {"__qualname__": name})
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Other, "saved with the model Conjugate, but it is to be loaded into the model Other"),
        (lambda: Conjugate(D=5), r"its 'W' is torch.float64 of shape \(4, 2\), the model's is .* of shape \(5, 2\)"),
        (lambda: Conjugate(dtype=torch.float32), r"its 'W' is torch.float64 .*, the model's is torch.float32"),
        (lambda: renamed("Conjugate", Larger()), "only the model has 'more'"),
    ],
    ids=["class", "shape", "dtype", "names"],
)
def test_another_model(saved, make, message):
    path, *_ = saved
    model = make()
    optimizer = adam(model)
    assert_refused(path, message, model, optimizer, lr_scheduler.StepLR(optimizer, 2))
    before = bits(model)
    with pytest.raises(CheckpointError, match=message):
        load_weights(path, model)
    assert_same_bits(bits(model), before)


@pytest.mark.parametrize(
    ("make", "other", "message"),
    [
        (lambda: BinomialVAE(trials=4), lambda: BinomialVAE(trials=16), "saved with trials = 4, but the model has 16"),
        (
            lambda: FactorAnalysis(4, 2, floor=0.5),
            lambda: FactorAnalysis(4, 2),
            "saved with floor = 0.5, but the model has 0.0001",
        ),
        (
            lambda: FactorAnalysis(4, 2, kl="path"),
            lambda: FactorAnalysis(4, 2),
            "saved with kl = 'path', but the model has 'analytic'",
        ),
    ],
    ids=["trials", "floor", "kl"],
)
def test_a_model_with_other_settings(tmp_path, make, other, message):
    path = tmp_path / "weights.safetensors"
    model = make()
    save(path, model)
    load_weights(path, make())
    model = other()
    before = bits(model)
    with pytest.raises(CheckpointError, match=message):
        load_weights(path, model)
    assert_same_bits(bits(model), before)


def test_a_model_that_lacks_a_parameter_of_the_file(tmp_path):
    path = tmp_path / "larger.safetensors"
    save(path, renamed("Conjugate", Larger()))
    with pytest.raises(CheckpointError, match="only the file has 'more'"):
        load_weights(path, Conjugate())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model: SGD(model.parameters(), lr=0.1), "with the optimizer Adam, .* into the optimizer SGD"),
        (
            lambda model: Adam(model.inference_parameters()),
            "over other parameters, or in another order or other groups",
        ),
        (lambda model: Adam(list(model.parameters())[::-1]), "in another order"),
        (lambda model: Adam([{"params": [parameter]} for parameter in model.parameters()]), "other groups"),
        (lambda model: Adam(Conjugate().parameters()), "over other parameters"),
    ],
    ids=["class", "fewer", "order", "groups", "another model's"],
)
def test_another_optimizer(saved, make, message):
    path, *_ = saved
    model = Conjugate()
    optimizer = make(model)
    assert_refused(path, message, model, optimizer, lr_scheduler.StepLR(optimizer, 2))


def test_another_scheduler(saved):
    path, model, optimizer, _ = saved
    assert_refused(path, "saved with the scheduler StepLR, but it is to be loaded into no scheduler", model, optimizer)
    other = lr_scheduler.ExponentialLR(optimizer, 0.5)
    assert_refused(path, "into the scheduler ExponentialLR", model, optimizer, other)
    with pytest.warns(UserWarning, match=r"without a scheduler, but the optimizer has one or has had one: give it"):
        save(path, model, optimizer, History())
    assert_refused(path, "saved with no scheduler, but it is to be loaded into the scheduler", model, optimizer, other)


def test_no_file(tmp_path):
    assert_refused(
        tmp_path / "none.safetensors", f"There is no checkpoint to read at .*: {said(errno.ENOENT)}", *fresh()
    )
    assert_refused(tmp_path, "There is no checkpoint to read at .*: it is a folder, a pipe or a device", *fresh())


# Writing


def test_the_same_state_makes_the_same_bytes(saved, tmp_path):
    path, model, optimizer, scheduler = saved
    history = load(path, *fresh())
    again = tmp_path / "again.safetensors"
    save(str(again), model, optimizer, history, scheduler)
    assert again.read_bytes() == path.read_bytes()


def test_a_folder_that_cannot_be_written(tmp_path):
    path = tmp_path / "missing" / "run.safetensors"
    with pytest.raises(CheckpointError, match=rf"run.safetensors cannot be written: {said(errno.ENOENT)}"):
        save(path, Conjugate())
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=rf"cannot be written: {said(errno.ENOTDIR)}"):
        save(tmp_path / "file" / "run.safetensors", Conjugate())


@needs_modes
@no_administrator
def test_a_folder_that_must_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match=rf"cannot be written: {said(errno.EACCES)}"):
        save(tmp_path / "run.safetensors", Conjugate())
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_checkpoint(saved, monkeypatch, moment):
    path, _, _, _ = saved
    before, (model, optimizer, scheduler) = path.read_bytes(), fresh()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[moment], fail)
        with pytest.raises(CheckpointError, match="cannot be written: No space left on device; what was there before"):
            save(path, model, optimizer, History(), scheduler)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_callback_saves_each_so_many_epochs(tmp_path):
    path = tmp_path / "run.safetensors"
    seen = []

    def after(epoch, model, history):
        save_epoch(epoch, model, history)
        seen.append(len(load(path, *build())) if path.exists() else 0)

    def build():
        model = Conjugate()
        return model, adam(model)

    model, optimizer = build()
    save_epoch = checkpoint_callback(path, optimizer, every=3, provenance={"data": "X"})
    fit(model, X, optimizer=optimizer, epochs=7, batch_size=8, callback=after)
    assert seen == [0, 0, 3, 3, 3, 6, 6]
    assert read_provenance(path) == {"data": "X"}
    with pytest.raises(ValueError, match="every must be a whole number of at least 1, not 0"):
        checkpoint_callback(path, optimizer, every=0)
