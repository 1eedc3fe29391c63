"""Where a formula in a line of text may break: browsers do not break MathML themselves."""

import re

PIECE = re.compile(r"<(?P<close>/?)(?P<name>\w+)[^>]*?(?P<empty>/?)>(?P<text>[^<]*)")
RELATIONS = frozenset((*"=≠≈≤≥∼∝→←⇒≡⪯⪰↦", "&lt;", "&gt;"))
SIGNS = frozenset("+−·×,;")
OPENING, CLOSING = frozenset("([{⟨⌊"), frozenset(")]}⟩⌋")
LONG = 12  # letters of a formula before it may break at a sign that is no relation
LAST_SIGN = re.compile(r"<mo(?=[^<]*</mo>\Z)")


def in_lines(formula: str) -> list[str]:
    """A formula's MathML, cut where the line may break: after a relation, or after a sign if much stands before it.

    As in TeX, only on the top level, and not between brackets.
    """
    ends, level, brackets, letters = [], 0, 0, 0
    for piece in PIECE.finditer(formula):
        level += -1 if piece["close"] else 0 if piece["empty"] else 1
        text = piece["text"].strip()
        if piece["close"] or piece["empty"] or not text:
            continue
        brackets += (text in OPENING) - (text in CLOSING)
        letters += len(text)
        breaks = text in RELATIONS or (text in SIGNS and letters > LONG)
        if piece["name"] == "mo" and level == 2 and brackets == 0 and letters > len(text) and breaks:
            ends.append(piece.end() + len("</mo>"))
            letters = 0
    pieces = [formula[begin:end] for begin, end in zip([0, *ends], [*ends, len(formula)], strict=True)]
    if letters == 0 and ends:  # nothing is left after the last sign
        pieces[-2:] = ["".join(pieces[-2:])]
    if len(pieces) == 1:
        return pieces
    # The sign at the end of a piece keeps the spaces of a sign between two.
    first = [LAST_SIGN.sub('<mo form="infix"', piece) + "</math>" for piece in pieces[:-1]]
    return [first[0], *(f"<math>{piece}" for piece in [*first[1:], pieces[-1]])]
