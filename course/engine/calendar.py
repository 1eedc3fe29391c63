"""A term's calendar: a plan of weeks laid on real days, as a page and as a file that calendars read."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import icalendar
import yaml

from course.engine.settings import Settings, SettingsError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOUR = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d{1,2}):(\d{2})")
READING = re.compile(r"\*\*Reading:\*\* about (\d+) minutes")
END = time(23, 59)
QUIZ_MINUTES = 15


@dataclass(frozen=True)
class Week:
    """A week of a plan, as the files in ``syllabi`` say it.

    Attributes:
        classes: what each class is about.
        read: chapters.
        part: which part of them this week.
        lab: what the lab is about; empty for none.
        out: assignments given out.
        due: assignments due at its end.
        choice: how many of those a student does; 0 for all.
        quiz: the number of the quiz at its beginning; 0 for none.
        exam: what is examined.
        project: hours of work on the project.
        milestone: what of the project is due.
    """

    classes: list[str]
    read: list[int] = field(default_factory=list)
    part: float = 1.0
    lab: str = ""
    out: list[str] = field(default_factory=list)
    due: list[str] = field(default_factory=list)
    choice: int = 0
    quiz: int = 0
    exam: str = ""
    project: float = 0.0
    milestone: str = ""


@dataclass(frozen=True)
class Plan:
    """The weeks of a term.

    Attributes:
        title: of the course.
        classes: how many there are a week.
        lab_minutes: the length of a lab.
        hours: how many hours each assignment takes, an estimate.
        weeks: in their order.
    """

    title: str
    classes: int
    lab_minutes: int
    hours: dict[str, float]
    weeks: list[Week]


@dataclass(frozen=True)
class Event:
    """Something at a time; a deadline has no length."""

    what: str
    at: datetime
    minutes: int = 0


@dataclass(frozen=True)
class Dated:
    """A week on its days."""

    number: int
    monday: date
    week: Week
    events: list[Event]
    free: list[date]


def load(path: Path) -> Plan:
    """Read a plan.

    Raises:
        SettingsError: the file holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        weeks = [Week(**week) for week in content.pop("weeks")]
        plan = Plan(**content, weeks=weeks)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise SettingsError(f"{path.name} is no plan: {error}.") from error
    given: set[str] = set()
    for number, week in enumerate(plan.weeks, 1):
        if week.classes and len(week.classes) != plan.classes:
            raise SettingsError(
                f"{path.name}, week {number}: {plan.classes} classes, and {len(week.classes)} are named."
            )
        given |= set(week.out)
        if early := set(week.due) - given:
            raise SettingsError(f"{path.name}, week {number}: {min(early)} is due and has not been given out.")
        if unknown := set(week.out) - set(plan.hours):
            raise SettingsError(f"{path.name}, week {number}: how many hours does {min(unknown)} take?")
        given -= set(week.due)
    if given:
        raise SettingsError(f"{path.name}: {min(given)} is given out and never due.")
    return plan


def holidays(text: str) -> set[date]:
    """The days of ``2027-03-29 .. 2027-04-02, 2027-05-06``.

    Raises:
        SettingsError: it is written in another way.
    """
    found: set[date] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = (piece.strip() for piece in part.partition(".."))
        begin, end = _day("holidays", first), _day("holidays", last or first)
        if not begin <= end:
            raise SettingsError(f"course.yml: holidays go from an earlier day to a later one, not {part}.")
        found |= {begin + timedelta(days=n) for n in range((end - begin).days + 1)}
    return found


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"course.yml: {name} has a day as 2027-02-01, not {text!r}.") from error


def hours(name: str, text: str, count: int) -> list[tuple[int, time]]:
    """The days (Monday is 0) and times of ``Tue 10:15, Thu 10:15``.

    Raises:
        SettingsError: it is written in another way, or these are not as many as the plan has.
    """
    found = [HOUR.fullmatch(part.strip()) for part in text.split(",")]
    if len(found) != count or not all(found):
        raise SettingsError(
            f"course.yml: {name} holds {count} times such as Tue 10:15 with a comma between, not {text!r}."
        )
    try:
        return [(DAYS.index(one[1]), time(int(one[2]), int(one[3]))) for one in found if one]
    except ValueError as error:
        raise SettingsError(f"course.yml: {name}: {error}, in {text!r}.") from error


