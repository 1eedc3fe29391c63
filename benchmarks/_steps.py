"""What the benchmarks of a training step share: models that take turns, the same data for all."""

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

WARM_UP = 3
"""Rounds that are run and not counted."""


def step_times(
    models: Mapping[str, nn.Module], elbo: Callable[[nn.Module, Tensor], Tensor], x: Tensor, rounds: int
) -> dict[str, list[float]]:
    """The processor times of a gradient of the mean ELBO and an Adam step, in seconds, by the models' names."""
    optimizers = {name: torch.optim.Adam(model.parameters(), fused=True) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(WARM_UP + rounds):
        for name, model in models.items():
            started = time.process_time()
            optimizers[name].zero_grad()
            (-elbo(model, x).mean()).backward()
            optimizers[name].step()
            times[name].append(time.process_time() - started)
    return {name: values[WARM_UP:] for name, values in times.items()}
