"""Experiments: run in a process of their own, stored whole with their stamp, gone on with where they were stopped."""

import hashlib
import json
import time

import pytest
import torch
from latent_models import Conjugate, data_of
from sentences import one_sentence

from aevb_utils.results import load
from experiments import _runs
from tools import experiments
from tools.notebooks import ROOT
from tools.stamps import FULL, SAME, Stamp, output_hash

DOUBLED = """
from aevb_utils.budget import budget
from experiments._runs import parts


def main():
    print("epoch 1")
    values = parts({"twice": lambda: budget(full=21, fast=2) * 2, "one": lambda: 1})
    return {"value": values["twice"], "minutes": 3}
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """An experiment that doubles a number, in a repository of its own."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "aevb_utils" / "results").mkdir(parents=True)
    file = tmp_path / "experiments" / "doubled.py"
    file.write_text(DOUBLED, encoding="utf-8")
    monkeypatch.setattr(experiments, "SCRIPTS", (file,))
    return file


def test_figures_are_stored_with_what_made_them(script, capfd):
    assert experiments.main(["doubled"]) == 0
    stored = experiments.stored(script)
    stamp = Stamp.from_json(stored)
    assert (stamp.code_hash, stamp.made_by) == (experiments.experiment_hash(script), FULL)
    assert [row[0] for row in stamp.fingerprint] == ["doubled 1: full budgets", "figures 1: /value"]
    assert stamp.fingerprint[1] == ["figures 1: /value", "float64", 4.0]
    assert stored["figures"] == {"value": 42, "minutes": 3}
    assert set(stored) == {
        "code_hash",
        "full_hash",
        "output_hash",
        "made_by",
        "fingerprint",
        "machine",
        "minutes",
        "weights",
        "figures",
    }
    assert [file.name for file in experiments.file_of(script).parent.iterdir()] == ["doubled.json"]
    left = [file.name for file in (script.parent.parent / "_build" / "experiments").iterdir()]
    assert left == ["doubled.lock"], "checkpoints are left"
    said = capfd.readouterr().out
    assert "doubled: epoch 1\n" in said
    assert "0 to go, done" in said


def test_an_experiment_that_fails_stores_nothing_and_goes_on_where_it_was(script, capfd):
    broken = DOUBLED.replace("    return {", "    parts({'slow': lambda: 7, 'wrong': lambda: 1 / 0})\n    return {")
    script.write_text(broken, encoding="utf-8")
    assert experiments.main([]) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert experiments.stored(script) == {}
    (kept,) = (script.parent.parent / "_build" / "experiments").glob("doubled-*")
    assert json.loads((kept / "parts" / "slow.json").read_text(encoding="utf-8")) == 7


def test_a_run_whose_code_has_changed_since_it_was_started_computes_nothing(script, tmp_path):
    made_of = experiments.experiment_hash(script)
    script.write_text(DOUBLED.replace("fast=2", "fast=3"), encoding="utf-8")
    with pytest.raises(
        experiments.ExperimentError, match=r"The code of experiments/doubled\.py has changed: run it again"
    ):
        experiments.one(script, tmp_path, made_of)
    assert not (tmp_path / "result.json").exists()


def test_figures_that_are_no_numbers_are_not_stored(script, capfd):
    script.write_text(DOUBLED.replace("lambda: budget(full=21, fast=2) * 2", "lambda: float('nan')"), encoding="utf-8")
    assert experiments.main([]) == 1
    assert "Out of range float" in capfd.readouterr().err
    assert experiments.stored(script) == {}


def test_an_experiment_that_is_not_there(script, capsys):
    assert experiments.main(["halved"]) == 2
    assert capsys.readouterr().err == "There is no experiments/halved.py: name one of doubled.\n"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder for the checkpoints of a run."""
    monkeypatch.setattr(_runs, "folder", lambda: tmp_path)
    monkeypatch.setattr(_runs, "SAVE_EVERY", 0.0)
    return tmp_path


def train(epochs, **options):
    """A model after some epochs, and what they were."""
    torch.manual_seed(0)
    model, seen = Conjugate(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = _runs.one_cycle(optimizer, rows=16, epochs=4, batch_size=8)
    x = data_of(model, 16)
    history = _runs.train(
        "model", model, x, optimizer=optimizer, scheduler=scheduler, epochs=epochs, batch_size=8,
        before_epoch=seen.append, **options,
    )  # fmt: skip
    return model, history, seen


def test_a_training_goes_on_from_its_checkpoint(kept):
    train(2)
    model, history, seen = train(4)
    assert seen == [3, 4]
    (kept / "model.safetensors").unlink()
    whole, whole_history, _ = train(4)
    assert torch.equal(history.elbo, whole_history.elbo)
    for name, value in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_part_is_computed_once(kept, monkeypatch, workers):
    monkeypatch.setenv("AEVB_WORKERS", workers)
    jobs = {"one": lambda: {"a": (1, 2)}, "two": lambda: 2, "three": lambda: 3}
    assert _runs.parts(jobs) == {"one": {"a": [1, 2]}, "two": 2, "three": 3}
    again = {name: lambda: pytest.fail("computed again") for name in ("one", "two")}
    assert _runs.parts(again | {"four": lambda: 4}) == {"one": {"a": [1, 2]}, "two": 2, "four": 4}
    assert {file.name for file in kept.glob("parts/*.json")} == {"one.json", "two.json", "three.json", "four.json"}


@pytest.mark.parametrize("workers", ["0", "-1", "two", ""])
def test_a_number_of_workers_that_is_none(kept, monkeypatch, workers):
    monkeypatch.setenv("AEVB_WORKERS", workers)
    with pytest.raises(ValueError, match=rf"AEVB_WORKERS should be a number from 1, but it is {workers!r}\."):
        _runs.parts({"one": lambda: 1})


def test_a_part_that_fails_in_its_process_ends_the_run_and_the_others_are_kept(kept, monkeypatch, capfd):
    monkeypatch.setenv("AEVB_WORKERS", "2")

    def wrong():
        while not (kept / "parts" / "right.json").exists():
            time.sleep(0.01)
        return 1 / 0

    with pytest.raises(RuntimeError, match="The part 'wrong' failed; what is done is kept"):
        _runs.parts({"right": lambda: 1, "wrong": wrong, "never": lambda: 3})
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert (kept / "parts" / "right.json").exists()
    assert not (kept / "parts" / "wrong.json").exists()


def test_a_part_may_have_any_name_of_a_file_of_the_run(kept):
    assert not _runs.faster_in_bfloat16()
    jobs = {name: lambda: 7 for name in ("bfloat16", "result", "minutes")}
    assert _runs.parts(jobs) == {"bfloat16": 7, "result": 7, "minutes": 7}


SHIPPING = """
from aevb_utils.models.vae import VAE
from experiments import _runs

