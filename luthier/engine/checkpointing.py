"""Activation checkpointing: layers keep their inputs alone, and are computed again on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer


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
