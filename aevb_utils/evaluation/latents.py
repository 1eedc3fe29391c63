"""How much of a latent is in use: the KL of each dimension, and active units.

Exported from notebooks/07_variational_autoencoder.ipynb by ``make export``: edit the
chapter.
"""

import torch
from torch import Tensor
from torch.distributions import Independent

from aevb_utils.evaluation.bounds import evaluation_mode
from aevb_utils.evaluation.devices import on_chosen_device
from aevb_utils.inputs import check_finite


def kl_by_dimension(q: Independent) -> Tensor:
    """KL(q ‖ 𝒩(0, I)) of each dimension, eq. (7.5), in nats, (batch, L)."""
    return (q.mean.square() + q.variance - 1 - q.variance.log()) / 2


@on_chosen_device  # a GPU, where compute_on was called
def active_units(
    model: torch.nn.Module, x: Tensor, *context: Tensor, threshold: float = 0.01
) -> Tensor:
    """Which dimensions have a posterior mean that moves with x, eq. (7.10), (L,), bool.

    A_l = Var_x(m_φ(x)_l) over the data must exceed the threshold. Without dropout or
    gradients. Burda, Grosse & Salakhutdinov (2016).

    Args:
        model: has ``q_z_given_x``.
        x: data, shape (N, …), with N of at least 2.
        context: what the model asks for besides x, N rows each.
        threshold: on the variance.

    Raises:
        ValueError: there is only one datum, or a value is not finite.
    """
    check_finite(x)
    if len(x) < 2:
        raise ValueError(f"A variance over data needs at least 2 of them, not {len(x)}.")
    with evaluation_mode(model):
        means = model.q_z_given_x(x, *context).mean
    return means.var(dim=0) > threshold
