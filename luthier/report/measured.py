"""Which metrics a person is shown: those measured, accuracy and those with a target first; the others in a line."""

from __future__ import annotations

from luthier.evaluation import metrics
from luthier.evaluation.evaluate import INSTALL
from luthier.flow import Measure, Report

_NONE = Measure(None)


def names_measured(report: Report) -> list[str]:
    """Accuracy, the metrics with targets, all others that were measured for either model; targets' own names for those
    that no file measures."""
    targeted = {metrics.OTHER_NAMES.get(target.metric, target.metric) for target in report.targets}
    found = [
        name
        for name in {*report.metrics, *report.base}
        if any(side.get(name, _NONE).value is not None for side in (report.metrics, report.base))
    ]
    return sorted({*found, *targeted}, key=lambda name: (name != "accuracy", name not in targeted, name))


def not_measured(report: Report) -> list[str]:
    """What was left out, summed: metrics that do not fit the rows, and those that need a package, with the command."""
    shown = set(names_measured(report))
    left = {name: found.reason for name, found in report.metrics.items() if name not in shown}
    lacking = sorted(name for name, reason in left.items() if INSTALL in reason)
    others = sorted(set(left) - set(lacking))
    lines = [f"not measured, as these rows do not fit: {_listed(others)}"] if others else []
    if lacking:
        lines.append(f"not measured for want of a package: {_listed(lacking)}; {INSTALL}")
    return lines


def _listed(names: list[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
