"""Tools and the calls of them as rows hold them: read into flow's types, and written back in OpenAI's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from luthier.data.fields import Fields
from luthier.data.json_text import kind, lone_surrogate
from luthier.flow import ToolCall

CALL = '{"name": "...", "arguments": {...}}'
TOOL = '{"type": "function", "function": {"name": "...", "description": "...", "parameters": {...}}}'


def read_tools(row: Fields, *names: str) -> tuple[Mapping[str, Any], ...]:
    """The tools under the one of `names` that is there: a list, or the JSON text of one, each tool described as
    `{"type": "function", "function": {"name": ...}}` or by what stands inside that alone."""
    name = row.given(*(name for name in names if row.values.get(name) not in ("", [])))
    if not name:
        return ()
    given = row.values[name]
    tools = from_json(given) if isinstance(given, str) else given
    if not isinstance(tools, list):
        row.wrong("tools", f"`{name}` is {_what(given)}, not a list of tools", f"write [{TOOL}]")
        return ()
    described = []
    for number, tool in enumerate(tools, 1):
        inside = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(inside, dict) or not _named(inside):
            row.wrong("tools", f"tool {number} of `{name}` has no name", f"write {TOOL}")
        elif inside is tool:
            function = {key: value for key, value in tool.items() if key != "type"}
            described.append({"type": "function", "function": function})
        else:
            described.append(tool)
    return tuple(described)


def read_calls(given: Any, what: str, row: Fields) -> tuple[ToolCall, ...]:
    """The calls in `tool_calls`, in `function_call` or in a ShareGPT call's text: one, a list, or the JSON text of
    either, each `{"id", "function": {"name", "arguments"}}` or `{"name", "arguments"}`. `what` names the place."""
    value = from_json(given) if isinstance(given, str) else given
    calls = []
    for call in value if isinstance(value, list) else [value]:
        inside = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(inside, dict) or not _named(inside):
            shown = f"{_what(given)}, not a call" if inside is None else "a call without a name"
            row.wrong("tool_call", f"{what} is {shown}", f"write {CALL}")
            continue
        arguments = inside.get("arguments")
        if isinstance(arguments, str):
            arguments = from_json(arguments) if arguments.strip() else {}
        elif arguments is None:
            arguments = {}
        identifier = call.get("id")
        if not isinstance(arguments, dict):
            message = f"{what}: the arguments of {inside['name']} are {_what(inside['arguments'])}, not an object"
            row.wrong("tool_call", message, 'write the arguments by name: "{\\"city\\": \\"Paris\\"}"')
        elif identifier is not None and not isinstance(identifier, str):
            row.wrong("tool_call", f"{what}: the `id` is {kind(identifier)}, not a text", "write one, or leave it out")
        else:
            calls.append(ToolCall(inside["name"], arguments, identifier))
    return tuple(calls)


def from_json(text: str) -> Any:
    """What a text holds as JSON; None where it is none, or holds half of a character."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if lone_surrogate(value) else value


def write_call(call: ToolCall) -> dict[str, Any]:
    """A call as OpenAI's files have it: its arguments are the JSON text of an object."""
    function = {"name": call.name, "arguments": to_json(call.arguments)}
    return {**({"id": call.id} if call.id is not None else {}), "type": "function", "function": function}


def to_json(value: Any) -> str:
    """The JSON text of a value, its letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def _named(function: Mapping[str, Any]) -> bool:
    name = function.get("name")
    return isinstance(name, str) and bool(name) and not name.isspace()


def _what(given: Any) -> str:
    return "a text that is no JSON" if isinstance(given, str) and from_json(given) is None else kind(given)
