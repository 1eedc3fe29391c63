"""Assignment 3's reference, cases and known mistakes. Private: it never goes to students, nor into the box."""

import torch
from torch import Tensor

from course.engine.cases import EXTREME, Task, checks_of, normal, uniform
from course.engine.checks import Check

NAME = "a03"


def score_gradient(values: Tensor, z: Tensor, scale: float, shape: float, mistake: str = "") -> Tensor:
    """The leave-one-out estimate of the gradient in scale and shape of a Weibull, (2,)."""
    logs = (z / scale).log()
    powers = (shape * logs).exp()
    if mistake == "power":
        powers = z / scale
    scores = torch.stack([(powers - 1) * shape / scale, 1 / shape + logs - powers * logs], 1)
    if mistake == "rate":
        scores = torch.stack([-scale * scale * scores[:, 0], scores[:, 1]], 1)
    others = (values.sum() - values) / (len(values) - 1)
    baseline = {"none": 0.0, "own": values.mean(), "S": others * (len(values) - 1) / len(values)}.get(mistake, others)
    return ((values - baseline)[:, None] * scores).mean(0) * (len(values) if mistake == "sum" else 1)


def weibull_path(u: Tensor, scale: float, shape: float, mistake: str = "") -> tuple[Tensor, Tensor, Tensor]:
    """The sample of each u by the inverse distribution function, and its derivatives in scale and shape, (N,) each."""
    exponential = -(u.log() if mistake == "1 − u" else (1 - u).log() if mistake == "no log1p" else torch.log1p(-u))
    log_z = exponential.log() / shape
    z = scale * log_z.exp()
    in_scale, in_shape = z / scale, -z * log_z / shape
    if mistake == "fixed z":  # −∂F/∂φ, which lacks the density
        density = shape / z * exponential * (-exponential).exp()
        return z, in_scale * density, in_shape * density
    if mistake == "of log z":
        return z, in_scale / z, in_shape / z
    return z, in_scale, -in_shape if mistake == "sign" else in_shape


def elbo_estimators(
    x: Tensor, noise: float, prior: float, m: float, log_s: float, eps: Tensor, mistake: str = ""
) -> Tensor:
    """What each draw says about the ELBO's derivative in log s: total, analytic KL, path, (S, 3)."""
    s = torch.tensor(log_s * (0.5 if mistake == "log-variance" else 1)).to(x).exp()
    if mistake == "prior":
        prior = 1.0
    z = m + s * eps
    slope = (x.mean() - z) / noise if mistake == "one datum" else (x.sum() - len(x) * z) / noise
    total = s * eps * (slope - z / prior)
    columns = [total + 1, s * eps * slope + 1 - s**2 / prior, total + eps**2]
    if mistake == "in s":
        columns = [column / s for column in columns]
    if mistake == "score kept":
        columns[2] = columns[0]
    if mistake == "entropy":
        columns[0] = total
    return torch.stack(columns, 1)


def exact_variance(x: Tensor, noise: float, prior: float, m: float, log_s: float, mistake: str = "") -> Tensor:
    """The variance of a draw of each of the three estimators, (3,)."""
    s = torch.tensor(log_s * (0.5 if mistake == "log-variance" else 1)).to(x).exp()
    precision = len(x) / noise + 1 / prior
    data = (x.sum() - len(x) * m) / noise
    slopes = torch.stack([data - m / prior, data, data - m / prior])
    curves = torch.stack([precision * s**2, len(x) / noise * s**2, 1 - precision * s**2])
    if mistake == "optimum":
        slopes = torch.zeros_like(slopes)
    variances = (s * slopes) ** 2 + (3 if mistake == "fourth moment" else 2) * curves**2
    return variances.sqrt() if mistake == "sd" else variances


