"""How far the model's next token is from base's, and the loss with that added, in pieces as small as the loss's own.

Sizes: M predictions, C width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from luthier.engine.loss import Gradients, Head, blocks


def held_loss(
    hidden: Tensor, head: Head, targets: Tensor, weights: Tensor, expected: Tensor, base_head: Head, pulls: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """sum over m of weights[m] * -log p(targets[m]) + pulls[m] * KL[m], with a way back; the first part of it alone,
    and each KL (M). hidden, expected (M, C): the model's last states and base's; targets, weights, pulls (M).

    As for `loss.summed_loss` the gradient is made in the same pass, a piece of logits after the other.
    Of two tokens where base has 0.5 and 0.5 and the model 0.75 and 0.25, KL = log(4/3) / 2 = 0.144.
    """
    result: tuple[Tensor, Tensor, Tensor] = _HeldLoss.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, targets, weights, expected, base_head, pulls
    )
    return result


class _HeldLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
        expected: Tensor,
        base_head: Head,
        pulls: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        head = Head(weight, bias)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        each, apart = (torch.zeros(len(hidden), dtype=wide, device=hidden.device) for _ in range(2))
        gradients = Gradients(ctx, hidden, weight, bias, wide)
        for start in range(0, len(hidden), head.piece):
            part = slice(start, start + head.piece)
            logits, base_logits = head.logits(hidden[part]), base_head.logits(expected[part])
            for block in blocks(logits, wide):
                at = slice(start + block.start, start + block.stop)
                each[at], apart[at] = _into_gradients(
                    logits[block], base_logits[block], targets[at], weights[at], pulls[at], wide
                )
            gradients.add(part, logits)
        loss = (weights * each).sum()
        gradients.save(ctx)
        ctx.mark_non_differentiable(loss, apart)
        return loss + (pulls * apart).sum(), loss, apart

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*Gradients.saved(ctx, gradients[0]), None, None, None, None, None)


def _into_gradients(
    logits: Tensor, base_logits: Tensor, targets: Tensor, weights: Tensor, pulls: Tensor, wide: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The loss and the KL (M) of each row of (M, V) logits, not weighed; in the logits' place the gradient of their
    weighed sum, (weights + pulls) p - pulls p0 - weights at the target."""
    own, weighed, pulled = targets[:, None], weights[:, None].to(wide), pulls[:, None].to(wide)
    apart, values, likely, log_sum = _compared(logits, base_logits, wide)
    loss = (log_sum - values.gather(-1, own)).squeeze(-1)
    gradient = values.sub_(log_sum).exp_().mul_(weighed + pulled).sub_(likely.mul_(pulled))
    gradient.scatter_add_(-1, own, -weighed)
    if gradient is not logits:
        logits.copy_(gradient)
    return loss, apart


def _compared(logits: Tensor, base_logits: Tensor, wide: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The KL (M), the logits in `wide`, base's distribution, (M, V) each, and the logits' log-sum-exp (M, 1).

    KL = sum p0 (b - v) - log-sum-exp b + log-sum-exp v, of base's logits b and the model's v.
    """
    values, expected = logits.to(wide), base_logits.to(wide)
    log_sum, base_log_sum = (of.logsumexp(-1, keepdim=True) for of in (values, expected))
    gap = expected - values
    likely = expected.sub_(base_log_sum).exp_()
    apart = gap.mul_(likely).sum(-1) + (log_sum - base_log_sum).squeeze(-1)
    return apart, values, likely, log_sum


def each_distance(hidden: Tensor, head: Head, expected: Tensor, base_head: Head) -> Tensor:
    """Each KL (M)."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    apart = torch.zeros(len(hidden), dtype=wide, device=hidden.device)
    for start in range(0, len(hidden), head.piece):
        part = slice(start, start + head.piece)
        logits, base_logits = head.logits(hidden[part]), base_head.logits(expected[part])
        for block in blocks(logits, wide):
            at = slice(start + block.start, start + block.stop)
            apart[at] = _compared(logits[block], base_logits[block], wide)[0]
    return apart
