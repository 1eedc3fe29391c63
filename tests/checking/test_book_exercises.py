"""What the exercises of the book answer: right, rounded, in another form, with known mistakes, and with wrong code."""

import io
import re
import sys
from functools import cache

import numpy as np
import pytest
import torch
from exercise_functions import SOLUTIONS
from torch import Tensor

from aevb_utils.checking import check_answer, tries
from aevb_utils.checking.answers_file import answers_of
from aevb_utils.checking.console import say
from aevb_utils.checking.findings import find
from tools.notebooks import CHAPTERS, read, tags

ANSWERS = {name: entry for path in CHAPTERS for name, entry in answers_of(int(path.stem[:2])).items()}
NUMERIC = [name for name, entry in ANSWERS.items() if not isinstance(entry["answer"], str)]
LISTS = [name for name in NUMERIC if np.ndim(ANSWERS[name]["answer"])]
MISCONCEPTIONS = [(name, i) for name, entry in ANSWERS.items() for i in range(len(entry["misconceptions"]))]

ROUNDED_TO_A_MISTAKE = {("2.6", 2), ("4.6", 2), ("8.6", 2), ("12.6", 2)}
"""To so few digits it is nearer to a misconception: −2000 to a single Poisson, 1.0 to humps without a width, −11 to the
most likely label alone."""

every_exercise = pytest.mark.parametrize("name", ANSWERS)
every_number = pytest.mark.parametrize("name", NUMERIC)


@pytest.fixture(autouse=True)
def new_kernel(monkeypatch):
    """A kernel in which nothing has been tried yet."""
    monkeypatch.setattr(tries, "_missed", {})


def answered(capsys, name, value) -> str:
    """What a value is answered, a line without the part that is the same for all."""
    check_answer(name, value)
    (line,) = capsys.readouterr().out.splitlines()
    return line.removeprefix(f"✗ exercise {name}: not yet. ")


def rounded(value, digits):
    """A number to so many significant digits; a whole number as it is."""
    return value if float(value).is_integer() else float(f"{value:.{digits}g}")


def with_entry(answer, index, value):
    """The answer with one of its entries exchanged."""
    changed = np.array(answer, dtype=float)
    changed[index] = value
    return changed.tolist()


def texts_of(entry):
    """All that may be said of an exercise."""
    return [entry["question"], entry["hint"], entry["way"], *(m["hint"] for m in entry["misconceptions"])]


# Right, and right in another form


@every_exercise
def test_the_right_answer_is_right(name, capsys):
    assert answered(capsys, name, ANSWERS[name]["answer"]) == f"✓ exercise {name}: right."


@pytest.mark.parametrize("digits", [2, 3, 4])
@every_number
def test_a_rounded_answer_is_right(name, digits, capsys):
    value = np.vectorize(lambda entry: rounded(entry, digits))(np.array(ANSWERS[name]["answer"], dtype=float)).tolist()
    said = answered(capsys, name, value)
    if (name, digits) in ROUNDED_TO_A_MISTAKE:
        assert said in {misconception["hint"] for misconception in ANSWERS[name]["misconceptions"]}
    else:
        assert re.fullmatch(rf"✓ exercise {name}: right(, to (two|three|four|five|six) digits)?\.", said)


@every_number
def test_the_wrong_number_of_values_is_named(name):
    flat = np.ravel(ANSWERS[name]["answer"]).tolist()
    for value in ([*flat, 1.0], flat[:-1]):
        finding = find(value, ANSWERS[name])
        assert finding.kind == "length"
        assert re.fullmatch(r".* expected, and \w+ (is|are) given\.", finding.text)


@pytest.mark.parametrize("name", LISTS)
def test_another_shape_is_named(name):
    answer = np.array(ANSWERS[name]["answer"], dtype=float)
    for value in (answer[..., None], answer[..., None, :]):
        if answer.ndim > bool(ANSWERS[name].get("parts")):
            assert find(value, ANSWERS[name]).text.startswith("The numbers are right; the shape is (")
        else:
            assert find(value, ANSWERS[name]).kind == "right"


@every_number
def test_a_percentage_is_named_where_the_answer_may_be_one(name):
    answer = np.array(ANSWERS[name]["answer"], dtype=float)
    finding = find((100 * answer).tolist(), ANSWERS[name])
    is_share = ((answer > 0) & (answer <= 1)).all()
    assert (finding.kind == "percentage") == is_share


# Wrong, entry by entry


@every_number
def test_one_wrong_entry_is_told_from_those_that_are_right(name):
    answer = np.array(ANSWERS[name]["answer"], dtype=float)
    for index in np.ndindex(answer.shape):
        finding = find(with_entry(answer, index, 1.7 * answer[index] + 0.37), ANSWERS[name])
        assert finding.kind == ("partly" if answer.ndim else "wrong")
        assert not answer.ndim or re.search(
            r"(is|are) right, .* (is|are) not yet|^Right for .*, not yet for", finding.text
        )


@every_number
def test_a_wrong_sign_is_named(name):
    answer = np.array(ANSWERS[name]["answer"], dtype=float)
    flipped = [-answer] + [with_entry(answer, index, -answer[index]) for index in np.ndindex(answer.shape)]
    for value in flipped:
        if not np.array_equal(value, answer):
            finding = find(value, ANSWERS[name])
            assert finding.kind in ("sign", "misconception")
            assert finding.kind == "misconception" or re.search("sizes? (is|are) right", finding.text)


