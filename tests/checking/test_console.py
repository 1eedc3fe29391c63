"""Lines on consoles with small character sets: printed, with plain marks for what is missing."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aevb_utils.checking import check_close, check_fails, check_true
from aevb_utils.checking.console import say

ENCODINGS = ["ascii", "cp1252", "cp437", "gbk", "shift_jis", "latin-1", "utf-8"]


def printed(encoding: str, call, *arguments) -> str:
    """What a call prints on a console of that encoding."""
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n", write_through=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", console)
        call(*arguments)
    return console.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS[:-1])
def test_a_check_that_holds_does_not_stop_on_a_console_without_its_mark(encoding):
    assert printed(encoding, check_true, "a claim", True) == "ok a claim\n"
    assert printed(encoding, check_fails, lambda: check_true("one", False)).startswith("x one\n")


def test_a_console_that_has_all_marks_gets_them():
    assert printed("utf-8", say, "✓ σ² ≤ ½ → −1 × …") == "✓ σ² ≤ ½ → −1 × …\n"


def test_what_is_missing_is_replaced_and_the_rest_stays():
    assert printed("ascii", say, "✓ σ² ≤ ½ → −1 × … 漢") == "ok sigma^2 <= 1/2 -> -1 x ... ?\n"
    assert printed("cp1252", say, "✗ ½ ≥ −1²") == "x ½ >= -1²\n"
    assert printed("cp437", check_close, "σ", -1.0, -1.0) == "ok σ: -1 = -1, difference 0.0e+00\n"


def test_mathematics_can_be_read_without_its_marks():
    assert printed("ascii", say, "ᾱ, β̃, ā, Λ₁₂, λ ← a, ±1, ⅔") == "alpha, beta~, a, lamda12, lamda <- a, +-1, 2/3\n"
    assert printed("ascii", say, "e⁴ ∇L ∝ ∫ q, Wᵀ, εⁿ") == "e^4 grad L ~ int q, W^T, epsilon^n\n"


def test_without_a_console_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    say("✓")


@given(st.text(alphabet=st.characters()), st.sampled_from(ENCODINGS))
def test_any_line_is_printed_on_any_console(line, encoding):
    out = printed(encoding, say, line)
    assert out.endswith("\n")
    assert len(out) >= len(line) + 1
