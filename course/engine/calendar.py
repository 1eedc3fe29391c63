"""A term's calendar: a plan of weeks laid on real days, as a page and as a file that calendars read."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from html import escape
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import icalendar

from course.engine.settings import Settings, SettingsError
from course.engine.syllabi import Plan, Week

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOUR = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d{1,2}):(\d{2})")
END = time(23, 59)


@dataclass(frozen=True)
class Event:
    """Something at a time.

    Attributes:
        what: in words.
        at: when it begins, or for a deadline when it is.
        kind: ``class``, ``lab`` or ``due``.
        minutes: how long it is; a deadline has no length.
    """

    what: str
    at: datetime
    kind: str
    minutes: int = 0


@dataclass(frozen=True)
class Dated:
    """A week on its days.

    Attributes:
        number: in the plan.
        monday: its first day.
        week: what the plan says of it.
        events: what is held and what is due.
        lost: what the plan holds on a day that is free; it is for the instructor to move.
        free: days on which nothing is held.
    """

    number: int
    monday: date
    week: Week
    events: list[Event]
    lost: list[Event]
    free: list[date]


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


def _at(monday: date, slot: tuple[int, time], zone: ZoneInfo) -> datetime:
    day, hour = slot
    return datetime.combine(monday + timedelta(days=day), hour, zone)


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
        slots = zip(held, week.classes, strict=False)
        planned = [Event(what, _at(monday, slot, zone), "class", settings.class_minutes) for slot, what in slots]
        if week.lab:
            planned.append(Event(f"Lab: {week.lab}", _at(monday, lab, zone), "lab", plan.lab_minutes))
        end = _at(monday, (6, END), zone)
        due = [Event(f"{name.upper()} is due", end, "due") for name in week.due]
        due += [Event(f"Project: {week.milestone}", end, "due")] if week.milestone else []
        events = [event for event in planned if event.at.date() not in free] + due
        lost = [event for event in planned if event.at.date() in free]
        off = sorted(day for day in free if monday <= day < monday + timedelta(days=7))
        found.append(Dated(number, monday, week, events, lost, off))
        monday += timedelta(weeks=1)
    return found


def ics(plan: Plan, weeks: Sequence[Dated], now: datetime) -> bytes:
    """The events as an iCalendar file (RFC 5545).

    A deadline begins and has neither end nor length: it then ends as it begins (3.6.1), while an end would have to lie
    later (3.8.2.2). It does not make anybody busy.
    """
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
            if event.kind == "due":
                entry.add("transp", "TRANSPARENT")
            else:
                entry.add("dtend", (event.at + timedelta(minutes=event.minutes)).astimezone(UTC))
            made.add_component(entry)
    return made.to_ical()


def given_out(weeks: Sequence[Dated]) -> dict[str, datetime]:
    """When each assignment is given out: with the first class of its week."""
    return {name: event.at for week in weeks for event in week.events[:1] for name in week.week.out}


def _when(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.kind != "due":
            yield f"{event.at:%a %d %b, %H:%M}: {event.what}"


def syllabus(plan: Plan, weeks: Sequence[Dated], hours_a_week: Sequence[float]) -> str:
    """The dated plan as an HTML page."""
    rows = []
    for each, total in zip(weeks, hours_a_week, strict=True):
        week = each.week
        held = list(_when(each.events))
        for day in each.free:
            lost = " and ".join(f"“{event.what}”" for event in each.lost if event.at.date() == day)
            held.append(f"{day:%a %d %b}: nothing is held" + (f"; {lost} has to find another day" if lost else ""))
        chapters = ", ".join(map(str, week.read)) + (" (a part)" if week.part < 1 and week.read else "")
        out = " or ".join(name.upper() for name in week.out) + (" is given out" if week.out else "")
        due = [f"{event.what}, {event.at:%a %d %b, %H:%M}" for event in each.events if event.kind == "due"]
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
