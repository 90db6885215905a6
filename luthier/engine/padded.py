"""Rows through the model's own forward pass, on plain padded batches: the way for models and rows that no tree serves.

Padding stands behind a row, where nothing of the row looks at it. Logits are the model's own, scaled or capped as it
does. A soft prompt stands before the rows as embeddings, a prefix as keys and values in the model's own cache.

Sizes: R rows of a batch, T tokens of the longest with a soft prompt's, P places whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from luthier.engine.checkpointing import keeping_inputs_only
from luthier.engine.loss import Computed
from luthier.flow import RowScore, Tokenized

if TYPE_CHECKING:
    from luthier.engine.forward import Engine
    from luthier.engine.hold import Hold

LOGITS_BYTES = 512 * 2**20
"""Memory for the logits of one batch in float32; a row alone may take more."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a batch of rows says at the places where some row is trained: `logits` (R, P, V) in float32 at least, the
    tokens that stand there in each row, `targets` (R, P), and with which weight they are trained, `share` (R, P)."""

    logits: Tensor
    targets: Tensor
    share: Tensor

    def losses(self) -> Tensor:
        """The weighed loss of each trained token (R, P), 0 for others."""
        losses = cross_entropy(self.logits.flatten(0, 1), self.targets.flatten(), reduction="none")
        return losses.view_as(self.targets) * self.share


def backward_padded(
    engine: Engine, rows: Sequence[Tokenized], divisor: float, tokens_a_pass: int, hold: Hold | None = None
) -> Computed:
    """Adds the gradients of the rows' summed loss over `divisor`, and of what a `hold` adds to it, to those of the
    trained parameters."""
    loss, tokens, kl = 0.0, 0, 0.0
    for batch in batches(engine, [len(row.tokens) for row in rows], tokens_a_pass):
        own = [rows[index] for index in batch]
        trained = trained_logits(engine, own)
        summed = trained.losses().sum()
        wanted = summed / divisor
        if hold is not None:
            held = hold.of_padded(trained, own)
            wanted, kl = wanted + held.added, kl + held.kl
        wanted.backward()
        loss += summed.item()
        tokens += len(batch) * max(len(row.tokens) for row in own)
    return Computed(loss, tokens, kl=kl)


@torch.no_grad()
def scores_padded(engine: Engine, rows: Sequence[Tokenized], tokens_a_pass: int) -> Iterator[tuple[int, RowScore]]:
    """The score of each row with its index, as batches finish."""
    for batch in batches(engine, [len(row.tokens) for row in rows], tokens_a_pass):
        losses, right = losses_padded(engine, [rows[index] for index in batch])
        for index, loss, correct in zip(batch, losses.sum(1).tolist(), right.sum(1).tolist(), strict=True):
            yield index, RowScore(loss, rows[index].trained_tokens, correct)


@torch.no_grad()
def logits_padded(engine: Engine, row: Tokenized, last: int) -> Tensor:
    """The logits at the last places of a row, (last, V)."""
    length = len(row.tokens)
    logits, _ = _own_forward(engine, _tokens(engine, [row.tokens]), np.arange(length - last, length) - length)
    return logits[0]


@torch.no_grad()
def grow_padded(engine: Engine, tokens: NDArray[np.int32]) -> Iterator[int]:
    """The greedy answer to one question, token after token, without an end."""
    whole = _tokens(engine, [tokens])
    logits, cache = _own_forward(engine, whole, np.array([-1]), keeps=True)
    while True:
        chosen = logits[:, -1].argmax(-1, keepdim=True)
        yield int(chosen)
        whole = torch.cat([whole, chosen], 1)
        # A model without such a cache, of linear attention alone, reads everything again.
        logits, cache = _own_forward(engine, chosen if cache else whole, np.array([-1]), keeps=True, cache=cache)


def batches(engine: Engine, lengths: Sequence[int], tokens_a_pass: int, together: int = 1) -> Iterator[list[int]]:
    """Rows of like length together, by index; padded they hold at most `tokens_a_pass` tokens, or are one row.

    Lengths 5, 9, 4 and 10 tokens a pass make 4 and 5 one batch, 9 another. Of `together` rows that follow each other
    all stand in the same batch, which may be no more than they.
    """
    most = min(tokens_a_pass, LOGITS_BYTES // (4 * engine.head.weight.shape[0]))
    firsts = range(0, len(lengths), together)
    batch: list[int] = []
    for longest, first in sorted((max(lengths[first : first + together]), first) for first in firsts):
        if batch and (len(batch) + together) * longest > most:
            yield batch
            batch = []
        batch += range(first, first + together)
    if batch:
        yield batch


def losses_padded(engine: Engine, rows: Sequence[Tokenized]) -> tuple[Tensor, Tensor]:
    """The weighted loss of each trained token (R, P), 0 for others, and whether it is the most likely one (R, P)."""
    trained = trained_logits(engine, rows)
    return trained.losses(), (trained.logits.argmax(-1) == trained.targets) & (trained.share != 0)


def trained_logits(engine: Engine, rows: Sequence[Tokenized]) -> Trained:
    """What the model says where rows are trained."""
    longest = max(len(row.tokens) for row in rows)
    weights = np.stack([np.pad(row.weights, (0, longest - len(row.weights))) for row in rows])
    places = np.flatnonzero(weights.any(0))
    tokens = _tokens(engine, [row.tokens for row in rows])
    logits, _ = _own_forward(engine, tokens, places - 1 - longest)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = tokens[:, tokens.shape[1] - longest :][:, torch.from_numpy(places).to(engine.device)]
    return Trained(logits, targets, torch.from_numpy(weights[:, places]).to(engine.device))


def _tokens(engine: Engine, rows: Sequence[NDArray[np.int32]]) -> Tensor:
    """The rows' tokens (R, T) behind the virtual ones of a soft prompt, padded with token 0 behind them."""
    longest = max(len(row) for row in rows)
    tokens = np.stack([np.pad(row.astype(np.int64), (0, longest - len(row))) for row in rows])
    root = engine.tuned.root
    if root and root.embeddings:
        virtual = np.broadcast_to(np.arange(-root.length, 0), (len(rows), root.length))
        tokens = np.concatenate([virtual, tokens], axis=1)
    return torch.from_numpy(tokens).to(engine.device)


