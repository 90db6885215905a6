"""Messages as rows hold them, in OpenAI's words or ShareGPT's: read into flow's messages, checked, and written back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from msgspec import Struct, ValidationError, convert
from msgspec.structs import replace

from luthier.data.fields import WITHOUT_MEDIA, Fields, Parsed, as_text
from luthier.data.json_text import kind
from luthier.data.tools import read_calls, write_call
from luthier.flow import Conversation, Form, Message, Problem, ToolCall

MESSAGES = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


@dataclass(frozen=True, slots=True)
class Words:
    """What a message calls its role and its content, and the roles by their names there."""

    role: str
    content: str
    roles: Mapping[str, str]
    shown: tuple[str, ...]


OPENAI = Words(
    "role",
    "content",
    {
        "system": "system",
        "developer": "system",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
        "function": "tool",
    },
    ("system", "user", "assistant", "tool"),
)
SHAREGPT = Words(
    "from",
    "value",
    {
        "system": "system",
        "human": "user",
        "user": "user",
        "gpt": "assistant",
        "assistant": "assistant",
        "function_call": "assistant",
        "observation": "tool",
        "tool": "tool",
    },
    ("system", "human", "gpt", "function_call", "observation"),
)
OTHER_NAMES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "observation": "tool"}
REASONING = ("reasoning_content", "reasoning", "thinking")
WEIGHTS = ("weight", "loss_weight")
CALL = "function_call"
CALLS = ("tool_calls", CALL)
KNOWN = frozenset({*REASONING, *WEIGHTS, *CALLS, "name", "tool_call_id"})
PARTS = {"text": 1, "input_text": 1, "output_text": 1, "reasoning": 0, "thinking": 0, "tool_call": 2}
"""The kinds of content parts that are read, and where in a message each stands."""


class _Plain(Struct):
    messages: tuple[Message, ...]


def plain(values: Mapping[str, Any]) -> tuple[Message, ...] | None:
    """The `messages` of a row where they are texts and weights in good order, as in nearly every row; else None.

    Read by msgspec: many times as fast as `read_messages`, which says what is wrong.
    """
    try:
        messages = convert(values, _Plain).messages
    except ValidationError:
        return None
    roles = []
    weighted = False
    for message, given in zip(messages, values["messages"], strict=True):
        content = message.content
        if not content or content.isspace():
            return None
        if len(given) != 2:  # more than role and content: a weight on an answer is all that may be there
            if len(given) != 3 or "weight" not in given or message.role != "assistant":
                return None
            weighted = True
        roles.append(message.role)
    if not _in_order(tuple(roles)):
        return None
    if weighted:
        weights = [message.weight for message in messages if message.role == "assistant"]
        if not all(0 <= weight <= sys.float_info.max for weight in weights) or not any(weights):
            return None
    return messages


def read_messages(given: Any, field: str, row: Fields) -> list[Message]:
    """The messages of a list, each in OpenAI's words or, where it has a `from`, in ShareGPT's. `field` is where the
    list stands, as errors name it."""
    if not isinstance(given, list) or not given:
        what = "an empty list" if given == [] else f"{kind(given)}, not a list"
        row.wrong("type", f"`{field}` is {what}", f"write {{{field_shown(field)}: {MESSAGES}}}")
        return []
    of = "" if field in ("messages", "conversations") else f" of `{field}`"
    messages = []
    for number, message in enumerate(given, 1):
        if not isinstance(message, dict):
            example = 'write {"from": "human", "value": "..."}' if field == "conversations" else USER
            row.wrong("type", f"message {number}{of} is {kind(message)}, not an object", example)
        elif read := read_message(message, f"message {number}{of}", field, row):
            messages.append(read)
    return messages


def read_message(given: Mapping[str, Any], what: str, field: str, row: Fields) -> Message | None:
    """One message. `what` names it in errors, `field` is what counts its unused fields."""
    words = SHAREGPT if "from" in given else OPENAI
    named, content = given.get(words.role), given.get(words.content)
    if len(given) == 2 and type(content) is str and content and not content.isspace() and type(named) is str:
        plain_role = words.roles.get(named, "") if named != CALL else ""
        if plain_role:  # nearly every message
            return Message(plain_role, content)  # type: ignore[arg-type]
    before = len(row.problems)
    role = _role(named, words, what, row)
    row.unused += [
        f"{field}.{key}"
        for key, value in given.items()
        if value is not None and key not in KNOWN and key not in (words.role, words.content)
    ]
    text = ""
    reasoning = _reasoning(given, what, row)
    calls: tuple[ToolCall, ...] = ()
    if named == CALL and words is SHAREGPT:
        calls = read_calls(content, what, row)
    elif isinstance(content, list):
        text, thought, calls = _parts(content, what, row)
        reasoning = reasoning or thought
    elif isinstance(content, str):
        text = content
    elif content is not None or not (any(given.get(key) for key in CALLS) and role == "assistant"):
        shown = f"has {kind(content)} as `{words.content}`, not a text" if content is not None else NO % words.content
        row.wrong("type", f"{what} {shown}", as_text(content))
    for key in CALLS:
        if given.get(key):
            calls += read_calls(given[key], f"`{key}` of {what}", row)
    if len(row.problems) > before:
        return None
    if role != "assistant" and (calls or reasoning):
        row.wrong("role", f"{what} ({role}) has {'calls of tools' if calls else 'reasoning'}", ONLY_ASSISTANTS)
    if not text.strip() and not (role == "tool" or (role == "assistant" and calls)):
        check = "empty_answer" if role == "assistant" else "empty_message"
        row.wrong(check, f"{what} ({role}) is empty", "write its text, or take the message out")
    weight = _weight(given, role, what, row)
    name, identifier = _label(given, "name", what, row), _label(given, "tool_call_id", what, row)
    if identifier is not None and role != "tool":
        row.wrong("role", f"{what} ({role}) has a `tool_call_id`, but only a tool's reply names a call", "take it out")
    if len(row.problems) > before:
        return None
    return Message(role, text, weight, reasoning, calls, name, identifier)  # type: ignore[arg-type]


def with_system(messages: list[Message], row: Fields) -> list[Message]:
    """The messages with the row's field `system` before them, where there is one."""
    text = row.optional_text("system")
    if not text or (messages and messages[0] == Message("system", text)):
        return messages
    if messages and messages[0].role == "system":
        row.wrong("two_fields", "`system` and a system message are both there", "keep one of them")
    return [Message("system", text), *messages]


