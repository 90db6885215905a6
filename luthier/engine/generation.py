"""Greedy answers to many questions at once, with the keys and values of each question kept.

The questions go through the model as a tree, so a shared beginning is computed once; then each answer grows by one
token a pass. Questions that no tree serves are answered one by one.

How many rows a product has changes its rounding. So that an answer is the same whatever stands in the batch with it, a
choice between two tokens that are nearly as likely is made anew by the question and its answer so far, alone. That
holds for float32; in bfloat16 rounding is too coarse to tell which choices are close.

Sizes: R questions in a batch, T tokens of the longest with its answer, K key heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from luthier.engine.attention import KeyAndValue
from luthier.engine.forward import Engine, Walked
from luthier.engine.out_of_memory import in_smaller_passes
from luthier.engine.padded import grow_padded
from luthier.engine.tree import Chosen, Tree, in_groups
from luthier.flow import Answer, Place, Question, Tokenized

CLOSE: Final = 2e-3
"""Two logits nearer than this in float32 are a close choice. The packaged model's differ by 5e-5, alone or among 24."""


@dataclass(slots=True)
class Growing:
    """Attention of one new token a question to its own past: `kept` (R, K, T, D) a layer, `lengths` (R) in use."""

    kept: dict[int, KeyAndValue]
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
    tokens_a_pass: int | None = None,
) -> Iterator[tuple[int, Answer]]:
    """The greedy answer to each question with its index, as batches finish; at most `limit` tokens, a stop included.

    `decode` turns tokens into text; the stop that ended an answer is not part of it. Where memory runs out, the
    questions left are answered in smaller passes and batches.
    """

    def work(left: Sequence[int], tokens: int) -> Iterator[tuple[int, Answer]]:
        for first, group in in_groups(Chosen(questions, left)):
            for at, answer in _answers(engine, group, decode, frozenset(stops), limit, tokens):
                yield first + at, answer

    model = engine.tuned.model
    was_training = model.training
    model.eval()
    try:
        yield from in_smaller_passes(work, len(questions), tokens_a_pass or engine.tokens_a_scoring_pass)
    finally:
        model.train(was_training)


@torch.no_grad()
def grow(engine: Engine, question: Question, stops: Sequence[int], limit: int) -> Iterator[int]:
    """The tokens of the greedy answer to one question as they come, the stop left out; at most `limit`."""
    for _, token in _tokens(engine, [question], frozenset(stops), limit, engine.tokens_a_scoring_pass):
        if token in stops:
            return
        yield token


def _answers(
    engine: Engine,
    questions: Sequence[Question],
    decode: Callable[[Sequence[int]], str],
    stops: frozenset[int],
    limit: int,
    tokens_a_pass: int,
) -> Iterator[tuple[int, Answer]]:
    said: dict[int, list[int]] = {}
    for index, token in _tokens(engine, questions, stops, limit, tokens_a_pass):
        tokens = said.setdefault(index, [])
        tokens.append(token)
        if token in stops or len(tokens) == limit:
            stopped = token in stops
            yield index, Answer(decode(tokens[:-1] if stopped else tokens), len(tokens), stopped)
            del said[index]


def _tokens(
    engine: Engine, questions: Sequence[Question], stops: frozenset[int], limit: int, tokens_a_pass: int
) -> Iterator[tuple[int, int]]:
    """Each question's index with one token of its answer after another, until its stop or the limit."""
    near, far = engine.by_limit([len(question.tokens) + limit for question in questions])
    for index in far:
        for token in islice(grow_padded(engine, questions[index].tokens), limit):
            yield index, token
            if token in stops:
                break
    if not near:
        return
    asked = [questions[index] for index in near]
    rows = [Tokenized(one.tokens, _last(len(one.tokens)), one.place) for one in asked]
    tree = engine.lay_out(rows, whole=True)
    for walked in engine.walk(tree, tokens_a_pass, keeps_all=True):
        kept_bytes = engine.kept_bytes * tokens_a_pass // engine.tokens_a_scoring_pass
        for batch in _in_memory(engine, tree, walked.rows, limit, kept_bytes):
            for at, token in _steps(engine, tree, walked, batch, asked, stops, limit):
                yield near[at], token