def _own_forward(
    engine: Engine, tokens: Tensor, places: NDArray[np.int64], keeps: bool = False, cache: Any = None
) -> tuple[Tensor, Any]:
    """The model's own logits (R, P, V) at some places, counted from the end (-1 is the last), and its cache.

    `keeps` asks for a cache, `cache` is one to go on from.
    """
    model: Any = engine.tuned.model
    root = engine.tuned.root
    if cache is None and root and root.keys_and_values:
        cache = _prefix(engine, len(tokens))
    given: dict[str, Any] = {"input_ids": tokens}
    if root and root.embeddings:
        given = {"inputs_embeds": engine.embedded(tokens)}
    if cache is not None:
        given["past_key_values"] = cache
    wanted = torch.from_numpy(places + tokens.shape[1]).to(engine.device)
    chooses = "logits_to_keep" in inspect.signature(model.forward).parameters
    if chooses:
        given["logits_to_keep"] = wanted
    # A checkpointed layer would drop the cache.
    with keeping_inputs_only(model, engine.checkpointing and cache is None):
        output = model(**given, use_cache=keeps or cache is not None)
    logits = output.logits if chooses else output.logits[:, wanted]
    return logits, getattr(output, "past_key_values", None) if keeps else None


def _prefix(engine: Engine, rows: int) -> Any:
    """The model's own cache with the root's keys and values in it, for so many rows."""
    from transformers import DynamicCache

    root, model = engine.tuned.root, engine.tuned.model
    assert root is not None
    assert root.keys_and_values is not None
    kind: Any = model.dtype
    cache = DynamicCache()
    for layer, pair in enumerate(root.keys_and_values()):
        key, value = (part.to(kind)[None].expand(rows, -1, -1, -1) for part in pair)
        cache.update(key, value, layer)
    return cache
