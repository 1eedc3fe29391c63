"""A GPU for tests where there is none: numbers on the CPU that count as on another device.

``with FakeDevice("cuda"):`` makes ``"cuda"`` (or ``"mps"``) a device that torch can be asked for. What is moved there
is ordinary memory, computed with by the CPU's functions, so that every result has the very bits that the CPU gives. But
a register knows the memory, ``.device`` says where it is, and what a real device refuses is refused:

- an operation on tensors of both sides (a single number of the CPU may take part, and an index may be on the CPU),
- what writes to a tensor on the CPU from a tensor on the device, but a copy,
- ``numpy()``, and numpy's functions,
- random numbers on the device from a generator of the CPU,
- with ``"mps"``, float64.

Two modes of torch see all calls: one the functions that name a device or ask for it, the other all operations below
them, those of backward passes too. The device's random numbers are the CPU's, unless ``own_generator`` is asked for.
"""

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
import torch._dynamo  # before a GPU is claimed that it would ask for its properties
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

NO_FLOAT64 = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
MAY_MIX = {"copy_", "_to_copy", "_local_scalar_dense", "set_", "is_same_size", "_has_compatible_shallow_copy_type"}
TAKES_INDEX = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
if torch.__version__ >= "2.15":  # which makes x[i] = 5.0 by it
    TAKES_INDEX.add("index_fill_")
TAKES_NO_NUMBER = ("cat", "stack", "_fused", "gather", "scatter", "index_select", "take")
"""How the names of operations begin that take not even a single number of the other side."""


class MixedDevicesError(RuntimeError):
    """What torch raises as a RuntimeError; of its own type, so that a test is not content with another one."""


class Register:
    """Which memory is on the device, whatever tensors look at it."""

    def __init__(self) -> None:
        self._known: dict[int, StorageWeakRef] = {}  # a weak reference keeps the address from being used again
        self._limit = 10_000

    def __contains__(self, tensor: Tensor) -> bool:
        storage = storage_of(tensor)
        return storage is not None and storage._cdata in self._known

    def add(self, tensor: Tensor) -> None:
        storage = storage_of(tensor)
        if storage is not None and storage._cdata not in self._known:
            self._known[storage._cdata] = StorageWeakRef(storage)
        if len(self._known) > self._limit:
            self._known = {key: ref for key, ref in self._known.items() if not ref.expired()}
            self._limit = 10_000 + 2 * len(self._known)

    def discard(self, tensor: Tensor) -> None:
        storage = storage_of(tensor)
        if storage is not None:
            self._known.pop(storage._cdata, None)


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """A tensor's memory, also that inside of torch.func's wrappers; None if it has none of its own."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    try:
        return tensor.untyped_storage()
    except NotImplementedError:
        return None


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors of an argument or a result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)


class Operations(TorchDispatchMode):
    """What is computed: all on one side, and the result is there too."""

    def __init__(self, kind: str, own_generator: bool) -> None:
        super().__init__()
        self.kind = kind
        self.there = Register()
        self.jokers = Register()  # zeros that a backward pass fills in for gradients that there are none of
        self.count = 0  # of operations on the device
        self.makes = False  # whether what is made now is made on the device
        self.state = torch.Generator().manual_seed(1).get_state() if own_generator else None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [*tensors_in(args), *tensors_in(list(kwargs.values()))]
        on_device = [tensor for tensor in tensors if tensor in self.there]
        if not (on_device or self.makes):
            result = func(*args, **kwargs)
            if torch._C._current_graph_task_id() != -1 and func in (aten.zeros.default, aten.zeros_like.default):
                self.jokers.add(result)
            return result
        self.count += 1
        name = func._schema.name.removeprefix("aten::")
        if on_device and name not in MAY_MIX:
            self._refuse_mixes(func, name, args, kwargs)
        if kwargs.get("generator") is not None:
            raise MixedDevicesError(f"Expected a '{self.kind}' device type for generator but found 'cpu' ({name})")
        result = self._random(func, args, kwargs) if self._is_random(func) else func(*args, **kwargs)
        if name == "copy_":
            return result
        for tensor in tensors_in(result):
            self.there.add(tensor)
            self.check_format(tensor)
        return result

    def check_format(self, tensor: Tensor) -> None:
        """Apple's devices have no float64."""
        if self.kind == "mps" and tensor.dtype in (torch.float64, torch.complex128):
            raise TypeError(NO_FLOAT64)

    def _refuse_mixes(self, func, name, args, kwargs) -> None:
        others = []
        for place, argument in enumerate(func._schema.arguments):
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            if name in TAKES_INDEX and argument.name in ("indices", "index") and args[0] in self.there:
                continue
            written = argument.alias_info is not None and argument.alias_info.is_write
            for tensor in tensors_in(value):
                if tensor not in self.there and tensor not in self.jokers:
                    number = tensor.ndim == 0 and not written and not name.startswith(TAKES_NO_NUMBER)
                    others += [] if number else [tuple(tensor.shape)]
        if others:
            raise MixedDevicesError(
                f"Expected all tensors to be on the same device, but found at least two devices, {self.kind}:0 and "
                f"cpu! ({name}; on the CPU: {', '.join(map(str, others))})"
            )

    def _is_random(self, func) -> bool:
        return self.state is not None and torch.Tag.nondeterministic_seeded in func.tags

    def _random(self, func, args, kwargs):
        """Draw from the device's own generator."""
        callers = torch.random.get_rng_state()
        torch.random.set_rng_state(self.state)
        try:
            return func(*args, **kwargs)
        finally:
            self.state = torch.random.get_rng_state()
            torch.random.set_rng_state(callers)


