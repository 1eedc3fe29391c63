"""Which of the things that an encoder or a whole model returns is the reconstruction, which μ, which the width of q."""

import copy
import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

Path = tuple[Any, ...]
OF_DATA = r"^x_?|^dec(oder|oded)?_|^rec(on\w*)?_|^p_|_x$"
"""Names of a mean or a scale that are of the data, not of the latent."""
PATTERNS = {
    "t": r"var|sig|std|scale|^ls$|^lv$|^s$|disp",
    "recon": r"rec|hat|out|pred|decod|logit|prime|tilde|prob|gen",
    "mu": r"^mu|mu$|_mu_|mean|^m$|loc",
    "z": r"^z|latent|sample|code",
    "x": r"^x|input|target|data|im(a)?g|batch|orig|true|^y$|text|seq|feat",
}
"""What the name of an argument, or of a part, says of it; the first that fits counts."""


def role_of_name(name: str) -> str:
    """Which role a name means: ``"recon"``, ``"recon_scale"``, ``"mu"``, ``"t"``, ``"z"``, ``"q"`` or ``"x"``."""
    name = name.lower()
    if re.search(r"post|^q_?|dist", name):
        return "q"
    role = next((role for role, pattern in PATTERNS.items() if re.search(pattern, name)), "")
    if role in ("mu", "t") and re.search(OF_DATA, name):
        return {"mu": "recon", "t": "recon_scale"}[role]
    return role


@dataclass
class Gaussian:
    """A Gaussian q as an object: torch's, or one of the reader's own with ``mean`` and ``logvar``."""

    mu: Tensor
    t: Tensor
    rebuild: Callable[[Tensor, Tensor], Any]

    @classmethod
    def of(cls, value: object) -> "Gaussian | None":
        """The parameters of such an object, or None."""
        if isinstance(value, Independent):
            inner = cls.of(value.base_dist)
            n = value.reinterpreted_batch_ndims
            return inner and cls(inner.mu, inner.t, lambda mu, t: Independent(inner.rebuild(mu, t), n))
        if isinstance(value, Normal):
            return cls(value.loc, value.scale, lambda mu, t: Normal(mu, t, validate_args=False))
        if isinstance(value, Distribution | Tensor):
            return None
        names = {name: part for name, part in getattr(value, "__dict__", {}).items() if isinstance(part, Tensor)}
        mu = next((name for name in names if role_of_name(name) == "mu"), None)
        t = next((name for name in names if re.search("log", name) and role_of_name(name) == "t"), None)
        t = t or next((name for name in names if role_of_name(name) == "t"), None)
        if mu is None or t is None:
            return None
        return cls(names[mu], names[t], lambda m, s: _with_attributes(value, names, mu, t, m, s))


def _with_attributes(value: object, names: dict[str, Tensor], mu: str, t: str, m: Tensor, s: Tensor) -> object:
    """A copy of the reader's object with other parameters, and with the widths that follow from them."""
    other = copy.copy(value)
    setattr(other, mu, m)
    setattr(other, t, s)
    is_log_variance = "var" in t and "log" in t
    is_log_scale = "log" in t and not is_log_variance
    if not (is_log_variance or is_log_scale):
        return other
    log_scale = s / 2 if is_log_variance else s
    for name in names:
        if name in (mu, t) or role_of_name(name) != "t":
            continue
        setattr(other, name, (2 * log_scale if "var" in name else log_scale).exp())
    return other


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The parts of tuples, lists, dictionaries and dataclasses, each with the way to it."""
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = [(name, getattr(value, name)) for name in value._fields]
    elif isinstance(value, tuple | list):
        parts = list(enumerate(value))
    elif dataclasses.is_dataclass(value) and Gaussian.of(value) is None:
        parts = [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    else:
        yield path, value
        return
    for key, part in parts:
        yield from leaves(part, (*path, key))


def replaced(value: Any, path: Path, new: Any) -> Any:  # noqa: ANN401 (whatever the reader returns)
    """The same structure with another part at the end of a way."""
    if not path:
        return new
    key, *rest = path
    inner = replaced(_get(value, key), tuple(rest), new)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return value._replace(**{key: inner})
    if isinstance(value, tuple | list):
        return type(value)(inner if index == key else part for index, part in enumerate(value))
    other = copy.copy(value)
    if isinstance(value, dict):
        other[key] = inner
    else:
        setattr(other, key, inner)
    return other


def at(value: Any, path: Path) -> Any:  # noqa: ANN401
    """The part at the end of a way."""
    for key in path:
        value = _get(value, key)
    return value


def _get(value: Any, key: Any) -> Any:  # noqa: ANN401
    return value[key] if isinstance(value, dict | list) or type(value) is tuple else getattr(value, key)


@dataclass
class Likelihood:
    """A distribution that a decoder returns: its own parameters, and how to build it from others."""

    parameters: list[Tensor]
    rebuild: Callable[[list[Tensor]], Distribution]

    @classmethod
    def of(cls, given: Distribution) -> "Likelihood":
        """Take a distribution apart."""
        if isinstance(given, Independent):
            inner, n = cls.of(given.base_dist), given.reinterpreted_batch_ndims
            return cls(inner.parameters, lambda new: Independent(inner.rebuild(new), n))
        if isinstance(given, MixtureSameFamily):
            weights, parts = cls.of(given.mixture_distribution), cls.of(given.component_distribution)
            k = len(weights.parameters)
            return cls(
                weights.parameters + parts.parameters,
                lambda new: MixtureSameFamily(weights.rebuild(new[:k]), parts.rebuild(new[k:]), validate_args=False),
            )
        names = [name for name in given.arg_constraints if isinstance(given.__dict__.get(name), Tensor)]
        if {"probs", "logits"} <= set(names):  # one of the two was computed from the other
            names.remove("logits" if getattr(given, "_param", None) is given.probs else "probs")
        return cls(
            [given.__dict__[name] for name in names],
            lambda new: type(given)(**dict(zip(names, new, strict=True)), validate_args=False),
        )


@dataclass(frozen=True)
class Roles:
    """Where in a model's output the parts are; None for those that are not in it."""

    recon: Path | None = None
    recon_scale: Path | None = None
    mu: Path | None = None
    t: Path | None = None
    q: Path | None = None
    z: Path | None = None


