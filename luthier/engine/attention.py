"""Attention over a tree: each token looks at the tokens on its way to the root, range by range, merged exactly.

softmax over several ranges of keys is the softmax over each, merged by the log-sum-exp of each:
`l = logaddexp(l1, l2)`, `o = o1 exp(l1 - l) + o2 exp(l2 - l)`. A range's backward pass, called with the *merged* output
and log-sum-exp, gives that range's exact share of the gradients, so the shares are added.
Source: Dao et al., FlashAttention (2022), section 3 and appendix B; merging: Juravsky et al., Hydragen (2024).

Keys and values may also be given: those of virtual tokens that stand before all others (a prefix).

Sizes: N distinct tokens, G given keys, H heads, K key heads (H is a multiple of K), D head width, B runs in a group,
L their length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from luthier.engine.tree import Node, Tree

NAME = "luthier_tree"
LIKE_LENGTH = 1.25
"""Runs go as one call while the longest is at most this many times the shortest (padding costs more above)."""

KeyAndValue = tuple[Tensor, Tensor]

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Attention(Protocol):
    """Attention of one forward pass, asked for in every layer: a tree's, or that of answers which grow."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, layer: int) -> Tensor:
        """query (R, H, N, D), key and value (R, K, N, D) -> (R, N, H, D)."""
        ...


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
class Reach:
    """All queries from `first` to `last` look at all keys from `start` to `end`, given keys counted first."""

    start: int
    end: int
    first: int
    last: int

    @property
    def keys(self) -> slice:
        return slice(self.start, self.end)

    @property
    def queries(self) -> slice:
        return slice(self.first, self.last)


@dataclass(frozen=True, slots=True)
class TreePlan:
    """Which keys each query looks at: its own run up to itself (`groups`), and whole ranges before it (`reaches`).

    `given` counts the keys that stand before the `size` tokens' own.
    """

    groups: tuple[Group, ...]
    reaches: tuple[Reach, ...]
    size: int
    given: int


@dataclass(frozen=True, slots=True)
class TreeAttention:
    """A plan at work. `given` holds for each layer the keys and values before the tokens' own, (G, K, D) each."""

    plan: TreePlan
    given: Sequence[KeyAndValue] = ()

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, layer: int) -> Tensor:
        """query (1, H, N, D), key and value (1, K, N, D) -> (1, N, H, D)."""
        key, value = self.all_keys_and_values(key, value, layer)
        on_cpu = query.device.type == "cpu"
        output: Tensor = (_TreeAttention.apply if on_cpu else attend_masked)(
            query[0].transpose(0, 1), key, value, self.plan, scale
        )
        return output[None]

    def all_keys_and_values(self, key: Tensor, value: Tensor, layer: int) -> KeyAndValue:
        """The given ones and the tokens' own, (G + N, K, D) each."""
        own = key[0].transpose(0, 1), value[0].transpose(0, 1)
        if not self.given:
            return own
        first, second = (
            torch.cat([given.to(mine.dtype), mine]) for given, mine in zip(self.given[layer], own, strict=True)
        )
        return first, second


def plan(tree: Tree, device: torch.device, given: int = 0) -> TreePlan:
    """The calls that attention over this tree takes: one for each group of runs of like length, one a shared node, and
    one for `given` keys before all others."""
    runs = sorted(tree.nodes, key=lambda node: node.end - node.start)
    groups: list[list[Node]] = []
    for run in runs:
        if groups and run.end - run.start <= LIKE_LENGTH * (groups[-1][0].end - groups[-1][0].start):
            groups[-1].append(run)
        else:
            groups.append([run])
    size = len(tree.tokens)
    before = (Reach(0, given, 0, size),) if given else ()
    shared = (node for node in tree.nodes if node.last > node.end)
    return TreePlan(
        groups=tuple(_group(group, device) for group in groups),
        reaches=(*before, *(Reach(given + node.start, given + node.end, node.end, node.last) for node in shared)),
        size=size,
        given=given,
    )


def _group(runs: list[Node], device: torch.device) -> Group:
    longest = runs[-1].end - runs[-1].start
    at = np.arange(longest)
    starts = np.array([run.start for run in runs])[:, None]
    lengths = np.array([run.end - run.start for run in runs])[:, None]
    gather = (starts + np.minimum(at, lengths - 1)).ravel()
    places = np.flatnonzero((at < lengths).ravel())
    return Group(
        runs=len(runs),
        gather=torch.from_numpy(gather).to(device),
        places=torch.from_numpy(places).to(device),
        tokens=torch.from_numpy(gather[places]).to(device),
        padded=len(places) < len(gather),
    )


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


class _TreeAttention(torch.autograd.Function):
    """The ranges of a plan by torch's CPU kernel, which takes K key heads under H heads as they are."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: TreePlan, scale: float) -> Tensor:
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
        plan: TreePlan = ctx.plan
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


def attend_masked(query: Tensor, key: Tensor, value: Tensor, plan: TreePlan, scale: float) -> Tensor:
    """The same attention as one masked call over all N x (G + N) pairs: the reference, and the way on other devices.

    query (N, H, D), key and value (G + N, K, D) -> (N, H, D).
    """
    own = torch.zeros(plan.size, plan.size, dtype=torch.bool, device=query.device)
    for group in plan.groups:
        runs = group.gather.unflatten(0, (group.runs, -1))
        for run in runs:
            own[run[0] : run[-1] + 1, run[0] : run[-1] + 1] = True
    sees = torch.cat([own.new_zeros(plan.size, plan.given), own.tril()], 1)
    for reach in plan.reaches:
        sees[reach.queries, reach.keys] = True
    output = scaled_dot_product_attention(
        _one(query), _one(key), _one(value), attn_mask=sees[None, None], scale=scale, enable_gqa=True
    )
    return output[0].transpose(0, 1)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in every layer: query (R, H, N, D), key and value (R, K, N, D) -> (R, N, H, D)."""
    del attention_mask
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return others["plan"].attend(query, key, value, scale, module.layer_idx), None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)
