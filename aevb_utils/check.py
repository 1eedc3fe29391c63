"""``python -m aevb_utils.check module:factory``: check a VAE from the command line.

The factory takes nothing and returns the arguments of :func:`~aevb_utils.checking.vae.check_vae` as a dictionary:
``{"model": model, "x": x, "loss": loss}``. The status is 0 where no mistake is found, 1 where one is, and 2 where there
was nothing to check.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the factory, check what it returns, and say how it went by the status."""
    parser = argparse.ArgumentParser(
        prog="python -m aevb_utils.check",
        description="Say what is wrong with a VAE, in which line, and what its loss is.",
    )
    parser.add_argument("factory", help="module:function, which returns the arguments of check_vae as a dictionary")
    parser.add_argument("--allow", action="append", default=[], metavar="KEY", help="a finding that is no mistake here")
    given = parser.parse_args(arguments)
    try:
        options = _made_by(given.factory)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        print(f"{given.factory}: {error}", file=sys.stderr)
        return 2
    from aevb_utils.checking import check_vae

    report = check_vae(**options)
    return int(bool([each for each in report.mistakes if each.key not in given.allow]))


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
