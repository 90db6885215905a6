"""Activation checkpointing: layers keep their inputs alone, and are computed again on the way back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache, partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

MAP_THRESHOLD = -3
"""glibc's number for the size from which a block is mapped by itself (`M_MMAP_THRESHOLD` in malloc.h)."""
MAPPED_FROM_BYTES = 2**18


@contextmanager
def keeping_inputs_only(
    model: torch.nn.Module, on: bool, again: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Forward passes within are checkpointed layer by layer where `on` (and where the model is in training).

    `again` gives the context that a layer needs when it is computed a second time.
    """
    layers = [module for module in model.modules() if on and isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(
            checkpoint, use_reentrant=False, context_fn=lambda: (nullcontext(), again())
        )
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = False


@cache
def give_back_at_once() -> None:
    """Has the C library map each large block by itself, so that it is gone when it is freed; once for the process.

    In its heap a freed block does not fit the next one of its size, because aligning takes a few bytes more: layers
    computed one after another then hold five times what one of them takes (docs/log.md). But mapping costs a
    third of the time, and for good: so it is done where a run computes layers twice because memory is short, and not
    for a look at it. Where the library has no such setting, nothing changes.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(MAP_THRESHOLD, MAPPED_FROM_BYTES)
