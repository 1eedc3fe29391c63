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
from aevb_utils.checking import answers_file, check_answer, exercises
from aevb_utils.checking.answers_file import answers_of, fault_of
from aevb_utils.results.json_files import BrokenFileError
from tools.notebooks import CHAPTERS

ENTRIES = {
    "99.1": {"answer": 1.8, "atol": 1e-6, "hint": "Add.", "misconceptions": [{"answer": 8.2, "hint": "Subtract."}]},
    "99.2": {"answer": "B", "hint": "Read again.", "misconceptions": [{"answer": "A", "hint": "Not A."}]},
    "99.3": {"answer": [1, 2.5], "hint": "Two.", "misconceptions": [{"answer": [2.5, 1], "hint": "Swapped."}]},
    "99.4": {"answer": 5, "atol": 0, "hint": "Round up.", "misconceptions": [{"answer": 4, "hint": "Up."}]},
}


@pytest.fixture(autouse=True)
def example_answers(monkeypatch):
    """Answers of a chapter that the book does not have."""
    monkeypatch.setattr(exercises, "_answers", lambda chapter: ENTRIES if chapter == "99" else {})


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
    "a complex number": ("99.1", 1.8 + 0j, "a complex number"),
    "a complex array": ("99.1", np.array([1.8 + 3j]), "a complex number"),
    "a complex tensor": ("99.3", torch.tensor([1.0, 2.5 + 1j]), "a complex number"),
    "a masked number": ("99.1", np.ma.masked_array([1.8], mask=[True]), "of the type MaskedArray"),
    "a date": ("99.4", np.datetime64(5, "D"), "of the type datetime64"),
    "a dictionary": ("99.1", {"answer": 1.8}, "of the type dict"),
    "a function": ("99.1", lambda: 1.8, "of the type function"),
    "words": ("99.1", "two", "the text 'two'"),
    "nothing": ("99.3", [], "has the shape (0,)"),
    "parts of several lengths": ("99.3", [[1], [1, 2]], "different shapes"),
    "a column": ("99.3", torch.tensor([[1.0], [2.5]]), "has the shape (2, 1)"),
    "a letter without quotes": ("99.2", 1.5, "a letter in quotes"),
    "almost, in bfloat16": ("99.4", torch.tensor(5.03125, dtype=torch.bfloat16), "Round up."),
    "almost": ("99.1", 1.80001, "Add."),
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
    assert said in one_sentence(out.removesuffix("\n"))


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
    hint = exercises._hint(value, ENTRIES[exercise])
    assert hint is None or one_sentence(hint)
    if hint is None and exercise == "99.4":
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
        {"hint": 3}, {"misconceptions": {}}, {"misconceptions": [3]}, {"misconceptions": [{"answer": 1}]}, {"more": 1},
        {"misconceptions": [{"answer": "A", "hint": "Not A."}]}, {"misconceptions": [{"answer": [1], "hint": "One."}]},
    ],
)  # fmt: skip
def test_an_entry_that_is_not_whole_is_found(change):
    assert fault_of(ENTRIES["99.1"]) is None
    assert fault_of(ENTRIES["99.1"] | change)
    for name in ("answer", "hint", "misconceptions"):
        assert fault_of({key: value for key, value in ENTRIES["99.1"].items() if key != name})


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_shipped_answers_are_whole(path):
    answers = answers_of(int(path.stem[:2]))
    assert answers
    assert all(fault_of(entry) is None for entry in answers.values())
