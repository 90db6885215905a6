"""Chat rows: `{messages: [{role, content, weight?}]}`, as OpenAI's files have them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from luthier.data.fields import CATEGORY, Fields, Parsed, as_text
from luthier.data.json_text import kind
from luthier.flow import Conversation, Message, Place, Problem

needs = (("messages",),)
fields = frozenset({"messages", "tools", "functions", *CATEGORY})
example = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'

ROLES = ("system", "user", "assistant")
OTHER_NAMES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "developer": "system"}
TOOL_ROLES = ("tool", "function", "observation", "function_call", "ipython")
TOOL_FIELDS = ("tool_calls", "function_call", "tool_call_id")
KNOWN = frozenset({"role", "content", "weight", *TOOL_FIELDS})
WITHOUT_TOOLS = "tools are not read yet: take the row out, or write the call and its reply as plain text"


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The messages up to the last answer.

    A system message stands first or nowhere: five of the 32 published chat templates tried drop a later one without a
    word. Two messages of one role in a row are accepted, as 31 of the 32 accept them.
    """
    row = Fields(values, place)
    unused: list[str] = []
    messages: list[Message] = []
    for name in ("tools", "functions"):
        if values.get(name):
            row.wrong("tools", f"`{name}` is there", WITHOUT_TOOLS)
    given = values.get("messages")
    if given is None:
        row.wrong("missing_field", "no `messages`", f"write {example}")
    elif not isinstance(given, list) or not given:
        what = "an empty list" if given == [] else f"{kind(given)}, not a list"
        row.wrong("type", f"`messages` is {what}", f"write {example}")
    else:
        for number, message in enumerate(given, 1):
            if not isinstance(message, dict):
                message_kind = f"message {number} is {kind(message)}, not an object"
                row.wrong("type", message_kind, 'write {"role": "user", "content": "..."}')
                continue
            read = _message(message, number, row, unused)
            if read:
                messages.append(read)
    category = row.category()
    if not row.problems:
        _check_order(messages, row)
    if row.problems:
        return Parsed(None, tuple(row.problems), tuple(unused))
    last = max(index for index, message in enumerate(messages) if message.role == "assistant") + 1
    conversation = Conversation("chat", tuple(messages[:last]), place, category)
    if last == len(messages):
        return Parsed(conversation, (), tuple(unused))
    message = f"{len(messages) - last} of {len(messages)} messages stand after the last answer and are left out"
    warning = Problem("after_answer", "warning", place, message, "write the answer to them where one is wanted")
    return Parsed(conversation, (warning,), tuple(unused))


def _message(message: dict[str, Any], number: int, row: Fields, unused: list[str]) -> Message | None:
    role, content, weight = message.get("role"), message.get("content"), message.get("weight")
    if len(message) == 2 and role in ROLES and type(content) is str and content and not content.isspace():
        return Message(role, content)  # nearly every message: the checks below would find nothing
    before = len(row.problems)
    unused += [f"messages.{key}" for key in message.keys() - KNOWN]
    if role not in ROLES:
        _unknown_role(role, number, row)
    for name in TOOL_FIELDS:
        if message.get(name):
            row.wrong("tools", f"message {number} has `{name}`", WITHOUT_TOOLS)
    if len(row.problems) > before:
        return None
    if not isinstance(content, str):
        what = "has no `content`" if content is None else f"has {kind(content)} as `content`, not a text"
        row.wrong("type", f"message {number} {what}", as_text(content))
    elif not content or content.isspace():
        check = "empty_answer" if role == "assistant" else "empty_message"
        row.wrong(check, f"message {number} ({role}) is empty", "write its text, or take the message out")
    if weight is None:
        weight = 1.0
    elif isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= sys.float_info.max:
        shown = repr(weight) if isinstance(weight, str) else kind(weight)
        row.wrong(
            "weight", f"message {number} has {shown} as `weight`", "write 0, 1 or another number that is not negative"
        )
    elif weight and role != "assistant":
        message_text = f"message {number} ({role}) has a `weight`, but only an assistant's messages are trained"
        row.wrong("weight", message_text, "take it out")
    if len(row.problems) > before:
        return None
    return Message(role, content, float(weight))  # type: ignore[arg-type]


def _unknown_role(role: Any, number: int, row: Fields) -> None:
    known = f"one of: {', '.join(ROLES)}"
    if role is None:
        row.wrong("role", f"message {number} has no `role`", f"write {known}")
    elif role in TOOL_ROLES:
        row.wrong("tools", f"message {number} has the role {role!r}", WITHOUT_TOOLS)
    elif not isinstance(role, str):
        row.wrong("role", f"message {number} has {kind(role)} as `role`", f"write {known}")
    else:
        near = get_close_matches(role.strip().lower(), ROLES, n=1)
        name = OTHER_NAMES.get(role.strip().lower()) or (near[0] if near else "")
        row.wrong("role", f"message {number} has the unknown role {role!r}", f"write {name or known}")


def _check_order(messages: list[Message], row: Fields) -> None:
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        row.wrong("no_answer", "no message has the role assistant: nothing to train on", "write the wanted answer")
        return
    if "system" in roles[1:]:
        number = roles.index("system", 1) + 1
        remedy = "write one system message and put it first"
        row.wrong("order", f"message {number} is a system message, but not the first", remedy)
    first = roles.index("assistant")
    if "user" not in roles[:first]:
        message = f"message {first + 1} is an answer with no user message before it"
        row.wrong("order", message, "write what the user says before it")
    if not any(message.weight for message in messages if message.role == "assistant"):
        message = "every assistant message has the weight 0: nothing to train on"
        row.wrong("no_answer", message, "give one a weight, or take the row out")