def dated(plan: Plan, settings: Settings) -> list[Dated]:
    """The plan on the days of a term.

    Raises:
        SettingsError: a line of course.yml is not as it should be.
    """
    monday = _day("start", settings.start)
    if monday.weekday():
        raise SettingsError(f"course.yml: start is a Monday, and {settings.start} is a {DAYS[monday.weekday()]}.")
    try:
        zone = ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(
            f"course.yml: time_zone is a name such as Europe/Berlin, not {settings.time_zone!r}."
        ) from error
    free = holidays(settings.holidays)
    held = hours("class_hours", settings.class_hours, plan.classes)
    [lab] = hours("lab_hour", settings.lab_hour, 1)
    found = []
    for number, week in enumerate(plan.weeks, 1):
        while all(monday + timedelta(days=day) in free for day, _ in held):
            monday += timedelta(weeks=1)
        events = []
        slots = list(zip(held, week.classes, strict=False)) + ([(lab, f"Lab: {week.lab}")] if week.lab else [])
        for (day, hour), what in slots:
            length = plan.lab_minutes if what.startswith("Lab: ") else settings.class_minutes
            at = datetime.combine(monday + timedelta(days=day), hour, zone)
            if at.date() not in free:
                events.append(Event(what, at, length))
        end = datetime.combine(monday + timedelta(days=6), END, zone)
        events += [Event(f"{name.upper()} is due", end) for name in week.due]
        events += [Event(f"Project: {week.milestone}", end)] if week.milestone else []
        off = sorted(day for day in free if monday <= day < monday + timedelta(days=7))
        found.append(Dated(number, monday, week, events, off))
        monday += timedelta(weeks=1)
    return found


def reading_minutes(notebooks: Path) -> dict[int, int]:
    """How long each chapter says that reading it takes."""
    found = {}
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        text = "".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
        if minutes := READING.search(text):
            found[int(path.name[:2])] = int(minutes[1])
    return found


def workload(plan: Plan, reading: dict[int, int], class_minutes: int) -> list[float]:
    """The hours of each week: classes, lab, quiz, reading, assignments (spread evenly over their weeks) and project."""
    totals = []
    open_now: dict[str, float] = {}
    for index, week in enumerate(plan.weeks):
        for name in week.out:
            length = next(n for n, later in enumerate(plan.weeks[index:], 1) if name in later.due)
            share = week.choice / len(week.out) if week.choice else 1.0
            open_now[name] = share * plan.hours[name] / length
        minutes = len(week.classes) * class_minutes + plan.lab_minutes * bool(week.lab)
        minutes += week.part * sum(reading[chapter] for chapter in week.read) + QUIZ_MINUTES * bool(week.quiz)
        totals.append(minutes / 60 + sum(open_now.values()) + week.project)
        open_now = {name: hours for name, hours in open_now.items() if name not in week.due}
    return totals


def ics(plan: Plan, weeks: Sequence[Dated], now: datetime) -> bytes:
    """The events as an iCalendar file (RFC 5545)."""
    made = icalendar.Calendar()
    made.add("prodid", "-//From EM to AEVB//course//EN")
    made.add("version", "2.0")
    made.add("x-wr-calname", plan.title)
    for week in weeks:
        for number, event in enumerate(week.events):
            entry = icalendar.Event()
            entry.add("uid", f"week-{week.number}-{number}-{week.monday}@from-em-to-aevb")
            entry.add("dtstamp", now)
            entry.add("summary", event.what)
            entry.add("dtstart", event.at.astimezone(UTC))
            entry.add("dtend", (event.at + timedelta(minutes=event.minutes)).astimezone(UTC))
            made.add_component(entry)
    return made.to_ical()


def _when(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.minutes:
            yield f"{event.at:%a %d %b, %H:%M}: {event.what}"


def syllabus(plan: Plan, weeks: Sequence[Dated], hours_a_week: Sequence[float]) -> str:
    """The dated plan as an HTML page."""
    rows = []
    for each, total in zip(weeks, hours_a_week, strict=True):
        week = each.week
        held = list(_when(each.events)) + [f"{day:%a %d %b}: nothing is held" for day in each.free]
        chapters = ", ".join(map(str, week.read)) + (" (a part)" if week.part < 1 and week.read else "")
        out = " or ".join(name.upper() for name in week.out) + (" is given out" if week.out else "")
        due = [f"{event.what}, {event.at:%a %d %b, %H:%M}" for event in each.events if not event.minutes]
        notes = [f"Quiz {week.quiz}"] * bool(week.quiz) + [out] * bool(out) + due + [week.exam] * bool(week.exam)
        cells = [f"{each.number}<br>{each.monday:%d %b}", chapters, *(_list(part) for part in (held, notes))]
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{total:.1f}</td></tr>")
    return PAGE.format(title=escape(plan.title), rows="\n".join(rows))


def _list(lines: Sequence[str]) -> str:
    return "<br>".join(map(escape, lines))


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
</style></head><body>
<h1>{title}</h1>
<div tabindex="0"><table><thead><tr><th>week</th><th>chapter</th><th>classes and lab</th><th>given out, due</th>
<th>hours</th></tr></thead><tbody>
{rows}
</tbody></table></div>
<p>Hours are classes, lab, reading (as long as the chapters say), assignments and project: estimates, all of them.</p>
</body></html>
"""
