"""Fingerprints: a run that behaves in the same way has the same one, and planted changes are caught."""

import dataclasses
import math
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from latent_models import Conjugate, data_of
from matplotlib.backend_bases import FigureCanvasBase
from torch.optim.optimizer import _global_optimizer_post_hooks

from aevb_utils import budget, checking
from aevb_utils.figures import viewer
from aevb_utils.training import fit
from tools.fast_run import said
from tools.fingerprint import CHECKS, Recorder
from tools.rows import differences, figures_rows, same_print, summary


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """A small piece of a book: what may go wrong in it is a setting."""

    sign: float = 1.0
    seed: int = 0
    constant: float = 0.5 * math.log(2 * math.pi)
    samples: int = 2
    batch_size: int = 8
    learning_rate: float = 1e-2
    eps: float = 1e-8
    order: int = 1
    weight_decay: float = 0.0
    epochs: int = 5
    color: str = "tab:blue"
    unit: str = "nats"
    dtype: torch.dtype = torch.float64

    def run(self) -> list:
        """The rows that the run leaves."""
        recorder = Recorder()
        with recorder.recording():
            recorder.place("training")
            torch.manual_seed(3)
            model = Conjugate().to(self.dtype)
            x = data_of(model, 40).to(self.dtype)[:: self.order] if self.order > 0 else data_of(model, 40).flip(0)
            optimizer = torch.optim.Adam(
                model.parameters(), lr=self.learning_rate, eps=self.eps, weight_decay=self.weight_decay
            )
            options = {"epochs": self.epochs, "batch_size": self.batch_size, "num_samples": self.samples}
            history = fit(model, x.to(self.dtype), optimizer=optimizer, seed=self.seed, **options)
            recorder.place("checks")
            elbo = self.sign * history.elbo[-1].item() - self.constant
            checking.check_at_most("an ELBO that is not too high", elbo, 1e6)
            recorder.text(f"ELBO {elbo:.3f} {self.unit}")
            plt.plot(history.elbo, color=self.color)
            recorder.close()
        return recorder.rows


