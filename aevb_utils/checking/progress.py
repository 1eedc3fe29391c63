"""A bar for a check that takes long, with the time that is left: it counts the numbers of x that a model looks at."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from tqdm import tqdm

PATIENCE = 2.0
"""After how many seconds the bar is shown."""
_bar: ContextVar["tqdm | None"] = ContextVar("bar", default=None)


@contextmanager
def progress(total: int) -> Iterator[None]:
    """Show a bar in this block, once it takes long, of so many numbers in all; it leaves nothing behind."""
    from tqdm.auto import tqdm  # here, so that the other checks need no library beside torch

    look = {"desc": "check_model", "leave": False, "delay": PATIENCE, "smoothing": 0}
    with tqdm(total=total, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}", **look) as bar:
        token = _bar.set(bar)
        try:
            yield
        finally:
            _bar.reset(token)


def looked_at(x: Tensor, samples: int = 1) -> None:
    """Move the bar, if there is one, by the numbers of x, once for each sample."""
    bar = _bar.get()
    if bar is not None:
        bar.update(min(x.numel() * samples, bar.total - bar.n))


@contextmanager
def set_aside() -> Iterator[None]:
    """Let a line be printed above the bar."""
    if _bar.get() is None:
        yield
    else:
        from tqdm.auto import tqdm

        with tqdm.external_write_mode():
            yield