@pytest.mark.parametrize("name", LISTS)
def test_exchanged_entries_are_named(name):
    answer, points = np.array(ANSWERS[name]["answer"], dtype=float), bool(ANSWERS[name].get("parts"))
    exchanged = answer[..., ::-1]
    if answer.ndim > points and not np.array_equal(exchanged, answer):
        assert find(exchanged.tolist(), ANSWERS[name]).kind in ("swapped", "misconception")


@pytest.mark.parametrize(("name", "i"), MISCONCEPTIONS)
def test_a_misconception_meets_its_own_hint(name, i, capsys):
    misconception = ANSWERS[name]["misconceptions"][i]
    said = answered(capsys, name, misconception["answer"])
    assert said.endswith(misconception["hint"])
    assert ANSWERS[name]["way"] not in said


@every_exercise
def test_three_mistakes_are_known(name):
    hints = [misconception["hint"] for misconception in ANSWERS[name]["misconceptions"]]
    assert len(hints) >= 3
    assert len({str(misconception["answer"]) for misconception in ANSWERS[name]["misconceptions"]}) == len(hints)


# The solution is never told at once


@every_exercise
def test_a_question_comes_first_then_the_hint_then_the_way(name, capsys):
    answer = ANSWERS[name]["answer"]
    if isinstance(answer, str):
        values = ["X", "Y", "Z"]
    else:
        values = [(factor * np.abs(answer) + 0.37).tolist() for factor in (2.7, 5.3, 7.9)]
    ways = [ANSWERS[name][part] for part in ("question", "hint", "way")]
    for value, expected in zip(values, ways, strict=True):
        said = answered(capsys, name, value)
        assert said.endswith(expected)
        assert not any(other in said for other in ways if other != expected)


def numbers_in(text):
    """The numbers in some text: not those of equations, of powers and quotients, nor arguments of functions."""
    text = re.sub(r"\(\d+\.\d+\)", "", text).replace("−", "-")
    return [float(found) for found in re.findall(r"(?<![\w.(^/])-?\d+(?:\.\d+)?(?![\w./!])", text)]


@every_number
def test_what_is_said_first_does_not_hold_the_answer(name):
    entry = ANSWERS[name]
    answer = np.abs(np.ravel(entry["answer"]).astype(float))
    for text in (entry["question"], entry["hint"], *(m["hint"] for m in entry["misconceptions"])):
        for number in np.abs(numbers_in(text)):
            assert (np.abs(answer - number) > 0.005 * answer)[answer > 0].all(), text


@every_exercise
def test_texts_are_short_sentences(name):
    entry = ANSWERS[name]
    assert entry["question"].endswith("?")
    for text in texts_of(entry):
        assert text.endswith((".", "?"))
        assert len(re.findall(r"[.?!] (?=[A-Z])", text)) <= 1, text
        assert len(text) <= 180, text


@every_exercise
def test_every_text_can_be_read_on_a_small_console(name, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", console)
    for text in texts_of(ANSWERS[name]):
        say(text)
    printed = console.buffer.getvalue().decode("ascii")
    assert printed.count("?") == sum(text.count("?") for text in texts_of(ANSWERS[name])), printed


# Functions


@cache
def tagged(chapter, tag):
    """The code cells of a chapter that have a tag."""
    (path,) = (path for path in CHAPTERS if int(path.stem[:2]) == chapter)
    return [cell.source for cell in read(path).cells if cell.cell_type == "code" and tag in tags(cell)]


def cell_of(name, tag):
    """An exercise's code cell with that tag."""
    chapter, number = map(int, name.split("."))
    return tagged(chapter, tag)[number - 1]


def printed_by_check(name, solution, capsys):
    """What the check cell of an exercise prints for a solution, given as a function."""
    stub, check = cell_of(name, "exercise"), cell_of(name, "check")
    cells = {"torch": torch, "Tensor": Tensor, "check_answer": check_answer}
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        exec(stub, cells)
        (function,) = re.findall(r"^def (\w+)", stub, flags=re.MULTILINE)
        if solution is not None:
            cells[function] = solution
        points = re.findall(r"^points = .*", cell_of("1.2", "check"), flags=re.MULTILINE)
        exec("\n".join([*points, check]), cells)
    finally:
        torch.set_default_dtype(dtype)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_function_is_told_right_from_wrong(name, capsys):
    assert printed_by_check(name, None, capsys).startswith(f"· exercise {name}: not answered yet")
    for what, solution in SOLUTIONS[name].items():
        out = printed_by_check(name, solution, capsys)
        assert out.startswith(f"{'✓' if what == 'right' else '✗'} exercise {name}: "), (what, out)


def test_every_exercise_that_asks_for_a_function_has_solutions_here():
    asked = {name for name in ANSWERS if re.search(r"^def \w+", cell_of(name, "exercise"), flags=re.MULTILINE)}
    assert asked == set(SOLUTIONS)
    assert all(len(ANSWERS[name]["parts"]) > 1 for name in asked)
