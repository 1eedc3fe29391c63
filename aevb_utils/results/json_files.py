"""JSON files that ship with the package, read whole and with every fault named."""

import json
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn


class BrokenFileError(ValueError):
    """A file does not hold what it should; the message is a sentence that names it."""


def read_object(file: Path | Traversable) -> dict[str, Any]:
    """The JSON object in a file: UTF-8, finite numbers, no name twice.

    Raises:
        BrokenFileError: the file cannot be read, or it holds something else.
    """
    try:
        content = json.loads(file.read_bytes().decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except OSError as error:
        raise BrokenFileError(f"{file} cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise BrokenFileError(f"{file} is broken: it is nested too deeply; {_CURE}.") from error
    except ValueError as error:  # no UTF-8, no JSON, or what the two functions below refuse
        raise BrokenFileError(f"{file} is broken, {_without_stop(error)}: {_CURE}.") from error
    if not isinstance(content, dict):
        raise BrokenFileError(f"{file} is broken: it must hold an object, {{…}}, and holds something else; {_CURE}.")
    return content


_CURE = "put the file back as it was"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a name that stands in it twice, json would take the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in found if names.count(name) > 1)!r} twice")
    return found


def _no_number(name: str) -> NoReturn:
    """JSON has no such numbers, though Python reads them."""
    raise ValueError(f"it holds {name}, which is no number")


def _without_stop(error: ValueError) -> str:
    """What an error says, ready to stand inside a sentence."""
    return str(error).splitlines()[0].rstrip(".")
