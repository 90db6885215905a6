"""How much goes through the model at once: decided before a run from a memory budget, and kept in the run.

So each step is laid out by the settings and the rows alone, and a resumed run makes the passes of an uninterrupted one,
however much memory is free when it goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from luthier.engine.checkpointing import give_back_at_once
from luthier.engine.forward import KEPT_BYTES, TOKENS_A_SCORING_PASS, Engine
from luthier.engine.step import TOKENS_A_PASS, backward
from luthier.flow import Place, Tokenized

SHARE = 0.8
"""Of the free memory, what a step may plan with: kernels and the optimizer take some for a moment."""
STATE_BYTES = 12
"""A trained number's gradient and Adam's two averages, in float32."""
FEW_TOKENS = 256
"""Smaller passes cost more time than computing layers twice does."""


@dataclass(frozen=True, slots=True)
class Passes:
    """The size of what goes through the model at once.

    A pass of training takes `tokens` distinct tokens, or one longer row; `checkpointing` computes layers again on the
    way back. Without a way back (in scoring, in answering) `scoring_tokens` go through at once, and `kept_bytes` are
    for the keys and values of answers that grow.
    """

    tokens: int = TOKENS_A_PASS
    checkpointing: bool = False
    scoring_tokens: int = TOKENS_A_SCORING_PASS
    kept_bytes: int = KEPT_BYTES

    def smaller(self, longest: int) -> Passes | None:
        """The next smaller ones: first half as many tokens; then, since one row must go through as a whole (`longest`
        tokens), layers computed twice; then half as many again. None where nothing smaller is left."""
        if self.tokens > max(longest, 1 if self.checkpointing else FEW_TOKENS):
            halves = (max(1, size // 2) for size in (self.tokens, self.scoring_tokens, self.kept_bytes))
            tokens, scoring_tokens, kept_bytes = halves
            return Passes(tokens, self.checkpointing, scoring_tokens, kept_bytes)
        return None if self.checkpointing else replace(self, checkpointing=True)

    def put_on(self, engine: Engine) -> Engine:
        """The engine with these passes, for a run that keeps to them."""
        if self.checkpointing:
            give_back_at_once()
        own = (self.checkpointing, self.scoring_tokens, self.kept_bytes)
        if own == (engine.checkpointing, engine.tokens_a_scoring_pass, engine.kept_bytes):
            return engine
        return Engine(engine.tuned, *own, known_limit=engine.limit)

    def __str__(self) -> str:
        twice = ", and layers are computed twice" if self.checkpointing else ""
        return f"{self.tokens:,} tokens a pass{twice}"


def choose_passes(
    engine: Engine, longest: int, batch_size: int, free_bytes: int, tokens: int = TOKENS_A_PASS, together: int = 1
) -> tuple[Passes, str]:
    """The largest passes, of at most `tokens`, with which a step fits the memory that is free; and why they are smaller
    (empty where they are not). Where none fits, the smallest: whether those do is seen in the step.

    A step holds one pass and the trunk above it, which is no longer than the longest row. `batch_size` counts rows, of
    which so many as are `together` go through the model in one pass: 2 of a pair.
    """
    planned = SHARE * free_bytes
    # A batch of answers is there twice for a moment, when it goes on with those that have not ended.
    first = passes = Passes(tokens, kept_bytes=min(KEPT_BYTES, int(planned / 4)))
    trained = sum(parameter.numel() for parameter in engine.tuned.trainable.values())
    each = {on: bytes_a_token(Engine(engine.tuned, on, known_limit=engine.limit)) for on in (False, True)}

    def wanted(passes: Passes) -> tuple[int, int]:
        tokens = min(batch_size * longest, max(passes.tokens, together * longest) + longest)
        return tokens, tokens * each[passes.checkpointing] + STATE_BYTES * trained

    while wanted(passes)[1] > planned and (smaller := passes.smaller(longest)):
        if smaller.checkpointing and each[True] >= each[False]:  # a prefix in a model that no tree serves
            break
        passes = smaller
    if passes == first:
        return passes, ""
    tokens, size = wanted(first)
    why = (
        f"{tokens:,} tokens at once would take {size / 2**30:.1f} GiB of the {free_bytes / 2**30:.1f} GiB that are free"
    )
    return passes, f"{passes}, to save memory: {why}"


def bytes_a_token(engine: Engine) -> int:
    """What a token leaves behind for the way back, measured: what a row of 48 keeps over what one of 16 does."""
    return (_kept_bytes(engine, 48) - _kept_bytes(engine, 16)) // 32


def _kept_bytes(engine: Engine, length: int) -> int:
    """The bytes that a row's forward pass keeps for the way back, weights left out. Leaves no gradient behind."""
    tokens = np.arange(length, dtype=np.int32) % len(engine.head.weight)
    weights = np.array([0, *[1] * (length - 1)], dtype=np.float32)
    frozen = {_place(parameter) for parameter in engine.tuned.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if _place(tensor) not in frozen:
            kept[_place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    model = engine.tuned.model
    was_training = model.training
    model.train()
    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        backward(engine, [Tokenized(tokens, weights, Place("probe", 1))], 1.0, length)
    model.train(was_training)
    for parameter in engine.tuned.trainable.values():
        parameter.grad = None
    return sum(kept.values())


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def available_bytes(device: torch.device) -> int:
    """The memory that is free for this process: the GPU's, or the machine's and no more than its container grants."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = [_number(Path("/proc/meminfo"), "MemAvailable:") * 1024 or pages]
    group = Path("/sys/fs/cgroup")
    granted = _number(group / "memory.max")
    if granted:
        # Files that were read count as used, and give way.
        free.append(granted - _number(group / "memory.current") + _number(group / "memory.stat", "file"))
    return min(free)


def _number(path: Path, name: str = "") -> int:
    """The number behind a name in one of the kernel's files (or the only number there); 0 where it says none."""
    try:
        words = path.read_text(encoding="utf-8").split()
        return int(words[words.index(name) + 1 if name else 0])
    except (OSError, ValueError):
        return 0
