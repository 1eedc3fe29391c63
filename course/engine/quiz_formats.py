"""A quiz for a learning platform, on paper, and for oneself: QTI (Canvas), GIFT (Moodle), HTML to print or to read."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path

from math_core import LatexToMathML
from text2qti.config import Config
from text2qti.qti import QTI
from text2qti.quiz import Quiz as TextQuiz

from course.engine.quiz import LETTERS, Item, Quiz

FORMULA = re.compile(r"\$([^$]+)\$")
CODE = re.compile(r"`([^`]+)`")
VERSIONS = ("A", "B")
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


def paper(quiz: Quiz, version: str) -> str:
    """A version to print."""
    asked = "\n".join(_asked(number, item, version) for number, item in enumerate(quiz.items, 1))
    name = '<div class="name">Name <span></span> Id <span></span></div>'
    return PAGE.format(title=escape(f"{quiz.title}, {version}"), body=f"{name}\n{asked}")


def _asked(number: int, item: Item, version: str) -> str:
    if item.numeric:
        return f"<section><p><strong>{number}.</strong> {html(item.stem)}</p><p>Answer: ____________</p></section>"
    options = "".join(f"<li>{html(text)}</li>" for text, _ in item.options(version))
    return f'<section><p><strong>{number}.</strong> {html(item.stem)}</p><ol class="answers">{options}</ol></section>'


def key(quiz: Quiz) -> str:
    """The right answers of all versions, for those who mark."""
    rows = []
    for number, item in enumerate(quiz.items, 1):
        cells = [
            item.right if item.numeric else LETTERS[[wrong for _, wrong in item.options(v)].index(None)]
            for v in VERSIONS
        ]
        rows.append(
            f"<tr><td>{number}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{html(item.why)}</td></tr>"
        )
    heads = "".join(f"<th>{version}</th>" for version in VERSIONS)
    body = f"<table><thead><tr><th>item</th>{heads}<th>why</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return PAGE.format(title=escape(f"{quiz.title}: key"), body=body)


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
