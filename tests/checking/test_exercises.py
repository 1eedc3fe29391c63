"""Answers in every form that a reader may give them, and answer files that are whole or refused."""

import decimal
import fractions
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentences import one_sentence

from aevb_utils import results
from aevb_utils.checking import answers_file, check_answer, exercises, tries
from aevb_utils.checking.answers_file import answers_of, fault_of
from aevb_utils.checking.findings import find
from aevb_utils.results.json_files import BrokenFileError

TEXTS = {"question": "What is asked?", "hint": "Look there.", "way": "Go this way."}
ENTRIES = {
    "99.1": {"answer": 1.8, "atol": 1e-6, **TEXTS, "misconceptions": [{"answer": 8.2, "hint": "Subtract."}]},
    "99.2": {"answer": "B", **TEXTS, "misconceptions": [{"answer": "A", "hint": "Not A."}]},
    "99.3": {"answer": [1, 2.5], **TEXTS, "misconceptions": [{"answer": [2.5, 3], "hint": "One less."}]},
    "99.4": {"answer": 5, "atol": 0, **TEXTS, "misconceptions": [{"answer": 4, "hint": "Up."}]},
    "99.5": {
        "answer": [[0.123456, 2.5], [1.5, -3.25]],
        "atol": 1e-6,
        "parts": ["x = 1", "x = 3"],
        **TEXTS,
        "misconceptions": [],
    },
    "99.6": {
        "answer": 0.423146,
        "atol": 1e-5,
        **TEXTS,
        "misconceptions": [{"answer": 0.4163, "hint": "Not so."}, {"answer": 0.292057, "hint": "The prior."}],
    },
    "99.7": {"answer": [0.19, 1.0, 0.830366], "atol": 1e-5, **TEXTS, "misconceptions": []},
    "99.10": {"answer": 1.04, "atol": 1e-6, **TEXTS, "misconceptions": [{"answer": 1.0, "hint": "The width."}]},
    "99.8": {"answer": [1.25, 2.75], "atol": 1e-6, "parts": ["x = 1", "x = 3"], **TEXTS, "misconceptions": []},
}


@pytest.fixture(autouse=True)
def example_answers(monkeypatch):
    """Answers of a chapter that the book does not have, and a kernel that has just started."""
    monkeypatch.setattr(exercises, "_answers", lambda chapter: ENTRIES if chapter == "99" else {})
    monkeypatch.setattr(tries, "_missed", {})


RIGHT = {
    "bfloat16": ("99.1", torch.tensor(1.8, dtype=torch.bfloat16)),
    "bfloat16 that takes gradients": ("99.1", torch.tensor(1.8, dtype=torch.bfloat16, requires_grad=True)),
    "float16": ("99.1", torch.tensor([1.8]).half()),
    "float32": ("99.1", np.float32(1.8)),
    "float16 of numpy": ("99.1", np.float16(1.8)),
    "the other byte order": ("99.1", np.array(1.8, dtype=">f8")),
    "a fraction": ("99.1", fractions.Fraction(9, 5)),
    "a decimal": ("99.1", decimal.Decimal("1.8")),
    "digits": ("99.1", "1.8"),
    "a parameter": ("99.1", torch.nn.Parameter(torch.tensor(1.8))),
    "a list of tensors": ("99.3", [torch.tensor(1.0, requires_grad=True), torch.tensor(2.5, dtype=torch.bfloat16)]),
    "numbers of two formats": ("99.3", (np.uint8(1), 2.5)),
    "a sparse tensor": ("99.3", torch.tensor([1, 2.5]).to_sparse()),
    "text of numpy": ("99.2", np.str_(" b ")),
    "a whole number": ("99.4", torch.tensor(5, dtype=torch.uint8)),
}
WRONG = {
    "None": ("99.1", None, "this is None"),
    "a huge number": ("99.1", 10**400, "a whole number beyond them"),
    "a huge negative number": ("99.1", [-(10**400)], "a whole number beyond them"),
    "NaN": ("99.1", float("nan"), "NaN or infinity"),
    "minus infinity": ("99.3", [1, -torch.inf], "NaN or infinity"),
    "an object that holds arrays": ("99.3", np.array([np.ones(2), np.ones(3)], dtype=object), "float64"),
    "a tensor without numbers": ("99.1", torch.ones((), device="meta"), "no plain one"),
    "a complex number": ("99.1", 1.8 + 0j, "a complex number"),
    "a complex array": ("99.1", np.array([1.8 + 3j]), "a complex number"),
    "a complex tensor": ("99.3", torch.tensor([1.0, 2.5 + 1j]), "a complex number"),
    "a masked number": ("99.1", np.ma.masked_array([1.8], mask=[True]), "of the type MaskedArray"),
    "a date": ("99.4", np.datetime64(5, "D"), "of the type datetime64"),
    "a dictionary": ("99.1", {"answer": 1.8}, "of the type dict"),
    "a function": ("99.1", lambda: 1.8, "of the type function"),
    "words": ("99.1", "two", "the text 'two'"),
    "nothing": ("99.3", [], "Two numbers are expected, and none is given."),
    "parts of several lengths": ("99.3", [[1], [1, 2]], "different shapes"),
    "a column": ("99.3", torch.tensor([[1.0], [2.5]]), "The numbers are right; the shape is (2, 1), not (2,)."),
    "a wrong column": ("99.3", [[1], [3]], "The shape is (2, 1), and the answer has the shape (2,)."),
    "one number for two": ("99.3", 1, "Two numbers are expected, and one is given."),
    "three numbers for two": ("99.3", [1, 2.5, 3], "Two numbers are expected, and three are given."),
    "two numbers for one": ("99.1", [1.8, 1.8], "One number is expected, and two are given."),
    "a column at each point": ("99.5", torch.tensor(ENTRIES["99.5"]["answer"])[..., None], "is (2, 1), not (2,)."),
    "a number at each point": ("99.5", [1, 2], "At each point two numbers are expected, and one is given."),
    "points missing": ("99.5", [[1, 2]], "Four numbers are expected, and two are given."),
    "a percentage": ("99.6", 42.3146, "not a percentage"),
    "a rounded percentage": ("99.6", 42.3, "not a percentage"),
    "a letter without quotes": ("99.2", 1.5, "a letter in quotes"),
    "almost, in bfloat16": ("99.4", torch.tensor(5.03125, dtype=torch.bfloat16), "What is asked?"),
    "almost": ("99.1", 1.80001, "Close, within 1 %"),
}


