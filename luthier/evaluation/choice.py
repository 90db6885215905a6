"""Which method of a comparison to take: by the targets, then by what is more than noise, then by memory."""

from __future__ import annotations

from dataclasses import replace

from luthier.evaluation.compare import Comparison, Method, goodness, leader, not_told_apart


def chosen(found: Comparison) -> Comparison:
    """The comparison with its `best` method and why.

    Of the methods that miss the fewest targets the one that leads by the deciding metric is best; where others of
    these are not told apart from it, that one of them all which took the least memory. So `best` is a method to take,
    and not always one that is better than all others: `not_told_apart` names those that it is as good as.
    """
    name = found.decided_by
    if not name:
        return replace(found, best=None, why="no metric was measured for all methods", not_told_apart=())
    fewest = min(len(_missed(method)) for method in found.methods)
    able = [method for method in found.methods if len(_missed(method)) == fewest]
    first = leader(able, name)
    near = [one for one in not_told_apart(first.run, found.pairs, name) if one in {method.run for method in able}]
    alike = [first, *(method for method in able if method.run in near)]
    best = min(alike, key=_memory)
    others = tuple(method.run for method in alike if method is not best)
    return replace(found, best=best.run, why="; ".join(_why(found, able, first, best, alike)), not_told_apart=others)


def _why(found: Comparison, able: list[Method], first: Method, best: Method, alike: list[Method]) -> list[str]:
    words = found.decided_by.replace("_", " ")
    others = ", ".join(method.run for method in alike if method is not first)
    said = []
    if len(able) < len(found.methods):
        said.append(f"{_names(able)} miss{'es' if len(able) == 1 else ''} the fewest targets")
    if not others:
        only = "" if len(able) == len(found.methods) else " of these"
        leads = f"{first.run} leads by {words}, beyond noise" if len(able) > 1 else ""
        said += [leads + only] if leads else []
    else:
        equal = all(goodness(method, found.decided_by) == goodness(first, found.decided_by) for method in alike)
        leads = f"{_names(alike)} are equal by {words}"
        said.append(leads if equal else f"{first.run} leads by {words}, but is not told apart from {others}")
        said.append(f"of these {best.run} takes the least memory")
        said += _by_loss(found, best, alike)
    missed = _missed(best)
    if missed:
        said.append(f"it misses its target{'s' if len(missed) > 1 else ''} {' and '.join(missed)}")
    return [f"{best.run} is the one to take", *said]


def _by_loss(found: Comparison, best: Method, alike: list[Method]) -> list[str]:
    """Which of them is better than the best by loss, where another metric decides and does not tell them apart."""
    if found.decided_by == "loss" or "loss" not in best.metrics:
        return []
    near = not_told_apart(best.run, found.pairs, "loss")
    better = [one for one in alike if one.run not in near and goodness(one, "loss") > goodness(best, "loss")]
    return [f"by loss {_names(better)} {'is' if len(better) == 1 else 'are'} better than it"] if better else []


def _missed(method: Method) -> list[str]:
    return [f"{one.metric.replace('_', ' ')} {one.target}" for one in method.targets if one.verdict == "missed"]


def _memory(method: Method) -> tuple[float, float]:
    return method.peak_memory_bytes or float("inf"), method.trainable_share or 1.0


def _names(methods: list[Method]) -> str:
    *head, last = [method.run for method in methods]
    return f"{', '.join(head)} and {last}" if head else last
