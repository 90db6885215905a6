"""The loss of answers with and without their prompts, by a model as it is: what a deep check of rows judges by."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from msgspec.structs import replace as with_fields
from numpy.typing import NDArray

from luthier.data import templates
from luthier.data.checks import Whole
from luthier.data.render import render
from luthier.data.templates import Template
from luthier.data.tokenize import tokenize
from luthier.flow import Conversation, Event, Message, Note, Problem, Progress, RowScore, Tokenized
from luthier.report.numbers import count
from luthier.workflow.loaded_model import find, open_for_use

MODEL: Final = "smollm2-135m-instruct"
ROWS: Final = 1_000
"""Rows that are looked at, evenly spread: a small model takes about half a second for each on a core."""
ANSWER: Final = 64
"""Tokens of an answer that are scored: whether it belongs to its prompt shows there, and a row costs the same."""
PROMPT: Final = 512
"""Tokens before the answer that the model reads; of a longer prompt its end."""
AT_ONCE: Final = 16
"""Rows between two looks at whether to stop."""


def answer_losses(
    whole: Whole, name: str, stopped: Callable[[], bool]
) -> Generator[Event, None, Mapping[str, NDArray[Any]]]:
    """The columns `answer_loss`, `answer_loss_alone` and `answer_tokens` of rows whose answer follows a prompt.

    Without its prompt an answer follows an empty message of the user, and the system's message where the row has one:
    what many rows share says nothing of the one. Where `stopped()` gets true, the rows so far are given.
    """
    losses, alone = np.full(len(whole), np.nan), np.full(len(whole), np.nan)
    tokens = np.zeros(len(whole), np.int64)
    filled = {"answer_loss": losses, "answer_loss_alone": alone, "answer_tokens": tokens}
    rows = spread(np.flatnonzero(~whole.held_out), ROWS)
    named = yield from find(name)
    template = templates.for_chat(named.tokenizer)
    share = f"{len(rows):,} of {len(whole):,} rows, evenly spread" if len(rows) < len(whole) else f"{len(rows):,} rows"
    yield Note("rows", f"{name} reads the first {ANSWER} tokens of the answers of {share}, with and without the prompt")
    pairs: list[tuple[int, Tokenized, Tokenized]] = []
    for number, row in zip(rows.tolist(), whole.read_again(rows), strict=False):
        with_prompt = _tokenized(row.conversation, template, named.tokenizer)
        without = _tokenized(_alone(row.conversation), template, named.tokenizer)
        if row.question.strip() and with_prompt is not None and without is not None:
            pairs.append((number, with_prompt, without))
    if not pairs:
        yield Note("warning", f"no row has an answer to a prompt that {name} can read")
        return filled
    engine = open_for_use(named, "float32")
    done = 0
    for first in range(0, len(pairs), AT_ONCE):
        group = pairs[first : first + AT_ONCE]
        scores: dict[int, RowScore] = {}
        for index, score in engine.scores([side for _, *sides in group for side in sides]):
            scores[index] = score
            if stopped():
                break
        for place, (number, *_) in enumerate(group):
            if {2 * place, 2 * place + 1} <= scores.keys():
                losses[number], alone[number] = (_a_token(scores[2 * place + side]) for side in (0, 1))
                tokens[number] = scores[2 * place].tokens
                done += 1
        if stopped():
            yield Note("warning", f"stopped: the answers of {count(done, 'row')} were read by the model")
            return filled
        yield Progress("reading answers", done, len(pairs))
    return filled


def spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the rows, evenly spread: of 0 to 9 and 4 it gives 0, 3, 6, 9."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64))]


def _a_token(score: RowScore) -> float:
    return score.loss / score.tokens


def _alone(conversation: Conversation) -> Conversation:
    """The last answer behind an empty message."""
    kept = [message for message in conversation.messages[:1] if message.role == "system"]
    last = [message for message in conversation.messages if message.role == "assistant"][-1]
    return with_fields(conversation, messages=(*kept, Message("user", ""), last), tools=(), rejected=())


def _tokenized(conversation: Conversation, template: Template, tokenizer: Any) -> Tokenized | None:
    """The end of the prompt and the beginning of the last answer; None where the template takes no such row."""
    rendered = render(conversation, template, tokenizer, "last_answer")
    rows: Sequence[Tokenized] | Problem = (
        rendered if isinstance(rendered, Problem) else tokenize(rendered, tokenizer, "last_answer")
    )
    if isinstance(rows, Problem) or len(rows) != 1:
        return None
    [row] = rows
    first = int(np.flatnonzero(row.weights)[0])
    kept = slice(max(0, first - PROMPT), first + ANSWER)
    return replace(row, tokens=row.tokens[kept], weights=row.weights[kept])
