"""Assignment 5's reference, cases and known mistakes. Private: it never goes to students, nor into the box."""

from functools import cache
from itertools import permutations

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from course.engine.cases import EXTREME, Judge, Task, checks_of, normal, uniform
from course.engine.checks import Check, Verdict

NAME = "a05"
KINDS = 5
STARTS = 6  # of the EM that answers are held against
CLOSE, NEAR = 0.15, 0.35  # accuracy below that of EM: right, and on the way


def summed_elbo(
    logits: Tensor, reconstruction: Tensor, kl: Tensor, log_prior: Tensor, allowed: Tensor, mistake: str = ""
) -> Tensor:
    """The ELBO of each datum, summed over the classes that are not crossed out, (N,)."""
    allowed = torch.ones_like(allowed) if mistake == "mask" else allowed
    open_ = allowed > 0
    if mistake == "after":
        q = logits.softmax(1) * allowed
        q = q / q.sum(1, keepdim=True)
        log_q = q.log()
    else:
        log_q = logits.masked_fill(~open_, -torch.inf).log_softmax(1)
        q = log_q.exp()
    if mistake == "best":
        q = one_hot(log_q.argmax(1), logits.shape[1]).to(logits)
    log_p = log_prior.expand_as(logits).masked_fill(~open_, -torch.inf)
    if mistake != "prior as it was":
        log_p = log_p.log_softmax(1)

    def mean(values: Tensor) -> Tensor:
        return (q * torch.where(open_, values, 0.0)).sum(1)

    if mistake == "kl":
        kl = ((kl * allowed).sum(1, keepdim=True) / allowed.sum(1, keepdim=True)).expand_as(kl)
    total = mean(reconstruction) - mean(kl)
    total = total + (0 if mistake == "no prior" else mean(log_p))
    return total - (0 if mistake in ("entropy", "best") else mean(log_q))


def relaxed_sample(logits: Tensor, u: Tensor, temperature: float, mistake: str = "") -> Tensor:
    """Relaxed draws of independent binary labels, (N, K)."""
    noise = -(-u.log()).log() if mistake == "one" else u.log() - torch.log1p(-u)
    if mistake == "probabilities":
        logits = logits.sigmoid()
    if mistake == "only the logits":
        return (logits / temperature + noise).sigmoid()
    return ((logits + noise) / (1 if mistake == "temperature" else temperature)).sigmoid()


def relaxed_log_density(y: Tensor, logits: Tensor, temperature: float, mistake: str = "") -> Tensor:
    """The log density of relaxed labels, summed over the labels of a datum, (N,)."""
    if mistake == "probabilities":
        logits = logits.sigmoid()
    v = y.log() - torch.log1p(-y)
    w = temperature * v + (logits if mistake == "sign" else -logits)
    rho = (w.sigmoid() * (1 - w.sigmoid())).log() if mistake == "no logs" else logsigmoid(w) + logsigmoid(-w)
    if mistake != "temperature":
        rho = rho + torch.tensor(temperature).to(y).log()
    if mistake != "jacobian":
        rho = rho - y.log() - torch.log1p(-y)
    return rho.mean(1) if mistake == "mean" else rho.sum(1)


def label_information(log_px_y: Tensor, log_py: Tensor, mistake: str = "") -> Tensor:
    """The KL from the model's p(y | x) to its p(y), of each datum, (N,)."""
    if mistake == "no logs":
        joint = log_px_y.exp() * log_py.exp()
        q = joint / joint.sum(1, keepdim=True)
        return (q * (q.log() - log_py)).sum(1)
    if mistake == "uniform throughout":
        log_py = torch.full_like(log_py, 1 / len(log_py)).log()
    log_q = (log_px_y + (0 if mistake == "prior" else log_py)).log_softmax(1)
    if mistake == "reversed":
        return (log_py.exp() * (log_py - log_q)).sum(1)
    if mistake == "uniform":
        log_py = torch.full_like(log_py, 1 / len(log_py)).log()
    value = (log_q.exp() * (log_q - log_py)).sum(1)
    return value / torch.tensor(2.0).log() if mistake == "bits" else value


