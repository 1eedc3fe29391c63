"""The processes of a run, as torch.distributed has them: joining, adding up, and what is said when one is lost."""

import atexit
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""The environment variables by which torchrun tells a process its place."""


class ProcessError(RuntimeError):
    """The processes of a run do not do the same, or one of them is gone."""


def is_several() -> bool:
    """Whether this process is one of several that torchrun, or the caller, has started; joins them the first time.

    With GPUs, each process of a machine gets one of its own, as ``"cuda"``, and sums go through NCCL; where there are
    fewer GPUs than processes, or none, through gloo.

    Raises:
        ProcessError: this PyTorch has no ``torch.distributed``, or the others cannot be reached.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size() > 1
    if not all(name in os.environ for name in STARTED) or int(os.environ["WORLD_SIZE"]) < 2:
        return False
    if not dist.is_available():
        raise ProcessError(
            f"This is one of {os.environ['WORLD_SIZE']} processes, and PyTorch {torch.__version__} here has no "
            "torch.distributed: install one that has it, or start the script once."
        )
    local, here = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    one_each = torch.cuda.is_available() and torch.cuda.device_count() >= here
    if one_each:
        torch.cuda.set_device(local)
    with _told():
        store, rank, size = next(dist.rendezvous("env://"))
        if here == size:  # torchrun gives all its attempts on one machine the same store, and with it old addresses
            store = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        kind = "cpu:gloo,cuda:nccl" if one_each else "gloo"
        dist.init_process_group(kind, store=store, rank=rank, world_size=size)
    atexit.register(_leave)
    return True


def _leave() -> None:
    """Leave the group, if nobody has done so."""
    if dist.is_initialized():
        dist.destroy_process_group()


def add_up(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in each of them; the tensor is used up. One process has it already."""
    if not is_several():
        return values
    here = values if "nccl" in dist.get_backend_config() or values.device.type == "cpu" else values.cpu()
    with _told():
        dist.all_reduce(here)
    return here.to(values.device)


def from_first(values: Tensor, first: int = 0) -> Tensor:
    """A tensor of the first process, or of another one, in all of them."""
    here = values.detach().cpu().contiguous().clone()
    with _told():
        dist.broadcast(here, first)
    return here.to(values.device)


def from_all(value: Any) -> list[Any]:  # noqa: ANN401 (anything that can be pickled)
    """What each process has, in their order; all of them are this run's own, so that pickles can be trusted."""
    if not is_several():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    with _told():
        dist.all_gather_object(values, value)
    return values


def agree(what: Mapping[str, object]) -> None:
    """All processes have the same values.

    Raises:
        ProcessError: they have not; it names the first that differs, in every process.
    """
    first, *others = from_all(dict(what))
    for rank, other in enumerate(others, start=1):
        for name in first.keys() | other.keys():
            if first.get(name) != other.get(name):
                raise ProcessError(
                    f"The processes do not do the same: process 0 has {name} {first.get(name)}, and process {rank} has "
                    f"{other.get(name)}. Let all of them run the same lines with the same seeds and the same files."
                )


@contextmanager
def _told() -> Iterator[None]:
    """Say in one sentence that the others cannot be reached."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, ProcessError):
            raise
        said = str(error).splitlines()[0].rstrip(".")[:200]
        raise ProcessError(
            f"Another process of this run has ended or cannot be reached ({said}): the last checkpoint is whole, and "
            "the same command goes on from it, as torchrun --max-restarts=3 does by itself."
        ) from None
