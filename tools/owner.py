"""Write the authors' names wherever the book says whose it is: `python -m tools.owner "A. Name; B. Name"`.

They go into ``_config.yml``, and from there into the site's foot and what search engines read; into CITATION.cff, the
citation on the first page and both licenses. Run it again with other names to replace them.
"""

import argparse
import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from tools.commands import command
from tools.notebooks import ROOT
from tools.places import plan, replace_once, stamped, write_all
from tools.syntax import read_text

HOLDER = r"(?<=^Copyright \(c\) \d{4} )[^\n]+"  # in a license
NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'’-])*")


def authors(text: str) -> list[tuple[str, str]]:
    """The given and the family names of authors, as in ``"Ada B. Name; van der Name, Carl"``.

    The last word of a name is the family's, unless a comma stands behind it; a name of one word has no given part.

    Raises:
        ValueError: there is no name, or something else than names.
    """
    found = [_parts(name) for name in unicodedata.normalize("NFC", text).split(";")]
    if len(set(found)) < len(found):
        raise ValueError(f"An author is named twice in {text!r}: name each once.")
    return found


def _parts(name: str) -> tuple[str, str]:
    family, comma, given = (" ".join(part.split()) for part in name.partition(","))
    if not comma:
        given, _, family = family.rpartition(" ")
    if not all(NAME.fullmatch(part) for part in (family, given or "A")) or (comma and not given):
        raise ValueError(
            f'Authors are given like "Ada B. Name; van der Name, Carl", and there is {name.strip()!r}: '
            'run make owner AUTHORS="…" with such names.'
        )
    if "and" in f"{given} {family}".lower().split():
        raise ValueError(f"Authors are parted by ';', and there is {name.strip()!r}: put it in place of the \"and\".")
    return given, family


def stamp(text: str, *, root: Path = ROOT) -> list[Path]:
    """Write the authors into every file that names them; all of them or, when anything is wrong, none.

    Args:
        text: their names, see :func:`authors`.
        root: the folder of the book.

    Returns:
        The files that changed.

    Raises:
        ValueError: a name is malformed, or a file has no place for the authors.
        FileNotFoundError: a file that names them is missing.
    """
    people = authors(text)
    names = [f"{given} {family}".strip() for given, family in people]
    shown = listed(names)
    texts: dict[Path, str] = {}
    plan(texts, root / "_config.yml", lambda text: _config(text, names, shown))
    plan(texts, root / "CITATION.cff", lambda text: _citation(text, people))
    plan(texts, root / "index.md", lambda text: _bibtex(text, people))
    for name in ("LICENSE", "LICENSE-CC-BY-4.0"):
        plan(texts, root / name, lambda text, name=name: replace_once(HOLDER, shown, text, name))
    changed = {path: text for path, text in texts.items() if read_text(path) != text}
    write_all(changed)
    return list(changed)


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: A, B and C."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _config(text: str, names: Sequence[str], shown: str) -> str:
    text = replace_once(
        r"^author: [^\n]*\n", f"author: {json.dumps(shown, ensure_ascii=False)}\n", text, "_config.yml (author)"
    )
    line = f"    book_authors: {json.dumps(names, ensure_ascii=False)}\n"
    return replace_once(r"^    book_authors: [^\n]*\n", line, text, "_config.yml (book_authors)")


def _citation(text: str, people: Sequence[tuple[str, str]]) -> str:
    lines = []
    for given, family in people:
        entry = {"family-names": family, "given-names": given} if given else {"name": family}
        quoted = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
        lines.append("  - " + "\n    ".join(quoted) + "\n")
    return replace_once(r"^authors:\n(?:  [^\n]*\n)+", f"authors:\n{''.join(lines)}", text, "CITATION.cff (authors)")


def _bibtex(text: str, people: Sequence[tuple[str, str]]) -> str:
    named = " and ".join(f"{family}, {given}" if given else f"{{{family}}}" for given, family in people)
    return replace_once(r"^  author = [^\n]*\n", f"  author = {{{named}}},\n", text, "index.md (the citation)")


@command
def main(arguments: list[str] | None = None) -> int:
    """The command: stamp the authors, say what changed, return the exit status."""
    parser = argparse.ArgumentParser(prog="tools.owner", description="Write the authors' names everywhere.")
    parser.add_argument("authors", help='their names: "Ada B. Name; van der Name, Carl"')
    options = parser.parse_args(arguments)
    return stamped(lambda: stamp(options.authors), "The authors were there already: nothing changed.", ROOT)


if __name__ == "__main__":
    sys.exit(main())
