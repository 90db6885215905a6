"""Attention range by range: each token looks at the tokens on its way to the root, and the ranges are merged exactly.

softmax over several ranges of keys is the softmax over each, merged by the log-sum-exp of each:
`l = logaddexp(l1, l2)`, `o = o1 exp(l1 - l) + o2 exp(l2 - l)`. A range's backward pass, called with the *merged* output
and log-sum-exp, gives that range's exact share of the gradients, so the shares are added.
Source: Dao et al., FlashAttention (2022), section 3 and appendix B; merging: Juravsky et al., Hydragen (2024).

Sizes: N tokens of a part, G given keys, H heads, K key heads (H is a multiple of K), D head width, B runs in a group,
L their length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from luthier.engine.parts import Part, Reach

LIKE_LENGTH = 1.25
"""Runs go as one call while the longest is at most this many times the shortest (padding costs more above)."""

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of like length that one causal call serves.

    `runs` (B): from where to where each stands. `gather` (B*L): the token that stands at each place, any token where a
    place is padding, which is always behind. `tokens` (n): the tokens of the places that are no padding. Of a run by
    itself both are a slice, so that nothing is copied. Where there is padding, `places` (n) are those places, and
    `padding` (B, 1, L, 1) says where it is.
    """

    runs: tuple[tuple[int, int], ...]
    gather: Tensor | slice
    tokens: Tensor | slice
    places: Tensor | None = None
    padding: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Which keys each query looks at: its own run up to itself (`groups`), and whole ranges above it (`reaches`).

    `given` counts the keys that stand before the `size` tokens' own. `sees` (N, G + N) says the same pair by pair,
    made once for all layers where no kernel goes by ranges.
    """

    groups: tuple[Group, ...]
    reaches: tuple[Reach, ...]
    size: int
    given: int
    sees: Tensor | None = None


def plan(part: Part, device: torch.device) -> Plan:
    """The calls that attention within a part takes: one for each group of runs of like length, one a reach."""
    groups: list[list[tuple[int, int]]] = []
    for run in sorted(part.runs, key=_length):
        if groups and _length(run) <= LIKE_LENGTH * _length(groups[-1][0]):
            groups[-1].append(run)
        else:
            groups.append([run])
    made = Plan(tuple(_group(group, device) for group in groups), part.reaches, len(part.own), len(part.given))
    return made if device.type == "cpu" else replace(made, sees=pairs(made, device))


def _length(run: tuple[int, int]) -> int:
    return run[1] - run[0]


def _group(runs: list[tuple[int, int]], device: torch.device) -> Group:
    if len(runs) == 1:
        alone = slice(*runs[0])
        return Group(tuple(runs), alone, alone)
    at = np.arange(_length(runs[-1]))
    starts = np.array([start for start, _ in runs])[:, None]
    lengths = np.array([_length(run) for run in runs])[:, None]
    real = at < lengths
    gather = torch.from_numpy((starts + np.minimum(at, lengths - 1)).ravel()).to(device)
    if real.all():
        return Group(tuple(runs), gather, gather)
    places = torch.from_numpy(np.flatnonzero(real.ravel())).to(device)
    padding = torch.from_numpy(~real).to(device)[:, None, :, None]
    return Group(tuple(runs), gather, gather[places], places, padding)


def attend(query: Tensor, key: Tensor, value: Tensor, plan: Plan, scale: float) -> Tensor:
    """query (N, H, D), key and value (G + N, K, D) -> (N, H, D)."""
    by_ranges = query.device.type == "cpu"
    output: Tensor = (_ByRanges.apply if by_ranges else attend_masked)(query, key, value, plan, scale)
    return output


def _batch(tensor: Tensor, group: Group) -> Tensor:
    """(N, H, ...) -> (B, H, L, ...), the runs of a group."""
    at = group.gather
    own = tensor[at] if isinstance(at, slice) else tensor.index_select(0, at)
    return own.view(len(group.runs), -1, *own.shape[1:]).transpose(1, 2)


def _flat(tensor: Tensor, group: Group) -> Tensor:
    """(B, H, L, ...) -> (n, H, ...), padding left out."""
    flat = tensor.transpose(1, 2).flatten(0, 1)
    return flat if group.places is None else flat.index_select(0, group.places)


def _one(tensor: Tensor) -> Tensor:
    """(n, H, D) -> (1, H, n, D)."""
    return tensor.transpose(0, 1).unsqueeze(0)


def _wide(*tensors: Tensor) -> list[Tensor]:
    """The same in float32 at least: the CPU kernel is nowhere faster in bfloat16, and 9 times slower on the way back
    of short runs (docs/log.md)."""
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


class _ByRanges(torch.autograd.Function):
    """The ranges of a plan by torch's CPU kernel, which takes K key heads under H heads as they are."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        narrow_query, narrow_key, narrow_value, plan, scale = given
        query, key, value = _wide(narrow_query, narrow_key, narrow_value)
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        log_sum = torch.empty(query.shape[:2], dtype=query.dtype)
        own_key, own_value = key[plan.given :], value[plan.given :]
        for group in plan.groups:
            part, part_log_sum = _forward(
                _batch(query, group), _batch(own_key, group), _batch(own_value, group), 0.0, True, scale=scale
            )
            output[group.tokens] = _flat(part, group)
            log_sum[group.tokens] = _flat(part_log_sum, group)
        for reach in plan.reaches:
            below = reach.queries
            part, part_log_sum = _forward(
                _one(query[below]), _one(key[reach.keys]), _one(value[reach.keys]), 0.0, False, scale=scale
            )
            seen, more = log_sum[below], part_log_sum[0].transpose(0, 1)
            merged = torch.logaddexp(seen, more)
            output[below] *= (seen - merged).exp().unsqueeze(-1)
            output[below] += part[0].transpose(0, 1) * (more - merged).exp().unsqueeze(-1)
            log_sum[below] = merged
        narrow = output.to(narrow_query.dtype)
        ctx.save_for_backward(narrow_query, narrow_key, narrow_value, narrow, log_sum)
        ctx.plan, ctx.scale = plan, scale
        return narrow

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *narrow, log_sum = ctx.saved_tensors
        plan: Plan = ctx.plan
        query, key, value, output, gradient = _wide(*narrow, gradients[0])
        d_query, d_key, d_value = (
            torch.zeros_like(tensor, memory_format=torch.contiguous_format) for tensor in (query, key, value)
        )
        own_key, own_value = key[plan.given :], value[plan.given :]
        for group in plan.groups:
            part_gradient = _batch(gradient, group)
            part_log_sum = _batch(log_sum, group)
            if group.padding is not None:
                part_log_sum = part_log_sum.masked_fill(group.padding[..., 0], 1e30)
                part_gradient = part_gradient.masked_fill(group.padding, 0.0)
            parts = _backward(
                part_gradient,
                _batch(query, group),
                _batch(own_key, group),
                _batch(own_value, group),
                _batch(output, group),
                part_log_sum.contiguous(),
                0.0,
                True,
                scale=ctx.scale,
            )
            own = d_query, d_key[plan.given :], d_value[plan.given :]
            for total, part in zip(own, parts, strict=True):
                total[group.tokens] = _flat(part, group)
        for reach in plan.reaches:
            below = reach.queries
            parts = _backward(
                _one(gradient[below]),
                _one(query[below]),
                _one(key[reach.keys]),
                _one(value[reach.keys]),
                _one(output[below]),
                log_sum[below].transpose(0, 1).unsqueeze(0).contiguous(),
                0.0,
                False,
                scale=ctx.scale,
            )
            where = below, reach.keys, reach.keys
            for total, part, place in zip((d_query, d_key, d_value), parts, where, strict=True):
                total[place] += part[0].transpose(0, 1)
        found = (total.to(one.dtype) for total, one in zip((d_query, d_key, d_value), narrow, strict=False))
        return (*found, None, None)


def attend_masked(query: Tensor, key: Tensor, value: Tensor, plan: Plan, scale: float) -> Tensor:
    """The same attention as one masked call over all N x (G + N) pairs: the reference, and the way on other devices.

    query (N, H, D), key and value (G + N, K, D) -> (N, H, D).
    """
    sees = pairs(plan, query.device) if plan.sees is None else plan.sees
    output = scaled_dot_product_attention(
        _one(query), _one(key), _one(value), attn_mask=sees[None, None], scale=scale, enable_gqa=True
    )
    return output[0].transpose(0, 1)


def pairs(plan: Plan, device: torch.device) -> Tensor:
    """Which keys each query looks at, (N, G + N)."""
    own = torch.zeros(plan.size, plan.size, dtype=torch.bool, device=device)
    for start, end in (run for group in plan.groups for run in group.runs):
        own[start:end, start:end] = True
    sees = torch.cat([own.new_zeros(plan.size, plan.given), own.tril()], 1)
    for reach in plan.reaches:
        sees[reach.queries, reach.keys] = True
    return sees
