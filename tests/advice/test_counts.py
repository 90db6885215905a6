"""Numbers that are trained, counted from shapes alone: as many as there are once the method is on the model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier import plugins
from luthier.errors import UserError
from luthier.models import describe, measure, skeleton
from luthier.settings import mission
from tests.engine.families import small_model

METHODS = "luthier.methods"
FIVE = tuple(mission.METHODS)
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in FIVE if name != "qlora"},
    "DoRA on all": ("lora", {"use_dora": True, "target_modules": "all-linear", "r": 3}),
    "PiSSA on a pattern": ("lora", {"init": "pissa", "target_modules": r".*layers\.1\..*_proj", "r": 2}),
    "7 prompt tokens": ("prompt_tuning", {"num_virtual_tokens": 7}),
    "3 prefix tokens through a network": ("prefix_tuning", {"num_virtual_tokens": 3, "projection": True}),
}
LEFT_OUT = {"gpt2": {"PiSSA on a pattern"}}
"""What does not fit a family: it has no layer of the pattern."""


def ready(name: str, settings: dict[str, Any], model: Any) -> tuple[Any, Any]:
    """A method and settings of it that fit a model."""
    method = plugins.load(METHODS, name)
    of = plugins.load(METHODS, "lora") if name == "qlora" else method
    made = of.Settings(**settings)
    if hasattr(method, "without_tokenizer"):
        made = method.without_tokenizer(made)
    for path, value, _ in of.resolve(made, model, lambda path: "target_modules" in settings, None):
        made = made.model_copy(update={path.rpartition(".")[2]: value})
    return method, made


def counted(config: Path) -> dict[str, int | str]:
    """What each method trains on a configuration's model, or where it does not fit."""
    model = skeleton(config)
    found: dict[str, int | str] = {}
    for name in FIVE:
        try:
            method, settings = ready(name, {}, model)
            found[name] = method.trainable_parameters(settings, model)
        except UserError as error:
            found[name] = error.mistakes[0].where
    return found


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gpt2", "gemma2"])
def test_what_is_counted_is_what_is_there_once_the_method_is_on_the_model(family: str) -> None:
    for case, (name, settings) in MORE.items():
        model = small_model(family)
        if case in LEFT_OUT.get(family, ()):
            with pytest.raises(UserError):
                plugins.load(METHODS, name).trainable_parameters(ready(name, settings, model)[1], model)
            continue
        method, made = ready(name, settings, model)
        said = method.trainable_parameters(made, model)
        tuned = method.attach(model, made, 0, None)
        assert said == sum(parameter.numel() for parameter in tuned.trainable.values()), case


def test_the_mission_s_shares_are_met_at_the_scale_that_it_means(real_data: Path) -> None:
    config = real_data / "model_configs" / "Llama-2-7b-hf.config.json"
    whole = describe(config).parameters
    found: Any = counted(config)
    assert whole == 6_738_415_616
    assert found == {
        "full": whole,
        "lora": 8_388_608,
        "qlora": 8_388_608,
        "prompt_tuning": 81_920,
        "prefix_tuning": 5_242_880,
    }
    assert [f"{100 * found[name] / whole:.2g}%" for name in FIVE[1:]] == ["0.12%", "0.12%", "0.0012%", "0.078%"]


@pytest.mark.long
def test_every_real_configuration_is_counted_like_the_model_built_of_it(real_data: Path) -> None:
    refused = {}
    configs = sorted((real_data / "model_configs").glob("*.config.json"))
    assert len(configs) == 40
    for path in configs:
        for name, said in counted(path).items():
            if isinstance(said, str):
                refused[path.name.removesuffix(".config.json"), name] = said
                continue
            model = skeleton(path)
            if name == "full":
                assert said == sum(parameter.numel() for parameter in model.parameters())
                continue
            plain = "lora" if name == "qlora" else name
            method, settings = ready(plain, {}, model)
            tuned = method.attach(model, settings, 0, None)
            assert said == sum(parameter.numel() for parameter in tuned.trainable.values()), (path, name)
    assert refused == {
        (model, "prefix_tuning"): "tuning_method" for model in ("DeepSeek-V2-Lite", "t5-base", "t5-large", "t5-small")
    }


def test_a_prefix_is_refused_where_there_are_no_keys_and_values_for_it() -> None:
    method, settings = ready("prefix_tuning", {}, small_model("llama"))
    with pytest.raises(UserError, match="do not all keep keys and values"):
        method.trainable_parameters(settings, small_model("mamba"))


def test_first_layers_alone_are_a_whole_model(real_data: Path) -> None:
    config = real_data / "model_configs" / "Llama-2-7b-hf.config.json"
    sizes = {layers: measure(skeleton(config, layers)).parameters for layers in (1, 2, 32)}
    assert sizes[32] == 6_738_415_616
    assert sizes[2] - sizes[1] == 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096


def test_a_configuration_that_leaves_sizes_out_is_refused_with_their_names(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "gpt2", "n_embd": 32, "vocab_size": 50}')
    with pytest.raises(UserError, match=re.escape("does not say n_layer, n_head")) as error:
        skeleton(path)
    assert error.value.mistakes[0].where == str(path)
    path.write_text('{"model_type": "strange"}')
    with pytest.raises(UserError, match="'strange' models need code of their own"):
        skeleton(path)


def test_four_bits_take_what_bitsandbytes_takes(tmp_path: Path) -> None:
    qlora: Any = plugins.load(METHODS, "qlora")
    if qlora.missing():
        pytest.skip("bitsandbytes is not installed")
    from luthier.models import resolve
    from tests.conftest import write_tiny_model

    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 4}
    source = resolve(str(write_tiny_model(tmp_path / "model", **sizes)))
    plain = skeleton(source)
    for double in (True, False):
        settings = qlora.Settings(double_quant=double)
        packed = qlora.load_base(source, torch.float32, settings)
        there = sum(parameter.untyped_storage().nbytes() for parameter in packed.parameters())
        for layer in packed.modules():
            if hasattr(layer, "weight") and hasattr(layer.weight, "quant_state"):
                state = layer.weight.quant_state
                there += state.absmax.nbytes + (state.state2.absmax.nbytes if state.nested else 0)
        said, unpacked = qlora.weight_memory(settings, plain, 4)
        assert said == pytest.approx(there, rel=1e-3)
        assert unpacked == 4 * 256 * 512
