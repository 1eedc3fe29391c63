"""What a loss is: the two terms, their weights, and how far it is from minus the ELBO."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.kl import LatentTerm, kl_of, latent_term
from aevb_utils.checking.vae.latent_findings import odd_part, of_latent
from aevb_utils.checking.vae.likelihood import data_term
from aevb_utils.checking.vae.scales import SCALES, Scale
from aevb_utils.checking.vae.subject import Run, Subject
from aevb_utils.checking.vae.texts import finding
from aevb_utils.checking.vae.weights import Weights, close, mean_over, power

SQUARED = (1.0, 2.0)
"""½ and 1 times the squared error: a Gaussian with σ² = 1 or ½."""


class Objective:
    """The loss of a subject, looked at from both sides.

    Attributes:
        latent: what it does with μ and the width of q.
        data: what it does with the reconstruction.
        weights: how the two are weighted; None where one of them is not known.
        exchanged: whether the loss takes for μ what the sampling takes for the width.
        lines: where the reader's code takes up each of them.
    """

    def __init__(self, subject: Subject, run: Run, x: Tensor) -> None:
        self.subject, self.x = subject, x
        self.run = run
        self.exchanged = False
        self.recon = [each.detach() for each in run.recon]
        self.has_q = run.mu is not None and run.t is not None
        self.mu = run.mu.detach() if self.has_q else self.recon[0].new_zeros(len(x), 1)
        self.given = run.likelihood
        self.latent = self._latent_term() if self.has_q else LatentTerm("absent")
        if self.latent.coefficients is not None and subject.scale is None:
            subject.scale = self.latent.coefficients.scale
        self.data = data_term(subject, self.recon, self.mu, x, self.given)
        self.lines = subject.lines(self.recon, self.mu, torch.full_like(self.mu, 0.5), x)
        self.weights = self._weights()
        self.beta = 1.0 if self.weights is None else self.weights.beta
        """The weight of the KL; of a Gaussian with a fixed σ, 1 where no mean or weight explains it better."""

    def _latent_term(self) -> LatentTerm:
        """The part with μ and σ; if it is none with the returned z as it was drawn, with another width of the draw."""
        found = latent_term(self.subject, self.recon, self.mu, self.x)
        if found.kind == "unknown" and self.subject.scale is not None and self.subject.roles.mu is not None:
            self.subject.exchange(self.run)
            other = latent_term(self.subject, self.recon, self.mu, self.x)
            if other.coefficients is not None and other.coefficients.standard:
                self.exchanged = True
                return other
            self.subject.exchange(self.run)
        if found.kind != "unknown" or self.subject.roles.z is None:
            return found
        before = self.subject.scale
        for scale in SCALES:
            self.subject.scale = scale
            other = latent_term(self.subject, self.recon, self.mu, self.x)
            if other.coefficients is not None and other.coefficients.standard:
                return other
        self.subject.scale = before
        return found

    def _weights(self) -> Weights | None:
        latent, data = self.latent.coefficients, self.data
        if latent is None or data.candidate is None:
            return None
        rows = len(self.x)
        fewer = max(min(rows - 1, 2), rows // 2)
        small = self._at(fewer)
        powers = (0.0, 0.0)
        if small is not None:
            powers = (
                power(small[0], data.factor, fewer, rows),
                power(small[1], latent.weight, fewer, rows),
            )
        pixels = tuple(self.x.shape[1:])
        latents = self.mu[0].numel()
        tried = self._follows(latent.weight), self._averaged()
        return Weights(data.factor, latent.weight, *powers, rows, pixels, latents, *tried, small is not None)

    def _at(self, rows: int) -> tuple[float, float] | None:
        """The two factors in a smaller batch, or None where the loss cannot take one."""
        if rows < 1:
            return None
        recon, mu, x = [each[:rows] for each in self.recon], self.mu[:rows], self.x[:rows]
        try:
            with self.subject.rows(rows):
                given = self.subject.run().likelihood
                data, latent = data_term(self.subject, recon, mu, x, given), latent_term(self.subject, recon, mu, x)
        except (RuntimeError, ValueError, TypeError, IndexError):
            return None
        if data.candidate is None or latent.coefficients is None:
            return None
        return data.factor, latent.coefficients.weight

    def _follows(self, weight: float) -> bool | None:
        """Whether with twice as many latents the KL of each counts half; None where that cannot be tried."""
        if self.subject.step is not None or self.subject.roles.q is not None or self.mu.ndim != 2:
            return None
        try:
            wider = latent_term(self.subject, self.recon, self.mu.repeat(1, 2), self.x).coefficients
        except (RuntimeError, ValueError, TypeError, IndexError):
            return None
        return wider and close(2 * wider.weight, weight)

    def _averaged(self) -> int | None:
        """Over how many numbers of a datum the reconstruction is a mean: with twice as many each counts half."""
        recon, x = self.recon[0], self.x
        if self.subject.step is not None or self.given is not None or recon.shape != x.shape or not self.data.even:
            return None
        averaged = 1
        for axis in range(1, x.ndim):
            wide = [torch.cat([each, each], dim=axis) for each in (*self.recon, x)]
            try:
                other = data_term(self.subject, wide[:-1], self.mu, wide[-1])
            except (RuntimeError, ValueError, TypeError, IndexError):
                return None
            if other.candidate is None:
                return None
            if close(2 * other.factor, self.data.factor):
                averaged *= x.shape[axis]
        return averaged

    # What there is to say

    def findings(self, sampled: Scale | None) -> Iterator[Finding]:
        """All that is wrong with the loss, or worth knowing of it."""
        yield from of_latent(self, sampled)
        yield from self._of_data()
        if self.weights is not None:
            yield from self._of_weights()
        yield from self._of_parts()

    def _of_data(self) -> Iterator[Finding]:
        data, line = self.data, self.lines["recon"]
        if data.candidate is None:
            if data.detached:
                seen = "The loss changes with the reconstruction, and has no gradient in it"
                yield finding("recon-missing", seen, line)
            elif not any(part.any() for each in data.asked for part in each.recon):
                yield finding("recon-missing", "The loss does not depend on the reconstruction", line)
            else:
                huber = ": a squared error near x, another farther off, as Huber's or smooth L1" * data.near
                yield finding("recon-unknown", f"The reconstruction's part of the loss is not recognized{huber}", line)
            return
        family = data.candidate.family
        hundred = self.latent.coefficients is not None and family == "laplace" and _is_binary(self.x)
        if family == "swapped" or (hundred and round(abs(self._beside_kl()), 3) >= 99.9):
            yield finding("swapped", "The reconstruction and x are exchanged in the cross-entropy", line)
        elif family == "twice":
            yield finding("sigmoid-twice", "The loss puts a sigmoid on top of a sigmoid", line)
        elif family == "no log scale":
            yield finding("no-log-scale", "The squared error is divided by σ², and log σ is not in the loss", line)
        elif family == "unbalanced":
            yield finding("no-log-scale", "The squared error over σ² and log σ do not weigh as in a Gaussian", line)
        if data.factor < 0 and not self._all_turned():
            yield finding("recon-sign", "The reconstruction's term has the wrong sign", line)
        if not data.even:
            yield finding("rows-differ", "Not all numbers of the data weigh the same in the loss", line)

    def _beside_kl(self) -> float:
        return self.data.factor / self.latent.coefficients.weight

    def _all_turned(self) -> bool:
        latent = self.latent.coefficients
        return self.data.factor < 0 and latent is not None and latent.weight < 0

    def _of_weights(self) -> Iterator[Finding]:
        w, c = self.weights, self.latent.coefficients
        if self._all_turned():
            yield finding("loss-sign", "The loss is plus the ELBO, not minus it", self.lines["recon"])
        elif w.kl < 0 < w.recon and not c.zero(c.log):
            seen = f"The KL has the wrong sign: its weight is {w.kl / w.recon:.4g}".replace("-", "−")
            yield finding("kl-sign", seen, self.lines["t"])
        if c.zero(c.log) or not (c.standard or c.agree(c.square, c.variance)) or odd_part(c):
            return
        if not w.same_rows:
            which = ("a mean over the rows", "a sum over the rows")
            recon, kl = (which[0] if abs(p + 1) < 0.05 else which[1] for p in (w.recon_power, w.kl_power))
            rest = w.kl_row / w.recon_row
            times = "" if close(rest, 1.0) else f"{rest:.4g} times "
            if abs(w.kl_power + 1) < 0.05:
                times = f"{rest:.4g} divided by "
            seen = f"The reconstruction is {recon} and the KL {kl}: β is {times}the number of rows, {w.rows} here"
            yield finding("batch-reduction", seen, self.lines["recon"])
        elif abs(w.recon_power) < 0.05 and w.rows > 1 and not self.subject.rowwise:
            yield finding("batch-sum", "The loss is a sum over the rows of the batch", self.lines["recon"])
        yield from self._of_means()

    def _of_means(self) -> Iterator[Finding]:
        """Means where a sum is meant, and a β that no mean explains."""
        w = self.weights
        recon, kl, family = abs(w.recon_row), abs(w.kl_row), self.data.candidate.family
        allowed = SQUARED if family == "gaussian" else (1.0,)
        pixels = math.prod(w.pixels)
        balanced = any(close(recon / kl, each) for each in allowed)
        learned = self.scale_is_learned()
        if balanced or learned:
            self.beta = 1.0
            if not learned and family == "gaussian":
                yield self._fixed_sigma(kl / recon)
            return
        explained = False
        over = w.averaged if w.averaged is not None else mean_over(recon, w.pixels, allowed)
        if over > 1 and not any(close(recon, each) for each in allowed):
            explained = True
            whose = "the numbers" if over == pixels else "some dimensions"
            seen = f"The reconstruction is a mean over {whose} of a datum, {over} of them: a hidden β = {over}"
            yield finding("recon-mean-pixels", seen, self.lines["recon"])
            recon *= over
        alike = close(kl * w.latents, 1.0) if w.kl_follows is None else w.kl_follows
        if w.latents > 1 and alike and not close(kl, 1.0):
            explained = True
            seen = f"The KL is a mean over the {w.latents} latents: a hidden β = 1/{w.latents} = {1 / w.latents:.4g}"
            why = ""
            if family == "gaussian":
                why = (
                    "The KL of a datum is a sum over its latents. Beside a squared error a mean is the bound of "
                    f"another model, a Gaussian whose σ² is {w.latents} times smaller."
                )
            yield finding("kl-mean-latents", seen, self.lines["t"], why=why)
            kl *= w.latents
        elif pixels > 1 and any(close(kl * pixels * each, recon) for each in allowed) and not explained:
            explained = True
            seen = f"The KL is divided by the {pixels} numbers of a datum: a hidden β = {1 / pixels:.4g}"
            yield finding("kl-over-pixels", seen, self.lines["t"])
            kl *= pixels
        if any(close(recon / kl, each) for each in allowed):
            return
        if family == "gaussian" and not explained and close(kl, 1.0):
            yield self._fixed_sigma(kl / recon)
            return
        rest = kl / recon if family != "gaussian" else kl
        seen = f"The KL has the weight β = {rest:.4g}"
        why = cure = ""
        if family == "gaussian":
            seen += f", or, as the loss stands, the Gaussian the variance σ² = {w.kl_row / w.recon_row:.4g}"
            why = "Beside a squared error the two are the same: a bound with that σ, if it is the one you mean."
        if close(rest, 2.0):
            cure = "A forgotten ½ gives this: the KL is ½ Σ (μ² + σ² − 1 − log σ²)."
        yield finding("kl-weight", seen, self.lines["t"], why=why, cure=cure)

    def _fixed_sigma(self, variance: float) -> Finding:
        seen = f"The squared error is a Gaussian likelihood with a fixed σ² = {variance:.4g}, σ = {variance**0.5:.4g}"
        return finding("fixed-sigma", seen, self.lines["recon"])

    def scale_is_learned(self) -> bool:
        """Whether the loss holds a parameter of its own beside the reconstruction, such as a shared log σ."""
        if self.data.candidate.family not in ("gaussian", "laplace") or self.run.loss is None:
            return False
        subject = self.subject
        recon, mu = [each.detach() for each in self.recon], self.mu
        with torch.enable_grad():
            value, _ = subject._loss_at(recon, mu, torch.full_like(mu, 0.5), self.x, 1.0)
        return value.requires_grad

    def _of_parts(self) -> Iterator[Finding]:
        """Numbers that are reported beside the loss, and are minus the KL."""
        c = self.latent.coefficients
        if c is None or not c.standard or c.weight <= 0:
            return
        kls = torch.stack([kl_of(m, c.scale.sigma(t)).sum() for m, t in self.latent.points]).cpu().double()
        kls = kls - kls.mean()
        for name in self.latent.asked[0].parts:
            values = torch.tensor([each.parts[name] for each in self.latent.asked], dtype=torch.float64)
            values = values - values.mean()
            if values.norm() == 0:
                continue
            along = (values @ kls / (values.norm() * kls.norm())).item()
            if along < -0.999:
                seen = f"What is reported as {name!r} is minus the KL"
                yield finding("kl-reported-sign", seen, self.lines["t"])


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all())
