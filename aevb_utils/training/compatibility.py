"""Whether what is in a checkpoint belongs to the model, optimizer and scheduler that it is to be put into."""

import contextlib
import copy
import os
from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aevb_utils.training.descriptions import describe, first_difference
from aevb_utils.training.history import History
from aevb_utils.training.sealed_files import CheckpointError, Json

FilePath = str | os.PathLike[str]
Part = nn.Module | Optimizer | LRScheduler


def check_class(path: FilePath, content: Json, kind: str, part: object | None) -> None:
    """The part has the class that was saved."""
    saved = content["classes"].get(kind)
    given = None if part is None else type(part).__qualname__
    if given != saved:
        raise CheckpointError(
            f"{path} was saved with {_named(saved, kind)}, but it is to be loaded into {_named(given, kind)}."
        )


def _named(name: str | None, kind: str) -> str:
    """A class in words."""
    return f"no {kind}" if name is None else f"the {kind} {name}"


def check_model(path: FilePath, content: Json, saved: Json, model: nn.Module) -> None:
    """The model has the tensors of the saved one, and is otherwise the same: tensors alone do not tell two apart."""
    _check_tensors(path, saved, model)
    own = describe(model)
    described = content["description"] if "description" in content else own | content["settings"]  # in older files
    difference = first_difference(described, own)
    if difference:
        place, before, now = difference
        raise CheckpointError(f"{path} was saved with {place} = {before!r:.80}, but the model has {now!r:.80}.")


def _check_tensors(path: FilePath, saved: Json, model: nn.Module) -> None:
    """The saved parameters and buffers have the names, shapes and number formats of the model's."""
    own = model.state_dict()
    different = sorted(saved.keys() ^ own.keys(), key=str)
    if different:
        where = "the file" if different[0] in saved else "the model"
        raise CheckpointError(f"{path} does not fit the model: only {where} has {different[0]!r}.")
    for name, value in own.items():
        if isinstance(value, Tensor) and _kind(saved[name]) != _kind(value):
            raise CheckpointError(
                f"{path} does not fit the model: its {name!r} is {_kind(saved[name])}, the model's is {_kind(value)}."
            )


def _kind(value: object) -> str:
    """Number format and shape of a tensor, in words."""
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else "no tensor"


def parameter_names(model: nn.Module, optimizer: Optimizer) -> list[list[str | None]]:
    """The names of the parameters in each of the optimizer's groups, in order; None for one that is not the model's."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[names.get(id(parameter)) for parameter in group["params"]] for group in optimizer.param_groups]


def check_optimizer(path: FilePath, content: Json, saved: Json, model: nn.Module, optimizer: Optimizer) -> None:
    """The optimizer is over the same parameters, in the same groups, and the saved state has the form of its own."""
    if content["groups"] != parameter_names(model, optimizer):
        raise CheckpointError(
            f"{path} was saved with an optimizer over other parameters, or in another order or other groups: build the "
            "optimizer as it was built for the run."
        )
    own = optimizer.state_dict()
    scheduled = "scheduler" in content["classes"]  # a scheduler adds settings to the groups
    required = own["param_groups"][0].keys() if scheduled else {"params", *optimizer.defaults}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not (
        saved.keys() == own.keys()
        and _groups_fit(saved["param_groups"], own["param_groups"], set(required))
        and _states_fit(saved["state"], parameters)
    ):
        raise _another_form(path, "optimizer", optimizer)


def _groups_fit(saved: object, own: list[Json], required: set[str]) -> bool:
    """Whether an optimizer's groups are over the same parameters, and have settings of the same kinds."""
    return (
        isinstance(saved, list)
        and len(saved) == len(own)
        and all(
            isinstance(given, dict)
            and required <= given.keys()
            and given["params"] == group["params"]
            and all(_alike(given[name], group[name]) for name in given.keys() & group.keys())
            for given, group in zip(saved, own, strict=True)
        )
    )


