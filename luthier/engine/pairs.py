"""The gradients of a step whose loss is of pairs of rows: a better and a worse answer to one prompt, which both share.

As in `step`, each distinct token goes through the model once, over passes as small as memory wants. But what a token
weighs is known only when both rows' log-probabilities are: so both rows of a pair end in the same pass, and what they
have in the trunk gathers its gradient there until all passes are done.

Sizes: P pairs, of the rows 0 and 1, 2 and 3, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luthier.engine.attention import Attention, KeyAndValue
from luthier.engine.forward import Engine
from luthier.engine.hold import HeldTree, Hold
from luthier.engine.loss import Computed, each_loss
from luthier.engine.padded import batches, trained_logits
from luthier.engine.parts import Part, in_leaves
from luthier.engine.step import backward_above, collecting
from luthier.engine.tree import Tree
from luthier.flow import Tokenized

PairLoss = Callable[[Tensor, NDArray[np.int64]], Tensor]
"""From the log-probabilities (K, 2) of K pairs, and which they are (K), to their losses (K)."""


@dataclass(slots=True)
class Pairs:
    """A step over pairs: `rows` (2 P) and the loss of a pair. `found` (P, 2) is filled with their log-probabilities
    (nats, each token's times its weight), `loss` is the sum of the pairs' losses."""

    rows: Sequence[Tokenized]
    loss_of: PairLoss
    found: NDArray[np.float64]
    loss: float = 0.0

    def put(self, log_probabilities: Tensor, which: NDArray[np.int64]) -> Tensor:
        """The summed loss of some pairs, from their log-probabilities (K, 2)."""
        self.found[which] = log_probabilities.detach().double().cpu().numpy()
        summed = self.loss_of(log_probabilities, which).sum()
        self.loss += summed.item()
        return summed


def backward_pairs(
    engine: Engine,
    rows: Sequence[Tokenized],
    loss_of: PairLoss,
    divisor: float,
    tokens_a_pass: int,
    hold: Hold | None = None,
    times: Sequence[float] | None = None,
) -> tuple[Computed, NDArray[np.float64]]:
    """Adds the gradients of the pairs' summed loss over `divisor` to those of the trained parameters; and the
    log-probabilities (P, 2) that the loss was of. A `hold` is added on the tokens of both rows, each pair's so many
    `times` (P)."""
    pairs = Pairs(rows, loss_of, np.full((len(rows) // 2, 2), np.nan))
    lengths = [max(len(better.tokens), len(worse.tokens)) for better, worse in zip(rows[::2], rows[1::2], strict=True)]
    near, far = engine.by_limit(lengths) if hold is None else hold.base.by_limit(engine, lengths)
    each_time = np.ones(len(rows)) if times is None else np.repeat(times, 2)
    tokens, kl = 0, 0.0
    if near:
        which = np.array(near)
        own = [rows[row] for row in _rows_of(which)]
        tree, held = engine.lay_out(own), None
        if hold is not None:
            held = HeldTree(hold, tree, own, divisor, tokens_a_pass, each_time[_rows_of(which)].tolist())
        tokens += _over_tree(engine, pairs, which, tree, divisor, tokens_a_pass, held)
        kl += held.kl if held else 0.0
    for batch in batches(engine, list(chain.from_iterable((lengths[pair],) * 2 for pair in far)), tokens_a_pass, 2):
        which = np.array([far[at // 2] for at in batch[::2]])
        own = [rows[row] for row in _rows_of(which)]
        trained = trained_logits(engine, own)
        wanted = pairs.put(-trained.losses().sum(1).view(-1, 2), which) / divisor
        if hold is not None:
            added = hold.of_padded(trained, own, each_time[_rows_of(which)].tolist())
            wanted, kl = wanted + added.added, kl + added.kl
        wanted.backward()
        tokens += len(own) * max(len(row.tokens) for row in own)
    return Computed(pairs.loss, tokens, kl=kl), pairs.found


def _rows_of(pairs: NDArray[np.int64]) -> list[int]:
    """The rows of some pairs: of 1 and 3 they are 2, 3, 6 and 7."""
    return [row for pair in pairs.tolist() for row in (2 * pair, 2 * pair + 1)]


def _over_tree(
    engine: Engine,
    pairs: Pairs,
    which: NDArray[np.int64],
    tree: Tree,
    divisor: float,
    tokens_a_pass: int,
    held: HeldTree | None,
) -> int:
    """The same for the pairs whose rows a tree holds; gives the tokens that went through the model."""
    layout = in_leaves(tree, tokens_a_pass, pairs=True)
    above, above_tokens = engine.root(), np.arange(tree.known)
    trunk = _Losses.none(engine)
    if layout.trunk is not None:
        attention = engine.attention(layout.trunk, above, keeps=slice(None))
        trunk = _Losses.of(engine, tree, layout.trunk, attention)
        above, above_tokens = attention.kept, np.concatenate([layout.trunk.given, layout.trunk.own])
    shared: Mapping[int, KeyAndValue] = {
        layer: (collecting(key), collecting(value)) for layer, (key, value) in above.items()
    }
    in_trunk = _Losses(collecting(trunk.values), trunk.predictions, trunk.hidden)
    left = np.ones(len(which), dtype=bool)
    ends = np.array([path[-1] for path in tree.paths]).reshape(-1, 2)
    for part in layout.leaves:
        attention = engine.attention(part, shared, chosen=np.searchsorted(above_tokens, part.given))
        losses = _Losses.of(engine, tree, part, attention)
        # One of the two may end in the trunk, where rows of other pairs go on.
        own = np.flatnonzero(left & np.isin(ends, part.own).any(1))
        left[own] = False
        wanted = pairs.put(_sums(tree, own, [in_trunk, losses]), which[own])
        if held is not None:
            wanted = wanted + held.added(losses.hidden, engine.head, losses.predictions)
        (wanted / divisor).backward()
    if left.any():
        own = np.flatnonzero(left)
        (pairs.put(_sums(tree, own, [in_trunk]), which[own]) / divisor).backward()
    last: list[tuple[Tensor, Tensor | None]] = [(trunk.values, in_trunk.values)]
    if held is not None and layout.trunk is not None:
        last.append((held.added(trunk.hidden, engine.head, trunk.predictions) / divisor, None))
    backward_above(above, shared, last)
    return layout.computed_tokens


@dataclass(frozen=True, slots=True)
class _Losses:
    """-log p (M) of some of a tree's predictions (M), and the hidden states (M, C) that they are of."""

    values: Tensor
    predictions: NDArray[np.int64]
    hidden: Tensor

    @classmethod
    def of(cls, engine: Engine, tree: Tree, part: Part, attention: Attention) -> _Losses:
        """Those of a part, with a way back."""
        states = engine.states(tree, part, attention)
        sources, targets = engine.predictions(tree, part)
        hidden = states.index_select(0, sources)
        return cls(each_loss(hidden, engine.head, targets), part.predictions, hidden)

    @classmethod
    def none(cls, engine: Engine) -> _Losses:
        nothing = torch.zeros(0, device=engine.device)
        return cls(nothing, np.zeros(0, dtype=np.int64), nothing)


def _sums(tree: Tree, pairs: NDArray[np.int64], parts: Sequence[_Losses]) -> Tensor:
    """The log-probabilities (K, 2) of some pairs, whose predictions are all in these parts."""
    values = torch.cat([part.values for part in parts])
    place = np.full(len(tree.targets), -1)
    place[np.concatenate([part.predictions for part in parts])] = np.arange(len(values))
    rows = [row for pair in pairs.tolist() for row in (2 * pair, 2 * pair + 1)]
    at = np.concatenate([place[tree.predictions[row]] for row in rows])
    assert at.min(initial=0) >= 0, "a prediction of a pair stands in another pass"
    of_row = np.repeat(np.arange(len(rows)), [len(tree.predictions[row]) for row in rows])
    shares = np.concatenate([tree.shares[row] for row in rows])
    picked = values.index_select(0, torch.from_numpy(at).to(values.device)).double()
    weighed = picked * torch.from_numpy(shares).to(values.device)
    summed = torch.zeros(len(rows), dtype=weighed.dtype, device=weighed.device)
    return -summed.index_add(0, torch.from_numpy(of_row).to(values.device), weighed).view(-1, 2)
