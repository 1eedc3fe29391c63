"""Modes and random numbers in ``with`` blocks: everything is put back, on every kind of device."""

import types

import pytest
import torch
from latent_models import Conjugate
from torch import nn

from aevb_utils.evaluation.modes import evaluation_mode, own_random_numbers, training_mode


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("fails", [False, True])
def test_training_mode_undoes_eval_and_puts_it_back(fails):
    model = Conjugate(dropout=0.5).eval()
    try:
        with training_mode(model):
            assert all(modes(model))
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert not any(modes(model))


def test_training_mode_leaves_a_part_that_was_frozen_on_purpose():
    model = Conjugate(dropout=0.5)
    model.dropout.eval()
    with training_mode(model):
        assert not model.dropout.training
        assert model.training


@pytest.mark.parametrize("mode", [training_mode, evaluation_mode])
def test_the_model_in_a_wrapper_is_reached(mode):
    inner = Conjugate(dropout=0.5).train(mode is evaluation_mode)
    wrapper = types.SimpleNamespace(model=inner, name="wrapper")
    with mode(wrapper):
        assert all(modes(inner)) if mode is training_mode else not any(modes(inner))
    assert inner.training == (mode is evaluation_mode)


def test_modes_of_something_without_modules():
    with training_mode(object()), evaluation_mode(nn.Identity()):
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("kind", ["mps", "xpu", "cuda"])
def test_the_generator_of_every_kind_of_device_is_seeded_and_put_back(kind, monkeypatch):
    states, entered = {"now": "caller's"}, []

    class Device:
        def __init__(self, device):
            entered.append(device)

        __enter__ = __exit__ = lambda self, *_: None

    module = types.SimpleNamespace(
        get_rng_state=lambda device: states["now"],
        set_rng_state=lambda state, device: states.update(now=state),
        manual_seed=lambda seed: states.update(now=f"seed {seed}"),
        **({} if kind == "mps" else {"device": Device}),  # torch.mps has one device
    )
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    monkeypatch.setattr(torch, kind, module)  # where older versions of fork_rng look
    device = torch.device(kind, 0)
    with own_random_numbers(device, 7):
        assert states["now"] == "seed 7"
    assert states["now"] == "caller's"
    assert entered == ([] if kind == "mps" else [device])
