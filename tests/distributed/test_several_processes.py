"""Training in several processes: the parameters of one, whatever the shares, the kills and the number that goes on."""

import re

import killed_processes
import numpy as np
import pytest
import several_processes
import torch
from systems import needs_fork
from torch import nn

from aevb_utils.distributed import ProcessError
from aevb_utils.distributed.looks import look
from aevb_utils.distributed.noise import RowNoise
from aevb_utils.evaluation import iwae_bound
from aevb_utils.models import VAE, FactorAnalysis, GaussianMixtureVAE, VariationalRNN
from aevb_utils.networks import gaussian
from aevb_utils.training import TrainingError, checkpoint_callback, fit
from aevb_utils.training.checkpoints import load

pytestmark = needs_fork
ROWS, EPOCHS = 37, 20  # batches of 16, 16 and 5


def rows_of(*shape, seed=3):
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lengths():
    return torch.randint(1, 5, (ROWS,), generator=torch.Generator().manual_seed(5))


MODELS = {
    "factor analysis": (lambda: FactorAnalysis(5, 2), lambda: rows_of(5)),
    "vae": (lambda: VAE(6, 2, hidden=(7,), dropout=0.2), lambda: (rows_of(6) > 0).double()),
    "gmvae": (
        lambda: GaussianMixtureVAE(6, 2, 3, hidden=(7,), dropout=0.1, likelihood=gaussian, outputs=12),
        lambda: rows_of(6),
    ),
    "vrnn": (
        lambda: VariationalRNN(3, 2, 4, T=4, hidden=(5,), likelihood=gaussian, outputs=6),
        lambda: (rows_of(4, 3), lengths()),
    ),
}


def build(name):
    make, data = MODELS[name]
    torch.manual_seed(1)
    model = make().double()
    return model, torch.optim.Adam(model.parameters(), lr=0.01), data()


def trained(name, **options):
    """Parameters, history and bounds after a training."""
    model, optimizer, data = build(name)
    settings = {"epochs": EPOCHS, "batch_size": 16, "num_samples": 2, "seed": 4} | options
    history = fit(model, data, optimizer=optimizer, held_out=data, **settings)
    bounds = iwae_bound(model, *(data if isinstance(data, tuple) else (data,)), num_samples=5, seed=2)
    return nn.utils.parameters_to_vector(model.parameters()).detach(), history.elbo, history.held_out_elbo, bounds


@pytest.mark.parametrize(("name", "size"), [*((name, 2) for name in MODELS), ("vae", 3)])
def test_processes_train_what_one_trains(name, size, tmp_path):
    alone = trained(name)
    for result in several_processes.results(lambda rank: trained(name), size, tmp_path):
        assert not isinstance(result, str), result
        for one, other in zip(alone, result, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9)


# What stops a run


@pytest.mark.parametrize("saves", [1, 4])
def test_a_run_of_which_a_process_is_killed_goes_on_with_another_number(saves, tmp_path):
    path, reference = tmp_path / "run.safetensors", tmp_path / "reference.safetensors"

    def train(rank, path=path, epochs=6):
        model, optimizer, data = build("vae")
        history = load(path, model, optimizer) if path.exists() else None
        save = checkpoint_callback(path, optimizer)
        fit(model, data, optimizer=optimizer, epochs=epochs, batch_size=16, history=history, callback=save)
        return len(load(path, model, optimizer))

    def endless(rank):
        return train(rank, epochs=100_000)

    seen = set()

    def saved():
        seen.add(path.stat().st_mtime_ns if path.exists() else None)
        return len(seen) > saves

    victim, other = several_processes.start(endless, 2, tmp_path)
    several_processes.wait_until(saved)
    several_processes.kill(victim if saves > 1 else other)
    several_processes.end([victim, other])
    survivor = torch.load(tmp_path / f"{int(saves > 1)}.pt", weights_only=False)
    assert survivor.startswith("ProcessError: Another process of this run has ended or cannot be reached ")
    assert survivor.endswith("as torchrun --max-restarts=3 does by itself.")

    model, optimizer, _ = build("vae")
    done = len(load(path, model, optimizer)) if path.exists() else 0  # whole, or there is none
    train(0, reference, epochs=done + 3)
    assert several_processes.results(lambda rank: train(rank, epochs=done + 2), 3, tmp_path) == [done + 2] * 3
    train(0, epochs=done + 3)
    ends = []
    for file in (path, reference):
        model, optimizer, _ = build("vae")
        load(file, model, optimizer)
        ends.append(nn.utils.parameters_to_vector(model.parameters()))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-9)


def test_a_run_that_is_killed_and_goes_on_ends_in_the_same_bits(tmp_path):
    """One moment; ``killed_processes.py`` itself takes twenty."""
    (kill,) = killed_processes.report("vae", tmp_path / "runs", 1, first=4)
    assert killed_processes.is_whole(kill), kill


