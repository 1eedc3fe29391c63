"""What ``check_vae`` says where it was silent or wrong: counters, exchanged arguments, large data, few rows, orders."""

import warnings

import pytest
import torch
from sentences import one_sentence
from torch import nn
from torch.nn import functional as F
from vae_zoo import D, Dense, L, Logits, bernoulli_loss, data, gaussian_loss, kl, logits_loss

from aevb_utils.checking import check_vae


def with_kl(term):
    """A loss of a reconstruction's term, summed, and the right KL."""
    return lambda recon, x, mu, logvar: (term(recon, x) + kl(mu, logvar).sum()) / len(x)


def found(report, key):
    return next(each for each in report.findings if each.key == key)


# What a run leaves in the model


class Counting(Logits):
    """Counts its calls in ``forward``, keeps what it drew, and warms β up by the count."""

    def __init__(self, calls):
        super().__init__()
        self.calls, self.history = calls, [1]

    def forward(self, x):
        self.calls += 1
        self.history.append(x)
        self.last = x
        return super().forward(x)

    def loss_function(self, recon, x, mu, logvar):
        bce = F.binary_cross_entropy_with_logits(recon, x, reduction="none").sum(dim=1)
        return (bce + min(1.0, self.calls / 1000) * kl(mu, logvar).sum(dim=1)).mean() + 0 * self.last.sum()


@pytest.mark.parametrize(("calls", "beta"), [(0, 0.001), (499, 0.5), (2000, 1.0)])
def test_a_count_in_forward_stays_and_is_that_of_one_call(calls, beta):
    model = Counting(calls)
    report = check_vae(model, data())
    assert report.ok
    assert report.beta == pytest.approx(beta, rel=1e-3)
    assert (model.calls, model.history) == (calls, [1])
    assert not hasattr(model, "last")


def test_a_count_in_a_step_stays():
    model = Counting(0)

    def step(x):
        recon, mu, logvar = model(x)
        return model.loss_function(recon, x, mu, logvar)

    assert check_vae(model, data(), step=step).beta == pytest.approx(0.001, rel=1e-3)
    assert model.calls == 0


# The reconstruction


