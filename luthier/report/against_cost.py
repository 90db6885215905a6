"""The geometry of quality against cost: a point a line of a comparison, its interval, and the front through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Final

from luthier.evaluation.compare import Comparison, Method
from luthier.flow import Measure
from luthier.report import numbers
from luthier.report.curves import Axis, axis
from luthier.report.page import is_share

_NAMES_APART: Final = 9.0
"""Per cent of the plot's height between two names, so that none is written over another."""
_COSTS: Final[dict[str, tuple[str, Callable[[float | None], str]]]] = {
    "peak_memory_bytes": ("peak memory", numbers.size),
    "seconds": ("time", numbers.duration),
}


@dataclass(frozen=True, slots=True)
class Point:
    """A line of the comparison: `right` and `down` are per cent of the plot, so are its interval's ends `low` and
    `high` and where its name stands (`name_down`). `words` says its numbers."""

    name: str
    right: float
    down: float
    low: float
    high: float
    on_front: bool
    name_down: float
    words: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points of one metric (`quality`) against one cost, and the lines of the front from point to point."""

    cost: str
    quality: str
    better: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    lines: tuple[tuple[float, float, float, float], ...]


def scatters(found: Comparison) -> tuple[Scatter, ...]:
    """A plot for each cost that differs between the lines."""
    if not found.decided_by:
        return ()
    return tuple(
        _scatter(found, cost)
        for cost in found.front
        if len({price for method in found.methods if (price := getattr(method, cost)) is not None}) > 1
    )


def _scatter(found: Comparison, cost: str) -> Scatter:
    metric = found.decided_by
    words, shown = _COSTS[cost]
    lines = [method for method in found.methods if getattr(method, cost) is not None]
    share = is_share(metric)
    x = axis(*_around([getattr(method, cost) for method in lines]), 4, shown)
    heights = [number for method in lines for number in _ends(method.metrics[metric])]
    low, high = _around(heights)
    y = axis(max(0.0, low) if min(heights) >= 0 else low, min(1.0, high) if share else high, 5, _labels(share))
    places = {method.run: (x.at(getattr(method, cost)), _down(y, method.metrics[metric].value)) for method in lines}
    names_down = _spread({name: down for name, (_, down) in places.items()})
    front = [places[name] for name in found.front[cost]]
    return Scatter(
        words,
        metric.replace("_", " "),
        "higher" if _is_higher(metric) else "lower",
        x,
        y,
        tuple(
            _point(method, metric, places[method.run], y, method.run in found.front[cost], names_down[method.run])
            for method in lines
        ),
        tuple((*one, *other) for one, other in pairwise(front)),
    )


def _point(method: Method, metric: str, place: tuple[float, float], y: Axis, on_front: bool, name_down: float) -> Point:
    measure = method.metrics[metric]
    low, high = _ends(measure)
    words = (
        f"{method.run}: {numbers.measured(measure.value, is_share(metric))} for "
        f"{numbers.size(method.peak_memory_bytes)} and {numbers.duration(method.seconds)}"
    )
    return Point(method.run, *place, _down(y, low), _down(y, high), on_front, name_down, words)


def _spread(downs: dict[str, float]) -> dict[str, float]:
    """The places of names beside points, moved so far apart that they can be read, and back into the plot."""
    order = sorted(downs, key=lambda name: downs[name])
    placed, above = {}, -_NAMES_APART
    for name in order:
        placed[name] = above = max(downs[name], above + _NAMES_APART)
    below = 100.0 + _NAMES_APART
    for name in reversed(order):
        placed[name] = below = min(placed[name], below - _NAMES_APART)
    return {name: round(down, 2) for name, down in placed.items()}


def _ends(measure: Measure) -> tuple[float, float]:
    """The interval, or the value where there is none."""
    assert measure.value is not None
    ends = [end for end in (measure.low, measure.high) if end is not None and isfinite(end)]
    return (ends[0], ends[1]) if len(ends) == 2 else (measure.value, measure.value)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis with some room on both sides."""
    low, high = min(values), max(values)
    room = 0.14 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def _down(y: Axis, value: float | None) -> float:
    assert value is not None
    return round(100 - y.at(value), 2)


def _labels(share: bool) -> Callable[[float], str]:
    return (lambda value: numbers.percent(value).replace(".0%", "%")) if share else numbers.number


def _is_higher(metric: str) -> bool:
    from luthier.evaluation import metrics

    return metrics.load(metric).direction == "higher"