_runs.FAST = False


def main():
    _runs.ship("small", VAE(3, 1, hidden=(4,)), {"D": 3, "L": 1, "hidden": [4]}, {})
    return {"value": 1}
"""


def test_weights_are_moved_into_the_package_after_their_figures_are_stored(script, monkeypatch, capfd):
    script.write_text(SHIPPING, encoding="utf-8")
    weights = script.parent.parent / "aevb_utils" / "training" / "weights" / "small.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"old")
    monkeypatch.setattr(experiments.Stamp, "of_full_run", lambda script, *hashes: Stamp(*hashes[:2], "", FULL, []))
    whole = experiments.store

    def stopped(script, entries):
        raise KeyboardInterrupt

    def store(script, entries):
        assert weights.read_bytes() == b"old"
        whole(script, entries)

    monkeypatch.setattr(experiments, "store", stopped)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(script)
    assert experiments.stored(script) == {}
    assert weights.read_bytes() == b"old"
    monkeypatch.setattr(experiments, "store", store)
    experiments.run(script)
    assert experiments.stored(script)["weights"] == {"small": hashlib.sha256(weights.read_bytes()).hexdigest()}


def test_a_second_start_says_that_it_runs_already(script, capsys):
    lock = script.parent.parent / "_build" / "experiments" / "doubled.lock"
    with experiments.alone(script, lock):
        assert experiments.main(["doubled"]) == 1
        said = capsys.readouterr().err.splitlines()[0]
        assert one_sentence(said).startswith("experiments/doubled.py runs already, in another process")
        with pytest.raises(experiments.ExperimentError, match="runs already"), experiments.alone(script, lock):
            pytest.fail("two hold one lock")
    assert experiments.stored(script) == {}


def test_the_processor_time_of_all_sessions_counts(kept, monkeypatch):
    now = [10.0]
    monkeypatch.setattr(_runs.time, "process_time", lambda: now[0])
    clock = _runs.ProcessorClock("model")
    now[0] = 70.0
    train(2, clock=clock)
    now[0] = 75.0  # after the last checkpoint
    assert clock.minutes() == pytest.approx(65 / 60)
    now[0] = 3.0  # another process
    clock = _runs.ProcessorClock("model")
    now[0] = 33.0
    train(4, clock=clock)
    assert clock.minutes() == pytest.approx(1.5)
    assert _runs.ProcessorClock("another").minutes() == 0


@pytest.mark.parametrize("content", ["def main(:", "x = '\0'", "é = 1".encode("latin-1")])
def test_an_experiment_that_is_no_python_is_a_sentence(script, capsys, content):
    script.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert experiments.main([]) == 1
    assert "doubled.py" in one_sentence(capsys.readouterr().err.splitlines()[0])


def test_broken_figures_are_a_sentence(script, capsys):
    experiments.file_of(script).write_text('{"figures": ', encoding="utf-8")
    assert experiments.main([]) == 1
    assert "doubled.json is broken" in one_sentence(capsys.readouterr().err.strip())


def test_nothing_is_shipped_in_the_fast_budget(kept, monkeypatch):
    monkeypatch.setattr(_runs, "save_pretrained", lambda *_, **__: pytest.fail("weights were written"))
    _runs.ship("vae-mnist", Conjugate(), {}, {})
    assert _runs.shipped() == {}
    assert not _runs.faster_in_bfloat16()


@pytest.mark.parametrize("path", experiments.SCRIPTS, ids=lambda path: path.stem)
def test_stored_figures_come_from_this_code(path):
    stamp = Stamp.from_json(experiments.stored(path))
    assert stamp, f"It has never been run: make results NAME={path.stem}"
    assert stamp.made_by in (FULL, SAME)
    assert stamp.fingerprint
    assert stamp.output_hash == output_hash(experiments.stored(path)["figures"]), "They are not those of its last run."
    fresh = stamp.code_hash == experiments.experiment_hash(path)
    assert fresh, f"The code has changed since: make refresh, or make results NAME={path.stem}"


def test_every_stored_figure_has_an_experiment():
    stored = {file.stem for file in (ROOT / "aevb_utils" / "results").glob("*.json")}
    assert stored == {script.stem for script in experiments.SCRIPTS}


def test_loading_results():
    for script in experiments.SCRIPTS:
        assert load(script.stem)["figures"]
    with pytest.raises(ValueError, match=r"There are no results 'nothing': load one of"):
        load("nothing")
