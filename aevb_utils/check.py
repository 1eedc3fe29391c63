"""``python -m aevb_utils.check module:factory``: check a VAE from the command line.

The factory takes nothing and returns the arguments of :func:`~aevb_utils.checking.vae.check_vae` as a dictionary:
``{"model": model, "x": x, "loss": loss}``. The status is 0 where no mistake is found, 1 where one is, and 2 where there
was nothing to check, or the loss could not be looked at.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Collection, Sequence
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the factory, check what it returns, and say how it went by the status."""
    parser = argparse.ArgumentParser(
        prog="python -m aevb_utils.check",
        description="Say what is wrong with a VAE, in which line, and what its loss is.",
    )
    parser.add_argument("factory", help="module:function, which returns the arguments of check_vae as a dictionary")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="KEY",
        help="the key of a finding that is no mistake here, as it stands in brackets; may be given several times",
    )
    given = parser.parse_args(arguments)
    try:
        return _status(given.factory, given.allow)
    except Exception as error:  # whatever the reader's own code raises is told in a sentence
        print(f"{given.factory}: {_sentence(error)}", file=sys.stderr)
        return 2


def _status(factory: str, allow: Collection[str]) -> int:
    """Check what the factory returns."""
    from aevb_utils.checking import check_vae
    from aevb_utils.checking.vae.report import NOT_CHECKED, known_keys

    known_keys(allow)
    options = _made_by(factory)
    known = [name for name, each in inspect.signature(check_vae).parameters.items() if each.kind != each.VAR_POSITIONAL]
    if strange := [name for name in options if name not in known]:
        raise ValueError(f"it returns {strange[0]!r}, which check_vae does not take: name {', '.join(known)}.")
    report = check_vae(**options)
    if any(each.key not in allow for each in report.mistakes):
        return 1
    return 0 if report.whole or NOT_CHECKED in allow else 2


def _sentence(error: Exception) -> str:
    """What an error says, in one line; of one that is no message to the reader, also its kind and place."""
    from aevb_utils.checking.places import is_the_readers_error, place_of_error

    text = " ".join(str(error).split())
    own = isinstance(error, TypeError | ValueError | ImportError | AttributeError) and not is_the_readers_error(error)
    where = place_of_error(error)
    if own and not where:
        return text
    return f"nothing was checked, since it stopped with {type(error).__name__}: {text[:200]}" + (
        f" ({where})." if where else "."
    )


def _made_by(name: str) -> dict[str, Any]:
    """What a factory returns.

    Raises:
        ValueError: the name has no colon.
        TypeError: it returns no dictionary.
    """
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise ValueError("name a function in a module, as in package.module:function.")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current folder, as with python -m
    options = getattr(importlib.import_module(module), function)()
    if not isinstance(options, dict):
        raise TypeError(
            f"it should return a dictionary, {{'model': …, 'x': …, 'loss': …}}, not a {type(options).__name__}."
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
