"""Plans: whole, at most nine hours a week, and laid on the right days."""

import functools
import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import escape

import icalendar
import pytest

from course.engine import calendar, calendar_formats, syllabi
from course.engine.assignments import COURSE
from course.engine.settings import SettingsError
from tools import course

PLANS = sorted((COURSE / "syllabi").glob("*.yml"))
WHOLE = COURSE / "syllabi" / "12_weeks.yml"
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
        weeks = syllabi.load(COURSE / "syllabi" / f"{plan}.yml").weeks
        assert said.format(round(sum(week.project for week in weeks), 2)) in brief
        assert sum("project" in week.milestone for week in weeks) >= 2


def test_what_is_read_adds_up():
    """In twelve weeks to whole chapters, but for 12, of which the plan says that half is read; in six to none twice."""
    for plan, of_12 in (("12_weeks", 0.5), ("6_weeks", 0.0)):
        read = dict.fromkeys(range(1, 13), 0.0)
        for week in syllabi.load(COURSE / "syllabi" / f"{plan}.yml").weeks:
            for chapter, part in week.parts.items():
                read[chapter] += part
        assert max(read.values()) <= 1
        assert read[12] == of_12
        assert plan == "6_weeks" or {read[chapter] for chapter in range(1, 12)} == {1.0}


def test_a_part_for_each_chapter_is_said():
    week = syllabi.Week([], read=[6, 7], part=[1, 0.5])
    assert week.parts == {6: 1, 7: 0.5}
    assert calendar.chapters(week) == "6, 7 (a part)"
    assert calendar.chapters(replace(week, part=0.5)) == "6 (a part), 7 (a part)"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_an_assignment_takes_the_hours_that_its_handout_says(path):
    """A plan gives whole assignments: nothing grades a part of one."""
    for name, hours in syllabi.load(path).hours.items():
        text = (COURSE / "assignments" / name / f"{name}.py").read_text(encoding="utf-8")
        assert f"**Time:** about {hours:g} hours" in text


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_review_comes_after_what_is_reviewed(path, told):
    """Nobody reviews a folder before it is handed in; where none is, there is no review, and the brief says so."""
    events = [event for week in calendar.dated(syllabi.load(path), told) for event in week.events]
    reports, reviews = ([e.at for e in events if e.what.startswith(f"Project: {w}")] for w in ("Report", "Review"))
    assert not any("peer" in event.what.lower() for event in events if event.at not in reviews)
    assert len(reviews) == len(reports) <= 1
    assert all(review > report for review, report in zip(reviews, reports, strict=True))
    brief = (COURSE / "project" / "brief.md").read_text(encoding="utf-8")
    assert "In the course of twelve weeks you review another team's folder when all are handed in" in brief
    assert "no report, no viva and no review" in brief


def test_work_is_counted_once(told):
    plan = syllabi.load(COURSE / "syllabi" / "6_weeks.yml")
    fixed = sum(
        len(week.classes) * told.class_minutes / 60
        + plan.lab_minutes / 60 * bool(week.lab)
        + sum(part * READING[n] for n, part in week.parts.items()) / 60
        + syllabi.QUIZ_MINUTES / 60 * bool(week.quiz)
        + week.project
        for week in plan.weeks
    )
    hours = syllabi.workload(plan, READING, told.class_minutes)
    assert sum(hours) == pytest.approx(fixed + sum(plan.hours.values()))


def test_a_free_week_moves_the_plan_and_a_free_day_is_said(told):
    plan = syllabi.load(WHOLE)
    weeks = calendar.dated(plan, replace(told, holidays="2027-02-08 .. 2027-02-14, 2027-02-02"))
    assert [week.monday for week in weeks[:3]] == [date(2027, 2, 1), date(2027, 2, 15), date(2027, 2, 22)]
    assert weeks[0].free == [date(2027, 2, 2)]
    held = [event for event in weeks[0].events if event.kind != "due"]
    assert {event.at.date() for event in held} == {date(2027, 2, 4), date(2027, 2, 5)}


