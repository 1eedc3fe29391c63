"""What a student reads: a page for each submission, with what is right and why the rest is not."""

from html import escape

from course.engine.grade import Item, Result

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
td.points {{ text-align: right; white-space: nowrap }}
</style></head><body>
<h1>{title}</h1>
{summary}
{notes}
{tables}
<p>Each function was called on cases that were drawn for you, and on some that are the same kind but secret.
Points for derivations and figures come from a person.</p>
</body></html>
"""


def page(result: Result, title: str) -> str:
    """The page of one result; what a student wrote stands in it as text."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    questions = list(dict.fromkeys(item.question for item in result.items))
    tables = "\n".join(_table(name, [item for item in result.items if item.question == name]) for name in questions)
    summary = f"<strong>{result.score:g} of {result.points:g} points</strong> from the checks of your code"
    if not result.graded:
        summary = "Your notebook has not been graded yet: ask your instructor"
    return PAGE.format(
        title=escape(title),
        summary=f"<p>{summary}, {escape(result.student)}.</p>",
        notes=f"<h2>About the whole notebook</h2><ul>{notes}</ul>" if notes else "",
        tables=tables,
    )


def _table(question: str, items: list[Item]) -> str:
    score, points = sum(item.score for item in items), sum(item.points for item in items)
    rows = "\n".join(
        f"<tr><td>{escape(item.name)}</td><td>{escape(item.sentence or 'Right.')}</td>"
        f'<td class="points">{item.score:g} / {item.points:g}</td></tr>'
        for item in items
    )
    return (
        f"<h2>{escape(question)}: {round(score, 2):g} of {points:g}</h2>\n"
        "<table><thead><tr><th>case</th><th>result</th>"
        f"<th>points</th></tr></thead><tbody>\n{rows}\n</tbody></table>"
    )
