"""The variational RNN, a latent at each time step, and a recurrent network without.

Exported from notebooks/10_variational_rnn.ipynb by ``make export``: edit the chapter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from aevb_utils.inputs import as_indices, check_count, check_finite, check_sizes
from aevb_utils.networks import GaussianNetwork, Likelihood, Network, bernoulli, gaussian

Terms = dict[str, Tensor]  # named parts of the ELBO, each (batch,)


class GatedUnit(nn.Module):
    """A gated recurrent unit with the inputs x_t and z_t, eq. (10.18)."""

    def __init__(self, D: int, L: int, H: int) -> None:
        super().__init__()
        self.of_x = nn.Linear(D, 3 * H)  # A and b
        self.of_z = nn.Linear(L, 3 * H, bias=False)  # C
        self.of_h = nn.Linear(H, 3 * H)  # U and b′ (two of whose three parts add to b)

    def forward(self, from_x: Tensor, z: Tensor, h: Tensor) -> Tensor:
        """h_{t+1}, (…, H), from of_x(x_t), z_t and h_t."""
        # .to: products may be in bfloat16, the state is not
        r_in, u_in, n_in = (from_x + self.of_z(z)).to(h.dtype).chunk(3, dim=-1)
        r_h, u_h, n_h = self.of_h(h).to(h.dtype).chunk(3, dim=-1)
        r, u = torch.sigmoid(r_in + r_h), torch.sigmoid(u_in + u_h)
        return u * h + (1 - u) * torch.tanh(n_in + r * n_h)


class StepEncoder(nn.Module):
    """q(z_t | x_t, h_t), eq. (10.19)."""

    def __init__(
        self, D: int, H: int, L: int, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        check_count("The number of hidden layers", len(hidden))
        *first, last = hidden
        self.of_x = Network(D, first or (last,), last, dropout=dropout)  # a
        self.of_h = nn.Linear(H, last, bias=False)  # E
        self.head = nn.Linear(last, 2 * L)

    def forward(self, from_x: Tensor, h: Tensor) -> Independent:
        """The Gaussian of z_t from of_x(x_t) and h_t."""
        return gaussian(self.head((from_x + self.of_h(h)).relu()).to(h.dtype))


def draw_path(
    model: "VariationalRNN", x: Tensor, num_samples: int
) -> tuple[Tensor, Tensor, Independent]:
    """States, latents and q(z_t | x_t, h_t) of paths of q, (T, num_samples, batch, …)."""
    check_count("num_samples", num_samples)
    check_steps(x, model.D, model.recurrence.of_x.weight.dtype)
    steps = x.transpose(0, 1)[:, None]  # (T, 1, batch, D)
    to_encoder = model.encoder.of_x(steps)
    to_state = model.recurrence.of_x(steps)
    h = x.new_zeros(num_samples, len(x), model.H)
    states, latents, means, scales = [], [], [], []
    for from_x, into_h in zip(to_encoder.unbind(), to_state.unbind(), strict=True):
        q = model.q_z_given_x(from_x, h)
        z = model.draw(q)  # (num_samples, batch, L)
        states.append(h)
        latents.append(z)
        means.append(q.mean)
        scales.append(q.stddev)
        h = model.recurrence(into_h, z, h)
    h, z, mean, scale = map(torch.stack, (states, latents, means, scales))
    return h, z, Independent(Normal(mean, scale), 1)


def cut(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Cut x at its longest sequence; a mask, (T, 1, batch), says if step t is inside.

    What stands behind an end, be it NaN, is replaced by 0.

    Raises:
        ValueError: x is not (batch, T, D), the lengths are not whole numbers, 1 to T, or a
            number inside is not finite.
    """
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"Expected x of shape (batch, T, D), not {tuple(x.shape)}.")
    if lengths is None:
        check_finite(x)
        return x, torch.ones(x.shape[1], 1, len(x), dtype=torch.bool, device=x.device)
    lengths = torch.as_tensor(lengths, device=x.device)
    whole = not lengths.is_floating_point() and lengths.dtype != torch.bool
    if lengths.shape != x.shape[:1] or not whole:
        raise ValueError(f"Expected {len(x)} whole numbers as lengths, one a sequence.")
    T = int(lengths.max())
    if int(lengths.min()) < 1 or x.shape[1] < T:
        raise ValueError(f"A length must be between 1 and the {x.shape[1]} steps of x.")
    inside = torch.arange(T, device=x.device)[:, None, None] < lengths
    x = torch.where(inside.permute(2, 0, 1), x[:, :T], 0)
    check_finite(x)
    return x, inside


