"""What comes of a project check: a rubric with the machine's part filled in, and a sheet; and the points in the end."""

import math
from html import escape
from pathlib import Path
from typing import Any

import yaml

from course.engine.project import POINTS, Line, Outcome
from course.engine.project_folder import PROJECT
from course.engine.settings import SettingsError

HEAD = """\
# {title}: {team}. `machine` is what `make project-check` gave; it is filled in anew each time.
# Fill in `by_hand` (from 0 to `of` less the machine's points), a comment each, and for each person under `viva`: free,
# help or cannot. `make project-check` keeps these, and says the points.
"""


def rubric() -> dict[str, Any]:
    """The project's criteria.

    Raises:
        SettingsError: points do not sum to 100, levels do not go down to 0, or the machine's parts are not the check's.
    """
    path = PROJECT / "rubric.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    criteria = content["criteria"].values()
    for criterion in criteria:
        points = [level["points"] for level in criterion["levels"]]
        if points != sorted(points, reverse=True) or points[0] != criterion["points"] or points[-1] != 0:
            raise SettingsError(f"{path}: the levels of {criterion['question']} go from {criterion['points']} to 0.")
    parts = {name: points for criterion in criteria for name, points in criterion.get("machine", {}).items()}
    if sum(criterion["points"] for criterion in criteria) != 100 or parts != POINTS:
        raise SettingsError(f"{path}: criteria sum to 100, and the machine's parts are {POINTS}.")
    return content


def filled(outcome: Outcome, before: dict[str, Any] | None = None, folder: str = "") -> dict[str, Any]:
    """A rubric with the machine's part, of a team's folder; what a person filled in ``before`` is kept."""
    before = before or {}
    given = {part.name: part for part in outcome.parts}
    criteria = {}
    for key, criterion in rubric()["criteria"].items():
        kept = before.get("criteria", {}).get(key, {})
        machine = sum(given[name].points for name in criterion.get("machine", {}))
        criteria[key] = {
            "of": criterion["points"],
            "machine": machine,
            "by_hand": kept.get("by_hand") if criterion["points"] > _machine_of(key) else 0,
            "comment": kept.get("comment") or "",
        }
    return {
        "team": outcome.team,
        "folder": folder,
        "machine": {part.name: {"points": part.points, "of": part.of, "said": part.said} for part in outcome.parts},
        "criteria": criteria,
        "viva": before.get("viva") or {"somebody": None},
    }


def load(path: Path) -> dict[str, Any] | None:
    """A rubric as it was filled in; None where there is none.

    Raises:
        SettingsError: it is of another form, points are outside their criterion, or a viva has none of its results.
    """
    if not path.is_file():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    parts = [content.get(name) for name in ("criteria", "viva")] if isinstance(content, dict) else [None]
    rows = parts[0].values() if isinstance(parts[0], dict) else [None]
    if not all(isinstance(part, dict) for part in (*parts, *rows)):
        raise SettingsError(f"{path} is no filled rubric: mend it, or delete it and it is made anew.")
    for key, criterion in rubric()["criteria"].items():
        by_hand, most = content["criteria"].get(key, {}).get("by_hand"), criterion["points"] - _machine_of(key)
        if by_hand is not None and not (type(by_hand) in (int, float) and 0 <= by_hand <= most):
            raise SettingsError(f"{path}: by_hand of {key} is from 0 to {most}, and is {by_hand!r}.")
    for person, passed in content["viva"].items():
        if passed is not None and not (isinstance(passed, str) and isinstance(rubric()["viva"].get(passed), dict)):
            raise SettingsError(f"{path}: the viva of {person} is free, help or cannot, and is {passed!r}.")
    return content


def of_folder(path: Path, folder: str) -> dict[str, Any] | None:
    """A rubric as it was filled in for a team's folder; None where there is none.

    Raises:
        SettingsError: it cannot be used, or holds the marks of another folder.
    """
    content = load(path)
    other = content.get("folder") if content else None
    if other and other != folder:
        raise SettingsError(f"{path} holds the marks of {other}: name another folder for those of {folder}, --out DIR.")
    return content


