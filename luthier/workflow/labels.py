"""The labels behind a run's rows, and how likely a model finds each of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from luthier.data.render import render
from luthier.data.tokenize import question, tokenize
from luthier.engine.forward import Engine, in_order
from luthier.engine.scoring import label_log_probabilities
from luthier.errors import UserError
from luthier.evaluation.labels import labels_of, not_labels
from luthier.evaluation.matching import normalized
from luthier.flow import Conversation, Event, LabelScores, Problem, Progress, Question, Tokenized
from luthier.workflow.once import once, questions_asked
from luthier.workflow.opened_run import Opened

LABEL_TOKENS = 100_000
"""Of more rows than have so many tokens in all their labels, some are scored: evenly spread ones."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of some rows, each with its tokens and its end mark, and the `rows` (indices) to score them on."""

    names: tuple[str, ...]
    tokens: tuple[NDArray[np.int32], ...]
    rows: Sequence[int]

    def scores(
        self, engine: Engine, asked: Sequence[Question], whose: str
    ) -> Generator[Progress, None, list[LabelScores | None]]:
        """How likely each label is behind each question; None for the rows that are not scored."""
        values = yield from self._values(engine, asked, whose)
        return self._spread(values, len(asked))

    def scores_once(self, base: Engine, asked: Sequence[Question]) -> Generator[Event, None, list[LabelScores | None]]:
        """Base's, which are the same for every run that is judged on these rows."""
        key = [*(label.tobytes() for label in self.tokens), *questions_asked([asked[row] for row in self.rows])]

        def make() -> Generator[Event, None, list[list[float]]]:
            return [value.tolist() for value in (yield from self._values(base, asked, "base"))]

        values = yield from once(base, "base's scores of labels", key, list[float], make)
        return self._spread([np.array(value, np.float64) for value in values], len(asked))

    def _values(
        self, engine: Engine, asked: Sequence[Question], whose: str
    ) -> Generator[Progress, None, list[NDArray[np.float64]]]:
        questions = [asked[row] for row in self.rows]
        found = label_log_probabilities(engine, questions, self.tokens)
        return in_order(found, f"scoring labels, {whose}", len(questions))

    def _spread(self, values: Sequence[NDArray[np.float64]], total: int) -> list[LabelScores | None]:
        counts = np.array([len(tokens) for tokens in self.tokens])
        scores: list[LabelScores | None] = [None] * total
        for row, value in zip(self.rows, values, strict=True):
            scores[row] = LabelScores(self.names, value, counts)
        return scores


def labels_behind(
    conversations: Sequence[Conversation], asked: Sequence[Question], rows: Sequence[Tokenized], opened: Opened
) -> Labels | None:
    """The labels that these rows want; where a row's category is its label, also those of the rows that the run
    read. None where the rows have no fixed labels."""
    if not_labels([question.wanted for question in asked]):
        return None
    tokens = {question.wanted: row.tokens[len(question.tokens) :] for question, row in zip(asked, rows, strict=True)}
    tokens = {label: tokens[label] for label in labels_of([question.wanted for question in asked])}
    if all(normalized(question.category or "") == normalized(question.wanted) for question in asked):
        tokens |= _unseen(conversations[0], list(tokens), opened)
    each = sum(len(label) for label in tokens.values())
    step = -(-len(asked) * each // LABEL_TOKENS)
    return Labels(tuple(tokens), tuple(tokens.values()), range(0, len(asked), step))


def _unseen(conversation: Conversation, known: Sequence[str], opened: Opened) -> dict[str, NDArray[np.int32]]:
    """The labels of the run's rows that are not known yet, with their tokens behind any question.

    One that the template or the tokenizer refuses stood in no row that was trained on, so it is none.
    """
    try:
        account = opened.run.read_rows()
    except UserError:
        return {}
    spelled = {normalized(label) for label in known}
    names = [entry["category"] for entry in account["categories"] if entry["category"] is not None]
    unseen = [name for name in names if normalized(name) not in spelled]
    if not unseen:
        return {}
    last = max(at for at, message in enumerate(conversation.messages) if message.role == "assistant")
    before, answer = conversation.messages[:last], conversation.messages[last]
    answers = [
        msgspec.structs.replace(conversation, messages=(*before, msgspec.structs.replace(answer, content=name)))
        for name in unseen
    ]
    found = {}
    for name, said in zip(unseen, answers, strict=True):
        asked = question(said, opened.template, opened.tokenizer)
        row = render(said, opened.template, opened.tokenizer, "last_answer")
        made = row if isinstance(row, Problem) else tokenize(row, opened.tokenizer, "last_answer")
        if isinstance(asked, Question) and not isinstance(made, Problem):
            found[name] = made[0].tokens[len(asked.tokens) :]
    return found
