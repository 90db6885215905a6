"""Chat rows: `{messages: [{role, content, weight?, tool_calls?, ...}], tools?}`, as OpenAI's files have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, MEDIA, DoesNotFit, Fields, Parsed, with_category
from luthier.data.messages import finished, plain, read_messages, write_message
from luthier.data.tools import read_tools
from luthier.flow import Conversation, Form, Place

gives: Form = "chat"
needs = (("messages",),)
fields = frozenset({"messages", "tools", "functions", *MEDIA, *CATEGORY})
example = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """The messages up to the last answer, and the tools.

    `function_call` and `functions`, OpenAI's older names, are read as calls and tools, the role developer as system;
    `<think>` inside a content is left alone.
    """
    messages = plain(values)
    if messages is not None and len(values) == 1:
        return Parsed(Conversation("chat", messages, place))
    row = Fields(values, place)
    row.refuse_media()
    tools = read_tools(row, "tools", "functions")
    if messages is None:
        if values.get("messages") is None:
            row.wrong("missing_field", "no `messages`", f"write {example}")
        else:
            messages = tuple(read_messages(values["messages"], "messages", row))
    return finished("chat", list(messages or ()), row, tools)


def remark(values: Mapping[str, Any]) -> str:
    """What a file of such rows should say beside its form; mostly nothing."""
    messages = values.get("messages")
    if isinstance(messages, list) and any(isinstance(m, dict) and m.get("role") == "developer" for m in messages):
        return "the role developer is read as system"
    return ""


def write(conversation: Conversation) -> dict[str, Any]:
    """The row. Raises `DoesNotFit`."""
    if conversation.rejected:
        raise DoesNotFit("a chat row holds no worse answer")
    if "user" not in {message.role for message in conversation.messages}:
        raise DoesNotFit("a chat row needs a question before its answer")
    row: dict[str, Any] = {"messages": [write_message(message) for message in conversation.messages]}
    if conversation.tools:
        row["tools"] = list(conversation.tools)
    return with_category(row, conversation)