@pytest.mark.parametrize(("exercise", "value"), RIGHT.values(), ids=RIGHT)
def test_a_right_answer_is_right_in_every_form(exercise, value, capsys):
    check_answer(exercise, value)
    assert capsys.readouterr().out == f"✓ exercise {exercise}: right.\n"


@pytest.mark.parametrize(("exercise", "value", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_answer_is_told_apart_from_a_wrong_one(exercise, value, said, capsys):
    check_answer(exercise, value)
    out = capsys.readouterr().out
    assert out.startswith(f"✗ exercise {exercise}: not yet. ")
    assert out.count("\n") == 1
    assert said in out


ROUNDED = {
    "two digits": ("99.6", 0.42, "two"),
    "three digits": ("99.6", 0.423, "three"),
    "text": ("99.6", "0.4231", "four"),
    "two digits in float32": ("99.6", torch.tensor(0.42), "two"),
    "a list": ("99.7", [0.19, 1, 0.83], "three"),
    "at points": ("99.5", [[0.12, 2.5], [1.5, -3.25]], "two"),
}


@pytest.mark.parametrize(("exercise", "value", "digits"), ROUNDED.values(), ids=ROUNDED)
def test_a_rounded_answer_is_right_to_its_digits(exercise, value, digits, capsys):
    check_answer(exercise, value)
    assert capsys.readouterr().out == f"✓ exercise {exercise}: right, to {digits} digits.\n"


FOUND = {
    "one digit only": ("99.6", 0.4, "wrong", ""),
    "cut off, not rounded": ("99.7", [0.19, 1, 0.8303], "close", "Close"),
    "digits of its own": ("99.6", 0.4232, "close", "Close"),
    "a whole number is not rounded": ("99.4", 5.2, "wrong", ""),
    "nearer to a misconception": ("99.10", 1.0, "misconception", "The width."),
    "a rounded misconception": ("99.6", 0.29, "misconception", "The prior."),
    "the other order": ("99.3", [2.5, 1], "swapped", "The numbers are right, in the other order."),
    "another order": ("99.7", [0.83, 0.19, 1], "swapped", "The numbers are right, in another order."),
    "another order at each point": ("99.5", [[2.5, 0.123456], [-3.25, 1.5]], "swapped", "in the other order"),
    "points are not exchanged": ("99.8", [2.75, 1.25], "wrong", "None of the two is right yet."),
    "a sign": ("99.6", -0.423, "sign", "The size is right, the sign is not."),
    "all signs": ("99.3", [-1, -2.5], "sign", "The sizes are right, the signs are not."),
    "one sign": ("99.7", [0.19, 1, -0.83], "sign", "The sizes are right; the sign is not, that of the third."),
    "two signs": ("99.7", [-0.19, 1, -0.83], "sign", "is not, that of the first and that of the third."),
    "a sign at a point": ("99.8", [1.25, -2.75], "sign", "the sign is not, that for x = 3."),
    "one of three": ("99.7", [0.19, 2, 7], "partly", "The first is right, the second and the third are not yet."),
    "two of three": ("99.7", [5, 1, 0.83], "partly", "The second and the third are right, the first is not yet."),
    "one point": ("99.8", [1.25, 9], "partly", "Right for x = 1, not yet for x = 3."),
    "one point of pairs": ("99.5", [[0.123456, 7], [1.5, -3.25]], "partly", "Right for x = 3, not yet for x = 1."),
    "one of a pair": ("99.5", [[0.123456, 7], [1.5, 8]], "partly", "The first is right, the second is not yet."),
    "none of three": ("99.7", [5, 6, 7], "wrong", "None of the three is right yet."),
}


@pytest.mark.parametrize(("exercise", "value", "kind", "said"), FOUND.values(), ids=FOUND)
def test_what_a_value_is_found_to_be(exercise, value, kind, said):
    finding = find(value, ENTRIES[exercise])
    assert finding.kind == kind
    assert said in finding.text
    assert finding.text or not said


# How often


def said_to(capsys, exercise, *values):
    """What each value is answered, without what all answers begin with."""
    for value in values:
        check_answer(exercise, value)
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix(f"✗ exercise {exercise}: not yet. ") for line in lines]


QUESTION, HINT, WAY = TEXTS.values()


def test_a_question_comes_before_the_hint_and_the_hint_before_the_way(capsys):
    assert said_to(capsys, "99.1", 2.2, 2.3, 2.4, 2.5) == [QUESTION, HINT, WAY, WAY]


def test_the_same_value_again_is_no_new_try(capsys):
    assert said_to(capsys, "99.1", 2.2, 2.2, [2.2], 2.3, 2.2, 2.4) == [QUESTION] * 3 + [HINT] * 2 + [WAY]
    assert said_to(capsys, "99.2", "C", " c ", "D") == [QUESTION] * 2 + [HINT]


def test_a_right_answer_begins_anew(capsys):
    assert said_to(capsys, "99.1", 2.2, 2.3, 1.8, 2.4) == [QUESTION, HINT, "✓ exercise 99.1: right.", QUESTION]


def test_each_exercise_is_counted_by_itself(capsys):
    assert said_to(capsys, "99.1", 2.2, 2.3) == [QUESTION, HINT]
    assert said_to(capsys, "99.4", 9) == [QUESTION]


def test_a_recognized_mistake_gets_its_own_hint_and_counts(capsys):
    assert said_to(capsys, "99.1", 8.2, 2.2, 8.2, 2.3) == ["Subtract.", HINT, "Subtract.", WAY]
    assert said_to(capsys, "99.1", 8.2) == [f"Subtract. {WAY}"]


def test_another_form_and_no_answer_are_no_tries(capsys):
    check_answer("99.6", ...)
    check_answer("99.6", [0.5, ...])
    lines = said_to(capsys, "99.6", [1, 2], 42.3, None, 0.9)
    assert all("not answered yet" in line for line in lines[:2])
    assert lines[-1] == QUESTION


def test_of_a_list_the_right_entries_come_first(capsys):
    assert said_to(capsys, "99.7", [0.19, 2, 7], [5, 6, 7]) == [
        f"The first is right, the second and the third are not yet. {QUESTION}",
        f"None of the three is right yet. {HINT}",
    ]
    assert said_to(capsys, "99.3", [2.5, 3]) == ["One less."]


@pytest.mark.parametrize("name", [2.3, 2, None, ["2.3"], b"2.3", 10**400])
def test_an_exercise_is_named_by_text(name):
    with pytest.raises(ValueError, match=r"An exercise is named by text, as in check_answer\(\"2.3\", …\)") as caught:
        check_answer(name, 1.8)
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "name", ["", "99", "99.1\n", " 99.1", "99.1.1", "../../x.1", "9\0.1", "٩٩.1", "999999.1", "99.9"]
)
def test_an_unknown_name_is_a_sentence(name):
    with pytest.raises(ValueError, match="There is no exercise"):
        check_answer(name, 1.8)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)


