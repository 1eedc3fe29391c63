"""Old Faithful: the published table, and the stand-in of the fast run."""

import os
from importlib import import_module

import pytest
import torch
from geyser_server import CSV, HEADER, LINES, PUBLISHED, ROWS, old_faithful
from sentences import one_sentence
from sklearn.mixture import GaussianMixture

from aevb_utils import data
from aevb_utils.data.download import DataError

simulated = import_module("aevb_utils.data.simulated_mixture")
DATA_DIR = os.environ.get("AEVB_DATA_DIR")


def test_fast_run_gets_a_stand_in_and_asks_for_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aevb_utils.budget.FAST", True)
    monkeypatch.setenv("AEVB_REAL_DATA", "1")
    monkeypatch.setenv("AEVB_DATA_DIR", "/nowhere")
    geyser, again = data.old_faithful(), data.old_faithful()
    assert capsys.readouterr().out == ""
    assert geyser.fallback
    assert "imulated" in geyser.name
    assert "Simulated" in geyser.source
    assert torch.equal(geyser.train, again.train)
    assert geyser.train.shape == (ROWS, 2)
    assert geyser.train.dtype == torch.float64
    assert (geyser.train > 0).all()
    assert geyser.feature_names == ("duration (min)", "waiting (min)")
    labels = geyser.train_labels
    assert labels is not None
    assert geyser.label_names == ("short", "long")
    assert labels.double().mean().item() == pytest.approx(0.644, abs=0.06)
    assert geyser.train[labels == 0].mean(0).tolist() == pytest.approx([2.036, 54.48], rel=0.03)
    assert geyser.train[labels == 1].mean(0).tolist() == pytest.approx([4.290, 79.97], rel=0.03)


def test_geyser_parser_keeps_rows_order_and_kinds() -> None:
    x, labels = old_faithful._parse_geyser(CSV)
    assert labels is not None
    assert x.dtype == torch.float64
    assert labels.dtype == torch.int64
    assert [f"{a:.3f},{b:.0f}" for a, b in x.tolist()] == [line.rsplit(",", 1)[0] for line in LINES]
    assert labels.tolist() == [0 if line.endswith("short") else 1 for line in LINES]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with ''"),
        (b"\n" + CSV, "begins with ''"),
        (CSV.replace(b"duration", b"length", 1), "length,waiting,kind"),
        (CSV.split(b"\n", 1)[1], "should begin with"),
        (b"\xff\xfe" + CSV, "comma-separated text"),
        (CSV.replace(LINES[3].encode(), LINES[3].encode() + b",1"), "Line 5 of"),
        (CSV.replace(LINES[0].encode(), b"3.6,79"), "Line 2 of"),
        (CSV.replace(LINES[0].encode(), b""), "Line 2 of"),
        (CSV.replace(LINES[0].encode(), b"many,79,long"), "many,79,long"),
        (CSV.replace(LINES[0].encode(), b"nan,79,long"), "nan,79,long"),
        (CSV.replace(LINES[0].encode(), b"3.6,inf,long"), "3.6,inf,long"),
        (CSV.replace(LINES[0].encode(), b"-3.6,79,long"), "-3.6,79,long"),
        (CSV.replace(LINES[0].encode(), b"3.6,79,middling"), "middling"),
        (CSV[: CSV.rindex(b"\n", 0, -1) + 1], "has 271"),
        (CSV + b"3.6,79,long\n", "has 273"),
        (HEADER.encode(), "has 0"),
        (CSV[:-3], "Line 273 of"),
    ],
)
def test_geyser_parser_refuses_a_malformed_table(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        old_faithful._parse_geyser(content)
    message = one_sentence(caught.value)
    assert said in message
    assert "fresh copy" in message


def test_the_published_file_is_named_with_its_checksum() -> None:
    assert PUBLISHED.sha256 == "ce8f6bd15967c9a3dee345aaf268f6b92623abb1e1d313e04d79b720aa6b8bd6"
    assert all(url.startswith("https://") and url.endswith("geyser.csv") for url in PUBLISHED.urls)


@pytest.mark.skipif(DATA_DIR is None, reason="AEVB_DATA_DIR does not name a folder with the real files")
def test_real_old_faithful(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AEVB_DATA_DIR", str(DATA_DIR))
    monkeypatch.setattr(old_faithful, "_GEYSER", PUBLISHED)
    geyser = data.old_faithful()
    assert capsys.readouterr().out == ""
    assert not geyser.fallback
    assert geyser.name == "Old Faithful"
    assert geyser.train[:3].tolist() == [[3.6, 79.0], [1.8, 54.0], [3.333, 74.0]]
    assert geyser.train_labels is not None
    assert geyser.train_labels[:3].tolist() == [1, 0, 1]
    assert geyser.train_labels.bincount().tolist() == [100, 172]
    x = geyser.train.numpy()
    fitted = GaussianMixture(2, tol=1e-12, reg_covar=0, max_iter=1000, n_init=3, random_state=0).fit(x)
    assert fitted.score(x) * len(x) == pytest.approx(-1130.264, abs=1e-3)
    # the stand-in's parameters are this fit's, to the digits written down
    drawn: dict = {}
    monkeypatch.setattr(old_faithful, "simulated_mixture", lambda n, **given: drawn.update(given) or data.iris())
    old_faithful._simulate_geyser()
    order = fitted.means_[:, 0].argsort()
    assert list(drawn["weights"]) == pytest.approx(fitted.weights_[order], abs=6e-6)
    assert torch.tensor(drawn["means"]).flatten().tolist() == pytest.approx(fitted.means_[order].ravel(), abs=6e-5)
    assert torch.tensor(drawn["covariances"]).flatten().tolist() == pytest.approx(
        fitted.covariances_[order].ravel(), abs=6e-6, rel=1e-7
    )
