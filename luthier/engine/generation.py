"""Greedy answers to many questions at once, with the keys and values of each question kept.

The questions go through the model as a tree, so a shared beginning is computed once; then each answer grows by one
token a pass.

Sizes: R questions in a batch, T tokens of the longest with its answer, K key heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from luthier.engine.attention import TreeAttention
from luthier.engine.forward import TOKENS_A_SCORING_PASS, Engine, passes
from luthier.flow import Answer, Question, Tokenized

KEPT_BYTES = 512 * 2**20
"""Memory for the keys and values of one batch."""


@dataclass(slots=True)
class Keeping:
    """A tree's attention that keeps each layer's keys and values as it goes, given ones too, (G + N, K, D) each."""

    attention: TreeAttention
    kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, layer: int) -> Tensor:
        self.kept[layer] = self.attention.all_keys_and_values(key, value, layer)
        return self.attention.attend(query, key, value, scale, layer)


@dataclass(slots=True)
class Growing:
    """Attention of one new token a question to its own past: `kept` (R, K, T, D) a layer, `lengths` (R) in use."""

    kept: dict[int, tuple[Tensor, Tensor]]
    lengths: Tensor

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, layer: int) -> Tensor:
        keys, values = self.kept[layer]
        rows = torch.arange(len(self.lengths), device=query.device)
        keys[rows, :, self.lengths] = key[:, :, 0]
        values[rows, :, self.lengths] = value[:, :, 0]
        seen = torch.arange(keys.shape[2], device=query.device) <= self.lengths[:, None]
        output = scaled_dot_product_attention(
            query, keys, values, attn_mask=seen[:, None, None, :], scale=scale, enable_gqa=True
        )
        return output.transpose(1, 2)

    def keep(self, rows: Tensor) -> None:
        """Goes on with these rows only."""
        self.lengths = self.lengths[rows]
        self.kept = {layer: (keys[rows], values[rows]) for layer, (keys, values) in self.kept.items()}


@torch.no_grad()
def answers(
    engine: Engine,
    questions: Sequence[Question],
    decode: Callable[[Sequence[int]], str],
    stops: Sequence[int],
    limit: int,
    tokens_a_pass: int = TOKENS_A_SCORING_PASS,
) -> Iterator[tuple[int, Answer]]:
    """The greedy answer to each question with its index, as batches finish; at most `limit` tokens, a stop included.

    `decode` turns tokens into text; the stop that ended an answer is not part of it.
    """
    model = engine.tuned.model
    was_training = model.training
    model.eval()
    try:
        rows = [Tokenized(question.tokens, _last(len(question.tokens)), question.place) for question in questions]
        for part in passes(rows, tokens_a_pass):
            for batch in _in_memory(engine, [rows[index] for index in part], part, limit):
                for index, tokens in _grow(engine, rows, batch, frozenset(stops), limit):
                    stopped = bool(tokens) and tokens[-1] in stops
                    yield index, Answer(decode(tokens[:-1] if stopped else tokens), len(tokens), stopped)
    finally:
        model.train(was_training)


@torch.no_grad()
def grow(engine: Engine, question: Question, stops: Sequence[int], limit: int) -> Iterator[int]:
    """The tokens of the greedy answer to one question as they come, the stop left out; at most `limit`."""
    row = Tokenized(question.tokens, _last(len(question.tokens)), question.place)
    for _, token in _steps(engine, [row], [0], frozenset(stops), limit):
        if token in stops:
            return
        yield token


def _last(length: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    weights = np.zeros(length, dtype=np.float32)
    weights[-1] = 1
    return weights


def _in_memory(engine: Engine, rows: Sequence[Tokenized], part: list[int], limit: int) -> Iterator[list[int]]:
    """A pass in batches whose keys and values fit `KEPT_BYTES`."""
    config: Any = engine.tuned.model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = engine.head.weight.dtype.itemsize
    longest = max(len(row.tokens) for row in rows) + limit
    most = max(1, KEPT_BYTES // (2 * config.num_hidden_layers * heads * width * size * longest))
    for start in range(0, len(part), most):
        yield part[start : start + most]


def _grow(
    engine: Engine, rows: Sequence[Tokenized], batch: list[int], stops: frozenset[int], limit: int
) -> Iterator[tuple[int, list[int]]]:
    """Each question of a batch, by index, with its answer's tokens, as they end."""
    said: dict[int, list[int]] = {index: [] for index in batch}
    for index, token in _steps(engine, rows, batch, stops, limit):
        said[index].append(token)
        if token in stops or len(said[index]) == limit:
            yield index, said[index]


def _steps(
    engine: Engine, rows: Sequence[Tokenized], batch: list[int], stops: frozenset[int], limit: int
) -> Iterator[tuple[int, int]]:
    """One token after another for each question of a batch, by index, until its stop or the limit."""
    device = engine.device
    tree = engine.lay_out([rows[index] for index in batch])
    keeping = Keeping(engine.attention(tree))
    states = engine.states(tree, keeping)
    ends = torch.tensor([int(path[-1]) for path in tree.paths], device=device)
    chosen = _most_likely(engine, states.index_select(0, ends))
    given = keeping.attention.plan.given
    ways = [np.concatenate([np.arange(given), given + path]) for path in tree.paths]
    growing = Growing(_spread(keeping.kept, ways, limit), torch.tensor([len(way) for way in ways], device=device))
    left = list(batch)
    for number in range(1, limit + 1):
        tokens = chosen.tolist()
        yield from zip(left, tokens, strict=True)
        goes_on = [at for at, token in enumerate(tokens) if token not in stops]
        if number == limit or not goes_on:
            return
        if len(goes_on) < len(left):
            kept_rows = torch.tensor(goes_on, device=device)
            growing.keep(kept_rows)
            chosen, left = chosen[kept_rows], [left[at] for at in goes_on]
        states = engine.hidden(chosen[:, None], growing.lengths[:, None], growing)[:, 0]
        growing.lengths = growing.lengths + 1
        chosen = _most_likely(engine, states)


def _spread(
    kept: dict[int, tuple[Tensor, Tensor]], ways: Sequence[np.ndarray[tuple[int], np.dtype[np.int64]]], limit: int
) -> dict[int, tuple[Tensor, Tensor]]:
    """From keys and values a distinct token (G + N, K, D) to those of each question's own way (R, K, T, D)."""
    longest = max(len(way) for way in ways) + limit
    way = torch.from_numpy(np.stack([np.pad(way, (0, longest - len(way))) for way in ways]))

    def spread(tensor: Tensor) -> Tensor:
        return tensor[way.to(tensor.device)].transpose(1, 2).contiguous()

    return {layer: (spread(key), spread(value)) for layer, (key, value) in kept.items()}


def _most_likely(engine: Engine, states: Tensor) -> Tensor:
    """The most likely next token after each state (R, C) -> (R)."""
    head = engine.head
    return torch.cat([head.logits(part).argmax(-1) for part in states.split(head.piece)])
