"""Assignment 6's reference, cases and known mistakes. Private: it never goes to students, nor into the box."""

import math

import torch
from torch import Tensor
from torch.distributions import Normal, Poisson

from course.engine.cases import EXTREME, Judge, Task, checks_of, normal, uniform
from course.engine.checks import Check, Verdict

NAME = "a06"
PARTICLES, RUNS = 60, 200
STANDARD_ERRORS, NOISY = (
    5,
    1.5,
)  # how far from the evidence, and how many times the reference's spread, estimates may be


def jumps(gap: Tensor, a: float, q: float, mistake: str = "") -> list[tuple[float, float]]:
    """What a level is multiplied with over each gap, and the variance that comes to it."""
    steps = [1 if mistake == "gaps" else int(each) for each in gap]
    if mistake == "geometric":
        return [(a**n, q * (1 - a ** (2 * n)) / (1 - a**2) if a**2 != 1 else math.nan) for n in steps]
    return [(a**n, q * sum(a ** (2 * i) for i in range(n))) for n in steps]


def kalman(
    y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float, mistake: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """The log evidence, and the filter's means and variances, (T,)."""
    m, p, total, means, variances = y.new_tensor(m0), y.new_tensor(p0), y.new_zeros(()), [], []
    for t, (y_t, (factor, noise)) in enumerate(zip(y, jumps(gap, a, q, mistake), strict=True)):
        if t or mistake == "first":
            m, p = factor * m, factor**2 * p + noise
        spread = p + r
        if mistake != "filtered":
            total = total + Normal(m, spread if mistake == "sd" else spread.sqrt(), validate_args=False).log_prob(y_t)
        gain = p / spread
        m, p = m + gain * (y_t - m), p if mistake == "no update" else (1 - gain) * p
        if mistake == "filtered":
            total = total + Normal(m, (p + r).sqrt()).log_prob(y_t)
        means.append(m)
        variances.append(p)
    return total, torch.stack(means), torch.stack(variances)


def kalman_evidence(
    y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float, mistake: str = ""
) -> Tensor:
    """The log density of all measurements."""
    return kalman(y, gap, a, q, r, m0, p0, mistake)[0]


def smoother(
    y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float, mistake: str = ""
) -> tuple[Tensor, Tensor]:
    """The mean and variance of the level at each measurement, given all of them, (T,) each."""
    _, means, variances = kalman(y, gap, a, q, r, m0, p0, mistake)
    if mistake == "filter":
        return means, variances
    smooth, spread = [means[-1]], [variances[-1]]
    for t in range(len(y) - 2, -1, -1):
        factor, noise = jumps(gap, a, q, mistake)[t if mistake == "gap before" else t + 1]
        predicted = factor**2 * variances[t] + noise
        gain = variances[t] / predicted * (1 if mistake == "gain" else factor)
        added = predicted if mistake != "forgets" else predicted - spread[0]
        smooth.insert(0, means[t] + gain * (smooth[0] - factor * means[t]))
        spread.insert(0, variances[t] + gain**2 * (spread[0] * (mistake != "forgets") - added))
    return torch.stack(smooth), variances if mistake == "variances" else torch.stack(spread)


def precision_matrix(y: Tensor, gap: Tensor, a: float, q: float, r: float, p0: float, mistake: str = "") -> Tensor:
    """The precision of all levels given all measurements, (T, T): it has three diagonals."""
    matrix = (0.0 if mistake == "no data" else 1 / r) * torch.eye(len(y)).to(y)
    matrix[0, 0] += 1 / p0
    for t, (factor, noise) in enumerate(jumps(gap, a, q, mistake)):
        if t:
            matrix[t, t] += 1 / noise
            matrix[t - 1, t - 1] += factor**2 / noise
            matrix[t, t - 1] = matrix[t - 1, t] = -factor / noise
    return matrix


def best_factorized(
    y: Tensor, gap: Tensor, a: float, q: float, r: float, m0: float, p0: float, mistake: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """The means and variances of the best q without links, (T,) each, and its KL to the posterior."""
    matrix = precision_matrix(y, gap, a, q, r, p0, mistake)
    h = y / r
    h[0] += m0 / p0
    mean, marginal = torch.linalg.solve(matrix, h), matrix.inverse().diagonal()
    price = 0.5 * (matrix.diagonal().log().sum() - matrix.logdet())
    if mistake == "marginals":
        return mean, marginal, price
    if mistake == "forward":
        return mean, 1 / matrix.diagonal(), 0.5 * (marginal.log().sum() + matrix.logdet())
    return mean, 1 / matrix.diagonal(), price * {"sign": -1, "no half": 2}.get(mistake, 1)


def sequence_elbo(
    y: Tensor,
    a: float,
    q: float,
    m0: float,
    p0: float,
    m: Tensor,
    log_s: Tensor,
    link: Tensor,
    eps: Tensor,
    mistake: str = "",
) -> Tensor:
    """What each draw says about the ELBO of a series of counts, (S,)."""
    s = (log_s * (0.5 if mistake == "log-variance" else 1)).exp()
    total, before = 0.0, None
    for t in range(len(y)):
        z = m[t] + s[t] * eps[:, t]
        if before is not None and mistake != "no link":
            z = z + link[t] * (before - m[t - 1])
        center, variance = (m0, p0) if before is None else (a * before, q)
        if mistake == "off by one" and before is not None:
            center = a * m[t - 1]
        prior = Normal(center, variance if mistake == "sd" else variance**0.5).log_prob(z)
        log_q = -0.5 * eps[:, t] ** 2 - s[t].log() - 0.5 * math.log(2 * math.pi)
        log_p = y[t] * z - z.exp()
        if mistake != "factorial":
            log_p = log_p - (torch.lgamma(y[t] + 1) if mistake != "overflow" else torch.lgamma(y[t] + 1).exp().log())
        total = total + log_p + prior + {"entropy": log_q, "no entropy": torch.zeros_like(log_q)}.get(mistake, -log_q)
        before = z
    return total


def particle_evidence(
    y: Tensor, a: float, q: float, m0: float, p0: float, particles: int, runs: int, seed: int, mistake: str = ""
) -> Tensor:
    """Independent estimates of the log evidence, (runs,): drawn from the prior, resampled after each step."""
    g = torch.Generator().manual_seed(seed)
    z = m0 + p0**0.5 * normal(g, runs, particles)
    total, kept = y.new_zeros(runs), y.new_zeros(runs, particles)
    for t in range(len(y)):
        if t:
            z = a * z + q**0.5 * normal(g, runs, particles)
        log_w = Poisson(z.exp()).log_prob(y[t])
        kept = kept + log_w
        total = total + (log_w.mean(1) if mistake == "mean of logs" else log_w.logsumexp(1))
        total = total - (0 if mistake in ("sum", "mean of logs") else math.log(particles))
        if mistake != "no resampling":
            steps = log_w.softmax(1).cumsum(1).contiguous()
            picked = torch.searchsorted(steps, uniform(g, runs, particles)).clamp_max(particles - 1)
            z = z.gather(1, picked)
    if mistake == "no resampling":
        return kept.logsumexp(1) - math.log(particles)
    return total


def grid_evidence(y: Tensor, a: float, q: float, m0: float, p0: float) -> float:
    """The log evidence of a series of counts, by the filter on a fine grid."""
    z = torch.linspace(-6, 6, 301, dtype=torch.float64)
    move = Normal(a * z, q**0.5).log_prob(z[:, None]) + (z[1] - z[0]).log()
    known = Normal(m0, p0**0.5).log_prob(z)
    for t in range(len(y)):
        if t:
            known = (move + known).logsumexp(1)
        known = known + Poisson(z.exp()).log_prob(y[t])
    return (known.logsumexp(0) + (z[1] - z[0]).log()).item()


def particle_judge(y: Tensor, a: float, q: float, m0: float, p0: float, particles: int, runs: int, seed: int) -> Judge:
    """Decides on estimates by their mean, in the scale of the evidence, and their spread."""
    exact = grid_evidence(y, a, q, m0, p0)
    mine = particle_evidence(y, a, q, m0, p0, particles, runs, seed + 1)
    spread = (mine - exact).exp().std()
    logs = particle_evidence(y, a, q, m0, p0, particles, runs, seed + 1, "mean of logs")

    def unbiased(values: Tensor) -> bool:
        ratio = (values - exact).exp()
        error = max(ratio.std().item(), 0.2 * spread.item()) / runs**0.5
        return abs(ratio.mean().item() - 1) < STANDARD_ERRORS * error

    def judge(got: object) -> Verdict:
        try:
            values = torch.as_tensor(got, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            return Verdict(0.0, "One array was asked for, a number for each run.")
        if tuple(values.shape) != (runs,) or not torch.isfinite(values).all():
            return Verdict(0.0, f"{runs} finite numbers were asked for, one for each run.")
        if values.unique().numel() < runs // 2:
            return Verdict(0.0, "The runs must be independent: many of yours are the same.")
        if unbiased(values):
            if values.std() > NOISY * mine.std():
                return Verdict(0.7, "Right on average, but as noisy as without resampling after each step.")
            return Verdict(1.0)
        if unbiased(values - len(y) * math.log(particles)):
            return Verdict(0.5, "The mean of the weights is asked for at each step; this is their sum.")
        if (values.mean() - logs.mean()).abs() < 10 * logs.std() / runs**0.5:
            return Verdict(0.4, "The mean of the log weights is too low: the mean comes before the log.")
        return Verdict(0.0, "The mean of the exponentials is more than five standard errors from the evidence.")

    return judge


def particle_tells(judge: Judge, *args: object) -> bool:
    """Whether a series is long enough, and restless enough, that resampling shows."""
    right, lazy = (judge(particle_evidence(*args, mistake)).share for mistake in ("", "no resampling"))  # type: ignore[arg-type]
    return right == 1 and lazy == TASKS[-1].breaks["no resampling"][0]


def level(k: int, g: torch.Generator) -> tuple[list[float], str]:
    """The model's numbers a, q, r, m0 and p0; in the extreme case a is −1."""
    a, q, r, m0, p0 = (
        torch.tensor([0.55, 0.15, 0.1, -1, 0.6]) + uniform(g, 5) * torch.tensor([0.3, 0.2, 0.3, 2, 0.8])
    ).tolist()
    return ([-1.0, q, r, m0, p0], ", a = −1") if k == EXTREME else ([a, q, r, m0, p0], "")


def gaps(k: int, g: torch.Generator) -> Tensor:
    """Steps between measurements, the first not used; both 1 and more occur."""
    gap = torch.randint(1, 5, (5 + k % 3,), generator=g)
    gap[:3] = torch.tensor([1, 3, 1])
    return gap


def series_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Measurements of a level at odd times."""
    numbers, name = level(k, g)
    gap = gaps(k, g)
    return [0.8 * normal(g, len(gap)) + 1.5, gap, *numbers], f"{len(gap)} measurements{name}"


def counts_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Counts, a model, a q and its noise; in the extreme one the counts are in the hundreds."""
    (a, q, _, m0, p0), _ = level(0, g)
    size = 4 + k % 3
    m, name = 0.7 * normal(g, size) + 0.5, f"{size} counts"
    if k == EXTREME:
        m, m0, name = m + 6, m0 + 6, name + " in the hundreds"
    y = torch.poisson(m.exp(), generator=g)
    y[0] = 3.0 if k != EXTREME else 400.0
    return [y, a, q, m0, p0, m, 0.3 * normal(g, size) - 0.8, 0.3 + 0.4 * uniform(g, size), normal(g, 6, size)], name


def particle_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """A short series of counts."""
    size, a, q, m0, p0 = 20, 0.9, 0.15, 0.5, 0.6
    z = m0 + p0**0.5 * normal(g, 1)
    levels = [z := z if t == 0 else a * z + q**0.5 * normal(g, 1) for t in range(size)]
    y = torch.poisson(torch.cat(levels).exp(), generator=g)
    return [y, a, q, m0, p0, PARTICLES, RUNS, 10 * k], f"{size} counts, {RUNS} runs of {PARTICLES} particles"


GAPS = (0.4, "Between two measurements there are as many steps as `gap` says; yours takes one.")
TASKS = (
    Task(
        "q1",
        "kalman_evidence",
        15,
        3,
        kalman_evidence,
        series_case,
        {
            "first": (0.6, "m0 and p0 are the level at the first measurement: nothing is to be predicted before it."),
            "sd": (0.3, "A standard deviation was asked for where you put a variance."),
            "filtered": (0.3, "A measurement is predicted from those before it; yours has been seen already."),
            "no update": (0.5, "A measurement makes the variance of the level smaller."),
            "gaps": GAPS,
        },
        {"geometric": (0.8, "It holds NaN or infinity.")},
    ),
    Task(
        "q2",
        "smoother",
        15,
        3,
        smoother,
        series_case,
        {
            "filter": (0.4, "This is the filter: what comes later also tells something."),
            "variances": (0.6, "The means are right; the variances are still the filter's."),
            "gain": (0.4, "The gain lacks the factor by which the level is multiplied on its way."),
            "gap before": (0.5, "On the way back from t + 1 to t the gap is that before t + 1."),
            "first": (0.6, "m0 and p0 are the level at the first measurement: nothing is to be predicted before it."),
            "gaps": GAPS,
        },
        {"geometric": (0.8, "It holds NaN or infinity.")},
    ),
    Task(
        "q3",
        "best_factorized",
        10,
        2,
        best_factorized,
        series_case,
        {
            "marginals": (0.5, "The best q is narrower than the posterior's own variances."),
            "forward": (0.5, "This price is that of the KL from the posterior to q."),
            "sign": (0.6, "A KL is never negative."),
            "no half": (0.7, "A factor ½ is missing in the price."),
            "no data": (0.3, "This is the prior: each measurement adds 1 / r to the precision."),
            "gaps": GAPS,
        },
    ),
    Task(
        "q4",
        "sequence_elbo",
        20,
        4,
        sequence_elbo,
        counts_case,
        {
            "off by one": (
                0.5,
                "The prior's mean at t is a times the level DRAWN at t − 1, not times its mean under q.",
            ),
            "no link": (0.4, "A draw of q at t follows the draw at t − 1 by the link."),
            "sd": (0.5, "q and p0 are variances."),
            "log-variance": (0.5, "log_s is the log of a standard deviation, not of a variance."),
            "factorial": (0.8, "The log of y! is missing."),
            "entropy": (0.3, "log q has to be subtracted."),
            "no entropy": (0.3, "log q has to be subtracted; yours leaves it out."),
        },
        {"overflow": (0.8, "It holds NaN or infinity.")},
    ),
    Task(
        "q5",
        "particle_evidence",
        10,
        0,
        particle_evidence,
        particle_case,
        breaks={
            "mean of logs": (0.4, "too low"),
            "sum": (0.5, "their sum"),
            "no resampling": (0.7, "as noisy as"),
        },
        judge=particle_judge,
        tells=particle_tells,
        numbers=(0, 4),
        seconds=4,
    ),
)


def checks(student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks."""
    return checks_of(TASKS, NAME, student, salt, secret)
