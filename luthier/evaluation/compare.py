"""Finished runs against each other on the same rows: every pair tested by every metric, and the best where it shows.

A line of a comparison is one run, or a method with a run a seed, whose numbers are pooled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from luthier.evaluation import metrics
from luthier.evaluation.evaluate import Scored, difference
from luthier.evaluation.front import COSTS, front
from luthier.evaluation.kept import Kept
from luthier.evaluation.seeds import over_seeds
from luthier.flow import Measure, Progress, TargetResult
from luthier.statistics import holm

LEVEL: Final = 0.05
"""Two runs are told apart where the corrected probability of their difference is under this."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A learning rate that was tried, and the validation loss at the end of it; None where that was no number."""

    learning_rate: float
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class Method:
    """A line of a comparison, named `run`: what it took, and its metrics on the rows that all lines share.

    `trainable_share` is None where the model before tuning is not there to be counted; `seconds` are those of steps and
    evaluations while training, `peak_memory_bytes` is the process's. Over several seeds the seconds are the mean, the
    memory the most, and each metric is pooled; `runs` are their folders. `search` holds the learning rates tried and
    `search_seconds` what that took; `best_for` says in words what the line is good for beside the others.
    """

    run: str
    tuning_method: str
    trainable_share: float | None
    peak_memory_bytes: int | None
    seconds: float
    metrics: Mapping[str, Measure]
    targets: tuple[TargetResult, ...] = ()
    runs: tuple[str, ...] = ()
    learning_rate: float | None = None
    steps: int | None = None
    trained_tokens: int | None = None
    search: tuple[Tried, ...] = ()
    search_seconds: float = 0.0
    best_for: str = ""


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
    """Lines on the same rows. `best` is a line's name or None; `why` says in words how that was found (`best_of` for
    finished runs, `choice` for methods), and `not_told_apart` names the lines that the leading one is not told apart
    from. `decided_by` is the metric that the lines are ranked by: see `deciding_metric`. `front` names, for each cost,
    the lines beside which no other is at once as good and as cheap.

    Of methods it also says on what they were compared: the model, how many rows were trained on, the `budget` in words,
    the seeds, and what was `left_out` with the reason.
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
    front: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    model: str = ""
    train_rows: int | None = None
    budget: str = ""
    seeds: tuple[int, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def apart(one: Kept, other: Kept) -> str:
    """Why two runs cannot be compared row by row, empty where they can: they were evaluated on other rows."""
    mine, others = Counter(_keys(one)), Counter(_keys(other))
    if mine == others:
        return ""
    same = (mine & others).total()
    return f"{mine.total():,} rows and {others.total():,} rows, of which {same:,} are the same"


def compare(
    methods: Sequence[Method],
    kept: Sequence[Sequence[Kept]],
    base: Mapping[str, Measure],
    data: str,
    seed: int = 0,
) -> Generator[Progress, None, Comparison]:
    """The comparison of runs that were evaluated on the same rows: `kept` is what each line did with them, in one run
    or in one a seed, in the same order of seeds. Lines of one run are tested by the metric's own paired test; over
    several seeds the differences of each seed are pooled (`statistics.pooled`)."""
    scored = [[in_order_of(first, one) for first, one in zip(kept[0], runs, strict=True)] for runs in kept]
    questions = [first.questions for first in kept[0]]
    names = _measured_by_all(methods)
    total = len(names) * len(methods) * (len(methods) - 1) // 2
    pairs: list[Pair] = []
    for name in names:
        found = []
        for one, other in combinations(range(len(methods)), 2):
            by_seed = [
                difference(name, asked, *of_both(mine, others), seed)
                for asked, mine, others in zip(questions, scored[one], scored[other], strict=True)
            ]
            found.append((one, other, over_seeds(by_seed)))
            yield Progress("comparing", len(pairs) + len(found), total)
        pairs += _corrected(name, [method.run for method in methods], found)
    decided_by = deciding_metric(methods, names)
    best, why, near = best_of(methods, pairs, decided_by)
    fronts = {cost: front(methods, decided_by, cost) for cost in COSTS} if decided_by else {}
    rows = len(questions[0])
    return Comparison(rows, data, tuple(methods), base, tuple(pairs), decided_by, best, why, near, front=fronts)


def leader(methods: Sequence[Method], name: str) -> Method:
    """The line with the best value of a metric that all of them have."""
    return max(methods, key=lambda method: goodness(method, name))


def goodness(method: Method, name: str) -> float:
    """A metric's value, turned round where less of it is better."""
    measured = method.metrics[name].value
    assert measured is not None
    return measured if metrics.load(name).direction == "higher" else -measured


