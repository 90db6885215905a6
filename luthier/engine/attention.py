"""What a model's layers call instead of their own attention: a part of a tree, with keys and values given and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from luthier.engine.ranges import Plan, attend

NAME = "luthier_tree"
UNDERSTOOD = ("plan", "dropout", "sliding_window", "position_ids", "use_cache", "is_causal", "output_attentions")
"""What layers say to their attention that is understood here, or means nothing here. A window is minded elsewhere."""

KeyAndValue = tuple[Tensor, Tensor]


class Unserved(Exception):
    """A model's attention wants something that attention over a tree has not."""


class Attention(Protocol):
    """Attention of one forward pass, asked for in every layer: a part's, or that of answers which grow."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, layer: int) -> Tensor:
        """query (R, H, N, D), key and value (R, K, N, D) -> (R, N, H, D)."""
        ...


@dataclass(frozen=True, slots=True)
class PartAttention:
    """Attention within a part.

    `given`: for each layer the keys and values (T, K, D) that tokens above left behind; `chosen` (G) are those of the
    T that stand above this part, in order; all of them where it is None. `keeps`: which of the given and own ones
    (G + N) are to be left behind in `kept`.
    """

    plan: Plan
    given: Mapping[int, KeyAndValue] = field(default_factory=dict)
    chosen: Tensor | None = None
    keeps: Tensor | slice | None = None
    kept: dict[int, KeyAndValue] = field(default_factory=dict)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, layer: int) -> Tensor:
        """query (1, H, N, D), key and value (1, K, N, D) -> (1, N, H, D)."""
        keys, values = key[0].transpose(0, 1), value[0].transpose(0, 1)
        if self.plan.given:
            keys, values = self._behind_given(0, keys, layer), self._behind_given(1, values, layer)
        # A checkpointed layer comes by again on the way back: what it kept first is what others look at.
        if self.keeps is not None and layer not in self.kept:
            self.kept[layer] = keys[self.keeps], values[self.keeps]
        return attend(query[0].transpose(0, 1), keys, values, self.plan, scale)[None]

    def _behind_given(self, which: int, own: Tensor, layer: int) -> Tensor:
        given = self.given[layer][which]
        if self.chosen is not None and len(self.chosen) < len(given):
            given = given.index_select(0, self.chosen)
        return torch.cat([given.to(own.dtype), own])


@contextmanager
def attending(model: Any) -> Iterator[None]:
    """Within, the model's layers call the attention that they are handed as `plan`."""
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


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
    if strange := [name for name, value in others.items() if name not in UNDERSTOOD and value is not None]:
        raise Unserved(f"its attention takes {strange[0]}, which attention over a tree has not")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return others["plan"].attend(query, key, value, scale, module.layer_idx), None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)
