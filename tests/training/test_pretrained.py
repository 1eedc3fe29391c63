"""Shipped weights: they come back as they were rounded, and name nothing that is not known."""

import hashlib

import pytest
import torch
from sentences import one_sentence
from torch import nn

from aevb_utils import networks, results
from aevb_utils.models.vae import VAE
from aevb_utils.training import checkpoints, pretrained
from tools.experiments import SCRIPTS


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return tmp_path


ARGUMENTS = {"D": 5, "L": 2, "hidden": [8], "layer": "gated", "likelihood": "continuous_bernoulli"}


def test_weights_come_back_as_they_were_rounded(folder) -> None:
    torch.manual_seed(0)
    model = VAE(**ARGUMENTS | {"likelihood": networks.continuous_bernoulli})
    pretrained.save_pretrained("small", model, ARGUMENTS, {"seed": 3})
    back, rounded = pretrained.load_pretrained("small"), pretrained.rounded(model)
    assert pretrained.shipped() == ("small",)
    assert pretrained.provenance("small") == {"model": "VAE", "arguments": ARGUMENTS, "seed": 3}
    assert not back.training
    assert back.likelihood is networks.continuous_bernoulli
    for name, value in back.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, rounded.state_dict()[name])
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-3, atol=1e-5)
    assert next(model.parameters()).dtype == torch.float32


def test_damaged_weights_are_refused(folder) -> None:
    pretrained.save_pretrained("small", VAE(5, 2, hidden=(8,)), {"D": 5, "L": 2, "hidden": [8]}, {})
    file = folder / "small.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(checkpoints.CheckpointError, match="damaged"):
        pretrained.load_pretrained("small")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"There are no weights 'nothing': load one of .*vae-mnist") as caught:
        pretrained.load_pretrained("nothing")
    one_sentence(caught.value)


def test_what_is_shipped_is_small_and_says_where_it_comes_from() -> None:
    assert "vae-mnist" in pretrained.shipped()
    sizes = {file.stem: file.stat().st_size for file in pretrained.FOLDER.glob("*.safetensors")}
    limits = {  # MB
        ("vae-mnist", "cvae-mnist", "cvae-quadrant"): 8,
        ("gmvae-mnist",): 6,
        ("vrnn-rows", "vrnn-chorales", "rnn-chorales"): 8,
    }
    assert set(sizes) == {name for names in limits for name in names}
    for names, limit in limits.items():
        assert sum(sizes[name] for name in names) < limit * 1e6
    entries = {"data", "seed", "budget", "experiment", "test", "model", "arguments"}
    for name in pretrained.shipped():
        assert entries <= set(pretrained.provenance(name))
        assert pretrained.load_pretrained(name)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"model": "getoutput", "module": "subprocess", "arguments": {"cmd": "touch run"}},
            "the model 'getoutput'",
        ),
        ({"model": "Linear", "arguments": {"in_features": 1, "out_features": 1}}, "the model 'Linear'"),
        ({"model": "VAE", "arguments": ARGUMENTS | {"likelihood": "softplus"}}, "the likelihood 'softplus'"),
    ],
)
def test_a_file_names_what_is_known_or_is_refused(folder, monkeypatch, entries, message) -> None:
    monkeypatch.chdir(folder)
    checkpoints.save(folder / "small.safetensors", VAE(5, 2, hidden=(8,)).half(), provenance=entries)
    with pytest.raises(checkpoints.CheckpointError, match=f"The weights 'small' name {message}: it must be one of"):
        pretrained.load_pretrained("small")
    assert [file.name for file in folder.iterdir()] == ["small.safetensors"]


