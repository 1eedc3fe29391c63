"""Quizzes: items are whole, formats carry key and feedback, and results are analyzed with intervals."""

import io
import re
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from course.engine import item_keys, items, quiz, quiz_formats
from course.engine.assignments import COURSE
from course.engine.settings import SettingsError
from tools import course

QUIZZES = sorted((COURSE / "quizzes").glob("*.yml"))
ITEM = {
    "key": "k",
    "objective": "Add.",
    "stem": "How much is $1 + 1$, # and = {in} ~ signs: x < y?",
    "right": "Two",
    "why": "Count.",
    "wrong": [{"text": f"It is {n}", "misconception": "m", "feedback": f"Not {n}."} for n in (1, 3, 4)],
}


def made(tmp_path, **changed):
    path = tmp_path / "q99.yml"
    path.write_text(yaml.safe_dump({"title": "T", "chapter": 1, "items": [ITEM | changed]}), encoding="utf-8")
    return quiz.load(path)


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_each_quiz_is_whole_and_goes_into_every_format(path, tmp_path):
    one = quiz.load(path)
    assert one.name == f"q{one.chapter:02}"
    assert len(one.items) >= 5
    assert all(item.key.startswith(f"{one.name}-") for item in one.items)
    assert {file.name.removeprefix(one.name) for file in quiz_formats.write(one, tmp_path)} == {*quiz_formats.USES}
    for made_file in tmp_path.iterdir():
        assert made_file.stat().st_size > 500
    for page in tmp_path.glob("*.html"):
        assert "$" not in page.read_text(encoding="utf-8")


