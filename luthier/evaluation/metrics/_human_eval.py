"""What people prefer as a metric: the share of votes that the run wins. `evaluation.votes_report` measures it."""

from __future__ import annotations

from typing import Final

from luthier.statistics.rows_needed import votes_needed

__all__ = ["direction", "needs", "range", "rows_needed", "unit"]

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "votes"
unit: Final = "votes"

rows_needed = votes_needed