def _states_fit(states: object, parameters: list[nn.Parameter]) -> bool:
    """Whether an optimizer's state is one of its parameters, by their numbers, and perhaps of words."""
    if not isinstance(states, dict):
        return False
    numbered = {number: state for number, state in states.items() if not isinstance(number, str)}
    return all(number in range(len(parameters)) for number in numbered) and all(
        _state_fits(state, parameters[number]) for number, state in numbered.items()
    )


def _state_fits(state: object, parameter: nn.Parameter) -> bool:
    """Whether a state is a parameter's: where a tensor has as many numbers, it has its shape."""
    if not isinstance(state, dict):
        return False
    tensors = [value for value in state.values() if isinstance(value, Tensor)]
    return all(value.shape == parameter.shape for value in tensors if value.numel() == parameter.numel() > 1)


def check_scheduler(path: FilePath, saved: Json, scheduler: LRScheduler) -> None:
    """The saved state has the form of the scheduler's own."""
    if not _alike(saved, scheduler.state_dict()):
        raise _another_form(path, "scheduler", scheduler)


def _another_form(path: FilePath, kind: str, part: Part) -> CheckpointError:
    """What is said of a state that the part cannot have."""
    return CheckpointError(
        f"{path} holds a state of the {kind} {type(part).__name__} that has another form than its own: build it as it "
        "was built for the run; if it is, the file was altered, or saved by another version of torch."
    )


def _alike(saved: object, own: object) -> bool:
    """Whether a value of a file and one that torch has made are of one kind, and all in them too."""
    match own:
        case None | bool():  # None: torch decides
            return saved is None or isinstance(saved, bool) or (own is None and isinstance(saved, int | float))
        case str():
            return isinstance(saved, str)
        case int() | float() | Tensor():
            return isinstance(saved, int | float | Tensor) and not isinstance(saved, bool)
        case dict():
            return (
                isinstance(saved, dict)
                and saved.keys() == own.keys()
                and all(_alike(saved[key], value) for key, value in own.items())
            )
        case list() | tuple():
            return (
                isinstance(saved, list | tuple)
                and len(saved) == len(own)
                and all(_alike(*pair) for pair in zip(saved, own, strict=True))
            )
    return False


def history_of(path: FilePath, saved: Json) -> History:
    """The History that was saved.

    Raises:
        CheckpointError: its parts do not belong together.
    """
    try:
        history = History.from_state_dict(saved)
        tables = [saved[name] for name in ("steps", "epochs", "held_out")]
        widths = {table.shape[1] for table in tables if table.numel()}
        lengths = [len(table) for table in tables]
        fits = (
            all(isinstance(name, str) for name in saved["names"])
            and all(isinstance(value, str | int | None) for value in saved.get("settings", {}).values())
            and all(type(length) is int for length in saved.get("lengths", []))
            and (type(saved["seed"]) is int or (saved["seed"] is None and lengths == [0, 0, 0]))
            and widths <= {len(saved["names"])}
            and lengths[0] >= lengths[1] >= lengths[2]
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path} holds no History of a run ({type(error).__name__}).") from error
    if not fits:
        raise CheckpointError(f"{path} holds a History whose names, steps and epochs do not belong together.")
    return history


@contextlib.contextmanager
def all_or_nothing(path: FilePath, *parts: Part | None) -> Iterator[None]:
    """Put the parts back as they were, whatever goes wrong while states are put into them.

    Raises:
        CheckpointError: in place of any error.
    """
    restore = [_restorer(part) for part in parts if part is not None]
    try:
        yield
    except BaseException as error:
        for put_back in restore:
            put_back()
        if not isinstance(error, Exception):
            raise
        raise CheckpointError(
            f"{path} could not be loaded to its end ({type(error).__name__}), and all is as it was before: the file "
            "was altered, or saved by another version of torch or of the model."
        ) from error


def _restorer(part: Part) -> Callable[[], None]:
    """A function that gives a part the state back that it has now."""
    if isinstance(part, Optimizer):
        attributes = dict(vars(part))  # load_state_dict replaces state and groups, it does not write into them
        return lambda: vars(part).update(attributes)
    state = copy.deepcopy(part.state_dict())
    return lambda: part.load_state_dict(state)
