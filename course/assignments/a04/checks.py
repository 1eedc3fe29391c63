"""Assignment 4's reference, cases and known mistakes. Private: it never goes to students, nor into the box."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from course.engine.cases import EXTREME, Judge, Task, checks_of, normal, uniform
from course.engine.checks import Check, Verdict

NAME = "a04"
CLOSE, NEAR = 0.05, 0.2  # nats a row below EM's evidence of new rows: right, and on the way
LOG_2PI = math.log(2 * math.pi)


def filled(x: Tensor, seen: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """The table with zeros where nothing was measured, and its mask, (N, D) both."""
    mask = seen[:, block]
    return torch.where(mask > 0, x, torch.zeros_like(x)), mask.to(x)


def elbo_terms(
    x: Tensor,
    seen: Tensor,
    block: Tensor,
    W: Tensor,
    mu: Tensor,
    log_psi: Tensor,
    m: Tensor,
    log_s: Tensor,
    eps: Tensor,
    mistake: str = "",
) -> tuple[Tensor, Tensor]:
    """The reconstruction of the measured entries, averaged over the draws, and minus the KL, (N,) each."""
    x, mask = filled(x, seen, block)
    if mistake == "unseen":
        mask = torch.ones_like(mask)
    if mistake == "log-variance":
        log_s = 0.5 * log_s
    if mistake == "psi":
        log_psi = 2 * log_psi
    z = m + log_s.exp() * eps
    squares = (x - mu - z @ W.mT) ** 2 / log_psi.exp()
    log_p = -0.5 * (squares + log_psi + (0.0 if mistake == "constant" else LOG_2PI)) * mask
    reconstruction = log_p.sum(2).mean(0)
    if mistake == "mean":
        reconstruction = reconstruction / mask.sum(1).clamp_min(1)
    if mistake == "mean of all":
        reconstruction = reconstruction / x.shape[1]
    kl = 0.5 * (m**2 + (2 * log_s).exp() - 1 - 2 * log_s).sum(1)
    return reconstruction, {"sign": kl, "no half": -2 * kl}.get(mistake, -kl)


def log_evidence(
    x: Tensor, seen: Tensor, block: Tensor, W: Tensor, mu: Tensor, log_psi: Tensor, mistake: str = ""
) -> Tensor:
    """The log density of the measured entries of each row, (N,)."""
    x, mask = filled(x, seen, block)
    if mistake == "unseen":
        mask = torch.ones_like(mask)
    if mistake == "psi":
        log_psi = 2 * log_psi
    off = (x - mu) * mask
    covariance = mask[:, :, None] * (W @ W.mT + log_psi.exp().diag()) * mask[:, None, :] + (1 - mask).diag_embed()
    factor = torch.linalg.cholesky(covariance)
    whitened = torch.linalg.solve_triangular(factor, off[:, :, None], upper=False)[:, :, 0]
    log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    count = torch.full_like(log_det, x.shape[1]) if mistake == "all" else mask.sum(1)
    constant = 0.0 if mistake == "constant" else LOG_2PI * count
    return -0.5 * (constant + (2 * log_det if mistake == "logdet" else log_det) + (whitened**2).sum(1))


def iwae(log_w: Tensor, k: int, mistake: str = "") -> Tensor:
    """The k-sample bound of each datum, averaged over the groups of k samples, from log weights (S, N)."""
    groups = log_w.reshape(-1, k, log_w.shape[1])
    if mistake == "mean of logs":
        return log_w.mean(0)
    if mistake == "log k":
        return groups.logsumexp(1).mean(0)
    if mistake == "all":
        return log_w.logsumexp(0) - math.log(len(log_w))
    if mistake == "no logs":
        return groups.exp().mean(1).log().mean(0)
    if mistake == "axis":
        return (groups.logsumexp(0) - math.log(len(groups))).mean(0)
    return (groups.logsumexp(1) - math.log(k)).mean(0)


def train(
    x: Tensor, seen: Tensor, block: Tensor, latents: int, seed: int, mistake: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """EM to its end, from loadings that the seed draws; a mistake makes its result worse."""
    x, mask = filled(x, seen, block)
    g = torch.Generator().manual_seed(seed)
    W = 0.5 * torch.randn(x.shape[1], latents, generator=g, dtype=x.dtype)
    mu = x.sum(0) / mask.sum(0)
    psi = ((x - mu) ** 2 * mask).sum(0) / mask.sum(0)
    eye = torch.eye(latents, dtype=x.dtype)
    patterns, of_row = mask.unique(dim=0, return_inverse=True)  # rows with the same holes have one covariance
    count, squares = mask.sum(0), (mask * x**2).sum(0)
    for _ in range(150):
        precision = eye + torch.einsum("nd,dl,dk->nlk", patterns / psi, W, W)
        covariance = torch.linalg.inv(precision)[of_row]
        mean = (covariance @ (((x - mu) * mask / psi) @ W)[:, :, None])[:, :, 0]
        one = functional.pad(mean, (0, 1), value=1.0)  # a column of ones: its loading is the mean of x
        second = one[:, :, None] * one[:, None, :] + functional.pad(covariance, (0, 1, 0, 1))
        left = (mask.mT @ second.flatten(1)).reshape(-1, latents + 1, latents + 1)
        right = (mask * x).mT @ one
        both = torch.linalg.solve(left, right)
        psi = (squares - (both * right).sum(1)) / count
        W, mu = both[:, :-1], both[:, -1]
    if mistake == "on the way":
        psi, W = 1.5 * psi, 0.8 * W
    if mistake == "no latent":
        psi, W = psi + (W**2).sum(1), 0 * W
    return W, mu, psi.log()


def train_judge(x: Tensor, seen: Tensor, block: Tensor, latents: int, seed: int, new: tuple[Tensor, Tensor]) -> Judge:
    """Decides on a fit by the evidence of new rows: near EM's is right, whatever led there."""
    del seed  # EM's end is asked for, from whatever start
    ends = [log_evidence(*new, block, *train(x, seen, block, latents, start)).mean().item() for start in range(2)]
    best = max(ends)
    shapes = [(x.shape[1], latents), (x.shape[1],), (x.shape[1],)]

    def judge(got: object) -> Verdict:
        try:
            W, mu, log_psi = (torch.as_tensor(part, dtype=torch.float64) for part in got)  # type: ignore[attr-defined]
        except (TypeError, ValueError, RuntimeError):
            return Verdict(0.0, "Three arrays were asked for: W, mu and log_psi.")
        if [tuple(part.shape) for part in (W, mu, log_psi)] != shapes:
            return Verdict(0.0, "The shapes are (D, L), (D,) and (D,).")
        if not (torch.isfinite(W).all() and torch.isfinite(mu).all() and (log_psi.abs() < 20).all()):
            return Verdict(0.0, "W and mu must be finite, and log_psi between −20 and 20.")
        lost = best - log_evidence(*new, block, W.clamp(-1e6, 1e6), mu, log_psi).mean().item()
        if lost < CLOSE:
            return Verdict(1.0)
        if lost < NEAR:
            return Verdict(
                0.6, "New rows have 0.05 to 0.2 nats less than under EM's parameters: train on, or smaller steps."
            )
        return Verdict(0.0, "New rows have 0.2 nats or more less than under EM's parameters.")

    return judge


