"""How ``check_vae`` is called: arguments that make no sense, the report, the fixture, the command, and its imports."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice
from sentences import one_sentence
from torch.distributions import Normal
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits
from vae_zoo import D, Dense, Logits, bernoulli_loss, data, kl, logits_loss

import aevb_utils.check
import aevb_utils.pytest_plugin
from aevb_utils.checking import check_vae
from aevb_utils.checking.vae.texts import TEXTS
from aevb_utils.pytest_plugin import check_vae_fixture  # noqa: F401 (installed or not)

ROOT = Path(__file__).resolve().parents[2]


def wrong_sign(recon, x, mu, logvar):
    bce = binary_cross_entropy(recon, x, reduction="sum") / len(x)
    return bce + (0.5 * (1 + logvar - mu**2 - logvar.exp())).sum(dim=1).mean()


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((), {}, "x must be a tensor of a few rows"),
        ((Dense(), [[0.0]]), {"loss": bernoulli_loss}, "x must be a tensor of a few rows"),
        ((Dense(), torch.full((2, D), torch.nan)), {"loss": bernoulli_loss}, "x must be finite"),
        ((print, data()), {"loss": bernoulli_loss}, "must be a torch.nn.Module, not a builtin_function"),
        ((Dense(), data()), {}, "Give either loss="),
        ((None, data()), {"loss": bernoulli_loss}, "Give a model"),
        ((None, data()), {"encoder": print, "decoder": print, "step": print}, "With step=, give the model"),
        ((torch.nn.Linear(D, D), data()), {"step": torch.sum}, "has no encoder that could be found"),
        ((Dense(), data()), {"loss": lambda recon, x, mu, logvar, colour: recon}, "The loss asks for 'colour'"),
        ((Dense(), data()), {"loss": lambda recon, x, mu, logvar: None}, "should be a tensor"),
        ((torch.nn.Linear(D, 5), data()), {"loss": logits_loss}, "nothing that has the shape of x"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments, options, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        check_vae(*arguments, **options)
    assert words in str(caught.value)
    assert one_sentence(str(caught.value))


def test_a_step_that_calls_no_encoder_is_told():
    with pytest.raises(ValueError, match="The step did not call the encoder: name it"):
        check_vae(Dense(), data(), step=lambda x: x.sum())


class Halves(torch.nn.Module):
    """The encoder returns μ and log σ² one after the other."""

    def __init__(self, steps=1, samples=()):
        super().__init__()
        torch.manual_seed(0)
        self.steps, self.samples = steps, samples
        self.encoder, self.decoder = torch.nn.Linear(D, 6), torch.nn.Linear(3, D)

    def loss(self, x, beta=1.0):
        for _ in range(self.steps):
            mu, logvar = self.encoder(x).chunk(2, dim=1)
            z = mu + (logvar / 2).exp() * torch.randn(*self.samples, *mu.shape)
            recon = self.decoder(z)
        nll = binary_cross_entropy_with_logits(recon, x.expand_as(recon), reduction="none").sum(dim=-1)
        return (nll + beta * kl(mu, logvar).sum(dim=1)).mean()


def test_an_encoder_whose_output_holds_both():
    model = Halves()
    assert "exactly" in check_vae(model, data(), step=model.loss).verdict
    (found,) = check_vae(model, data(), step=lambda x: model.loss(x, -1)).mistakes
    assert found.key == "kl-sign"


@pytest.mark.parametrize(
    ("model", "words"),
    [(Halves(steps=3), "calls the encoder 3 times"), (Halves(samples=(5,)), "a single sample of z")],
)
def test_a_step_that_cannot_be_looked_at_is_told(model, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_vae(model, data(), step=model.loss)
    assert one_sentence(str(caught.value))


def test_a_loss_that_draws_its_own_samples():
    def sampled(recon, x, mu, logvar):
        q = Normal(mu, (logvar / 2).exp())
        z = q.rsample()
        nll = binary_cross_entropy(recon, x, reduction="none").sum(dim=1)
        return (nll + (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(dim=1)).mean()

    assert "exactly" in check_vae(Dense(), data(), loss=sampled).verdict


def test_the_report_raises_what_is_wrong_and_allows_what_is_meant():
    report = check_vae(Dense(), data(), loss=wrong_sign)
    assert [each.key for each in report.mistakes] == ["kl-sign"]
    with pytest.raises(AssertionError, match="The KL has the wrong sign"):
        report.require()
    report.require(allow=["kl-sign"])


def test_a_finding_names_the_line_of_the_loss():
    (found,) = check_vae(Dense(), data(), loss=wrong_sign).mistakes
    assert found.line.endswith(f"{Path(__file__).name}, line {wrong_sign.__code__.co_firstlineno + 2}")


def test_every_text_is_whole():
    for key, (kind, why, cure, section) in TEXTS.items():
        assert kind in ("mistake", "risk", "note"), key
        assert why.endswith("."), key
        assert section, key
        assert not cure or cure.endswith("."), key


def test_every_section_that_is_named_is_a_heading_of_the_book():
    import json

    headings = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                headings |= {line.lstrip("# ") for line in "".join(cell["source"]).splitlines() if line.startswith("#")}
    for page in ("faq.md", "troubleshooting.md"):
        text = (ROOT / "book" / page).read_text(encoding="utf-8")
        headings |= {line.lstrip("# ").replace("`", "") for line in text.splitlines() if line.startswith("#")}
    for key, (_, _, _, section) in TEXTS.items():
        name = section.partition("“")[2].rstrip("”")
        assert any(heading.startswith(name) for heading in headings), f"{key}: {name}"


def test_pytest_finds_the_fixture_where_the_package_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"aevb_utils": aevb_utils.pytest_plugin.__name__}


def test_the_fixture_fails_with_the_mistakes(check_vae):
    assert check_vae(Logits(), data(), loss=logits_loss).ok
    with pytest.raises(AssertionError, match="wrong sign"):
        check_vae(Dense(), data(), loss=wrong_sign)
    assert not check_vae(Dense(), data(), loss=wrong_sign, allow=["kl-sign"]).ok


FACTORY = """
import sys
sys.path.insert(0, {folder!r})
from vae_zoo import Dense, bernoulli_loss, data, kl