class Line(nn.Module):
    """A model whose ELBO is −(x − a)², with something added by a function of the rows."""

    def __init__(self, added=lambda x: 0.0):
        super().__init__()
        self.a, self.added = nn.Parameter(torch.tensor(0.0)), added

    def elbo_terms(self, x, *, num_samples=1):
        return {"term": -(x - self.a).square() + self.added(x)}

    def generative_parameters(self):
        return [self.a]

    def inference_parameters(self):
        return []


X = torch.arange(5.0)


def line(added=lambda x: 0.0, data=X, **options):
    """The parameter after some epochs."""
    model = Line(added)
    settings = {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "epochs": 2, "batch_size": 3} | options
    fit(model, data, **settings)
    return model.a.item()


DRAWS = {
    "normal_": torch.Tensor.normal_,
    "randn": lambda e: torch.randn(e.shape),
    "rand_like": torch.rand_like,
    "bernoulli": lambda e: torch.bernoulli(e.sigmoid()),
    "bernoulli_ of one probability": lambda e: e.bernoulli_(torch.tensor(0.3)),
    "normal of two shapes": lambda e: torch.normal(e, torch.tensor(2.0)),
    "multinomial": lambda e: torch.multinomial(e.reshape(-1, 4).softmax(1), 4, replacement=True).reshape(e.shape),
    "in another layout": lambda e: torch.empty(e.T.shape).T.normal_(),
    "shared by all": lambda e: torch.randn(4),
    "dropout": nn.functional.dropout,
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_draw_is_that_of_one_process(name):
    """A row's own sum of two draws, in shares of 20 rows and of all of them, without other processes."""

    class Drawing:
        def elbo_terms(self, x, *, num_samples=1):
            first, second = (DRAWS[name](torch.ones(len(x), 4)) for _ in range(2))
            return {"term": (first + 3 * second + x[:, None]).sum(dim=1)}

    x = torch.arange(20.0)
    places = look(Drawing(), "elbo_terms", (x,), 1)

    def drawn(begin, rows):
        torch.manual_seed(0)
        with RowNoise(places, begin, rows, len(x)):
            return Drawing().elbo_terms(x[begin : begin + rows])["term"]

    torch.manual_seed(0)
    whole = Drawing().elbo_terms(x)["term"]
    torch.testing.assert_close(torch.cat([drawn(0, 7), drawn(7, 1), drawn(8, 12)]), whole)


REFUSED = {
    "a mean over rows": (lambda x: x.mean(), "a row's value must not depend on the rows beside it"),
    "numpy's noise": (lambda x: float(np.random.default_rng().normal()), "what is random must come from torch"),
    "rejection": (
        lambda x: torch.distributions.Gamma(x.abs() + 1, 1.0).sample(),
        "it draws by torch's _standard_gamma",
    ),
    "two numbers a row": (lambda x: torch.randn(2 * len(x))[::2], "draws randn of the shape (66,) for 33 rows"),
    "a permutation": (lambda x: x[torch.randperm(len(x))], "it draws by torch's randperm"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_shared_out_is_refused(name):
    model, sentence = Line(REFUSED[name][0]), REFUSED[name][1]
    with pytest.raises(ProcessError, match=re.escape(sentence)):
        look(model, "elbo_terms", (X,), 1)


MISTAKES = {
    "another seed": (lambda rank: line(seed=rank), "process 0 has seed 0, and process 1 has 1"),
    "other data": (lambda rank: line(data=X + rank), "process 0 has data with the digest"),
    "other drawn data": (lambda rank: line(data=lambda: X + rank), "process 0 has drawn data with the digest"),
    "another optimizer": (
        lambda rank: fit(
            m := Line(), X, optimizer=torch.optim.SGD(m.parameters(), lr=0.1 + rank), epochs=1, batch_size=3
        ),
        "process 0 has an optimizer with the settings",
    ),
    "a callback in one": (
        lambda rank: line(callback=lambda epoch, model, _: model.a.data.add_(rank)),
        "process 0 has parameters with the digest",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_processes_that_do_not_do_the_same_are_told(name, tmp_path):
    run, sentence = MISTAKES[name]
    for result in several_processes.results(run, 2, tmp_path):
        assert result.startswith("ProcessError: The processes do not do the same: ")
        assert sentence in result
        assert result.endswith("Let all of them run the same lines with the same seeds and the same files.")


def test_what_is_not_a_number_and_what_no_process_has_rows_for(tmp_path):
    def not_a_number(rank):
        with pytest.raises(TrainingError, match="In epoch 1, step 1, the ELBO's term 'term' became nan"):
            line(lambda x: torch.where(x == 4, torch.nan, 0.0), batch_size=5)
        return line(batch_size=2)  # minibatches of 2, 2 and 1 rows for three processes

    assert several_processes.results(not_a_number, 3, tmp_path) == pytest.approx([line(batch_size=2)] * 3)


def test_the_first_process_s_model_is_trained(tmp_path):
    def own_start(rank):
        model = Line()
        model.a.data += rank
        fit(model, X, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), epochs=1, batch_size=3)
        return model.a.item()

    assert several_processes.results(own_start, 2, tmp_path) == pytest.approx([line(epochs=1)] * 2)
