"""Healthy runs of many courses, sizes and kinds of noise: hardly any is accused of anything."""

from __future__ import annotations

import numpy as np

from luthier import diagnosis
from luthier.diagnosis.made import falling, made


def test_of_a_hundred_healthy_runs_at_most_three_are_accused() -> None:
    accused = []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        start, end = generator.uniform(2, 6), generator.uniform(0.02, 0.6)
        speed, gap = generator.uniform(6, 10), generator.uniform(1.0, 1.15)
        seen = made(
            falling(start, end, speed),
            falling(start, end * gap, speed),
            rows=int(generator.integers(150, 900)),
            held_back=int(generator.integers(20, 90)),
            epochs=float(generator.uniform(2, 5)),
            evaluations=int(generator.integers(5, 16)),
            step_noise=float(generator.uniform(0.05, 0.4)),
            norm=falling(3.0, 0.5),
            seed=seed,
        )
        accused += [(seed, one.symptom, one.certainty) for one in diagnosis.diagnose(seen).findings]
    assert len({seed for seed, _, _ in accused}) <= 3, accused
