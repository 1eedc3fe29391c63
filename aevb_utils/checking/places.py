"""Where in the reader's own code something is: a file, or a cell of a notebook, and a line."""

import inspect
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType

import torch

_PACKAGE = Path(__file__).resolve().parents[1]
_OTHERS = (_PACKAGE, Path(torch.__file__).resolve().parent)
_LIBRARIES = tuple(
    {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def is_the_readers(filename: str) -> bool:
    """Whether code of this file, or of this cell, belongs neither to the book's package nor to a library."""
    if filename.startswith("<"):
        return not filename.startswith(("<frozen", "<string>", "<__array_function__"))
    path = Path(filename).resolve()
    return not any(path.is_relative_to(folder) for folder in (*_OTHERS, *_LIBRARIES))


def place(filename: str, line: int) -> str:
    """A file, or a cell, and a line, in words: ``cell In[3], line 12``."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    named = shell.compile.format_code_name(filename) if hasattr(shell, "compile") else None
    if named:
        return f"{named[0].lower()} {named[1]}, line {line}"
    path = Path(filename)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}, line {line}"


def place_of_method(method: Callable[..., object]) -> str:
    """Where a method of the reader is, as the end of its name: `` (models.py, line 12)``; empty if it is not theirs."""
    code = getattr(inspect.unwrap(getattr(method, "__func__", method)), "__code__", None)
    return _in_brackets(code)


def place_of_class(kind: type) -> str:
    """Where a class of the reader begins, by the first of its methods; empty if it is not theirs."""
    codes = [code for value in vars(kind).values() if (code := _code(value)) is not None]
    own = [code for code in codes if is_the_readers(code.co_filename)]
    return _in_brackets(min(own, key=lambda code: code.co_firstlineno, default=None))


def place_of_error(error: BaseException) -> str:
    """The last line of the reader's own code that an error came from, and what stands there; empty if there is none."""
    own = [(frame, line) for frame, line in frames(error) if is_the_readers(frame.f_code.co_filename)]
    if not own:
        return ""
    frame, number = own[-1]
    filename, name = frame.f_code.co_filename, frame.f_code.co_name
    text = linecache.getline(filename, number).strip()
    inside = f", in {name}" if not name.startswith("<") else ""
    return f"{place(filename, number)}{inside}" + (f": {text}" if text else "")


def is_the_readers_error(error: BaseException) -> bool:
    """Whether the reader's own code raised it, and not a check of the book, or a library."""
    return any(is_the_readers(frame.f_code.co_filename) for frame, _ in [*frames(error)][-1:])


def frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """The frames an error came through, the innermost last, each with the line it was at."""
    trace: TracebackType | None = error.__traceback__
    return traceback.walk_tb(trace)


def _code(value: object) -> CodeType | None:
    """The code of a method, of a property, or of a class or static method."""
    value = getattr(value, "fget", value)
    return getattr(getattr(value, "__func__", value), "__code__", None)


def _in_brackets(code: CodeType | None) -> str:
    if code is None or not is_the_readers(code.co_filename):
        return ""
    return f" ({place(code.co_filename, code.co_firstlineno)})"
