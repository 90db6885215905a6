"""Where chat templates run: Jinja without a way to Python's insides, with bounds on how long and large they grow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache, wraps
from typing import Any, NoReturn, cast

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

STEPS = 5_000_000
"""Rounds of loops in one rendering: a second or two. A row of 1,000 messages takes some thousands."""

LETTERS = 50_000_000
"""Letters of one value that a template makes."""

DIGITS = 10_000
"""Binary digits of a number that a template makes, and letters of a width that it names."""

_WIDE = re.compile(r"%[-+ #0]*(\*|\d{5})|\{[^{}]*:[^{}]*(\d{5}|\{)")
_DICT = frozenset(dir(dict))
_LOOP = frozenset({"first", "last", "index", "index0", "length"})
_COUNT = "_steps"
_CALL = 20
"""A macro's call takes as long as so many rounds of a loop."""


class Stopped(SecurityError):
    """A template that would not have come to an end, or would have filled the memory."""


def run(template: jinja2.Template, day: str, **values: Any) -> str:
    """The template rendered with these values; `strftime_now` says that day, as `2026-11-23`, or where it is empty now.

    Raises whatever a template raises, all kinds of Python's errors among it; `Stopped` where it loops without an end or
    grows without measure, another `SecurityError` where it reaches for what the sandbox keeps from it.
    """
    return template.render(values, strftime_now=_clock(day), **{_COUNT: [0]})


@lru_cache(maxsize=16)
def _clock(day: str) -> Callable[[str], str]:
    return (datetime.fromisoformat(day) if day else datetime.now()).strftime


@lru_cache(maxsize=16)
def compiled(text: str) -> jinja2.Template:
    """The template, ready to run. Raises `TemplateSyntaxError`."""
    return template_of(environment().parse(text))


@cache
def environment() -> _Environment:
    """The sandbox with what chat templates expect to find there."""
    made = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols])

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    widths = {name: _narrow(made.filters[name]) for name in ("batch", "center", "format", "indent")}
    made.filters.update(widths, tojson=tojson, _step=_step, _bounded=_bounded)
    made.globals["raise_exception"] = cast(Callable[..., Any], raise_exception)
    made.globals["namespace"] = _Namespace
    return made


def template_of(tree: nodes.Template) -> jinja2.Template:
    """The program of a tree, with its loops counted and its values measured."""
    kinds: tuple[type[nodes.For | nodes.Macro | nodes.CallBlock], ...] = (nodes.For, nodes.Macro, nodes.CallBlock)
    for loop in tree.find_all(kinds):
        weight = 1 if isinstance(loop, nodes.For) else _CALL
        step = nodes.Filter(nodes.Const(weight), "_step", [], [], None, None, lineno=loop.lineno)
        loop.body.insert(0, nodes.ExprStmt(step, lineno=loop.lineno))
    for assignment in tree.find_all(nodes.Assign):
        assignment.node = nodes.Filter(assignment.node, "_bounded", [], [], None, None, lineno=assignment.lineno)
    tree.set_environment(environment())
    # Plain globals: a chain of dictionaries otherwise, walked at each rendering, a third of the time for a short row.
    return jinja2.Template.from_code(environment(), environment().compile(tree), dict(environment().globals))


@jinja2.pass_context
def _step(context: jinja2.runtime.Context, weight: int) -> None:
    """Counts a round of a loop or a call of a macro."""
    count = context.parent[_COUNT]
    count[0] += weight
    if count[0] > STEPS:
        raise Stopped(f"it was stopped after {STEPS:,} rounds of its loops")


def _bounded(value: Any) -> Any:
    """A value that is to be kept, if it is not out of measure."""
    if isinstance(value, str | list | tuple) and len(value) > LETTERS:
        raise _too_large()
    return value


def _too_large() -> Stopped:
    return Stopped(f"it was stopped on the way to a value of more than {LETTERS:,} letters")


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox that transformers uses too, with bounds on what a short expression can blow up."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%":
            _refuse_wide(left)
        elif isinstance(left, int) and isinstance(right, int):
            factor, bits = (right, 0) if operator == "**" else (1, right.bit_length())
            if left.bit_length() * factor + bits > DIGITS:
                raise _too_large()
        elif operator == "*":
            counts = [value if isinstance(value, int) else len(value) for value in (left, right) if _countable(value)]
            if len(counts) == 2 and counts[0] * counts[1] > LETTERS:
                raise _too_large()
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        # What templates look at most, and what is safe, without the sandbox's questions.
        if type(obj) is dict and attribute in obj and attribute not in _DICT:
            return obj[attribute]
        if type(obj) is jinja2.runtime.LoopContext and attribute in _LOOP:
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def call(__self, __context: jinja2.runtime.Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        # Named as Jinja has them, so that a template's own names cannot clash. `"x".ljust(10 ** 10)` is such a call.
        for value in args:
            if type(value) is int and value > LETTERS:
                raise _too_large()
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        made = super().wrap_str_format(value)
        if made is not None:
            _refuse_wide(value.__self__)
        return made


def _countable(value: object) -> bool:
    return isinstance(value, int | str | list | tuple)


def _refuse_wide(text: object) -> None:
    """Refuses a text with a place for a value that would be made 10,000 letters wide, or as wide as another says."""
    if isinstance(text, str) and _WIDE.search(text):
        raise _too_large()


def _narrow(make: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's that takes widths, with a bound on them."""

    @wraps(make)
    def made(value: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_wide(value if make.__name__ == "do_format" else "")
        if any(isinstance(width, int) and width > DIGITS for width in (*args, *kwargs.values())):
            raise _too_large()
        return make(value, *args, **kwargs)

    return made


class _Generation(jinja2.ext.Extension):
    """`{% generation %} ... {% endgeneration %}`, by which some templates mark what is trained: rendered as it stands.

    Trained tokens are found by what inference sends, never by these marks.
    """

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without names that begin with an underscore, which would reach behind the sandbox."""

    def __init__(*args: Any, **attributes: Any) -> None:
        for name in dict(*args[1:], **attributes):
            _refuse_hidden(name)
        jinja2.utils.Namespace.__init__(*args, **attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_hidden(name)
        super().__setitem__(name, value)


def _refuse_hidden(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a template may not keep {name!r} in a namespace")
