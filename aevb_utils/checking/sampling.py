"""What ``sample`` draws, compared with draws from the model's own prior and likelihood."""

from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from aevb_utils.checking.comparisons import differently_drawn, draw_sample, how_many, innermost, repeated, require
from aevb_utils.checking.progress import looked_at
from aevb_utils.evaluation.bounds import evaluation_mode, own_random_numbers
from aevb_utils.evaluation.contexts import call_with_context


def check_draws(model: nn.Module, x: Tensor, *context: Tensor) -> None:
    """``sample`` draws z from p_z and then x from p_x_given_z: their log densities come out as they should."""
    rows = repeated(context, how_many(x))
    n = how_many(x) * len(x)
    with evaluation_mode(model), own_random_numbers(x.device, 9):
        p_z = call_with_context(model.p_z, context=rows)
        z = p_z.sample() if len(p_z.batch_shape) else p_z.sample((n,))
        p_x = call_with_context(model.p_x_given_z, z, context=rows)
        data = p_x.sample()
        looked_at(x, 2 * how_many(x))
        drawn, *latents = draw_sample(model, n, rows)
        looked_at(x, 2 * how_many(x))
        theirs = next((part for part in latents if part.shape == z.shape and part.dtype == z.dtype), None)
        if theirs is None:
            if not context:  # with one, such as a mask, a part of x may be no draw
                _compare_data(drawn, data)
            return
        _require_like("The z that sample draws", theirs, p_z, p_z.log_prob(z), "p_z")
        own = call_with_context(model.p_x_given_z, theirs, context=rows)
        _require_like("The x that sample draws", drawn, own, p_x.log_prob(data), "p_x_given_z at its z")


def _require_like(name: str, drawn: Tensor, source: Distribution, right: Tensor, of: str) -> None:
    """Draws have the densities, (n,), that draws of their distribution have."""
    inside = source.support.check(drawn)
    hint = "is it a mean, or a probability, in place of a draw? Draw it by .sample()"
    require(bool(inside.all()), f"{name} has values where {of} has no density: {hint}.")
    theirs = source.log_prob(drawn)
    if not differently_drawn(theirs[:, None], right[:, None]).any():
        return
    base = innermost(source)
    if isinstance(base, Normal):
        noise = ((drawn - base.loc) / base.scale).std().item()
        hint = (
            f"is it the mean of {of} in place of a draw? Draw it by .sample()"
            if noise < 1e-3
            else f"about its mean it has {noise:.3g} times the standard deviation: a variance, or the log of one, "
            "taken for a scale, noise from torch.rand, or samples of q"
        )
    else:
        hint = f"draw it by .sample() of {of}, with the same parameters as in the ELBO"
    mean, should = theirs.mean().item(), right.mean().item()
    raise AssertionError(f"{name} is not drawn from {of}: log density {mean:.4g} on average, not {should:.4g}; {hint}.")


def _compare_data(drawn: Tensor, right: Tensor) -> None:
    """Each column of x comes out alike, where sample does not say from which z."""
    first, second = (part.reshape(len(part), -1) for part in (drawn, right))
    other = differently_drawn(first, second)
    column = other.int().argmax().item()
    require(
        not bool(other.any()),
        f"Column {column} of the x that sample draws has mean {first[:, column].mean():.4g} and standard deviation "
        f"{first[:, column].std():.4g}, not {second[:, column].mean():.4g} and {second[:, column].std():.4g} as from "
        "p_z and p_x_given_z: is it a mean in place of a draw, or has its noise another scale?",
    )
