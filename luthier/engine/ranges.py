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

    `gather` (B*L): the token that stands at each place, any token where a place is padding, which is always behind.
    `places` (n): the places that are no padding, `tokens` (n): their tokens. `padded` says whether there is padding.
    """

    runs: int
    gather: Tensor
    places: Tensor
    tokens: Tensor
    padded: bool


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
    return made if device.type == "cpu" else replace(made, sees=pairs(made))


def _length(run: tuple[int, int]) -> int:
    return run[1] - run[0]


def _group(runs: list[tuple[int, int]], device: torch.device) -> Group:
    at = np.arange(_length(runs[-1]))
    starts = np.array([start for start, _ in runs])[:, None]
    lengths = np.array([_length(run) for run in runs])[:, None]
    gather = (starts + np.minimum(at, lengths - 1)).ravel()
    places = np.flatnonzero((at < lengths).ravel())
    return Group(
        runs=len(runs),
        gather=torch.from_numpy(gather).to(device),
        places=torch.from_numpy(places).to(device),
        tokens=torch.from_numpy(gather[places]).to(device),
        padded=len(places) < len(gather),
    )


def attend(query: Tensor, key: Tensor, value: Tensor, plan: Plan, scale: float) -> Tensor:
    """query (N, H, D), key and value (G + N, K, D) -> (N, H, D)."""
    by_ranges = query.device.type == "cpu"
    output: Tensor = (_ByRanges.apply if by_ranges else attend_masked)(query, key, value, plan, scale)
    return output


def _batch(tensor: Tensor, group: Group) -> Tensor:
    """(N, H, D) -> (B, H, L, D), the runs of a group."""
    return tensor.index_select(0, group.gather).view(group.runs, -1, *tensor.shape[1:]).transpose(1, 2)


def _flat(tensor: Tensor, group: Group) -> Tensor:
    """(B, H, L, ...) -> (n, H, ...), padding left out."""
    flat = tensor.transpose(1, 2).flatten(0, 1)
    return flat.index_select(0, group.places) if group.padded else flat


def _one(tensor: Tensor) -> Tensor:
    """(n, H, D) -> (1, H, n, D)."""
    return tensor.transpose(0, 1).unsqueeze(0)


class _ByRanges(torch.autograd.Function):
    """The ranges of a plan by torch's CPU kernel, which takes K key heads under H heads as they are."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: Plan, scale: float) -> Tensor:
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        log_sum = torch.empty(query.shape[:2], dtype=torch.promote_types(query.dtype, torch.float32))
        own_key, own_value = key[plan.given :], value[plan.given :]
        for group in plan.groups:
            part, part_log_sum = _forward(
                _batch(query, group), _batch(own_key, group), _batch(own_value, group), 0.0, True, scale=scale
            )
            output[group.tokens] = _flat(part, group)
            log_sum[group.tokens] = _flat(part_log_sum, group).to(log_sum.dtype)
        for reach in plan.reaches:
            below = reach.queries
            part, part_log_sum = _forward(
                _one(query[below]), _one(key[reach.keys]), _one(value[reach.keys]), 0.0, False, scale=scale
            )
            seen, more = log_sum[below], part_log_sum[0].transpose(0, 1)
            merged = torch.logaddexp(seen, more)
            output[below] = (
                output[below] * (seen - merged).exp().unsqueeze(-1)
                + part[0].transpose(0, 1) * (more - merged).exp().unsqueeze(-1)
            ).to(output.dtype)
            log_sum[below] = merged
        ctx.save_for_backward(query, key, value, output, log_sum)
        ctx.plan, ctx.scale = plan, scale
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, log_sum = ctx.saved_tensors
        plan: Plan = ctx.plan
        gradient = gradients[0]
        d_query, d_key, d_value = (
            torch.zeros_like(tensor, memory_format=torch.contiguous_format) for tensor in (query, key, value)
        )
        own_key, own_value = key[plan.given :], value[plan.given :]
        for group in plan.groups:
            part_gradient = _batch(gradient, group)
            part_log_sum = log_sum.index_select(0, group.gather)
            if group.padded:
                padding = torch.ones(len(group.gather), dtype=torch.bool)
                padding[group.places] = False
                part_log_sum = part_log_sum.masked_fill(padding[:, None], 1e30)
                at = padding.unflatten(0, (group.runs, -1))[:, None, :, None]
                part_gradient = part_gradient.masked_fill(at, 0.0)
            parts = _backward(
                part_gradient,
                _batch(query, group),
                _batch(own_key, group),
                _batch(own_value, group),
                _batch(output, group),
                part_log_sum.unflatten(0, (group.runs, -1)).transpose(1, 2).contiguous(),
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
        return d_query, d_key, d_value, None, None


def attend_masked(query: Tensor, key: Tensor, value: Tensor, plan: Plan, scale: float) -> Tensor:
    """The same attention as one masked call over all N x (G + N) pairs: the reference, and the way on other devices.

    query (N, H, D), key and value (G + N, K, D) -> (N, H, D).
    """
    sees = pairs(plan) if plan.sees is None else plan.sees
    output = scaled_dot_product_attention(
        _one(query), _one(key), _one(value), attn_mask=sees[None, None], scale=scale, enable_gqa=True
    )
    return output[0].transpose(0, 1)


def pairs(plan: Plan) -> Tensor:
    """Which keys each query looks at, (N, G + N)."""
    device = plan.groups[0].gather.device
    own = torch.zeros(plan.size, plan.size, dtype=torch.bool, device=device)
    for group in plan.groups:
        for run in group.gather.unflatten(0, (group.runs, -1)).tolist():
            own[run[0] : run[-1] + 1, run[0] : run[-1] + 1] = True
    sees = torch.cat([own.new_zeros(plan.size, plan.given), own.tril()], 1)
    for reach in plan.reaches:
        sees[reach.queries, reach.keys] = True
    return sees
