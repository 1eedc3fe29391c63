"""The start of a Gaussian-mixture VAE: a trained VAE, and EM on its codes.

Exported from notebooks/09_gaussian_mixture_vae.ipynb by ``make export``: edit the chapter.
"""

import math
import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.distributions import Independent
from torch.nn.functional import affine_grid, grid_sample

from aevb_utils.evaluation.bounds import evaluation_mode
from aevb_utils.inputs import check_count, check_finite
from aevb_utils.models.gaussian_mixture import GaussianMixture
from aevb_utils.models.gaussian_mixture_vae import GaussianMixtureVAE
from aevb_utils.models.vae import VAE, Terms, estimate_terms
from aevb_utils.networks import SCALE_FLOOR


def linear_layers(*networks: nn.Module) -> list[nn.Linear]:
    """All linear layers of some networks, in order."""
    modules = (module for network in networks for module in network.modules())
    return [module for module in modules if isinstance(module, nn.Linear)]


@torch.no_grad()
def copy_vae(model: GaussianMixtureVAE, vae: VAE) -> None:
    """Take over the layers of a VAE with the same widths; all e_y = 0, eq. (9.10).

    Raises:
        ValueError: the two differ in widths, or in the kind of a layer.
    """
    encoder = model.encoder
    mine, its = (
        [str(part) for part in decoder.layers if not isinstance(part, nn.Dropout)]
        for decoder in (model.decoder, vae.decoder)
    )
    if mine != its:
        raise ValueError("Give the model the VAE's own widths and layers: hidden, layer.")
    ours = linear_layers(encoder.features, encoder.z_head, model.decoder)
    for mine, its in zip(ours, linear_layers(vae.encoder, vae.decoder), strict=True):
        mine.load_state_dict(its.state_dict())
    encoder.shifts.zero_()


def check_responsibilities(r: Tensor, N: int) -> None:
    """Say what is wrong with a table of probabilities of classes, if anything is.

    Raises:
        ValueError: r is not (N, C), with rows that sum to one, or a class has no datum.
    """
    if r.ndim != 2 or len(r) != N:
        raise ValueError(f"Expected r of shape ({N}, C), not {tuple(r.shape)}.")
    if not ((r >= 0).all() and ((r.sum(dim=1) - 1).abs() < 1e-3).all()):
        raise ValueError("Each row of r must hold probabilities, with the sum one.")
    empty = (r.sum(dim=0) == 0).nonzero()
    if len(empty):
        raise ValueError(
            f"Class {empty[0].item()} has no datum: its column of r is 0. Count labels "
            "from 0, and leave such a class out."
        )


@torch.no_grad()
def fit_prior(model: GaussianMixtureVAE, q: Independent, r: Tensor) -> None:
    """The M-step in μ and s at fixed q(z | x) and q(y | x) = r, (N, C), eq. (9.20).

    Where digits cancel, a second pass sums around the means. A spread is at least what
    ``positive`` can give.
    """
    check_responsibilities(r, len(q.mean))
    r = r.to(q.mean)
    counts = r.sum(dim=0)[:, None]  # N_c, (C, 1)
    means = r.T @ q.mean / counts  # (C, L)
    squares = r.T @ (q.mean.square() + q.variance) / counts
    variances = squares - means.square()
    if not (variances > 1e-3 * squares).all():  # digits cancel: around the means
        around = [r_c @ (q.mean - m).square() for r_c, m in zip(r.T, means, strict=True)]
        variances = (torch.stack(around) + r.T @ q.variance) / counts
    above = (variances.sqrt() - SCALE_FLOOR).clamp(min=1e-6)
    model.means.copy_(means)
    large = above + (-(-above).expm1()).log()  # the same, where expm1 overflows
    model.raw_scales.copy_(torch.where(above < 20, above.expm1().log(), large))