SMALL = {"D": 5, "L": 2, "hidden": [8]}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "do not say what they are of: they have no model and no arguments"),
        ({"model": "VAE"}, "do not say what they are of: they have no arguments"),
        ({"model": ["VAE"], "arguments": SMALL}, r"name the model \['VAE'\]: it must be one of"),
        ({"model": "VAE", "arguments": [5, 2]}, "have arguments that are no dictionary"),
        (
            {"model": "VAE", "arguments": SMALL | {"likelihood": {}}},
            "have the argument 'likelihood', which VAE does not",
        ),
        ({"model": "VAE", "arguments": SMALL | {"likelihood": None}}, "name the likelihood None: it must be one of"),
        ({"model": "VAE", "arguments": SMALL | {"self": 1}}, "have the argument 'self', which VAE does not"),
        (
            {"model": "VAE", "arguments": SMALL | {"hidden": [1] * 10**5}},
            "have the argument 'hidden', which VAE does not",
        ),
        ({"model": "VAE", "arguments": SMALL | {"hidden": ["8"]}}, "have the argument 'hidden', which VAE does not"),
        ({"model": "VAE", "arguments": {"D": 5}}, r"have arguments with which VAE cannot be built \(TypeError\)"),
        (
            {"model": "VAE", "arguments": SMALL | {"layer": "os"}},
            r"arguments with which VAE cannot be built \(ValueError\)",
        ),
        (
            {"model": "VAE", "arguments": SMALL | {"D": 10**12}},
            "does not fit the model: its '.*' is torch.float16 of shape",
        ),
        ({"model": "VAE", "arguments": SMALL | {"D": 10**30}}, "have arguments with which VAE cannot be built"),
        (
            {"model": "VAE", "arguments": SMALL | {"layer": "tanh"}},
            "was saved with .* = 'ReLU', but the model has 'Tanh'",
        ),
    ],
)
def test_a_file_whose_arguments_are_not_its_models_is_refused(folder, entries, message) -> None:
    checkpoints.save(folder / "small.safetensors", VAE(5, 2, hidden=(8,)).half(), provenance=entries)
    with pytest.raises(checkpoints.CheckpointError, match=message) as caught:
        pretrained.load_pretrained("small")
    one_sentence(caught.value)


def test_names_stay_in_their_folder(folder) -> None:
    inside = folder / "weights"
    inside.mkdir()
    checkpoints.save(folder / "outside.safetensors", VAE(5, 2, hidden=(8,)).half())
    pretrained.FOLDER = inside
    for name in ("../outside", str(folder / "outside"), "..", "", "a/../../outside", "..\\outside", "outside\0"):
        with pytest.raises(ValueError, match="There are no weights"):
            pretrained.load_pretrained(name)
        with pytest.raises(ValueError, match="There are no weights"):
            pretrained.provenance(name)
        with pytest.raises(ValueError, match="Weights have a name of letters, digits") as caught:
            pretrained.save_pretrained(name, VAE(**SMALL), SMALL, {})
        one_sentence(caught.value)
    assert list(inside.iterdir()) == []


def test_a_model_that_the_arguments_do_not_make_is_not_written(folder) -> None:
    model = VAE(5, 2, hidden=(8,), likelihood=networks.continuous_bernoulli)
    with pytest.raises(checkpoints.CheckpointError, match=r"The arguments do not make the model: its likelihood"):
        pretrained.save_pretrained("small", model, SMALL, {})
    with pytest.raises(checkpoints.CheckpointError, match="does not take as it is there"):
        pretrained.save_pretrained("small", model, SMALL | {"likelihood": networks.continuous_bernoulli}, {})
    assert list(folder.iterdir()) == []


def test_loading_draws_the_random_numbers_of_one_model(folder) -> None:
    pretrained.save_pretrained("small", VAE(**SMALL), SMALL, {})
    torch.manual_seed(0)
    VAE(**SMALL)
    expected = torch.rand(3)
    torch.manual_seed(0)
    pretrained.load_pretrained("small")
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_could_not_be_loaded_are_not_written(folder) -> None:
    with pytest.raises(checkpoints.CheckpointError, match="the model 'Linear': it must be one of"):
        pretrained.save_pretrained("small", nn.Linear(1, 1), {}, {})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", pretrained.shipped())
def test_weights_are_those_that_their_experiment_has_written(name) -> None:
    experiment = pretrained.provenance(name)["experiment"]
    assert experiment in {script.stem for script in SCRIPTS}
    content = (pretrained.FOLDER / f"{name}.safetensors").read_bytes()
    assert results.load(experiment)["weights"][name] == hashlib.sha256(content).hexdigest()