def test_the_command_says_which_file_goes_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(course, "OUT", tmp_path)
    assert course.main(["quiz"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 + len(quiz_formats.USES)
    assert f"{len(QUIZZES)} quizzes, q01 to q12, are in {tmp_path / 'quizzes'}." in said[0]
    for line, end in zip(said[1:], quiz_formats.USES, strict=True):
        assert line.split()[0] == f"q01{end}"
        assert (tmp_path / "quizzes" / f"q01{end}").is_file()


def test_keys_are_unique_over_all_quizzes():
    keys = [item.key for path in QUIZZES for item in quiz.load(path).items]
    assert len(set(keys)) == len(keys)


def test_the_key_is_not_always_in_the_same_place():
    places = {
        [wrong for _, wrong in item.options(version)].index(None)
        for path in QUIZZES
        for item in quiz.load(path).items
        if not item.numeric
        for version in quiz_formats.VERSIONS
    }
    assert len(places) >= 3


@pytest.mark.parametrize("choose", [max, min], ids=["longest", "shortest"])
def test_the_key_is_not_given_away_by_its_length(choose):
    """With four answers, chance makes a quarter; two fifths are the most."""
    choices = [item for path in QUIZZES for item in quiz.load(path).items if not item.numeric]
    given_away = [
        item.key
        for item in choices
        if choose([item.right, *(wrong.text for wrong in item.wrong)], key=len) == item.right
    ]
    assert len(given_away) <= 0.4 * len(choices), given_away


def test_qti_says_which_answer_is_right(tmp_path):
    with zipfile.ZipFile(io.BytesIO(quiz_formats.qti(made(tmp_path)))) as package:
        [name] = [n for n in package.namelist() if n.endswith(".xml") and re.search(r"/text2qti_assessment_", n)]
        root = ElementTree.fromstring(package.read(name))
    space = {"q": root.tag.partition("}")[0][1:]}
    labels = {one.get("ident"): "".join(one.itertext()).strip() for one in root.findall(".//q:response_label", space)}
    full = [
        condition.find(".//q:varequal", space).text
        for condition in root.findall(".//q:respcondition", space)
        if condition.find("q:setvar", space) is not None and condition.find("q:setvar", space).text == "100"
    ]
    assert [labels[ident] for ident in full] == ["<p>Two</p>"]
    assert "Not 3." in "".join(root.itertext())


def unescaped(text):
    """What Moodle reads: a backslash before one of these characters is dropped."""
    return re.sub(r"\\([\\~=#{}:])", r"\1", text)


def test_gift_escapes_what_means_something_there(tmp_path):
    text = quiz_formats.gift(made(tmp_path))
    body = text.split("{\n")[1]
    assert sum(line.startswith("=") for line in body.splitlines()) == 1
    assert sum(line.startswith("~") for line in body.splitlines()) == 3
    stem = unescaped(text.split("[html]")[1].split(" {\n")[0])
    assert stem == r"How much is \(1 + 1\), # and = {in} ~ signs: x &lt; y?"
    assert not re.search(r"(?<!\\)[{}=#~]", text.split("[html]")[1].split(" {\n")[0])


def test_a_numeric_item_knows_its_wrong_numbers(tmp_path):
    wrong = [{"text": "3", "misconception": "m", "feedback": "Not three."}]
    one = made(tmp_path, right=2, tolerance=0.1, wrong=wrong)
    assert "=%100%2:0.1#Count." in quiz_formats.gift(one)
    assert "=%0%3:0.1#Not three." in quiz_formats.gift(one)
    page = quiz_formats.self_check(one)
    assert page.index("<summary>2") < page.index("<summary>3")


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_paper_has_no_key_and_the_key_fits_each_version(path):
    """Marked by the key, each version's paper gives the right answers; and a neighbor's letters help nobody."""
    one = quiz.load(path)
    tables = quiz_formats.key(one).split("<h2>")[1:]
    places, letters = {}, {}
    for version, table in zip(quiz_formats.VERSIONS, tables, strict=True):
        page = quiz_formats.paper(one, version)
        asked = re.findall(r"<section>.*?</section>", page, re.DOTALL)
        rows = re.findall(r"<tr><td>(\d+)</td><td>(.*?)</td><td>.*?</td><td>(.*?)</td></tr>", table)
        assert [int(number) for number, *_ in rows] == list(range(1, len(one.items) + 1))
        items_ = {item.key: item for item in one.items}
        assert sorted(key for *_, key in rows) == sorted(items_)
        for question, (number, answer, key) in zip(asked, rows, strict=True):
            item = items_[key]
            places.setdefault(key, []).append(number)
            assert quiz_formats.html(item.stem) in question
            assert quiz_formats.html(item.why) not in page
            if item.numeric:
                assert answer == item.right
                continue
            choices = re.findall(r"<li>(.*?)</li>", question)
            assert choices["abcdef".index(answer)] == quiz_formats.html(item.right)
            assert sorted(choices) == sorted(map(quiz_formats.html, [item.right, *(w.text for w in item.wrong)]))
            letters.setdefault(key, []).append(answer)
    assert all(a != b for a, b in (*places.values(), *letters.values()))


def test_a_quiz_of_one_question_is_printed(tmp_path):
    assert "<h2>Version B</h2>" in quiz_formats.key(made(tmp_path))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"wrong": ITEM["wrong"][:2]}, "three to 5 wrong answers"),
        ({"stem": "How much is $1 + 1?"}, "formula without an end"),
        ({"right": "It is 1"}, "two answers are the same"),
        ({"tolerance": 0.1}, "all answers are numbers"),
        (
            {"right": 2, "tolerance": 1, "wrong": [{"text": "3", "misconception": "m", "feedback": "f"}]},
            "more than two",
        ),
        ({"right": 2, "tolerance": "wide"}, "tolerance is a positive number, and is 'wide'"),
        ({"right": 2, "tolerance": 0}, "tolerance is a positive number, and is 0"),
        ({"right": "nan", "tolerance": 0.1, "wrong": [{"text": "3", "misconception": "m", "feedback": "f"}]}, "finite"),
        ({"points": 3}, "points"),
        ({"why": True}, "line of text"),
    ],
)
def test_a_broken_item_is_one_sentence(changed, said, tmp_path):
    with pytest.raises(SettingsError, match=said):
        made(tmp_path, **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"title": ["T"]}, "title is a line of text"),
        ({"title": " "}, "title is a line of text"),
        ({"chapter": "one"}, "chapter is the number of a chapter, and is 'one'"),
        ({"chapter": 0}, "chapter is the number of a chapter"),
    ],
)
def test_a_quiz_without_title_or_chapter_is_one_sentence(changed, said, tmp_path):
    path = tmp_path / "q99.yml"
    content = {"title": "T", "chapter": 1, "items": [ITEM]} | changed
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        quiz.load(path)


def scores(n=200, k=8):
    """A class: item 0 has a wrong key, item 1 says nothing, the others are good."""
    generator = np.random.default_rng(1)
    able = generator.normal(size=(n, 1))
    right = generator.random((n, k)) < 1 / (1 + np.exp(-2 * able))
    right[:, 0] = ~right[:, 0]
    right[:, 1] = generator.random(n) < 0.5
    return right.astype(float)


def written(tmp_path, head, rows):
    path = tmp_path / "results.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in [head, *rows]), encoding="utf-8")
    return path


