"""A tuned model as the engine sees it: parts of a tree through its layers, hidden states and scores of rows."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luthier.engine.attention import Attention, KeyAndValue, PartAttention, attending
from luthier.engine.checkpointing import keeping_inputs_only
from luthier.engine.exact import Limit, limit_of
from luthier.engine.loss import Head
from luthier.engine.norms import keeping_inputs, plain_norms
from luthier.engine.out_of_memory import in_smaller_passes
from luthier.engine.padded import logits_padded, scores_padded
from luthier.engine.parts import Part, in_turn
from luthier.engine.ranges import plan
from luthier.engine.scoring import scores_of_tree
from luthier.engine.tree import SHARING_PAYS, Chosen, Tree, in_groups, lay_out, leading
from luthier.flow import Progress, RowScore, Tokenized, Tuned

TOKENS_A_SCORING_PASS = 4096
"""Distinct tokens that go through the model at once without gradients, where nothing is kept for a way back."""
KEPT_BYTES = 512 * 2**20
"""Memory for the keys and values of a batch of answers that grow."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Engine:
    """A tuned model, ready to train and to score.

    `checkpointing` computes each layer again on the way back, instead of keeping what it computed. Without a way back
    `tokens_a_scoring_pass` go through the model at once, and `kept_bytes` are for the keys and values of answers that
    grow. `limit` says which rows go through the model as a tree; the others go through it padded. Where it is not known
    yet, the model is asked.
    """

    tuned: Tuned
    checkpointing: bool = False
    tokens_a_scoring_pass: int = TOKENS_A_SCORING_PASS
    kept_bytes: int = KEPT_BYTES
    known_limit: InitVar[Limit | None] = None
    limit: Limit = field(init=False)
    norms: tuple[torch.nn.Module, ...] = field(init=False, repr=False)

    def __post_init__(self, known_limit: Limit | None) -> None:
        object.__setattr__(self, "norms", plain_norms(self.tuned.model))
        object.__setattr__(self, "limit", known_limit or limit_of(self))

    @property
    def device(self) -> torch.device:
        return next(self.tuned.model.parameters()).device

    @property
    def head(self) -> Head:
        module: Any = self.tuned.model.get_output_embeddings()  # type: ignore[operator]
        return Head(module.weight, getattr(module, "bias", None))

    def by_limit(self, lengths: Sequence[int]) -> tuple[list[int], list[int]]:
        """Rows of these lengths, by index: those that a tree serves exactly, and those that it does not."""
        virtual = self.tuned.root.length if self.tuned.root else 0
        near = [index for index, length in enumerate(lengths) if virtual + length in self.limit]
        return near, sorted(set(range(len(lengths))) - set(near))

    def why_padded(self, longest: int) -> str | None:
        """Why rows, the longest of so many tokens, do not all go through the model as a tree; None where they do."""
        if not self.by_limit([longest])[1]:
            return None
        most = (self.limit.tokens or 0) - (self.tuned.root.length if self.tuned.root else 0)
        which = f"rows of more than {most:,} tokens" if most > 0 else "rows"
        return f"{which} go through the model on plain padded batches, sharing nothing: {self.limit.why}"

    def notes(self, longest: int) -> list[str]:
        """What a user should know before training on rows, the longest of so many tokens: one line each."""
        config = self.tuned.model.config.get_text_config()  # type: ignore[operator, union-attr]
        dropout = getattr(config, "attention_dropout", 0.0) or getattr(config, "attn_pdrop", 0.0)
        lines = [why] if (why := self.why_padded(longest)) else []
        if dropout and self.limit.tokens != 0:
            lines.append(f"the model's own dropout of attention ({dropout:g}) is left out; its other dropout is not")
        return lines

    def lay_out(self, rows: Sequence[Tokenized], sharing_pays: int = SHARING_PAYS, whole: bool = False) -> Tree:
        """The tree of some rows on their root: of the tokens that lead to a prediction, or of the `whole` rows."""
        root, lengths = self.tuned.root, None if whole else [leading(row) for row in rows]
        if root is None:
            return lay_out(rows, sharing_pays, lengths=lengths)
        return lay_out(rows, sharing_pays, root.length, root.keys_and_values is not None, lengths)

    def root(self) -> dict[int, KeyAndValue]:
        """The keys and values that rows stand on, (V, K, D) each, a layer, where they are given as such; else none."""
        root = self.tuned.root
        if root is None or root.keys_and_values is None:
            return {}
        return {
            layer: (key.transpose(0, 1), value.transpose(0, 1))
            for layer, (key, value) in enumerate(root.keys_and_values())
        }

    def attention(
        self,
        part: Part,
        given: Mapping[int, KeyAndValue],
        chosen: NDArray[np.int64] | None = None,
        keeps: NDArray[np.int64] | slice | None = None,
    ) -> PartAttention:
        """Attention within a part of a tree; `given`, `chosen` and `keeps` as there."""
        return PartAttention(
            plan(part, self.device),
            given,
            None if chosen is None else torch.from_numpy(chosen).to(self.device),
            torch.from_numpy(keeps).to(self.device) if isinstance(keeps, np.ndarray) else keeps,
        )

    def states(self, tree: Tree, part: Part, attention: Attention) -> Tensor:
        """The last hidden states (N, C) of a part's own tokens."""
        tokens = torch.from_numpy(tree.tokens[part.own]).to(self.device)[None]
        positions = torch.from_numpy(tree.positions[part.own]).to(self.device)[None]
        return self.hidden(tokens, positions, attention)[0]

    def hidden(self, tokens: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        """The last hidden states (R, N, C) of tokens (R, N) at positions (R, N)."""
        model: Any = self.tuned.model
        with self._ours(), keeping_inputs_only(model, self.checkpointing, again=self._ours):
            output = model.base_model(
                inputs_embeds=self.embedded(tokens),
                position_ids=positions,
                attention_mask=None,
                use_cache=False,
                plan=attention,
            )
        states: Tensor = output.last_hidden_state
        return states

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Within, the model's layers compute attention and norms by the engine's own functions."""
        with attending(self.tuned.model), keeping_inputs(self.norms):
            yield

    def embedded(self, tokens: Tensor) -> Tensor:
        """What tokens (R, N) enter the first layer as, (R, N, C); the virtual ones are those below 0."""
        embedding: Any = self.tuned.model.get_input_embeddings()  # type: ignore[operator]
        root = self.tuned.root
        virtual = tokens < 0
        if root is None or root.embeddings is None or not virtual.any():
            embedded: Tensor = embedding(tokens)
            return embedded
        embedded = embedding(tokens.clamp(min=0))
        return torch.where(virtual[..., None], root.embeddings().to(embedded.dtype)[tokens.clamp(max=-1)], embedded)

    @torch.no_grad()
    def walk(self, tree: Tree, tokens_a_pass: int, keeps_all: bool = False) -> Iterator[Walked]:
        """A tree in turn, each of its tokens once; keys and values stay as long as a later part needs them."""
        parts = in_turn(tree, tokens_a_pass)
        ends = np.array([path[-1] for path in tree.paths])
        rows = np.argsort(ends, kind="stable")
        given = self.root()
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            seen = np.concatenate([part.given, part.own])
            needed = np.searchsorted(seen, following.given if following else seen[:0])
            attention = self.attention(part, given, keeps=slice(None) if keeps_all else needed)
            states = self.states(tree, part, attention)
            first, last = np.searchsorted(ends[rows], [part.own[0], part.own[-1] + 1])
            yield Walked(part, states, rows[first:last].tolist(), seen, attention.kept)
            given = attention.kept
            if keeps_all:
                given = {layer: (key[needed], value[needed]) for layer, (key, value) in given.items()}

    @torch.no_grad()
    def scores(self, rows: Sequence[Tokenized], tokens_a_pass: int | None = None) -> Iterator[tuple[int, RowScore]]:
        """The score of each row with its index, as passes finish; in smaller passes where memory runs out."""

        def work(left: Sequence[int], tokens: int) -> Iterator[tuple[int, RowScore]]:
            for first, group in in_groups(Chosen(rows, left)):
                for at, score in self._scores(group, tokens):
                    yield first + at, score

        was_training = self.tuned.model.training
        self.tuned.model.eval()
        try:
            yield from in_smaller_passes(work, len(rows), tokens_a_pass or self.tokens_a_scoring_pass)
        finally:
            self.tuned.model.train(was_training)

    def _scores(self, rows: Sequence[Tokenized], tokens_a_pass: int) -> Iterator[tuple[int, RowScore]]:
        near, far = self.by_limit([len(row.tokens) for row in rows])
        for at, score in scores_padded(self, [rows[index] for index in far], tokens_a_pass):
            yield far[at], score
        for at, score in scores_of_tree(self, [rows[index] for index in near], tokens_a_pass):
            yield near[at], score

    @torch.no_grad()
    def logits(self, row: Tokenized, last: int) -> Tensor:
        """The logits at the last places of a row, (last, V)."""
        near, _ = self.by_limit([len(row.tokens)])
        if not near:
            return logits_padded(self, row, last)
        tree = self.lay_out([row], whole=True)
        *_, walked = self.walk(tree, len(tree.tokens))
        return self.head.logits(walked.states[-last:])

    def predictions(self, tree: Tree, part: Part) -> tuple[Tensor, Tensor]:
        """Where in a part's own tokens its predictions have their sources (M), and their targets (M)."""
        sources = np.searchsorted(part.own, tree.sources[part.predictions])
        targets = tree.targets[part.predictions]
        return torch.from_numpy(sources).to(self.device), torch.from_numpy(targets).to(self.device)


@dataclass(frozen=True, slots=True)
class Walked:
    """A part that has gone through the model: its `states` (N, C), the `rows` that end in it, and of the `seen` tokens
    (G + N, given ones first) the keys and values that were `kept`."""

    part: Part
    states: Tensor
    rows: list[int]
    seen: NDArray[np.int64]
    kept: Mapping[int, KeyAndValue]


def in_order(found: Iterable[tuple[int, Result]], what: str, total: int) -> Generator[Progress, None, list[Result]]:
    """What comes by index as passes finish, put in the order of the rows, with a `Progress` for each.

    For (1, "b"), (0, "a") it gives ["a", "b"].
    """
    results: dict[int, Result] = {}
    for index, result in found:
        results[index] = result
        yield Progress(what, len(results), total)
    return [results[index] for index in range(total)]
