"""Preference accuracy: the share of pairs whose better answer tuning made likelier than the worse one, over base.

Source: Rafailov et al., Direct Preference Optimization (2023), whose implicit reward this goes by.
"""

from __future__ import annotations

from typing import Final

from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics._rows import ShareOfRows

direction: Final = "higher"
range: Final = (0.0, 1.0)
needs: Final = "preferences"


def _right(sample: Sample) -> list[bool]:
    """A margin of exactly 0 is no preference."""
    return [margin > 0 for margin in sample.preferences]


_share: Final = ShareOfRows(_right, unfinished=False)
measure, difference, rows_needed = _share.measure, _share.difference, _share.rows_needed
