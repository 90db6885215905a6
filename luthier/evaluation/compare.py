"""Finished runs against each other on the same rows: every pair tested by every metric, and the best where it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from luthier.evaluation import metrics
from luthier.evaluation.evaluate import Scored, difference
from luthier.evaluation.kept import Kept
from luthier.flow import Measure, Progress, TargetResult
from luthier.statistics import holm

LEVEL: Final = 0.05
"""Two runs are told apart where the corrected probability of their difference is under this."""


@dataclass(frozen=True, slots=True)
class Method:
    """A finished run in a comparison: what it took, and its metrics on the rows that all runs share.

    `trainable_share` is None where the model before tuning is not there to be counted; `seconds` are those of steps and
    evaluations while training.
    """

    run: str
    tuning_method: str
    trainable_share: float | None
    peak_memory_bytes: int | None
    seconds: float
    metrics: Mapping[str, Measure]
    targets: tuple[TargetResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """`one` minus `other` by one metric, each row compared with itself. `probability` is the paired test's, `corrected`
    the same after Holm's correction over all pairs of that metric; both None where there was no test."""

    metric: str
    one: str
    other: str
    difference: Measure
    probability: float | None
    corrected: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs on the same rows. `best` is a run's name, None where no run is better than all others beyond noise; `why`
    says it in words, and `not_told_apart` names the runs that the leading one is not told apart from.

    `decided_by` is the metric that the runs are ranked by: see `deciding_metric`.
    """

    rows: int
    data: str
    methods: tuple[Method, ...]
    base: Mapping[str, Measure]
    pairs: tuple[Pair, ...]
    decided_by: str
    best: str | None
    why: str
    not_told_apart: tuple[str, ...] = ()
    correction: str = field(default="Holm's, over all pairs of runs, metric by metric")


def apart(one: Kept, other: Kept) -> str:
    """Why two runs cannot be compared row by row, empty where they can: they were evaluated on other rows."""
    mine, others = Counter(_keys(one)), Counter(_keys(other))
    if mine == others:
        return ""
    same = (mine & others).total()
    return f"{mine.total():,} rows and {others.total():,} rows, of which {same:,} are the same"


def compare(
    methods: Sequence[Method], kept: Sequence[Kept], base: Mapping[str, Measure], data: str, seed: int = 0
) -> Generator[Progress, None, Comparison]:
    """The comparison of runs that were evaluated on the same rows, `kept` being what each did with them."""
    scored = [_in_order_of(kept[0], one) for one in kept]
    questions = kept[0].questions
    names = _measured_by_all(methods)
    total = len(names) * len(methods) * (len(methods) - 1) // 2
    pairs: list[Pair] = []
    for name in names:
        found = []
        for one, other in combinations(range(len(methods)), 2):
            found.append((one, other, difference(name, questions, *_both(scored[one], scored[other]), seed)))
            yield Progress("comparing", len(pairs) + len(found), total)
        pairs += _corrected(name, [method.run for method in methods], found)
    decided_by = deciding_metric(methods, names)
    best, why, near = _best(methods, pairs, decided_by)
    return Comparison(len(questions), data, tuple(methods), base, tuple(pairs), decided_by, best, why, near)


def deciding_metric(methods: Sequence[Method], names: Sequence[str]) -> str:
    """Accuracy where all runs have it, else the first metric of a target that they have, else the loss."""
    wanted = [
        "accuracy",
        *(metrics.OTHER_NAMES.get(t.metric, t.metric) for one in methods for t in one.targets),
        "loss",
    ]
    return next((name for name in wanted if name in names and metrics.load(name).direction != "neither"), "")


def _keys(kept: Kept) -> list[tuple[str, int, int, str]]:
    """A row by its place and what it says; the folder of its file does not count."""
    return [
        (Path(question.place.file).name, question.place.line, question.place.row_group or 0, digest)
        for question, digest in zip(kept.questions, kept.hashes, strict=True)
    ]


def _in_order_of(first: Kept, kept: Kept) -> Scored:
    """What the run did with the rows, in the order in which `first` has them."""
    places: dict[Any, list[int]] = {}
    for row, key in enumerate(_keys(kept)):
        places.setdefault(key, []).append(row)
    order = [places[key].pop(0) for key in _keys(first)]

    def ordered(items: Sequence[Any]) -> list[Any]:
        return [items[row] for row in order] if items else []

    scored = kept.tuned
    return Scored(ordered(scored.answers), ordered(scored.row_scores), ordered(scored.label_scores))


def _both(one: Scored, other: Scored) -> tuple[Scored, Scored]:
    """Both with the answers and labels of rows that both have."""
    for name in ("answers", "label_scores"):
        mine, others = getattr(one, name), getattr(other, name)
        if mine and others:
            there = [a is not None and b is not None for a, b in zip(mine, others, strict=True)]
            kept: list[dict[str, Any]] = [
                {name: [item if both else None for item, both in zip(items, there, strict=True)]}
                for items in (mine, others)
            ]
            one, other = replace(one, **kept[0]), replace(other, **kept[1])
    return one, other


def _measured_by_all(methods: Sequence[Method]) -> list[str]:
    """Metrics that every run has a value of; functions of the user's own are not asked again."""
    return [
        name
        for name in metrics.names()
        if all(name in one.metrics and one.metrics[name].value is not None for one in methods)
    ]


