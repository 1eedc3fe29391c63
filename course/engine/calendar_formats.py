"""A term's calendar as a page, the syllabus, and as a file that calendars read."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape

import icalendar

from course.engine.calendar import Dated, Event, chapters, free_times, late_policy
from course.engine.settings import Settings
from course.engine.syllabi import Plan


def ics(plan: Plan, weeks: Sequence[Dated], settings: Settings, now: datetime) -> bytes:
    """The events as an iCalendar file (RFC 5545).

    A deadline begins and has neither end nor length: it then ends as it begins (3.6.1), while an end would have to lie
    later (3.8.2.2). It does not make anybody busy, and neither does what is part of a class or takes whole days.
    """
    made = icalendar.Calendar()
    made.add("prodid", "-//From EM to AEVB//course//EN")
    made.add("version", "2.0")
    made.add("x-wr-calname", f"{plan.title}, {settings.term}")
    term = re.sub(r"[^a-z0-9]+", "-", settings.term.lower()).strip("-")
    for name, event in _all(weeks, settings):
        entry = icalendar.Event()
        entry.add("uid", f"{name}-{term}@from-em-to-aevb")
        entry.add("dtstamp", now)
        entry.add("summary", event.what)
        if event.about:
            entry.add("description", event.about)
        if event.days:
            entry.add("dtstart", event.at.date())
            entry.add("dtend", event.at.date() + timedelta(days=event.days))
        else:
            entry.add("dtstart", event.at.astimezone(UTC))
        if event.minutes:
            entry.add("dtend", (event.at + timedelta(minutes=event.minutes)).astimezone(UTC))
        if event.kind not in ("class", "lab"):
            entry.add("transp", "TRANSPARENT")
        made.add_component(entry)
    return made.to_ical()


def _all(weeks: Sequence[Dated], settings: Settings) -> Iterator[tuple[str, Event]]:
    """Each event, with a name that it keeps when it, or another, gets another day."""
    for week in weeks:
        named: Counter[str] = Counter()
        for event in sorted((*week.events, *week.lost), key=lambda event: event.at):
            named[event.kind] += 1
            if event not in week.lost:
                yield f"week-{week.number}-{event.kind}-{named[event.kind]}", event
    yield from ((f"free-{event.at:%Y-%m-%d}", event) for event in free_times(settings))


def syllabus(plan: Plan, weeks: Sequence[Dated], hours_a_week: Sequence[float], settings: Settings) -> str:
    """The dated plan as an HTML page."""
    rows = []
    monday = weeks[0].monday
    for each, total in zip(weeks, hours_a_week, strict=True):
        while monday < each.monday:
            rows.append(f'<tr class="free"><td>{monday:%d %b}</td><td colspan="4">{_free(monday, settings)}</td></tr>')
            monday += timedelta(weeks=1)
        monday += timedelta(weeks=1)
        cells = (
            f"<strong>{each.number}</strong><br>{each.monday:%d %b}",
            chapters(each.week),
            _list(_held(each)),
            _list(_told(each)),
            f"{total:.1f}",
        )
        labels = ("week", "chapter", "held", "told", "hours")
        rows.append(
            "<tr>"
            + "".join(f'<td class="{name}">{cell}</td>' for name, cell in zip(labels, cells, strict=True))
            + "</tr>"
        )
    return PAGE.format(
        title=escape(plan.title),
        term=escape(settings.term),
        first=_long(weeks[0].monday),
        last=_long(monday - timedelta(days=1)),
        zone=escape(settings.time_zone),
        late=escape(late_policy(settings)),
        rows="\n".join(rows),
    )


def _long(day: date) -> str:
    return f"{day:%a} {day.day} {day:%B %Y}"


def _free(monday: date, settings: Settings) -> str:
    """What stands in the row of a week that is left out."""
    times = [event for event in free_times(settings) if event.at.date() < monday + timedelta(days=7)]
    first, days = times[-1].at.date(), times[-1].days
    return f"No classes: {first:%a %d %b} to {first + timedelta(days=days - 1):%a %d %b}"


def _held(week: Dated) -> Iterator[str]:
    """The lines of what is held, and of days on which nothing is."""
    for event in week.events:
        if event.kind in ("class", "lab"):
            yield f"{event.at:%a %d %b, %H:%M}: {event.what}"
    for day in week.free:
        lost = [f"“{event.what}”" for event in week.lost if event.at.date() == day]
        have = "has" if len(lost) == 1 else "have"
        yield f"{day:%a %d %b}: nothing is held" + (
            f"; {' and '.join(lost)} {have} to find another day" if lost else ""
        )


def _told(week: Dated) -> Iterator[str]:
    """The lines of quizzes, exams, and what is given out and due."""
    for event in week.events:
        if event.kind == "week":
            yield event.what
        elif event.kind not in ("class", "lab"):
            yield f"{event.what}, {event.at:%a %d %b, %H:%M}"
    yield from (f"Quiz {number}, for yourself" for number in week.week.alone)


def _list(lines: Iterator[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}, {term}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100%; margin: 1.5rem 0 }}
th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
td p {{ margin: 0 0 .3rem; padding-left: 1rem; text-indent: -1rem }}
.week {{ white-space: nowrap }}
.free td {{ background: #f2f2f2 }}
@media (max-width: 44rem) {{
  thead {{ display: none }}
  table, tbody, tr, td {{ display: block }}
  tr {{ border-bottom: 1px solid #ccc; padding: .6rem 0 }}
  td {{ border: 0; padding: .15rem 0 }}
  .week br {{ display: none }}
  .week::before {{ content: "Week " }}
  .week strong::after {{ content: ", " }}
  .chapter:not(:empty)::before {{ content: "Chapter " }}
  .hours::after {{ content: " hours" }}
  .free td {{ padding: .15rem .4rem }}
}}
</style></head><body>
<h1>{title}</h1>
<p>{term}: {first} to {last}. Times are those of {zone}.</p>
<p>Late work: {late}</p>
<table><thead><tr><th>week</th><th>chapter</th><th>classes and lab</th><th>quizzes, assignments, project</th>
<th>hours</th></tr></thead><tbody>
{rows}
</tbody></table>
<p>Hours are classes, lab, reading (as long as the chapters say), assignments and project: estimates, all of them.</p>
</body></html>
"""
