"""What becomes of a row by what the checks found: kept as it is, kept as named rules mend it, or left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.data.checks import Row
from luthier.data.fields import Parsed
from luthier.data.quality import Quality, Result
from luthier.data.redact import Redactor, finders
from luthier.flow import Conversation, Place

Parse = Callable[[Mapping[str, Any], Place], Parsed]


@dataclass(frozen=True, slots=True)
class Mended:
    """A row's `values` after the rules that changed them; `reason` is why it is left out, empty where it is kept.
    `redacted` counts the values that placeholders stand for, by kind."""

    values: Mapping[str, Any]
    rules: tuple[str, ...] = ()
    reason: str = ""
    redacted: Mapping[str, int] = field(default_factory=dict)


class Mending:
    """The rows of a `Quality` by their numbers: those that are not held out, in the files' order.

    `redact` names what placeholders are to stand for (`luthier.data.redact.finders`); a row in which
    their checks find something even then is left out.
    """

    def __init__(self, quality: Quality, redact: Sequence[str] = ()) -> None:
        self.find = finders(redact)
        results = [result for result in quality.results if result.rows.any()]
        self.repairing = [result for result in results if _repairs(result)]
        leaving_out = [result for result in results if result.check.leaves_out and not _repairs(result)]
        self.leaving_out = [result for result in leaving_out if result.check.name not in self.find]
        self.redacting = [result for result in leaving_out if result.check.name in self.find]
        touched = [result.rows for result in (*self.repairing, *self.leaving_out)]
        self.touched = np.any(touched, axis=0) if touched else np.zeros(len(quality.whole), np.bool_)

    def row(self, number: int, values: Mapping[str, Any], conversation: Conversation, parse: Parse) -> Mended:
        """What becomes of the row of that number. `parse` is its form's."""
        if not self.touched[number] and not self.find:
            return Mended(values)
        reasons = [_reason(result, number, Row(conversation)) for result in self.leaving_out if result.rows[number]]
        if reasons:
            return Mended(values, reason="; ".join(reasons))
        rules: list[str] = []
        redactor = Redactor([*self.find.values()])
        changed = redactor.value(values) if self.find else values
        if redactor.counts:
            parsed = parse(changed, conversation.place)
            if parsed.conversation is None:
                return Mended(values, reason="redact: with placeholders it is no row any more")
            values, conversation = changed, parsed.conversation
            rules.append("redact")
        for result in self.redacting:
            assert result.check.look is not None, "what is redacted is found in a row by itself"
            if result.rows[number] and (hit := next(iter(result.check.look(Row(conversation))), None)):
                return Mended(values, reason=f"{result.check.name}: {hit.message}, which is not redacted")
        for result in self.repairing:
            if not result.rows[number]:
                continue
            changed = _mended(values, result, Row(conversation).answer)
            parsed = parse(changed, conversation.place)
            left = (
                parsed.conversation
                and result.check.look
                and next(iter(result.check.look(Row(parsed.conversation))), None)
            )
            if changed == values or parsed.conversation is None or left:
                why = left.message if left else _reason(result, number, Row(conversation))
                return Mended(values, reason=f"{result.check.name}: {why}, which cannot be mended")
            values, conversation = changed, parsed.conversation
            rules.append(result.check.name)
        return Mended(values, tuple(rules), redacted=redactor.counts)


def _repairs(result: Result) -> bool:
    return bool(result.check.repair or result.check.repair_answer or result.answers)


def _reason(result: Result, number: int, row: Row) -> str:
    hit = next(iter(result.check.look(row)), None) if result.check.look else None
    if hit is None and result.describe is not None:
        hit = result.describe(number)
    return f"{result.check.name}: {hit.message if hit else result.check.what}"


def _mended(values: Any, result: Result, answer: str) -> Any:
    """Values with every text in them mended; what mends answers takes only the texts that are the row's answer."""
    if isinstance(values, Mapping):
        return {key: _mended(value, result, answer) for key, value in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return [_mended(value, result, answer) for value in values]
    if not isinstance(values, str):
        return values
    if result.check.repair:
        return result.check.repair(values)
    if values == answer:
        mended = result.answers.get(answer, answer)
        return result.check.repair_answer(mended) if result.check.repair_answer else mended
    return values
