"""Several tests at once: how likely the least of their probabilities is by chance alone."""

from __future__ import annotations

from collections.abc import Sequence


def holm(probabilities: Sequence[float]) -> list[float]:
    """The probabilities, corrected so that the chance of one false finding among all of them stays under the level.

    The smallest of m is multiplied by m, the next by m - 1, and none becomes smaller than the one before it:
    `holm([0.01, 0.04, 0.03])` is 0.03, 0.06, 0.06.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(probabilities)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(probabilities)), key=lambda index: probabilities[index])):
        least = max(least, min(1.0, (len(probabilities) - rank) * probabilities[index]))
        corrected[index] = least
    return corrected
