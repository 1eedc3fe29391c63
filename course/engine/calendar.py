"""A term's calendar: a plan of weeks laid on real days."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from course.engine.settings import Settings, SettingsError
from course.engine.syllabi import DAYS, QUIZ_MINUTES, Plan, Week

HOUR = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d{1,2}):(\d{2})")
END = time(23, 59)
MOST_DAYS = 200
"""Of holidays at one time."""


HELD = ("class", "lab", "quiz", "exam", "talk")
"""Kinds of events that cannot be on a free day."""


@dataclass(frozen=True)
class Event:
    """Something at a time.

    Attributes:
        what: in words.
        at: when it begins, or for a deadline when it is.
        kind: ``class``, ``lab``, ``quiz``, ``exam``, ``talk`` (something of the project that is held), ``out``,
            ``due``, ``week`` (what takes a whole week) or ``free``.
        about: a sentence or two more.
        minutes: how long it is; a deadline has no length.
        days: how many whole days it is, from that of ``at``; 0 where it has a time.
    """

    what: str
    at: datetime
    kind: str
    about: str = ""
    minutes: int = 0
    days: int = 0


@dataclass(frozen=True)
class Dated:
    """A week on its days.

    Attributes:
        number: in the plan.
        monday: its first day.
        week: what the plan says of it.
        events: what is held, given out and due.
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
        if not 0 <= (end - begin).days <= MOST_DAYS:
            raise SettingsError(
                f"course.yml: holidays go from an earlier day to a later one, at most {MOST_DAYS} days, not {part}."
            )
        found |= {begin + timedelta(days=n) for n in range((end - begin).days + 1)}
    return found


def _day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
        if day.year not in range(2000, 3000):
            raise ValueError(text)
        return day
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


def _zone(settings: Settings) -> ZoneInfo:
    try:
        return ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise SettingsError(
            f"course.yml: time_zone is a name such as Europe/Berlin, not {settings.time_zone!r}."
        ) from error


@dataclass(frozen=True)
class _Slots:
    """The times of one week: of its classes, of its lab, and of the end of each of its days."""

    monday: date
    zone: ZoneInfo
    held: list[tuple[int, time]]
    lab: tuple[int, time]

    def at(self, slot: tuple[int, time]) -> datetime:
        day, hour = slot
        return datetime.combine(self.monday + timedelta(days=day), hour, self.zone)

    def on(self, when: str) -> datetime:
        """What a plan calls ``class 2``, ``lab``, ``end`` or ``Wed``."""
        if when == "lab":
            return self.at(self.lab)
        if when.startswith("class "):
            return self.at(self.held[int(when[6:]) - 1])
        return self.at((DAYS.index("Sun" if when == "end" else when), END))


def dated(plan: Plan, settings: Settings) -> list[Dated]:
    """The plan on the days of a term.

    Raises:
        SettingsError: a line of course.yml is not as it should be.
    """
    monday = _day("start", settings.start)
    if monday.weekday():
        raise SettingsError(f"course.yml: start is a Monday, and {settings.start} is a {DAYS[monday.weekday()]}.")
    zone = _zone(settings)
    free = holidays(settings.holidays)
    held = hours("class_hours", settings.class_hours, plan.classes)
    [lab] = hours("lab_hour", settings.lab_hour, 1)
    found = []
    for number, week in enumerate(plan.weeks, 1):
        while all(monday + timedelta(days=day) in free for day, _ in held):
            monday += timedelta(weeks=1)
        planned = list(_planned(number, week, plan, settings, _Slots(monday, zone, held, lab), free))
        lost = [event for event in planned if event.kind in HELD and event.at.date() in free]
        off = sorted(day for day in free if monday <= day < monday + timedelta(days=7))
        found.append(Dated(number, monday, week, [event for event in planned if event not in lost], lost, off))
        monday += timedelta(weeks=1)
    return found


def _planned(
    number: int, week: Week, plan: Plan, settings: Settings, slots: _Slots, free: set[date]
) -> Iterator[Event]:
    """All events of a week, on free days too."""
    about = f"Week {number}" + (f", chapter{'s' * (len(week.read) > 1)} {chapters(week)}" if week.read else "") + "."
    classes = [
        Event(what, slots.at(slot), "class", about, settings.class_minutes)
        for slot, what in zip(slots.held, week.classes, strict=False)
    ]
    yield from classes
    first = next((event.at for event in classes if event.at.date() not in free), slots.at((0, time())))
    if week.quiz:
        yield Event(f"Quiz {week.quiz}", first, "quiz", f"On chapter {week.quiz}, as the class begins.", QUIZ_MINUTES)
    if week.lab:
        yield Event(f"Lab: {week.lab}", slots.at(slots.lab), "lab", about, plan.lab_minutes)
    if week.exam and week.exam_on == "week":
        yield Event(week.exam, slots.at((0, time())), "week", about, days=7)
    elif week.exam:
        length = plan.lab_minutes if week.exam_on == "lab" else settings.class_minutes
        yield Event(week.exam, slots.on(week.exam_on), "exam", about, length)
    for words in _each(week.out, week.choice):
        yield Event(f"{words} is given out", first, "out", about)
    policy = late_policy(settings)
    for words in _each(week.due, week.choice):
        yield Event(f"{words} is due", slots.on("end"), "due", policy)
    said = "The project's brief says what it is."
    if week.milestone:
        when = week.milestone_on
        kind, length = {"class": ("talk", settings.class_minutes), "lab": ("talk", plan.lab_minutes)}.get(
            when.partition(" ")[0], ("due", 0)
        )
        yield Event(f"Project: {week.milestone}", slots.on(when), kind, said, length)
    if week.review:
        yield Event(f"Project: {week.review}", slots.on(week.review_on), "due", said)


def chapters(week: Week) -> str:
    """The chapters of a week, in words."""
    return ", ".join(f"{chapter} (a part)" if part < 1 else f"{chapter}" for chapter, part in week.parts.items())


def _each(names: Sequence[str], choice: int) -> list[str]:
    """Assignments in capitals, each for itself; those of which a student does some, as one."""
    large = [name.upper() for name in names]
    if not large or not choice:
        return large
    return [" or ".join(large) if choice == 1 else f"{choice} of {', '.join(large)}"]


def late_policy(settings: Settings) -> str:
    """What late work costs."""
    taken = settings.late_percent_per_day
    if not taken:
        return "Nothing is taken off what is handed in late."
    return f"For each day that has begun after the deadline, {taken:g} % of the points reached are taken off."


def given_out(weeks: Sequence[Dated]) -> dict[str, datetime]:
    """When each assignment is given out: with the first class of its week."""
    return {name: event.at for week in weeks for event in week.events if event.kind == "out" for name in week.week.out}


def free_times(settings: Settings) -> list[Event]:
    """The holidays, those that follow each other as one."""
    days = sorted(holidays(settings.holidays))
    firsts = [day for day in days if day - timedelta(days=1) not in days]
    lasts = [day for day in days if day + timedelta(days=1) not in days]
    zone = _zone(settings)
    return [
        Event("No classes", datetime.combine(first, time(), zone), "free", days=(last - first).days + 1)
        for first, last in zip(firsts, lasts, strict=True)
    ]
