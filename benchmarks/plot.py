"""A plot of points with their fitted lines, as an SVG file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from luthier.report.curves import axis

Point = tuple[float, float]

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 56
COLORS = ("#1f5fa8", "#c2571a", "#3b7a3b")


@dataclass(frozen=True, slots=True)
class Fit:
    """y = intercept + slope x by least squares; `r_squared` is the share of y's variance that it explains."""

    slope: float
    intercept: float
    r_squared: float


def fit(points: Sequence[Point]) -> Fit:
    """The line through some points: through (0, 1), (1, 3), (2, 5) it is 1 + 2x with an R squared of 1."""
    across, up = np.array(points, dtype=np.float64).T
    slope, intercept = np.polyfit(across, up, 1)
    residual = up - (intercept + slope * across)
    return Fit(float(slope), float(intercept), float(1 - residual @ residual / ((up - up.mean()) ** 2).sum()))


def draw(title: str, across: str, up: str, series: Mapping[str, Sequence[Point]]) -> str:
    """The SVG of some series, each as dots with its line and R squared."""
    every = [point for points in series.values() for point in points]
    x = axis(0.0, 1.05 * max(point[0] for point in every), 9)
    y = axis(0.0, 1.1 * max(point[1] for point in every), 7)

    def place(right: float, above: float) -> Point:
        return (
            round(LEFT + x.at(right) / 100 * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - y.at(above) / 100 * (HEIGHT - TOP - BOTTOM), 1),
        )

    def text(right: float, down: float, words: str, anchor: str = "middle", more: str = "") -> str:
        return f'<text x="{right:g}" y="{down:g}" text-anchor="{anchor}"{more}>{escape(words)}</text>'

    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [text(LEFT, 24, title, "start", ' font-weight="bold"')]
    for tick in y.ticks:
        _, down = place(0, y.low + tick.at / 100 * (y.high - y.low))
        parts.append(f'<path d="M{LEFT} {down:g}H{end}" stroke="#ddd"/>{text(LEFT - 8, down + 4, tick.label, "end")}')
    for tick in x.ticks:
        right, _ = place(x.low + tick.at / 100 * (x.high - x.low), 0)
        parts.append(f'<path d="M{right:g} {floor}v5" stroke="#555"/>{text(right, floor + 20, tick.label)}')
    parts.append(text((LEFT + end) / 2, HEIGHT - 12, across))
    middle = (TOP + floor) / 2
    parts.append(text(16, middle, up, more=f' transform="rotate(-90 16 {middle:g})"'))
    for number, (name, points) in enumerate(series.items()):
        color, line = COLORS[number % len(COLORS)], fit(points)
        last = max(point[0] for point in points)
        (x1, y1), (x2, y2) = place(0, line.intercept), place(last, line.intercept + line.slope * last)
        parts.append(f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{color}" stroke-width="1.5"/>')
        parts += [
            f'<circle cx="{right:g}" cy="{down:g}" r="3.5" fill="{color}" fill-opacity="0.7"/>'
            for right, down in (place(*point) for point in points)
        ]
        words = f"{name}: R² {line.r_squared:.4f}, {1000 * line.slope:.3g} s a thousand tokens"
        parts.append(text(LEFT + 16, TOP + 8 + 20 * number, words, "start", f' fill="{color}"'))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13" fill="none"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        + "".join(part.replace("<text ", '<text fill="#222" ', 1) if " fill=" not in part else part for part in parts)
        + "</svg>\n"
    )
