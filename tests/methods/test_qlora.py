"""QLoRA: what is packed and what is not, on any machine alike, and what merging leaves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.methods import lora, qlora
from luthier.models import Source, load_model

TOKENS = torch.tensor([[1, 5, 9, 200, 31, 2]])
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def packed(model: Any) -> dict[str, Any]:
    from bitsandbytes.nn import Linear4bit

    return {name: module for name, module in model.named_modules() if isinstance(module, Linear4bit)}


def loaded(source: Source, dtype: torch.dtype = torch.float32, **written: Any) -> Any:
    return qlora.load_base(source, dtype, qlora.Settings(**written))


def test_linear_layers_are_packed_and_embeddings_norms_and_the_head_are_not(tiny_model: Source) -> None:
    model, plain = loaded(tiny_model), load_model(tiny_model, torch.float32)
    assert {name.rpartition(".")[2] for name in packed(model)} == set(LAYERS)
    assert len(packed(model)) == 2 * len(LAYERS)
    whole = plain.state_dict()
    left = {name: one for name, one in model.named_parameters() if not any(f".{layer}." in name for layer in LAYERS)}
    assert set(left) == {
        "model.embed_tokens.weight",
        "model.norm.weight",
        *(f"model.layers.{layer}.{norm}.weight" for layer in (0, 1) for norm in NORMS),
    }
    assert all(torch.equal(one, whole[name]) for name, one in left.items())
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


NORMS = ("input_layernorm", "post_attention_layernorm")


def test_a_weight_takes_16_values_a_block_and_half_a_byte(tiny_model: Source) -> None:
    layer = packed(loaded(tiny_model, double_quant=False))["model.layers.0.self_attn.q_proj"]
    assert layer.weight.nbytes == 32 * 32 // 2
    blocks = qlora._weight(layer).reshape(-1, 64)
    shares = blocks / blocks.abs().amax(1, keepdim=True)
    # the 16 values of NF4: Dettmers et al. (2023), appendix E
    assert len(shares.round(decimals=4).unique()) <= 16
    assert {-1.0, 0.0, 1.0} <= set(shares.round(decimals=4).unique().tolist())


def test_the_codes_are_the_same_whatever_precision_is_computed_in(tiny_model: Source) -> None:
    exact, rounded = packed(loaded(tiny_model)), packed(loaded(tiny_model, torch.bfloat16))
    assert all(torch.equal(exact[name].weight.data, rounded[name].weight.data) for name in exact)
    assert all(torch.equal(qlora._weight(exact[name]), qlora._weight(rounded[name])) for name in exact)


def test_compute_dtype_is_the_precision_unless_it_is_written(tiny_model: Source) -> None:
    for dtype, written, expected in (
        (torch.bfloat16, "auto", torch.bfloat16),
        (torch.float32, "auto", torch.float32),
        (torch.float32, "bfloat16", torch.bfloat16),
    ):
        model = loaded(tiny_model, dtype, compute_dtype=written)
        assert {layer.compute_dtype for layer in packed(model).values()} == {expected}
        assert model.get_input_embeddings().weight.dtype == model.model.norm.weight.dtype == dtype


def test_passes_without_gradients_leave_the_weights_and_later_gradients_alone(tiny_model: Source) -> None:
    """On CPUs with bfloat16 instructions bitsandbytes would pack the weights anew, in a way that has no gradient."""
    tuned = lora.attach(loaded(tiny_model), lora.Settings(r=4, dropout=0.0), 0)
    model: Any = tuned.model
    assert not any(layer.support_avx512bf16_for_cpu for layer in packed(model).values())

    def gradients() -> dict[str, torch.Tensor]:
        model.train()
        model(input_ids=TOKENS).logits.logsumexp(-1).sum().backward()
        found = {name: one.grad.clone() for name, one in tuned.trainable.items() if one.grad is not None}
        model.zero_grad()
        return found

    before = gradients()
    model.eval()
    with torch.no_grad():
        model(input_ids=TOKENS)
    after = gradients()
    assert all(torch.equal(after[name], one) for name, one in before.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_weights_have_the_type_of_the_model_s_others(tiny_model: Source, dtype: torch.dtype) -> None:
    tuned = lora.attach(loaded(tiny_model, dtype), lora.Settings(r=4), 0)
    qlora.merge(tuned)
    assert {one.dtype for one in tuned.model.parameters()} == {dtype}
    assert not packed(tuned.model)
    assert not hasattr(tuned.model.config, "quantization_config")


def test_an_adapter_says_how_the_weights_under_it_were_packed(tiny_model: Source, tmp_path: Path) -> None:
    written: dict[str, Any] = {"quant_type": "fp4", "double_quant": False, "compute_dtype": "bfloat16"}
    model = loaded(tiny_model, **written)
    assert not torch.equal(
        packed(model)["model.layers.0.mlp.up_proj"].weight.data,
        packed(loaded(tiny_model))["model.layers.0.mlp.up_proj"].weight.data,
    )
    tuned = qlora.attach(model, lora.Settings(r=4), 0)
    for name, write in qlora.files(tuned, lora.Settings(r=4), "base").items():
        write(tmp_path / name)
    assert qlora.saved_settings(tmp_path) == qlora.Settings(**written)


def test_bitsandbytes_does_not_warn_of_kernels_that_it_can_do_without(tiny_model: Source) -> None:
    loaded(tiny_model)
    assert not logging.getLogger("bitsandbytes.backends.cpu.ops").isEnabledFor(logging.WARNING)
    assert logging.getLogger("bitsandbytes.backends.cpu.ops").isEnabledFor(logging.ERROR)