def right():
    return {{"model": Dense(), "x": data(), "loss": bernoulli_loss}}

def wrong():
    return right() | {{"loss": loss}}

def loss(recon, x, mu, logvar):
    return bernoulli_loss(recon, x, mu, logvar) - 9 * kl(mu, logvar).sum()

def nothing():
    return None

def empty():
    return {{}}

def no_loss():
    return {{"model": Dense(), "x": data()}}

def misspelt():
    return {{"model": Dense(), "data": data(), "loss": bernoulli_loss}}

def shape():
    return right() | {{"x": data()[:, :3]}}

def stops():
    return right() | {{"loss": lambda recon, x, mu, logvar: 1 / 0}}

def unseen():
    return right() | {{"loss": only_as_it_is}}

def only_as_it_is(recon, x, mu, logvar):
    if recon.is_leaf:
        raise RuntimeError("not for you")
    return bernoulli_loss(recon, x, mu, logvar)

def fails():
    return {{}}["model"]
"""


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (["my_vae:right"], 0),
        (["my_vae:wrong"], 1),
        (["my_vae:wrong", "--allow", "kl-sign", "--allow", "batch-reduction"], 0),
        (["my_vae:nothing"], 2),
        (["my_vae:missing"], 2),
        (["no_such_module:right"], 2),
        (["my_vae"], 2),
        (["my_vae:right", "--allow", "batch-reductoin"], 2),
        (["my_vae:empty"], 2),
        (["my_vae:no_loss"], 2),
        (["my_vae:misspelt"], 2),
        (["my_vae:shape"], 2),
        (["my_vae:stops"], 2),
        (["my_vae:fails"], 2),
    ],
)
def test_the_command(given, status, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_vae.py").write_text(FACTORY.format(folder=str(Path(__file__).parent)), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_vae", raising=False)
    assert aevb_utils.check.main(given) == status
    said = capsys.readouterr().err
    assert bool(said) == (status == 2)
    assert said.count("\n") == (status == 2)
    assert "Traceback" not in said


@pytest.mark.parametrize(("allowed", "status"), [([], 2), (["--allow", "not-checked"], 0)])
def test_the_command_says_that_a_loss_was_not_looked_at(allowed, status, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_vae.py").write_text(FACTORY.format(folder=str(Path(__file__).parent)), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_vae", raising=False)
    assert aevb_utils.check.main(["my_vae:unseen", *allowed]) == status
    assert "Not checked: the loss" in capsys.readouterr().out


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ImportError(f"{{name}} is not installed")

sys.meta_path.insert(0, Blocked())
import aevb_utils, aevb_utils.checking, aevb_utils.check, aevb_utils.pytest_plugin
sys.path.insert(0, {folder!r})
from vae_zoo import Dense, bernoulli_loss, data
assert aevb_utils.checking.check_vae(Dense(), data(), loss=bernoulli_loss).ok
"""


def test_the_check_needs_torch_and_numpy_alone():
    names = {"matplotlib", "matplotlib_inline", "sklearn", "scipy", "pooch", "requests", "ipywidgets", "IPython"}
    code = BLOCKED.format(names=names | {"tqdm", "safetensors"}, folder=str(Path(__file__).parent))
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize(("loss", "keys"), [(bernoulli_loss, set()), (wrong_sign, {"kl-sign"})])
def test_it_computes_where_the_model_is(device, loss, keys):
    with FakeDevice(device):
        report = check_vae(Dense().to(device), data().to(device), loss=loss)
        assert {each.key for each in report.mistakes} == keys
        assert not report.skipped
