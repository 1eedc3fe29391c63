"""Printing a line on any console, also on one whose character set has no ✓."""

import sys
import unicodedata

_PLAIN = {
    "✓": "ok", "✗": "x", "−": "-", "–": "-", "—": "-", "→": "->", "…": "...", "·": ".", "×": "x", "≤": "<=", "≥": ">=",
    "≈": "~", "∞": "inf", "√": "sqrt", "²": "^2", "³": "^3", "½": "1/2", "‖": "||", "′": "'", "’": "'",
    "←": "<-", "±": "+-", "∇": "grad ", "∝": "~", "∫": "int", "⁄": "/", "\u0303": "~",
}  # fmt: skip


def say(line: str) -> None:
    """Print a line; what the console's character set lacks is replaced by plain marks.

    ``✓`` becomes ``ok``, ``✗`` ``x``, a dash ``-``, a Greek letter its name, ``⁴`` ``^4``, what else there is no mark
    for ``?``: on a Windows console, or where Python's output goes into a file there, a check that holds must not stop a
    script.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print("".join(character if _has(encoding, character) else _plain(character) for character in line))


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    name = unicodedata.name(character, "").split(" WITH ")[0]
    if name.startswith("GREEK"):
        return name.split()[-1].lower()  # GREEK SMALL LETTER SIGMA
    power = "^" * unicodedata.decomposition(character).startswith("<super>")
    parts = [part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)]
    if not parts or parts == [character]:
        return "?"
    return power + "".join(part if part.isascii() else _PLAIN.get(part, "?") for part in parts)
