"""The six criteria of the rows on a terminal, as the mission's checklist, and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

    from luthier.data.quality import Criterion, Quality, Result

_COLOURS: Final = {"ready": "green", "ready with warnings": "yellow", "not ready": "red"}


def criteria_data(quality: Quality) -> dict[str, Any]:
    """The criteria by name, each with what its checks found; the verdict and the changes that would help most."""
    return {
        "criteria": {criterion.name: _criterion_data(criterion) for criterion in quality.criteria},
        "verdict": quality.verdict,
        "changes": [{"what": change.what, "check": change.check, "rows": change.rows} for change in quality.changes()],
        "complete": quality.complete,
        "skipped": list(quality.skipped),
    }


def _criterion_data(criterion: Criterion) -> dict[str, Any]:
    return {
        "passed": criterion.passed,
        "score": round(criterion.score, 6),
        "rows": criterion.rows,
        "checks": {result.check.name: _result_data(result) for result in criterion.results},
    }


def _result_data(result: Result) -> dict[str, Any]:
    check = result.check
    return {
        "passed": result.passed,
        "rows": result.count,
        "share": round(result.share, 6),
        "tolerated": check.tolerated,
        "severity": check.severity,
        "kinds": dict(result.kinds),
        "numbers": dict(result.numbers),
        "reason": result.reason,
        "thresholds": [
            {"value": threshold.value, "meaning": threshold.meaning, "source": threshold.source}
            for threshold in check.thresholds
        ],
    }


def show_checklist(quality: Quality, console: Console) -> None:
    """A line a criterion, then the verdict and what would help most."""
    from rich.text import Text

    if not quality.rows:
        return
    for criterion in quality.criteria:
        if criterion.results:
            box = Text("[x] " if criterion.passed else "[ ] ", "green" if criterion.passed else "red")
            line = box.append(f"{criterion.title:24}", "bold").append(_found(criterion))
        else:
            line = Text("[ ] ").append(f"{criterion.title:24}", "bold").append("not checked")
        console.print(line, soft_wrap=True)
    if quality.skipped:
        switched_off = ", ".join(name.replace("_", " ") for name in quality.skipped)
        console.print(Text(f"switched off: {switched_off}", "yellow"), soft_wrap=True)
    verdict = quality.verdict if quality.complete else f"{quality.verdict}, by the rows that were read"
    console.print(Text("→ ").append(verdict, f"bold {_COLOURS[quality.verdict]}"), soft_wrap=True)
    for number, change in enumerate(quality.changes(), 1):
        rows = f"{change.rows:,} rows: " if change.rows > 1 else "1 row: " if change.rows else ""
        name = change.check.replace("_", " ")
        console.print(Text(f"  {number}. {name}: {rows}").append(change.what, "cyan"), soft_wrap=True)


def _found(criterion: Criterion) -> str:
    """What the checks of a criterion found: `3 near duplicates, 1 exact duplicate`; else the share of good rows."""
    parts = [_words(result) for result in criterion.results if result.count or result.passed is False]
    left_out = [result for result in criterion.results if result.reason.startswith("needs")]
    parts += [f"{result.check.name.replace('_', ' ')} not checked: {result.reason}" for result in left_out]
    return "; ".join(parts) or "nothing found"


def _words(result: Result) -> str:
    name = result.check.name.replace("_", " ")
    if not result.count:
        return f"{name}: see below"
    within = ", within what is let pass" if result.passed else ""
    share = f"{100 * result.share:.1f}%" if result.share >= 0.001 else "below 0.1%"
    return f"{name}: {result.count:,} row{'s' if result.count > 1 else ''} ({share}{within})"
