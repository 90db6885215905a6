"""Messages as a chat template wants to be handed them. Templates differ in small things; each is found by asking it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from luthier.flow import Message, ToolCall

Plain = dict[str, Any]
Reasoning = Literal["reasoning_content", "reasoning", "thinking", "blocks"]
Ask = Callable[[list[Plain]], str | None]
"""What a template makes of messages, with the probe tool declared; None where it takes none such."""

MARK: Final = "luthierprobe"
"""A word that stands for a value when a template is asked where it writes it."""

PROBE_TOOL: Final[Plain] = {
    "type": "function",
    "function": {
        "name": "probe",
        "description": "A tool to ask a template with.",
        "parameters": {
            "type": "object",
            "properties": {"key": {"type": "string", "description": "A text."}},
            "required": ["key"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a template reads what goes beyond role and content.

    `arguments` of a call are an object or JSON as text. `no_content` stands where a message has calls and no content.
    `reasoning` is the field with the thinking; `blocks` where content is a list of blocks instead.
    """

    arguments: Literal["object", "text"] = "object"
    no_content: str | None = ""
    reasoning: Reasoning = "reasoning_content"

    def plain(self, message: Message) -> Plain:
        """The message in Hugging Face's convention."""
        made: Plain = {"role": message.role, "content": message.content}
        if message.tool_calls:
            if not message.content:
                made["content"] = self.no_content
            made["tool_calls"] = [
                {
                    "type": "function",
                    **({"id": call.id} if call.id is not None else {}),
                    "function": {"name": call.name, "arguments": self._arguments(dict(call.arguments))},
                }
                for call in message.tool_calls
            ]
        if message.reasoning and self.reasoning == "blocks":
            blocks = [{"type": "thinking", "thinking": message.reasoning}, {"type": "text", "text": message.content}]
            made["content"] = blocks if message.content else blocks[:1]
        elif message.reasoning:
            made[self.reasoning] = message.reasoning
        if message.name is not None:
            made["name"] = message.name
        if message.tool_call_id is not None:
            made["tool_call_id"] = message.tool_call_id
        return made

    def _arguments(self, arguments: Plain) -> Plain | str:
        return arguments if self.arguments == "object" else json.dumps(arguments, ensure_ascii=False)


_KEY: Final = "luthierkey"
_QUESTION: Final[Plain] = {"role": "user", "content": "?"}
_REASONING: Final[tuple[Reasoning, ...]] = ("reasoning_content", "reasoning", "thinking", "blocks")


def call_of_probe(value: str, **more: Any) -> Message:
    """A message that calls the probe tool with this one argument."""
    return Message("assistant", "", tool_calls=(ToolCall("probe", {_KEY: value}, "a1b2c3d4e"),), **more)


def find_dialect(ask: Ask) -> Dialect:
    """The dialect of the template that `ask` asks: the first in which it writes a call whole, and the first field of
    which it writes the thinking. The defaults where it writes neither."""
    calls = (Dialect(arguments, empty) for arguments in ("object", "text") for empty in ("", None))
    found = next((dialect for dialect in calls if _writes_calls(dialect, ask)), Dialect())
    thinking = (replace(found, reasoning=field) for field in _REASONING)
    return next((dialect for dialect in thinking if _writes_reasoning(dialect, ask)), found)


def _writes_calls(dialect: Dialect, ask: Ask) -> bool:
    """Whether a call comes out whole: not as Python writes a dictionary, and not as JSON within JSON."""
    written = ask([_QUESTION, dialect.plain(call_of_probe(MARK))]) or ""
    return MARK in written and _KEY in written and f"'{_KEY}'" not in written and f'\\"{_KEY}' not in written


def _writes_reasoning(dialect: Dialect, ask: Ask) -> bool:
    """Whether the thinking comes out as a text of its own: not as Python or JSON write a list of blocks."""
    thoughtful = (Message("assistant", "4", reasoning=MARK), call_of_probe("x", reasoning=MARK))
    texts = [ask([_QUESTION, dialect.plain(message)]) or "" for message in thoughtful]
    return any(MARK in text and f"'{MARK}'" not in text and f'"{MARK}"' not in text for text in texts)