@pytest.mark.parametrize("kind", ["binary", "grey"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_exchanged_arguments_are_found_in_probabilities(kind, reduction):
    report = check_vae(
        Dense(), data(kind), loss=with_kl(lambda recon, x: F.binary_cross_entropy(x, recon, reduction=reduction))
    )
    assert "swapped" in report.keys
    assert report.whole
    assert not report.ok


@pytest.mark.parametrize("kind", ["binary", "grey"])
def test_exchanged_arguments_are_found_in_logits(kind):
    loss = with_kl(lambda recon, x: F.binary_cross_entropy_with_logits(x, recon, reduction="sum"))
    assert [each.key for each in check_vae(Logits(), data(kind), loss=loss).mistakes] == ["swapped"]


@pytest.mark.parametrize("scale", [1, 255, 10_000])
def test_the_constant_is_told_for_data_of_any_size(scale):
    loss = with_kl(lambda recon, x: F.mse_loss(recon, x, reduction="sum"))
    assert "up to the constant 0.5724" in check_vae(Logits(), scale * data("grey"), loss=loss).verdict


def test_in_float32_a_constant_that_drowns_is_not_told():
    model = Logits()

    def step(x):
        mu, logvar = model.encode(x)
        recon = model.decode(model.draw(mu, logvar))
        return (0.5 * (recon - x).square().sum(dim=1) + kl(mu, logvar).sum(dim=1)).mean()

    assert check_vae(model, 10_000 * data("grey"), step=step).verdict.endswith("up to a constant.")


def test_the_sigma_of_a_squared_error_is_said_once():
    report = check_vae(Logits(), data("normal"), loss=with_kl(lambda recon, x: 2 * (recon - x).square().sum()))
    assert "σ² = 0.25" in found(report, "fixed-sigma").seen
    assert "the reconstruction is minus the log-likelihood of a Gaussian" in report.held


def test_a_huber_loss_is_no_gaussian_though_the_data_are_small():
    loss = with_kl(lambda recon, x: F.smooth_l1_loss(recon, x, reduction="sum"))
    report = check_vae(Logits(), data("grey"), loss=loss)
    assert "Huber" in found(report, "recon-unknown").seen
    assert "cannot be said" in report.verdict
    clamped = with_kl(lambda recon, x: 0.5 * F.mse_loss(recon.clamp(0, 1), x, reduction="sum"))
    assert "a Gaussian with σ² = 1" in check_vae(Logits(), data("grey"), loss=clamped).verdict


def test_logarithms_of_a_sigmoid_in_the_loss_are_a_risk():
    def by_hand(recon, x):
        p = recon.sigmoid()
        return -(x * p.log() + (1 - x) * (1 - p).log()).sum()

    report = check_vae(Logits(), data(), loss=with_kl(by_hand))
    assert report.ok
    assert "log-zero" in report.keys
    assert "log-zero" not in check_vae(Logits(), data(), loss=logits_loss).keys


# Weights


def mixed(recon, x, mu, logvar):
    return F.binary_cross_entropy(recon, x, reduction="sum") / len(x) + kl(mu, logvar).sum()


@pytest.mark.parametrize(("rows", "here"), [(2, 2), (3, 3), (6, 4)])
def test_a_beta_that_is_the_number_of_rows_is_called_so(rows, here):
    report = check_vae(Dense(), data()[:rows], loss=mixed)
    assert f"β is the number of rows, {here} here" in found(report, "batch-reduction").seen
    assert f"β = {here} with {here} rows" in report.verdict


@pytest.mark.parametrize("loss", [mixed, bernoulli_loss])
def test_of_one_row_neither_a_sum_nor_a_mean_is_claimed(loss):
    report = check_vae(Dense(), data()[:1], loss=loss)
    assert report.verdict.startswith("The loss of one row is minus the ELBO")
    assert [line for line in report.skipped if "needs two rows" in line]


def test_beside_a_squared_error_a_weight_is_a_bound_with_another_sigma():
    def of_means(recon, x, mu, logvar):
        return (0.5 * (recon - x).square().sum(dim=1) + kl(mu, logvar).mean(dim=1)).mean()

    def weighed(recon, x, mu, logvar):
        return gaussian_loss(recon, x, mu, logvar) - 0.7 * kl(mu, logvar).sum(dim=1).mean()

    for loss, key in ((of_means, "kl-mean-latents"), (weighed, "kl-weight")):
        each = found(check_vae(Logits(), data("normal"), loss=loss), key)
        assert "no bound" not in each.why
        assert "bound" in each.why


def test_the_variance_that_a_weight_stands_for_is_that_of_the_verdict():
    def copied(recon, x, mu, logvar):
        return F.mse_loss(recon, x) + 0.01 * kl(mu, logvar).sum(dim=1).mean()

    report = check_vae(Logits(), data("normal"), loss=copied)
    assert "σ² = 0.06" in found(report, "kl-weight").seen
    assert "σ² = 0.06 " in report.verdict


def test_a_forgotten_half_is_named():
    def twice(recon, x, mu, logvar):
        return bernoulli_loss(recon, x, mu, logvar) + more(mu, logvar)

    assert "forgotten ½" in found(check_vae(Dense(), data(), loss=twice), "kl-weight").cure


def more(mu, logvar):
    return kl(mu, logvar).sum(dim=1).mean()


def test_a_line_that_makes_a_term_is_not_accused():
    def difference(recon, x, mu, logvar):
        bce = F.binary_cross_entropy(recon, x, reduction="sum") / len(x)
        return bce - more(mu, logvar)

    assert "(the KL made in " in str(found(check_vae(Dense(), data(), loss=difference), "kl-sign"))


# μ and the width of q in the wrong order


class WidthFirst(Logits):
    def forward(self, x):
        recon, mu, logvar = super().forward(x)
        return recon, logvar, mu


def unpacked(output, x):
    return logits_loss(output[0], x, output[1], output[2])


def unpacked_as_returned(output, x):
    return logits_loss(output[0], x, output[2], output[1])


@pytest.mark.parametrize(("model", "loss"), [(WidthFirst, unpacked), (Logits, unpacked_as_returned)])
def test_a_mean_taken_for_the_width_is_found(model, loss):
    report = check_vae(model(), data(), loss=loss)
    assert [each.key for each in report.mistakes] == ["kl-exchanged"]
    assert report.verdict.startswith("As a formula")


def test_the_same_in_a_step():
    model = WidthFirst()
    report = check_vae(model, data(), step=lambda x: unpacked(model(x), x))
    assert [each.key for each in report.mistakes] == ["kl-exchanged"]


class BackwardEncoder(Logits):
    def encode(self, x):
        return super().encode(x)[::-1]

    def forward(self, x):
        logvar, mu = self.encode(x)
        return self.decode(self.draw(mu, logvar)), mu, logvar


def test_another_order_that_is_kept_is_no_mistake():
    report = check_vae(WidthFirst(), data(), loss=unpacked_as_returned)
    assert (report.ok, report.keys) == (True, set())
    assert "exactly" in report.verdict
    model = BackwardEncoder()
    report = check_vae(model, data(), step=lambda x: unpacked(model(x), x))
    assert (report.ok, report.keys) == (True, set())


def test_where_the_order_of_the_call_cannot_be_seen_it_is_a_risk():
    report = check_vae(WidthFirst(), data(), loss=logits_loss)
    assert report.ok
    assert found(report, "mu-order").kind == "risk"


# Parameters of the loss, the parts alone, warnings


def test_a_network_of_features_in_the_loss_is_not_accused():
    net = nn.Linear(D, 3)
    report = check_vae(Logits(), data(), loss=with_kl(lambda recon, x: (net(recon) - net(x)).square().sum()))
    assert report.ok
    assert "loss-parameters" in report.keys
    model = Logits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = with_kl(lambda recon, x: (net(recon) - net(x)).square().sum())
    assert check_vae(model, data(), loss=loss, optimizer=optimizer).ok


def test_a_width_that_the_model_holds_and_does_not_register_is_accused():
    class Held(Logits):
        def __init__(self):
            super().__init__()
            self.log_scale = [torch.zeros((), requires_grad=True)]

        def loss_function(self, recon, x, mu, logvar):
            nll = 0.5 * ((x - recon) / self.log_scale[0].exp()) ** 2 + self.log_scale[0]
            return (nll.sum(dim=1) + kl(mu, logvar).sum(dim=1)).mean()

    assert "log_scale" in found(check_vae(Held(), data("normal")), "unregistered").seen


def test_an_encoder_that_returns_one_tensor_is_told():
    encoder, decoder = nn.Linear(D, 2 * L), nn.Linear(L, D)
    with pytest.raises(TypeError, match=r"encoder=lambda x: encoder\(x\)\.chunk") as caught:
        check_vae(x=data(), encoder=encoder, decoder=decoder, loss=logits_loss)
    assert one_sentence(str(caught.value))
    assert check_vae(x=data(), encoder=lambda x: encoder(x).chunk(2, dim=1), decoder=decoder, loss=logits_loss).ok


def test_reported_parts_with_a_gradient_make_no_warning():
    def parts(recon, x, mu, logvar):
        bce = F.binary_cross_entropy(recon, x, reduction="sum") / len(x)
        return {"loss": bce + more(mu, logvar), "bce": bce, "kl": more(mu, logvar)}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_vae(Dense(), data(), loss=parts).ok


# A loss that cannot be looked at


def only_as_it_is(recon, x, mu, logvar):
    if recon.is_leaf:
        raise RuntimeError("not for you")
    return logits_loss(recon, x, mu, logvar)


def test_a_loss_that_was_not_looked_at_is_not_found_right():
    report = check_vae(Logits(), data(), loss=only_as_it_is)
    assert (report.ok, report.whole, report.mistakes) == (False, False, [])
    assert report.summary().startswith("Not checked: the loss. No mistake found in the rest")
    with pytest.raises(AssertionError, match="Not checked: the loss"):
        report.require()
    report.require(allow=["not-checked"])


def test_a_key_that_is_none_is_told():
    report = check_vae(Logits(), data(), loss=logits_loss)
    with pytest.raises(ValueError, match="'batch-reduction'") as caught:
        report.require(allow=["batch-reductoin"])
    assert one_sentence(str(caught.value))


def test_each_finding_is_printed_with_its_key(capsys):
    report = check_vae(Dense(), data(), loss=mixed)
    assert "[batch-reduction]" in capsys.readouterr().out
    assert all(str(each).endswith(f"[{each.key}]") for each in report.findings)
