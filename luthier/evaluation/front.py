"""Which lines of a comparison are worth their cost: those beside which no other is at once as good and as cheap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from luthier.evaluation import metrics
from luthier.flow import Measure

COSTS: Final = ("peak_memory_bytes", "seconds")


class Line(Protocol):
    """What is looked at: a name, the costs, and the metrics."""

    @property
    def run(self) -> str: ...
    @property
    def peak_memory_bytes(self) -> int | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def metrics(self) -> Mapping[str, Measure]: ...


def front(lines: Sequence[Line], metric: str, cost: str) -> tuple[str, ...]:
    """The names of the lines on the front (Pareto's) of a metric that all have against a cost, the cheapest first.

    Costs 1, 2, 3 and accuracies 0.8, 0.7, 0.9: the second is neither cheaper nor better than the first and falls out.
    Lines whose cost is not known are left out.
    """
    higher = metrics.load(metric).direction == "higher"

    def loss_of(line: Line) -> float:
        value = line.metrics[metric].value
        assert value is not None
        return -value if higher else value

    points = [(getattr(line, cost), loss_of(line), line.run) for line in lines if getattr(line, cost) is not None]
    return tuple(
        name
        for price, loss, name in sorted(points)
        if not any(p <= price and q <= loss and (p, q) != (price, loss) for p, q, _ in points)
    )
