"""Plans: whole, at most nine hours a week, and laid on the right days."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import icalendar
import pytest

from course.engine import calendar
from course.engine.assignments import COURSE
from course.engine.settings import SettingsError

PLANS = sorted((COURSE / "syllabi").glob("*.yml"))
READING = calendar.reading_minutes(COURSE.parent / "notebooks")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_no_week_asks_for_more_than_nine_hours(path, told):
    assert set(READING) == set(range(1, 13))
    hours = calendar.workload(calendar.load(path), READING, told.class_minutes)
    assert max(hours) <= 9
    assert min(hours) > 3


def test_the_project_has_the_hours_that_its_brief_says():
    brief = (COURSE / "project" / "brief.md").read_text(encoding="utf-8")
    for plan, said in (("12_weeks", "{:g} hours of your own each"), ("6_weeks", "the project is small, {:g} hours")):
        weeks = calendar.load(COURSE / "syllabi" / f"{plan}.yml").weeks
        assert said.format(round(sum(week.project for week in weeks), 2)) in brief
        assert sum("project" in week.milestone for week in weeks) >= 2


def test_work_is_counted_once(told):
    plan = calendar.load(COURSE / "syllabi" / "6_weeks.yml")
    fixed = sum(
        len(week.classes) * told.class_minutes / 60
        + plan.lab_minutes / 60 * bool(week.lab)
        + week.part * sum(READING[n] for n in week.read) / 60
        + calendar.QUIZ_MINUTES / 60 * bool(week.quiz)
        + week.project
        for week in plan.weeks
    )
    hours = calendar.workload(plan, READING, told.class_minutes)
    assert sum(hours) == pytest.approx(fixed + sum(plan.hours.values()))


def test_a_free_week_moves_the_plan_and_a_free_day_is_said(told):
    plan = calendar.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, replace(told, holidays="2027-02-08 .. 2027-02-14, 2027-02-02"))
    assert [week.monday for week in weeks[:3]] == [date(2027, 2, 1), date(2027, 2, 15), date(2027, 2, 22)]
    assert weeks[0].free == [date(2027, 2, 2)]
    assert {event.at.date() for event in weeks[0].events if event.minutes} == {date(2027, 2, 4), date(2027, 2, 5)}


def test_the_file_for_calendars_has_every_event_at_its_time(told):
    plan = calendar.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, told)
    read = icalendar.Calendar.from_ical(calendar.ics(plan, weeks, datetime(2027, 1, 1, tzinfo=UTC)))
    events = {str(one["UID"]): one for one in read.walk("VEVENT")}
    assert len(events) == sum(len(week.events) for week in weeks)
    first = min(events.values(), key=lambda one: one["DTSTART"].dt)
    assert first["DTSTART"].dt == datetime(2027, 2, 2, 9, 15, tzinfo=UTC)  # 10:15 in Berlin, in winter
    assert first["DTEND"].dt - first["DTSTART"].dt == timedelta(minutes=told.class_minutes)
    summer = [one for one in events.values() if one["DTSTART"].dt.month == 4 and one["DTSTART"].dt.minute == 15]
    assert {one["DTSTART"].dt.hour for one in summer} == {8, 12}


def test_the_page_says_what_is_due_and_when(told):
    plan = calendar.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, told)
    page = calendar.syllabus(plan, weeks, calendar.workload(plan, READING, told.class_minutes))
    assert "A01 is due, Sun 21 Feb, 23:59" in page
    assert "A05 or A06 is given out" in page
    assert page.count("<tr>") == 14


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"start": "2027-02-02"}, "start is a Monday"),
        ({"start": "soon"}, "a day as 2027-02-01"),
        ({"class_hours": "Tue 10:15"}, "holds 2 times"),
        ({"class_hours": "Tue 10:15, Thu 25:00"}, "class_hours"),
        ({"holidays": "2027-03-02 .. 2027-03-01"}, "from an earlier day"),
        ({"time_zone": "Mars/Olympus"}, "time_zone is a name"),
    ],
)
def test_an_odd_line_is_one_sentence(changed, said, told):
    plan = calendar.load(COURSE / "syllabi" / "12_weeks.yml")
    with pytest.raises(SettingsError, match=said):
        calendar.dated(plan, replace(told, **changed))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weeks: [{classes: [a], due: [a01]}]", "has not been given out"),
        ("weeks: [{classes: [a], out: [a01]}]", "never due"),
        ("weeks: [{classes: [a], out: [a09], due: [a09]}]", "how many hours"),
        ("weeks: [{classes: [a, b]}]", "1 classes, and 2"),
        ("weeks: [{classes: [a], homework: 3}]", "is no plan"),
        ("weeks: [", "cannot be read"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_sentence(text, said, tmp_path):
    path = tmp_path / "plan.yml"
    path.write_text(f"title: T\nclasses: 1\nlab_minutes: 0\nhours: {{a01: 5}}\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        calendar.load(path)
