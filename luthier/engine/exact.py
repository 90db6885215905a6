"""How long a row may be for a tree to compute it exactly: asked of the model itself, before anything is trained.

What a tree does not serve goes through the model on plain padded batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from luthier.engine.attention import Unserved
from luthier.engine.out_of_memory import ran_out
from luthier.engine.padded import logits_padded
from luthier.errors import mistake
from luthier.flow import Place, Tokenized

if TYPE_CHECKING:
    from luthier.engine.forward import Engine

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""Largest difference of logits against the largest logit; coarser types round by a few hundredths."""
PROBE = 12
"""Tokens of a row that is tried both ways."""
PROBES = 5
"""Pairs of rows that are tried at most. In bfloat16 rounding alone puts one pair 2% to 5% off, so one pair over the
tolerance says nothing; a model that no tree serves is off in every one (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A tree is exact for rows of at most `tokens`, virtual ones counted: all where it is None, none where it is 0.

    `why` it is no more.
    """

    tokens: int | None
    why: str = ""

    def __contains__(self, tokens: int) -> bool:
        return self.tokens is None or tokens <= self.tokens


def limit_of(engine: Engine) -> Limit:
    """What the model's settings say (a sliding window, positions that long rows change), unless two short rows under a
    shared beginning get other logits than by the model's own forward pass.

    Raises `UserError` where the model cannot stand on its root.
    """
    said = _said(engine.tuned.model)
    root = engine.tuned.root
    room = PROBE if said.tokens is None else min(PROBE, said.tokens - (root.length if root else 0))
    if room < 4:
        return Limit(0, said.why)
    wrong = _wrong(engine, room)
    return Limit(0, wrong) if wrong else said


def _said(model: Any) -> Limit:
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"]
    limits = []
    for kind, name in (("sliding_attention", "sliding_window"), ("chunked_attention", "attention_chunk_size")):
        if kind in kinds and (window := getattr(config, name, None)):
            limits.append(Limit(int(window), f"its attention sees {window} tokens at most"))
    positions = getattr(config, "rope_parameters", None) or {}
    for one in (positions, *(value for value in positions.values() if isinstance(value, dict))):
        if one.get("rope_type") in ("dynamic", "longrope"):
            most = one.get("original_max_position_embeddings") or config.max_position_embeddings
            limits.append(Limit(int(most), f"a row of more than {most} tokens changes what its positions mean"))
    return min(limits, key=lambda limit: limit.tokens or 0, default=Limit(None))


@torch.no_grad()
def _wrong(engine: Engine, length: int) -> str:
    """What is wrong with the tree's logits of two rows, whichever rows they are, or nothing."""
    model = engine.tuned.model
    was_training = model.training
    model.eval()
    try:
        nearest = np.inf
        for seed in range(PROBES):
            ours, own = _both_ways(engine, length, seed)
            nearest = min(nearest, float((ours.double() - own).abs().max() / own.abs().max()))
            if nearest <= TOLERANCE.get(ours.dtype, 5e-2):
                return ""
    except Unserved as error:
        return str(error)
    except (TypeError, KeyError, AttributeError, RuntimeError, ValueError) as error:
        if ran_out(error):
            raise
        return f"its layers do not take a tree ({error})"
    finally:
        model.train(was_training)
    return f"its logits by a tree are {nearest:.1%} off"


def _both_ways(engine: Engine, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits (2, T, vocabulary) of two rows under a shared beginning by the tree, and by the model itself."""
    tokens = np.random.default_rng(seed).integers(0, len(engine.head.weight), (2, length)).astype(np.int32)
    tokens[1, : length // 2] = tokens[0, : length // 2]
    rows = [Tokenized(row, np.zeros(length, dtype=np.float32), Place("probe", 1)) for row in tokens]
    own = torch.stack([_own_logits(engine, row) for row in rows]).double()
    tree = engine.lay_out(rows, sharing_pays=0, whole=True)
    (walked,) = engine.walk(tree, len(tree.tokens))
    places = np.stack([np.searchsorted(walked.part.own, path[-length:]) for path in tree.paths])
    return engine.head.logits(walked.states[torch.from_numpy(places).to(engine.device)]), own


def _own_logits(engine: Engine, row: Tokenized) -> torch.Tensor:
    try:
        return logits_padded(engine, row, len(row.tokens))
    except (TypeError, KeyError, AttributeError, RuntimeError, ValueError) as error:
        if engine.tuned.root is None or ran_out(error):
            raise
        raise mistake(
            f"this model does not take a soft prompt or a prefix ({error})",
            "tuning_method",
            "write `tuning_method: lora`",
        ) from error
