"""The format checks and counts that OpenAI's guide to preparing chat data lists, for files that go to their service.

Source: "Data preparation and analysis for chat model fine-tuning" in OpenAI's cookbook, and the fine-tuning guide of
their documentation. The rules and numbers are theirs; what a tokenizer of theirs would count is estimated here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from luthier.data.parallel import bytes_of, each_block
from luthier.data.read import Block
from luthier.errors import UserError
from luthier.flow import Place, Problem, Progress, Record

LIMIT: Final = 16_385
"""Tokens of a row that are trained on; what comes after is cut off (the guide's limit for gpt-3.5-turbo)."""
EPOCHS: Final = 3
FEWEST_ROWS, MOST_ROWS = 100, 25_000
"""How often rows are shown in all epochs together: the guide keeps rows times epochs between these two."""
FEWEST_EPOCHS, MOST_EPOCHS = 1, 25
A_MESSAGE, A_NAME, A_ROW = 3, 1, 3
"""Tokens that the chat form adds to each message, to a name, and to a row."""
BYTES_A_TOKEN: Final = 4
KEYS: Final = frozenset({"role", "content", "name", "function_call", "weight"})
LATER_KEYS: Final = frozenset({"tool_calls", "tool_call_id", "refusal"})
"""Keys that the service came to take after the guide was written."""
ROLES: Final = frozenset({"system", "user", "assistant", "function", "tool", "developer"})
REMEDIES: Final = {
    "data_type": "write a JSON object a line",
    "missing_messages_list": 'write {"messages": [...]}; luthier check FILE --write OUT --format chat does it',
    "message_missing_key": "give each message a `role` and a `content`",
    "message_unrecognized_key": "take the key out: the service refuses it",
    "unrecognized_role": f"use one of {', '.join(sorted(ROLES))}",
    "missing_content": "write the content as a text",
    "example_missing_assistant_message": "add the answer that the model is to learn",
}
"""The guide's seven format errors, by its own names, and what to write instead."""
LISTED: Final = 1_000

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Spread:
    """Numbers of rows: the least, the 5th percentile, mean, median, 95th percentile and the largest."""

    least: int
    low: float
    mean: float
    median: float
    high: float
    largest: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Spread:
        if not values:
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0)
        low, median, high = (round(float(number), 2) for number in np.percentile(values, (5, 50, 95)))
        return cls(min(values), low, round(float(np.mean(values)), 2), median, high, max(values))


@dataclass(frozen=True, slots=True)
class Guide:
    """What the guide's checks say: `errors` by its names, `missing_system` and `missing_user` rows, the three spreads,
    and what a job would cost: `epochs` is what it suggests, `billed_tokens` what an epoch bills."""

    rows: int
    errors: Mapping[str, int]
    problems: Sequence[Problem]
    missing_system: int
    missing_user: int
    messages: Spread
    tokens: Spread
    answer_tokens: Spread
    over_limit: int
    epochs: int
    billed_tokens: int
    counted_by: str

    @property
    def billed_in_all(self) -> int:
        return self.epochs * self.billed_tokens


