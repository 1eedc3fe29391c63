"""What a student reads: a page with the whole grade, what is right in the code, and why the rest is not."""

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from course.engine.batch import write
from course.engine.grade import Item
from course.engine.gradebook import Grade

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
.points {{ text-align: right; white-space: nowrap }}
</style></head><body>
<h1>{title}</h1>
<p>{who}</p>
{whole}
{notes}
{tables}
<p>Each function was called on cases that were drawn from your id, and on secret ones of the same kind. It is called
as you wrote it, with your own functions below it: where it calls one that is not right, both may lose points.</p>
</body></html>
"""


def write_pages(folder: Path, grades: Sequence[Grade], rubric: Mapping[str, Any]) -> None:
    """Write a page for each student who handed something in, take away those of others, and pack them for a platform.

    In ``feedback.zip`` beside the folder each page has the name of the file that was handed in, by which Canvas and
    Moodle find the student.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = {grade.student.id: page(grade, rubric) for grade in grades if grade.result}
    for old in folder.glob("*.html"):
        if old.stem not in pages:
            old.unlink()
    packed = folder.parent / f".{folder.name}.zip.part"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for grade in grades:
            if grade.result:
                text = pages[grade.student.id]
                write(folder / f"{grade.student.id}.html", text)
                name = PurePosixPath(grade.result.file)
                file.writestr(str(name.with_name(f"{name.name.removesuffix(name.suffix)}.html")), text)
    packed.replace(folder.parent / f"{folder.name}.zip")


def page(grade: Grade, rubric: Mapping[str, Any]) -> str:
    """The page of one grade; what a student wrote stands in it as text."""
    result = grade.result
    if result is None:
        raise ValueError("A page is for someone who handed something in.")
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*result.notes, *result.later))
    questions = list(dict.fromkeys(item.question for item in result.items))
    tables = [_table(name, [item for item in result.items if item.question == name]) for name in questions]
    if len({item.sentence for item in result.items}) == 1 and not result.score:
        tables = [f"<p>All questions: {escape(result.items[0].sentence)}</p>"]  # the same holds for all of them
    return PAGE.format(
        title=escape(rubric["title"]),
        who=escape(grade.student.label),
        whole=_whole(grade, rubric),
        notes=f"<h2>About the whole notebook</h2><ul>{notes}</ul>" if notes else "",
        tables="\n".join(tables),
    )


def _whole(grade: Grade, rubric: Mapping[str, Any]) -> str:
    """The grade: code, each part by hand, what comes off, and the total."""
    result = grade.result
    if result is None or not result.graded:
        return "<p><strong>Your notebook has not been graded yet: ask your instructor.</strong></p>"
    of = result.points + sum(grade.most.values())
    rows = [("Code", f"{result.score:g} / {result.points:g}")]
    for key, most in grade.most.items():
        points = grade.given[key]
        rows.append((rubric["criteria"][key]["question"], f"{'open' if points is None else f'{points:g}'} / {most:g}"))
    if grade.days_late:
        rows.append((f"Days late: {grade.days_late:g}", f"−{100 * grade.off:g} %"))
    elif grade.days_late is None:
        rows.append(("Days late", "open"))
    rows.append(("Total", f"{'open' if grade.total is None else f'{grade.total:g}'} / {of:g}"))
    cells = "\n".join(f'<tr><td>{escape(name)}</td><td class="points">{points}</td></tr>' for name, points in rows)
    return f"<table><tbody>\n{cells}\n</tbody></table>"


def _table(question: str, items: Sequence[Item]) -> str:
    """A question's cases: each sentence once, with the cases for which it holds."""
    score, points = sum(item.score for item in items), sum(item.points for item in items)
    rows = []
    for sentence in dict.fromkeys(item.sentence for item in items):
        same = [item for item in items if item.sentence == sentence]
        cases = Counter(f"{item.name} (secret)" if item.secret else item.name for item in same)
        names = "<br>".join(escape(f"{count} × {name}" if count > 1 else name) for name, count in cases.items())
        got, most = sum(item.score for item in same), sum(item.points for item in same)
        rows.append(
            f"<tr><td>{names}</td><td>{escape(sentence or 'Right.')}</td>"
            f'<td class="points">{got:.6g} / {most:.6g}</td></tr>'
        )
    functions = ", ".join(dict.fromkeys(f"<code>{escape(item.function)}</code>" for item in items))
    return (
        f"<h2>Question {escape(question.removeprefix('q'))}, {functions}: {score:.4g} of {points:.4g}</h2>\n"
        '<table><thead><tr><th>cases</th><th>result</th><th class="points">points</th></tr></thead><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table>"
    )
