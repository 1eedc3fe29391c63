"""What the experiments share: trainings that go on where they stopped, parts that are kept, weights that are shipped.

A run keeps its checkpoints, the figures of its finished parts and the weights that are to be shipped in a folder of its
own, so that a run that is stopped and started again does only what is left. In the fast budget nothing is shipped.
"""

import hashlib
import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from aevb_utils.budget import FAST
from aevb_utils.training import History, checkpoints, fit, save_pretrained
from aevb_utils.training.atomic_write import write_atomically

SAVE_EVERY, TELL_EVERY = 60.0, 20.0  # seconds
_STARTED = time.perf_counter()
WIDTHS: tuple[int, ...] = (32, 32)  # of every hidden layer, in the fast budget


@cache
def folder() -> Path:
    """Where this run keeps what is done: the folder that ``AEVB_KEEP`` names, or a temporary one."""
    path = Path(os.environ.get("AEVB_KEEP") or tempfile.mkdtemp(prefix="aevb-experiment-"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def minutes() -> float:
    """How long this run has taken, in wall time, before it was stopped and since it was started again."""
    return _minutes_before() + (time.perf_counter() - _STARTED) / 60


@cache
def _minutes_before() -> float:
    """How long it had taken when it was started."""
    file = folder() / "minutes.txt"
    return float(file.read_text(encoding="utf-8")) if file.is_file() else 0.0


def _keep_minutes() -> None:
    """Note how long the run has taken."""
    write_atomically(folder() / "minutes.txt", f"{minutes():.3f}".encode())


class ProcessorClock:
    """The processor time of a piece of work; that of a run that was stopped counts up to its last checkpoint."""

    def __init__(self, name: str) -> None:
        self._file = folder() / f"{name}.seconds"
        self._before = float(self._file.read_text(encoding="utf-8")) if self._file.is_file() else 0.0
        self._started = time.process_time()

    def minutes(self) -> float:
        """The time so far, in minutes."""
        return self._seconds() / 60

    def keep(self) -> None:
        """Note the time for a run that goes on; :func:`train` does so with every checkpoint."""
        write_atomically(self._file, f"{self._seconds():.3f}".encode())

    def _seconds(self) -> float:
        """The time so far."""
        return self._before + time.process_time() - self._started


def parts(jobs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """The figures of each part of a run (ready for JSON): those kept by a run that was stopped, or computed now.

    Parts do not depend on each other; as many are computed at a time as ``AEVB_WORKERS`` says, each in a process.

    Args:
        jobs: what computes the figures of each part, by its name, which is also that of its file.
    """
    _minutes_before()  # now, before this run keeps minutes of its own
    left = [name for name in jobs if not _file_of(name).is_file()]
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    workers = min(_workers(), len(left)) if can_fork else 1
    done, started = len(jobs) - len(left), time.perf_counter()
    for number, name in enumerate(_computed(jobs, left, workers), start=1):
        each = (time.perf_counter() - started) / 60 / number
        _tell(f"{name}: part {done + number} of {len(jobs)}; {_left(each * (len(left) - number))}")
        _keep_minutes()
    return {name: json.loads(_file_of(name).read_text(encoding="utf-8")) for name in jobs}


def _workers() -> int:
    """How many parts may be computed at a time.

    Raises:
        ValueError: ``AEVB_WORKERS`` is no such number.
    """
    word = os.environ.get("AEVB_WORKERS", "1")
    if not word.isdecimal() or int(word) < 1:
        raise ValueError(f"The environment variable AEVB_WORKERS should be a number from 1, but it is {word!r}.")
    return int(word)


def _file_of(name: str) -> Path:
    """Where the figures of a part are kept."""
    return _inner("parts") / f"{name}.json"


def _inner(name: str) -> Path:
    """A folder within that of the run."""
    path = folder() / name
    path.mkdir(exist_ok=True)
    return path


def _computed(jobs: Mapping[str, Callable[[], Any]], left: list[str], workers: int) -> Iterator[str]:
    """Compute parts; give the name of each that is done."""
    if workers < 2:
        for name in left:
            _compute(jobs, name)
            yield name
        return
    context = multiprocessing.get_context("fork")  # so that a part may be any function
    running: dict[str, BaseProcess] = {}
    waiting = list(left)
    while waiting or running:
        while waiting and len(running) < workers:
            name = waiting.pop(0)
            running[name] = context.Process(target=_compute, args=(jobs, name))
            running[name].start()
        connection.wait([process.sentinel for process in running.values()])
        for name in [name for name, process in running.items() if not process.is_alive()]:
            if running.pop(name).exitcode:
                for other in running.values():
                    other.terminate()
                raise RuntimeError(f"The part {name!r} failed; what is done is kept.")
            yield name


def _compute(jobs: Mapping[str, Callable[[], Any]], name: str) -> None:
    """Compute a part and keep its figures, whole or not at all."""
    write_atomically(_file_of(name), json.dumps(jobs[name](), allow_nan=False).encode())


def one_cycle(optimizer: Optimizer, *, rows: int, epochs: int, batch_size: int) -> OneCycleLR:
    """A step size that rises to the optimizer's in the first tenth of the run and falls to 0 on a cosine."""
    steps = epochs * math.ceil(rows / batch_size) + 1
    return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=steps, pct_start=0.1)


def train(
    name: str,
    model: nn.Module,
    data: Any,  # noqa: ANN401 (what fit takes)
    *,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    epochs: int,
    objective: Any = None,  # noqa: ANN401
    before_epoch: Callable[[int], None] | None = None,
    clock: ProcessorClock | None = None,
    **options: Any,  # noqa: ANN401
) -> History:
    """One run of ``fit`` that goes on from its checkpoint, if there is one, and tells how far it is.

    Args:
        name: of the checkpoint.
        model: what is saved.
        data: as ``fit`` takes them.
        optimizer: over the model's parameters.
        scheduler: of its step size, stepped after every update.
        epochs: in all.
        objective: what ``fit`` trains, if it is not the model itself but wraps it.
        before_epoch: called with the number of each epoch, from 1, before it begins.
        clock: what it shows is kept with each checkpoint.
        options: all else that ``fit`` takes.
    """
    _minutes_before()
    file = folder() / f"{name}.safetensors"
    history = checkpoints.load(file, model, optimizer, scheduler) if file.is_file() else History()
    times = {"saved": time.monotonic(), "told": time.monotonic(), "started": time.monotonic(), "done": len(history)}

    def after(epoch: int, trained: Any, history: History) -> None:  # noqa: ANN401
        if epoch < epochs:
            begin(epoch + 1)
        now = time.monotonic()
        if now - times["saved"] > SAVE_EVERY or epoch == epochs:
            checkpoints.save(file, model, optimizer, history, scheduler)
            _keep_minutes()
            if clock is not None:
                clock.keep()
            times["saved"] = now
        if now - times["told"] > TELL_EVERY:
            left = (now - times["started"]) / (epoch - times["done"]) * (epochs - epoch) / 60
            _tell(f"{name}: epoch {epoch} of {epochs}, {history.elbo[-1]:.2f} nats; {_left(left)}")
            times["told"] = now

    begin = before_epoch or (lambda epoch: None)
    if len(history) >= epochs:
        return history
    begin(len(history) + 1)
    trained = model if objective is None else objective
    return fit(
        trained,
        data,
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=epochs,
        history=history,
        callback=after,
        **options,
    )


def _left(minutes: float) -> str:
    """A time in words."""
    return "done" if minutes <= 0 else f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"


def _tell(line: str) -> None:
    """A line about how far the run is."""
    if not FAST:
        print(f"  {line}", flush=True)


@cache
def faster_in_bfloat16() -> bool:
    """Whether this machine multiplies matrices in bfloat16 faster than in float32; false in the fast budget."""
    kept = folder() / "bfloat16.json"
    with FileLock(kept.with_suffix(".lock")):  # decided once, for all parts and for a run that goes on
        if not kept.is_file():
            faster = not FAST and _seconds_a_product(torch.bfloat16) < 0.8 * _seconds_a_product(torch.float32)
            write_atomically(kept, json.dumps(faster).encode())
        return json.loads(kept.read_text(encoding="utf-8"))


def _seconds_a_product(kind: torch.dtype) -> float:
    """The shortest of 30 times that a product of two matrices takes."""
    a, b = torch.ones(200, 500, dtype=kind), torch.ones(500, 500, dtype=kind)
    times = []
    for _ in range(30):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return min(times)


def products() -> str:
    """The number format of the matrix products of a training, in words."""
    return "products in bfloat16" if faster_in_bfloat16() else "float32"


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of data, a few thousand rows at a time."""
    return torch.cat([function(rows) for rows in x.split(5000)])


def ship(name: str, model: nn.Module, arguments: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write a model's weights, with what they are; in the fast budget do nothing.

    They go into the run's folder. ``make results`` moves them into the package when it has stored the figures.
    """
    if not FAST:
        save_pretrained(name, model, arguments, about, folder=_inner("weights"))


def shipped() -> dict[str, str]:
    """The weights that this run has written: the SHA-256 of each file, by its name."""
    files = sorted(_inner("weights").glob("*.safetensors"))
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
