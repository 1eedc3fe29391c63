"""Writing one thing in many files, which have a place for it each: everywhere or nowhere."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aevb_utils.training.atomic_write import write_atomically
from tools.syntax import read_text


def write_all(texts: Mapping[Path, str]) -> None:
    """Write files: all of them or, when one cannot be written, none.

    Raises:
        OSError: one cannot be written.
    """
    before = {path: path.read_bytes() for path in texts}
    written = []
    try:
        for path, text in texts.items():
            write_atomically(path, text.encode())
            written.append(path)
    except BaseException:
        for path in written:
            write_atomically(path, before[path])
        raise


def plan(texts: dict[Path, str], path: Path, change: Callable[[str], str]) -> None:
    """Note what a file will hold.

    Raises:
        FileNotFoundError: it is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run this in a copy of the book.")
    texts[path] = change(read_text(path))


def replace_once(pattern: str, replacement: str, text: str, where: str) -> str:
    """A text with what a pattern finds in it replaced.

    Raises:
        ValueError: it is not found exactly once.
    """
    text, count = re.subn(pattern, lambda _: replacement, text, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise ValueError(f"{where} must have exactly one place for this and has {count}: put it back first.")
    return text


def stamped(stamp: Callable[[], list[Path]], already: str, root: Path) -> int:
    """Write one thing everywhere, and say what changed; return the exit status.

    Args:
        stamp: writes it, and returns the files that changed.
        already: what is said where none did.
        root: the folder that the files' names are told from.
    """
    try:
        changed = stamp()
    except (ValueError, FileNotFoundError) as error:
        print(f"Nothing was changed. {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Nothing was changed. {error.filename} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    for path in changed:
        print(f"stamped {path.relative_to(root)}")
    if not changed:
        print(already)
    return 0
