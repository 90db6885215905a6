"""What PEFT's LoRA layers compute, in one go: the input is kept as it came, not a second time in float32.

y = W x + s B A x, with A and B in float32 whatever W's type. Hu et al., LoRA (2021), section 4.1.

Sizes: N tokens, I inputs, O outputs, r the rank.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer


def put_on(layer: LoraLayer) -> None:
    """Has a layer with one plain pair of matrices computed here; any other is left to PEFT, call by call."""
    layer.__class__ = _computed_here(type(layer))


@cache
def _computed_here(kind: type) -> type:
    return type(kind.__name__, (_Thin, kind), {"__module__": kind.__module__})


class _Thin:
    """In front of one of PEFT's own classes of layers."""

    def forward(self: Any, x: Tensor, *args: Any, **options: Any) -> Tensor:
        """(..., I) -> (..., O)."""
        pair = None if args or options else self._pair()
        if pair is None:
            result: Tensor = super().forward(x, *args, **options)  # type: ignore[misc]
            return result
        first, second = self.lora_A[pair].weight, self.lora_B[pair].weight
        share = getattr(self.lora_dropout[pair], "p", 0.0) if self.training else 0.0
        base = self.base_layer(x)
        result = _Beside.apply(base, x, first, second, self.scaling[pair], share)  # type: ignore[no-untyped-call]
        return result

    def _pair(self: Any) -> str | None:
        """The name of the one active pair of matrices, where that is all there is to add."""
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return None
        name: str = self.active_adapters[0]
        plain = name in self.lora_A and name not in self.lora_variant
        return name if plain and self.lora_A[name].bias is None and self.lora_B[name].bias is None else None


class _Beside(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, base: Tensor, x: Tensor, first: Tensor, second: Tensor, scale: float, dropout: float
    ) -> Tensor:
        kept = x.new_empty(x.shape, dtype=torch.bool).bernoulli_(1 - dropout) if dropout else None
        inner = _seen(x, kept, dropout, first.dtype) @ first.T
        ctx.save_for_backward(x, kept, inner, first, second)
        ctx.scale, ctx.dropout = scale, dropout
        wide = base.to(second.dtype).flatten(0, -2)
        return torch.addmm(wide, inner, second.T, alpha=scale).view_as(base).to(base.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With h = A x: dB = s g h^T, dh = s B^T g, dA = dh x^T, dx = A^T dh."""
        x, kept, inner, first, second = ctx.saved_tensors
        gradient = gradients[0].to(second.dtype).flatten(0, -2)
        d_x = d_first = d_second = None
        d_inner = (gradient @ second).mul_(ctx.scale)
        if ctx.needs_input_grad[1]:
            d_x = (d_inner @ first).view_as(x)
            if kept is not None:
                d_x = d_x.mul_(kept).div_(1 - ctx.dropout)
            d_x = d_x.to(x.dtype)
        if ctx.needs_input_grad[2]:
            d_first = d_inner.T @ _seen(x, kept, ctx.dropout, first.dtype)
        if ctx.needs_input_grad[3]:
            d_second = (gradient.T @ inner).mul_(ctx.scale)
        return gradients[0], d_x, d_first, d_second, None, None


def _seen(x: Tensor, kept: Tensor | None, dropout: float, dtype: torch.dtype) -> Tensor:
    """What A sees of the inputs, (N, I): a share left out, the others larger by as much."""
    wide = x.to(dtype)
    return (wide if kept is None else wide * kept / (1 - dropout)).flatten(0, -2)
