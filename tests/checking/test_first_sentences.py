"""What ``check_model`` says first of data and models that cannot be checked, and how often it says it."""

import math
import sys
from pathlib import Path

import pytest
import torch
from field_models import Frailty, MixedLogistic, Topics, with_rows
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from sentences import one_sentence
from torch.distributions import Bernoulli, Independent
from tqdm.auto import tqdm

from aevb_utils.checking import check_model
from aevb_utils.checking.comparisons import numbers_in_all
from aevb_utils.checking.places import is_the_readers, place


def said_by(model, *rows):
    """All that is in the error, on one line."""
    with pytest.raises((AssertionError, TypeError, ValueError)) as caught:
        check_model(model, *rows)
    return " ".join(str(caught.value).split())


# Data


def test_counts_as_whole_numbers():
    model, x, total = with_rows(Topics)
    assert said_by(model, x.long(), total) == (
        "x is torch.int64 and the model is torch.float64: convert x, as by x.to(torch.float64), counts and labels too, "
        "since it goes through a network."
    )


def test_a_context_of_whole_numbers_is_one():
    model, x, total = with_rows(Topics)
    check_model(model, x, total.long())


@pytest.mark.parametrize(
    ("which", "name"), [(0, "x"), (1, "The context 'ended'"), (2, "The context 'there'")], ids=["x", "first", "second"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_in_x_or_in_a_context(which, name, value):
    model, *rows = with_rows(Frailty)
    rows[which] = rows[which].clone()
    rows[which][2, 1] = value
    sentence = one_sentence(said_by(model, *rows))
    assert sentence == (
        f"{name} is {value} in row 2, column 1: leave such rows out, or fill them, before the check, and tell the "
        "model by a mask what is missing."
    )


def test_a_covariate_is_missing_although_x_is_binary():
    model, x, covariate = with_rows(MixedLogistic)
    covariate[x == 0] = math.nan
    assert said_by(model, x, covariate).startswith("The context 'covariate' is nan in row ")


# Models


def test_a_prior_without_the_context_is_right():
    model, x, covariate = with_rows(MixedLogistic)
    q, p_z, p_x_given_z = model.parts(x, covariate)
    assert p_z.batch_shape == ()
    assert p_x_given_z(q.sample((3,))).log_prob(x).shape == (3, 8)
    with pytest.raises(ValueError, match=r"^To draw 3 rows, each part of the context must have 3 rows, but they have"):
        model.sample(3, covariate)


class BySign(MixedLogistic):
    """A likelihood that takes one part of two."""

    def p_x_given_z(self, z, sign):
        return Independent(Bernoulli(logits=z * sign), 1)

    def q_z_given_x(self, x, covariate, sign):
        return super().q_z_given_x(x, covariate)

    def generative_parameters(self):
        return [self.log_sigma]


def test_a_likelihood_may_take_a_part_of_the_context():
    model, x, covariate = with_rows(BySign)
    model.b.requires_grad_(requires_grad=False)
    check_model(model, x, covariate, torch.ones_like(x))


@pytest.mark.parametrize("names", [["log_sigma"], ["b", "log_sigma"], ["encoder.0.bias"]], ids=" ".join)
def test_a_frozen_parameter_is_skipped_and_named(names, capsys):
    model, *rows = with_rows(MixedLogistic)
    for name in names:
        model.get_parameter(name).requires_grad_(requires_grad=False)
    check_model(model, *rows)
    out = " ".join(capsys.readouterr().out.split())
    frozen = ", ".join(names)
    assert out.startswith(
        f"– skipped: {frozen}, frozen on purpose (requires_grad is False), so that no gradient and no step is asked of "
        "it ✓ q(z | x)"
    )
    assert out.endswith("All 19 checks hold.")


def test_a_parameter_that_is_frozen_may_be_in_neither_list():
    class OneFrozen(MixedLogistic):
        def generative_parameters(self):
            return [self.log_sigma]

    model, *rows = with_rows(OneFrozen)
    assert "b: in neither" in said_by(model, *rows)
    model.b.requires_grad_(requires_grad=False)
    check_model(model, *rows)


# How often


class CannotSample(MixedLogistic):
    def sample(self, n, covariate):
        raise KeyError("no such thing")


def test_one_cause_is_told_once(capsys):
    said = said_by(*with_rows(CannotSample))
    assert said.startswith(
        "3 of 19 checks fail, for 1 reason; the first is nearest to the cause. ✗ The same seed gives"
    )
    assert said.count("✗") == said.count("KeyError: 'no such thing'") == 1
    assert "✗" not in capsys.readouterr().out


class OneTerm(MixedLogistic):
    def elbo_terms(self, x, covariate, *, num_samples=1):
        return {"elbo": sum(super().elbo_terms(x, covariate, num_samples=num_samples).values())}


def test_after_one_of_the_first_three_no_other_is_made(capsys):
    said = said_by(*with_rows(OneTerm))
    assert said == (
        "1 of 19 checks fails; the 16 after it need what it looks at, and are not made. ✗ elbo_terms, elbo and "
        "log_weights give one finite number a datum (and sample), for one row too. → elbo_terms must return a "
        "dictionary with a term named 'reconstruction', E_q[log p(x | z)]."
    )
    assert capsys.readouterr().out.count("✓") == 2


# Where


def test_code_of_the_reader_is_told_from_libraries():
    assert is_the_readers(__file__)
    assert is_the_readers("<stdin>")
    assert not any(
        map(is_the_readers, (torch.__file__, sys.modules["json"].__file__, check_model.__code__.co_filename))
    )
    assert not is_the_readers("<frozen importlib._bootstrap>")


def test_a_file_below_the_folder_one_works_in_is_named_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place(str(tmp_path / "models" / "mine.py"), 3).replace("\\", "/") == "models/mine.py, line 3"
    assert place(str(tmp_path.parent / "mine.py"), 3) == f"{tmp_path.parent / 'mine.py'}, line 3"


CELLS = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})",
    "from field_models import MixedLogistic, with_rows\nfrom aevb_utils.checking import check_model",
    """class NotWrapped(MixedLogistic):
    def p_z(self):
        return super().p_z().base_dist
class NotCalled(MixedLogistic):
    def p_z(self):
        return super().p_z.base_dist""",
    """for kind in (NotWrapped, NotCalled):
    try:
        check_model(*with_rows(kind))
    except AssertionError as error:
        print(' '.join(str(error).split()))""",
)


def test_in_a_notebook_the_cell_is_named():
    notebook = new_notebook(cells=[new_code_cell(each) for each in CELLS])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    first, second = "".join(
        each["text"] for each in notebook.cells[-1]["outputs"] if each["name"] == "stdout"
    ).splitlines()
    assert "✗ p_z (cell In[3], line 2) is not wrapped in Independent" in first
    assert "(cell In[3], line 6, in p_z: return super().p_z.base_dist)" in second


# How long


@pytest.mark.parametrize("kind", [Frailty, MixedLogistic], ids=lambda kind: kind.__name__)
def test_the_bar_moves_to_its_end(kind, monkeypatch):
    seen = []

    class Bar(tqdm):
        def update(self, n=1):
            seen.append(n)
            return super().update(n)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    model, *rows = with_rows(kind)
    check_model(model, *rows)
    assert min(seen) >= 0
    total = numbers_in_all(rows[0], exact=kind is Frailty)
    assert 0.8 * total <= sum(seen) <= total
    assert max(seen) <= 0.35 * total, "one step of the bar is a large part of the time"