def _corrected(name: str, runs: Sequence[str], found: Sequence[tuple[int, int, Measure]]) -> list[Pair]:
    probabilities = [measure.details.get("probability") for _, _, measure in found]
    tested = [probability for probability in probabilities if probability is not None]
    corrected = iter(holm(tested))
    return [
        Pair(name, runs[one], runs[other], measure, was, None if was is None else next(corrected))
        for (one, other, measure), was in zip(found, probabilities, strict=True)
    ]


def _best(methods: Sequence[Method], pairs: Sequence[Pair], name: str) -> tuple[str | None, str, tuple[str, ...]]:
    if not name:
        return None, "no metric was measured for all runs", ()

    def value(method: Method) -> float:
        measured = method.metrics[name].value
        assert measured is not None
        return measured if metrics.load(name).direction == "higher" else -measured

    leader = max(methods, key=value)
    words, near = name.replace("_", " "), []
    for method in methods:
        if method is leader:
            continue
        pair = next(one for one in pairs if one.metric == name and {one.one, one.other} == {leader.run, method.run})
        if pair.corrected is None or pair.corrected >= LEVEL:
            near.append(method.run)
    missed = [f"{one.metric.replace('_', ' ')} {one.target}" for one in leader.targets if one.verdict == "missed"]
    said = f"; {leader.run} misses its target {' and '.join(missed)}" if missed else ""
    if near:
        others = ", ".join(near)
        equal = all(value(method) == value(leader) for method in methods if method.run in near)
        leads = (
            f"{leader.run} and {others} are equal by {words}"
            if equal
            else (f"{leader.run} leads by {words}, but is not told apart from {others}")
        )
        return None, f"no difference beyond noise: {leads}{_by_loss(pairs, name)}{said}", tuple(near)
    return leader.run, f"{leader.run} is better by {words} than every other, beyond noise{said}", ()


def _by_loss(pairs: Sequence[Pair], decided_by: str) -> str:
    """What the loss says of the runs where another metric does not tell them apart: `; by loss a is better than b`."""
    found = []
    for pair in pairs:
        if pair.metric == "loss" != decided_by and pair.corrected is not None and pair.corrected < LEVEL:
            assert pair.difference.value is not None
            better, worse = (pair.one, pair.other) if pair.difference.value < 0 else (pair.other, pair.one)
            found.append(f"{better} is better than {worse}")
    return f"; by loss {', '.join(found)}" if found else ""
