"""LoRA: PEFT reads what is written here, and the other way round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.errors import UserError
from luthier.methods import lora
from luthier.models import Source, load_model

SETTINGS = lora.Settings(r=4, alpha=8, dropout=0.0, target_modules="all-linear")
TOKENS = torch.tensor([[1, 5, 9, 200, 31, 2]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=TOKENS).logits
    return found


def changed(source: Source, settings: lora.Settings = SETTINGS) -> Any:
    """An adapter whose second matrices are no longer 0."""
    tuned = lora.attach(load_model(source, torch.float32), settings, 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.trainable.values():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return tuned


def written(tuned: Any, folder: Path, base: str, settings: lora.Settings = SETTINGS) -> Path:
    folder.mkdir()
    for name, write in lora.files(tuned, settings, base).items():
        write(folder / name)
    return folder


def test_at_first_the_output_is_the_base_model_s(tiny_model: Source) -> None:
    base = load_model(tiny_model, torch.float32)
    expected = logits(base)
    assert torch.equal(logits(lora.attach(base, SETTINGS, 0).model), expected)


def test_only_the_adapter_is_trained_and_counted(tiny_model: Source) -> None:
    tuned = lora.attach(load_model(tiny_model, torch.float32), lora.Settings(r=4), 0)
    # q: 32 -> 32, v: 32 -> 16; two layers: 2 * 4 * ((32 + 32) + (32 + 16))
    assert sum(parameter.numel() for parameter in tuned.trainable.values()) == 896
    assert {name for name, one in tuned.model.named_parameters() if one.requires_grad} == set(tuned.trainable)


def test_the_table_s_number_for_llama_2_7b_is_exact() -> None:
    # r * (in + out) for q and v, each 4,096 -> 4,096, in 32 layers
    assert 16 * (4096 + 4096) * 2 * 32 == 8_388_608


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS.model_copy(update={"use_rslora": True, "use_dora": True})])
def test_peft_loads_the_files_and_gives_the_same_logits(
    settings: lora.Settings, tiny_model: Source, tmp_path: Path
) -> None:
    from peft import PeftModel

    tuned = changed(tiny_model, settings)
    folder = written(tuned, tmp_path / "adapter", str(tiny_model.folder), settings)
    theirs: Any = PeftModel.from_pretrained(load_model(tiny_model, torch.float32), str(folder))
    torch.testing.assert_close(logits(theirs), logits(tuned.model), rtol=0, atol=1e-6)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tiny_model.folder)


def test_an_adapter_made_by_peft_opens_here_with_the_same_logits(tiny_model: Source, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model: Any = load_model(tiny_model, torch.float32)
    config = LoraConfig(r=3, lora_alpha=9, target_modules=["k_proj", "down_proj"], init_lora_weights=False)
    theirs: Any = get_peft_model(model, config)
    expected = logits(theirs)
    theirs.save_pretrained(tmp_path)
    ours = lora.open_adapter(load_model(tiny_model, torch.float32), tmp_path)
    torch.testing.assert_close(logits(ours.model), expected, rtol=0, atol=1e-6)


def test_saved_weights_load_back_exactly(tiny_model: Source, tmp_path: Path) -> None:
    tuned = changed(tiny_model)
    folder = written(tuned, tmp_path / "adapter", "base")
    again = lora.attach(load_model(tiny_model, torch.float32), SETTINGS, 5)
    lora.load(again, folder)
    assert all(torch.equal(again.trainable[name], one) for name, one in tuned.trainable.items())


def test_weights_of_another_rank_are_refused_by_name(tiny_model: Source, tmp_path: Path) -> None:
    folder = written(changed(tiny_model), tmp_path / "adapter", "base")
    other = lora.attach(load_model(tiny_model, torch.float32), SETTINGS.model_copy(update={"r": 8}), 0)
    with pytest.raises(UserError, match="does not fit the settings"):
        lora.load(other, folder)


def test_merged_weights_give_the_adapter_s_logits(tiny_model: Source) -> None:
    tuned = changed(tiny_model)
    expected = logits(tuned.model)
    lora.merge(tuned)
    assert not any("lora" in name for name, _ in tuned.model.named_parameters())
    torch.testing.assert_close(logits(tuned.model), expected, rtol=0, atol=1e-5)


def test_the_same_seed_starts_the_same_and_leaves_the_random_state_alone(tiny_model: Source) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = lora.attach(load_model(tiny_model, torch.float32), SETTINGS, 0)
    assert torch.equal(torch.rand(2), expected)
    second = lora.attach(load_model(tiny_model, torch.float32), SETTINGS, 0)
    assert all(torch.equal(one, second.trainable[name]) for name, one in first.trainable.items())


def test_modules_that_the_model_lacks_are_refused_with_those_it_has(tiny_model: Source) -> None:
    model = load_model(tiny_model, torch.float32)
    settings = lora.Settings(target_modules=("q_proj", "c_attn"))
    with pytest.raises(UserError, match=r"no linear layer named c_attn") as error:
        lora.resolve(settings, model, lambda path: True)
    assert "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj" in str(error.value)


def test_a_pattern_that_matches_nothing_is_refused(tiny_model: Source) -> None:
    settings = lora.Settings(target_modules=".*attention_w")
    with pytest.raises(UserError, match="matches no linear layer"):
        lora.resolve(settings, load_model(tiny_model, torch.float32), lambda path: True)


def test_gpt_2_s_own_projection_is_taken_where_nobody_named_one() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=50, n_positions=32, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    ((path, names, reason),) = lora.resolve(lora.Settings(), model, lambda path: False)
    assert (path, names) == ("lora_config.target_modules", ("c_attn",))
    assert reason == "the model has no q_proj, v_proj; these hold its queries and values"
    assert lora.attach(model, lora.Settings(target_modules=names), 0).trainable