def train_tells(judge: Judge, *args: Tensor) -> bool:
    """Whether a table tells EM's end from one that is not reached."""
    return all(judge(train(*args, mistake)).share == share for mistake, (share, _) in TASKS[-1].breaks.items())


def table(g: torch.Generator, n: int, size: int, latents: int) -> tuple[Tensor, ...]:
    """Rows of factor analysis with whole blocks of columns not measured: x, seen, block, W, mu and log_psi."""
    block = torch.arange(size) // 2
    seen = (uniform(g, n, int(block.max()) + 1) < 0.65).double()
    rows = torch.arange(n)
    seen[rows, rows % seen.shape[1]] = 1.0  # no row is empty, no block is
    W, mu, log_psi = normal(g, size, latents), normal(g, size), 0.4 * normal(g, size) - 1
    x = mu + normal(g, n, latents) @ W.mT + (0.5 * log_psi).exp() * normal(g, n, size)
    return torch.where(seen[:, block] > 0, x, torch.zeros_like(x)), seen, block, W, mu, log_psi


def _holes(x: Tensor, seen: Tensor, block: Tensor) -> Tensor:
    """The same table with NaN where nothing was measured."""
    return torch.where(seen[:, block] > 0, x, torch.full_like(x, torch.nan))


def _table_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    latents, size = 2 + k % 2, 4 + 2 * (k % 2)
    x, seen, block, *parameters = table(g, 6 + k, size, latents)
    name = f"{size} columns, {latents} latents"
    if k == EXTREME:
        seen[0] = 0.0
        x, name = _holes(x, seen, block), name + ", NaN where nothing was measured, and a row with nothing at all"
    return [x, seen, block, *(part * 1.2 for part in parameters)], name