def _last(length: int) -> NDArray[np.float32]:
    weights = np.zeros(length, dtype=np.float32)
    weights[-1] = 1
    return weights


def _in_memory(engine: Engine, tree: Tree, rows: list[int], limit: int, kept_bytes: int) -> Iterator[list[int]]:
    """The rows in batches whose keys and values fit `kept_bytes`."""
    config: Any = engine.tuned.model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = engine.head.weight.dtype.itemsize
    longest = max((len(tree.paths[row]) for row in rows), default=0) + limit
    most = max(1, kept_bytes // (2 * config.num_hidden_layers * heads * width * size * longest))
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def _steps(
    engine: Engine,
    tree: Tree,
    walked: Walked,
    batch: list[int],
    asked: Sequence[Question],
    stops: frozenset[int],
    limit: int,
) -> Iterator[tuple[int, int]]:
    """One token after another for each question of a batch, by index, until its stop or the limit."""
    device = engine.device
    ways = [np.searchsorted(walked.seen, tree.paths[index]) for index in batch]
    ends = torch.tensor([way[-1] - len(walked.part.given) for way in ways], device=device)
    states = walked.states.index_select(0, ends)
    growing = Growing(_spread(walked.kept, ways, limit), torch.tensor([len(way) for way in ways], device=device))
    left, said = list(batch), {index: list(asked[index].tokens) for index in batch}
    for number in range(1, limit + 1):
        tokens = _most_likely(engine, states, [said[index] for index in left])
        for index, token in zip(left, tokens, strict=True):
            said[index].append(token)
        yield from zip(left, tokens, strict=True)
        goes_on = [at for at, token in enumerate(tokens) if token not in stops]
        if number == limit or not goes_on:
            return
        if len(goes_on) < len(left):
            growing.keep(torch.tensor(goes_on, device=device))
            tokens, left = [tokens[at] for at in goes_on], [left[at] for at in goes_on]
        chosen = torch.tensor(tokens, device=device)
        states = engine.hidden(chosen[:, None], growing.lengths[:, None], growing)[:, 0]
        growing.lengths = growing.lengths + 1


def _spread(kept: Mapping[int, KeyAndValue], ways: Sequence[NDArray[np.int64]], limit: int) -> dict[int, KeyAndValue]:
    """From keys and values a seen token (G + N, K, D) to those of each question's own way (R, K, T, D)."""
    longest = max(len(way) for way in ways) + limit
    way = torch.from_numpy(np.stack([np.pad(way, (0, longest - len(way))) for way in ways]))

    def spread(tensor: Tensor) -> Tensor:
        return tensor[way.to(tensor.device)].transpose(1, 2).contiguous()

    return {layer: (spread(key), spread(value)) for layer, (key, value) in kept.items()}


def _most_likely(engine: Engine, states: Tensor, said: Sequence[Sequence[int]]) -> list[int]:
    """The most likely next token after each state (R, C). `said` holds all tokens up to there, for close choices."""
    head, tokens = engine.head, list[int]()
    for part in states.split(head.piece):
        best = head.logits(part).topk(2)
        chosen = best.indices[:, 0].tolist()
        if states.dtype == torch.float32:
            for at in (best.values[:, 0] - best.values[:, 1] < CLOSE).nonzero()[:, 0].tolist():
                chosen[at] = _alone(engine, said[len(tokens) + at])
        tokens += chosen
    return tokens


def _alone(engine: Engine, said: Sequence[int]) -> int:
    """The most likely token after these, by a pass of their own: it depends on nothing else."""
    row = Tokenized(np.array(said, dtype=np.int32), _last(len(said)), Place("", 0))
    return int(engine.logits(row, 1).argmax())
