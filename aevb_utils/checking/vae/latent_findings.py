"""What there is to say of a loss as a function of μ and the width of q."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.kl import Coefficients
from aevb_utils.checking.vae.scales import LOG_SCALE, LOG_VARIANCE, Scale
from aevb_utils.checking.vae.texts import finding
from aevb_utils.checking.vae.weights import close

if TYPE_CHECKING:
    from aevb_utils.checking.vae.objective import Objective


def of_latent(objective: "Objective", sampled: Scale | None) -> Iterator[Finding]:
    """What is wrong with the KL, or worth knowing of it.

    Args:
        objective: the loss.
        sampled: how the sampling reads the encoder's output; None if that is not known.
    """
    latent, line = objective.latent, objective.lines["t"] or objective.lines["mu"]
    if latent.kind == "absent":
        return
    if latent.kind == "none":
        yield finding(
            "kl-missing", "The loss does not depend on μ and σ: the KL is not in it", objective.lines["recon"]
        )
    elif latent.kind == "detached":
        yield finding("kl-detached", "The loss changes with μ and σ, and has no gradient in them", line)
    elif objective.exchanged:
        yield finding("kl-exchanged", "What the loss takes for μ, the sampling takes for the width of q", line)
    elif latent.kind == "reverse":
        yield finding("kl-reverse", "The derivatives are those of KL(p ‖ q), not of KL(q ‖ p)", line)
    elif latent.kind == "unknown":
        yield finding("kl-unknown", "The loss's part with μ and σ is no KL to a Gaussian", line)
    else:
        yield from _of_coefficients(objective, line, sampled)


def _of_coefficients(objective: "Objective", line: str, sampled: Scale | None) -> Iterator[Finding]:
    c = objective.latent.coefficients
    if sampled is not None and sampled is not c.scale and not c.zero(c.log) and not c.zero(c.variance):
        same = {sampled, c.scale} == {LOG_VARIANCE, LOG_SCALE}
        also = " (log σ and log σ² are taken for each other)" if same else ""
        seen = f"The sampling takes the encoder's output for {sampled.name}, the KL for {c.scale.name}{also}"
        yield finding("scale-mismatch", seen, line)
    if c.standard:
        return
    missing = [name for name, part in (("σ²", c.variance), ("log σ²", c.log)) if c.zero(part)]
    if c.zero(c.square):
        missing.insert(0, "μ² (μ itself is there)" if not c.zero(c.linear) else "μ²")
    if missing:
        yield finding("kl-term", f"The KL lacks {' and '.join(missing)}", line)
        return
    signs = {name: part.mean().sign().item() for name, part in _named(c)}
    if len(set(signs.values())) > 1:
        odd = [name for name in signs if [*signs.values()].count(signs[name]) == 1]
        yield finding("kl-term", f"In the KL, {odd[0]} has the wrong sign", line)
        return
    yield from _of_prior(objective, line)


def _of_prior(objective: "Objective", line: str) -> Iterator[Finding]:
    """The three parts have other weights than in the KL to N(0, I)."""
    c = objective.latent.coefficients
    if odd := odd_part(c):
        yield finding("kl-half", f"In the KL, {odd} as the rest", line)
        return
    if c.agree(c.square, c.variance):
        variance = (c.log / c.square).flatten()
        if not c.zero(c.linear) or not close(variance.min().item(), variance.max().item()):
            yield finding("kl-prior", "The KL is to a Gaussian prior that is not N(0, I), or differs by row", line)
        elif c.agree(c.square, c.log):
            yield finding("rows-differ", "The KL does not weigh the same in all rows or latents", line)
        else:
            yield finding("kl-prior", f"The KL is to the prior N(0, {variance[0].item():.4g})", line)
    else:
        yield finding("kl-term", "The KL's parts μ², σ² and log σ² have weights that do not fit together", line)


def odd_part(c: Coefficients) -> str:
    """Which of the three parts weighs half or twice as much as the others; empty if none does."""
    for name, part, others in (
        ("μ²", c.square, (c.variance, c.log)),
        ("σ²", c.variance, (c.square, c.log)),
        ("log σ²", c.log, (c.square, c.variance)),
    ):
        for factor, words in ((0.5, "half as much"), (2.0, "twice as much")):
            if c.zero(c.linear) and c.agree(*others) and c.agree(part, others[0], factor):
                return f"{name} weighs {words}"
    return ""


def _named(c: Coefficients) -> tuple[tuple[str, Tensor], ...]:
    return (("μ²", c.square), ("σ²", c.variance), ("log σ²", c.log))
