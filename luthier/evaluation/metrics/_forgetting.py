"""Forgetting as a metric: nats a token that the loss on the general set rose. `evaluation.forgetting` measures it."""

from __future__ import annotations

from math import inf
from typing import Final

from luthier.statistics.rows_needed import rows_needed

__all__ = ["direction", "needs", "range", "rows_needed"]

direction: Final = "lower"
range: Final = (-inf, inf)
needs: Final = "row_scores"
