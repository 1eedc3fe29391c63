"""Reading what a student handed in: the code of a notebook or script, whatever became of its metadata."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST = 64 * 2**20
MOST_CELLS = 2_000
NAMED = re.compile(r"""^STUDENT\s*=\s*["']([^"'\n]{1,200})["']""", re.MULTILINE)

TEXT = re.compile(
    r"#[^\n]*+"
    r'|"""(?:\\.|[^\\])*?(?:"""|\\?\Z)|"(?:\\.|[^\\"\n])*+"?'
    r"|'''(?:\\.|[^\\])*?(?:'''|\\?\Z)|'(?:\\.|[^\\'\n])*+'?",
    re.DOTALL,
)
"""A comment or a string; one that is not closed ends with its line, or with the cell."""
BLOCK = re.compile(r"^(?=[^\s#)\]}])", re.MULTILINE)
DEFINES = re.compile(r"(?:async[ \t]+)?def[ \t]+(\w+)|(\w+)[ \t]*=(?!=)")
CALLS = re.compile(r"\b\w++(?=\()")


class UnreadableError(ValueError):
    """What was handed in is no notebook or script; the message says why."""


@dataclass(frozen=True)
class Submission:
    """The code cells of a submission, and the id that the student wrote into it."""

    cells: tuple[str, ...]
    named: str


def defined(cells: Sequence[str]) -> dict[str, set[str]]:
    """The names that cells define, each with those that it calls itself.

    What stands in comments and strings, docstrings too, is no call. The text is searched, not parsed: what is deeply
    nested on purpose ends a parser, and this runs outside the box.
    """
    found: dict[str, set[str]] = {}
    for cell in cells:
        for block in BLOCK.split(TEXT.sub(" ", cell)):
            if name := DEFINES.match(block):
                word = name[1] or name[2]
                found[word] = set(CALLS.findall(block)) - {word}
    return found


def reached(word: str, defined: Mapping[str, set[str]]) -> set[str]:
    """The names that a function calls, by itself or through others.

    Args:
        word: the function's name.
        defined: what each name calls itself.
    """
    seen, left = set(), [word]
    while left:
        new = defined.get(left.pop(), set()) - seen
        seen |= new
        left += new
    return seen - {word}


def read(path: Path) -> Submission:
    """The code of a notebook (``.ipynb``) or a script (``.py``).

    Raises:
        UnreadableError: it is a link, too large, or of another form.
    """
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("It is no file.")
    if path.stat().st_size > LARGEST:
        raise UnreadableError(f"It is larger than {LARGEST >> 20} MB: clear its outputs and hand it in again.")
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    cells = _of_notebook(text) if path.suffix == ".ipynb" else re.split(r"^# %%.*$", text, flags=re.MULTILINE)
    cells = [cell for cell in cells if cell.strip()]
    if len(cells) > MOST_CELLS:
        raise UnreadableError(f"It has more than {MOST_CELLS} code cells.")
    found = NAMED.search("\n".join(cells))
    return Submission(tuple(cells), found[1].strip() if found else "")


def _of_notebook(text: str) -> list[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("It is no notebook: save it anew in Jupyter and hand it in again.") from error
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("It is no notebook of format 4: save it anew in Jupyter and hand it in again.")
    return [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def _source(cell: dict[str, object]) -> str:
    source = cell.get("source", "")
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str)).encode("utf-8", "replace").decode()