def not_told_apart(line: str, pairs: Sequence[Pair], name: str) -> list[str]:
    """The other lines whose difference from this one by a metric is not more than noise."""
    return [
        pair.other if pair.one == line else pair.one
        for pair in pairs
        if pair.metric == name and line in (pair.one, pair.other)
        if pair.corrected is None or pair.corrected >= LEVEL
    ]


def deciding_metric(methods: Sequence[Method], names: Sequence[str]) -> str:
    """Accuracy where all runs have it, else the first metric of a target that they have, else the loss. Accuracy whose
    target was taken away while others stand decides nothing: of free answers none is the one wanted word for word."""
    targets = [metrics.OTHER_NAMES.get(t.metric, t.metric) for one in methods for t in one.targets]
    wanted = ["accuracy"] if "accuracy" in targets or not targets else []
    wanted += [*targets, "loss"]
    return next((name for name in wanted if name in names and metrics.load(name).direction != "neither"), "")


def _keys(kept: Kept) -> list[tuple[str, int, int, str]]:
    """A row by its place and what it says; the folder of its file does not count."""
    return [
        (Path(question.place.file).name, question.place.line, question.place.row_group or 0, digest)
        for question, digest in zip(kept.questions, kept.hashes, strict=True)
    ]


def in_order_of(first: Kept, kept: Kept) -> Scored:
    """What the run did with the rows, in the order in which `first` has them."""
    places: dict[Any, list[int]] = {}
    for row, key in enumerate(_keys(kept)):
        places.setdefault(key, []).append(row)
    order = [places[key].pop(0) for key in _keys(first)]

    def ordered(items: Sequence[Any]) -> list[Any]:
        return [items[row] for row in order] if items else []

    scored = kept.tuned
    return Scored(*(ordered(getattr(scored, field.name)) for field in fields(scored)))


def of_both(one: Scored, other: Scored) -> tuple[Scored, Scored]:
    """Both with the answers, labels and preferences of rows that both have."""
    for name in ("answers", "label_scores", "preferences"):
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


def best_of(methods: Sequence[Method], pairs: Sequence[Pair], name: str) -> tuple[str | None, str, tuple[str, ...]]:
    """The run that is better than every other beyond noise, or None; why; and which ones the leading one is not told
    apart from."""
    if not name:
        return None, "no metric was measured for all runs", ()
    first = leader(methods, name)
    words, near = name.replace("_", " "), not_told_apart(first.run, pairs, name)
    missed = [f"{one.metric.replace('_', ' ')} {one.target}" for one in first.targets if one.verdict == "missed"]
    said = f"; {first.run} misses its target {' and '.join(missed)}" if missed else ""
    if near:
        others = ", ".join(near)
        equal = all(goodness(method, name) == goodness(first, name) for method in methods if method.run in near)
        leads = (
            f"{first.run} and {others} are equal by {words}"
            if equal
            else (f"{first.run} leads by {words}, but is not told apart from {others}")
        )
        return None, f"no difference beyond noise: {leads}{_by_loss(pairs, name)}{said}", tuple(near)
    return first.run, f"{first.run} is better by {words} than every other, beyond noise{said}", ()


def _by_loss(pairs: Sequence[Pair], decided_by: str) -> str:
    """What the loss says of the runs where another metric does not tell them apart: `; by loss a is better than b`."""
    found = []
    for pair in pairs:
        if pair.metric == "loss" != decided_by and pair.corrected is not None and pair.corrected < LEVEL:
            assert pair.difference.value is not None
            better, worse = (pair.one, pair.other) if pair.difference.value < 0 else (pair.other, pair.one)
            found.append(f"{better} is better than {worse}")
    return f"; by loss {', '.join(found)}" if found else ""