SAME = {
    "nothing": {},
    "a setting that says the same": {"sign": 1, "constant": 0.9189385332046727},
}
CHANGES = {
    "a sign": {"sign": -1.0},
    "a seed": {"seed": 1},
    "a dropped constant": {"constant": 0.0},
    "a default": {"samples": 1},
    "the order of the data": {"order": -1},
    "the size of a batch": {"batch_size": 10},
    "the optimizer's tolerance": {"eps": 1e-6},
    "its step size": {"learning_rate": 1.01e-2},
    "its decay": {"weight_decay": 1e-4},
    "an epoch": {"epochs": 6},
    "a color": {"color": "tab:orange"},
    "a word": {"unit": "bits"},
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_same_behaviour_has_the_same_fingerprint(capsys, dtype, change):
    assert differences(Behaviour(dtype=dtype).run(), Behaviour(dtype=dtype, **change).run()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_planted_change_is_caught(capsys, dtype, change):
    assert differences(Behaviour(dtype=dtype).run(), Behaviour(dtype=dtype, **change).run())


def test_everything_is_put_back(capsys):
    def patched():
        checks = {name: getattr(checking, name) for name in CHECKS}
        return checks, FigureCanvasBase.print_figure, budget.budget, dict(_global_optimizer_post_hooks)

    before = patched()
    Behaviour().run()
    assert patched() == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize("middle", [2, 3])
def test_a_frame_that_only_the_full_run_draws_is_noted(monkeypatch, middle):
    monkeypatch.setattr(budget, "FAST", True)

    def frames(*positions):
        recorder = Recorder()
        with recorder.recording():
            recorder.place("cell")
            viewer(
                lambda k: plt.figure(figsize=(1, 1)), {"k": positions}, alt=lambda k: f"frame {k}", caption="A frame."
            )
            recorder.close()
        return recorder.rows

    assert (differences(frames(1, 2, 4), frames(1, middle, 4)) == []) == (middle == 2)


def rows(*values, kind="float64"):
    return [["here 1: it", kind, *values]]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (rows(1.0, 2.0), rows(1.0, 2.0 + 1e-9), True),
        (rows(1.0, 2.0), rows(1.0, 2.0 + 1e-8), False),
        (rows(1.0, kind="float32"), rows(1.00005, kind="float32"), True),
        (rows(1.0, kind="float32"), rows(1.0003, kind="float32"), False),
        (rows(1.0), rows(1.00005, kind="float32"), True),
        (rows(1e-16, 0.0), rows(3e-16, 0.0), True),
        (rows(3, 1.0), rows(4, 1.0), False),
        (rows(1.0), rows(1.0, 1.0), False),
        (rows("nan"), rows("nan"), True),
        (rows("nan"), rows(1.0), False),
        (rows([3, 1.0, 2.0]), rows([3, 1.0, 2.0 + 1e-9]), True),
        (rows([3, 1.0, 2.0]), rows([4, 1.0, 2.0]), False),
        (rows(0.003, 1e6), rows(0.0035, 1e6), False),
        (rows(60000, 1.0, kind="float32"), rows(60005, 1.0, kind="float32"), False),
        (rows("abc", "1.50", kind="text, float64"), rows("abc", "1.51", kind="text, float64"), False),
        (rows("abc", "1.50", kind="text, float32"), rows("abc", "1.51", kind="text, float32"), True),
        (rows("abc", "1.50", kind="text, float32"), rows("abc", "1.53", kind="text, float32"), False),
        (rows("abc", "1e-3", kind="text, float64"), rows("abd", "1e-3", kind="text, float64"), False),
        (rows(1.0), [], False),
        ([], rows(1.0), False),
    ],
)
def test_tolerances(before, after, same):
    assert (differences(before, after) == []) == same


@pytest.mark.parametrize(
    ("before", "after", "precise", "coarse"),
    [
        ("0.53", "0.5312", False, False),  # another form
        ("3", "3.9", False, False),
        ("1,000", "1000", False, False),
        ("15", "16", False, False),  # whole numbers
        ("0.1", "0.2", False, False),  # a single digit does not flip by rounding
        ("2e-03", "1e-03", False, False),
        ("-1.50", "1.50", False, False),
        ("12.34", "12.35", False, True),
        ("12.34", "12.36", False, False),
        ("0.12345678", "0.12345679", True, True),
        ("9.2e-14", "8.9e-15", True, True),  # rounding itself
        ("9.2e-07", "8.9e-06", False, True),
        ("3e999", "4e999", False, False),
        ("3e81234", "3e91234", False, False),
    ],
)
def test_printed_numbers(before, after, precise, coarse):
    assert same_print(before, after, "text, float64") == precise
    assert same_print(before, after, "text, float32") == coarse


def test_collections_are_noted_part_by_part():
    tensor = torch.ones(2, requires_grad=True)
    assert summary({"a": 1, "b": [True, "c"]}) == ["a", 1, "b", "True", "c"]
    assert summary([tensor, tensor[0]]) == [*summary(tensor), 1.0]


def test_a_difference_says_what_differs():
    assert differences(rows(1.0, 2.0), rows(1.0, 3.0)) == ["here 1: it: 1, 2 → 1, 3"]
    assert differences(rows(1.0), []) == ["here 1: it: was there, and is not any more"]


def test_figures_are_listed_by_their_path_without_times():
    figures = {"runs": [{"elbo": 1.0, "minutes": 3}, {"elbo": 2.0}], "sizes": [1, 2], "processor seconds": 9}
    assert list(figures_rows(figures)) == [("/runs/0/elbo", 1.0), ("/runs/1/elbo", 2.0), ("/sizes", [1, 2])]


