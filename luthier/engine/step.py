"""The gradients of one optimizer step, over passes as small as memory wants, with each distinct token computed once.

Tokens that several passes need, the trunk, go through the model first. Each pass looks at their kept keys and values
and leaves a gradient there; when all passes are done, one backward pass takes the summed gradients, and those of the
trunk's own predictions, through the trunk. A prefix is a trunk that was given: its gradients go into whatever made it.

The layout is a function of the rows and `tokens_a_pass` alone. Dropout draws one mask for a token that rows share,
which is a draw from the same distribution as one mask a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from luthier.engine.attention import Attention, KeyAndValue
from luthier.engine.forward import Engine
from luthier.engine.loss import Computed, summed_loss
from luthier.engine.padded import backward_padded
from luthier.engine.parts import Part, in_leaves
from luthier.engine.tree import Tree
from luthier.flow import Tokenized

TOKENS_A_PASS = 1024
"""Distinct tokens of its own that a pass of training takes, unless one row alone is longer (docs/log.md)."""


def backward(engine: Engine, rows: Sequence[Tokenized], divisor: float, tokens_a_pass: int = TOKENS_A_PASS) -> Computed:
    """Adds the gradients of the rows' summed loss over `divisor` to those of the trained parameters."""
    near, far = engine.by_limit([len(row.tokens) for row in rows])
    computed = []
    if near:
        tree = engine.lay_out([rows[index] for index in near])
        computed.append(backward_over_tree(engine, tree, divisor, tokens_a_pass))
    if far:
        computed.append(backward_padded(engine, [rows[index] for index in far], divisor, tokens_a_pass))
    return Computed(sum(one.loss for one in computed), sum(one.tokens for one in computed))


def backward_over_tree(engine: Engine, tree: Tree, divisor: float, tokens_a_pass: int) -> Computed:
    """The same for a tree of rows."""
    layout = in_leaves(tree, tokens_a_pass)
    above, above_tokens = engine.root(), np.arange(tree.known)
    loss, trunk_loss = 0.0, None
    if layout.trunk is not None:
        attention = engine.attention(layout.trunk, above, keeps=slice(None))
        trunk_loss = _loss(engine, tree, layout.trunk, attention)
        loss += trunk_loss.item()
        above, above_tokens = attention.kept, np.concatenate([layout.trunk.given, layout.trunk.own])
    shared = {layer: (collecting(key), collecting(value)) for layer, (key, value) in above.items()}
    for part in layout.leaves:
        attention = engine.attention(part, shared, chosen=np.searchsorted(above_tokens, part.given))
        part_loss = _loss(engine, tree, part, attention)
        (part_loss / divisor).backward()
        loss += part_loss.item()
    backward_above(above, shared, [] if trunk_loss is None else [(trunk_loss / divisor, None)])
    return Computed(loss, layout.computed_tokens)


def _loss(engine: Engine, tree: Tree, part: Part, attention: Attention) -> Tensor:
    """The summed loss of a part's predictions."""
    states = engine.states(tree, part, attention)
    sources, targets = engine.predictions(tree, part)
    weights = torch.from_numpy(tree.weights[part.predictions]).to(engine.device)
    return summed_loss(states.index_select(0, sources), engine.head, targets, weights)


def collecting(kept: Tensor) -> Tensor:
    """The same values, where gradients of passes add up in float32 at least; no gradient where `kept` wants none."""
    values = kept.detach().to(torch.promote_types(kept.dtype, torch.float32))
    return values.requires_grad_(kept.requires_grad)


def backward_above(
    above: Mapping[int, KeyAndValue],
    shared: Mapping[int, KeyAndValue],
    losses: Sequence[tuple[Tensor, Tensor | None]] = (),
) -> None:
    """One backward pass through all that passes have looked at, and through the trunk's own `losses`: each a scalar, or
    values with the copy in which their gradients have added up."""
    roots: list[Tensor] = []
    gradients: list[Tensor | None] = []
    every = [
        *losses,
        *((whole, leaf) for layer in above for whole, leaf in zip(above[layer], shared[layer], strict=True)),
    ]
    for whole, leaf in every:
        if not whole.requires_grad or (leaf is not None and leaf.grad is None):
            continue
        roots.append(whole)
        gradients.append(None if leaf is None or leaf.grad is None else leaf.grad.to(whole.dtype))
    if roots:
        torch.autograd.backward(roots, gradients)
