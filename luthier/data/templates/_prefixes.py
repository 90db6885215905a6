"""All beginnings of a conversation from one rendering, for templates that write a message by what stands before it.

Rendered message by message, a conversation of N messages costs N renderings of up to N messages. A template that loops
over the messages once, and in that loop looks at none that come later, writes the same for a message in each of them.
Its program shows whether it is such a one: then a mark behind each round of the loop tells the messages apart, and what
it writes behind the loop is written behind each round as well, with a generation prompt and without.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import jinja2
from jinja2 import nodes

from luthier.data.templates import _sandbox

MARK = "\ue002\ue003\ue002"
"""Stands behind each round; a conversation that holds it is rendered message by message."""

_ASK = "add_generation_prompt"
_PAST = frozenset({"first", "index", "index0"})
"""What a loop knows that does not depend on the messages to come."""

_KEEPING = (nodes.Assign, nodes.AssignBlock, nodes.For, nodes.Macro)
"""What could change something for a later rendering of the same part."""

_FOREIGN = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block, nodes.Continue, nodes.Break)


@lru_cache(maxsize=16)
def by_message(text: str) -> jinja2.Template | None:
    """A template that writes each message, the end with a generation prompt and the end without one, each followed by
    `MARK`; None where a message's text may depend on later ones."""
    tree = _sandbox.environment().parse(text)
    loops = [node for node in tree.body if isinstance(node, nodes.For) and _is_messages(node.iter, _others(tree))]
    if len(loops) != 1:
        return None
    (loop,) = loops
    place = tree.body.index(loop)
    head, tail = tree.body[:place], tree.body[place + 1 :]
    others = _others(tree)
    if (
        loop.else_
        or loop.test
        or loop.recursive
        or not isinstance(loop.target, nodes.Name)
        or any(_stored(tree) & {"messages", _ASK, "loop"})
        or not all(_early(node, others, "none") for node in head)
        or not all(_early(node, others, "messages") for node in loop.body)
        or not all(_early(node, set(), "none") for node in tail)
        or _named([*head, *loop.body]) & {_ASK, "cycler", "joiner"}
        or _named(tail) & ({loop.target.name} | set().union(*map(_stored, loop.body)))
        or any(isinstance(node, _KEEPING) or next(node.find_all(_KEEPING), None) for node in tail)
    ):
        return None
    ends = [_ending(text, place + 1, ask) for ask in (True, False)]
    loop.body += [_mark(loop), ends[0], _mark(loop), ends[1], _mark(loop)]
    tree.body[place + 1 :] = []
    return _sandbox.template_of(tree)


def _others(tree: nodes.Template) -> set[str]:
    """The names that stand for all messages, or for all but the first."""
    return {
        assignment.target.name
        for assignment in tree.find_all(nodes.Assign)
        if isinstance(assignment.target, nodes.Name) and _is_messages(assignment.node, set())
    }


def _is_messages(node: nodes.Node, others: set[str]) -> bool:
    """`messages`, `messages[1:]`, or another name of these."""
    if isinstance(node, nodes.Name):
        return node.name in {"messages", *others}
    return (
        isinstance(node, nodes.Getitem)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "messages"
        and isinstance(node.arg, nodes.Slice)
        and isinstance(node.arg.start, nodes.Const)
        and node.arg.start.value == 1
        and node.arg.stop is None
        and node.arg.step is None
    )


def _early(node: nodes.Node, others: set[str], loop: str) -> bool:
    """Whether nothing in a node depends on messages behind the one of the round (`loop` is `messages`), or behind the
    first (`none`). In loops over something else (`inner`) `loop` is theirs."""
    if isinstance(node, _FOREIGN):
        return False
    if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name) and node.target.name in others:
        return loop == "none" and _is_messages(node.node, set())
    if isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and node.node.name == "messages":
        return isinstance(node.arg, nodes.Const) and node.arg.value == 0
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "loop":
        return loop == "inner" or (loop == "messages" and node.attr in _PAST)
    if isinstance(node, nodes.Name):
        return node.name not in {"messages", *others} and (node.name != "loop" or loop == "inner")
    if isinstance(node, nodes.For):
        return _early(node.iter, others, loop) and all(
            _early(child, others, "inner") for child in node.iter_child_nodes() if child is not node.iter
        )
    return all(_early(child, others, loop) for child in node.iter_child_nodes())


def _named(found: Iterable[nodes.Node]) -> set[str]:
    names = {node.name for node in found if isinstance(node, nodes.Name)}
    return names.union(*({name.name for name in node.find_all(nodes.Name)} for node in found))


def _stored(node: nodes.Node) -> set[str]:
    """The names that a node gives a value, but for the fields of a namespace."""
    return {name.name for name in node.find_all(nodes.Name) if name.ctx in ("store", "param")}


def _mark(loop: nodes.For) -> nodes.Output:
    return nodes.Output([nodes.TemplateData(MARK)], lineno=loop.lineno)


def _ending(text: str, place: int, ask: bool) -> nodes.With:
    """What the template writes behind its loop, with or without a generation prompt."""
    tail = _sandbox.environment().parse(text).body[place:]
    return nodes.With([nodes.Name(_ASK, "param")], [nodes.Const(ask)], tail, lineno=1)
