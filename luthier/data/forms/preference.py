"""Preference rows: a prompt with a better and a worse answer, as TRL, OpenAI and LLaMA-Factory write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, MEDIA, DoesNotFit, Fields, Parsed, as_text, with_category
from luthier.data.forms.instruction import asked, history
from luthier.data.json_text import kind
from luthier.data.messages import (
    check_order,
    only_read,
    read_message,
    read_messages,
    shared,
    up_to_answer,
    with_system,
    write_message,
)
from luthier.data.tools import read_tools
from luthier.flow import Conversation, Form, Message, Place

CHOSEN = ("chosen", "preferred_output", "chosen_messages")
REJECTED = ("rejected", "non_preferred_output", "rejected_messages")
PROMPT = ("prompt", "input", "messages", "conversations")

gives: Form = "preference"
needs = (CHOSEN, REJECTED)
fields = frozenset({*CHOSEN, *REJECTED, *PROMPT, "instruction", "system", "history", "tools", *MEDIA, *CATEGORY})
example = '{"prompt": "...", "chosen": "...", "rejected": "..."}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The prompt with the better answer, and with the worse one in `rejected`.

    An answer is a text, a message or a list of messages. Without a prompt, both lists (or texts) begin with it: it ends
    where they part. `instruction` with its `input` is a prompt too, and so is OpenAI's `{"messages", "tools"}` under
    `input`. The prompt's own answers are only read: their weight becomes 0.
    """
    row = Fields(values, place)
    row.refuse_media()
    better, worse = row.given(*CHOSEN), row.given(*REJECTED)
    for name, names in ((better, CHOSEN), (worse, REJECTED)):
        if not name:
            row.missing(*names)
    prompt = _prompt(row, values.get(better))
    tools = read_tools(_openai(row) or row, "tools")
    sides = [_answers(name, row) for name in (better, worse) if name]
    category = row.category()
    if not row.problems:
        sides = _joined(prompt, sides, row)
    for side, name in zip(sides, (better, worse), strict=False):
        if not row.problems:
            check_order(side, row, f" of `{name}`")
    if row.problems:
        return Parsed(None, tuple(row.problems), tuple(row.unused))
    (chosen, warnings), (rejected, more) = (up_to_answer(side, row) for side in sides)
    if chosen == rejected:
        row.wrong("same_answer", f"`{better}` and `{worse}` are the same", "write a worse answer, or take the row out")
        return Parsed(None, tuple(row.problems), tuple(row.unused))
    conversation = Conversation("preference", chosen, place, category, tools, rejected)
    return Parsed(conversation, warnings + more, tuple(row.unused))


def write(conversation: Conversation) -> dict[str, Any]:
    """The row with its prompt and both answers as lists of messages, as TRL has them. Raises `DoesNotFit`."""
    if not conversation.rejected:
        raise DoesNotFit("a preference row needs a worse answer beside the better one")
    common = prompt_length(conversation)
    prompt = [write_message(message) for message in conversation.messages[:common]]
    row: dict[str, Any] = {
        "prompt": [{key: value for key, value in message.items() if key != "weight"} for message in prompt],
        "chosen": [write_message(message) for message in conversation.messages[common:]],
        "rejected": [write_message(message) for message in conversation.rejected[common:]],
    }
    if conversation.tools:
        row["tools"] = list(conversation.tools)
    return with_category(row, conversation)


def prompt_length(conversation: Conversation) -> int:
    """How many messages stand before the first answer that is trained on or in which the two sides differ."""
    common = shared(conversation.messages, conversation.rejected)
    trained = (n for n, m in enumerate(conversation.messages[:common]) if m.role == "assistant" and m.weight)
    return next(trained, common)


def _openai(row: Fields) -> Fields | None:
    """What stands under OpenAI's `input`, where it is an object."""
    inside = row.values.get("input")
    return Fields(inside, row.place) if isinstance(inside, dict) else None


def _prompt(row: Fields, better: Any) -> list[Message]:
    """The messages before the answers, as the row says them; none where the answers begin with them.

    Some rows repeat the better conversation (`better`) under `messages`, which is no second prompt.
    """
    names = [name for name in PROMPT if row.values.get(name) != better]
    if row.values.get("instruction") is not None:
        row.given("instruction", *(name for name in names if name != "input"))
        return with_system([*history(row), Message("user", asked(row))], row)
    name = row.given(*names)
    given = row.values.get(name)
    messages: list[Message] = []
    if isinstance(given, dict):
        row.unused += [f"{name}.{key}" for key in given if key not in ("messages", "tools", "parallel_tool_calls")]
        messages = read_messages(given.get("messages"), f"{name}.messages", row)
    elif isinstance(given, list):
        messages = read_messages(given, name, row)
    elif isinstance(given, str):
        if given.strip():
            messages = [Message("user", given)]
        else:
            row.wrong("empty_prompt", f"`{name}` is empty", "write its text, or take the row out")
    elif name:
        row.wrong("type", f"`{name}` is {kind(given)}, not a text", as_text(given))
    return with_system([*history(row), *messages], row)


def _answers(name: str, row: Fields) -> list[Message]:
    given = row.values[name]
    if isinstance(given, list):
        return read_messages(given, name, row)
    if isinstance(given, dict):
        message = read_message(given, f"`{name}`", name, row)
        return [message] if message else []
    if not isinstance(given, str):
        row.wrong("type", f"`{name}` is {kind(given)}, not a text", as_text(given))
    elif not given.strip():
        row.wrong("empty_answer", f"`{name}` is empty", "write its text, or take the row out")
    return [Message("assistant", given)] if isinstance(given, str) else []


def _joined(prompt: list[Message], sides: list[list[Message]], row: Fields) -> list[list[Message]]:
    """Both conversations whole, each from its beginning."""
    asking = any(message.role == "user" for message in prompt)
    whole = any(message.role == "user" for side in sides for message in side)
    if asking and not whole:
        return [only_read(prompt) + side for side in sides]
    if not whole and all(len(side) == 1 for side in sides):
        sides = _cut_texts(sides, row)
        if row.problems:
            return sides
    if prompt and prompt[0].role == "system" and sides[0][0].role != "system":
        sides = [[prompt[0], *side] for side in sides]
    common = shared(*sides)
    if prompt and sides[0][: len(prompt)] != prompt and prompt[-1] not in sides[0][:common]:
        message = "the prompt is there, and the answers begin with another one"
        row.wrong("two_fields", message, "keep the prompt in one place")
    elif not common and sides[0] != sides[1]:
        message = "the better and the worse answer do not begin with the same question"
        row.wrong("prompt", message, f"write the question that both answer: {example}")
    return [only_read(side[:common]) + side[common:] for side in sides]


def _cut_texts(sides: list[list[Message]], row: Fields) -> list[list[Message]]:
    """Two texts that begin with the same prompt, cut where they part, before a space, as TRL cuts them."""
    one, other = (side[0].content for side in sides)
    if one == other:
        return sides
    common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if one[common - 1 : common] == " ":
        common -= 1
    if not (one[:common].strip() and one[common:].strip() and other[common:].strip()):
        row.missing("prompt")
        return sides
    return [[Message("user", one[:common]), Message("assistant", text[common:])] for text in (one, other)]
