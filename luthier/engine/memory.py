"""Whether a step of training fits the memory that is free, or layers must be computed again on the way back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from luthier.engine.step import backward
from luthier.flow import Place, Tokenized

if TYPE_CHECKING:
    from luthier.engine.forward import Engine

SHARE = 0.8
"""Of the free memory, what a step may plan with: kernels and the optimizer take some for a moment."""
STATE_BYTES = 12
"""A trained number's gradient and Adam's two averages, in float32."""


def why_checkpointing(
    engine: Engine, longest: int, batch_size: int, tokens_a_pass: int, available_bytes: int
) -> str | None:
    """Why layers had better be computed again on the way back: a step would not fit otherwise. None where it does, or
    where that saves nothing (a prefix in a model that no tree serves).

    A step holds one pass and the trunk above it, which is no longer than the longest row.
    """
    tokens = min(batch_size * longest, max(tokens_a_pass, longest) + longest)
    trained = sum(parameter.numel() for parameter in engine.tuned.trainable.values())
    each = bytes_a_token(engine)
    wanted = tokens * each + STATE_BYTES * trained
    if wanted <= SHARE * available_bytes or bytes_a_token(replace(engine, checkpointing=True)) >= each:
        return None
    return (
        f"layers are computed twice, to save memory: {tokens:,} tokens at once would take {wanted / 2**30:.1f} GiB "
        f"of the {available_bytes / 2**30:.1f} GiB that are free"
    )


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
