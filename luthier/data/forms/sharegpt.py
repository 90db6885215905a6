"""ShareGPT rows: `{conversations: [{from, value}], system?, tools?}`, as LLaMA-Factory's files have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.data.fields import CATEGORY, MEDIA, DoesNotFit, Fields, Parsed, with_category
from luthier.data.messages import finished, marks, read_messages, with_system
from luthier.data.tools import read_tools, to_json
from luthier.flow import Conversation, Form, Message, Place

gives: Form = "chat"
needs = (("conversations",),)
fields = frozenset({"conversations", "system", "tools", *MEDIA, *CATEGORY})
example = '{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}'


def parse(values: Mapping[str, Any], place: Place) -> Parsed:
    """A chat row: human is the user, gpt and function_call are the assistant, observation and tool a tool's reply.

    A function_call's value is the JSON text of the call or of a list of calls; `tools` is a list or its JSON text.
    """
    row = Fields(values, place)
    row.refuse_media()
    tools = read_tools(row, "tools")
    messages: list[Message] = []
    if values.get("conversations") is None:
        row.wrong("missing_field", "no `conversations`", f"write {example}")
    else:
        messages = read_messages(values["conversations"], "conversations", row)
    return finished("chat", with_system(messages, row), row, tools)


def write(conversation: Conversation) -> dict[str, Any]:
    """The row, its tools as a JSON text. Raises `DoesNotFit`."""
    if conversation.rejected:
        raise DoesNotFit("a ShareGPT row holds no worse answer")
    if "user" not in {message.role for message in conversation.messages}:
        raise DoesNotFit("a ShareGPT row needs a question before its answer")
    row: dict[str, Any] = {"conversations": [_message(message) for message in conversation.messages]}
    if conversation.tools:
        row["tools"] = to_json(conversation.tools)
    return with_category(row, conversation)


def _message(message: Message) -> dict[str, Any]:
    if message.reasoning is not None:
        raise DoesNotFit("a ShareGPT message holds no reasoning beside its text")
    if message.tool_calls:
        if message.content:
            raise DoesNotFit("a ShareGPT call holds no text beside the call")
        calls = [
            {"name": call.name, "arguments": call.arguments, **({"id": call.id} if call.id is not None else {})}
            for call in message.tool_calls
        ]
        written = {"from": "function_call", "value": to_json(calls[0] if len(calls) == 1 else calls)}
    else:
        names = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
        written = {"from": names[message.role], "value": message.content}
    return written | marks(message)
