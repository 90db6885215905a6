"""What a model expects at each trained token of rows, beside the loss: its likeliest token, and how likely some are.

Sizes: P trained tokens of a row, M predictions of a tree, K tokens looked at, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luthier.engine.forward import TOKENS_A_SCORING_PASS, Engine
from luthier.engine.tree import SHARING_PAYS_ONE_WAY
from luthier.flow import Tokenized

if TYPE_CHECKING:
    from luthier.engine.tree import Tree

Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """A model's view of one row: `losses` (P) in nats, `likeliest` (P), and the `log_probabilities` (P, K) of `tokens`
    (P, K)."""

    losses: NDArray[np.float32]
    likeliest: Tokens
    tokens: Tokens
    log_probabilities: NDArray[np.float32]


@torch.no_grad()
def outlooks(
    engine: Engine,
    rows: Sequence[Tokenized],
    kept: int = 0,
    given: Sequence[Tokens] | None = None,
    tokens_a_pass: int = TOKENS_A_SCORING_PASS,
) -> Iterator[tuple[int, Outlook]]:
    """The outlook of each row with its index, as passes finish.

    It looks at the `kept` likeliest tokens of each place, or at those `given`: for each row (P, K) or (P, 0), with the
    same K.
    """
    was_training = engine.tuned.model.training
    engine.tuned.model.eval()
    near, far = engine.by_limit([len(row.tokens) for row in rows])
    try:
        for index in far:
            yield index, _alone(engine, rows[index], kept, None if given is None else given[index])
        if near:
            some = None if given is None else [given[index] for index in near]
            for at, found in _of_tree(engine, [rows[index] for index in near], kept, some, tokens_a_pass):
                yield near[at], found
    finally:
        engine.tuned.model.train(was_training)


def _of_tree(
    engine: Engine, rows: Sequence[Tokenized], kept: int, given: Sequence[Tokens] | None, tokens_a_pass: int
) -> Iterator[tuple[int, Outlook]]:
    tree = engine.lay_out(rows, SHARING_PAYS_ONE_WAY)
    looked_at = _by_prediction(tree, given)
    count, width = len(tree.targets), kept if given is None else looked_at.shape[1]
    whole = Outlook(
        np.zeros(count, np.float32),
        np.zeros(count, np.int64),
        np.zeros((count, width), np.int64),
        np.zeros((count, width), np.float32),
    )
    for walked in engine.walk(tree, tokens_a_pass):
        own = walked.part.predictions
        sources, targets = engine.predictions(tree, walked.part)
        for start in range(0, len(own), engine.head.piece):
            piece = slice(start, start + engine.head.piece)
            logits = engine.head.logits(walked.states.index_select(0, sources[piece]))
            _put(whole, own[piece], _outlook(logits, targets[piece], kept, looked_at[own[piece]] if given else None))
        for index in walked.rows:
            yield index, _of(whole, tree.predictions[index])


def _alone(engine: Engine, row: Tokenized, kept: int, given: Tokens | None) -> Outlook:
    places = np.flatnonzero(row.weights)
    last = len(row.tokens) - int(places[0]) + 1
    logits = engine.logits(row, last)[torch.from_numpy(places - places[0]).to(engine.device)]
    targets = torch.from_numpy(row.tokens[places].astype(np.int64)).to(engine.device)
    return _outlook(logits, targets, kept, given)


def _outlook(logits: Tensor, targets: Tensor, kept: int, given: Tokens | None) -> Outlook:
    """Of logits (P, V) and the tokens that stand there (P)."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = wide.logsumexp(-1, keepdim=True)
    losses = (total - wide.gather(-1, targets[:, None])).squeeze(-1)
    tokens = wide.topk(kept, dim=-1).indices if given is None else torch.from_numpy(given).to(wide.device)
    likely = wide.gather(-1, tokens) - total
    return Outlook(*(part.cpu().numpy() for part in (losses.float(), wide.argmax(-1), tokens, likely.float())))


def _by_prediction(tree: Tree, given: Sequence[Tokens] | None) -> Tokens:
    """What is looked at from each prediction (M, K): rows that share one look at the same."""
    if given is None:
        return np.zeros((len(tree.targets), 0), np.int64)
    placed = np.zeros((len(tree.targets), max(tokens.shape[1] for tokens in given)), np.int64)
    for which, tokens in zip(tree.predictions, given, strict=True):
        if tokens.shape[1]:
            placed[which] = tokens
    return placed


def _put(whole: Outlook, where: Tokens, part: Outlook) -> None:
    whole.losses[where], whole.likeliest[where] = part.losses, part.likeliest
    whole.tokens[where], whole.log_probabilities[where] = part.tokens, part.log_probabilities


def _of(whole: Outlook, which: Tokens) -> Outlook:
    return Outlook(whole.losses[which], whole.likeliest[which], whole.tokens[which], whole.log_probabilities[which])
