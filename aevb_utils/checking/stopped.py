"""What to say when a reader's model raises an error: what stopped, why, and in which line of the reader's code."""

import re
import textwrap

from torch.distributions import Distribution

from aevb_utils.checking.places import frames, place_of_class, place_of_error, place_of_method

LONGEST = 200
"""How many characters of an error's own words are shown."""
OF_SAMPLES = {"mean": "mean", "variance": "var", "stddev": "std"}
"""What a distribution may not know of itself, and how its samples tell."""
UNKNOWN_KL = re.compile(r"No KL\(\w \|\| \w\) is implemented for \w type (\w+) and \w type (\w+)")


def what_stopped(error: Exception, model: object) -> str:
    """The error as a sentence, with the last line of the reader's own code that it came from."""
    where = place_of_error(error) or _method_named(error, model)
    return f"{type(error).__name__}: {_said(error)}" + (f" ({where})" if where else "")


def same_stop(error: Exception) -> tuple[object, ...]:
    """What two errors of one cause have in common: the kind, and the reader's line or, if none, the words."""
    return type(error), place_of_error(error) or str(error)


def _method_named(error: Exception, model: object) -> str:
    """Where the method of the model is that was called wrongly, if Python says which."""
    named = re.match(r"(?:\w+\.)*(\w+)\(\) ", str(error)) if isinstance(error, TypeError) else None
    method = getattr(model, named[1], None) if named else None
    return place_of_method(method).strip(" ()") if callable(method) else ""


def _said(error: Exception) -> str:
    """What an exception says, cut to a line; where torch says nothing, what is missing, and what to do."""
    if isinstance(error, AttributeError) and error.name == "encoder":
        return "the model has no encoder: call q's network so, or write inference_parameters, which looks there"
    if str(error).startswith("Expected reinterpreted_batch_ndims"):
        return (
            "Independent finds no dimension to take: a Dirichlet, a LogisticNormal or a MultivariateNormal is one "
            "distribution for a whole row already, so leave Independent out"
        )
    if isinstance(error, NotImplementedError):
        if unknown := UNKNOWN_KL.match(str(error)):
            return (
                f"torch has no formula for the KL of {unknown[1]} and {unknown[2]}: sample it, as the mean of log p(z) "
                "− log q(z | x) at the same z as the reconstruction (the template says how)"
            )
        if missing := _missing_method(error):
            return missing
    lines = str(error).splitlines()
    return textwrap.shorten(lines[0], LONGEST, placeholder="…") if lines and lines[0] else "no message"


def _missing_method(error: Exception) -> str | None:
    """Which method of which distribution is missing."""
    calls = [(frame.f_code.co_name, frame.f_locals.get("self")) for frame, _ in frames(error)]
    if not calls or not isinstance(calls[-1][1], Distribution):
        return None
    name, distribution = calls[-1]
    for caller, owner in reversed(calls):  # what was asked of it first: sample, say, which asks for rsample
        if owner is not distribution:
            break
        name = caller
    kind = type(distribution)
    what = f"{kind.__name__}{place_of_class(kind)} has no {name}"
    if name in OF_SAMPLES:
        return f"{what}: take that of samples, as .sample((1000,)).{OF_SAMPLES[name]}(dim=0)"
    if name == "rsample":
        return f"{what}, by which gradients pass: take a q that is a transformed Gaussian"
    return f"{what}: do without it" if kind.__module__.startswith("torch.") else f"{what}: write it in the class"
