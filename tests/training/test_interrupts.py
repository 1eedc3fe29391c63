"""Ctrl-C and the stop button: what is done is kept, and how to go on is said."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_models import Conjugate, data_of

from aevb_utils.training import History, TrainingError, TrainingStopped, fit

X = data_of(Conjugate(), 12)


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def run(model, optimizer=None, **options):
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=0.02)
    return fit(model, X, optimizer=optimizer, **({"epochs": 4, "batch_size": 5, "seed": 3} | options))


class Stopped(Conjugate):
    """Somebody presses stop at this call of the encoder in training mode (three a an epoch of three batches)."""

    def __init__(self, at=None):
        super().__init__(dropout=0.3)
        self.left = at

    def q_z_given_x(self, x):
        if self.training and self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return super().q_z_given_x(x)


UNDISTURBED = Conjugate(dropout=0.3)
WHOLE = run(UNDISTURBED, held_out=X[:3])


@settings(max_examples=12)
@given(st.integers(0, 11))
def test_a_run_that_is_stopped_anywhere_and_goes_on_from_its_last_epoch_ends_with_the_same_bits(at):
    model = Stopped(at)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    kept = {}

    def keep(epoch=0, model=model, history=None):
        states = model.state_dict(), optimizer.state_dict(), (history or History()).state_dict()
        kept.update(zip(("model", "optimizer", "history"), copy.deepcopy(states), strict=True))

    keep()
    with pytest.raises(TrainingStopped) as stopped:
        run(model, optimizer, held_out=X[:3], callback=keep)
    history = stopped.value.history
    assert len(history) == at // 3
    assert torch.equal(history.elbo, WHOLE.elbo[: at // 3])
    assert torch.equal(history.step_elbo, WHOLE.step_elbo[: at // 3 * 3])
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    model.left = None
    again = run(model, optimizer, held_out=X[:3], history=History.from_state_dict(kept["history"]))
    assert torch.equal(parameters(model), parameters(UNDISTURBED))
    assert torch.equal(again.step_elbo, WHOLE.step_elbo)
    assert torch.equal(again.held_out_elbo, WHOLE.held_out_elbo)


def test_a_stop_inside_an_epoch_says_that_the_parameters_have_moved():
    model = Stopped(4)
    with pytest.raises(
        KeyboardInterrupt, match=r"1 of 4 epochs are done.* Epoch 2 had begun and has moved the param"
    ) as e:
        run(model)
    assert "fit(…, history=history) goes on" in str(e.value)
    model.left = None
    history = e.value.history
    assert run(model, history=history) is history
    assert len(history) == 4


def test_a_stop_in_the_callback_keeps_the_epoch():
    def stop(epoch, model, history):
        if epoch == 2:
            raise KeyboardInterrupt

    given = History()
    with pytest.raises(TrainingStopped, match="2 of 4 epochs are done") as stopped:
        run(Conjugate(), history=given, callback=stop)
    assert stopped.value.history is given
    assert len(given) == 2
    assert "had begun" not in str(stopped.value)


def test_the_stop_shows_where_it_came():
    with pytest.raises(TrainingStopped) as stopped:
        run(Stopped(0))
    assert stopped.traceback[-1].name == "q_z_given_x"
    assert stopped.value.__suppress_context__


def test_the_stop_can_be_pickled_with_its_history():
    with pytest.raises(TrainingStopped) as stopped:
        run(Stopped(7))
    again = pickle.loads(pickle.dumps(stopped.value))
    assert len(again.history) == 2
    assert str(again) == str(stopped.value)


class Breaks(Conjugate):
    """Its ELBO is infinite from the moment on at which ``factor`` is."""

    factor = 1.0

    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return {name: term * self.factor for name, term in terms.items()}


def test_an_error_of_a_callback_hands_the_history_on():
    def fails(epoch, model, history):
        if epoch == 2:
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left") as failed:
        run(Conjugate(), callback=fails)
    assert len(failed.value.history) == 2


def test_a_training_that_fails_hands_its_history_on():
    def breaks(epoch, model, history):
        model.factor = float("inf") if epoch == 2 else 1.0

    with pytest.raises(TrainingError, match="In epoch 3, step 1, the ELBO's term 'reconstruction' became") as failed:
        run(Breaks(), callback=breaks)
    assert len(failed.value.history) == 2