def cluster_accuracy(clusters: Tensor, labels: Tensor, mistake: str = "") -> float:
    """The largest share of data that are right, over all one-to-one names for the clusters."""
    size = int(max(clusters.max(), labels.max())) + 1
    if mistake == "square":
        size = int(labels.max()) + 1
        labels, clusters = labels[clusters < size], clusters[clusters < size]
    table = torch.zeros(size, size, dtype=torch.int64)
    table.index_put_((labels, clusters), torch.ones_like(labels), accumulate=True)
    if mistake == "majority":
        right = table.max(0).values.sum()
    elif mistake == "unnamed":
        right = table.diagonal().sum()
    elif mistake == "greedy":
        right, left = 0, table.clone()
        for _ in range(size):
            at = int(left.argmax())
            right += max(0, int(left.flatten()[at]))
            left[at // size], left[:, at % size] = -1, -1
    else:
        names = torch.tensor(list(permutations(range(size))))
        right = table[torch.arange(size), names].sum(1).max()
    return float(right) / len(labels)


def train(x: Tensor, kinds: int, seed: int, mistake: str = "") -> Tensor:
    """The clusters of EM for a mixture of independent pixels, the best of six starts, (N,)."""
    if mistake == "one":
        return torch.zeros(len(x), dtype=torch.int64)
    g = torch.Generator().manual_seed(seed)
    first = torch.stack([torch.randperm(len(x), generator=g)[:kinds] for _ in range(STARTS)])
    p, w = 0.25 + 0.5 * x[first.flatten()], x.new_full((STARTS, kinds), 1 / kinds)  # all starts at once
    for _ in range(40):
        joint = x @ p.logit().mT + torch.log1p(-p).sum(1)  # of x with the pixels of each start's kinds
        joint = w.log() + joint.reshape(len(x), STARTS, kinds)
        r = joint.softmax(2).flatten(1)
        w, p = r.mean(0).reshape(STARTS, kinds), (r.mT @ x + 0.5) / (r.sum(0)[:, None] + 1)
    best = joint.logsumexp(2).mean(0).argmax()
    found = joint[:, best].argmax(1)
    if mistake == "noisy":
        lost = torch.randperm(len(x), generator=g)[: int(0.3 * len(x))]
        found[lost] = torch.randint(0, kinds, (len(lost),), generator=g)
    return found


def train_judge(x: Tensor, kinds: int, seed: int, labels: Tensor) -> Judge:
    """Decides on clusters by their one-to-one accuracy, beside that of EM."""
    del seed
    mark = cluster_accuracy(train(x, kinds, 0), labels)

    def judge(got: object) -> Verdict:
        try:
            clusters = torch.as_tensor(got, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            return Verdict(0.0, "One array was asked for, a cluster for each datum.")
        if clusters.shape != labels.shape or not ((clusters == clusters.round()) & (clusters >= 0)).all():
            return Verdict(0.0, "A whole number from 0 is asked for, for each datum.")
        if clusters.max() >= kinds:
            return Verdict(0.0, f"There are {kinds} clusters, from 0 to {kinds - 1}.")
        lost = mark - cluster_accuracy(clusters.long(), labels)
        if lost < CLOSE:
            return Verdict(1.0)
        if lost < NEAR:
            return Verdict(0.6, "The accuracy is 0.15 to 0.35 below that of EM for a mixture of pixels.")
        return Verdict(0.0, "The accuracy is 0.35 or more below that of EM for a mixture of pixels.")

    return judge


def train_tells(judge: Judge, *args: object) -> bool:
    """Whether five kinds of digits tell a clustering from its mistakes, and EM from the student's seed is right too."""
    shares = {"": 1.0} | {mistake: share for mistake, (share, _) in TASKS[-1].breaks.items()}
    return all(judge(train(*args, mistake)).share == share for mistake, share in shares.items())  # type: ignore[arg-type]


def elbo_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """A q, its terms, a prior and what is crossed out; in the extreme one q was sure of a class that is."""
    n, kinds = 7 + k, 4 + k % 3
    logits, allowed = normal(g, n, kinds), (uniform(g, n, kinds) < 0.7).double()
    allowed[torch.arange(n), torch.arange(n) % kinds] = 1.0
    allowed[0] = 1.0
    name = f"{n} data, {kinds} classes"
    if k == EXTREME:
        allowed[1], logits[1], name = (
            torch.arange(kinds) > 0,
            normal(g, kinds),
            name + ", q was sure of a class that is out",
        )
        logits[1, 0] = 1000.0
    prior = normal(g, kinds).log_softmax(0)
    return [logits, 3 * normal(g, n, kinds) - 20, 6 * uniform(g, n, kinds), prior, allowed], name


def sample_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Logits, uniform numbers and a temperature; in the extreme one some of the numbers are tiny."""
    n, labels = 4 + k, 2 + k % 3
    u, temperature = 0.02 + 0.96 * uniform(g, n, labels), 0.4 + 0.4 * uniform(g, 1).item()
    name = f"{n} data, {labels} labels each"
    if k == EXTREME:
        u[0], name, temperature = 1e-30 * (1 + uniform(g, labels)), name + ", some u near 1e-30", 5.0
    return [1.5 * normal(g, n, labels), u, temperature], name


def density_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Relaxed labels, logits and a temperature; in the extreme one q is sure of the other side."""
    n, labels = 4 + k, 2 + k % 3
    y, logits = 0.05 + 0.9 * uniform(g, n, labels), 1.5 * normal(g, n, labels)
    name = f"{n} data, {labels} labels each"
    if k == EXTREME:
        logits[0], name = -60.0, name + ", logits of −60"
    return [y, logits, 0.4 + 0.4 * uniform(g, 1).item()], name


def information_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """What each class gives to each datum, and a prior; in the extreme one the logs are near −900."""
    n, kinds = 5 + k % 3, 3 + k % 3
    logs = 6 * normal(g, n, kinds) - 900 if k == EXTREME else 1.5 * normal(g, n, kinds) - 8
    return [logs, normal(g, kinds).log_softmax(0)], f"{n} data" + ", log-densities near −900" * (k == EXTREME)


def clusters_case(k: int, g: torch.Generator) -> tuple[list[object], str]:
    """Clusters and labels on which greed does not pay; in the extreme one there are more clusters than labels."""
    kinds, more = 4 + k % 3, 2 if k == EXTREME else 0
    table = torch.randint(1, 4, (kinds, kinds + more), generator=g)
    names = torch.randperm(kinds + more, generator=g)
    table[torch.arange(kinds), names[:kinds]] += torch.randint(6, 10, (kinds,), generator=g)
    table[0, names[1]] = table.max() + 2  # whoever takes this entry first loses two others
    clusters = torch.arange(kinds + more).expand_as(table).flatten().repeat_interleave(table.flatten())
    labels = torch.arange(kinds).repeat_interleave(table.sum(1))
    order = torch.randperm(len(labels), generator=g)
    return [clusters[order], labels[order]], f"{len(labels)} data, {kinds} labels, {kinds + more} clusters"


@cache
def all_digits() -> tuple[Tensor, Tensor]:
    """The small digits, a pixel 1 where it is inked, (N, 64), and what they show, (N,)."""
    digits = load_digits()
    return torch.as_tensor(digits.data >= 8).double(), torch.as_tensor(digits.target)


def train_case(k: int, g: torch.Generator) -> tuple[list[object], str, Tensor]:
    """Five of the ten small digits, a pixel 1 where it is inked, in an order of their own, and so their pixels.

    As they are in the data set, their labels could be looked up there.
    """
    images, target = all_digits()
    chosen = torch.randperm(10, generator=g)[:KINDS]
    rows = torch.isin(target, chosen).nonzero()[:, 0]
    rows = rows[torch.randperm(len(rows), generator=g)]
    labels = torch.searchsorted(chosen.sort().values, target[rows])
    pixels = torch.randperm(images.shape[1], generator=g)
    return [images[rows][:, pixels], KINDS, k], f"{len(rows)} digits of {KINDS} kinds, seed {k}", labels


PROBABILITIES = (0.3, "These are made from probabilities; logits are given and asked for.")
TASKS = (
    Task(
        "q1",
        "summed_elbo",
        20,
        4,
        summed_elbo,
        elbo_case,
        {
            "mask": (0.3, "Classes that are crossed out still take part."),
            "best": (0.3, "The sum goes over all classes that are left, not to the most probable one alone."),
            "entropy": (0.5, "The entropy of q(y) is missing."),
            "no prior": (0.5, "The prior of the class is missing."),
            "kl": (0.4, "The KL of each class is weighted by q, as the reconstruction is."),
            "prior as it was": (0.6, "Given what is crossed out the prior has to sum to one over what is left."),
        },
        {"after": (0.8, "It holds NaN or infinity.")},
    ),
    Task(
        "q2",
        "relaxed_sample",
        10,
        2,
        relaxed_sample,
        sample_case,
        {
            "probabilities": PROBABILITIES,
            "temperature": (0.3, "The temperature is forgotten."),
            "only the logits": (0.4, "The temperature divides the noise too."),
            "one": (0.3, "The noise is the difference of two Gumbels, which is logistic; yours is one Gumbel."),
        },
    ),
    Task(
        "q3",
        "relaxed_log_density",
        15,
        3,
        relaxed_log_density,
        density_case,
        {
            "probabilities": PROBABILITIES,
            "temperature": (0.5, "The log of the temperature is missing: du = τ dv."),
            "jacobian": (0.4, "This is the density of the logit of y: y itself needs dv/dy."),
            "sign": (0.4, "The logit is the place of u: it has to be taken from τ v, not added."),
            "mean": (0.6, "The labels are independent: their log densities add up."),
        },
        {"no logs": (0.8, "It holds NaN or infinity.")},
    ),
    Task(
        "q4",
        "label_information",
        10,
        3,
        label_information,
        information_case,
        {
            "uniform": (0.5, "This takes all labels as equally likely; the prior is given."),
            "uniform throughout": (0.5, "This takes all labels as equally likely; the prior is given."),
            "prior": (0.4, "p(y | x) is proportional to p(x | y) times the prior."),
            "reversed": (0.4, "The KL is asked for from p(y | x) to p(y); yours is the other way round."),
            "bits": (0.7, "This is in bits; nats are asked for."),
        },
        {"no logs": (0.7, "It holds NaN or infinity.")},
    ),
    Task(
        "q5",
        "cluster_accuracy",
        10,
        2,
        cluster_accuracy,
        clusters_case,
        {
            "majority": (0.5, "Two clusters may not have one name: this is many to one."),
            "unnamed": (0.2, "Clusters have no names: find the best ones first."),
            "greedy": (0.6, "The best name for the largest entry first is not always the best for all."),
        },
        {"square": (0.8, "The numbers differ.")},
    ),
    Task(
        "q6",
        "train",
        5,
        0,
        train,
        train_case,
        breaks={"noisy": (0.6, "0.15 to 0.35"), "one": (0.0, "0.35 or more")},
        judge=train_judge,
        tells=train_tells,
        numbers=(0, 1, 4),
        seconds=15,
    ),
)


def checks(student: str, salt: str, secret: str) -> list[Check]:
    """A student's checks."""
    return checks_of(TASKS, NAME, student, salt, secret)
