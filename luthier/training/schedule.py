"""How a run goes: how many steps it has, the rows of each, and its learning rate."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Schedule = Literal["cosine", "linear", "constant"]


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float, schedule: Schedule) -> float:
    """The learning rate of a step, steps counting from 1.

    It rises in equal parts over the first `ceil(warmup_ratio * steps)` steps, reaches `peak` at the last of them, and
    then falls towards 0, which it would reach one step after the last: with 4 steps, no warmup and a peak of 1, linear
    gives 1, 0.75, 0.5, 0.25.
    """
    warmup = math.ceil(warmup_ratio * steps)
    if step <= warmup:
        return peak * step / warmup
    done = (step - 1 - warmup) / max(1, steps - warmup)
    if schedule == "cosine":
        return peak * (1 + math.cos(math.pi * done)) / 2
    return peak * (1 - done) if schedule == "linear" else peak


def count_steps(rows: int, batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Optimizer steps of a run: an epoch has `ceil(rows / batch_size)`, a part of an epoch its part, at least one."""
    steps = max(1, math.ceil(math.ceil(rows / batch_size) * epochs - 1e-9))
    return min(steps, max_steps) if max_steps else steps


def rows_of_step(step: int, rows: int, batch_size: int, seed: int) -> list[int]:
    """The rows of a step, by index: each epoch goes through all `rows` once, in an order of its own."""
    epoch, place = divmod(step - 1, math.ceil(rows / batch_size))
    own = _order(rows, seed, epoch)[place * batch_size : (place + 1) * batch_size]
    return [int(index) for index in own]


@lru_cache(maxsize=1)
def _order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(rows)