def test_a_wrong_key_is_flagged_and_a_dead_item_is_not_condemned(tmp_path):
    values = scores()
    path = written(tmp_path, ["id", *(f"i{k}" for k in range(8))], [[f"s{n}", *row] for n, row in enumerate(values)])
    found = items.analyze(items.read(path))
    assert [one.item for one in found if one.flag] == ["i0"]
    low, high = found[1].discrimination_interval
    assert low < 0 < high
    by_hand = np.corrcoef(values[:, 3], values.sum(axis=1) - values[:, 3])[0, 1]
    assert found[3].discrimination == pytest.approx(by_hand)
    report = items.report(items.read(path), [None] * 8)
    assert "200 students, 8 items" in report


def test_alpha_is_that_of_its_formula():
    values = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=float)
    sums = values.sum(axis=1)
    assert items.alpha(values) == pytest.approx(1.5 * (1 - values.var(axis=0, ddof=1).sum() / sums.var(ddof=1)))
    low, high = items.alpha_interval(scores())
    assert low < items.alpha(scores()) < high


def test_columns_in_which_all_are_alike_are_said(tmp_path):
    """All wrong, all empty, all right: no correlation, an interval for the share, and no warning."""
    rows = [[f"s{n}", 0, "", 1, n % 2, (n + 1) % 3 / 2] for n in range(12)]
    found = items.read(written(tmp_path, ["id", "wrong", "empty", "right", "a", "b"], rows))
    analyses = {one.item: one for one in items.analyze(found)}
    for name, share in (("wrong", 0), ("empty", 0), ("right", 1)):
        assert (analyses[name].share, analyses[name].discrimination, analyses[name].flag) == (share, None, "")
        low, high = analyses[name].share_interval
        assert 0 <= low <= share <= high <= 1
        assert high - low > 0.1
    assert items.report(found, [None] * 5).count("all the same") == 3


@pytest.mark.parametrize("score", [0, 1])
def test_where_all_students_have_the_same_sum_there_is_no_alpha(score, tmp_path):
    found = items.read(written(tmp_path, ["id", "a", "b"], [[f"s{n}", score, score] for n in range(8)]))
    assert "there is none, since all students have the same sum" in items.report(found, [None] * 2)
    assert all(map(np.isnan, items.alpha_interval(found.scores)))


def test_two_items_that_agree_wholly_or_not_at_all(tmp_path):
    for other in (lambda n: n % 2, lambda n: 1 - n % 2):
        rows = [[f"s{n}", n % 2, other(n)] for n in range(8)]
        found = items.read(written(tmp_path, ["id", "a", "b"], rows))
        [one, _] = items.analyze(found)
        assert abs(one.discrimination) == pytest.approx(1)
        assert "8 students, 2 items" in items.report(found, [None] * 2)


