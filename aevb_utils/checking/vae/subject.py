"""A VAE as the checks see it: it can be run, and its loss asked at values that are put in the place of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aevb_utils.checking.vae.calls import (
    Attributes,
    attributes_kept,
    attributes_of,
    bound,
    in_place_of,
    put_back,
    value_of,
)
from aevb_utils.checking.vae.noise import Noise, NoSteps, Watch
from aevb_utils.checking.vae.outputs import Gaussian, Likelihood, Roles, at, is_copy, leaves, replaced, roles_of
from aevb_utils.checking.vae.parts import Pair, first_of, holds_two
from aevb_utils.checking.vae.scales import LOG_VARIANCE, SCALE, Scale

ENCODERS = ("encode", "encoder", "enc", "recognition", "inference_network", "q_net")
DECODERS = ("decode", "decoder", "dec", "generator", "p_net")
Target = str | nn.Module | tuple[str | nn.Module, str | nn.Module]


@dataclass
class Run:
    """One run: the parts as they are in the graph, and the loss if it was computed."""

    recon: list[Tensor]
    mu: Tensor | None
    t: Tensor | None
    z: Tensor | None = None
    loss: Tensor | None = None
    parts: dict[str, Any] = field(default_factory=dict)
    likelihood: Distribution | None = None


@dataclass
class Gradients:
    """The loss at given values, and its derivatives there."""

    value: Tensor
    recon: list[Tensor]
    mu: Tensor
    t: Tensor
    parts: dict[str, Any]


class Subject:
    """The reader's model, data and loss.

    Args:
        model: the whole, or None where encoder and decoder are given alone.
        x, context: the data.
        loss: of the model's output.
        step: from the data to the loss, in place of ``loss``.
        encoder, decoder: the parts, or their names.
    """

    def __init__(
        self,
        model: nn.Module | None,
        x: Tensor,
        context: tuple[Tensor, ...],
        *,
        loss: Callable[..., Any] | None,
        step: Callable[..., Any] | None,
        encoder: Target | Callable[..., Any] | None,
        decoder: str | nn.Module | Callable[..., Any] | None,
    ) -> None:
        self.x, self.context, self.loss, self.step = x, context, loss, step
        self.alone = model is None
        self.encoder, self.decoder = encoder, decoder
        self.model = model if model is not None else Pair(encoder, decoder)
        self.rowwise = False
        self.scale: Scale | None = None
        self.double = False
        self.roles = Roles()
        self._output: Any = None
        self._encoded: Any = None
        self._decoded: Any = None
        self._after: Attributes = []  # the model's plain attributes, as a run leaves them
        self._exchanged = False  # whether the width of q comes before μ
        self._copies: list[tuple[Any, ...]] = []
        self._moments = False  # whether the encoder returns μ and the width as one tensor
        if step is not None:
            self.encoder = encoder if encoder is not None else first_of(self.model, ENCODERS, "encoder")
            self.decoder = decoder if decoder is not None else first_of(self.model, DECODERS, "decoder")

    # Running

    def run(self, x: Tensor | None = None, context: tuple[Tensor, ...] | None = None, *, loss: bool = False) -> Run:
        """Run the reader's code as it is; in the form with a step the loss is always computed."""
        x = self.x if x is None else x
        context = self.context if context is None else context
        with attributes_kept(self.model, self.loss, self.step):
            return self._run_step(x, context) if self.step is not None else self._run_model(x, context, loss=loss)

    def _run_model(self, x: Tensor, context: tuple[Tensor, ...], *, loss: bool) -> Run:
        output = self.model(x, *context)
        self._after = attributes_of(self.model, self.loss)
        self.roles = self._roles(output, x)
        self._output = output
        self._copies = [path for path, value in leaves(output) if is_copy(value, x)]
        run = self._parts(output, self.roles)
        if not run.recon:
            raise ValueError(
                f"The model returns nothing that has the shape of x, {tuple(x.shape)}, and could be the "
                "reconstruction: name the parts, as by returning a dictionary with recon, mu and logvar."
            )
        if loss and self.loss is not None:
            run.loss, run.parts, self.rowwise = value_of(bound(self.loss, output, self.roles, x, context))
        return run

    def _roles(self, output: object, x: Tensor) -> Roles:
        if self.roles != Roles() and self._output is not None:
            return self.roles
        return self._in_order(roles_of(output, x, moves=lambda path: self._moves(path, x)))

    def _in_order(self, roles: Roles) -> Roles:
        return replace(roles, mu=roles.t, t=roles.mu) if self._exchanged else roles

    def exchange(self, run: Run) -> Run:
        """From now on take μ for the width of q, and the other way round; also in a run that was made."""
        self._exchanged = not self._exchanged
        self.roles = replace(self.roles, mu=self.roles.t, t=self.roles.mu)
        return replace(run, mu=run.t, t=run.mu)

    def _moves(self, path: tuple[Any, ...], x: Tensor) -> bool:
        """Whether a part of the output changes from run to run while its neighbours do not."""
        values = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            values.append(at(self.model(x, *self.context), path).detach())
        return not torch.equal(*values)

    def _run_step(self, x: Tensor, context: tuple[Tensor, ...]) -> Run:
        with Noise() as noise:
            seen, result = self._seen_in_step(x, context)
        if not self._moments and holds_two(seen.get("encoder"), noise):
            self._moments = True
            seen, result = self._seen_in_step(x, context)
        encoded = (seen.get("mu"), seen.get("t")) if "mu" in seen else seen.get("encoder")
        if encoded is None or "decoder" not in seen:
            missing = "encoder" if encoded is None else "decoder"
            raise ValueError(f"The step did not call the {missing}: name it, as by {missing}='{missing}'.")
        self._encoded, self._decoded = encoded, seen["decoder"]
        if seen["calls"] > 1:
            raise ValueError(
                f"The step calls the encoder {seen['calls']} times, with a q each time, and one is looked at: give a "
                "step with a single call, such as one of a sequence's steps."
            )

        def moves(path: tuple[Any, ...]) -> bool:
            again, _ = self._seen_in_step(x, context)
            return not torch.equal(at(again["encoder"], path), at(encoded, path))

        roles = roles_of(encoded, torch.empty(0, device=x.device).expand(len(x), 0), moves=moves)
        decoded = roles_of(seen["decoder"], x)
        if decoded.recon is None:
            raise ValueError(
                f"The decoder returns nothing that has the shape of x, {tuple(x.shape)}: name the part that does, or "
                "let the step take a single sample of z."
            )
        roles = self._in_order(roles)
        self.roles = Roles(decoded.recon, decoded.recon_scale, roles.mu, roles.t, roles.q, roles.z)
        recon = self._parts(seen["decoder"], Roles(decoded.recon, decoded.recon_scale))
        run = self._parts(encoded, Roles(mu=roles.mu, t=roles.t, q=roles.q, z=roles.z))
        run.recon, run.likelihood = recon.recon, recon.likelihood
        run.loss, run.parts, self.rowwise = value_of(result)
        return run

    def _stepped(self, x: Tensor, context: tuple[Tensor, ...]) -> Any:  # noqa: ANN401
        """What the step returns, or what it called ``backward`` on; it changes nothing."""
        with NoSteps() as steps, attributes_kept(self.model, self.step):
            result = self.step(x, *context)
        return result if steps.loss is None else steps.loss

    def _seen_in_step(self, x: Tensor, context: tuple[Tensor, ...]) -> tuple[dict[str, Any], Any]:
        """What encoder and decoder returned in a step, and what the step did."""
        seen: dict[str, Any] = {"calls": 0}

        def keep(name: str) -> Callable[[Any], Any]:
            def note(value: Any) -> Any:  # noqa: ANN401
                seen["calls"] += name in ("mu", "encoder")
                if name == "encoder" and self._moments:
                    value = value.chunk(2, dim=1)
                seen.setdefault(name, value)
                return torch.cat(value, dim=1) if name == "encoder" and self._moments else value

            return note

        with self._intercepted({"mu": keep("mu"), "t": keep("t"), "encoder": keep("encoder")}, keep("decoder")):
            result = self._stepped(x, context)
        return seen, result

    @contextmanager
    def _intercepted(self, encoder: dict[str, Callable[[Any], Any]], decoder: Callable[[Any], Any]) -> Iterator[None]:
        """What the encoder and the decoder return goes through functions while the block runs."""
        with ExitStack() as stack:
            targets = self.encoder if isinstance(self.encoder, tuple) else (self.encoder,)
            names = ("mu", "t") if len(targets) == 2 else ("encoder",)
            for name, target in zip(names, targets, strict=True):
                stack.enter_context(in_place_of(self.model, target, encoder[name]))
            stack.enter_context(in_place_of(self.model, self.decoder, decoder))
            yield

    def _parts(self, output: object, roles: Roles) -> Run:
        mu = at(output, roles.mu) if roles.mu is not None else None
        t = at(output, roles.t) if roles.t is not None else None
        if roles.q is not None:
            q = Gaussian.of(at(output, roles.q))
            mu, t = q.mu, q.t
            if isinstance(at(output, roles.q), Distribution):
                self.scale = SCALE
        recon, likelihood = [], None
        if roles.recon is not None:
            given = at(output, roles.recon)
            if isinstance(given, Distribution):
                likelihood = given
                recon = Likelihood.of(given).parameters
            else:
                recon = [given] + ([at(output, roles.recon_scale)] if roles.recon_scale is not None else [])
        return Run(recon, mu, t, at(output, roles.z) if roles.z is not None else None, likelihood=likelihood)

    # Asking the loss

    def ask(self, recon: list[Tensor], mu: Tensor, t: Tensor, *, x: Tensor | None = None) -> Gradients:
        """The loss and its exact derivatives at given values; the mean over two noises, +1 and −1.

        KL and noise are such that this mean is the analytic KL where q and the prior are Gaussian.
        """
        x = self.x if x is None else x
        recon, mu, t = [each.detach().requires_grad_() for each in recon], _leaf(mu), _leaf(t)
        with torch.enable_grad():
            results = [self._loss_at(recon, mu, t, x, sign) for sign in self._signs()]
            value = sum(each[0] for each in results) / len(results)
            inputs = [*recon, mu, t]
            if value.requires_grad:
                found = torch.autograd.grad(value, inputs, allow_unused=True)
            else:
                found = [None] * len(inputs)
        slopes = [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]
        parts = {name: sum(_number(each[1][name]) for each in results) / len(results) for name in results[0][1]}
        return Gradients(value.detach(), slopes[: len(recon)], slopes[-2], slopes[-1], parts)

    def _signs(self) -> tuple[float, ...]:
        return (1.0, -1.0)  # also where the loss itself draws

    def _loss_at(
        self, recon: list[Tensor], mu: Tensor, t: Tensor, x: Tensor, sign: float
    ) -> tuple[Tensor, dict[str, Any]]:
        if self.step is not None:
            encoded = self._with_latents(self._encoded, mu, t)
            if self.roles.z is not None:
                encoded = replaced(encoded, self.roles.z, self._z(mu, t, sign))
            decoded = self._with_recon(self._decoded, recon)
            two = encoded if isinstance(self.encoder, tuple) else (None, None)
            encoded = torch.cat(encoded, dim=1) if self._moments else encoded
            change = {"mu": lambda _: two[0], "t": lambda _: two[1], "encoder": lambda _: encoded}
            context = tuple(part[: len(x)] for part in self.context)
            with self._intercepted(change, lambda _: decoded), Noise(sign, tuple(mu.shape)):
                value, parts, _ = value_of(self._stepped(x, context))
            return value, parts
        output = self._with_recon(self._with_latents(self._output, mu, t), recon)
        for path in self._copies:
            whole = at(self._output, path)
            output = replaced(output, path, x.reshape(-1, *whole.shape[1:]) if x[0].numel() == whole[0].numel() else x)
        if self.roles.z is not None:
            output = replaced(output, self.roles.z, self._z(mu, t, sign))
        context = tuple(part[: len(x)] for part in self.context)
        with Noise(sign, tuple(mu.shape)), attributes_kept(self.model, self.loss):
            put_back(self._after)
            value, parts, _ = value_of(bound(self.loss, output, self.roles, x, context))
        return value, parts

    def _z(self, mu: Tensor, t: Tensor, sign: float) -> Tensor:
        """A sample of q, with the noise 1 or −1."""
        return mu + sign * (self.scale or LOG_VARIANCE).sigma(t)

    @contextmanager
    def rows(self, n: int) -> Iterator[None]:
        """Run and ask about the first rows alone in this block."""
        before = self.x, self.context, self._output, self._encoded, self._decoded, self._after
        self.x, self.context = self.x[:n], tuple(part[:n] for part in self.context)
        try:
            yield
        finally:
            self.x, self.context, self._output, self._encoded, self._decoded, self._after = before

    def _with_latents(self, output: Any, mu: Tensor, t: Tensor) -> Any:  # noqa: ANN401
        if self.roles.q is not None:
            rebuilt = Gaussian.of(at(output, self.roles.q)).rebuild(mu, t)
            return replaced(output, self.roles.q, rebuilt)
        if self.roles.mu is not None:
            output = replaced(output, self.roles.mu, mu)
        return replaced(output, self.roles.t, t) if self.roles.t is not None else output

    def _with_recon(self, output: Any, recon: list[Tensor]) -> Any:  # noqa: ANN401
        if self.roles.recon is None:
            return output
        given = at(output, self.roles.recon)
        if isinstance(given, Distribution):
            return replaced(output, self.roles.recon, Likelihood.of(given).rebuild(recon))
        output = replaced(output, self.roles.recon, recon[0])
        return output if self.roles.recon_scale is None else replaced(output, self.roles.recon_scale, recon[1])

    def lines(self, recon: list[Tensor], mu: Tensor, t: Tensor, x: Tensor) -> dict[str, str]:
        """In which lines the reader's loss takes up the reconstruction, μ and the width."""
        recon, mu, t = [_leaf(each) for each in recon], _leaf(mu), _leaf(t)
        watch = Watch(recon=recon[0], mu=mu, t=t)
        with torch.enable_grad(), watch:
            self._loss_at(recon, mu, t, x, 1.0)
        return {name: watch.line(name) for name in ("recon", "mu", "t")}


def _leaf(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_()


def _number(value: Tensor | float) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)
