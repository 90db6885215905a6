"""The rules of advice: each a pure function of the facts, with a source; a file's `RULES` are in order.

`fine_tune`: whether to train at all; `possible`: which methods are left out; `method`: which of the others; `values`:
its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def rule(source: str) -> Callable[[Function], Function]:
    """Marks a function as a rule: its docstring says what it holds, `source` where that is known from."""

    def mark(function: Function) -> Function:
        function.source = source  # type: ignore[attr-defined]
        return function

    return mark


def source_of(function: Callable[..., Any]) -> str:
    """Where a rule is known from."""
    return str(function.source)  # type: ignore[attr-defined]