def terms_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """A table, a model, a q and its noise."""
    args, name = _table_case(k, g)
    n, latents = len(args[0]), args[3].shape[1]  # type: ignore[arg-type, attr-defined]
    return [*args, 0.7 * normal(g, n, latents), 0.3 * normal(g, n, latents) - 0.5, normal(g, 3, n, latents)], name


def iwae_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Log weights, and the size of the groups; the extreme ones are near −900."""
    size, groups = 3 + k, 4
    log_w = 2 * normal(g, groups * size, 5) - 8
    if k == EXTREME:
        size, groups = 24, 6
        log_w = 12 * normal(g, groups * size, 5) - 900
    return [log_w, size], f"{groups} groups of {size}" + ", log weights near −900" * (k == EXTREME)


def train_case(k: int, g: torch.Generator) -> tuple[list[object], str, tuple[Tensor, Tensor]]:
    """A table to train on, and new rows to judge by."""
    x, seen, block, *_ = table(g, 1_400, 8, 2)
    args = [_holes(x, seen, block)[:400], seen[:400], block, 2, k]
    return args, "400 rows, 8 columns, 2 latents", (x[400:], seen[400:])


PSI = (0.5, "log_psi is the log of a variance, not of a standard deviation.")
UNSEEN = (0.3, "Entries that nobody measured count as if they were 0.")
TASKS = (
    Task(
        "q1",
        "elbo_terms",
        20,
        5,
        elbo_terms,
        terms_case,
        {
            "unseen": UNSEEN,
            "log-variance": (0.5, "log_s is the log of a standard deviation, not of a variance."),
            "psi": PSI,
            "constant": (0.8, "The constant ½ log 2π of every measured entry is missing."),
            "mean": (0.5, "The log density of a row is the sum over its entries, not their mean."),
            "mean of all": (0.5, "The log density of a row is the sum over its entries, not their mean."),
            "sign": (0.3, "The second is MINUS the KL, which is never positive."),
            "no half": (0.5, "A factor ½ is missing in the KL."),
        },
    ),
    Task(
        "q2",
        "log_evidence",
        15,
        4,
        log_evidence,
        _table_case,
        {
            "unseen": UNSEEN,
            "psi": PSI,
            "constant": (0.7, "The constant with 2π is missing."),
            "all": (0.6, "The constant counts the measured entries of a row, not all D."),
            "logdet": (0.5, "The log determinant has a factor ½."),
        },
    ),
    Task(
        "q3",
        "iwae",
        10,
        5,
        iwae,
        iwae_case,
        {
            "mean of logs": (
                0.3,
                "The mean of the log weights is the ELBO: the mean of the weights comes before the log.",
            ),
            "log k": (0.6, "The mean over k weights: log k is missing."),
            "all": (0.5, "This is the bound with all samples at once; the bound with k is asked for."),
            "axis": (
                0.4,
                "The weights are averaged within a group, the logs over the groups; here it is the other way.",
            ),
        },
        {"no logs": (0.5, "It holds NaN or infinity.")},
    ),
    Task(
        "q4",
        "train",
        25,
        0,
        train,
        train_case,
        breaks={"on the way": (0.6, "train on"), "no latent": (0.0, "0.2 nats or more")},
        judge=train_judge,
        tells=train_tells,
        numbers=(0, 4),
        seconds=20,
    ),
)


def checks(student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks."""
    return checks_of(TASKS, NAME, student, salt, secret)