@dataclass(slots=True)
class _Counts:
    """What is kept of some rows: three numbers each, and the errors."""

    messages: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    rows: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def estimated(text: str) -> int:
    """About how many tokens a text has: its UTF-8 bytes by four, rounded up. `hello, world` has 3."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)


def epochs_for(rows: int) -> int:
    """3 epochs, more for fewer than 34 rows and fewer for more than 8,333: 10 rows get 10, 20,000 rows get 1."""
    if rows and rows * EPOCHS < FEWEST_ROWS:
        return min(MOST_EPOCHS, FEWEST_ROWS // rows)
    if rows * EPOCHS > MOST_ROWS:
        return max(FEWEST_EPOCHS, MOST_ROWS // rows)
    return EPOCHS


def guide(
    paths: Sequence[Path], count: Count = estimated, counted_by: str = "4 bytes a token"
) -> Generator[Progress, None, Guide]:
    """Reads chat rows as they stand in the files and counts as the guide does. `count` gives a text's tokens, and
    `counted_by` says how. Raises `UserError` for a file that cannot be read."""
    before, whole = bytes_of(paths), _Counts()
    for number, end, found in each_block(paths, lambda _, block: _look(block, count)):
        if isinstance(found, UserError):
            raise found
        for name in ("messages", "tokens", "answers", "problems"):
            getattr(whole, name).extend(getattr(found, name))
        del whole.problems[LISTED:]
        whole.rows += found.rows
        whole.missing += found.missing
        whole.errors += found.errors
        yield Progress("checking by OpenAI's guide", before[number] + end, before[-1])
    return Guide(
        whole.rows,
        dict(whole.errors),
        tuple(whole.problems),
        whole.missing["system"],
        whole.missing["user"],
        Spread.of(whole.messages),
        Spread.of(whole.tokens),
        Spread.of(whole.answers),
        sum(tokens > LIMIT for tokens in whole.tokens),
        epochs_for(whole.rows),
        sum(min(LIMIT, tokens) for tokens in whole.tokens),
        counted_by,
    )


def _look(block: Block, count: Count) -> _Counts:
    counts = _Counts()
    for row in block.rows():
        counts.rows += 1
        values = row.values if isinstance(row, Record) else None
        for error, what in _errors(values):
            counts.errors[error] += 1
            if len(counts.problems) < LISTED:
                counts.problems.append(_problem(error, what, row.place))
        messages = _messages(values)
        roles = {message.get("role") for message in messages}
        counts.missing.update(role for role in ("system", "user") if messages and role not in roles)
        counts.messages.append(len(messages))
        counts.tokens.append(A_ROW + sum(_tokens(message, count) for message in messages))
        answers = (message for message in messages if message.get("role") == "assistant")
        counts.answers.append(sum(count(str(message.get("content") or "")) for message in answers))
    return counts


def _problem(error: str, what: str, place: Place) -> Problem:
    return Problem(f"openai_{error}", "error", place, what, REMEDIES[error])


def _messages(values: Any) -> list[Mapping[str, Any]]:
    messages = values.get("messages") if isinstance(values, Mapping) else None
    return [message for message in messages if isinstance(message, Mapping)] if isinstance(messages, list) else []


def _tokens(message: Mapping[str, Any], count: Count) -> int:
    texts = [value for value in message.values() if isinstance(value, str)]
    return A_MESSAGE + sum(map(count, texts)) + (A_NAME if "name" in message else 0)


def _errors(values: Any) -> Iterator[tuple[str, str]]:
    """The guide's errors of a row: each by its name, once for each message or row that has it."""
    if not isinstance(values, Mapping):
        yield "data_type", "the row is not a JSON object"
        return
    messages = values.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "missing_messages_list", "the row has no list of `messages`"
        return
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Mapping):
            yield "data_type", f"message {number} is not a JSON object"
        else:
            yield from _errors_of_message(message, number)
    if not any(isinstance(message, Mapping) and message.get("role") == "assistant" for message in messages):
        yield "example_missing_assistant_message", "no message is the assistant's"


def _errors_of_message(message: Mapping[str, Any], number: int) -> Iterator[tuple[str, str]]:
    calls = "function_call" in message or "tool_calls" in message
    missing = [key for key in ("role", "content") if key not in message and not (key == "content" and calls)]
    if missing:
        yield "message_missing_key", f"message {number} has no `{'` and no `'.join(missing)}`"
    if unknown := sorted(str(key) for key in message.keys() - KEYS - LATER_KEYS):
        yield "message_unrecognized_key", f"message {number} has the key `{unknown[0]}`"
    if message.get("role") not in ROLES:
        yield "unrecognized_role", f"message {number} has the role {message.get('role')!r}"
    content = message.get("content")
    if not calls and (not content or not isinstance(content, str | list)):
        yield "missing_content", f"message {number} has no content"
