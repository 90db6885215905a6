"""Small random models of real architectures, through transformers' own configurations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2_SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "n_positions": 128,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "initializer_range": 0.3,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TWO_KINDS: dict[str, Any] = {
    "head_dim": 8,
    "sliding_window": 4096,
    "layer_types": ["sliding_attention", "full_attention"],
}


def _like_llama(name: str, kind: str = "", **own: Any) -> Callable[..., Any]:
    def build(**changes: Any) -> Any:
        config = getattr(transformers, f"{name}{kind}Config")(**(SIZES | own | changes))
        return getattr(transformers, f"{name}ForCausalLM")(config)

    return build


def _gpt2(**changes: Any) -> Any:
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**(GPT2_SIZES | changes)))


def _mamba(**changes: Any) -> Any:
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "bos_token_id": 1}
    return transformers.MambaForCausalLM(transformers.MambaConfig(**(sizes | changes)))


FAMILIES: dict[str, Callable[..., Any]] = {
    "llama": _like_llama("Llama"),
    "smollm": _like_llama("Llama", num_attention_heads=6, hidden_size=48, tie_word_embeddings=True),
    "mistral": _like_llama("Mistral", sliding_window=4096),
    "qwen2": _like_llama("Qwen2"),
    "qwen3": _like_llama("Qwen3", head_dim=16),
    "gemma3": _like_llama("Gemma3", "Text", query_pre_attn_scalar=8, **TWO_KINDS),
    "phi3": _like_llama("Phi3", sliding_window=2047),
    "gpt2": _gpt2,
    "granite": _like_llama("Granite", logits_scaling=4.0),
    "gpt_oss": _like_llama("GptOss", num_local_experts=2, num_experts_per_tok=1, head_dim=8, sliding_window=4096),
    "qwen3_next": _like_llama(
        "Qwen3Next",
        num_experts=0,
        mlp_only_layers=[0, 1],
        head_dim=8,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        layer_types=["linear_attention", "full_attention"],
    ),
    "mamba": _mamba,
    "gemma2": _like_llama("Gemma2", query_pre_attn_scalar=8, **TWO_KINDS),
}


PADDED = ("granite", "gpt_oss", "qwen3_next", "mamba", "gemma2")
"""Those that a tree does not serve. gpt_oss computes in float64 nowhere."""


def small_model(family: str, seed: int = 0, **changes: Any) -> Any:
    """A model of 2 layers and 50 tokens with random weights from `seed`; `changes` go into its configuration."""
    torch.manual_seed(seed)
    model = FAMILIES[family](**changes)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model
