"""Plans: whole, at most nine hours a week, and laid on the right days."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import escape

import icalendar
import pytest

from course.engine import calendar, syllabi
from course.engine.assignments import COURSE
from course.engine.settings import SettingsError
from tools import course

PLANS = sorted((COURSE / "syllabi").glob("*.yml"))
READING = syllabi.reading_minutes(COURSE.parent / "notebooks")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_no_week_asks_for_more_than_nine_hours(path, told):
    assert set(READING) == set(range(1, 13))
    hours = syllabi.workload(syllabi.load(path), READING, told.class_minutes)
    assert max(hours) <= 9
    assert min(hours) > 3


def test_the_project_has_the_hours_that_its_brief_says():
    brief = (COURSE / "project" / "brief.md").read_text(encoding="utf-8")
    for plan, said in (("12_weeks", "{:g} hours of your own each"), ("6_weeks", "the project is small, {:g} hours")):
        weeks = calendar.load(COURSE / "syllabi" / f"{plan}.yml").weeks
        assert said.format(round(sum(week.project for week in weeks), 2)) in brief
        assert sum("project" in week.milestone for week in weeks) >= 2


def test_work_is_counted_once(told):
    plan = syllabi.load(COURSE / "syllabi" / "6_weeks.yml")
    fixed = sum(
        len(week.classes) * told.class_minutes / 60
        + plan.lab_minutes / 60 * bool(week.lab)
        + week.part * sum(READING[n] for n in week.read) / 60
        + syllabi.QUIZ_MINUTES / 60 * bool(week.quiz)
        + week.project
        for week in plan.weeks
    )
    hours = syllabi.workload(plan, READING, told.class_minutes)
    assert sum(hours) == pytest.approx(fixed + sum(plan.hours.values()))


def test_a_free_week_moves_the_plan_and_a_free_day_is_said(told):
    plan = syllabi.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, replace(told, holidays="2027-02-08 .. 2027-02-14, 2027-02-02"))
    assert [week.monday for week in weeks[:3]] == [date(2027, 2, 1), date(2027, 2, 15), date(2027, 2, 22)]
    assert weeks[0].free == [date(2027, 2, 2)]
    held = [event for event in weeks[0].events if event.kind != "due"]
    assert {event.at.date() for event in held} == {date(2027, 2, 4), date(2027, 2, 5)}


def test_what_falls_on_a_free_day_is_not_lost(told):
    """The topic of a class, or of a lab, that cannot be held is said, on the page and by the command."""
    plan = syllabi.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, replace(told, holidays="2027-02-04 .. 2027-02-05"))
    topics = [plan.weeks[0].classes[1], f"Lab: {plan.weeks[0].lab}"]
    assert [event.what for event in weeks[0].lost] == topics
    assert not any(week.lost for week in weeks[1:])
    page = calendar.syllabus(plan, weeks, syllabi.workload(plan, READING, told.class_minutes))
    for day, topic in zip(("Thu 04", "Fri 05"), topics, strict=True):
        assert escape(f"{day} Feb: nothing is held; “{topic}” has to find another day") in page


def test_the_command_says_what_has_no_day(tmp_path, monkeypatch, capsys):
    shutil.copytree(COURSE / "syllabi", tmp_path / "syllabi")
    text = (COURSE / "course.yml").read_text(encoding="utf-8")
    text = re.sub("^holidays:.*", 'holidays: "2027-02-02"', text, flags=re.MULTILINE)
    (tmp_path / "course.yml").write_text(text, encoding="utf-8")
    for name in ("COURSE", "ROOT", "OUT"):
        monkeypatch.setattr(course, name, tmp_path)
    (tmp_path / "notebooks").symlink_to(COURSE.parent / "notebooks")
    assert course.main(["calendar"]) == 0
    assert "Week 1: Tue 02 Feb is free, and “Why log p(x) is hard" in capsys.readouterr().out


def test_the_file_for_calendars_has_every_event_at_its_time(told):
    plan = syllabi.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, told)
    read = icalendar.Calendar.from_ical(calendar.ics(plan, weeks, datetime(2027, 1, 1, tzinfo=UTC)))
    events = {str(one["UID"]): one for one in read.walk("VEVENT")}
    assert len(events) == sum(len(week.events) for week in weeks)
    first = min(events.values(), key=lambda one: one["DTSTART"].dt)
    assert first["DTSTART"].dt == datetime(2027, 2, 2, 9, 15, tzinfo=UTC)  # 10:15 in Berlin, in winter
    assert first["DTEND"].dt - first["DTSTART"].dt == timedelta(minutes=told.class_minutes)
    due = [one for one in events.values() if one["SUMMARY"].endswith(" is due") or "Project: " in one["SUMMARY"]]
    assert len(due) == sum(len(week.week.due) + bool(week.week.milestone) for week in weeks)
    assert not any({"DTEND", "DURATION"} & set(one) for one in due)
    assert all(one["TRANSP"] == "TRANSPARENT" for one in due)
    assert min(one["DTSTART"].dt for one in due) == datetime(2027, 2, 21, 22, 59, tzinfo=UTC)
    assert all(one["DTEND"].dt > one["DTSTART"].dt for one in events.values() if one not in due)  # RFC 5545, 3.8.2.2
    summer = [one for one in events.values() if one["DTSTART"].dt.month == 4 and one["DTSTART"].dt.minute == 15]
    assert {one["DTSTART"].dt.hour for one in summer} == {8, 12}


def test_the_page_says_what_is_due_and_when(told):
    plan = syllabi.load(COURSE / "syllabi" / "12_weeks.yml")
    weeks = calendar.dated(plan, told)
    page = calendar.syllabus(plan, weeks, syllabi.workload(plan, READING, told.class_minutes))
    assert "A01 is due, Sun 21 Feb, 23:59" in page
    assert "A05 or A06 is given out" in page
    assert page.count("<tr>") == 14


def test_a_chapter_without_a_reading_time_is_one_sentence(told):
    plan = syllabi.load(COURSE / "syllabi" / "12_weeks.yml")
    without = {chapter: minutes for chapter, minutes in READING.items() if chapter != 4}
    with pytest.raises(SettingsError, match="week 5: chapter 4 is to be read, and no notebook of that number says"):
        syllabi.workload(plan, without, told.class_minutes)


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
    plan = syllabi.load(COURSE / "syllabi" / "12_weeks.yml")
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
        ("weeks: [{classes: a}]", "week 1: classes is a list of texts, and is 'a'"),
        ("weeks: [{classes: [a], read: [one]}]", "week 1: read is a list of whole numbers"),
        ("weeks: [{classes: [a], part: half}]", "week 1: part is a number from 0"),
        ("weeks: [{classes: [a], project: -1}]", "week 1: project is a number from 0"),
        ("weeks: [{classes: [a], lab: 3}]", "week 1: lab is text"),
        ("weeks: []\nlab_minutes: long", "lab_minutes is a whole number"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_sentence(text, said, tmp_path):
    path = tmp_path / "plan.yml"
    path.write_text(f"title: T\nclasses: 1\nlab_minutes: 0\nhours: {{a01: 5}}\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        syllabi.load(path)
