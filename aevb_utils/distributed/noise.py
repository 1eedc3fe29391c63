"""The random numbers of a whole minibatch, of which each process keeps those of its own rows.

A model draws from torch's generators: normals for z, uniforms for dropout. In one process a draw for M rows is one
tensor, in which one dimension goes over the rows. A process that has m of the M rows asks for the smaller tensor;
:class:`RowNoise` makes the draw for all M, from the generator that is in the same state in every process, and hands out
the part of the process's own rows. So the numbers are those of one process, and so is the generator afterwards.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

IN_PLACE = {"bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_"}
FACTORIES = {"rand", "randint", "randn"}
OF_TENSORS = {"bernoulli", "multinomial", "native_dropout", "normal", "rand_like", "randint_like", "randn_like"}
KNOWN = IN_PLACE | FACTORIES | OF_TENSORS
"""Torch's draws that take as many random numbers as they have entries: not those by rejection."""

Shape = tuple[int, ...]
Draw = tuple[str, Shape]
"""What is drawn, by torch's name, and the shape of it."""
Place = tuple[int, Shape]
"""The dimension of a draw that goes over the rows, and all of them as they lie in memory, the outermost first."""


class NoiseError(ValueError):
    """What a model draws cannot be shared out among processes by rows."""


class Recorder(TorchDispatchMode):
    """Notes what is drawn in a ``with`` block, and leaves it as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []
        self.orders: list[Shape] = []  # how each lies in memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Every operation of torch comes by here."""
        if torch.Tag.nondeterministic_seeded in func.tags and func.overloadpacket.__name__ in KNOWN:
            name = func.overloadpacket.__name__
            self.draws.append((name, _shape(func, args)))
            self.orders.append(_order(args[0]) if name in IN_PLACE else tuple(range(len(self.draws[-1][1]))))
        return func(*args, **(kwargs or {}))


class Places:
    """Which dimension of each draw goes over the rows, found by two calls with different numbers of rows.

    Args:
        few, more: what was drawn for ``rows`` and for ``rows + 1`` copies of one row.
        rows: how many, more than one.

    Raises:
        NoiseError: a draw has no such dimension, but depends on the number of rows.
    """

    def __init__(self, few: Recorder, more: Recorder, rows: int) -> None:
        if [(name, len(shape)) for name, shape in few.draws] != [(name, len(shape)) for name, shape in more.draws]:
            raise NoiseError("what it draws depends on the number of rows")
        self._in_order: list[Place | None] = []
        self._found: dict[tuple[str, int], set[Place | None]] = defaultdict(set)
        for (name, one), (_, other), order in zip(few.draws, more.draws, few.orders, strict=True):
            differ = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
            if differ and (len(differ) > 1 or (one[differ[0]], other[differ[0]]) != (rows, rows + 1)):
                raise NoiseError(f"it draws {name} of the shape {one} for {rows} rows, none of which goes over them")
            self._in_order.append((differ[0], order) if differ else None)
            self._found[name, len(one)].add(self._in_order[-1])

    def of(self, draw: Draw, index: int) -> Place | None:
        """Where the rows are in a draw; None where all of them share it.

        Raises:
            NoiseError: this cannot be told.
        """
        name, shape = draw
        found = self._found.get((name, len(shape)), set())
        if len(found) == 1:
            return next(iter(found))
        if index < len(self._in_order) and found:
            return self._in_order[index]
        raise NoiseError(f"it draws {name} of the shape {shape}, which it did not when it was first looked at")


