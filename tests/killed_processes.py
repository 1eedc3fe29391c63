"""Train in two processes, end one of them by kill -9, go on, and compare with a run that was left alone.

``python killed_processes.py FOLDER`` (some minutes) prints JSON: ten moments, spread over the run, for each of two
models in float64. It ends with an error unless all come to the bits of the run that was left alone. The tests do one
such kill. The processes are forked from this one, which has loaded torch.
"""

import json
import random
import sys
import threading
import time
from pathlib import Path

import several_processes
import torch
from torch import nn
from tqdm import tqdm

from aevb_utils.models import VAE, FactorAnalysis
from aevb_utils.training import checkpoint_callback, fit
from aevb_utils.training.checkpoints import load

EPOCHS, KILLS = 10, 10
MODELS = {
    "factor analysis": (lambda: FactorAnalysis(6, 2), lambda x: x),
    "vae": (lambda: VAE(6, 2, hidden=(7,), dropout=0.2), lambda x: (x > 0).double()),
}


def build(name):
    """Model and optimizer of a new run."""
    torch.manual_seed(1)
    model = MODELS[name][0]().double()
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def train(name, path):
    """Start a run, or go on with it, to its last epoch."""
    model, optimizer = build(name)
    x = MODELS[name][1](torch.randn(37, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    history = load(path, model, optimizer) if path.exists() else None
    options = {"epochs": EPOCHS, "batch_size": 16, "seed": 4, "held_out": x[:7], "history": history}
    fit(model, x, optimizer=optimizer, callback=checkpoint_callback(path, optimizer), **options)


def killed_run(name, folder, saves, delay):
    """Kill one of two processes a little after so many checkpoints; then go on. What was done, and how it ended.

    Returns:
        The epochs that the checkpoint held, whether the run was stopped by the kill, and how the second one ended.
    """
    folder.mkdir()
    path = folder / "run.safetensors"
    children = several_processes.start(lambda rank: train(name, path), 2, folder)
    seen = {stamp_of(path)}
    while len(seen) <= saves and not any(map(several_processes.has_ended, children)):
        time.sleep(0.0005)
        seen.add(stamp_of(path))
    time.sleep(delay)
    killed = not several_processes.has_ended(children[saves % 2])
    several_processes.kill(children[saves % 2])
    several_processes.end(children)
    done = len(load(path, *build(name))) if path.exists() else 0
    statuses = []
    if done < EPOCHS:
        statuses = several_processes.end(several_processes.start(lambda rank: train(name, path), 2, folder))
    return done, killed, statuses


def stamp_of(path):
    """What changes when a file is written anew; None while there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def ends_of(name, path):
    """All that a run has come to: its parameters, and the terms of all epochs."""
    model, optimizer = build(name)
    history = load(path, model, optimizer)
    parameters = nn.utils.parameters_to_vector(model.parameters()).detach()
    return torch.cat([parameters, history.step_elbo, history.elbo, history.held_out_elbo])


def report(name, folder, kills, first=0):
    """Kill so many runs, at moments that are spread over it from a checkpoint on; what became of them."""
    alone = folder / "reference"
    alone.mkdir(parents=True)
    path = alone / "run.safetensors"
    assert several_processes.end(several_processes.start(lambda rank: train(name, path), 2, alone)) == [0, 0]
    right = ends_of(name, path)
    moments, found = random.Random(4), []
    for attempt in range(kills):
        saves = first + attempt * (EPOCHS - first) // kills
        done, killed, statuses = killed_run(name, folder / str(attempt), saves, moments.uniform(0, 0.01))
        ends = ends_of(name, folder / str(attempt) / "run.safetensors")
        difference = (ends - right).abs().max().item() if ends.shape == right.shape else float("inf")
        found.append({"saves": saves, "done": done, "killed": killed, "ends": statuses, "difference": difference})
    return found


def main(folder):
    reports = {name: report(name, folder / name, KILLS) for name in MODELS}
    print(json.dumps(reports, indent=1))
    return 0 if all(is_whole(kill) for found in reports.values() for kill in found) else 1


def is_whole(kill):
    """Whether a run was killed, all epochs that were saved were kept, and it ended as the one that was left alone."""
    return kill["killed"] and kill["done"] >= kill["saves"] and set(kill["ends"]) <= {0} and kill["difference"] == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0  # no second thread, which a forked process would lack
    tqdm.set_lock(threading.RLock())  # not the one that all forked processes share: a killed one would keep it
    sys.exit(main(Path(sys.argv[1])))