def finished(form: Form, messages: list[Message], row: Fields, tools: tuple[Mapping[str, Any], ...] = ()) -> Parsed:
    """The conversation up to its last answer, if nothing is wrong with the row nor with the messages' order."""
    category = row.category()
    if not row.problems:
        check_order(messages, row)
    if row.problems:
        return Parsed(None, tuple(row.problems), tuple(row.unused))
    kept, warnings = up_to_answer(messages, row)
    return Parsed(Conversation(form, kept, row.place, category, tools), warnings, tuple(row.unused))


def up_to_answer(messages: Sequence[Message], row: Fields) -> tuple[tuple[Message, ...], tuple[Problem, ...]]:
    """The messages up to the last answer, with a warning where others follow it."""
    last = max(number for number, message in enumerate(messages, 1) if message.role == "assistant")
    if last == len(messages):
        return tuple(messages), ()
    message = f"{len(messages) - last} of {len(messages)} messages stand after the last answer and are left out"
    remedy = "write the answer to them where one is wanted"
    return tuple(messages[:last]), (Problem("after_answer", "warning", row.place, message, remedy),)


def check_order(messages: Sequence[Message], row: Fields, of: str = "") -> None:
    """Adds an error for each rule of order that the messages break. `of` says whose messages they are.

    A system message stands first or nowhere: of the published chat templates tried, 4 of 32 lose a later one without a
    word and 2 refuse it. Two messages of one role in a row are accepted, as 31 of the 32 accept them. A tool's reply
    follows an answer, which may hold the call as text, or another reply.
    """
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        row.wrong("no_answer", f"no message{of} has the role assistant: nothing to train on", "write the wanted answer")
        return
    if "system" in roles[1:]:
        number = roles.index("system", 1) + 1
        remedy = "write one system message and put it first"
        row.wrong("order", f"message {number}{of} is a system message, but not the first", remedy)
    first = roles.index("assistant")
    if "user" not in roles[:first]:
        message = f"message {first + 1}{of} is an answer with no user message before it"
        row.wrong("order", message, "write what the user says before it")
    for number, (before, role) in enumerate(zip(["", *roles], roles, strict=False), 1):
        if role == "tool" and before not in ("assistant", "tool"):
            message = f"message {number}{of} is a tool's reply with no call before it"
            row.wrong("order", message, "write the assistant's call of the tool before it")
    if not any(message.weight for message in messages if message.role == "assistant"):
        message = f"every assistant message{of} has the weight 0: nothing to train on"
        row.wrong("no_answer", message, "give one a weight, or take the row out")


def write_message(message: Message) -> dict[str, Any]:
    """A message in OpenAI's words, with no field that says nothing. Reasoning stands in `reasoning_content`."""
    written: dict[str, Any] = {"role": message.role}
    if message.reasoning is not None:
        written["reasoning_content"] = message.reasoning
    written["content"] = message.content
    if message.tool_calls:
        written["content"] = message.content or None
        written["tool_calls"] = [write_call(call) for call in message.tool_calls]
    return written | marks(message)


def marks(message: Message) -> dict[str, Any]:
    """What a message has beside role and content in both vocabularies: weight, name, the call that it replies to."""
    written: dict[str, Any] = {}
    if message.weight != 1 and message.role == "assistant":
        written["weight"] = int(message.weight) if message.weight == 0 else message.weight
    if message.name is not None:
        written["name"] = message.name
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    return written


