"""Train with a checkpoint an epoch, kill the process at random moments, resume, and compare with a run left alone.

``python killed_runs.py FOLDER`` prints JSON. Every run is a process of its own, forked from this one, which has loaded
torch: forty starts of Python would take minutes.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from latent_models import Conjugate, data_of
from tqdm import tqdm

from aevb_utils.training import fit
from aevb_utils.training.checkpoints import checkpoint_callback, load

EPOCHS, KILLS = 8, 9


def build():
    """Model, optimizer and scheduler of a new run."""
    model = Conjugate(dropout=0.2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)


def train(path):
    """Start a run, or resume it, and carry it to its last epoch."""
    model, optimizer, scheduler = build()
    x = data_of(model, 40)
    history = load(path, model, optimizer, scheduler) if path.exists() else None
    save = checkpoint_callback(path, optimizer, scheduler=scheduler)

    def after(epoch, model, history):
        scheduler.step()
        save(epoch, model, history)

    options = {"epochs": EPOCHS, "batch_size": 16, "held_out": x[:5], "seed": 3}
    fit(model, lambda: x + torch.randn_like(x), optimizer=optimizer, history=history, callback=after, **options)


def run(path, *, saves=None, delay=0.0):
    """Train in a process of its own; return its exit status, or minus the number of the signal that ended it.

    It is killed a little after it has saved so many times, if that is said, and has not ended by then.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(path)
            status = 0
        finally:
            os._exit(status)
    if saves is not None:
        seen = {stamp_of(path)}
        while len(seen) <= saves and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.0005)
            seen.add(stamp_of(path))
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def stamp_of(path):
    """What changes when a file is written anew; None while there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def main(folder):
    train(folder / "warm.safetensors")  # what torch loads at first use
    reference = folder / "reference.safetensors"
    started = time.perf_counter()
    assert run(reference) == 0
    epoch = (time.perf_counter() - started) / EPOCHS  # in seconds
    moments = random.Random(4)
    resumed_after, endings, identical = [], [], []
    for attempt in range(10 * KILLS):
        path = folder / f"killed_{attempt}.safetensors"
        saves, delay = attempt % EPOCHS, moments.uniform(0, epoch)
        if len(endings) < KILLS and run(path, saves=saves, delay=delay) == -signal.SIGKILL:
            resumed_after.append(len(load(path, *build())) if path.exists() else 0)
            endings.append(run(path))
            identical.append(path.read_bytes() == reference.read_bytes())
    often = folder / "often.safetensors"
    kills = sum(run(often, saves=1, delay=moments.uniform(0, epoch)) == -signal.SIGKILL for _ in range(KILLS))
    endings.append(run(often))
    identical.append(often.read_bytes() == reference.read_bytes())
    report = {"resumed_after": resumed_after, "kills": kills, "endings": endings, "identical": identical}
    print(json.dumps(report))


if __name__ == "__main__":
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0  # no second thread, which a forked process would lack
    tqdm.set_lock(threading.RLock())  # not the one that all forked processes share: a killed one would keep it
    main(Path(sys.argv[1]))
