"""Counted from a configuration alone, and equal to what is published and to what is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from luthier.errors import UserError
from luthier.models import LinearShape, Source, describe, load_model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Llama-2-7b-hf", 6_738_415_616),
        ("Meta-Llama-3-8B", 8_030_261_248),
        ("Mistral-7B-v0.1", 7_241_732_096),
        ("Qwen3-0.6B", 596_049_920),
        ("SmolLM2-135M-Instruct", 134_515_008),
    ],
)
def test_the_published_counts_are_met(real_data: Path, name: str, parameters: int) -> None:
    assert describe(real_data / "model_configs" / f"{name}.config.json").parameters == parameters


def test_every_real_configuration_is_read_or_refused_with_a_reason(real_data: Path) -> None:
    refused = {}
    for path in sorted((real_data / "model_configs").glob("*.config.json")):
        try:
            shape = describe(path)
        except UserError as error:
            refused[path.name] = error.mistakes[0].message
        else:
            assert 0 < shape.embedding_parameters < shape.parameters
            assert shape.heads % shape.key_value_heads == 0
            assert shape.linears
            assert shape.context_length
    names = ("t5-base.config.json", "t5-large.config.json", "t5-small.config.json")
    assert refused == dict.fromkeys(names, "'t5' is not a model that continues text")


def test_gpt2_has_no_q_proj_and_its_matrices_stand_the_other_way_round(real_data: Path) -> None:
    shape = describe(real_data / "model_configs" / "gpt2.config.json")
    assert shape.linears == (
        LinearShape("c_attn", 768, 2304, 12),
        LinearShape("c_proj", 768, 768, 12),
        LinearShape("c_fc", 768, 3072, 12),
        LinearShape("c_proj", 3072, 768, 12),
    )
    assert shape.linear_names == ("c_attn", "c_proj", "c_fc")


def test_the_shape_of_a_model_is_that_of_its_loaded_weights(tiny_model: Source) -> None:
    shape = describe(tiny_model)
    model = load_model(tiny_model, torch.float32)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    # 300 x 32 embedded, and in each of 2 layers: q and o of 32 x 32, k and v of 32 x 16, three of 32 x 64, two norms.
    assert shape.parameters == 300 * 32 + 2 * (2 * 1024 + 2 * 512 + 3 * 2048 + 2 * 32) + 32
    assert (shape.layers, shape.width, shape.heads, shape.key_value_heads, shape.head_width) == (2, 32, 4, 2, 8)
    assert (shape.vocabulary, shape.context_length, shape.tied, shape.architecture) == (300, 512, True, "llama")
    assert shape.linears[1] == LinearShape("k_proj", 32, 16, 2)


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for content in ("", "[]", '{"model_type": 3}'):
        path.write_text(content)
        with pytest.raises(UserError) as error:
            describe(path)
        assert error.value.mistakes[0].where == str(path)
    with pytest.raises(UserError, match="cannot be read"):
        describe(tmp_path / "absent.json")