def score_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Values of f at samples of a Weibull; the extreme one has two of them."""
    samples = 2 if k == EXTREME else 4 + k
    scale, shape = (0.7 + 2 * uniform(g, 2)).tolist()
    z = scale * (-(uniform(g, samples).clamp_min(1e-3).log())) ** (1 / shape)
    return [3 + 2 * normal(g, samples), z, scale, shape], f"{samples} samples"


def path_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Uniform numbers; in the extreme one some are so small that 1 − u loses them."""
    scale, shape = (0.7 + 2 * uniform(g, 2)).tolist()
    u = 0.02 + 0.96 * uniform(g, 5 + k)
    if k == EXTREME:
        return [
            torch.cat([u, 3e-15 * (1 + uniform(g, 3))]),
            10 * scale,
            shape + 2,
        ], "some u near 1e-15"
    return [u, scale, shape], f"{len(u)} numbers"


def model_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Data, variances and a q; the extreme one is near the posterior."""
    n = 3 + k
    noise, prior = 0.5 + uniform(g, 1).item(), 1.5 + 2 * uniform(g, 1).item()
    x = normal(g, 1) * prior**0.5 + noise**0.5 * normal(g, n)
    precision = n / noise + 1 / prior
    mean = x.sum().item() / noise / precision
    sign = 1 if uniform(g, 1).item() < 0.5 else -1
    if k == EXTREME:
        m, factor, name = mean + 0.1 * sign * precision**-0.5, 1.1, ", q near the posterior"
    else:
        m, factor, name = mean + 0.8 * sign * precision**-0.5, 1.3 + uniform(g, 1).item(), ""
    log_s = torch.tensor(factor * precision**-0.5).log().item()
    return [x, noise, prior, m, log_s], f"{n} data{name}"


def estimators_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """A model, a q and its noise."""
    args, name = model_case(k, g)
    return [*args, normal(g, 8)], name


LOG_VARIANCE = (0.5, "log_s is the log of a standard deviation, not of a variance.")
TASKS = (
    Task(
        "q1",
        "score_gradient",
        20,
        2,
        score_gradient,
        score_case,
        {
            "own": (
                0.3,
                "A sample's own value is in its baseline: that makes the estimate too small by a factor 1 − 1/S.",
            ),
            "none": (0.5, "Right on average, but the baseline is missing, and with it most of the precision."),
            "S": (0.6, "There are S − 1 others: the sum of their values is divided by S − 1, not by S."),
            "sum": (0.7, "The mean over the samples is asked for, not the sum."),
            "rate": (0.4, "This is the derivative in the rate 1 / scale; the scale is asked for."),
            "power": (0.3, "The score has (z / scale) to the power of the shape."),
        },
    ),
    Task(
        "q2",
        "weibull_path",
        20,
        4,
        weibull_path,
        path_case,
        {
            "1 − u": (0.8, "The right law, but F(z) = u is asked for; yours solves F(z) = 1 − u."),
            "sign": (0.5, "The derivative in the shape has the other sign."),
            "fixed z": (0.2, "This is −∂F/∂φ at fixed z: divide it by the density, so that u stays as it is."),
            "of log z": (0.5, "These are the derivatives of log z: multiply them by z."),
        },
        {"no log1p": (0.8, "The numbers differ.")},
    ),
    Task(
        "q3",
        "elbo_estimators",
        20,
        4,
        elbo_estimators,
        estimators_case,
        {
            "log-variance": LOG_VARIANCE,
            "in s": (0.6, "This is the derivative in s; in log s it is s times that."),
            "score kept": (0.6, "The third still holds the score at fixed z; the path derivative leaves it out."),
            "entropy": (0.5, "The total derivative lacks what log s does in log q directly."),
            "prior": (0.4, "The prior's variance is given; yours is 1."),
            "one datum": (0.4, "All data count: the log-likelihood is a sum over them."),
        },
    ),
    Task(
        "q4",
        "exact_variance",
        10,
        2,
        exact_variance,
        model_case,
        {
            "log-variance": LOG_VARIANCE,
            "sd": (0.7, "These are standard deviations; variances are asked for."),
            "fourth moment": (0.5, "The variance of ε² is E[ε⁴] − 1 = 2, not 3."),
            "optimum": (0.5, "This holds at the best mean only: elsewhere the draws have a part that is linear in ε."),
        },
    ),
)


def checks(student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks."""
    return checks_of(TASKS, NAME, student, salt, secret)