@given(st.sampled_from(list(ENTRIES)), anything)
def test_any_value_gets_one_line(exercise, value):
    finding = find(value, ENTRIES[exercise])
    assert finding.right or not finding.text or finding.text.endswith((".", "?"))
    assert "\n" not in finding.text
    if finding.right and exercise == "99.4":
        assert value in (5, [5], "5") or float(np.asarray(value, dtype=float).squeeze()) == 5


# The files


BROKEN = {
    "a list": "[]",
    "half of it": '{"99.1": ',
    "nothing": "",
    "an empty entry": '{"99.1": {}}',
    "an entry twice": '{"99.1": %s, "99.1": %s}' % ((json.dumps(ENTRIES["99.1"]),) * 2),
    "deep nesting": "[" * 100_000,
    "NaN": json.dumps({"99.1": ENTRIES["99.1"]}).replace("1.8", "NaN"),
}


@pytest.mark.parametrize("content", [*BROKEN.values(), "\xe9"], ids=[*BROKEN, "no UTF-8"])
def test_a_broken_file_of_answers_is_a_sentence_that_names_it(tmp_path, monkeypatch, content):
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / "chapter_77.json").write_text(content, encoding="latin-1")
    monkeypatch.setattr(answers_file.resources, "files", lambda package: tmp_path)
    with pytest.raises(BrokenFileError, match=r"chapter_77\.json is broken") as caught:
        answers_of.__wrapped__(77)
    one_sentence(caught.value)