class Move(torch.autograd.Function):
    """A copy on the other side; its gradient comes back."""

    @staticmethod
    def forward(ctx, x, operations, to_device):
        ctx.operations, ctx.to_device = operations, to_device
        return copy_of(x, operations, to_device)

    @staticmethod
    def backward(ctx, gradient):
        return copy_of(gradient, ctx.operations, not ctx.to_device), None, None


def copy_of(x: Tensor, operations: Operations, to_device: bool) -> Tensor:
    """The numbers on one side."""
    if to_device:
        operations.check_format(x)
    copy = x.clone()
    (operations.there.add if to_device else operations.there.discard)(copy)
    return copy


class Calls(TorchFunctionMode):
    """What names a device, or asks where something is."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self.operations, self.kind = operations, operations.kind
        self.device = torch.device(self.kind, 0)
        self.handlers = {
            Tensor.device.__get__: lambda x: self.device if x in operations.there else torch.device("cpu"),
            Tensor.is_cuda.__get__: lambda x: self.kind == "cuda" and x in operations.there,
            Tensor.is_mps.__get__: lambda x: self.kind == "mps" and x in operations.there,
            Tensor.is_cpu.__get__: lambda x: x not in operations.there,
            Tensor.get_device: lambda x: 0 if x in operations.there else -1,
            Tensor.cpu: lambda x, **_: self._moved(x, torch.device("cpu")),
            Tensor.cuda: lambda x, *_, **__: self._moved(x, torch.device("cuda")),
            Tensor.to: self._to,
            Tensor.type_as: self._to,
            torch.as_tensor: self._as_tensor,
            torch.asarray: self._as_tensor,
            Tensor.new_tensor: self._like(Tensor.new_tensor),
            Tensor.__deepcopy__: self._like(Tensor.__deepcopy__),
            Tensor.numpy: self._on_cpu(Tensor.numpy),
            Tensor.__array__: self._on_cpu(Tensor.__array__),
            Tensor.grad.__set__: self._set_gradient,
        }

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.handlers:
            return self.handlers[func](*args, **kwargs)
        if kwargs.get("device") is None or torch.device(kwargs["device"]).type == "meta":
            return func(*args, **kwargs)
        to_device = self._is_there(kwargs["device"])
        outer, self.operations.makes = self.operations.makes, to_device
        try:
            result = func(*args, **{**kwargs, "device": "cpu"})
        finally:
            self.operations.makes = outer
        for tensor in tensors_in(result):
            (self.operations.there.add if to_device else self.operations.there.discard)(tensor)
            if to_device:
                self.operations.check_format(tensor)
        return result

    def _is_there(self, device) -> bool:
        kind = torch.device(device).type
        if kind not in ("cpu", self.kind):
            raise MixedDevicesError(f"There is no {kind} here.")
        return kind == self.kind

    def _moved(self, x: Tensor, device: torch.device, *, copy: bool = False) -> Tensor:
        to_device = self._is_there(device)
        if to_device == (x in self.operations.there):
            return x.clone() if copy else x
        if x.requires_grad and torch.is_grad_enabled():
            return Move.apply(x, self.operations, to_device)
        return copy_of(x, self.operations, to_device)

    def _to(self, x: Tensor, *args, copy: bool = False, **kwargs) -> Tensor:
        other = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        if other is not None:
            device, dtype = (self.device if other in self.operations.there else torch.device("cpu")), other.dtype
        else:
            device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        leaves = x in self.operations.there and device is not None and not self._is_there(device)
        if device is not None and not leaves:
            x = x if dtype is None else x.to(dtype)  # a format that the device lacks is left before
            return self._moved(x, device, copy=copy)
        x = x if dtype is None else x.to(dtype, copy=copy)
        return self._moved(x, device) if leaves else x

    def _as_tensor(self, data, *args, **kwargs):
        device = kwargs.pop("device", None)
        result = torch.as_tensor(data, *args, **kwargs)
        return result if device is None else self._moved(result, torch.device(device))

    def _like(self, function):
        def wrapped(x, *args, **kwargs):
            result = function(x, *args, **kwargs)
            if x in self.operations.there:
                self.operations.there.add(result)
            return result

        return wrapped

    def _on_cpu(self, function):
        def wrapped(x, *args, **kwargs):
            if x in self.operations.there:
                raise TypeError(
                    f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
                    "host memory first."
                )
            return function(x, *args, **kwargs)

        return wrapped

    def _set_gradient(self, x, gradient):
        if gradient is not None and (x in self.operations.there) != (gradient in self.operations.there):
            raise MixedDevicesError("assigned grad has data located on a different device")
        Tensor.grad.__set__(x, gradient)


class FakeDevice(contextlib.AbstractContextManager):
    """The device, ``"cuda"`` or ``"mps"``, in a ``with`` block.

    Attributes:
        seeds: what its generator was seeded with.
    """

    def __init__(self, kind: str = "cuda", *, own_generator: bool = False) -> None:
        self.kind, self.seeds = kind, []
        self._operations = Operations(kind, own_generator)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "FakeDevice":
        for target, name, value in self._replaced():
            self._stack.enter_context(mock.patch.object(target, name, value))
        self._stack.enter_context(self._operations)
        self._stack.enter_context(Calls(self._operations))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    @property
    def operations(self) -> int:
        """How many were computed on the device."""
        return self._operations.count

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor is on the device."""
        return tensor in self._operations.there

    def _replaced(self):
        """What torch knows of a device that it was not built for."""
        autocast = torch.autocast
        yield torch, "autocast", lambda kind, *args, **kwargs: autocast("cpu", *args, **kwargs)
        yield torch.amp, "is_autocast_available", lambda kind: True
        yield torch.cuda, "is_available", lambda: self.kind == "cuda"
        if hasattr(torch, "accelerator"):  # Adam asks it, from torch 2.15 on, whether it is recorded
            yield torch.accelerator, "current_accelerator", lambda **_: None
        yield torch.cuda, "is_current_stream_capturing", lambda: False
        yield torch.cuda, "device_count", lambda: int(self.kind == "cuda")
        yield torch.backends.mps, "is_available", lambda: self.kind == "mps"
        yield torch.backends.cudnn, "is_acceptable", lambda tensor: False
        module = getattr(torch, self.kind)
        yield module, "manual_seed", self._seed
        yield module, "get_rng_state", lambda device=None: self._state()
        yield module, "set_rng_state", lambda state, device=None: self._put_back(state)
        if self.kind == "cuda":
            yield module, "device", contextlib.nullcontext

    def _seed(self, seed: int) -> None:
        self.seeds.append(seed)
        generator = torch.Generator().manual_seed(seed)
        if self._operations.state is not None:
            self._operations.state = generator.get_state()
        else:
            torch.random.set_rng_state(generator.get_state())

    def _state(self) -> Tensor:
        state = self._operations.state
        return torch.random.get_rng_state() if state is None else state

    def _put_back(self, state: Tensor) -> None:
        if self._operations.state is not None:
            self._operations.state = state
        else:
            torch.random.set_rng_state(state)
