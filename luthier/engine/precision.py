"""Which number type the frozen weights and the products take."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def fast_precision(device: torch.device) -> tuple[Precision, str]:
    """The type that this machine multiplies fastest, with the reason.

    A CPU without bfloat16 instructions multiplies bfloat16 six times slower than float32 (docs/log.md).
    """
    if device.type == "cuda":
        return "bfloat16", "this GPU multiplies bfloat16 fastest"
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return "bfloat16", "this CPU has bfloat16 instructions"
    return "float32", "this CPU has no bfloat16 instructions, and is several times slower without them"