def check_steps(x: Tensor, D: int, dtype: torch.dtype) -> None:
    """Say what is wrong with the steps of sequences, if anything is.

    Raises:
        ValueError: not D numbers per step, or another number format than the model's.
    """
    if x.ndim != 3 or x.shape[-1] != D:
        raise ValueError(f"Expected x of shape (batch, T, {D}), not {tuple(x.shape)}.")
    if x.dtype != dtype:
        raise ValueError(
            f"x is {x.dtype} and the model is {dtype}: convert one, as by x.to({dtype})."
        )


def sequence_terms(
    model: "VariationalRNN", x: Tensor, lengths: Tensor | None, num_samples: int
) -> Terms:
    """The two terms of eq. (10.17) at each step, (T, batch) each; 0 behind the end."""
    x, inside = cut(x, lengths)
    h, z, q = draw_path(model, x, num_samples)
    log_p = model.p_x_given_z(z, h).log_prob(x.transpose(0, 1)[:, None])  # (T, S, batch)
    kl = kl_divergence(q, model.p_z(h))
    return {
        "reconstruction": torch.where(inside, log_p, 0).mean(dim=1),
        "minus_kl": -torch.where(inside, kl, 0).mean(dim=1),
    }


@torch.no_grad()
def complete(model: "VariationalRNN", x: Tensor, T: int) -> tuple[Tensor, Tensor]:
    """Continue x, (n, t, D), to T steps: (n, T, D), and the latents, (n, T, L)."""
    check_steps(x, model.D, model.recurrence.of_x.weight.dtype)
    check_finite(x)
    check_count("T", T, max(1, x.shape[1]))
    h = x.new_zeros(len(x), model.H)
    rows, latents = [*x.unbind(dim=1)], []
    for t in range(T):
        known = t < x.shape[1]
        q = model.q_z_given_x(model.encoder.of_x(rows[t]), h) if known else model.p_z(h)
        z = q.sample()
        if not known:
            rows.append(model.p_x_given_z(z, h).sample())
        latents.append(z)
        h = model.recurrence(model.recurrence.of_x(rows[t]), z, h)
    return torch.stack(rows, dim=1), torch.stack(latents, dim=1)


class SequenceModel(nn.Module):
    """A step's distributions, eqs. (10.14) and (10.15), and what follows from them.

    Sequences x are (batch, T, D), with ``lengths``, (batch,), if they differ; in nats.
    """

    def p_z(self, h: Tensor) -> Independent:
        """The prior of z_t given the state, (…, H)."""
        return self.prior(self.dropout(h))

    def p_x_given_z(self, z: Tensor, h: Tensor) -> Distribution:
        """The likelihood of x_t given z_t, (…, L), and the state."""
        return self.likelihood(self.decoder(z, self.dropout(h)))

    def q_z_given_x(self, from_x: Tensor, h: Tensor) -> Independent:
        """The approximate posterior of z_t given ``encoder.of_x(x_t)`` and the state."""
        return self.encoder(from_x, h)

    def draw(self, q: Independent) -> Tensor:
        """z_t, drawn so that gradients go through it."""
        return q.rsample()

    def elbo_terms(
        self, x: Tensor, lengths: Tensor | None = None, *, num_samples: int = 1
    ) -> Terms:
        """The two terms of the ELBO of each sequence, (batch,) each."""
        terms = sequence_terms(self, x, lengths, num_samples)
        return {name: term.sum(dim=0) for name, term in terms.items()}

    def elbo(
        self, x: Tensor, lengths: Tensor | None = None, *, num_samples: int = 1
    ) -> Tensor:
        """An estimate of the ELBO of each sequence, (batch,)."""
        return sum(self.elbo_terms(x, lengths, num_samples=num_samples).values())

    def log_weights(
        self, x: Tensor, lengths: Tensor | None = None, *, num_samples: int
    ) -> Tensor:
        """The log of p(x, z) / q(z | x) at paths of q, (num_samples, batch)."""
        return path_log_weights(self, x, lengths, num_samples)


