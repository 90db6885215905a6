"""The geometry of interval bars: values with their 95% intervals on one axis, held against a target line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10

from luthier.report import numbers
from luthier.report.curves import Axis, Tick, axis

_WIDE = 100
_APART = 15


@dataclass(frozen=True, slots=True)
class Bar:
    """One interval: `value`, `low` and `high` in per cent of the strip's width."""

    key: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Strip:
    """Bars under each other. `target` is the target's place, `good` the reaches from it to where it is met."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    target: Tick | None = None
    good: tuple[float, float] | None = None
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A target on a metric's own scale: `higher` is true where values above `at` meet it."""

    at: float
    higher: bool


Values = tuple[str, float | None, float | None, float | None]
"""A bar to be: its key, its value, and the ends of its interval."""


def strip(values: Sequence[Values], share: bool, line: Line | None = None, near: bool = False) -> Strip | None:
    """Bars on one axis: 0 to 1 for shares, else from 0; logarithmic where the values lie over 100-fold apart.

    `near` brings the axis close to the bars and the target. None where there is no value to draw.
    """
    found = [
        (key, v, v if low is None else low, v if high is None else high)
        for key, v, low, high in values
        if v is not None
    ]
    found = [entry for entry in found if all(isfinite(number) for number in entry[1:])]
    if not found:
        return None
    shown = [number for entry in found for number in entry[1:]] + ([line.at] if line else [])
    logarithmic = not share and min(shown) > 0 and max(shown) / min(shown) > _WIDE

    def on(value: float) -> float:
        return log10(value) if logarithmic else value

    across = _axis([on(value) for value in shown], share, near, logarithmic)
    bars = tuple(Bar(key, *(across.at(on(number)) for number in ends)) for key, *ends in found)
    if not line:
        return Strip(bars, across.ticks, logarithmic=logarithmic)
    target = Tick(
        across.at(on(line.at)), numbers.percent(line.at).replace(".0%", "%") if share else _minus(f"{line.at:,.4g}")
    )
    apart = tuple(tick for tick in across.ticks if abs(tick.at - target.at) > _APART)
    good = (target.at, 100.0) if line.higher else (0.0, target.at)
    return Strip(bars, apart, target, good, logarithmic)


def _axis(places: Sequence[float], share: bool, near: bool, logarithmic: bool) -> Axis:
    def words(value: float) -> str:
        if share:
            return numbers.percent(value).replace(".0%", "%")
        return _minus(f"{10**value if logarithmic else value:,.4g}")

    low, high = min(places), max(places)
    if share and not near:
        return axis(0.0, 1.0, 5, words)
    least = 0.1 if share else 0.2 * (abs(high) or 1.0)
    room = max(0.25 * (high - low), (least - (high - low)) / 2)
    if logarithmic:
        return axis(low - 0.3, high + 0.3, 5, words, whole=True)
    start = low - room if near or low < 0 else 0.0
    return axis(max(0.0, start) if low >= 0 else start, min(1.0, high + room) if share else high + room, 4, words)


def _minus(text: str) -> str:
    """With the sign that numbers have everywhere else on the page."""
    return text.replace("-", "−")
