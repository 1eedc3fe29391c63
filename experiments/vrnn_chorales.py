"""Chapter 10: Bach's chorales by a variational RNN and by a recurrent network without latents, its control.

Each is trained on the chorales as they are, and on chorales that are moved to another key at random in each epoch. The
epoch is chosen on the validation part; the test part is used for the figures alone. The weights of the second kind are
shipped, and evaluated as they are shipped.
"""

import math
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from aevb_utils.budget import budget
from aevb_utils.data import Dataset, jsb_chorales, transpose
from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound
from aevb_utils.models.variational_rnn import RecurrentNetwork, VariationalRNN
from aevb_utils.training import History, fit, rounded
from experiments import _runs

H, HIDDEN, L = budget(full=(256, [256], 32), fast=(32, [32], 4))
MODELS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "control": (RecurrentNetwork, {"D": 88, "H": H, "hidden": HIDDEN}),
    "variational RNN": (VariationalRNN, {"D": 88, "L": L, "H": H, "T": 64, "hidden": HIDDEN}),
}
SHIPPED = {"control": "rnn-chorales", "variational RNN": "vrnn-chorales"}
SEED = 0
BATCH_SIZE = 20
AS_IT_IS, TRANSPOSED = budget(full=(150, 300), fast=(4, 5))  # epochs
RECIPES: dict[str, dict[str, Any]] = {  # the step size is at its highest after a tenth of the run, then falls to 0
    "as it is": {"epochs": AS_IT_IS, "learning_rate": 3e-3, "dropout": 0.4, "weight_decay": 1e-3},
    "transposed": {"epochs": TRANSPOSED, "learning_rate": 5e-3, "dropout": 0.1, "weight_decay": 1e-4},
}
SAMPLES = budget(full=100, fast=5)  # K


def train(model: nn.Module, chorales: Dataset, recipe: dict[str, Any], *, moved: bool) -> int:
    """One run of ``fit``; leaves the model as it was after its best epoch on the validation part, and returns that."""
    options = {"lr": recipe["learning_rate"], "weight_decay": recipe["weight_decay"], "fused": True}
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    epochs = recipe["epochs"]
    schedule = _runs.one_cycle(optimizer, rows=len(chorales.train), epochs=epochs, batch_size=BATCH_SIZE)
    best: dict[str, Any] = {"bound": -math.inf}

    def draw() -> tuple[Tensor, Tensor]:  # fit calls it each epoch under a seed of its own
        semitones = torch.randint(-5, 7, chorales.train_lengths.shape)
        rolls = transpose(chorales.train, semitones) if moved else chorales.train
        return rolls, chorales.train_lengths

    def after(epoch: int, model: nn.Module, history: History) -> None:
        if epoch % 5 and epoch != epochs:
            return
        bound = -a_step(bound_of(model, chorales.valid, chorales.valid_lengths), chorales.valid_lengths)["a sequence"]
        if bound > best["bound"]:
            best.update(bound=bound, epoch=epoch, state={k: v.clone() for k, v in model.state_dict().items()})

    fit(
        model, draw, optimizer=optimizer, scheduler=schedule, epochs=epochs, batch_size=BATCH_SIZE, seed=SEED,
        callback=after,
    )  # fmt: skip
    model.load_state_dict(best["state"])
    return best["epoch"]


def bound_of(model: nn.Module, x: Tensor, lengths: Tensor, *, num_samples: int = 1) -> Tensor:
    """The ELBO of each sequence, or its evidence, (N,), in nats."""
    return sum(elbo_terms(model, x, lengths, num_samples=num_samples).values())


def a_step(bound: Tensor, lengths: Tensor) -> dict[str, float]:
    """Minus a bound, a step: the mean over sequences of each one's mean, and over all steps."""
    return {
        "a sequence": -(bound / lengths).mean().item(),
        "all steps": -(bound.sum() / lengths.sum()).item(),
    }


def evaluate(model: nn.Module, x: Tensor, lengths: Tensor) -> dict[str, dict[str, float]]:
    """The test figures; one sequence at a time for the importance-weighted bound."""
    if isinstance(model, RecurrentNetwork):
        return {"log evidence": a_step(bound_of(model, x, lengths), lengths)}
    each = [iwae_bound(model, one[None, :length], num_samples=SAMPLES) for one, length in zip(x, lengths, strict=True)]
    return {
        "ELBO": a_step(bound_of(model, x, lengths, num_samples=10), lengths),
        f"IWAE, K = {SAMPLES}": a_step(torch.cat(each), lengths),
    }


def run(name: str, recipe_name: str, chorales: Dataset) -> dict[str, Any]:
    """Train, evaluate, and ship the transposed kind."""
    recipe, moved = RECIPES[recipe_name], recipe_name == "transposed"
    kind, arguments = MODELS[name][0], MODELS[name][1] | {"dropout": recipe["dropout"]}
    torch.manual_seed(SEED)
    model, started = kind(**arguments), time.process_time()
    epoch = train(model, chorales, recipe, moved=moved)
    minutes = round((time.process_time() - started) / 60, 1)
    model = rounded(model)
    figures = {"test": evaluate(model, chorales.test, chorales.test_lengths)}
    if moved:
        about = {
            "experiment": "vrnn_chorales",
            "data": "JSB chorales, the training part, moved by −5 to 6 semitones anew each epoch",
            "seed": SEED,
            "budget": f"{epoch} of {recipe['epochs']} epochs, chosen on the validation part; AdamW, one core",
            "processor minutes of training": minutes,
            "test": figures["test"],
        }
        _runs.ship(SHIPPED[name], model, arguments, about)
    return figures | {
        "epoch": epoch, "epochs": recipe["epochs"], "processor minutes of training": minutes,
        "parameters": sum(parameter.numel() for parameter in model.generative_parameters()),
    }  # fmt: skip


def main() -> dict[str, Any]:
    """Both networks, both ways."""
    chorales = jsb_chorales()
    jobs = {
        name if recipe == "as it is" else f"{name}, {recipe}": partial(run, name, recipe, chorales)
        for recipe in RECIPES
        for name in MODELS
    }
    return {"recipes": RECIPES, "runs": _runs.parts(jobs)}
