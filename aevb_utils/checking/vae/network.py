"""Checks of the networks: a row alone, parameters that nothing moves, the decoder's range, numbers that overflow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.kl import kl_of
from aevb_utils.checking.vae.noise import Noise
from aevb_utils.checking.vae.objective import Objective
from aevb_utils.checking.vae.scales import LOG_SCALE, LOG_VARIANCE
from aevb_utils.checking.vae.subject import Run, Subject
from aevb_utils.checking.vae.texts import finding

LARGE = 1e6
"""What the data are multiplied by to see how far an output goes."""
VISIBLE = 0.01
"""A mean KL, in nats, below which a latent says nothing."""


def alone_and_in_company(subject: Subject) -> Iterator[Finding]:
    """In evaluation mode q of a row does not depend on the other rows."""
    if len(subject.x) < 2:
        return
    with torch.no_grad():
        with Noise() as noise:
            together = subject.run()
        again = subject.run()
        if not (torch.equal(together.mu, again.mu) and torch.equal(together.t, again.t)):
            return  # q is random: dropout, which is said elsewhere
        line = next((each.line for each in noise.draws if each.kind == "batch statistics"), "")
        try:
            first = subject.run(subject.x[:1], tuple(part[:1] for part in subject.context))
        except (RuntimeError, ValueError, IndexError) as error:
            if "more than 1 value per channel" in str(error):
                yield finding("batch-statistics", "In evaluation mode the batch's own statistics are used", line)
            else:
                yield finding("single-row", f"A batch of one row stops with: {_first_line(error)}")
            return
    if first.mu.shape[0] != 1:
        yield finding("single-row", f"For a batch of one row μ has the shape {tuple(first.mu.shape)}")
        return
    for name, one, all_ in (("μ", first.mu, together.mu), ("the width of q", first.t, together.t)):
        size = all_.abs().max().clamp(min=1e-3)
        if bool(((one - all_[:1]).abs() > 1e-3 * size).any()):
            yield finding("batch-statistics", f"{name} of a row is another alone than in the batch", line)
            return


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0][:120]


def of_parameters(subject: Subject, run: Run, optimizer: Optimizer | None) -> Iterator[Finding]:
    """Every parameter has a gradient, and the optimizer holds it; every leaf of the loss is a parameter."""
    parameters = dict(subject.model.named_parameters())
    names = {id(value): name for name, value in parameters.items()}
    leaves = [each for each in _leaves(run.loss) if each is not subject.x]
    parts = [*run.recon, *(each for each in (run.mu, run.t, run.z) if each is not None)]
    of_networks = {id(leaf) for part in parts for leaf in _leaves(part)}
    strange = [] if subject.alone else [each for each in leaves if id(each) not in names]
    unknown = [each for each in strange if id(each) in of_networks or _attribute(subject.model, each)]
    if unknown:
        named = [_where(subject.model, each) for each in unknown[:3]]
        yield finding("unregistered", f"The model does not register {_listed(named, len(unknown))}")
    held = (
        {id(each) for group in optimizer.param_groups for each in group["params"]} if optimizer is not None else set()
    )
    beside = [each for each in strange if all(each is not other for other in unknown) and id(each) not in held]
    if beside:
        named = [_where(subject.model, each) for each in beside[:3]]
        yield finding("loss-parameters", f"The loss itself can be trained in {_listed(named, len(beside))}")
    used = {id(each) for each in leaves}
    if unused := [name for name, each in parameters.items() if each.requires_grad and id(each) not in used]:
        yield finding("unused-parameters", f"The loss does not depend on {_listed(unused[:4], len(unused))}")
    if optimizer is not None:
        missing = [each for each in leaves if id(each) not in held and all(each is not other for other in beside)]
        missing = [names.get(id(each), "a tensor") for each in missing]
        if missing:
            yield finding("not-in-optimizer", f"The optimizer does not hold {_listed(missing[:4], len(missing))}")


def _leaves(loss: Tensor) -> list[Tensor]:
    """The tensors at the ends of the loss's graph."""
    found: dict[int, Tensor] = {}
    waiting, done = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in done:
            continue
        done.add(node)
        if hasattr(node, "variable"):
            found[id(node.variable)] = node.variable
        waiting += [after for after, _ in node.next_functions]
    return [*found.values()]


def _where(model: nn.Module, tensor: Tensor) -> str:
    return _attribute(model, tensor) or f"a tensor of the shape {tuple(tensor.shape)}"


