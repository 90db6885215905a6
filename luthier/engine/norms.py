"""Root-mean-square norms that keep their input alone for the way back, instead of four copies of it.

y = w x / sqrt(mean(x²) + e), computed in float32 whatever the type, as transformers' models do; equal to their own
forward pass to the last bit. Zhang and Sennrich, Root Mean Square Layer Normalization (2019).

Sizes: C width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor


def plain_norms(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """The model's norms that compute just that. Others (Gemma's scales by 1 + w) are left as they are."""
    kinds: set[Any] = {type(module) for module in model.modules()}
    plain = {kind for kind in kinds if _is_plain(kind)}
    return tuple(module for module in model.modules() if type(module) in plain)


@contextmanager
def keeping_inputs(norms: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Within, these norms are computed here."""
    for norm in norms:
        norm.forward = partial(_normed, norm)
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _normed(norm: Any, states: Tensor) -> Tensor:
    normed: Tensor = _Normed.apply(states, norm.weight, norm.variance_epsilon)  # type: ignore[no-untyped-call]
    return normed


@cache
def _is_plain(kind: Any) -> bool:
    """Whether a norm of this kind, made anew, gives what is computed here, bit by bit."""
    if not kind.__name__.endswith("RMSNorm"):
        return False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        states, weight = torch.randn(5, 24), torch.rand(24) + 0.5
    try:
        own = kind(24, eps=1e-3)
        own.weight.data = weight
        with torch.no_grad():
            return all(
                torch.equal(own.to(dtype)(states.to(dtype)), _normed(own, states.to(dtype)))
                for dtype in (torch.float32, torch.bfloat16, torch.float64)
            )
    except (TypeError, AttributeError, RuntimeError):
        return False


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = states.to(torch.float32)
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(states, weight, scale)
        normed: Tensor = weight * (wide * scale).to(states.dtype)
        return normed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With n = x s, s the scale: dx = s (g w - n mean(g w n)), dw = sum(g n)."""
        states, weight, scale = ctx.saved_tensors
        gradient = gradients[0]
        normed = states.to(torch.float32) * scale
        d_states = d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = (gradient * normed.to(states.dtype)).flatten(0, -2).sum(0).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            wide = (gradient * weight).to(torch.float32)
            along = torch.linalg.vecdot(wide, normed).div_(states.shape[-1]).unsqueeze(-1)
            d_states = wide.sub_(normed.mul_(along)).mul_(scale).to(states.dtype)
        return d_states, d_weight, None
