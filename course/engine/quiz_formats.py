"""A quiz for a learning platform, on paper, and for oneself: QTI (Canvas), GIFT (Moodle), HTML to print or to read."""

import random
import re
from collections.abc import Callable
from html import escape
from pathlib import Path

from math_core import LatexToMathML
from text2qti.config import Config
from text2qti.qti import QTI
from text2qti.quiz import Quiz as TextQuiz

from course.engine.quiz import LETTERS, Item, Quiz, Wrong

FORMULA = re.compile(r"\$([^$]+)\$")
CODE = re.compile(r"`([^`]+)`")
VERSIONS = ("A", "B")
USES = {
    "_qti.zip": "Canvas: Settings, Import Course Content, Content Type “QTI .zip file”; the quiz is then under Quizzes",
    ".gift": "Moodle: Question bank, Import, format GIFT; then make a quiz of its category",
    **{f"_paper_{version}.html": f"to print: version {version}" for version in VERSIONS},
    "_key.html": "for those who mark the paper; keep it to yourself",
    "_self_check.html": "for students to do alone: each answer says why it is right or wrong",
}
"""What each file of a quiz is for, by the end of its name."""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
li {{ margin: .4rem 0 }}
section {{ break-inside: avoid; margin: 1.6rem 0 }}
ol.answers {{ list-style: lower-alpha }}
.name {{ display: flex; gap: 2rem; margin: 1rem 0 2rem }}
.name span {{ flex: 1; border-bottom: 1px solid #888 }}
summary {{ cursor: pointer; padding: .25rem 0 }}
details p {{ margin: .2rem 0 .6rem 1rem }}
div[tabindex] {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def with_formulas(text: str, formula: Callable[[str], str]) -> str:
    """A line as HTML, with each formula as the function writes it."""
    parts = FORMULA.split(text)
    prose = [CODE.sub(r"<code>\1</code>", escape(part, quote=False)) for part in parts[::2]]
    formulas = [formula(part) for part in parts[1::2]] + [""]
    return "".join(a + b for a, b in zip(prose, formulas, strict=True))


def html(text: str) -> str:
    """A line as HTML with MathML."""
    converter = LatexToMathML()
    return with_formulas(text, lambda latex: converter.convert_with_local_state(latex, displaystyle=False))


def qti(quiz: Quiz, points: int = 1) -> bytes:
    """The quiz as a QTI 1.2 package, a zip file that Canvas imports."""
    lines = [f"Quiz title: {quiz.title}", "Shuffle answers: true", ""]
    for number, item in enumerate(quiz.items, 1):
        lines += [f"Title: {item.key}", f"Points: {points}", f"{number}.  {item.stem}", f"+   {item.why}"]
        if item.numeric:
            lines += [f"=   {item.right} +- {item.tolerance}", ""]
            continue
        for letter, (text, wrong) in zip(LETTERS, item.options(), strict=False):
            lines.append(f"{'' if wrong else '*'}{letter})  {text}")
            if wrong:
                lines.append(f"... {wrong.feedback}")
        lines.append("")
    return QTI(TextQuiz("\n".join(lines), config=Config(), source_name=quiz.name)).zip_bytes()


def gift(quiz: Quiz) -> str:
    """The quiz in GIFT, which Moodle imports."""

    def line(text: str) -> str:
        made = with_formulas(text, lambda latex: rf"\({escape(latex, quote=False)}\)")
        return re.sub(r"([\\~=#{}:])", r"\\\1", made)

    parts = [f"$CATEGORY: {quiz.title}"]
    for item in quiz.items:
        head = f"::{line(item.key)}::[html]{line(item.stem)}"
        if item.numeric:
            answers = [f"=%100%{item.right}:{item.tolerance}#{line(item.why)}"]
            answers += [f"=%0%{wrong.text}:{item.tolerance}#{line(wrong.feedback)}" for wrong in item.wrong]
            parts.append(head + " {#\n" + "\n".join(answers) + "\n}")
            continue
        answers = [
            f"~{line(text)}#{line(wrong.feedback)}" if wrong else f"={line(text)}#{line(item.why)}"
            for text, wrong in item.options()
        ]
        parts.append(head + " {\n" + "\n".join(answers) + "\n}")
    return "\n\n".join(parts) + "\n"


def order(quiz: Quiz, version: str) -> list[int]:
    """The places in the quiz of a version's questions: A has them as they are, B none where A has it."""
    places = list(range(len(quiz.items)))
    if version == VERSIONS[0] or len(places) < 2:
        return places
    draw = random.Random(f"{quiz.name}/{version}")
    mixed = places
    while any(map(int.__eq__, mixed, places)):
        mixed = draw.sample(places, len(places))
    return mixed


def options(item: Item, version: str) -> list[tuple[str, Wrong | None]]:
    """The answers of a choice in a version: in B the right one is not where A has it."""
    found = item.options(version)
    if version == VERSIONS[0] or _right(found) != _right(item.options(VERSIONS[0])):
        return found
    return found[1:] + found[:1]


def _right(answers: list[tuple[str, Wrong | None]]) -> int:
    return [wrong for _, wrong in answers].index(None)


def paper(quiz: Quiz, version: str) -> str:
    """A version to print."""
    asked = "\n".join(
        _asked(number, quiz.items[place], version) for number, place in enumerate(order(quiz, version), 1)
    )
    name = '<div class="name">Name <span></span> Id <span></span></div>'
    return PAGE.format(title=escape(f"{quiz.title}, {version}"), body=f"{name}\n{asked}")


def _asked(number: int, item: Item, version: str) -> str:
    if item.numeric:
        return f"<section><p><strong>{number}.</strong> {html(item.stem)}</p><p>Answer: ____________</p></section>"
    answers = "".join(f"<li>{html(text)}</li>" for text, _ in options(item, version))
    return f'<section><p><strong>{number}.</strong> {html(item.stem)}</p><ol class="answers">{answers}</ol></section>'


def key(quiz: Quiz) -> str:
    """The right answers of all versions, for those who mark: a table for each, in the order of its questions."""
    tables = []
    for version in VERSIONS:
        rows = []
        for number, place in enumerate(order(quiz, version), 1):
            item = quiz.items[place]
            right = item.right if item.numeric else LETTERS[_right(options(item, version))]
            rows.append(f"<tr><td>{number}</td><td>{right}</td><td>{html(item.why)}</td><td>{item.key}</td></tr>")
        heads = "".join(f"<th>{head}</th>" for head in ("question", "answer", "why", "item"))
        tables.append(
            f'<h2>Version {version}</h2><div tabindex="0"><table><thead><tr>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    return PAGE.format(title=escape(f"{quiz.title}: key"), body="\n".join(tables))


def self_check(quiz: Quiz) -> str:
    """A page on which each answer opens what is to be said of it."""
    sections = []
    for number, item in enumerate(quiz.items, 1):
        if item.numeric:
            known = [(item.right, None), *((wrong.text, wrong) for wrong in item.wrong)]
            known.sort(key=lambda each: float(each[0]))
        else:
            known = item.options()
        answers = "\n".join(
            f"<details><summary>{html(text)}</summary><p>"
            + (f"Not right. {html(wrong.feedback)}" if wrong else f"<strong>Right.</strong> {html(item.why)}")
            + "</p></details>"
            for text, wrong in known
        )
        sections.append(f"<section><p><strong>{number}.</strong> {html(item.stem)}</p>{answers}</section>")
    return PAGE.format(title=escape(f"{quiz.title}: for yourself"), body="\n".join(sections))


def write(quiz: Quiz, out: Path) -> list[Path]:
    """Write all formats of a quiz to a folder; return the files."""
    texts = {
        f"{quiz.name}.gift": gift(quiz),
        f"{quiz.name}_key.html": key(quiz),
        f"{quiz.name}_self_check.html": self_check(quiz),
        **{f"{quiz.name}_paper_{version}.html": paper(quiz, version) for version in VERSIONS},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{quiz.name}_qti.zip").write_bytes(qti(quiz))
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / f"{quiz.name}_qti.zip", *(out / name for name in texts)]