def path_log_weights(
    model: SequenceModel, x: Tensor, lengths: Tensor | None, num_samples: int
) -> Tensor:
    """The log of p(x, z) / q(z | x) at paths of q, eq. (10.20), (num_samples, batch)."""
    x, inside = cut(x, lengths)
    h, z, q = draw_path(model, x, num_samples)
    log_p = model.p_x_given_z(z, h).log_prob(x.transpose(0, 1)[:, None])
    log_w = log_p + model.p_z(h).log_prob(z) - q.log_prob(z)  # (T, S, batch)
    return torch.where(inside, log_w, 0).sum(dim=0)


class VariationalRNN(SequenceModel):
    """A latent at each step of a sequence, eqs. (10.13) to (10.15). Chung et al. (2015).

    D numbers per step, a latent of L dimensions, a state of H; ``T`` is the length of a
    draw. ``hidden`` are the widths of encoder and prior, reversed those of the decoder,
    which gives ``outputs`` numbers (by default D) to the ``likelihood``.
    """

    def __init__(
        self, D: int, L: int, H: int, *, T: int, hidden: Sequence[int] = (256,),
        likelihood: Likelihood = bernoulli, outputs: int | None = None,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(D=D, L=L, H=H, T=T)
        self.D, self.L, self.H, self.T, self.likelihood = D, L, H, T, likelihood
        self.recurrence = GatedUnit(D, L, H)
        self.encoder = StepEncoder(D, H, L, hidden, dropout)
        self.prior = GaussianNetwork(H, hidden, L, dropout=dropout)
        self.decoder = Network(L + H, hidden[::-1], outputs or D, dropout=dropout)
        self.dropout = nn.Dropout(dropout)  # of the state, where prior and decoder see it

    def sample(self, n: int, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw n sequences, (n, T, D), with zeros behind their ends, and their latents."""
        nothing = self.recurrence.of_x.weight.new_zeros(check_count("n", n), 0, self.D)
        if lengths is None:
            return complete(self, nothing, self.T)
        lengths = as_indices("lengths", lengths, nothing, least=1)
        x, z = complete(self, nothing, int(lengths.max()))
        inside = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, :, None]
        return x * inside, z * inside

    def inference_parameters(self) -> list[nn.Parameter]:
        """φ, the encoder's."""
        return list(self.encoder.parameters())

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ, all the others."""
        phi = set(self.inference_parameters())
        return [parameter for parameter in self.parameters() if parameter not in phi]


class RecurrentNetwork(nn.Module):
    """A recurrent network without latents, eq. (10.21): its ELBO is the evidence."""

    def __init__(
        self, D: int, H: int, *, hidden: Sequence[int] = (256,), dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_sizes(D=D, H=H)
        self.H = H
        self.recurrence = nn.GRU(D, H, batch_first=True)
        self.decoder = Network(H, hidden[::-1], D, dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def p_x_given_h(self, x: Tensor) -> Independent:
        """p(x_t | x_1 … x_{t−1}) at each step, for x of shape (batch, T, D)."""
        before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
        h, _ = self.recurrence(before)
        return bernoulli(self.decoder(self.dropout(h.to(x.dtype))))

    def log_evidence(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The log of p(x), eq. (10.21), (batch,), in nats."""
        check_steps(x, self.recurrence.input_size, self.recurrence.weight_ih_l0.dtype)
        x, inside = cut(x, lengths)
        log_p = self.p_x_given_h(x).log_prob(x)  # (batch, T)
        return torch.where(inside[:, 0].T, log_p, 0).sum(dim=1)

    def elbo_terms(
        self, x: Tensor, lengths: Tensor | None = None, *, num_samples: int = 1
    ) -> Terms:
        """The evidence as the only term, so that ``fit`` can train it."""
        return {"log evidence": self.log_evidence(x, lengths)}

    def inference_parameters(self) -> list[nn.Parameter]:
        """None: there is nothing to infer."""
        return []

    def generative_parameters(self) -> list[nn.Parameter]:
        """θ, all of them."""
        return list(self.parameters())