def teach_classes(
    model: GaussianMixtureVAE, x: Tensor, r: Tensor, *, steps: int = 600, lr: float = 5e-3
) -> None:
    """Fit q(y | x), its last layer alone, to r, (N, C): climb Σ_c r_c log q(c | x)."""
    check_responsibilities(r, len(x))
    r, head = r.to(x), model.encoder.y_head
    with evaluation_mode(model):  # no dropout, no gradient
        h = torch.cat([model.features(part).relu() for part in x.split(5000)])
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    for _ in range(steps):
        rows = torch.randint(len(x), (500,))
        log_q = head(h[rows]).log_softmax(dim=1)
        loss = -(r[rows] * log_q).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def start_from(vae: VAE, x: Tensor, r: Tensor, **options: object) -> GaussianMixtureVAE:
    """A model that begins where a VAE and the responsibilities of its codes end.

    Args:
        vae: trained; the layers of the new model have its widths.
        x: data, (N, D).
        r: a row of C probabilities for each datum, (N, C), by chapter 2's EM on the codes.
        options: of the model, such as ``hidden`` and ``dropout``; the likelihood is the
            VAE's unless it is given.

    Raises:
        ValueError: r is no table of probabilities, a class is empty, or layers differ.
    """
    check_responsibilities(r, len(x))
    options = {"likelihood": vae.likelihood, **options}
    model = GaussianMixtureVAE(vae.D, vae.L, r.shape[1], **options).to(x)
    copy_vae(model, vae)
    with evaluation_mode(vae):
        fit_prior(model, vae.q_z_given_x(x), r)
    teach_classes(model, x, r)
    return model


def jitter(x: Tensor) -> Tensor:
    """Each image turned, slanted, scaled and moved a little at random, (N, D), grey."""
    n, side = len(x), math.isqrt(x.shape[-1])
    if x.ndim != 2 or side**2 != x.shape[1]:
        raise ValueError(f"Expected square images, (N, side²), not {tuple(x.shape)}.")

    def draw(limit: float) -> Tensor:
        return limit * (2 * torch.rand(n) - 1)

    turn, scale, slant = draw(0.25), 1 + draw(0.12), draw(0.3)
    cos, sin = scale * turn.cos(), scale * turn.sin()
    entries = [cos, slant - sin, draw(0.12), sin, cos, draw(0.12)]
    maps = torch.stack(entries, dim=1).reshape(n, 2, 3).to(x)  # affine, of the plane
    moved = []
    for images, places in zip(x.split(5000), maps.split(5000), strict=True):
        pictures = images.reshape(-1, 1, side, side)
        grid = affine_grid(places, list(pictures.shape), align_corners=False)
        moved.append(grid_sample(pictures, grid, align_corners=False).flatten(1))
    return torch.cat(moved)


class JitteredVAE(VAE):
    """A VAE whose encoder sees a distorted datum, and whose decoder owes the clean one."""

    def elbo_terms(
        self, x: Tensor, seen: Tensor | None = None, *, num_samples: int = 1
    ) -> Terms:
        """The two terms with q(z | seen) for q(z | x): still a bound, eq. (9.22)."""
        q = self.q_z_given_x(x if seen is None else seen)
        return estimate_terms(x, q, self.p_z(), self.p_x_given_z, num_samples)


def cluster_codes(
    codes: Tensor,
    C: int,
    *,
    n_starts: int,
    rows: int = 15_000,
    seed: int = 0,
    shuffled: bool = False,
) -> Tensor:
    """Responsibilities, (N, C), by chapter 2's EM on the codes of a VAE, (N, L).

    Full covariances with a floor of 0.05, on the dimensions whose variance exceeds 0.1;
    of ``n_starts`` starts the one with the best likelihood. With more than ``rows`` codes
    EM sees that many, drawn by ``seed`` without replacement. Codes that are ``shuffled``
    already are as good a sample in their order: of them EM sees the first.
    """
    check_finite(codes, "codes")
    check_count("rows", rows, C)
    z = codes[:, codes.var(dim=0) > 0.1].cpu().double()
    if not z.shape[1]:
        raise ValueError("No dimension of the codes is in use: all variances are ≤ 0.1.")
    order = torch.arange(len(z))
    if not shuffled and len(z) > rows:
        order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    mixture = GaussianMixture(C, "full", 0.05, n_starts, 1e-4, seed=seed)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        mixture.fit(z[order[:rows]])  # a start may be rough: what EM doubts is not said
    return mixture.responsibilities(z).float()
