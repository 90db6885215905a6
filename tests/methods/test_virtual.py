"""Prompt and prefix tuning: what their virtual tokens begin as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine.forward import Engine
from luthier.errors import UserError
from luthier.flow import Place, Tokenized, Tuned
from luthier.methods import prefix_tuning, prompt_tuning
from luthier.methods._virtual import TEXT, beginning, repeated, text_tokens
from luthier.models import Source, load_model, load_tokenizer

HELLO = "Where is my package?"
ROW = np.array([1, 50, 60, 70, 2], dtype=np.int32)


def row() -> Tokenized:
    return Tokenized(ROW, np.zeros(len(ROW), dtype=np.float32), Place("x", 1))


def after(model: Any, tokens: list[int]) -> torch.Tensor:
    """The model's own logits on the row behind some tokens."""
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([[*tokens, *ROW.tolist()]])).logits[0, -len(ROW) :]
    return found


def attached(method: Any, source: Source, seed: int = 0, **written: Any) -> Tuned:
    settings = method.Settings(**written)
    tuned: Tuned = method.attach(load_model(source, torch.float32), settings, seed, load_tokenizer(source))
    return tuned


@pytest.mark.parametrize(
    ("method", "more"), [(prompt_tuning, {}), (prefix_tuning, {}), (prefix_tuning, {"projection": True})]
)
@pytest.mark.parametrize("length", ["as the text", "longer"])
def test_a_start_from_text_is_the_text_before_the_row(
    method: Any, more: dict[str, Any], length: str, tiny_model: Source
) -> None:
    tokens = text_tokens(HELLO, load_tokenizer(tiny_model))
    count = len(tokens) + (3 if length == "longer" else 0)
    tuned = attached(method, tiny_model, num_virtual_tokens=count, init="text", init_text=HELLO, **more)
    expected = after(tuned.model, [*tokens, *tokens[: count - len(tokens)]])
    assert tuned.root is not None
    assert tuned.root.length == count
    torch.testing.assert_close(Engine(tuned).logits(row(), len(ROW)), expected, rtol=0, atol=1e-4)


def test_a_start_from_the_vocabulary_is_embeddings_of_ordinary_tokens(tiny_model: Source) -> None:
    tuned = attached(prompt_tuning, tiny_model, num_virtual_tokens=400, init="vocabulary")
    table: Any = tuned.model.get_input_embeddings().weight  # type: ignore[operator]
    apart = torch.cdist(tuned.trainable["prompt_embeddings"].detach(), table.detach())
    tokens = apart.argmin(1)
    assert torch.equal(tuned.trainable["prompt_embeddings"], table[tokens])
    # 0, 1 and 2 mark the text's end and messages
    assert not {0, 1, 2} & set(tokens.tolist())
    assert len(set(tokens.tolist())) > 150


def test_noise_is_spread_as_the_vocabulary_is(tiny_model: Source) -> None:
    tuned = attached(prompt_tuning, tiny_model, num_virtual_tokens=2000, init="random")
    table: Any = tuned.model.get_input_embeddings().weight  # type: ignore[operator]
    found = tuned.trainable["prompt_embeddings"].detach()
    torch.testing.assert_close(found.std(0), table.detach().std(0), rtol=0.1, atol=0.0)
    torch.testing.assert_close(found.mean(0), table.detach().mean(0), rtol=0.0, atol=0.03)


@pytest.mark.parametrize("method", [prompt_tuning, prefix_tuning])
def test_another_seed_gives_other_noise(method: Any, tiny_model: Source) -> None:
    one, other = (attached(method, tiny_model, seed, init="random").trainable["prompt_embeddings"] for seed in (0, 1))
    assert not torch.equal(one, other)


def test_auto_takes_a_written_text_and_says_that_it_is_repeated(tiny_model: Source) -> None:
    model, tokenizer = load_model(tiny_model, torch.float32), load_tokenizer(tiny_model)
    for method, section in ((prompt_tuning, "prompt_tuning_config"), (prefix_tuning, "prefix_tuning_config")):
        settings = method.Settings(init_text="the order", num_virtual_tokens=9)
        count = len(text_tokens("the order", tokenizer))
        ((path, value, reason),) = method.resolve(settings, model, lambda path: True, tokenizer)
        assert (path, value) == (f"{section}.init", "text")
        assert reason == f"init_text is written; its {count} tokens are repeated to 9"


@pytest.mark.parametrize("length", [1, 2, 20, 5000])
def test_the_text_of_an_automatic_start_fits_the_virtual_tokens(length: int, tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    text = beginning(tokenizer, length)
    assert text
    assert TEXT.startswith(text)
    assert len(text_tokens(text, tokenizer)) <= length
    assert (text == TEXT) == (length == 5000)


def test_tokens_are_repeated_and_cut() -> None:
    assert repeated([5, 6, 7], 5) == [5, 6, 7, 5, 6]
    assert repeated([5, 6, 7], 2) == [5, 6]


def test_a_model_whose_layers_keep_different_things_takes_no_prefix() -> None:
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "moe_intermediate_size": 16}
    sizes |= {"num_experts": 2, "num_experts_per_tok": 1, "shared_expert_intermediate_size": 16}
    sizes |= {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8}
    layers: dict[str, Any] = {"layer_types": ["linear_attention", "full_attention"], "linear_value_head_dim": 8}
    model = Qwen3NextForCausalLM(Qwen3NextConfig(**sizes, **layers))
    with pytest.raises(UserError, match="do not all keep keys and values of the same shape"):
        prefix_tuning.attach(model, prefix_tuning.Settings(init="random"), 0)
