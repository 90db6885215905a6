"""Numbers as people read them: `4.32`, `91.0% [85.1, 94.8]`, `1 min 52 s`, `2.7 GB`."""

from __future__ import annotations

from math import floor, isfinite, log10

DASH = "–"


def number(value: float | None, like: float | None = None) -> str:
    """Three digits or more: `4.321` is `4.32`, `0.01234` is `0.0123`, `12345.6` is `12,346`; no value is a dash.

    With `like`, as many decimals as that number would get, so that the ends of an interval match its middle.
    """
    if value is None:
        return DASH
    if not isfinite(value):
        return "not a number" if value != value else "∞" if value > 0 else "−∞"
    return f"{value:,.{decimals(value if like is None else like)}f}".replace("-", "−")


def log_odds(value: float | None, low: float | None, high: float | None) -> str:
    """With its interval, two decimals each: `+0.82 [0.31, 1.33]`, `0.00 [−0.67, 0.67]`."""
    if value is None or low is None or high is None:
        return DASH
    shown, *ends = (f"{round(end, 2) + 0.0:.2f}".replace("-", "−") for end in (value, low, high))
    return f"{'+' if round(value, 2) > 0 else ''}{shown} [{', '.join(ends)}]"


def halves(wins: float) -> str:
    """Whole or half: `1,204`, `20.5`."""
    return f"{wins:,.1f}".removesuffix(".0")


def decimals(value: float) -> int:
    """How many decimals `number` gives a value: three digits in all, at least 2 from 0.1 to 10."""
    if value == 0 or not isfinite(value):
        return 2
    return min(6, max(0, 2 - floor(log10(abs(value)))))


def percent(share: float | None) -> str:
    """`0.91` is `91.0%`."""
    if share is None or not isfinite(share):
        return number(share)
    return f"{100 * share:.1f}%".replace("-", "−")


def measured(value: float | None, share: bool) -> str:
    """A metric's value: a percentage where it is a share."""
    return percent(value) if share else number(value)


def interval(value: float | None, low: float | None, high: float | None, share: bool) -> str:
    """The ends in the unit and with the decimals of the value: `[85.1, 94.8]`; nothing without an interval."""
    if value is None or low is None or high is None:
        return ""
    if share:
        return f"[{percent(low)[:-1]}, {percent(high)[:-1]}]"
    return f"[{number(low, value)}, {number(high, value)}]"


def rate(value: float | None) -> str:
    """A learning rate, to three digits: `0.0002` is `2e-4`, `0.000123` is `1.23e-4`."""
    if value is None or not isfinite(value) or value == 0:
        return "0" if value == 0 else number(value)
    digits, _, power = f"{value:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def duration(seconds: float | None) -> str:
    """`112` is `1 min 52 s`, `5025` is `1 h 23 min`, `4.2` is `4.2 s`."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"


def size(memory_bytes: float | None) -> str:
    """Decimal units: `2700000000` is `2.7 GB`."""
    if memory_bytes is None:
        return DASH
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if memory_bytes >= one:
            return f"{memory_bytes / one:,.1f} {unit}"
    return f"{memory_bytes:,.0f} bytes"


def count(many: int, one: str, more: str = "") -> str:
    """`count(1, "row")` is `1 row`, `count(1200, "row")` is `1,200 rows`."""
    return f"{many:,} {one if many == 1 else more or one + 's'}"