def test_what_falls_on_a_free_day_is_not_lost(told):
    """The topic of a class, or of a lab, that cannot be held is said, on the page and by the command."""
    plan = syllabi.load(WHOLE)
    weeks = calendar.dated(plan, replace(told, holidays="2027-02-04 .. 2027-02-05"))
    topics = [plan.weeks[0].classes[1], f"Lab: {plan.weeks[0].lab}"]
    assert [event.what for event in weeks[0].lost] == topics
    assert not any(week.lost for week in weeks[1:])
    page = page_of(plan, weeks, told)
    for day, topic in zip(("Thu 04", "Fri 05"), topics, strict=True):
        assert escape(f"{day} Feb: nothing is held; “{topic}” has to find another day") in page


def test_an_exam_on_a_free_day_has_to_find_another(told):
    plan = syllabi.load(WHOLE)
    weeks = calendar.dated(plan, replace(told, holidays="2027-03-18"))
    topics = [plan.weeks[6].classes[1], plan.weeks[6].exam]
    assert [event.what for event in weeks[6].lost] == topics
    line = f"“{topics[0]}” and “{topics[1]}” have to find another day"
    assert escape(line) in page_of(plan, weeks, told)


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


def events_of(plan, weeks, told, now=datetime(2027, 1, 1, tzinfo=UTC)):
    """The file for calendars, read again: its events by their names."""
    read = icalendar.Calendar.from_ical(calendar_formats.ics(plan, weeks, told, now))
    return {str(one["UID"]): one for one in read.walk("VEVENT")}


def test_the_file_for_calendars_has_every_event_at_its_time(told):
    plan = syllabi.load(WHOLE)
    weeks = calendar.dated(plan, told)
    events = events_of(plan, weeks, told)
    assert len(events) == sum(len(week.events) for week in weeks) + 2
    timed = [one for one in events.values() if isinstance(one["DTSTART"].dt, datetime)]
    classes = [one for one in timed if "TRANSP" not in one]
    assert len(classes) == 12 * 3
    first = min(classes, key=lambda one: one["DTSTART"].dt)
    assert first["DTSTART"].dt == datetime(2027, 2, 2, 9, 15, tzinfo=UTC)  # 10:15 in Berlin, in winter
    assert first["DTEND"].dt - first["DTSTART"].dt == timedelta(minutes=told.class_minutes)
    assert first["DESCRIPTION"] == "Week 1, chapter 1."
    due = [one for name, one in events.items() if "-due-" in name]
    assert {str(one["SUMMARY"]) for one in due} == {
        *(f"A0{n} is due" for n in (1, 2, 3, 4)),
        "A05 or A06 is due",
        "Project: Proposal, one page (project/proposal.md)",
        "Project: Report, the whole folder (project/brief.md); viva",
        "Project: Review of another team's folder (project/peer_review.md)",
    }
    assert not any({"DTEND", "DURATION"} & set(one) for one in due)
    assert all(one["TRANSP"] == "TRANSPARENT" for one in due)
    assert "10 % of the points reached" in due[0]["DESCRIPTION"]
    assert min(one["DTSTART"].dt for one in due) == datetime(2027, 2, 21, 22, 59, tzinfo=UTC)
    ending = [one for one in events.values() if "DTEND" in one]
    assert all(one["DTEND"].dt > one["DTSTART"].dt for one in ending)  # RFC 5545, 3.8.2.2
    summer = [one for one in classes if one["DTSTART"].dt.month == 4]
    assert {one["DTSTART"].dt.hour for one in summer} == {8, 12}


