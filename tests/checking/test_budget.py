"""The switches of the environment: which words mean on and off, and that no other word means either."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sentences import one_sentence

from aevb_utils import budget
from aevb_utils.budget import switch
from aevb_utils.data.download import DataUnavailableError, report_fallback

ON, OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@pytest.mark.parametrize("word", ON)
def test_words_that_mean_on(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    for value in (word, word.upper(), word.title(), f" {word}\t"):
        monkeypatch.setenv("AEVB_FAST", value)
        assert switch("AEVB_FAST") is True


@pytest.mark.parametrize("word", OFF)
def test_words_that_mean_off(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    for value in (word, word.upper(), word.title(), f" {word}\t"):
        monkeypatch.setenv("AEVB_FAST", value)
        assert switch("AEVB_FAST") is False


def test_a_variable_that_is_not_set_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AEVB_FAST", raising=False)
    assert switch("AEVB_FAST") is False


environment_words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(environment_words)
@example("2")
@example("ja")
@example("tru")
@example("-1")
def test_any_word_means_on_or_off_or_is_refused(word: str) -> None:
    plain = word.strip().lower()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVB_FAST", word)
        if plain in ON + OFF:
            assert switch("AEVB_FAST") is (plain in ON)
        else:
            with pytest.raises(ValueError, match=r"^The environment variable AEVB_FAST should") as caught:
                switch("AEVB_FAST")
            one_sentence(caught.value)


def test_real_data_are_asked_for_by_the_same_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = DataUnavailableError("There is none.")
    monkeypatch.setenv("AEVB_REAL_DATA", "No")
    report_fallback(missing, instead="others")
    assert capsys.readouterr().out == "There is none. This run goes on with others.\n"
    monkeypatch.setenv("AEVB_REAL_DATA", "Yes")
    with pytest.raises(DataUnavailableError):
        report_fallback(missing, instead="others")
    monkeypatch.setenv("AEVB_REAL_DATA", "perhaps")
    with pytest.raises(ValueError, match="AEVB_REAL_DATA should be"):
        report_fallback(missing, instead="others")


@pytest.mark.parametrize(
    ("word", "said"), [("Off", "full"), ("on", "fast"), ("fast", "'fast'; correct it or unset it.")]
)
def test_the_budget_is_chosen_when_python_starts(word: str, said: str) -> None:
    script = Path(budget.__file__).read_text("utf-8") + "\nprint(budget(full='full', fast='fast'))\n"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"AEVB_FAST": word},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (run.stdout or run.stderr).strip().endswith(said)