@given(st.data())
def test_a_damaged_file_of_answers_is_whole_or_refused_in_a_sentence(tmp_path_factory, data):
    content = bytearray(json.dumps(ENTRIES, indent=1).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
    folder = tmp_path_factory.getbasetemp() / "answers"
    folder.mkdir(exist_ok=True)
    (folder / "chapter_77.json").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers_file.resources, "files", lambda package: folder.parent)
        try:
            assert all(fault_of(entry) is None for entry in answers_of.__wrapped__(77).values())
        except BrokenFileError as error:
            one_sentence(error)


@pytest.mark.parametrize("content", ["[]", "{", "", '{"figures": 1, "figures": 2}', "[" * 100_000, '{"minutes": 1}'])
def test_broken_results_are_a_sentence_that_names_the_file(tmp_path, monkeypatch, content):
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr(results.resources, "files", lambda package: tmp_path)
    with pytest.raises(BrokenFileError, match=r"run\.json (is broken|has no)") as caught:
        results.load("run")
    one_sentence(caught.value)


@pytest.mark.parametrize("name", ["../results/vae_mnist", "/etc/hostname", "vae_mnist.json", "", None, 3, "\0"])
def test_results_are_those_of_the_folder(name):
    with pytest.raises(ValueError, match="There are no results") as caught:
        results.load(name)
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"answer": True}, {"answer": None}, {"answer": []}, {"answer": [1, [2]]}, {"answer": ["A"]}, {"answer": ""},
        {"answer": 10**400}, {"answer": {"a": 1}}, {"atol": -1}, {"atol": "0.1"}, {"atol": None}, {"hint": ""},
        {"hint": 3}, {"question": " "}, {"way": None}, {"way": "one\ntwo"}, {"more": 1}, {"misconceptions": {}},
        {"misconceptions": [3]}, {"misconceptions": [{"answer": 1}]},
        {"misconceptions": [{"answer": 1, "hint": "One.", "way": "?"}]},
        {"misconceptions": [{"answer": 1, "hint": "One.", "parts": []}]},
        {"parts": ["x = 1"]}, {"parts": "x"}, {"answer": [1.8], "misconceptions": [], "parts": [1]},
        {"answer": [1.8], "misconceptions": [], "parts": ["x", "y"]},
        {"answer": "A", "misconceptions": [], "parts": ["x"]},
        {"misconceptions": [{"answer": "A", "hint": "Not A."}]}, {"misconceptions": [{"answer": [1], "hint": "One."}]},
    ],
)  # fmt: skip
def test_an_entry_that_is_not_whole_is_found(change):
    assert fault_of(ENTRIES["99.1"]) is None
    assert fault_of(ENTRIES["99.1"] | change)
    for name in ("answer", "question", "hint", "way", "misconceptions"):
        assert fault_of({key: value for key, value in ENTRIES["99.1"].items() if key != name}) == f"it lacks its {name}"


def test_a_misspelt_key_is_named():
    assert fault_of(ENTRIES["99.1"] | {"quesiton": "What?"}).startswith("it has 'quesiton', and must have answer, ")
    assert "'hnit'" in fault_of(ENTRIES["99.1"] | {"misconceptions": [{"answer": 1, "hint": "One.", "hnit": "?"}]})
    assert fault_of(ENTRIES["99.5"]) is None


def test_a_rounded_list_that_is_nearer_a_mistake_gets_the_mistakes_hint():
    mistake = {"answer": [0.12, 0.46], "hint": "Not these."}
    entry = {"answer": [0.123, 0.456], "atol": 1e-6, "misconceptions": [mistake]}
    finding = find([0.12, 0.46], entry)
    assert (finding.kind, finding.text) == ("misconception", "Not these.")