def test_quizzes_exams_holidays_and_what_is_given_out_are_in_the_calendar(told):
    plan = syllabi.load(WHOLE)
    events = events_of(plan, calendar.dated(plan, told), told).values()
    when = {str(one["SUMMARY"]): (one["DTSTART"].dt, one["DTEND"].dt if "DTEND" in one else None) for one in events}
    at = functools.partial(datetime, 2027, tzinfo=UTC)
    assert when["Quiz 1"] == (at(2, 9, 9, 15), at(2, 9, 9, 30))
    assert when["A01 is given out"] == (at(2, 9, 9, 15), None)
    assert when["Midterm, closed book, chapters 1 to 5"] == (at(3, 18, 9, 15), at(3, 18, 10, 30))
    assert when["Project: Talks"] == (at(4, 29, 8, 15), at(4, 29, 9, 30))
    assert when["Project: Check-in: check_model is green on simulated data (project-check --check-in)"][0] == at(
        4, 16, 12, 15
    )
    assert when["Exam week: vivas, when the reports are in"] == (date(2027, 5, 3), date(2027, 5, 10))
    free = sorted(one["DTSTART"].dt for one in events if one["SUMMARY"] == "No classes")
    assert free == [date(2027, 3, 29), date(2027, 5, 6)]


def test_an_event_that_gets_another_day_keeps_its_name(told):
    """A calendar that reads the file again moves it, and does not hold it twice."""
    plan = syllabi.load(WHOLE)
    later = replace(told, holidays="2027-02-08 .. 2027-02-14")
    before, after = (events_of(plan, calendar.dated(plan, one), one) for one in (told, later))
    assert {name for name in before if "week" in name} == {name for name in after if "week" in name}
    free = replace(told, holidays="2027-02-02")
    [left] = [name for name in events_of(plan, calendar.dated(plan, free), free) if name.startswith("week-1-class")]
    assert before[left]["DTSTART"].dt.day == 4
    assert all(before[name]["SUMMARY"] == after[name]["SUMMARY"] for name in before if "week" in name)
    assert before["week-2-quiz-1-2027-spring@from-em-to-aevb"]["DTSTART"].dt.day == 9
    assert after["week-2-quiz-1-2027-spring@from-em-to-aevb"]["DTSTART"].dt.day == 16


def test_a_quiz_and_what_is_given_out_come_with_the_first_class_that_is_held(told):
    plan = syllabi.load(WHOLE)
    week = calendar.dated(plan, replace(told, holidays="2027-02-09"))[1]
    assert {event.kind: event.at.day for event in week.events} == {"class": 11, "quiz": 11, "lab": 12, "out": 11}
    assert [event.kind for event in week.lost] == ["class"]


def page_of(plan, weeks, told):
    return calendar_formats.syllabus(plan, weeks, syllabi.workload(plan, READING, told.class_minutes), told)


def test_the_page_says_what_is_due_and_when(told):
    plan = syllabi.load(WHOLE)
    weeks = calendar.dated(plan, replace(told, term="Fall & winter", time_zone="America/New_York"))
    page = page_of(plan, weeks, replace(told, term="Fall & winter", time_zone="America/New_York"))
    for line in (
        "A01 is given out, Tue 09 Feb, 10:15",
        "A01 is due, Sun 21 Feb, 23:59",
        "A05 or A06 is given out, Tue 13 Apr, 10:15",
        "A05 or A06 is due, Sun 25 Apr, 23:59",
        "Midterm, closed book, chapters 1 to 5, Thu 18 Mar, 10:15",
        "Project: Talks, Thu 29 Apr, 10:15",
        "Project: Report, the whole folder (project/brief.md); viva, Wed 05 May, 23:59",
        escape("Project: Review of another team's folder (project/peer_review.md), Sun 09 May, 23:59"),
        "Fall &amp; winter: Mon 1 February 2027 to Sun 9 May 2027. Times are those of America/New_York.",
        "For each day that has begun after the deadline, 10 % of the points reached are taken off.",
        "No classes: Mon 29 Mar to Fri 02 Apr",
        "Thu 06 May: nothing is held",
        "Quiz 8, for yourself",
    ):
        assert line in page, line
    assert "A05 is due" not in page
    assert page.count("<tr") == 15
    assert "Nothing is taken off" in page_of(plan, weeks, replace(told, late_percent_per_day=0.0))


