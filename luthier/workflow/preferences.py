"""What a run made of preference rows: how much more their better answers gained over base than their worse ones."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from luthier.data.prepared import Recipe, rows_of
from luthier.data.render import TrainOn
from luthier.engine.forward import Engine, in_order
from luthier.engine.objectives.preference import PairsOf, RowsOf, margins
from luthier.flow import Conversation, Event, RowScore
from luthier.workflow.once import once, rows_asked
from luthier.workflow.opened_run import Opened


@dataclass(frozen=True, slots=True)
class Preferences:
    """The pairs of answers among `total` rows, and the rows (P) that they are of."""

    pairs: PairsOf
    rows: Sequence[int]
    total: int
    beta: float

    def scores(self, engine: Engine, name: str) -> Generator[Event, None, list[RowScore]]:
        """Those of both answers of each pair, one after the other (2 P)."""
        flat = RowsOf(self.pairs, range(len(self.pairs)), 2)
        return (yield from in_order(engine.scores(flat), f"scoring preferences {name}", len(flat)))

    def scores_once(self, base: Engine) -> Generator[Event, None, list[RowScore]]:
        """Base's, which are the same for every run that is judged on these pairs."""
        flat = RowsOf(self.pairs, range(len(self.pairs)), 2)
        return once(base, "base's scores of pairs", rows_asked(flat), RowScore, lambda: self.scores(base, "base"))

    def margins(self, tuned: Sequence[RowScore], base: Sequence[RowScore]) -> list[float | None]:
        """The margin of each row in nats; None where it has no worse answer."""
        reference = -np.array([score.loss for score in base]).reshape(-1, 2)
        spread: list[float | None] = [None] * self.total
        for row, margin in zip(self.rows, margins(tuned, reference, self.beta).tolist(), strict=True):
            spread[row] = margin
        return spread


def preferences(conversations: Sequence[Conversation], opened: Opened) -> Preferences | None:
    """The pairs of these rows, under the run's template; None where no row has a worse answer."""
    with_worse = [number for number, row in enumerate(conversations) if row.rejected]
    settings = opened.settings
    train_on: TrainOn = "last_answer" if settings.data.train_on == "last_answer" else "answers"
    recipe = Recipe(opened.template, opened.tokenizer, train_on, opened.stops, pairs=True)
    made = list(rows_of([conversations[number] for number in with_worse], recipe))
    rows = [number for number, pair in zip(with_worse, made, strict=True) if pair]
    if not rows:
        return None
    flat = [row for pair in made for row in pair]
    return Preferences(PairsOf(flat), rows, len(conversations), settings.training_config.preference_config.beta)