class RowNoise(TorchDispatchMode):
    """Draws are made for a whole minibatch in a ``with`` block; what is handed out belongs to some of its rows.

    Args:
        places: where the rows are in each draw.
        begin, rows: the rows of this process, ``begin`` to ``begin + rows``.
        whole: how many rows the minibatch has.
    """

    def __init__(self, places: Places, begin: int, rows: int, whole: int) -> None:
        super().__init__()
        self.draws: list[Draw] = []
        self._places, self._begin, self._rows, self._whole = places, begin, rows, whole

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Every operation of torch comes by here."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        name, shape = func.overloadpacket.__name__, _shape(func, args)
        if name not in KNOWN:
            return _without_a_draw(func, args, kwargs)
        found = self._places.of((name, shape), len(self.draws))
        if found is None:
            self.draws.append((name, shape))
            return func(*args, **kwargs)
        place, order = found
        if shape[place] != self._rows:
            raise NoiseError(f"it draws {name} of the shape {shape} for {self._rows} rows")
        self.draws.append((name, (*shape[:place], self._whole, *shape[place + 1 :])))
        if name in IN_PLACE:
            full = (arg.expand(shape) if isinstance(arg, Tensor) else arg for arg in args)  # one probability for many
            drawn = func(*(self._widened(arg, place, order) for arg in full), **kwargs)
            return args[0].copy_(self._own(drawn, place))
        if name in FACTORIES:
            drawn = func(*(list(self.draws[-1][1]) if isinstance(arg, list | tuple) else arg for arg in args), **kwargs)
            return self._own(drawn, place)
        given = [arg for arg in args if isinstance(arg, Tensor)]
        same = iter(torch.broadcast_tensors(*given))  # normal takes means and scales of two shapes
        drawn = func(*(self._widened(next(same), place, order) if isinstance(a, Tensor) else a for a in args), **kwargs)
        if isinstance(drawn, tuple):  # native_dropout, whose first result depends on the input
            kept = self._own(drawn[1], place)
            return args[0] * kept / (1 - args[1]), kept
        return self._own(drawn, place)

    def _widened(self, value: Any, place: int, order: Shape) -> Any:  # noqa: ANN401
        """A tensor with a row for each of the minibatch, laid out in memory so: its own rows in their places."""
        if not isinstance(value, Tensor) or value.ndim <= place or value.shape[place] != self._rows:
            return value
        size = [*value.shape[:place], self._whole, *value.shape[place + 1 :]]
        whole = torch.empty_permuted(size, order, dtype=value.dtype, device=value.device)
        whole.copy_(value.narrow(place, 0, 1).expand(size))  # numbers that a draw can have
        whole.narrow(place, self._begin, self._rows).copy_(value)
        return whole

    def _own(self, drawn: Tensor, place: int) -> Tensor:
        """The part of a draw that belongs to the rows of this process, as a tensor of its own."""
        return drawn.narrow(place, self._begin, self._rows).clone()

    def digest(self) -> int:
        """24 bits that tell what was drawn, for all rows."""
        return int.from_bytes(hashlib.sha256(repr(self.draws).encode()).digest()[:3], "little")


def _order(value: Tensor) -> Shape:
    """The dimensions of a tensor as they lie in memory, the outermost first."""
    return tuple(sorted(range(value.ndim), key=lambda i: (-value.stride(i), i)))


def _shape(func: Any, args: Sequence[Any]) -> Shape:  # noqa: ANN401
    """The shape that a draw is made in: of its tensors, or the one that it is given."""
    tensors = [arg.shape for arg in args if isinstance(arg, Tensor)]
    sizes = [tuple(arg) for arg in args if isinstance(arg, list | tuple)]
    if not tensors:
        return sizes[0] if sizes else ()
    return tuple(torch.broadcast_shapes(*tensors) if func.overloadpacket.__name__ == "normal" else tensors[0])


def _without_a_draw(func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
    """The result of an operation that may draw, but did not (attention without dropout).

    Raises:
        NoiseError: it drew.
    """
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    on_gpu = [tensor.device for tensor in tensors if tensor.device.type == "cuda"]
    before = _states(on_gpu)
    result = func(*args, **kwargs)
    if not all(map(torch.equal, before, _states(on_gpu))):
        raise NoiseError(f"it draws by torch's {func.overloadpacket.__name__}, which cannot be shared out by rows")
    return result


def _states(gpus: Sequence[torch.device]) -> list[Tensor]:
    """The states of the CPU's generator and of a GPU's."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(gpu) for gpu in gpus[:1])]
