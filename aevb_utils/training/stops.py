"""Why a training stops before its end, and what is kept then."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor
from torch.nn import Parameter

from aevb_utils.training.history import History


class TrainingError(RuntimeError):
    """Training cannot go on: the ELBO is no longer a number. ``history`` holds the epochs before."""

    history: History


class TrainingStopped(KeyboardInterrupt):
    """Somebody stopped a training, by Ctrl-C or the notebook's stop button. ``history`` holds the epochs that are done.

    Where nobody catches it, Python keeps it: ``import sys; history = sys.last_value.history``.
    """

    history: History


@contextmanager
def keep_what_is_done(history: History, epochs: int) -> Iterator[None]:
    """Hand the history on with whatever stops the training in a ``with`` block, as its attribute ``history``.

    Raises:
        TrainingStopped: a KeyboardInterrupt came.
    """
    try:
        yield
    except Exception as error:  # also one of a callback: what is done is not lost
        error.history = history
        raise
    except KeyboardInterrupt as interrupt:
        stopped = TrainingStopped(_how_to_go_on(history, epochs))
        stopped.history = history
        raise stopped.with_traceback(interrupt.__traceback__) from None


def _how_to_go_on(history: History, epochs: int) -> str:
    """What is done, where it is, and what to do."""
    done = len(history)
    moved = (
        f" Epoch {done + 1} had begun and has moved the parameters: for the very run that was planned, go on from a "
        "checkpoint instead."
        if history.in_an_epoch
        else ""
    )
    return (
        f"fit was stopped; {done} of {epochs} epochs are done. They are in this exception's history (in a notebook: "
        f"import sys; history = sys.last_value.history), and fit(…, history=history) goes on from the parameters as "
        f"they are.{moved}"
    )


def check_steps(steps: Tensor, names: Sequence[str], epoch: int) -> None:
    """Every term, (steps, terms), was a number in every step.

    Raises:
        TrainingError: one was not.
    """
    for step, row in enumerate(steps, start=1) if not steps.isfinite().all() else ():
        stop(dict(zip(names, row, strict=True)), epoch, step)


def stop(values: dict[str, Tensor], epoch: int, step: int) -> None:
    """Stop at the first value that is no number.

    Raises:
        TrainingError: one is not.
    """
    for name, value in values.items():
        if not value.isfinite():
            raise TrainingError(
                f"In epoch {epoch}, step {step}, the ELBO's term {name!r} became {value.item()}: lower the learning "
                "rate, or look for data or parameters that are not finite."
            )


def check_finite(parameters: list[Parameter], on_unseen: dict[str, Tensor], epoch: int) -> None:
    """An epoch left every parameter, and the ELBO of held-out data, with a value.

    Raises:
        TrainingError: it did not.
    """
    if not all(parameter.isfinite().all() for parameter in parameters):
        raise TrainingError(
            f"In epoch {epoch}, a parameter became NaN or infinite although the ELBO was finite: look for a function "
            "whose gradient is infinite where its value is not, such as a root at 0."
        )
    for name, mean in on_unseen.items():
        if not mean.isfinite():
            raise TrainingError(f"After epoch {epoch}, the ELBO's term {name!r} of the held-out data is {mean.item()}.")
