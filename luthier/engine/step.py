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

from luthier.engine.attention import KeyAndValue
from luthier.engine.forward import Engine
from luthier.engine.hold import HeldTree, Hold
from luthier.engine.loss import Computed, summed_loss
from luthier.engine.padded import backward_padded
from luthier.engine.parts import Part, in_leaves
from luthier.engine.tree import Tree
from luthier.flow import Tokenized

TOKENS_A_PASS = 1024
"""Distinct tokens of its own that a pass of training takes, unless one row alone is longer (docs/log.md)."""


def backward(
    engine: Engine,
    rows: Sequence[Tokenized],
    divisor: float,
    tokens_a_pass: int = TOKENS_A_PASS,
    hold: Hold | None = None,
) -> Computed:
    """Adds the gradients of the rows' summed loss over `divisor`, and of what a `hold` adds to it, to those of the
    trained parameters."""
    lengths = [len(row.tokens) for row in rows]
    near, far = engine.by_limit(lengths) if hold is None else hold.base.by_limit(engine, lengths)
    computed = []
    if near:
        tree = engine.lay_out([rows[index] for index in near])
        held = None
        if hold is not None:
            held = HeldTree(hold, tree, [rows[index] for index in near], divisor, tokens_a_pass)
        computed.append(backward_over_tree(engine, tree, divisor, tokens_a_pass, held))
    if far:
        computed.append(backward_padded(engine, [rows[index] for index in far], divisor, tokens_a_pass, hold))
    tokens = sum(one.tokens for one in computed)
    return Computed(sum(one.loss for one in computed), tokens, kl=sum(one.kl for one in computed))


def backward_over_tree(
    engine: Engine, tree: Tree, divisor: float, tokens_a_pass: int, held: HeldTree | None = None
) -> Computed:
    """The same for a tree of rows."""
    layout = in_leaves(tree, tokens_a_pass)
    above, above_tokens = engine.root(), np.arange(tree.known)
    trunk_states = None
    if layout.trunk is not None:
        attention = engine.attention(layout.trunk, above, keeps=slice(None))
        trunk_states = engine.states(tree, layout.trunk, attention)
        above, above_tokens = attention.kept, np.concatenate([layout.trunk.given, layout.trunk.own])
    shared = {layer: (collecting(key), collecting(value)) for layer, (key, value) in above.items()}
    losses: list[float] = []
    for part in layout.leaves:
        attention = engine.attention(part, shared, chosen=np.searchsorted(above_tokens, part.given))
        wanted, own = _loss(engine, tree, part, engine.states(tree, part, attention), held)
        (wanted / divisor).backward()
        losses.append(own.item())
    last: list[tuple[Tensor, None]] = []
    if layout.trunk is not None and trunk_states is not None:
        wanted, own = _loss(engine, tree, layout.trunk, trunk_states, held)
        losses.insert(0, own.item())
        last.append((wanted / divisor, None))
    backward_above(above, shared, last)
    loss = 0.0
    for one in losses:
        loss += one
    return Computed(loss, layout.computed_tokens, kl=held.kl if held else 0.0)


def _loss(engine: Engine, tree: Tree, part: Part, states: Tensor, held: HeldTree | None) -> tuple[Tensor, Tensor]:
    """The summed loss of a part's predictions, with what is added to it and without."""
    sources, targets = engine.predictions(tree, part)
    weights = torch.from_numpy(tree.weights[part.predictions]).to(engine.device)
    hidden = states.index_select(0, sources)
    if held is not None:
        return held.loss(hidden, engine.head, targets, weights, part.predictions)
    loss = summed_loss(hidden, engine.head, targets, weights)
    return loss, loss


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
