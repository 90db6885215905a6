"""A tree through the model: hidden states of its distinct tokens, the training loss, the rows' scores."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from luthier.engine.attention import NAME, Attention, KeyAndValue, TreeAttention, plan
from luthier.engine.loss import Head, losses, summed_loss
from luthier.engine.tree import SHARING_PAYS, Tree, common_length, lay_out, on_virtual_tokens
from luthier.flow import Progress, RowScore, Tokenized, Tuned

TOKENS_A_PASS = 1024
"""Distinct tokens that go through the model at once in training, unless one row alone is longer (docs/log.md)."""
TOKENS_A_SCORING_PASS = 4096
"""The same without gradients, where nothing is kept for a way back."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Engine:
    """A tuned model, ready to train and to score."""

    tuned: Tuned

    @property
    def device(self) -> torch.device:
        return next(self.tuned.model.parameters()).device

    @property
    def head(self) -> Head:
        module: Any = self.tuned.model.get_output_embeddings()  # type: ignore[operator]
        return Head(module.weight, getattr(module, "bias", None))

    def lay_out(self, rows: Sequence[Tokenized], sharing_pays: int = SHARING_PAYS) -> Tree:
        """The tree of some rows on their root: a soft prompt is a beginning that all of them share."""
        root = self.tuned.root
        return lay_out(on_virtual_tokens(rows, root.length) if root and root.embeddings else rows, sharing_pays)

    def attention(self, tree: Tree) -> TreeAttention:
        """Attention over a tree, and to the keys and values that its root is given as."""
        given = self.given()
        return TreeAttention(plan(tree, self.device, len(given[0][0]) if given else 0), given)

    def given(self) -> list[KeyAndValue]:
        """The root's keys and values for each layer, (G, K, D) each, where it is given as such."""
        root = self.tuned.root
        if root is None or root.keys_and_values is None:
            return []
        return [(key.transpose(0, 1), value.transpose(0, 1)) for key, value in root.keys_and_values()]

    def hidden(self, tokens: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        """The last hidden states (R, N, C) of tokens (R, N) at positions (R, N), attention being a plan."""
        model: Any = self.tuned.model
        config = model.config
        before = config._attn_implementation
        config._attn_implementation = NAME
        try:
            output = model.base_model(
                inputs_embeds=self._embedded(tokens),
                position_ids=positions,
                attention_mask=None,
                use_cache=False,
                plan=attention,
            )
        finally:
            config._attn_implementation = before
        states: Tensor = output.last_hidden_state
        return states

    def _embedded(self, tokens: Tensor) -> Tensor:
        """What tokens (R, N) enter the first layer as, (R, N, C); the virtual ones are those below 0."""
        embedding: Any = self.tuned.model.get_input_embeddings()  # type: ignore[operator]
        root = self.tuned.root
        if root is None or root.embeddings is None:
            embedded: Tensor = embedding(tokens)
            return embedded
        embedded = embedding(tokens.clamp(min=0))
        virtual = root.embeddings().to(embedded.dtype)[tokens.clamp(max=-1)]
        return torch.where((tokens < 0)[..., None], virtual, embedded)

    def states(self, tree: Tree, attention: Attention | None = None) -> Tensor:
        """The last hidden states (N, C) of a tree's tokens."""
        root = self.tuned.root
        before = root.length if root and root.keys_and_values else 0
        tokens = torch.from_numpy(tree.tokens).to(self.device)[None]
        positions = torch.from_numpy(tree.positions + before).to(self.device)[None]
        return self.hidden(tokens, positions, attention or self.attention(tree))[0]

    def loss(self, tree: Tree) -> Tensor:
        """The loss of a tree, summed over the rows' trained tokens (nats), with a gradient."""
        states = self.states(tree).index_select(0, torch.from_numpy(tree.sources).to(self.device))
        targets = torch.from_numpy(tree.targets).to(self.device)
        return summed_loss(states, self.head, targets, torch.from_numpy(tree.weights).to(self.device))

    @torch.no_grad()
    def scores(
        self, rows: Sequence[Tokenized], tokens_a_pass: int = TOKENS_A_SCORING_PASS
    ) -> Iterator[tuple[int, RowScore]]:
        """The score of each row with its index, as passes finish: rows that begin alike go together."""
        was_training = self.tuned.model.training
        self.tuned.model.eval()
        try:
            for part in passes(rows, tokens_a_pass):
                tree = self.lay_out([rows[index] for index in part])
                states = self.states(tree).index_select(0, torch.from_numpy(tree.sources).to(self.device))
                loss, right = losses(states, self.head, torch.from_numpy(tree.targets).to(self.device))
                loss_of, right_of = loss.double().cpu().numpy(), right.cpu().numpy()
                for index, own, share in zip(part, tree.predictions, tree.shares, strict=True):
                    yield index, RowScore(float(loss_of[own] @ share), len(own), int(right_of[own].sum()))
        finally:
            self.tuned.model.train(was_training)


def passes(rows: Sequence[Tokenized], tokens_a_pass: int = TOKENS_A_PASS) -> list[list[int]]:
    """Rows in passes of at most `tokens_a_pass` distinct tokens (more only where one row alone is longer).

    Rows are taken in the order of their tokens, so that those which begin alike stand together. A function of the rows
    and the limit alone, so that a resumed run makes the same passes.
    """
    order = sorted(range(len(rows)), key=lambda index: rows[index].tokens.tolist())
    parts: list[list[int]] = []
    size = 0
    for index in order:
        tokens = rows[index].tokens
        shared = common_length(rows[parts[-1][-1]].tokens, tokens) if parts else 0
        if not parts or size + len(tokens) - shared > tokens_a_pass:
            parts.append([])
            size, shared = 0, 0
        parts[-1].append(index)
        size += len(tokens) - shared
    return parts


def in_order(found: Iterable[tuple[int, Result]], what: str, total: int) -> Generator[Progress, None, list[Result]]:
    """What comes by index as passes finish, put in the order of the rows, with a `Progress` for each.

    For (1, "b"), (0, "a") it gives ["a", "b"].
    """
    results: dict[int, Result] = {}
    for index, result in found:
        results[index] = result
        yield Progress(what, len(results), total)
    return [results[index] for index in range(total)]
