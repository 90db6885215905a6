"""A model that the engine does not compute exactly is refused before any work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from luthier.engine.exact import refuse_inexact
from luthier.errors import UserError
from tests.engine.test_exactness import small_llama

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
def test_plain_families_are_computed_exactly(family: str) -> None:
    torch.manual_seed(0)
    models: dict[str, Any] = {
        "llama": small_llama,
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=16)),
    }
    refuse_inexact(models[family](), family, 16)


def test_soft_capped_attention_is_refused_with_its_name() -> None:
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.5))
    with pytest.raises(UserError, match=r"cannot be computed here yet .its attention takes softcap"):
        refuse_inexact(model, "gemma")


def test_a_row_longer_than_the_window_is_refused_with_what_to_write() -> None:
    model = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=16))
    with pytest.raises(
        UserError, match=r"attends to 16 tokens at most, and a row has 17\n  write `data.max_length: 16`"
    ):
        refuse_inexact(model, "mistral", 17)
