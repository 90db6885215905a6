"""The vocabulary loss on trained tokens only, in pieces small enough that logits never fill memory.

Sizes: M predictions, C width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

PIECE_BYTES = 64 * 2**20
"""Memory for one piece of logits in float32."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What a step came to: `loss` is summed over the rows' trained tokens (nats), `tokens` went through the model."""

    loss: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Head:
    """The projection from hidden states to the vocabulary: weight (V, C), bias (V) or none."""

    weight: Tensor
    bias: Tensor | None

    @property
    def piece(self) -> int:
        """Predictions a piece."""
        return max(16, PIECE_BYTES // (4 * self.weight.shape[0]))

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
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
        d_bias = torch.zeros_like(bias, dtype=wide) if bias is not None and ctx.needs_input_grad[2] else None
        for start in range(0, len(hidden), head.piece):
            part = slice(start, start + head.piece)
            logits = head.logits(hidden[part]).to(wide)
            own = targets[part, None]
            own_logits = logits.gather(-1, own)
            most = logits.amax(-1, keepdim=True)
            # In place, each logit's exponential once: the softmax is what the gradient wants.
            exponentials = logits.sub_(most).exp_()
            sums = exponentials.sum(-1, keepdim=True)
            total += (weights[part] * (most + sums.log() - own_logits).squeeze(-1)).sum()
            if d_hidden is None and d_weight is None:
                continue
            exponentials.mul_(weights[part, None] / sums)
            exponentials.scatter_add_(-1, own, -weights[part, None].to(wide))
            d_logits = exponentials.to(hidden.dtype)
            if d_hidden is not None:
                d_hidden[part] = d_logits @ weight
            if d_weight is not None:
                d_weight += d_logits.T @ hidden[part]
            if d_bias is not None:
                d_bias += exponentials.sum(0)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.types = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parts = (
            None if part is None else (part * gradients[0]).to(kind)
            for part, kind in zip(ctx.saved_tensors, ctx.types, strict=True)
        )
        return (*parts, None, None)


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
