"""What is wrong with a VAE of the usual shape: its loss, its samples and its networks, by numbers and not by names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

from aevb_utils.checking.console import say
from aevb_utils.checking.places import place_of_error
from aevb_utils.checking.vae.calls import takes_output
from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.network import (
    alone_and_in_company,
    of_error,
    of_overflow,
    of_parameters,
    of_ranges,
    of_use,
)
from aevb_utils.checking.vae.noise import Noise
from aevb_utils.checking.vae.objective import Objective
from aevb_utils.checking.vae.report import Report, wrapped
from aevb_utils.checking.vae.sampling import Sampling, at_evaluation, look_at_sampling
from aevb_utils.checking.vae.subject import Run, Subject, Target
from aevb_utils.checking.vae.texts import finding
from aevb_utils.checking.vae.verdict import conclusion, verdict
from aevb_utils.evaluation.modes import own_random_numbers

ROWS = 4
"""How many rows the loss is asked about."""
OUTSIDE = {"bce-on-logits", "data-outside"}
"""Findings that stop a loss."""
WRONG_DATA = {"swapped", "sigmoid-twice", "no-log-scale", "recon-sign"}


def check_vae(
    model: nn.Module | None = None,
    x: Tensor | None = None,
    *context: Tensor,
    loss: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    encoder: Target | Callable[..., Any] | None = None,
    decoder: str | nn.Module | Callable[..., Any] | None = None,
    optimizer: Optimizer | None = None,
    trained: bool | None = None,
) -> Report:
    """Say what is wrong with a VAE, in which line, and what its loss is.

    Three shapes are understood, and no code needs a change:

    - ``check_vae(model, x, loss=loss)``: ``model(x)`` returns the reconstruction, μ and log σ² (or log σ, σ, σ², a
      distribution; in any order that tells them apart, as a tuple, a dictionary or a dataclass), and ``loss`` takes
      them by name, ``loss(recon, x, mu, logvar)``, or as ``loss(output, x)``.
    - ``check_vae(model, x, step=step)``: ``step(x)`` returns the loss; ``encoder`` and ``decoder`` name the model's
      parts where they are not called so. An encoder may be two layers, ``("fc_mu", "fc_logvar")``.
    - ``check_vae(x=x, encoder=encoder, decoder=decoder, loss=loss)``: the parts alone; how z is drawn is not looked at.

    The loss is asked for its value and its exact derivatives at values put in the place of the reconstruction, μ and
    the width of q; from these follow the likelihood, the KL and their weights. The noise is replaced by a known one.
    The model, its gradients and plain attributes (a counter of steps), torch's generators and the optimizer are left as
    they were. It takes seconds.

    Args:
        model: the whole VAE.
        x: a few rows of data, shape (batch, …), at least two and better eight, with all kinds of values that occur.
        context: what the model asks for besides x, such as labels, as many rows each.
        loss: the loss function.
        step: a function from x (and its context) to the loss.
        encoder: a module, a function, or the name of a module or a method of the model.
        decoder: the same.
        optimizer: if given, it is asked which parameters it holds.
        trained: whether the model has been trained, so that idle latents are said; by default whether the optimizer
            has made a step.

    Returns:
        the report, which has been printed; ``report.require()`` raises what is wrong. Where the loss could not be
        looked at, ``report.whole`` and ``report.ok`` are False.

    Raises:
        TypeError, ValueError: there is nothing to check, or the parts of the output cannot be told apart.
    """
    subject = _subject(model, x, context, loss, step, encoder, decoder)
    if trained is None:
        trained = optimizer is not None and bool(optimizer.state)
    report = Report()
    with _left_as_it_was(subject), own_random_numbers(subject.x.device, 0):
        _look(subject, report, optimizer, trained=trained)
    report.findings.sort(key=lambda each: ("mistake", "risk", "note").index(each.kind))
    report.verdict = conclusion(report.verdict, mistakes=not report.ok)
    for line in (report.verdict, report.summary()):
        if line:
            say(wrapped(line))
    return report


def _subject(
    model: nn.Module | None,
    x: Tensor | None,
    context: tuple[Tensor, ...],
    loss: Callable[..., Any] | None,
    step: Callable[..., Any] | None,
    encoder: Target | Callable[..., Any] | None,
    decoder: str | nn.Module | Callable[..., Any] | None,
) -> Subject:
    """What there is to check, if the arguments say it.

    Raises:
        TypeError, ValueError: they do not.
    """
    if not isinstance(x, Tensor) or x.ndim < 2 or not len(x):
        raise TypeError("x must be a tensor of a few rows, shape (batch, …): check_vae(model, x, loss=loss).")
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise ValueError("x must be finite, but holds NaN or an infinite value: leave such rows out.")
    if model is not None and not isinstance(model, nn.Module):
        raise TypeError(f"The model must be a torch.nn.Module, not a {type(model).__name__}.")
    if model is None and (encoder is None or decoder is None):
        raise TypeError("Give a model, check_vae(model, x, loss=loss), or encoder=, decoder= and loss=.")
    if loss is None and step is None:
        loss = next(
            (f for name in ("loss_function", "loss_fn", "loss") if callable(f := getattr(model, name, None))), None
        )
    if (loss is None) == (step is None):
        raise TypeError("Give either loss=, a function of the model's output and x, or step=, one from x to the loss.")
    if step is not None and model is None:
        raise TypeError("With step=, give the model, too: its encoder and decoder are listened to.")
    return Subject(model, x, context, loss=loss, step=step, encoder=encoder, decoder=decoder)


@contextmanager
def _left_as_it_was(subject: Subject) -> Iterator[None]:
    """Put parameters, buffers, gradients and modes back."""
    model = subject.model
    state = [(each, each.detach().clone()) for each in (*model.parameters(), *model.buffers())]
    slopes = [(each, each.grad) for each in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        with torch.no_grad():
            for each, old in state:
                each.copy_(old)
        for each, grad in slopes:
            each.grad = grad
        for module, training in modes:
            module.training = training


def _look(subject: Subject, report: Report, optimizer: Optimizer | None, *, trained: bool) -> None:
    """Make all checks, the loss first."""
    subject.model.train()
    for module in subject.model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()  # its noise is not what is looked at
    run = _first_run(subject, report)
    if run is None:
        return
    has_q = run.mu is not None and run.t is not None
    sampling = Sampling()
    if not has_q:
        report.skip("KL and samples, since the encoder returns no width of q beside μ")
    elif subject.alone:
        report.skip("how z is drawn, since encoder and decoder are given alone; give the training step, step=")
    else:
        sampling = look_at_sampling(subject)
    if sampling.exchanged:
        by_position = subject.step is None and isinstance(subject.roles.mu[-1], int) and not takes_output(subject.loss)
        run = subject.exchange(run)
        if by_position:
            report.add(finding("mu-order", "By its sampling, the model returns the width of q before μ"))
    for each in sampling.found:
        report.add(each)
    if not sampling.found and not subject.alone and has_q:
        known = f", σ from {sampling.scale.name}" if sampling.scale else ""
        report.hold(f"z is drawn from q while training, and gradients pass the draw{known}")
    subject.scale = sampling.scale or subject.scale
    objective = _objective(subject, report, sampling)
    if run.loss is not None:
        for each in of_parameters(subject, run, optimizer):
            report.add(each)
    _of_networks(subject, report, run, objective)
    if objective is not None:
        for each in of_use(objective, run, trained=trained):
            report.add(each)


def _first_run(subject: Subject, report: Report) -> Run | None:
    """Run everything once as it is; an error of cross-entropies is a finding, and the rest is looked at without it."""
    with Noise() as noise, torch.enable_grad():
        try:
            run = subject.run(loss=True)
        except RuntimeError as error:
            known = of_error(error)
            if known is None:
                raise
            line = place_of_error(error)
            report.add(finding(known.key, known.seen, line))
            if subject.step is not None:
                return None
            run = subject.run()
    if run.loss is not None and not run.loss.isfinite():
        report.add(finding("not-finite", f"The loss is {run.loss.item()} at the data"))
    if any(each.kind == "batch statistics" for each in noise.draws):
        line = next(each.line for each in noise.draws if each.kind == "batch statistics")
        report.add(finding("batch-norm", "The networks use batch normalization", line))
    return run


def _objective(subject: Subject, report: Report, sampling: Sampling) -> Objective | None:
    """Look at the loss as a function of the reconstruction, μ and the width."""
    errors = []
    for rows in dict.fromkeys((min(ROWS, len(subject.x)), len(subject.x))):
        with subject.rows(rows):
            try:
                objective = _in_double(subject, subject.run(loss=not report.keys & OUTSIDE), report)
                found = [*objective.findings(sampling.scale)]
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                errors.append(error)
                continue
        for each in found:
            report.add(each)
        if objective.latent.kind == "kl" and not any(each.key.startswith("kl") for each in found):
            report.hold(f"the KL is the one to N(0, I), of {objective.latent.coefficients.scale.name}")
        if objective.data.candidate is not None and not any(each.key in WRONG_DATA for each in found):
            report.hold(f"the reconstruction is minus the log-likelihood of {objective.data.candidate.distribution}")
        if objective.weights is not None and not objective.weights.rows_known:
            report.skip("whether the loss is a sum or a mean over the rows, which needs two rows at least")
        report.verdict, report.beta = verdict(objective), objective.beta if objective.weights else None
        return objective
    report.whole = False
    said, where = (str(errors[0]).splitlines() or [""])[0][:160], place_of_error(errors[0])
    report.skip(
        "the loss by itself, since it stopped at values put in the model's place with "
        f"{type(errors[0]).__name__}: {said}" + (f" ({where})" if where else "")
    )
    return None


def _in_double(subject: Subject, run: Run, report: Report) -> Objective:
    """The loss by itself in float64, if it can be; a step has the model's own format.

    Where the model's own values are outside of what its loss takes, as has been said, others are taken.
    """
    x, recon = subject.x, run.recon
    if "data-outside" in report.keys & OUTSIDE:
        x = x.clamp(0, 1)
    if report.keys & OUTSIDE:
        recon = [each.sigmoid() for each in recon]
    if subject.step is None and run.likelihood is None and x.is_floating_point() and x.device.type != "mps":
        latents = [None if each is None else each.double() for each in (run.mu, run.t)]
        try:
            return Objective(subject, Run([each.double() for each in recon], *latents, loss=run.loss), x.double())
        except RuntimeError as error:
            if of_error(error) is not None:
                raise
    return Objective(subject, Run(recon, run.mu, run.t, loss=run.loss, likelihood=run.likelihood), x)


def _of_networks(subject: Subject, report: Report, run: Run, objective: Objective | None) -> None:
    """What the networks do in evaluation mode, and how far their outputs go."""
    subject.model.eval()
    has_q = run.mu is not None and run.t is not None
    found: list[Finding] = [] if subject.alone else [*at_evaluation(subject, run.mu if has_q else None)]
    if not subject.alone and not found:
        report.hold(f"in evaluation mode {'z is drawn, too, and ' * has_q}dropout is off")
    company = [*alone_and_in_company(subject)] if has_q else []
    if not company and has_q:
        report.hold("q of a row does not depend on the other rows")
    found += [*company, *of_ranges(subject, objective, run)]
    if objective is not None and has_q:
        found += of_overflow(subject, objective)
    for each in found:
        report.add(each)
