"""The scores of rows by a tree: each token once a pass over all of them; and of all labels behind each question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luthier.engine.loss import losses
from luthier.engine.tree import SHARING_PAYS_ONE_WAY
from luthier.flow import Question, RowScore, Tokenized

if TYPE_CHECKING:
    from luthier.engine.forward import Engine

LEAVES = 4096
"""Labels behind questions that are laid out at once: each takes a path of its question's length."""


def scores_of_tree(engine: Engine, rows: Sequence[Tokenized], tokens_a_pass: int) -> Iterator[tuple[int, RowScore]]:
    """The score of each row with its index, as passes finish: rows that begin alike come together."""
    if not rows:
        return
    tree = engine.lay_out(rows, SHARING_PAYS_ONE_WAY)
    loss, right = np.zeros(len(tree.targets)), np.zeros(len(tree.targets), dtype=bool)
    for walked in engine.walk(tree, tokens_a_pass):
        own = walked.part.predictions
        sources, targets = engine.predictions(tree, walked.part)
        part_loss, part_right = losses(walked.states.index_select(0, sources), engine.head, targets)
        loss[own], right[own] = part_loss.double().cpu().numpy(), part_right.cpu().numpy()
        for index in walked.rows:
            which = tree.predictions[index]
            score = float(loss[which] @ tree.shares[index])
            yield index, RowScore(score, len(which), int(right[which].sum()))


def label_log_probabilities(
    engine: Engine, questions: Sequence[Question], labels: Sequence[NDArray[np.int32]]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The log-probability (L, nats, summed over its tokens) of each label behind each question, with its index.

    A question's tokens, and what questions begin with alike, go through the model once; the labels are leaves. `labels`
    holds each one's tokens, the end mark too where that is to count.
    """
    many = len(labels)
    step = max(1, LEAVES // many)
    for start in range(0, len(questions), step):
        asked = questions[start : start + step]
        rows = [_row(question, label) for question in asked for label in labels]
        found = np.zeros((len(asked), many))
        left = [many] * len(asked)
        for index, score in engine.scores(rows):
            at = index // many
            found[at, index % many] = -score.loss
            left[at] -= 1
            if not left[at]:
                yield start + at, found[at]


def _row(question: Question, label: NDArray[np.int32]) -> Tokenized:
    weights = np.concatenate([np.zeros(len(question.tokens)), np.ones(len(label))])
    return Tokenized(np.concatenate([question.tokens, label]), weights.astype(np.float32), question.place)
