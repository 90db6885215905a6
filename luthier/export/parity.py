"""How far an export is from the run that it was made of: logits, distributions and greedy tokens on the same rows.

Sizes: P positions of a row that are compared, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from luthier.flow import Measure, Progress, Tokenized
from luthier.statistics import wilson

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.engine.forward import Engine

ROWS = 32
TOKENS = 8192
"""Rows that are compared, and how many tokens they have together at most, unless fewer than 4 rows would be left."""
POSITIONS = 64
"""Positions compared in each row, its last ones: where the rows differ and where the answers stand."""
KEPT_BYTES = 2**29
"""Memory for the run's logits, which wait until the export is read back."""

Logits = Callable[["Tensor", int], "Tensor"]
"""Tokens (T) and P -> the logits after the last P of them (P, V)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an export may be off: `relative_logit_gap` against the largest logit, `mean_kl` in nats, and at least
    this share of greedy tokens equal. `reason` says why so far."""

    relative_logit_gap: float
    mean_kl: float
    equal_greedy_tokens: float
    reason: str


LIMITS = {
    "float32": Limits(
        1e-4, 1e-6, 0.99, "float32 sums taken in another order differ by a millionth of the largest logit, seldom more"
    ),
    "bfloat16": Limits(
        1e-1, 3e-2, 0.95, "bfloat16 keeps 8 bits of a weight, so each is off by up to 0.4%, and the layers add that up"
    ),
}
"""By the coarsest number type on the way (docs/how-to/export.md has what was measured)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An export beside its run, both computed in `precision`.

    `largest_logit_gap` is the largest difference of a logit, `relative_logit_gap` the same over the run's largest
    logit, `mean_kl` the mean over the compared positions of KL(run || export) in nats. `equal_greedy_tokens` is the
    share of the answers' tokens, end marks included, for which both find the same token most likely, with its 95%
    interval. `beyond` names what is beyond its limit.
    """

    precision: str
    largest_logit_gap: float
    relative_logit_gap: float
    mean_kl: float
    equal_greedy_tokens: Measure
    limits: Limits
    beyond: tuple[str, ...]


def chosen(rows: Sequence[Tokenized]) -> list[Tokenized]:
    """Rows to compare on, spread evenly: at most 32, of at most 8,192 tokens together where that leaves 4."""
    spread = list(rows[:: max(1, len(rows) // ROWS)][:ROWS])
    while len(spread) > 4 and sum(len(row.tokens) for row in spread) > TOKENS:
        del spread[max(range(len(spread)), key=lambda index: len(spread[index].tokens))]
    return spread


def kept_positions(rows: int, vocabulary: int) -> int:
    """P: how many positions of each row can be compared within `KEPT_BYTES`."""
    return max(1, min(POSITIONS, KEPT_BYTES // (4 * vocabulary * rows)))


def run_logits(engine: Engine, rows: Sequence[Tokenized], what: str) -> Generator[Progress, None, list[Tensor]]:
    """The run's logits after the last positions of each row, (P, V) float32 each."""
    found: list[Tensor] = []
    positions = kept_positions(len(rows), len(engine.head.weight))
    for row in rows:
        found.append(engine.logits(row, min(positions, len(row.tokens))).float().cpu())
        yield Progress(what, len(found), 2 * len(rows))
    return found


def compare(
    rows: Sequence[Tokenized], run: Sequence[Tensor], export: Logits, precision: str, limits: Limits, what: str
) -> Generator[Progress, None, Comparison]:
    """Reads the rows with the export too, and compares.

    With logits (0, 2) in the run and (0, 1) in the export at one position: gap 1, relative gap 0.5, the greedy token is
    equal, and KL = 0.881 log(0.881 / 0.731) + 0.119 log(0.119 / 0.269) = 0.067 nats.
    """
    import torch

    gap, largest, divergence, positions, equal, answered = 0.0, 0.0, 0.0, 0, 0, 0
    for number, (row, ours) in enumerate(zip(rows, run, strict=True), 1):
        theirs = export(torch.from_numpy(row.tokens).long(), len(ours))
        if theirs.shape != ours.shape:
            raise ValueError(f"logits of shape {tuple(theirs.shape)} where the run has {tuple(ours.shape)}")
        gap = _larger(gap, float((ours - theirs).abs().max()))
        largest = _larger(largest, float(ours.abs().max()))
        for own, other in zip(ours.double(), theirs.double(), strict=True):
            likely, other_likely = own.log_softmax(-1), other.log_softmax(-1)
            divergence += float((likely.exp() * (likely - other_likely)).sum())
        positions += len(ours)
        # Position t says which token comes at t + 1, so an answer's tokens are said one position before them.
        said = torch.from_numpy(row.weights[-len(ours) :] > 0)[1:]
        equal += int((ours.argmax(-1) == theirs.argmax(-1))[:-1][said].sum())
        answered += int(said.sum())
        yield Progress(what, len(rows) + number, 2 * len(rows))
    interval = wilson(equal, answered)
    numbers = {
        "relative_logit_gap": gap / largest if largest else gap,
        "mean_kl": max(0.0, divergence / positions) if isfinite(divergence) else divergence,
    }
    beyond = [name for name, value in numbers.items() if not value <= getattr(limits, name)]
    if equal / answered < limits.equal_greedy_tokens:
        beyond.append("equal_greedy_tokens")
    return Comparison(
        precision=precision,
        largest_logit_gap=gap,
        **numbers,
        equal_greedy_tokens=Measure(equal / answered, interval.low, interval.high, answered),
        limits=limits,
        beyond=tuple(beyond),
    )


def _larger(first: float, second: float) -> float:
    """The larger one, and NaN where either is."""
    return second if second != second or second > first else first
