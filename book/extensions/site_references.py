"""Find the references in a paragraph: words such as (3.16), exercise 3.5 or chapter 4.

A chapter next to a citation, ``Bishop (2006), chapter 9``, is a chapter of that work. A number in parentheses is a
reference if equations with its first part exist, and it is not the argument of a function: (0.5) is a number.
"""

import re
from itertools import pairwise
from typing import NamedTuple

NUMBER = r"(?:[A-Z]|\d+)\.\d+(?![\w.]*\d)"
CHAPTER = r"\d{1,2}(?![\w.]*\d)"
BETWEEN = r"(?:,?\s+and\s+|,?\s+or\s+|,\s+|\s+to\s+|\s?–\s?)"
QUOTED = '["“]([^"“”]+)["”]'
EQUATION = re.compile(r"(?<![\w)\]}])\(((?:[A-Z]|\d+)\.\d+)\)")
KINDS = {
    "figure": re.compile(rf"\b(?:Fig\.|[Ff]igure)\s+({NUMBER})"),
    "exercise": re.compile(rf"\b[Ee]xercise\s+({NUMBER})"),
    "chapter": re.compile(rf"\b[Cc]hapter\s+({CHAPTER})(?:(?:,\s+|\s+\(){QUOTED})?"),
    "heading": re.compile(rf"\b[Ss]ection\s+{QUOTED}(?:\s+(?:of|in)\s+chapter\s+({CHAPTER}))?"),
}
LISTS = {
    "figure": re.compile(rf"\b(?:Figs\.|[Ff]igures)\s+{NUMBER}(?:{BETWEEN}{NUMBER})*"),
    "exercise": re.compile(rf"\b[Ee]xercises\s+{NUMBER}(?:{BETWEEN}{NUMBER})*"),
    "chapter": re.compile(rf"\b[Cc]hapters\s+{CHAPTER}(?:{BETWEEN}{CHAPTER})*"),
}
ONE = {"figure": NUMBER, "exercise": NUMBER, "chapter": CHAPTER}
CITED_BEFORE = re.compile(r"[(\[][^()\[\]]*\d{4}[a-z]?[)\]]?,?\s+\Z")
CITED_AFTER = re.compile(r"\s+(?:of|in)\s+[A-Z][^.;:,]{0,40}?[(\[]\d{4}")


class Reference(NamedTuple):
    """Words that refer to something: what kind, its number or heading, and where the words begin and end.

    A heading is looked for in the chapter, or on the page itself where the chapter is empty.
    """

    kind: str
    key: str
    start: int
    end: int
    chapter: str = ""


def references_in(words: str) -> list[Reference]:
    """All references in a paragraph, in order."""
    found = [Reference("equation", match[1], *match.span()) for match in EQUATION.finditer(words)]
    for kind, pattern in KINDS.items():
        for match in pattern.finditer(words):
            if _of_another_work(words, kind, match):
                continue
            if kind == "heading":
                found.append(Reference("heading", match[1], *match.span(), match[2] or ""))
            elif kind == "chapter" and match[2]:
                found.append(Reference("heading", match[2], *match.span(), match[1]))
            else:
                found.append(Reference(kind, match[1], *match.span()))
    for kind, pattern in LISTS.items():
        for match in pattern.finditer(words):
            if _of_another_work(words, kind, match):
                continue
            for i, number in enumerate(re.finditer(ONE[kind], match[0])):
                start = number.start() if i else 0  # the first link has the word, too
                found.append(Reference(kind, number[0], match.start() + start, match.start() + number.end()))
    found.sort(key=lambda reference: (reference.start, -reference.end))
    return [one for before, one in pairwise([None, *found]) if before is None or one.start >= before.end]


def _of_another_work(words: str, kind: str, match: re.Match[str]) -> bool:
    if kind not in ("chapter", "figure", "heading"):
        return False
    return bool(CITED_BEFORE.search(words[: match.start()]) or CITED_AFTER.match(words, match.end()))
