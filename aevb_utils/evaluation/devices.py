"""Where models compute: on the CPU, or on a GPU while a training or an evaluation runs.

Between these a model is on the CPU, so that what draws, saves or reads it knows no GPU.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aevb_utils.evaluation.modes import modules_of

P = ParamSpec("P")
T = TypeVar("T")

CPU = torch.device("cpu")
_chosen = CPU
_has_spoken = False  # of float64, since the device was chosen


def compute_on(device: str | torch.device) -> None:
    """Let the trainings and evaluations that follow compute on a GPU.

    ``compute_on("cuda")``, once, after the imports. From then on ``fit`` and the functions
    of :mod:`aevb_utils.evaluation` that are given a model move it and the data there, and
    the model and their results back to the CPU, where all else is computed. A model that
    somebody has moved to a GPU stays where it is. Apple's GPUs have no float64: with
    ``"mps"``, what is in float64 is computed on the CPU, as is said once.

    A GPU draws other random numbers than the CPU from the same seed, and rounds otherwise.

    Args:
        device: ``"cuda"`` (or ``"cuda:1"``, the second one), ``"mps"`` (Apple), or
            ``"cpu"``, as at the start.

    Raises:
        ValueError: it is none of these, or it is not here; all stays as it was.
    """
    global _chosen, _has_spoken
    try:
        asked = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        asked = None
    if asked is None or asked.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f'compute_on takes "cpu", "cuda" or "mps", not {device!r}.')
    here = _devices_here()
    if str(asked) not in here:
        raise ValueError(_not_here(asked, here))
    _chosen, _has_spoken = asked, False


def _devices_here() -> list[str]:
    """The names that compute_on can be given."""
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    cuda = ["cuda", *(f"cuda:{number}" for number in gpus)] if gpus else []
    mps = ["mps", "mps:0"] if torch.backends.mps.is_available() and _mps_is_ready() else []
    return ["cpu", *cuda, *mps]


def _mps_is_ready() -> bool:
    """Whether torch has ``autocast``, which fit uses, for Apple's GPUs, as from 2.5 on."""
    return torch.amp.is_autocast_available("mps")


def _not_here(asked: torch.device, here: list[str]) -> str:
    """What to do where a device is not here."""
    if asked.type == "mps" and torch.backends.mps.is_available() and not _mps_is_ready():
        return f'compute_on("mps") needs PyTorch 2.5 or newer, not {torch.__version__}.'
    cure = {
        "cuda": "on Colab choose Runtime, Change runtime type, T4 GPU; elsewhere install "
        f"the GPU's driver and a PyTorch with CUDA ({torch.__version__} is here)",
        "mps": "it needs a Mac with an Apple chip and macOS 14 or newer",
    }.get(asked.type, "a CPU has no number")
    return (
        f'compute_on("{asked}") finds no such device here, but {", ".join(here)}: {cure}, '
        "or leave the line out, since the book needs no GPU."
    )


def moved(value: T, device: torch.device | None) -> T:
    """Tensors, also those in collections, on a device, if it is one; all else as it is."""
    match value:
        case _ if device is None:
            return value
        case Tensor():
            return value.to(device)
        case dict():
            return {name: moved(item, device) for name, item in value.items()}
        case tuple() if hasattr(value, "_fields"):
            return type(value)(*(moved(item, device) for item in value))
        case tuple() | list():
            return type(value)(moved(item, device) for item in value)
    return value


class Stay:
    """A model, and the optimizer over it, on the chosen device for a ``with`` block.

    Afterwards, whatever ends the block, they are on the CPU again. Parameters and buffers
    remain the objects that they are, gradients and the optimizer's state go with them. A
    model that is not on the CPU, or has no tensors, stays where it is.

    Args:
        model: a module, or an object that has modules as attributes.
        data: what will be computed with, which may be in float64.
        optimizer: over the model's parameters.
    """

    def __init__(
        self, model: object, *data: object, optimizer: Optimizer | None = None
    ) -> None:
        self._model, self._optimizer, self._device = model, optimizer, _chosen
        self._goes = (
            _chosen != CPU
            and {tensor.device for tensor in _tensors(model)} == {CPU}
            and _has_formats_of(model, data)
        )

    def __enter__(self) -> Self:
        if self._goes:
            try:
                _move(self._model, self._optimizer, self._device)
            except BaseException:  # no memory, or a KeyboardInterrupt: not half of it
                _move(self._model, self._optimizer, CPU)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._goes:
            try:
                _move(self._model, self._optimizer, CPU)
            except KeyboardInterrupt:
                _move(self._model, self._optimizer, CPU)
                raise

    def there(self, value: T) -> T:
        """Tensors on the model's device, if it has one."""
        return moved(value, next((t.device for t in _tensors(self._model)), None))

    def back(self, value: T) -> T:
        """Results on the CPU, if the model goes back there."""
        return moved(value, CPU if self._goes else None)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Model and optimizer on the CPU for a ``with`` block, and then there again."""
        self.__exit__()
        yield
        self.__enter__()


def on_chosen_device(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function of a model and data compute on the device that compute_on chose.

    For functions whose result has no gradient.
    """

    @functools.wraps(function)
    def wrapped(model: object, *data: Any, **options: Any) -> T:  # noqa: ANN401
        with Stay(model, *data, *options.values()) as stay:
            return stay.back(function(model, *stay.there(data), **stay.there(options)))

    return wrapped


def _tensors(model: object) -> Iterator[Tensor]:
    """The parameters and buffers of a model; shared ones may come more than once."""
    for root in modules_of(model):
        yield from root.parameters()
        yield from root.buffers()


def _has_formats_of(model: object, data: object) -> bool:
    """Whether the chosen device has the formats of model and data; say so if not."""
    global _has_spoken
    if _chosen.type != "mps" or not _holds_float64([*_tensors(model), data]):
        return True
    if not _has_spoken:
        print("Apple's GPU has no float64: what is in float64 is computed on the CPU.")
    _has_spoken = True
    return False


def _holds_float64(value: object) -> bool:
    """Whether a tensor, or one in a collection, is in float64."""
    if isinstance(value, Tensor):
        return value.dtype == torch.float64
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list | tuple) and any(map(_holds_float64, items))


def _move(model: object, optimizer: Optimizer | None, device: torch.device) -> None:
    """Move what tensors hold, and leave the objects, which others know, as they are."""
    tensors = {id(tensor): tensor for tensor in _tensors(model)}
    with torch.inference_mode(False):  # in which nobody could train what is moved
        for tensor in tensors.values():
            _move_data(tensor, device)
        for module in (part for root in modules_of(model) for part in root.modules()):
            if isinstance(module, nn.RNNBase):  # cuDNN wants its weights in one piece
                module.flatten_parameters()
        for group in optimizer.param_groups if optimizer is not None else ():
            here = device == CPU or group.get("fused") or group.get("capturable")
            for parameter in group["params"]:
                if id(parameter) in tensors:
                    _move_state(optimizer.state.get(parameter, {}), device, steps=here)


def _move_state(state: dict[str, object], device: torch.device, *, steps: bool) -> None:
    """Move what an optimizer keeps of a parameter; torch counts most steps on the CPU."""
    for name, value in state.items():
        if isinstance(value, Tensor) and (steps or name != "step"):
            _move_data(value, device)


def _move_data(tensor: Tensor, device: torch.device) -> None:
    """Move the numbers of a tensor and of its gradient."""
    tensor.data = tensor.data.to(device)
    if tensor.grad is not None:
        _move_data(tensor.grad, device)