def _attribute(model: nn.Module, tensor: Tensor) -> str:
    """In which attribute of the model a tensor is that it does not register; empty if in none."""
    for owner_name, owner in model.named_modules():
        for name, value in vars(owner).items():
            if name.startswith("_"):
                continue
            for part in value if isinstance(value, list | tuple) else (value,):
                inside = part.parameters() if isinstance(part, nn.Module) else (part,)
                if any(each is tensor for each in inside):
                    return f"{owner_name}.{name}".lstrip(".")
    return ""


def _listed(names: list[str], n: int) -> str:
    names = [*dict.fromkeys(names)]
    return ", ".join(names) + (f" and {n - len(names)} more" if n > len(names) and len(names) > 3 else "")


@contextmanager
def shaken(model: nn.Module, by: float) -> Iterator[None]:
    """Other, larger parameters in this block, to see where the outputs can go."""
    before = [each.detach().clone() for each in model.parameters()]
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        try:
            for each in model.parameters():
                noise = torch.randn(each.shape, generator=generator).to(each)
                size = each.abs().mean()
                each.add_(by * (size if size > 0 else 0.1) * noise)
            yield
        finally:
            for each, old in zip(model.parameters(), before, strict=True):
                each.copy_(old)


def of_ranges(subject: Subject, objective: Objective | None, run: Run) -> Iterator[Finding]:
    """Where the decoder's output can be, beside what the loss takes it for and where the data are."""
    if run.likelihood is not None or not subject.x.is_floating_point() or not run.recon:
        return
    outputs, latents = [run.recon[0].detach()], [_latents(run)]
    for strength in (1.0, 4.0):
        with shaken(subject.model, strength):
            other = subject.run()
            outputs.append(other.recon[0].detach())
            latents.append(_latents(other))
    yield from _of_outputs(subject.x, outputs, objective)
    for name, values in zip(("μ", "the width's output"), zip(*latents, strict=True), strict=False):
        every = torch.stack(values)
        zeros = (every == 0).float().mean().item()
        if zeros > 0.1 and every.min().item() >= 0:
            seen = f"{name} is never negative and often exactly 0 ({zeros:.0%}): it comes out of a ReLU"
            yield finding("relu-latents", seen)


def _latents(run: Run) -> tuple[Tensor, ...]:
    return tuple(each.detach() for each in (run.mu, run.t) if each is not None)


def _of_outputs(x: Tensor, outputs: list[Tensor], objective: Objective | None) -> Iterator[Finding]:
    low, high = _range(outputs)
    data_low, data_high = x.min().item(), x.max().item()
    family = objective.data.candidate.family if objective and objective.data.candidate else ""
    line = objective.lines["recon"] if objective else ""
    in_unit = low >= 0 and high <= 1
    spread = _spread(outputs)
    if family == "bernoulli logits" and in_unit and spread:
        seen = f"The decoder's outputs lie in [0, 1] ({low:.3g} to {high:.3g}), and the loss takes them for logits"
        yield finding("sigmoid-twice", seen, line)
    of_probabilities = bool(family) and objective.data.candidate.name.endswith("probabilities")
    if of_probabilities and not in_unit:
        seen = f"The decoder's outputs go from {low:.3g} to {high:.3g}, and the loss takes them for probabilities"
        yield finding("bce-on-logits", seen, line)
    if family in ("bernoulli", "bernoulli logits", "twice", "continuous") and (data_low < 0 or data_high > 1):
        seen = f"x goes from {data_low:.3g} to {data_high:.3g}, and the likelihood is a Bernoulli"
        yield finding("data-outside", seen, line)
        return
    grey = not bool(((x == 0) | (x == 1)).all())
    if family in ("bernoulli", "bernoulli logits") and grey:
        yield finding("grey-pixels", "x has values between 0 and 1, and the likelihood is a Bernoulli", line)
    if family in ("gaussian", "laplace") and spread:
        bounds = (0.0, 1.0) if in_unit else (-1.0, 1.0) if low >= -1 and high <= 1 and _saturates(outputs) else None
        if bounds and (data_low < bounds[0] - 1e-3 or data_high > bounds[1] + 1e-3):
            seen = (
                f"The decoder's outputs lie between {bounds[0]:g} and {bounds[1]:g}, and x goes from {data_low:.3g} to "
                f"{data_high:.3g}"
            )
            yield finding("range-mismatch", seen, line)