def roles_of(output: object, x: Tensor, *, moves: Callable[[Path], bool] | None = None) -> Roles:
    """Find the parts by their kinds, names and shapes.

    Args:
        output: what the model, or its encoder, returned for x.
        x: the data.
        moves: whether the part at a path changes with the latent's noise, to tell a returned sample z from μ.

    Returns:
        the way to each part.
    """
    parts = [(path, value) for path, value in leaves(output) if _counts(value, x)]
    found: dict[str, Path] = {}
    for path, value in parts:
        if Gaussian.of(value) is not None and role_of_name(str(path[-1] if path else "")) != "recon":
            like_data = isinstance(value, Distribution) and Gaussian.of(value).mu.shape == x.shape
            found.setdefault("recon" if like_data and "recon" not in found else "q", path)
        elif isinstance(value, Distribution):
            found.setdefault("recon", path)
    tensors = [(path, value) for path, value in parts if isinstance(value, Tensor) and path not in found.values()]
    for path, value in tensors:
        role = role_of_name(path[-1]) if path and isinstance(path[-1], str) else ""
        if role in ("recon", "recon_scale", "mu", "t", "z") and value.ndim > 0:
            found.setdefault(role, path)
    rest = [(path, value) for path, value in tensors if path not in found.values() and value.ndim > 0]
    alike = [path for path, value in rest if _like_data(value, x)]
    if "recon" not in found and alike:
        found["recon"] = alike[0]
        rest = [each for each in rest if each[0] != alike[0]]
    _take_latents(found, rest, x, moves)
    return Roles(**found)


def is_copy(value: object, x: Tensor) -> bool:
    """Whether a part is the data themselves, which some models return as well."""
    alike = isinstance(value, Tensor) and value.numel() == x.numel() and value.dtype == x.dtype and x.numel() > 0
    return alike and torch.equal(value.reshape(x.shape), x)


def _counts(value: object, x: Tensor) -> bool:
    """Whether a part may have a role: the data themselves, numbers and None have none."""
    if isinstance(value, Tensor):
        return value.is_floating_point() and not is_copy(value, x)
    return isinstance(value, Distribution) or Gaussian.of(value) is not None


def _take_latents(
    found: dict[str, Path], rest: list[tuple[Path, Tensor]], x: Tensor, moves: Callable[[Path], bool] | None
) -> None:
    """The two, or with z three, parts of one shape, in their order."""
    shapes = [value.shape for _, value in rest]
    pair = next((shape for shape in shapes if shapes.count(shape) >= 2 and len(shape) > 1), None)
    if "q" in found or "mu" in found or pair is None:
        if not any(name in found for name in ("q", "mu", "z")) and len(rest) == 1:
            found["z"] = rest[0][0]  # a code, as of an autoencoder
        return
    alike = [path for path, value in rest if value.shape == pair]
    if _like_data(torch.empty(pair), x) and "recon" in found and len(alike) == 3:
        found["recon_scale"] = alike.pop(0)
    if len(alike) > 2:
        moving = [path for path in alike if moves is not None and moves(path)]
        found["z"] = moving[0] if moving else alike[0]
        alike = [path for path in alike if path != found["z"]]
    found["mu"], found["t"] = alike[:2]
    others = [path for path, value in rest if path not in found.values() and _like_data(value, x)]
    if others and "recon" in found:
        found["recon_scale"] = others[0]


def _like_data(value: Tensor, x: Tensor) -> bool:
    """Whether a tensor has as many numbers as the data, or for whole numbers a score for each class."""
    if len(value) != len(x):
        return False
    if not x.is_floating_point():
        return value.numel() > x.numel() and value.numel() % x.numel() == 0
    return value.numel() == x.numel()
