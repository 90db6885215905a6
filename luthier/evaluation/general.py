"""The general set: short passages and questions over twelve skills, by which a model shows what it knew before tuning.

It is the project's own, in general.jsonl: a question has a `prompt` and an `answer`, a passage has a `text`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct, json
from numpy.typing import NDArray

from luthier.data import templates
from luthier.data.render import TrainOn, render, stop_tokens
from luthier.data.tokenize import prompt_tokens, tokenize
from luthier.flow import Conversation, Message, Place, Problem, Question, Rendered, Tokenized

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "general.jsonl"
EVERY: Final = 2
"""Of each skill every second passage is scored: half the set, so that it takes seconds on two cores."""
ANSWERED: Final = 3
"""Questions of each skill that base answers in its own words."""
ROOM: Final = 64
"""Tokens that the context of a model must have beside a passage."""


class Passage(Struct, frozen=True, kw_only=True):
    """A line of the set. `text` alone is read as it stands; otherwise `prompt` asks for `answer`."""

    skill: str
    text: str = ""
    prompt: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class General:
    """The set as one model reads it, N passages in the set's order.

    `rows` (N) are trained on the answer, or on all of a text; `asked` are some of the questions, of every skill, whose
    indices in the set are `asked_at`; `stops` end an answer. `key` is a digest of all this.
    """

    passages: tuple[Passage, ...]
    rows: tuple[Tokenized, ...]
    asked: tuple[Question, ...]
    asked_at: tuple[int, ...]
    stops: tuple[int, ...]

    @property
    def key(self) -> str:
        digest = blake2b(digest_size=16)
        for row in self.rows:
            digest.update(row.tokens.tobytes() + row.weights.tobytes())
        for question in self.asked:
            digest.update(question.tokens.tobytes())
        return digest.hexdigest()


@lru_cache(maxsize=1)
def passages() -> tuple[Passage, ...]:
    """The set, in its file's order."""
    content = (files("luthier.evaluation") / FILE).read_bytes()
    return tuple(json.decode(line, type=Passage) for line in content.splitlines() if line)


def sampled(every: int = EVERY) -> tuple[Passage, ...]:
    """The passages that are scored: of each skill the first, and every second one after it."""
    seen: Counter[str] = Counter()
    kept = []
    for passage in passages():
        if seen[passage.skill] % every == 0:
            kept.append(passage)
        seen[passage.skill] += 1
    return tuple(kept)


def unscored(every: int = EVERY) -> tuple[Passage, ...]:
    """All other passages: what is trained on is taken from these, so that forgetting stays a fair question."""
    scored = {id(passage) for passage in sampled(every)}
    return tuple(passage for passage in passages() if id(passage) not in scored)


def general(
    tokenizer: Any,
    eos: Sequence[int] = (),
    context: int | None = None,
    chosen: Sequence[Passage] | None = None,
    every_question: bool = False,
) -> General:
    """The passages `chosen` (`sampled` ones) under the model's own chat template, or `formats.chat` where it has none;
    texts stand as they are. Some of the questions of each skill are asked, or `every_question`.

    `eos` are the end marks of the model's own generation settings. Left out are passages that its tokenizer cannot
    write or its template does not take, and those that its `context` has no room for, with `ROOM` for virtual tokens
    and answers.
    """
    chosen = sampled() if chosen is None else chosen
    chat = templates.for_chat(tokenizer)
    text = templates.load("text", {}, tokenizer)
    rows, asked, asked_at = [], [], []
    answered: dict[str, int] = {}
    kept: list[Passage] = []
    for passage in chosen:
        row = _conversation(passage, len(kept))
        template = text if passage.text else chat
        train_on: TrainOn = "everything" if passage.text else "answers"
        rendered = render(row, template, tokenizer, train_on)
        made = tokenize(rendered, tokenizer, train_on) if isinstance(rendered, Rendered) else rendered
        if isinstance(made, Problem) or (context is not None and len(made[0].tokens) + ROOM > context):
            continue
        kept.append(passage)
        rows.append(_without_end(made[0]) if passage.text else made[0])
        if not passage.text and (every_question or answered.setdefault(passage.skill, 0) < ANSWERED):
            answered[passage.skill] = answered.get(passage.skill, 0) + 1
            sent, tokens = prompt_tokens(row.messages[:-1], chat, tokenizer)
            asked.append(Question(tokens, sent, passage.answer, row.place, passage.skill))
            asked_at.append(len(kept) - 1)
    stops = stop_tokens(chat, tokenizer, eos)
    return General(tuple(kept), tuple(rows), tuple(asked), tuple(asked_at), stops)


def with_answers(general: General, answers: Sequence[NDArray[np.int32]]) -> Iterator[Tokenized]:
    """The rows of the questions asked with other answers: all tokens of these are trained on."""
    for question, answer in zip(general.asked, answers, strict=True):
        weights = np.concatenate([np.zeros(len(question.tokens)), np.ones(len(answer))]).astype(np.float32)
        tokens = np.concatenate([question.tokens, answer]).astype(np.int32)
        yield Tokenized(tokens, weights, question.place, question.category)


def _conversation(passage: Passage, number: int) -> Conversation:
    place = Place(FILE, number + 1)
    if passage.text:
        return Conversation("text", (Message("assistant", passage.text),), place, passage.skill)
    messages = (Message("user", passage.prompt), Message("assistant", passage.answer))
    return Conversation("chat", messages, place, passage.skill)


def _without_end(row: Tokenized) -> Tokenized:
    """A text's end mark is no part of it."""
    weights = row.weights.copy()
    weights[-1] = 0
    return replace(row, weights=weights)
