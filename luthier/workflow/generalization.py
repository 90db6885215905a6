"""What an evaluation asks beside its rows: the same questions changed harmlessly, and how near training they are."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from luthier.data import augment
from luthier.data.likeness import Words, nearest
from luthier.data.minhash import words_of
from luthier.data.split import asked_messages
from luthier.data.tokenize import questions
from luthier.engine.forward import Engine, in_order
from luthier.engine.generation import answers
from luthier.evaluation.generalization import by_distance, change
from luthier.evaluation.matching import same_answer
from luthier.flow import Answer, Conversation, Event, Measure, Question
from luthier.workflow.opened_run import Opened, decoder

ROWS = 40
"""Rows that are asked again under each change, evenly spread."""
MOST_COMPARED = 500
"""Rows whose nearest training row is looked for, evenly spread."""


def under_changes(
    engine: Engine, rows: Sequence[Conversation], given: Sequence[Answer], opened: Opened, limit: int
) -> Generator[Event, None, tuple[dict[str, dict[str, Measure]], list[dict[str, Any]]]]:
    """The accuracy before and after each change, by its name, and each answer; `given` are the answers to `rows` as
    they stand. A change that applies to no row is left out."""
    asked: list[tuple[str, int, Question]] = []
    for name in augment.names():
        found: list[tuple[str, int, Question]] = []
        for at in _spread(len(rows)):
            changed = augment.augmented(rows[at], name, opened.settings.seed)
            if changed is None:
                continue
            question = next(questions([changed], opened.template, opened.tokenizer))
            if isinstance(question, Question):
                found.append((name, at, question))
            if len(found) == ROWS:
                break
        asked += found
    said = answers(engine, [question for *_, question in asked], decoder(opened.tokenizer), opened.stops, limit)
    new = yield from in_order(said, "answering changed questions", len(asked))
    lines = [
        {
            "change": name,
            "file": question.place.file,
            "line": question.place.line,
            "prompt": question.prompt,
            "wanted": question.wanted,
            "before": given[at].text,
            "after": answer.text,
            "before_right": right(given[at], question.wanted),
            "after_right": right(answer, question.wanted),
        }
        for (name, at, question), answer in zip(asked, new, strict=True)
    ]
    measures = {
        name: change([bool(line["before_right"]) for line in own], [bool(line["after_right"]) for line in own])
        for name in augment.names()
        if (own := [line for line in lines if line["change"] == name])
    }
    return measures, lines


def by_nearness(
    rows: Sequence[Conversation], given: Sequence[Answer], wanted: Sequence[str], trained: Iterable[Words]
) -> Mapping[str, Measure]:
    """The accuracy of rows by the likeness of what they ask to the nearest training row's."""
    parts = list(trained)
    if not rows or not parts:
        return {}
    chosen = sorted(_spread(len(rows))[:MOST_COMPARED])
    words = words_of(["\n".join(asked_messages(rows[at])) for at in chosen])
    return by_distance(nearest(words, lambda: parts), [right(given[at], wanted[at]) for at in chosen])


def right(answer: Answer, wanted: str) -> bool:
    """Whether an answer counts as the wanted one: an answer that the limit cut does not."""
    return answer.stopped and same_answer(answer.text, wanted)


def _spread(count: int) -> list[int]:
    """All numbers below `count`, in an order whose beginnings are evenly spread: multiples of the golden ratio."""
    return [int(at) for at in np.argsort(np.arange(count) * 0.6180339887498949 % 1.0, kind="stable")]