def shared(one: Sequence[Message], other: Sequence[Message]) -> int:
    """How many messages two conversations have in common before the answers in which they differ.

    The first message that is not common is an assistant's in both, or the number is 0.
    """
    common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    while common and not all(common < len(side) and side[common].role == "assistant" for side in (one, other)):
        common -= 1
    return common


def only_read(messages: Sequence[Message]) -> list[Message]:
    """The messages with no weight on their answers: they are read and not trained on."""
    return [replace(message, weight=0.0) if message.role == "assistant" else message for message in messages]


def field_shown(field: str) -> str:
    """A field's name as JSON."""
    return f'"{field}"'


USER = 'write {"role": "user", "content": "..."}'
NO = "has no `%s`"
ONLY_ASSISTANTS = "take it out, or give the message the role assistant"


@lru_cache(maxsize=4096)
def _in_order(roles: tuple[str, ...]) -> bool:
    """Whether messages of these roles end in an answer and break no rule of order."""
    row = Fields({}, None)  # type: ignore[arg-type]
    check_order([Message(role, "-") for role in roles], row)  # type: ignore[arg-type]
    return roles[-1:] == ("assistant",) and not row.problems


def _role(role: Any, words: Words, what: str, row: Fields) -> str:
    known = f"one of: {', '.join(words.shown)}"
    if isinstance(role, str) and role in words.roles:
        return words.roles[role]
    if role is None:
        row.wrong("role", f"{what} has no `{words.role}`", f"write {known}")
    elif not isinstance(role, str):
        row.wrong("role", f"{what} has {kind(role)} as `{words.role}`", f"write {known}")
    else:
        spelt = role.strip().lower()
        near = get_close_matches(spelt, words.shown, n=1)
        name = (OTHER_NAMES.get(spelt) if words is OPENAI else None) or (near[0] if near else "")
        row.wrong("role", f"{what} has the unknown role {role!r}", f"write {name or known}")
    return ""


def _reasoning(given: Mapping[str, Any], what: str, row: Fields) -> str | None:
    found = [name for name in REASONING if given.get(name)]
    if len(found) > 1 and any(given[name] != given[found[0]] for name in found):
        row.wrong("two_fields", f"{what} has `{found[0]}` and `{found[1]}`", "keep one of them")
    for name in found:
        if not isinstance(given[name], str):
            row.wrong("type", f"{what} has {kind(given[name])} as `{name}`, not a text", as_text(given[name]))
            return None
    return str(given[found[0]]) if found else None


def _parts(parts: list[Any], what: str, row: Fields) -> tuple[str, str | None, tuple[ToolCall, ...]]:
    """Content in parts: its texts joined, its reasoning joined, its calls."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: tuple[ToolCall, ...] = ()
    stages: list[int] = []
    for number, part in enumerate(parts, 1):
        name = part.get("type") if isinstance(part, dict) else None
        if not isinstance(name, str) or name not in PARTS:
            shown = f"a part of the type {name!r}" if isinstance(name, str) else f"{kind(part)} as part {number}"
            media = isinstance(name, str)
            message = f"{what} has {shown}, " + ("and only text is read" if media else "not an object with a `type`")
            row.wrong("media" if media else "type", message, WITHOUT_MEDIA if media else TEXT_PART)
            continue
        stages.append(PARTS[name])
        value = next((part[key] for key in ("text", "value", name) if part.get(key) is not None), None)
        if name == "tool_call":
            calls += read_calls(value, f"part {number} of {what}", row)
        elif isinstance(value, str):
            (thoughts if PARTS[name] == 0 else texts).append(value)
        else:
            row.wrong("type", f"part {number} of {what} has {kind(value)} as its text", TEXT_PART)
    if stages != sorted(stages):
        row.wrong("order", f"the parts of {what} are not in the order reasoning, text, calls", "put them in that order")
    return "".join(texts), "".join(thoughts) or None, calls


TEXT_PART = 'write {"type": "text", "text": "..."}'


def _weight(given: Mapping[str, Any], role: str, what: str, row: Fields) -> float:
    name = next((name for name in WEIGHTS if given.get(name) is not None), "")
    if not name:
        return 1.0
    weight = given[name]
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= sys.float_info.max:
        shown = repr(weight) if isinstance(weight, str) else kind(weight)
        row.wrong("weight", f"{what} has {shown} as `{name}`", "write 0, 1 or another number that is not negative")
    elif role == "assistant":
        return float(weight)
    elif weight:
        message = f"{what} ({role}) has a `{name}`, but only an assistant's messages are trained"
        row.wrong("weight", message, "take it out")
    return 1.0


def _label(given: Mapping[str, Any], key: str, what: str, row: Fields) -> str | None:
    value = given.get(key)
    if value is None or isinstance(value, str):
        return value or None
    row.wrong("type", f"{what} has {kind(value)} as `{key}`, not a text", f"{as_text(value)}, or leave it out")
    return None
