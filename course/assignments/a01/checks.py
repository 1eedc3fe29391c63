"""Assignment 1's reference, cases and known mistakes. Private: it never goes to students, nor into the box."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from course.engine.cases import Judge, Task, checks_of, uniform
from course.engine.checks import Check, Verdict

NAME = "a01"
CLOSE, NEAR = 1e-4, 1e-2  # nats from the reference's end: right, and "stopped early"


def log_joint(t: Tensor, event: Tensor, w: Tensor, rate: Tensor) -> Tensor:
    """The log of p(t, event, z = c), shape (N, C): a density where the lamp failed, a survival where it still burns."""
    return w.log() + event[:, None] * rate.log() - t[:, None] * rate


def responsibilities(t: Tensor, event: Tensor, w: Tensor, rate: Tensor, mistake: str = "") -> Tensor:
    """The posterior of each lamp's kind, shape (N, C)."""
    if mistake == "events":
        event = torch.ones_like(event)
    joint = log_joint(t, event, w, rate)
    if mistake == "joint":
        return joint.exp()
    if mistake == "columns":
        return joint.softmax(0)
    if mistake == "no logs":
        return joint.exp() / joint.exp().sum(1, keepdim=True)
    return joint.softmax(1)


def em_step(t: Tensor, event: Tensor, w: Tensor, rate: Tensor, mistake: str = "") -> tuple[Tensor, Tensor, Tensor]:
    """One step: the new weights and rates, and the log-likelihood of the old ones."""
    if mistake == "drop":
        t, event = t[event > 0], event[event > 0]
    if mistake == "events":
        event = torch.ones_like(event)
    joint = log_joint(t, torch.ones_like(event) if mistake == "density" else event, w, rate)
    r = joint.softmax(1)
    if mistake == "hard":
        r = torch.nn.functional.one_hot(joint.argmax(1), len(w)).to(t.dtype)
    failed, burned = (r * event[:, None]).sum(0), (r * t[:, None]).sum(0)
    if mistake == "numerator":
        failed = r.sum(0)
    if mistake == "hours":
        burned = (r * (t * event)[:, None]).sum(0)
    if mistake == "impute":
        failed, burned = r.sum(0), (r * (t[:, None] + (1 - event[:, None]) / rate)).sum(0)
    new_w, new_rate = r.mean(0), failed / burned
    value = joint.logsumexp(1).sum()
    if mistake == "after":
        value = log_joint(t, event, new_w, new_rate).logsumexp(1).sum()
    return new_w, new_rate, value


def elbo_and_kl(
    t: Tensor, event: Tensor, w: Tensor, rate: Tensor, q: Tensor, mistake: str = ""
) -> tuple[Tensor, Tensor]:
    """The ELBO of all data for any q, and the KL from q to the posterior."""
    joint = log_joint(t, event, w, rate)
    log_r = joint.log_softmax(1)
    entropy = -torch.special.xlogy(q, q).sum()
    elbo, kl = (q * joint).sum() + entropy, -entropy - (q * log_r).sum()
    if mistake == "no entropy":
        return elbo - entropy, kl
    if mistake == "no entropy, by difference":
        return elbo - entropy, kl + entropy
    if mistake == "reversed":
        q = q.clamp_min(1e-300)
        return elbo, (log_r.exp() * (log_r - q.log())).sum()
    if mistake == "mean":
        return elbo / len(t), kl / len(t)
    if mistake == "no xlogy":
        return (q * (joint - q.log())).sum(), (q * (q.log() - log_r)).sum()
    return elbo, kl


def fit(
    t: Tensor, event: Tensor, w: Tensor, rate: Tensor, mistake: str = "", *, rise: float = 1e-9, most: int = 3_000
) -> tuple[Tensor, Tensor, Tensor]:
    """EM until the log-likelihood rises by less than ``rise``: weights, rates, the log-likelihood of every iterate."""
    path, values = [(w, rate)], []
    while len(path) < most:
        w, rate, value = em_step(t, event, w, rate)
        values.append(value.item())
        if len(values) > 1 and values[-1] - values[-2] < rise:
            break
        path.append((w, rate))
    values, path = values[: len(path)], path[: len(values)]
    if mistake == "early":
        end = max(1, next(n for n, value in enumerate(values) if values[-1] - value < NEAR / 2))
        return *path[end], torch.tensor(values[: end + 1])
    if mistake == "falls":
        return *path[-1], torch.tensor([*values[:1], values[0] - 1.0, *values[1:]])
    return *path[-1], torch.tensor(values, dtype=torch.float64)


