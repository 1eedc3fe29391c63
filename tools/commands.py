"""How every developer command ends: what it foresees is one sentence, and no console is too poor for what it prints."""

import io
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from aevb_utils.results.json_files import BrokenFileError

P = ParamSpec("P")


def command(main: Callable[P, int]) -> Callable[P, int]:
    """The ``main`` of a command: a broken file or a disk that refuses is a sentence on stderr and the exit status 1.

    A character that the console does not have (✓ and → in cp1252) is printed as a question mark.
    """

    @wraps(main)
    def ended(*args: P.args, **kwargs: P.kwargs) -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            return main(*args, **kwargs)
        except BrokenFileError as error:
            print(error, file=sys.stderr)
        except OSError as error:
            print(
                f"{error.filename or 'A file'} cannot be read or written: {error.strerror or error}.", file=sys.stderr
            )
        return 1

    return ended
