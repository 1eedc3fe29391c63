"""What to say when a reader's model raises an error: what stopped, why, and in which line of the reader's code."""

import re
import textwrap

from torch.distributions import Distribution

from aevb_utils.checking.places import frames, place_of_class, place_of_error

MOMENTS = ("mean", "variance", "stddev", "mode", "entropy", "enumerate_support")
LONGEST = 200


def what_stopped(error: Exception) -> str:
    """The error as a sentence, with the last line of the reader's own code that it came from."""
    where = place_of_error(error)
    return f"{type(error).__name__}: {_said(error)}" + (f" ({where})" if where else "")


def same_stop(error: Exception) -> tuple[type, str]:
    """What two errors of one cause have in common: the kind, and the line of the reader's code."""
    return type(error), place_of_error(error) or _said(error)


def _said(error: Exception) -> str:
    """What an exception says, cut to a line; where torch says nothing, what is missing, and what to do."""
    lines = str(error).splitlines()
    if isinstance(error, NotImplementedError):
        unknown = re.match(r"No KL\(q \|\| p\) is implemented for p type (\w+) and q type (\w+)", lines[0] if lines else "")
        if unknown:
            return (
                f"torch has no formula for the KL of {unknown[1]} and {unknown[2]}: sample it, as the mean of log p(z) − "
                "log q(z | x) at the same z as the reconstruction (the template says how)"
            )
        if missing := _missing_method(error):
            return missing
    return textwrap.shorten(lines[0], LONGEST, placeholder="…") if lines and lines[0] else "no message"


def _missing_method(error: Exception) -> str | None:
    """Which method of which distribution is missing."""
    calls = [(frame.f_code.co_name, frame.f_locals.get("self")) for frame, _ in frames(error)]
    if not calls or not isinstance(calls[-1][1], Distribution):
        return None
    distribution = calls[-1][1]
    name = calls[-1][0]
    for caller, owner in reversed(calls):  # what was asked of it first: sample, which asks for rsample
        if owner is not distribution:
            break
        name = caller
    kind = type(distribution)
    what = f"{kind.__name__}{place_of_class(kind)} has no {name}"
    if name in MOMENTS:
        return f"{what}: take it of samples, as .sample((1000,)).{'mean(dim=0)' if name == 'mean' else '…'}"
    if name == "rsample":
        return f"{what}: torch cannot draw it so that gradients pass; take a q that is a transformed Gaussian"
    return f"{what}: write it in the class"
