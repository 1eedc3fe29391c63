"""Modes of a model and seeds, in ``with`` blocks that put everything back."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn


@contextmanager
def own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the CPU's generator and the device's in a ``with`` block; put them back."""
    devices = [] if device.type in ("cpu", "meta") else [device]
    with torch.random.fork_rng(
        devices=devices, device_type=device.type if devices else "cuda"
    ):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            module = torch.get_device_module(each)
            with module.device(each) if hasattr(module, "device") else nullcontext():
                module.manual_seed(seed)
        yield


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Turn dropout and gradients off in a ``with`` block; then put each module back."""
    modules = [module for root in modules_of(model) for module in root.modules()]
    with _modes_put_back(modules), torch.no_grad():
        for module in modules:
            module.training = False
        yield


@contextmanager
def training_mode(model: object) -> Iterator[None]:
    """Turn dropout on in a ``with`` block, whoever turned it off; put each module back.

    A model that is in training mode itself is left as it is: a part of it in evaluation
    mode was put there on purpose.
    """
    roots = [root for root in modules_of(model) if not root.training]
    with _modes_put_back([module for root in roots for module in root.modules()]):
        for root in roots:
            root.train()
        yield


def modules_of(model: object) -> list[nn.Module]:
    """The model, or the modules that it wraps if it is none itself."""
    parts = (
        [model]
        if isinstance(model, nn.Module)
        else getattr(model, "__dict__", {}).values()
    )
    return [part for part in parts if isinstance(part, nn.Module)]


@contextmanager
def _modes_put_back(modules: list[nn.Module]) -> Iterator[None]:
    """Put each module back into the mode it was in."""
    were_training = [module.training for module in modules]
    try:
        yield
    finally:
        for module, training in zip(modules, were_training, strict=True):
            module.training = training
