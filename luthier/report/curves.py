"""The geometry of curves and of interval bars: from numbers to per cent of a plot's width and height."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor, isfinite, log10
from typing import Literal

from luthier.flow import EvaluationLog, StepLog
from luthier.report import numbers

MOST_DRAWN = 2_000
WIDEST_WINDOW = 101
_EDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at `at` per cent of an axis, counted from its low end."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, which differ."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Per cent of the way from low to high: on an axis from 0 to 8, 2 is at 25. Outside is at the nearer end."""
        return round(min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low))), 2)


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as it is drawn: `points` are (right, down) in per cent of the plot."""

    name: str
    key: str
    draw: Literal["dots", "line", "marks"]
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """The points as an SVG path: joined by lines, or each a stroke of no length, which a round cap makes a dot."""
        if self.draw == "dots":
            return "".join(f"M{x:g} {y:g}h0" for x, y in self.points)
        return "M" + "L".join(f"{x:g} {y:g}" for x, y in self.points) if self.points else ""


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over their steps. `best` is the place of the best evaluation, if there is one."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    best: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What hovering over one step shows: where it stands, its values in words and their heights, by curve."""

    x: float
    words: dict[str, str]
    heights: dict[str, float]


@dataclass(frozen=True, slots=True)
class Curves:
    """Everything drawn from the log. `window` is the number of steps in the smoothed line's average, `every` the
    distance between the steps drawn, `broken` the number of steps whose loss was no number."""

    loss: Plot
    learning_rate: Plot
    moments: tuple[Moment, ...]
    window: int
    every: int
    broken: int


def curves(steps: Sequence[StepLog], evaluations: Sequence[EvaluationLog]) -> Curves | None:
    """Training loss as dots with its smoothed line, validation loss, learning rate; None before the first step."""
    usable = [step for step in steps if isfinite(step.train_loss)]
    if not usable:
        return None
    measured = [entry for entry in evaluations if isfinite(entry.validation_loss)]
    window = min(WIDEST_WINDOW, max(3, len(usable) // 20 * 2 + 1))
    smoothed = smooth([s.train_loss for s in usable], [s.trained_tokens for s in usable], window)
    every = ceil(len(usable) / MOST_DRAWN)
    drawn = sorted({*range(0, len(usable), every), len(usable) - 1})

    last = max([s.step for s in steps] + [e.step for e in measured])
    x = axis(0, max(last, 1), 6, whole=True)
    losses = [usable[i].train_loss for i in drawn] + [e.validation_loss for e in measured]
    y = axis(*room(losses), 6)
    rates = axis(0, max(s.learning_rate for s in steps) or 1.0, 3, label=numbers.rate)

    def curve(
        name: str, draw: Literal["dots", "line", "marks"], pairs: Iterable[tuple[int, float]], axis_: Axis = y
    ) -> Curve:
        pairs = list(pairs)
        points = tuple((x.at(step), round(100 - axis_.at(value), 2)) for step, value in pairs)
        return Curve(name, name.replace(" ", "-"), draw, points)

    training = curve("training loss", "dots", ((usable[i].step, usable[i].train_loss) for i in drawn))
    line = curve("smoothed", "line", ((usable[i].step, smoothed[i]) for i in drawn))
    validation = curve("validation loss", "marks", ((e.step, e.validation_loss) for e in measured))
    rate = curve("learning rate", "line", ((usable[i].step, usable[i].learning_rate) for i in drawn), rates)
    best = [point for point, entry in zip(validation.points, measured, strict=True) if entry.best]
    return Curves(
        loss=Plot(x, y, (training, line, *([validation] if measured else [])), best[-1] if best else None),
        learning_rate=Plot(x, rates, (rate,)),
        moments=_moments([usable[i] for i in drawn], measured, (training, line, rate), validation, smoothed, drawn),
        window=window,
        every=every,
        broken=len(steps) - len(usable),
    )


def _moments(
    steps: Sequence[StepLog],
    evaluations: Sequence[EvaluationLog],
    by_step: Sequence[Curve],
    validation: Curve,
    smoothed: Sequence[float],
    drawn: Sequence[int],
) -> tuple[Moment, ...]:
    """A moment for each drawn step; the validation loss is the latest one measured up to there."""
    moments = []
    for place, step in enumerate(steps):
        words = {
            "step": f"{step.step:,}",
            "epoch": f"{step.epoch:.2f}",
            "training-loss": numbers.number(step.train_loss),
            "smoothed": numbers.number(smoothed[drawn[place]]),
            "learning-rate": numbers.rate(step.learning_rate),
        }
        heights = {curve.key: curve.points[place][1] for curve in by_step}
        if reached := [i for i, entry in enumerate(evaluations) if entry.step <= step.step]:
            entry = evaluations[reached[-1]]
            at = "" if entry.step == step.step else f" (step {entry.step:,})"
            words[validation.key] = numbers.number(entry.validation_loss) + at
            heights[validation.key] = validation.points[reached[-1]][1]
        moments.append(Moment(by_step[0].points[place][0], words, heights))
    return tuple(moments)


def smooth(values: Sequence[float], weights: Sequence[float], window: int) -> list[float]:
    """The weighted mean of `window` (odd) values around each.

    Near the beginning it reaches as far forward as back, so that a steep start stays steep; near the end it reaches
    back alone. Equal weights and a window of 3: `[1, 2, 6, 4]` becomes `[1, 3, 4, 5]`.
    """
    weights = weights if all(weight > 0 for weight in weights) else [1.0] * len(values)
    sums = [0.0, *accumulate(value * weight for value, weight in zip(values, weights, strict=True))]
    totals = [0.0, *accumulate(weights)]
    means = []
    for i in range(len(values)):
        reach = min(window // 2, i)
        first, after = i - reach, min(i + reach + 1, len(values))
        means.append((sums[after] - sums[first]) / (totals[after] - totals[first]))
    return means


def axis(low: float, high: float, most: int, label: Callable[[float], str] | None = None, whole: bool = False) -> Axis:
    """An axis over exactly `low` to `high` with round ticks inside: 0 to 47 with at most 6 has 0, 10, 20, 30, 40."""
    step = _round_step(high - low, most, whole)
    places = max(0, -floor(log10(step) + _EDGE))
    words = label or (lambda value: f"{value:,.{places}f}".replace("-", "−"))
    first, last = ceil(low / step - _EDGE), floor(high / step + _EDGE)
    empty = Axis(low, high, ())
    return Axis(low, high, tuple(Tick(empty.at(i * step), words(i * step)) for i in range(first, last + 1)))


def _round_step(span: float, most: int, whole: bool) -> float:
    """The least step of 1, 2 or 5 times a power of ten that cuts `span` into fewer than `most` parts."""
    rough = span / (most - 1)
    power = 10.0 ** floor(log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * (1 - _EDGE))
    return max(1.0, step) if whole else step


def room(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis that holds the values with some room; from 0 where that costs little."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return (0.0 if 0 <= low < span else low - span * 0.08), high + span * 0.08
