"""Preference margin: how much more the better answer of a pair gained over base than the worse one, times beta, nats.

Source: Rafailov et al., Direct Preference Optimization (2023), whose implicit reward this goes by.
"""

from __future__ import annotations

from math import inf
from typing import Final

from luthier.evaluation.metrics._rows import mean_of_rows

direction: Final = "higher"
range: Final = (-inf, inf)
needs: Final = "preferences"

_mean: Final = mean_of_rows(lambda sample: sample.preferences, range)
measure, difference, rows_needed = _mean.measure, _mean.difference, _mean.rows_needed