def lamps(g: torch.Generator, n: int, kinds: int, *, censoring: float = 0.15) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lifetimes in thousand hours, whether each has ended, and the weights and rates that they were drawn from."""
    rate = torch.tensor([0.3, 5.0, 40.0][:kinds], dtype=torch.float64) * (1 + 0.3 * uniform(g, kinds))
    w = torch.ones(kinds, dtype=torch.float64) + uniform(g, kinds)
    w = w / w.sum()
    z = torch.multinomial(w, n, replacement=True, generator=g)
    life, watched = -uniform(g, n).log() / rate[z], -uniform(g, n).log() / censoring
    event = (life <= watched).double()
    event[:2] = torch.tensor([1.0, 0.0])  # both occur
    return torch.minimum(life, watched) + 1e-3, event, w, rate


def fit_judge(t: Tensor, event: Tensor, w0: Tensor, rate0: Tensor) -> Callable[[object], Verdict]:
    """Decides on the end of a fit: any (w, rate) as good as the reference's is right."""
    best = torch.as_tensor(fit(t, event, w0, rate0)[2])[-1].item()
    start = em_step(t, event, w0, rate0)[2].item()

    def judge(got: object) -> Verdict:
        try:
            w, rate, values = (torch.as_tensor(part, dtype=torch.float64) for part in got)  # type: ignore[attr-defined]
        except (TypeError, ValueError, RuntimeError):
            return Verdict(0.0, "Three arrays were asked for: w, rate and the log-likelihoods.")
        if w.shape != w0.shape or rate.shape != rate0.shape or values.dim() != 1 or len(values) < 2:
            return Verdict(0.0, "The shapes are (C,), (C,) and (iterations + 1,).")
        whole = torch.isfinite(torch.cat([w, rate, values])).all()
        if not whole or (w < 0).any() or abs(w.sum() - 1) > 1e-5 or (rate <= 0).any():
            return Verdict(0.0, "Weights must be positive and sum to one, rates must be positive.")
        end = em_step(t, event, w / w.sum(), rate)[2].item()
        if not end > best - NEAR:
            return Verdict(0.0, "It ends more than 0.01 nats below the maximum that EM reaches from this start.")
        noise = 1e-6 * (len(t) + abs(end))  # float32 rounds that much
        if not (values.diff() >= -noise).all():
            return Verdict(0.3, "EM never falls, but your log-likelihoods do.")
        if end < best - CLOSE:
            return Verdict(0.5, "It stopped too early: the log-likelihood still rises by more than 0.0001.")
        if abs(values[0].item() - start) > 1e-3 or abs(values[-1].item() - end) > 1e-3:
            return Verdict(0.5, "The first log-likelihood is that of the start, the last one that of the end.")
        return Verdict(1.0)

    return judge


def _case(function: str, k: int, g: torch.Generator) -> tuple[list[Tensor], str]:
    """The arguments of one case, and its name."""
    kinds = 2 if function == "fit" else 2 + k % 2
    n = 120 if function == "fit" else 12 + 6 * k
    extreme = k == 6
    t, event, w, rate = lamps(g, n, kinds, censoring=(0.3 if extreme else 0.15) if function == "fit" else 1.0)
    spread = 0.4 + 0.4 * torch.rand(kinds, generator=g, dtype=torch.float64)
    args = [t, event, torch.full_like(w, 1 / kinds), rate * spread]
    name = f"{n} lamps, {kinds} kinds"
    if function == "elbo_and_kl":
        q = (1.5 * torch.randn(n, kinds, generator=g, dtype=torch.float64)).softmax(1)
        if extreme:
            q[0], name = torch.eye(kinds, dtype=torch.float64)[0], name + ", q sure of one of them (0 log 0 is 0)"
        args.append(q)
    elif extreme and function == "fit":
        name += ", many of them still burning"
    elif extreme:
        t[1], args[3] = 2000.0, args[3] + 0.5
        name += ", one has burned for t = 2000 (stay in logs)"
    return args, name


def _tells(judge: Judge, *args: Tensor) -> bool:
    """Whether a start tells an EM that stopped too early from one that did not."""
    return judge(fit(*args)).share == 1 and judge(fit(*args, "early")).share == TASKS[-1].breaks["early"][0]


TASKS = (
    Task(
        "q1",
        "responsibilities",
        10,
        4,
        responsibilities,
        partial(_case, "responsibilities"),
        {
            "events": (
                0.3,
                "A lamp that still burns tells its survival, exp(−λt), not its density: no factor λ there.",
            ),
            "joint": (0.2, "These are joint densities: a row has to be divided by its sum."),
            "columns": (0.2, "Each row sums to one, over the kinds; here each column does, over the lamps."),
        },
        {"no logs": (0.6, "It holds NaN or infinity.")},
    ),
    Task(
        "q2",
        "em_step",
        25,
        4,
        em_step,
        partial(_case, "em_step"),
        {
            "after": (0.75, "The log-likelihood is asked for BEFORE the step; yours is after it."),
            "drop": (
                0.25,
                "Lamps that still burn were left out: they have burned for t hours, and count in every sum.",
            ),
            "hard": (0.25, "Each lamp is shared among the kinds by its responsibilities, not given to the best one."),
            "events": (0.25, "Lamps that still burn count as failed, in the posterior and in the numerator of a rate."),
            "numerator": (0.5, "Lamps that still burn count as failed: the numerator of a rate counts failures alone."),
            "hours": (0.5, "A rate's denominator lacks the hours of the lamps that still burn."),
            "density": (
                0.5,
                "A lamp that still burns tells its survival, exp(−λt), not its density: no factor λ in its posterior.",
            ),
            "impute": (
                0.7,
                "A valid EM, which takes the rest of a censored life as missing too; here z alone is latent.",
            ),
        },
    ),
    Task(
        "q3",
        "elbo_and_kl",
        15,
        3,
        elbo_and_kl,
        partial(_case, "elbo_and_kl"),
        {
            "no entropy": (0.4, "The entropy of q is missing from the ELBO."),
            "no entropy, by difference": (0.4, "The entropy of q is missing from the ELBO, and so from the KL."),
            "reversed": (0.5, "The KL is asked for from q to the posterior; yours is the other way round."),
            "mean": (0.7, "Sums over the lamps are asked for, not means."),
        },
        {"no xlogy": (0.8, "It holds NaN or infinity.")},
    ),
    Task(
        "q4",
        "fit",
        20,
        2,
        fit,
        partial(_case, "fit"),
        breaks={"early": (0.5, "stopped too early"), "falls": (0.3, "never falls")},
        judge=fit_judge,
        tells=_tells,
    ),
)


def checks(student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks."""
    return checks_of(TASKS, NAME, student, salt, secret)
