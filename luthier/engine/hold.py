"""Holds a model near base, the model before tuning: a term of the loss that grows as the two expect other next tokens.

    KL = sum over v of p0(v) (log p0(v) - log p(v))     nats a trained token; p0 is base's distribution, p the model's

In this direction every token that base expects must stay expected: what is forgotten costs, what is learned beside it
does not. It is the loss by which one network learns what another says (Hinton et al., Distilling the Knowledge in a
Neural Network, 2015), and as a hold on what was known before that of Li and Hoiem, Learning without Forgetting (2016),
section 3. The other direction, that of reinforcement learning from preferences (Ziegler et al. 2019), holds only where
the tuned model still goes, and is measured on answers of its own.

Its gradient with respect to the logits is p - p0, so with a weight of k a token that the rows call for with certainty
and base never expects is learned up to a probability of 1 / (1 + k).

Base goes through a step's rows in a tree of its own, each distinct token once, without a way back.

Sizes: M predictions, C width, V vocabulary, R rows, P places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import kl_div

from luthier.engine.divergence import each_distance, held_loss
from luthier.engine.forward import Engine
from luthier.engine.loss import Head
from luthier.engine.out_of_memory import in_smaller_passes
from luthier.engine.padded import Trained, batches, trained_logits
from luthier.engine.tree import SHARING_PAYS, SHARING_PAYS_ONE_WAY, Chosen, Tree, in_groups
from luthier.flow import Base, Tokenized


@dataclass(frozen=True, slots=True)
class BaseEngine:
    """Base, asked while another model is made of it."""

    base: Base
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        with self.base.within():
            object.__setattr__(self, "engine", Engine(self.base.tuned))

    @contextmanager
    def asked(self) -> Iterator[Engine]:
        """Within, its engine computes what base does: without a way back, without dropout, without the adapter."""
        model = self.engine.tuned.model
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad(), self.base.within():
                yield self.engine
        finally:
            model.train(was_training)

    def by_limit(self, engine: Engine, lengths: Sequence[int]) -> tuple[list[int], list[int]]:
        """Rows of these lengths, by index: those that a tree serves exactly in both models, and those that not."""
        near = sorted({*engine.by_limit(lengths)[0]} & {*self.engine.by_limit(lengths)[0]})
        return near, sorted(set(range(len(lengths))) - set(near))


@dataclass(frozen=True, slots=True)
class Hold:
    """What is added to a step's loss: `weight` times the KL, summed over trained tokens and divided by `divisor`, the
    trained tokens of the whole step, in all passes and processes. A token counts as it does in the loss."""

    base: BaseEngine
    weight: float
    divisor: float

    def of_padded(self, trained: Trained, rows: Sequence[Tokenized], times: Sequence[float] | None = None) -> Held:
        """For rows on a plain padded batch, each counted so many `times`."""
        apart = padded_distances(self.base, trained, rows)
        summed = (apart if times is None else apart * apart.new_tensor(times)).sum()
        return Held(self.weight / self.divisor * summed, summed.item())


@dataclass(frozen=True, slots=True)
class Held:
    """What is added for some rows, a scalar with a way back, and their summed KL."""

    added: Tensor
    kl: float


class HeldTree:
    """A hold on the rows of a tree, each counted so many `times`. `kl` is their summed KL, once all parts are through.

    Base's own tree differs from the model's only in what rows stand on, so both have the same predictions in the same
    order. Base goes through it as its states are asked for.
    """

    def __init__(
        self,
        hold: Hold,
        tree: Tree,
        rows: Sequence[Tokenized],
        divisor: float,
        tokens_a_pass: int,
        times: Sequence[float] | None = None,
    ) -> None:
        self.expected = Expected(hold.base, rows, tokens_a_pass)
        self.shares = tree.weights if times is None else shares(tree, times)
        self.pull = hold.weight * divisor / hold.divisor
        self.kl = 0.0

    def loss(
        self, hidden: Tensor, head: Head, targets: Tensor, weights: Tensor, predictions: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """`loss.summed_loss` with what is added, and without it; both are yet to be divided by `divisor`."""
        shares = torch.from_numpy(self.shares[predictions]).to(hidden.device)
        expected = self.expected.at(predictions)
        total, loss, apart = held_loss(hidden, head, targets, weights, expected, self.expected.head, self.pull * shares)
        self.kl += float((apart * shares).sum())
        return total, loss

    def added(self, hidden: Tensor, head: Head, predictions: NDArray[np.int64]) -> Tensor:
        """What is added alone."""
        nothing = torch.zeros(len(predictions), device=hidden.device)
        return self.loss(hidden, head, nothing.long(), nothing, predictions)[0]


class Expected:
    """Base's last hidden states at the predictions of a tree of rows, made as they are asked for.

    They stay no longer than until then: at once there are those of one pass, and those that the trunk asks for last.
    """

    def __init__(self, base: BaseEngine, rows: Sequence[Tokenized], tokens_a_pass: int, pays: int = SHARING_PAYS):
        self.base, self.head = base, base.engine.head
        self.tree = base.engine.lay_out(rows, pays)
        self.walk = base.engine.walk(self.tree, tokens_a_pass)
        self.done = 0
        self.numbers: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.states = self.head.weight.new_zeros(0, self.head.weight.shape[1])

    def at(self, predictions: NDArray[np.int64]) -> Tensor:
        """The states (m, C) of some predictions (m), in increasing order; each may be asked for once."""
        while len(predictions) and self.done <= predictions[-1]:
            with self.base.asked() as engine:
                walked = next(self.walk)
                sources, _ = engine.predictions(self.tree, walked.part)
                self.states = torch.cat([self.states, walked.states.index_select(0, sources)])
            self.numbers = np.concatenate([self.numbers, walked.part.predictions])
            self.done += len(walked.part.predictions)
        wanted = np.isin(self.numbers, predictions, assume_unique=True)
        found, left = (
            self.states.index_select(0, torch.from_numpy(np.flatnonzero(which)).to(self.states.device))
            for which in (wanted, ~wanted)
        )
        self.numbers, self.states = self.numbers[~wanted], left
        assert len(found) == len(predictions), "base's tree is not the model's"
        return found


def shares(tree: Tree, times: Sequence[float]) -> NDArray[np.float32]:
    """How much each prediction (M) counts where each row counts so many `times`."""
    every = np.concatenate([share * count for share, count in zip(tree.shares, times, strict=True)])
    counted = np.bincount(np.concatenate(tree.predictions), weights=every, minlength=len(tree.targets))
    return counted.astype(np.float32)


def padded_distances(base: BaseEngine, trained: Trained, rows: Sequence[Tokenized]) -> Tensor:
    """The KL of each row (R) on a plain padded batch, summed over its trained tokens, each times its weight."""
    with base.asked() as engine:
        expected = trained_logits(engine, rows).logits
    likely = trained.logits.log_softmax(-1)
    apart = kl_div(likely, expected.to(likely.dtype).log_softmax(-1), reduction="none", log_target=True)
    return (apart.sum(-1) * trained.share).sum(-1)


def distances(engine: Engine, base: BaseEngine, rows: Sequence[Tokenized]) -> Iterator[tuple[int, float]]:
    """The KL of each row with its index, as passes finish: summed over its trained tokens, each times its weight."""

    def work(left: Sequence[int], tokens: int) -> Iterator[tuple[int, float]]:
        for first, group in in_groups(Chosen(rows, left)):
            for at, apart in _distances(engine, base, group, tokens):
                yield first + at, apart

    was_training = engine.tuned.model.training
    engine.tuned.model.eval()
    try:
        yield from in_smaller_passes(work, len(rows), engine.tokens_a_scoring_pass)
    finally:
        engine.tuned.model.train(was_training)


@torch.no_grad()
def _distances(
    engine: Engine, base: BaseEngine, rows: Sequence[Tokenized], tokens_a_pass: int
) -> Iterator[tuple[int, float]]:
    near, far = base.by_limit(engine, [len(row.tokens) for row in rows])
    for batch in batches(engine, [len(rows[index].tokens) for index in far], tokens_a_pass):
        numbers = [far[index] for index in batch]
        own = [rows[index] for index in numbers]
        yield from zip(numbers, padded_distances(base, trained_logits(engine, own), own).tolist(), strict=True)
    if not near:
        return
    own = [rows[index] for index in near]
    tree = engine.lay_out(own, SHARING_PAYS_ONE_WAY)
    expected = Expected(base, own, tokens_a_pass, SHARING_PAYS_ONE_WAY)
    found = np.zeros(len(tree.targets))
    for walked in engine.walk(tree, tokens_a_pass):
        which = walked.part.predictions
        sources, _ = engine.predictions(tree, walked.part)
        hidden = walked.states.index_select(0, sources)
        apart = each_distance(hidden, engine.head, expected.at(which), expected.head)
        found[which] = apart.double().cpu().numpy()
        for index in walked.rows:
            yield near[index], float(found[tree.predictions[index]] @ tree.shares[index])
