"""The scores of rows by a tree: each token once a pass over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from luthier.engine.loss import losses
from luthier.flow import RowScore, Tokenized

if TYPE_CHECKING:
    from luthier.engine.forward import Engine


def scores_of_tree(engine: Engine, rows: Sequence[Tokenized], tokens_a_pass: int) -> Iterator[tuple[int, RowScore]]:
    """The score of each row with its index, as passes finish: rows that begin alike come together."""
    if not rows:
        return
    tree = engine.lay_out(rows)
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
