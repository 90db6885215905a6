"""When a generated answer counts as the wanted one."""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import Decimal
from typing import Any

_SPACES = re.compile(r"\s+")


def same_answer(answer: str, wanted: str) -> bool:
    """Equal after `normalized`, or, where the wanted answer is a JSON object or array, equal when parsed.

    `same_answer(" Billing. ", "billing")` and `same_answer('{"b": 1.0, "a": "x"}', '{"a":"x","b":1}')` are true;
    `same_answer("billing issue", "billing")` is false.
    """
    if is_json(wanted):
        return is_json(answer) and bool(parsed(answer) == parsed(wanted))
    return normalized(answer) == normalized(wanted)


def normalized(text: str) -> str:
    """Unicode NFKC, casefolded, white space collapsed, full stops at the end dropped (unless there is nothing else).

    `normalized(" The  Refund\\n desk. ")` is `"the refund desk"`.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    collapsed = _SPACES.sub(" ", folded).strip()
    return collapsed.rstrip(" .。") or collapsed


def is_json(text: str) -> bool:
    """Whether the whole text is a JSON object or array that can be compared."""
    return isinstance(parsed(text), dict | list)


def parsed(text: str) -> Any:
    """The JSON object or array that a text is, or None; in it a number is `("number", Decimal)`: 1 equals 1.0, not
    true."""
    if text.strip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_not_json)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _number(digits: str) -> tuple[str, Decimal]:
    return ("number", Decimal(digits))


def _not_json(constant: str) -> Any:
    raise ValueError(constant)
