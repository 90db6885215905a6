"""Backwards: the most of something that fits, and the largest of known models."""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from luthier.advice.estimate import GRADIENT_BYTES, OPTIMIZER_BYTES, TRAINED_BYTES, Candidate, Load, cost
from luthier.advice.machine import Machine

LADDER: dict[str, tuple[int, int, int, int, int, int, bool]] = {
    "SmolLM2-135M": (576, 1536, 30, 9, 3, 49152, True),
    "SmolLM2-360M": (960, 2560, 32, 15, 5, 49152, True),
    "Llama-3.2-1B": (2048, 8192, 16, 32, 8, 128256, True),
    "SmolLM2-1.7B": (2048, 8192, 24, 32, 32, 49152, True),
    "Llama-3.2-3B": (3072, 8192, 28, 24, 8, 128256, True),
    "Mistral-7B": (4096, 14336, 32, 32, 8, 32768, False),
    "Llama-3.1-8B": (4096, 14336, 32, 32, 8, 128256, False),
    "Llama-2-13B": (5120, 13824, 40, 40, 40, 32000, False),
    "Qwen2.5-32B": (5120, 27648, 64, 40, 8, 152064, False),
    "Llama-3.1-70B": (8192, 28672, 80, 64, 8, 128256, False),
}
"""Width, inner width, layers, heads, key-value heads, vocabulary, and whether the head is the embedding: published
configurations, smallest model first."""


def twice(candidate: Candidate, load: Load, machine: Machine) -> int:
    """The peak in bytes with layers computed twice, which is how the most fits."""
    return cost(candidate, replace(load, checkpointing=True), machine).peak_bytes


def standing(candidate: Candidate, machine: Machine) -> int:
    """The bytes that stand in memory whatever goes through the model: libraries, weights, gradients, optimizer."""
    beside = TRAINED_BYTES if candidate.beside else 0
    each = beside + GRADIENT_BYTES + OPTIMIZER_BYTES
    return machine.library_bytes + candidate.weight_bytes + candidate.base_bytes + each * candidate.trainable


def largest_fitting(peak: Callable[[int], int], from_: int, bound: int, most: int | None = None) -> int | None:
    """The largest number of which `peak(number)` bytes are within a bound, taking it for a straight line above `from_`.

    With 100 bytes at 10 and 150 at 20 a bound of 260 gives 42. None where not even the line's beginning fits.
    """
    low, high = peak(from_), peak(2 * from_)
    slope = max((high - low) / from_, 1e-9)
    found = int(from_ + (bound - low) / slope)
    if found < 1:
        return None
    return found if most is None else min(found, most)


def largest_known_model(least: Callable[[Path], int], peak: Callable[[Path], int], bound: int) -> str | None:
    """The largest model of the ladder within a bound. `peak` is given its configuration file; `least` gives the part of
    the same that is counted at once, so that what cannot fit is not traced."""
    names = list(LADDER)
    with tempfile.TemporaryDirectory() as folder:
        paths = [_written(name, Path(folder)) for name in names]
        first = bisect_right(range(len(names)), bound, key=lambda number: least(paths[number]))
        for number in reversed(range(first)):
            if peak(paths[number]) <= bound:
                return names[number]
    return None


def _written(name: str, folder: Path) -> Path:
    width, inner, layers, heads, key_heads, vocabulary, tied = LADDER[name]
    path = folder / f"{name}.json"
    sizes = {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 8192,
    }
    path.write_text(json.dumps(sizes), encoding="utf-8")
    return path