def dumped(content: dict[str, Any]) -> str:
    """A filled rubric as text."""
    body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return HEAD.format(title=rubric()["title"], team=content["team"]) + body


def totals(content: dict[str, Any]) -> dict[str, float] | None:
    """Each person's points, the viva counted; None while something is not filled in."""
    rows = content["criteria"].values()
    if None in [*(row["by_hand"] for row in rows), *content["viva"].values()]:
        return None
    points = sum(row["machine"] + row["by_hand"] for row in rows)
    rules = {person: rubric()["viva"][passed] for person, passed in content["viva"].items()}
    return {
        str(person): round(min(points * rule.get("keeps", 1.0), rule.get("most", math.inf)), 2)
        for person, rule in rules.items()
    }


def _machine_of(key: str) -> float:
    return sum(rubric()["criteria"][key].get("machine", {}).values())


def sheet(outcome: Outcome, content: dict[str, Any]) -> str:
    """The sheet as an HTML page; what a team wrote stands in it as text."""
    parts = [(p.name, p.said or "Right.", f"{p.points:g} / {p.of}") for p in outcome.parts]
    criteria = rubric()["criteria"]
    rows = [
        (criteria[key]["question"], row["comment"], f"{row['machine']:g} + {_points(row['by_hand'])} / {row['of']}")
        for key, row in content["criteria"].items()
    ]
    ended = totals(content)
    said = "; ".join(f"{person}: {points:g}" for person, points in (ended or {}).items())
    return PAGE.format(
        team=escape(outcome.team),
        points=f"{outcome.points:g} of {sum(POINTS.values())}",
        total=f"<p><strong>With the viva: {escape(said)}.</strong></p>" if ended else "",
        cpu=" and ".join(f"{seconds:g}" for seconds in outcome.cpu),
        rung=escape(outcome.rung.lower()),
        parts=_rows(parts),
        numbers=_rows([_number(line) for line in outcome.lines]),
        notes="".join(f"<li>{escape(note)}</li>" for note in outcome.notes) or "<li>Nothing.</li>",
        criteria=_rows(rows),
    )


def _points(value: object) -> str:
    return "…" if value is None else f"{value:g}"


def _number(line: Line) -> tuple[str, ...]:
    got = ["–" if value is None else f"{value:.6g}" for value in line.got]
    return line.number.name, f"{line.number.value:g}", f"{line.number.tolerance:g}", ", ".join(got)


def _rows(rows: list[tuple[str, ...]]) -> str:
    return "\n".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Project: {team}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
td:last-child {{ white-space: nowrap }}
</style></head><body>
<h1>Project: {team}</h1>
<p><strong>{points} points</strong> from the machine; run.py took {cpu} s of CPU time. Code was kept in by: {rung}.</p>
{total}
<h2>What the machine gave</h2>
<div tabindex="0"><table><thead><tr><th>part</th><th>result</th><th>points</th></tr></thead><tbody>
{parts}
</tbody></table></div>
<h2>The numbers of the report</h2>
<div tabindex="0"><table><thead><tr><th>name</th><th>in the report</th><th>tolerance</th><th>with seed 0, 1</th></tr>
</thead><tbody>
{numbers}
</tbody></table></div>
<h2>To look at</h2>
<ul>{notes}</ul>
<h2>The rubric: machine + by hand</h2>
<div tabindex="0"><table><thead><tr><th>criterion</th><th>comment</th><th>points</th></tr></thead><tbody>
{criteria}
</tbody></table></div>
<p>The machine cannot tell a computed number from one that was typed in, nor whether the model is that of the report,
nor whether the formula is right. Read model.py's paper() and ask for it in the viva.</p>
</body></html>
"""
