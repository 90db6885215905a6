"""What each line of a comparison is good for beside the others, in words: what it is best at, and what speaks against
it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from luthier.evaluation import metrics
from luthier.evaluation.compare import Comparison, Method, goodness, leader, not_told_apart
from luthier.report import numbers

CLEARLY: Final = 0.9
"""A cost is said to be the least where it is under this share of every other's."""
FORGETTING: Final = "forgetting"


def with_best_for(found: Comparison) -> Comparison:
    """The comparison with each line's `best_for`: `the highest accuracy (94.2%), beyond noise; the least memory
    (812.0 MB)`."""
    lines = tuple(replace(method, best_for="; ".join(_strengths(found, method))) for method in found.methods)
    return replace(found, methods=lines)


def _strengths(found: Comparison, method: Method) -> list[str]:
    others = [one for one in found.methods if one is not method]
    said = [_quality(found, method)] if found.decided_by else []
    said += [_least(method, others, *cost) for cost in _COSTS]
    said.append(_forgetting(method, others))
    said = [one for one in said if one]
    if not said:
        return [_nothing(found, method)] if found.decided_by else []
    return said


def _quality(found: Comparison, method: Method) -> str:
    """That it leads, or is as good as the leader for less memory."""
    name = found.decided_by
    first = leader(found.methods, name)
    near = not_told_apart(first.run, found.pairs, name)
    value = numbers.measured(method.metrics[name].value, metrics.load(name).range == (0.0, 1.0))
    words = name.replace("_", " ")
    if method is first:
        most = "highest" if metrics.load(name).direction == "higher" else "lowest"
        certain = f"not told apart from {', '.join(near)}" if near else "beyond noise"
        return f"the {most} {words} ({value}), {certain}"
    mine, leads = method.peak_memory_bytes, first.peak_memory_bytes
    if method.run in near and mine and leads and mine < CLEARLY * leads:
        return f"{words} not told apart from {first.run}'s for {1 - mine / leads:.0%} less memory"
    return ""


_COSTS: Final = (
    ("peak_memory_bytes", "the least memory", numbers.size),
    ("seconds", "the least time", numbers.duration),
    ("trainable_share", "the fewest trained parameters", lambda share: f"{share:.3%}"),
)


def _least(method: Method, others: list[Method], cost: str, words: str, shown: object) -> str:
    mine = getattr(method, cost)
    if mine is None or any(getattr(one, cost) is None or mine >= CLEARLY * getattr(one, cost) for one in others):
        return ""
    assert callable(shown)
    return f"{words} ({shown(mine)})"


def _forgetting(method: Method, others: list[Method]) -> str:
    """That it forgot less than every other, their intervals apart."""
    mine = method.metrics.get(FORGETTING)
    if mine is None or mine.value is None or mine.high is None:
        return ""
    for one in others:
        theirs = one.metrics.get(FORGETTING)
        if theirs is None or theirs.low is None or mine.high > theirs.low:
            return ""
    return f"the least forgotten ({numbers.number(mine.value)} nats a token)"


def _nothing(found: Comparison, method: Method) -> str:
    """Why nothing speaks for it here: the line that is better for no more memory, or none."""
    name = found.decided_by
    for one in sorted(found.methods, key=lambda other: -goodness(other, name)):
        cheaper = (one.peak_memory_bytes or 0) <= (method.peak_memory_bytes or 0)
        if one is not method and goodness(one, name) > goodness(method, name) and cheaper:
            return f"nothing here: {one.run} is better by {name.replace('_', ' ')} for no more memory"
    return "nothing here that another is not better at"