def test_a_full_budget_that_changes_is_caught():
    def rows_of(epochs):
        recorder = Recorder()
        with recorder.recording():
            recorder.place("here")
            assert budget.budget(full=epochs, fast=1) == 1
            recorder.close()
        return recorder.rows

    assert differences(rows_of(300), rows_of(300)) == []
    assert differences(rows_of(300), rows_of(3))
    assert differences(rows_of(lambda: 1), rows_of(lambda: 1)) == []
    assert differences(rows_of(lambda: 1), rows_of(lambda: 2))
    long = np.arange(3000.0)
    assert differences(rows_of(long), rows_of(np.where(long == 1500, 0, long)))
    with pytest.raises(TypeError, match="should be numbers, words or collections of them, but it is <object"):
        rows_of(object())


def test_times_are_not_compared():
    recorder = Recorder()
    recorder.place("here", timed=True)
    recorder.note("faster", [0.7])
    recorder.note("accuracy", [0.9])
    recorder.text("3.1 ms\naccuracy 0.95")
    assert [row[:2] for row in recorder.rows] == [
        ["here 1: faster", "float64"], ["here 2: accuracy", "float64"], ["here 3: printed", "text, float64"],
    ]  # fmt: skip
    assert [row[2:] for row in recorder.rows[:2]] == [[], [0.9]]
    assert recorder.rows[2][3:] == ["0.95"]


def test_an_array_is_told_from_the_same_numbers_in_another_order():
    recorder = Recorder()
    recorder.note("one", [np.arange(5.0)])
    recorder.note("one", [np.arange(5.0)[::-1]])
    (_, _, first), (_, _, second) = recorder.rows
    assert first[:2] == second[:2]  # size, norm
    assert first[2] != second[2]


def page_of_a_viewer(
    slope: float = 1.0, *, name: str = "step", alt: str = "A line.", label: str = "number", caption: str = "Lines."
) -> str:
    """The page of a viewer with two frames."""

    def draw(**values: int) -> plt.Figure:
        figure, ax = plt.subplots()
        ax.plot([0, 1], [0, slope * values[name]])
        return figure

    return viewer(
        draw,
        {name: (1, 2)},
        alt=lambda **values: f"{alt} {values[name]}",
        label=lambda value: f"{label} {value}",
        caption=caption,
    )._repr_html_()


def test_of_a_viewer_the_words_are_compared_here_and_the_frames_as_pictures():
    page, steeper = page_of_a_viewer(), page_of_a_viewer(2.0)
    assert page != steeper
    assert said(page) == said(steeper) == '[["step"], [["number 1", "number 2"]], ["A line. 1", "A line. 2"], "Lines."]'
    for other in ({"name": "time"}, {"alt": "Two lines."}, {"label": "no."}, {"caption": "A < B."}):
        assert said(page_of_a_viewer(**other)) != said(page)
        assert next(iter(other.values())) in said(page_of_a_viewer(**other))
    assert said(f"<b>before</b>{page}\n{page}<i>after</i>") == f"<b>before</b>{said(page)}\n{said(page)}<i>after</i>"
    assert said('<img src="data:image/png;base64,AAAA" alt="a dot">') == '<img src="" alt="a dot">'


def test_what_is_the_same_in_all_viewers_is_not_compared(monkeypatch):
    page = page_of_a_viewer()
    module = import_module("aevb_utils.figures.viewer")
    monkeypatch.setattr(module, "WITHOUT_SCRIPT", "Other words.")
    monkeypatch.setattr(module, "_SCRIPT", "const KEY = 1;")
    assert page_of_a_viewer() != page
    assert said(page_of_a_viewer()) == said(page)


def test_of_a_sound_a_hash_is_compared():
    one, other = (said(f'<audio src="data:audio/wav;base64,{content * 1000}">') for content in ("A1", "B2"))
    assert one != other
    assert len(one) < 50
