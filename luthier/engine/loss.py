"""The vocabulary loss on trained tokens only, in pieces small enough that logits never fill memory.

Sizes: M predictions, C width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

PIECE_BYTES = 28 * 2**20
"""Memory for one piece of logits. From 32 MiB on, the C library takes each block anew from the system (docs/log.md)."""
BLOCK_BYTES = 2**20
"""Logits in float32 that are worked on at once, so that they stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What a step came to: `loss` is summed over the rows' trained tokens (nats), `tokens` went through the model.

    `sums` are other numbers of the rows by name, summed over them too, where the objective has such. `kl` is the KL
    from base, summed like the loss, where the model is held near base; it is no part of `loss`.
    """

    loss: float
    tokens: int
    sums: Mapping[str, float] = field(default_factory=dict)
    kl: float = 0.0


@dataclass(frozen=True, slots=True)
class Head:
    """The projection from hidden states to the vocabulary: weight (V, C), bias (V) or none."""

    weight: Tensor
    bias: Tensor | None

    @property
    def piece(self) -> int:
        """Predictions a piece."""
        return max(16, PIECE_BYTES // (self.weight.element_size() * self.weight.shape[0]))

    def logits(self, states: Tensor) -> Tensor:
        """Hidden states (..., C) -> logits (..., V)."""
        return linear(states, self.weight, self.bias)


def summed_loss(hidden: Tensor, head: Head, targets: Tensor, weights: Tensor) -> Tensor:
    """sum over m of weights[m] * -log p(targets[m]), a scalar in nats. hidden (M, C); targets, weights (M).

    The gradient is made in the same pass as the loss, so logits are computed once and kept for no one.
    For two equal logits the loss of either target is log 2 = 0.693.
    """
    result: Tensor = _SummedLoss.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, targets, weights
    )
    return result


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor
    ) -> Tensor:
        head = Head(weight, bias)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        total = torch.zeros((), dtype=wide, device=hidden.device)
        gradients = Gradients(ctx, hidden, weight, bias, wide)
        for start in range(0, len(hidden), head.piece):
            part = slice(start, start + head.piece)
            logits = head.logits(hidden[part])
            for block in blocks(logits, wide):
                at = slice(start + block.start, start + block.stop)
                each = _into_gradients(logits[block], targets[at], weights[at], wide, gradients.wanted)
                total += (weights[at] * each).sum()
            gradients.add(part, logits)
        gradients.save(ctx)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*Gradients.saved(ctx, gradients[0]), None, None)


class Gradients:
    """Of a summed loss with respect to hidden states (M, C), the projection (V, C) and its bias (V), as far as they are
    wanted: added up from a piece of the logits' gradients after the other, and kept for the way back."""

    def __init__(self, ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, wide: torch.dtype) -> None:
        """`ctx` has the hidden states, the projection and its bias as its first inputs; sums are of type `wide`."""
        self.given = hidden, weight, bias
        self.hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        self.weight = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
        self.bias = torch.zeros_like(bias, dtype=wide) if bias is not None and ctx.needs_input_grad[2] else None
        self.wide = wide

    @property
    def wanted(self) -> bool:
        """Whether the logits' gradients are of use."""
        return any(one is not None for one in (self.hidden, self.weight, self.bias))

    def add(self, part: slice, logits: Tensor) -> None:
        """The gradients of the logits (m, V) of a part of the predictions."""
        hidden, weight, _ = self.given
        if not self.wanted:
            return
        if self.hidden is not None:
            self.hidden[part] = logits @ weight
        if self.weight is not None:
            self.weight += logits.T @ hidden[part]
        if self.bias is not None:
            self.bias += logits.sum(0, dtype=self.wide)

    def save(self, ctx: Any) -> None:
        ctx.save_for_backward(self.hidden, self.weight, self.bias)
        ctx.types = tuple(None if one is None else one.dtype for one in self.given)

    @staticmethod
    def saved(ctx: Any, by: Tensor) -> Iterator[Tensor | None]:
        """What was kept, times the gradient of the summed loss itself."""
        for part, kind in zip(ctx.saved_tensors, ctx.types, strict=True):
            yield None if part is None else (part * by).to(kind)