def test_a_holiday_of_two_weeks_is_two_rows(told):
    changed = replace(told, holidays="2027-02-13 .. 2027-02-28")
    plan = syllabi.load(WHOLE)
    page = page_of(plan, calendar.dated(plan, changed), changed)
    assert page.count("No classes: Sat 13 Feb to Sun 28 Feb") == 2


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_quiz_begins_the_week_after_its_chapter(path):
    weeks = syllabi.load(path).weeks
    last = {chapter: number for number, week in enumerate(weeks) for chapter in week.read}
    quizzes = {quiz: number for number, week in enumerate(weeks) for quiz in [week.quiz, *week.alone] if quiz}
    assert quizzes == {chapter: number + 1 for chapter, number in last.items() if number + 1 < len(weeks)}


def test_the_book_shows_the_plan_of_the_course():
    """``how_to_use.md`` has one plan of twelve weeks, the syllabus's."""
    page = (COURSE.parent / "book" / "how_to_use.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \| ", line)]
    weeks = [week for week in syllabi.load(WHOLE).weeks if week.classes]
    assert rows == [
        f"| {number} | {', '.join(map(str, week.read))} | {' | '.join(week.classes)} |"
        for number, week in enumerate(weeks, 1)
    ]


def test_a_chapter_without_a_reading_time_is_one_sentence(told):
    plan = syllabi.load(WHOLE)
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
        ({"holidays": "2027-03-29 .. 9999-12-31"}, "a day as 2027-02-01"),
        ({"holidays": "2027-03-29 .. 2028-03-29"}, "at most 200 days"),
        ({"start": "9999-12-27"}, "a day as 2027-02-01"),
        ({"time_zone": "Mars/Olympus"}, "time_zone is a name"),
        ({"time_zone": "Europe"}, "time_zone is a name"),
    ],
)
def test_an_odd_line_is_one_sentence(changed, said, told):
    plan = syllabi.load(WHOLE)
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
        ("weeks: [{classes: [a], read: [1], part: [half]}]", "week 1: part is a number from 0, or a list of them"),
        ("weeks: [{classes: [a], read: [1, 2], part: [1]}]", "week 1: part is one number, or one for each chapter"),
        ("weeks: [{classes: [a], review: R, review_on: class 1}]", "review_on is one of end, Mon, .*'class 1'"),
        ("weeks: [{classes: [a], project: -1}]", "week 1: project is a number from 0"),
        ("weeks: [{classes: [a], lab: 3}]", "week 1: lab is text"),
        ("weeks: [{classes: [a], exam: E, exam_on: class 2}]", "exam_on is one of class 1, week, and is 'class 2'"),
        ("weeks: [{classes: [a], exam: E, exam_on: lab}]", "exam_on is one of class 1, week, and is 'lab'"),
        ("weeks: [{classes: [a], milestone: M, milestone_on: noon}]", "milestone_on is one of class 1, end, Mon"),
        ("weeks: [{classes: [], quiz: 1}]", "week 1: what is given out, or asked in a quiz, needs a class"),
        (
            "weeks: [{classes: [a], out: [a01], due: [a01], choice: 3}]",
            "less than .*: there are 1 in out, and choice is 3",
        ),
        ("weeks: [{classes: [a], out: [a01], due: [a01], choice: 1}]", "week 1: choice is 0, for all, or less than"),
        ("weeks: [{classes: [a], out: [a01]}, {classes: [b], due: [a01], choice: 1}]", "week 2: choice .* 1 in due"),
        ("weeks: [{classes: [a], choice: 1}]", "week 1: choice is 0, .* 0 in out"),
        ("weeks: []\nlab_minutes: long", "lab_minutes is a whole number"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_sentence(text, said, tmp_path):
    path = tmp_path / "plan.yml"
    path.write_text(f"title: T\nclasses: 1\nlab_minutes: 0\nhours: {{a01: 5}}\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        syllabi.load(path)