def _range(outputs: list[Tensor]) -> tuple[float, float]:
    return min(each.min().item() for each in outputs), max(each.max().item() for each in outputs)


def _spread(outputs: list[Tensor]) -> bool:
    """Whether the outputs went far enough to show their bounds."""
    low, high = _range(outputs)
    return high - low > 0.5


def _saturates(outputs: list[Tensor]) -> bool:
    """Whether many outputs are next to −1 and 1."""
    return bool((outputs[-1].abs() > 0.98).float().mean() > 0.05)


def of_overflow(subject: Subject, objective: Objective) -> Iterator[Finding]:
    """Values that the networks can give, and the loss cannot take."""
    c = objective.latent.coefficients
    recon, mu, x = objective.recon, objective.mu, objective.x
    with torch.no_grad(), Noise(0.0, tuple(subject.run().mu.shape)):
        try:
            far = subject.run(subject.x * LARGE if subject.x.is_floating_point() else subject.x)
            reach = far.t.detach()
        except (RuntimeError, ValueError):
            reach = torch.zeros(1)
    narrow = [each.float() if each.is_floating_point() else each for each in recon]
    if c is not None and c.scale in (LOG_VARIANCE, LOG_SCALE) and not c.zero(c.variance):
        if reach.abs().max().item() > 89:
            seen = f"{c.scale.name} has no bound, and its exponential overflows in float32 above 88"
            yield finding("unbounded-width", seen, objective.lines["t"])
    elif c is not None and reach.numel() > 1 and bool((reach == 0).any()) and c.scale.positive:
        said = _said_of(subject, narrow, mu, torch.zeros_like(mu), x)
        if said:
            yield finding("no-floor", f"{c.scale.name} can be exactly 0, and the loss then {said}")
    data = objective.data.candidate
    if data is not None and data.name == "a Bernoulli of probabilities":
        extreme = [(x.reshape(recon[0].shape) < 0.5).to(recon[0])]
        said = _said_of(subject, extreme, mu, torch.full_like(mu, 0.5), x)
        if said:
            seen = f"Where the decoder gives exactly 0 or 1 the loss {said}"
            yield finding("log-zero", seen, objective.lines["recon"])
    if data is not None and data.name == "a Bernoulli of logits" and subject.x.is_floating_point():
        own = subject.x.dtype
        wrong = [torch.where(x.reshape(recon[0].shape) < 0.5, 1000.0, -1000.0).to(own)]
        said = _said_of(subject, wrong, mu.to(own), torch.full_like(mu, 0.5).to(own), x.to(own))
        if said:
            seen = f"Where the decoder gives logits of 1000 or −1000 the loss {said}"
            yield finding("log-zero", seen, objective.lines["recon"])


def _said_of(subject: Subject, recon: list[Tensor], mu: Tensor, t: Tensor, x: Tensor) -> str:
    """What the loss does at some values, if it is no number: "is inf", "stops with ValueError"; otherwise empty."""
    try:
        value = subject.ask(recon, mu, t, x=x).value
    except (RuntimeError, ValueError) as error:
        return f"stops with {type(error).__name__}"
    return "" if value.isfinite() else f"is {value.item()}"


def of_use(objective: Objective, run: Run, *, trained: bool) -> Iterator[Finding]:
    """Latents that say nothing about x."""
    c = objective.latent.coefficients
    if c is None or not trained:
        return
    kl = kl_of(run.mu.detach().cpu().double(), c.scale.sigma(run.t.detach().cpu().double())).mean(dim=0).flatten()
    idle = int((kl < VISIBLE).sum())
    if idle == len(kl):
        yield finding("collapsed", f"All {idle} latents have a mean KL below {VISIBLE} nats")
    elif idle:
        yield finding("collapsed-units", f"{idle} of {len(kl)} latents have a mean KL below {VISIBLE} nats")


def of_error(error: Exception) -> Finding | None:
    """What an error of torch's own cross-entropy says."""
    text = str(error)
    if re.search(r"elements of input should be between 0 and 1", text):
        return finding("bce-on-logits", "binary_cross_entropy stops, since the reconstruction is not in [0, 1]")
    if re.search(r"elements of target should be between 0 and 1", text):
        return finding("data-outside", "binary_cross_entropy stops, since x is not in [0, 1]")
    return None