def each_loss(hidden: Tensor, head: Head, targets: Tensor) -> Tensor:
    """-log p(targets[m]) of each prediction (M, nats), with a way back; hidden (M, C).

    For a loss that is no sum over predictions: what weighs them is known only when all of them are. A hidden state's
    gradient is its weight times that of its own prediction, so that is made in the same pass, as for `summed_loss`;
    only where the projection itself is trained are logits computed again.
    """
    result: Tensor = _EachLoss.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-untyped-call]
    return result


class _EachLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        head = Head(weight, bias)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        every = torch.zeros(len(hidden), dtype=wide, device=hidden.device)
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        ones = torch.ones_like(every)
        for start in range(0, len(hidden), head.piece):
            part = slice(start, start + head.piece)
            logits = head.logits(hidden[part])
            for block in blocks(logits, wide):
                at = slice(start + block.start, start + block.stop)
                every[at] = _into_gradients(logits[block], targets[at], ones[at], wide, d_hidden is not None)
            if d_hidden is not None:
                d_hidden[part] = logits @ weight
        ctx.save_for_backward(d_hidden, hidden, weight, bias, targets)
        return every

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, hidden, weight, bias, targets = ctx.saved_tensors
        weights = gradients[0]
        to_hidden = None if d_hidden is None else (d_hidden * weights[:, None]).to(hidden.dtype)
        if not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2]):
            return to_hidden, None, None, None
        head, wide = Head(weight, bias), weights.dtype
        d_weight, d_bias = torch.zeros_like(weight, dtype=wide), weights.new_zeros(len(weight))
        for start in range(0, len(hidden), head.piece):
            part = slice(start, start + head.piece)
            logits = head.logits(hidden[part])
            for block in blocks(logits, wide):
                at = slice(start + block.start, start + block.stop)
                _into_gradients(logits[block], targets[at], weights[at], wide, True)
            d_weight += logits.T @ hidden[part]
            d_bias += logits.sum(0, dtype=wide)
        own_bias = d_bias.to(bias.dtype) if bias is not None and ctx.needs_input_grad[2] else None
        return to_hidden, d_weight.to(weight.dtype) if ctx.needs_input_grad[1] else None, own_bias, None


def blocks(logits: Tensor, wide: torch.dtype) -> Iterator[slice]:
    """Of (M, V) logits on a CPU a few rows at a time, elsewhere all."""
    most = max(1, BLOCK_BYTES // (wide.itemsize * logits.shape[1])) if logits.device.type == "cpu" else len(logits)
    yield from (slice(start, min(start + most, len(logits))) for start in range(0, len(logits), most))


def _into_gradients(logits: Tensor, targets: Tensor, weights: Tensor, wide: torch.dtype, wanted: bool) -> Tensor:
    """The loss (M) of each row of (M, V) logits, not weighed; where it is `wanted`, the gradient of their weighed sum
    with respect to the logits in the logits' place."""
    values = logits.to(wide)
    own = targets[:, None]
    own_logits = values.gather(-1, own)
    most = values.amax(-1, keepdim=True)
    # In place, each logit's exponential once: the softmax is what the gradient wants.
    exponentials = values.sub_(most).exp_()
    sums = exponentials.sum(-1, keepdim=True)
    loss = (most + sums.log() - own_logits).squeeze(-1)
    if wanted:
        exponentials.mul_(weights[:, None] / sums)
        exponentials.scatter_add_(-1, own, -weights[:, None].to(wide))
        if values is not logits:
            logits.copy_(exponentials)
    return loss


@torch.no_grad()
def losses(hidden: Tensor, head: Head, targets: Tensor) -> tuple[Tensor, Tensor]:
    """-log p(targets[m]) of each prediction (M, nats), and whether the target is the most likely token (M, bool)."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    parts, right = [], []
    for start in range(0, len(hidden), head.piece):
        part = slice(start, start + head.piece)
        logits = head.logits(hidden[part]).to(wide)
        own = targets[part, None]
        parts.append((logits.logsumexp(-1, keepdim=True) - logits.gather(-1, own)).squeeze(-1))
        right.append(logits.argmax(-1) == targets[part])
    return torch.cat(parts), torch.cat(right)
