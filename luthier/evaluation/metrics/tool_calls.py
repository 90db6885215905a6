"""Tool calls: the share of rows whose answer calls the wanted tools with the wanted arguments, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from luthier.evaluation.matching import parsed
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import Fit, ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "answers"
examples: Final = (
    '<tool_call>\n{"name": "refund", "arguments": {"order": 17}}\n</tool_call>',
    '[TOOL_CALLS][{"name": "look_up", "arguments": {"order": "17"}}, {"name": "wait", "arguments": {}}]',
    '{"name": "refund", "parameters": {"order": 17, "whole": true}}',
)

_DECODER: Final = json.JSONDecoder()


def calls(text: str) -> list[tuple[str, Any]]:
    """The calls in a text as the usual templates write them: JSON objects with a `name` and `arguments` (or
    `parameters`), alone, in a list, under `function`, between marks; each with its arguments, in order of the names.

    `<tool_call>{"name": "refund", "arguments": {"order": 17}}</tool_call>` is one call of `refund`.
    """
    found = [call for value in _objects(text) for call in _calls_of(value)]
    return sorted(found, key=repr)


def _objects(text: str) -> Iterator[Any]:
    """The outermost JSON objects of a text, one after another."""
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


def _calls_of(value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        return
    name = value.get("name")
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(name, str) and isinstance(arguments, dict | str):
        yield name, _plain(arguments)
    elif isinstance(value.get("function"), dict):
        yield from _calls_of(value["function"])
    elif isinstance(value.get("tool_calls"), list):
        for inner in value["tool_calls"]:
            yield from _calls_of(inner)


def _plain(arguments: Any) -> Any:
    """Arguments in a form that compares as JSON does: 1 equals 1.0, and true is no 1."""
    return parsed(arguments if isinstance(arguments, str) else json.dumps(arguments))


def _right(sample: Sample) -> Sequence[bool]:
    return [
        calls(answer.text) == calls(question.wanted)
        for question, answer in zip(sample.questions, sample.answers, strict=True)
    ]


def _details(sample: Sample) -> Mapping[str, Any]:
    """The share of rows whose tools are the wanted ones, whatever the arguments."""
    named = [
        [name for name, _ in calls(answer.text)] == [name for name, _ in calls(question.wanted)]
        for question, answer in zip(sample.questions, sample.answers, strict=True)
    ]
    return {"right_tools": sum(named) / len(named)}


_share = ShareOfRows(_right, Fit(lambda question: bool(calls(question.wanted)), "call a tool"), details=_details)
measure, difference, rows_needed, unfit = _share.measure, _share.difference, _share.rows_needed, _share.unfit
