"""Whether the engine computes a model exactly: asked of the model itself, before anything is trained or measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from luthier.engine.attention import Unserved
from luthier.engine.forward import Engine
from luthier.errors import mistake
from luthier.flow import Place, Tokenized, Tuned

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Largest difference of logits against the largest logit."""
REMEDY = "take a model of the Llama, Mistral or Qwen families, with plain attention"


@torch.no_grad()
def refuse_inexact(model: Any, name: str, longest: int | None = None) -> None:
    """Raises `UserError` where two short rows under a shared beginning get other logits than by the model's own forward
    pass (soft-capped or scaled logits, attention of its own), or where a row of `longest` tokens is over its window."""
    window = getattr(model.config, "sliding_window", None)
    if window and longest and longest > window:
        remedy = f"write `data.max_length: {window}` and `data.too_long: cut_start`"
        raise mistake(f"the model attends to {window} tokens at most, and a row has {longest}", name, remedy)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    tokens = np.random.default_rng(0).integers(0, vocabulary, (2, 12)).astype(np.int32)
    tokens[1, :8] = tokens[0, :8]
    rows = [Tokenized(row, np.ones(12, dtype=np.float32), Place("probe", 1)) for row in tokens]
    engine = Engine(Tuned(model, None, {}))
    tree = engine.lay_out(rows, sharing_pays=0)
    was_training = model.training
    model.eval()
    try:
        own = model(input_ids=torch.from_numpy(tokens.astype(np.int64)).to(engine.device), use_cache=False).logits
        states = next(engine.walk(tree, len(tree.tokens))).states
        ours = torch.stack([engine.head.logits(states[torch.from_numpy(path)]) for path in tree.paths])
    except (Unserved, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise mistake(f"this model cannot be computed here yet ({error})", name, REMEDY) from error
    finally:
        model.train(was_training)
    apart = float((ours.double() - own.double()).abs().max() / own.double().abs().max())
    if not apart <= TOLERANCE.get(own.dtype, 5e-2):
        raise mistake(f"this model cannot be computed exactly here yet: its logits are {apart:.1%} off", name, REMEDY)