def test_canvas_and_moodle_are_read(tmp_path):
    rows = [[f"s{n}", "yes" if n % 2 else "no", float(n % 2), "a", 2.0 * (n > 3)] for n in range(8)]
    found = items.read(written(tmp_path, ["name", "11: Is it?", "1.0", "12: Which?", "2.0"], rows))
    assert found.items == ["Is it?", "Which?"]
    assert found.scores[:, 1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found.given[0] == {"yes": 4, "no": 4}
    rows = [[f"s{n}", "-" if n == 2 else n % 2, n % 2] for n in range(8)] + [["Overall average", 0.5, 0.5]]
    found = items.read(written(tmp_path, ["Surname", "Q. 1 /1.00", "Q. 2 /1.00"], rows))
    assert found.scores.shape == (8, 2)
    assert "Left out" not in items.report(found, [None] * 2)
    rows += [[f"u{n}", "-", ""] for n in range(3)]  # attempts that were never finished
    found = items.read(written(tmp_path, ["Surname", "Q. 1 /1.00", "Q. 2 /1.00"], rows))
    assert found.scores.shape == (8, 2)
    assert "8 students, 2 items" in items.report(found, [None] * 2)
    assert "Left out: 3 without any score" in items.report(found, [None] * 2)


SECOND = quiz.load(COURSE / "quizzes" / "q02.yml")


def canvas(tmp_path, heading, formula):
    """Results of quiz 2 as Canvas writes them: five with the first wrong answer of each item, four right."""

    def written_there(text):
        return f'"{re.sub(r"[$]([^$]+)[$]", formula, text)}"'

    head = ["name", *(cell for item in SECOND.items for cell in (f"1: {heading(written_there(item.stem))}", "1.0"))]
    head = [f'"{name.replace(chr(34), "")}"' for name in head]
    rows = [
        [f"s{n}"]
        + [
            cell
            for item in SECOND.items
            for cell in (written_there(item.right if n > 4 else item.wrong[0].text), int(n > 4))
        ]
        for n in range(9)
    ]
    return items.read(written(tmp_path, head, rows))


@pytest.mark.parametrize("heading", [lambda text: text, lambda text: text[:70]], ids=["whole", "cut"])
@pytest.mark.parametrize("formula", [r"\(\1\)", ""], ids=["source", "dropped"])
def test_canvas_results_are_told_by_their_quiz_with_every_misconception(tmp_path, heading, formula):
    found = canvas(tmp_path, heading, formula)
    known = item_keys.recognized(found.items, [quiz.load(path) for path in QUIZZES])
    assert known == list(SECOND.items)
    for number, item in enumerate(SECOND.items):
        wrong, right = (one for one in items.given(found, known) if one.item == number)
        assert (wrong.count, wrong.right, wrong.misconception) == (5, False, item.wrong[0].misconception)
        assert (right.count, right.right, right.misconception) == (4, True, "")
        assert not wrong.odd
        assert not right.odd
    report = items.report(found, known)
    assert re.search(rf"^    4 × ✓ {SECOND.items[0].right}$", report, re.MULTILINE)
    assert f"  5 × {SECOND.items[-1].wrong[0].misconception}" in report.split("Misconceptions")[1]
    assert all(word in report for word in re.findall(r"[a-z]+", SECOND.items[2].stem.partition("$")[0]))
    lines = items.table(found, known).splitlines()
    assert len(lines) == 1 + 2 * len(SECOND.items)
    assert lines[1].startswith("q02-variance,")
    assert lines[1].endswith(",5,no,divide-by-n")


def test_a_key_that_is_other_on_the_platform_is_said(tmp_path):
    rows = [[f"s{n}", SECOND.items[5].wrong[0].text.replace(",", ""), n % 2, "a", 1 - n % 2] for n in range(8)]
    stem = SECOND.items[5].stem.replace(",", "")
    found = items.read(written(tmp_path, ["name", f"1: {stem}", "1.0", "2: Which?", "1.0"], rows))
    known = item_keys.recognized(found.items, [SECOND], "q02")
    assert known == [SECOND.items[5], None]
    [first, other] = items.given(found, known)
    assert (first.odd, other.odd) == (True, False)
    assert items.report(found, known).count("look at the platform's") == 1


def test_moodles_results_have_the_questions_of_the_quiz_that_is_named(tmp_path):
    rows = [[f"s{n}", *[(n + k) % 2 for k in range(len(SECOND.items))]] for n in range(8)]
    found = items.read(written(tmp_path, ["id", *(f"Q. {k + 1} /1.00" for k in range(len(SECOND.items)))], rows))
    every = [quiz.load(path) for path in QUIZZES]
    assert not any(item_keys.recognized(found.items, every))
    report = items.report(found, item_keys.recognized(found.items, every, "q02"))
    assert all(f"{item.key}: " in report for item in SECOND.items)
    with pytest.raises(SettingsError, match="There is no quiz 'q99'; there are q01"):
        item_keys.recognized(found.items, every, "q99")
    other = next(one for one in every if len(one.items) != len(SECOND.items))
    with pytest.raises(SettingsError, match=f"{other.name} has .* and the file has {len(SECOND.items)}: which"):
        item_keys.recognized(found.items, every, other.name)
    with pytest.raises(SettingsError, match="None of the columns is a question of q02"):
        item_keys.recognized(["What is the capital?", "And of Peru?"], every, "q02")


def test_an_answer_that_could_be_two_is_neither(tmp_path):
    """Two answers that are alike without their formulas cannot be told apart where the platform drops these."""
    wrong = [{"text": f"It is ${n}$", "misconception": "m", "feedback": "No."} for n in (1, 3, 4)]
    one = made(tmp_path, right="It is $2$", wrong=wrong).items[0]
    assert item_keys.behind(one, "It is ") is None
    assert item_keys.behind(one, "It is (2)") == (True, None)
    assert item_keys.behind(one, "It is 3") == (False, one.wrong[1])
    assert item_keys.behind(one, "") is None


@pytest.mark.parametrize(
    ("head", "cell", "said"),
    [(["id", "a", "b"], "many", "a score is a number"), (["id", "a", "b"], "3", "none below 0")],
)
def test_odd_results_are_one_sentence(head, cell, said, tmp_path):
    with pytest.raises(SettingsError, match=said):
        items.read(written(tmp_path, head, [[f"s{n}", 1, cell] for n in range(6)]))
    with pytest.raises(SettingsError, match="least"):
        items.read(written(tmp_path, head, [["s", 1, 1]]))
    with pytest.raises(SettingsError, match="least"):
        items.read(written(tmp_path, ["Overall average", "a", "b"], []))


def test_the_documented_misconceptions_have_keys_of_one_form():
    for path in QUIZZES:
        for item in quiz.load(path).items:
            assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", wrong.misconception) for wrong in item.wrong), item.key
