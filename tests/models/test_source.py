"""What `model:` may name, and what is said about a name that stands for nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from luthier.errors import UserError
from luthier.models import Source, cached, load_tokenizer, resolve


@pytest.fixture
def adapter(tiny_model: Source, tmp_path: Path) -> Path:
    """The folder of a run whose result is an adapter on the tiny model, with a tokenizer of its own."""
    weights = tmp_path / "runs" / "first" / "weights"
    weights.mkdir(parents=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": str(tiny_model.folder)}
    (weights / "adapter_config.json").write_text(json.dumps(config))
    save_file({"a": torch.ones(2)}, weights / "adapter_model.safetensors")
    return weights


def test_a_folder_is_itself(tiny_model: Source) -> None:
    assert tiny_model == Source(str(tiny_model.folder), "folder", tiny_model.folder, None, None)


def test_a_run_with_an_adapter_stands_on_its_base(tiny_model: Source, adapter: Path) -> None:
    run = adapter.parent
    expected = Source(str(run), "run", tiny_model.folder, adapter, str(tiny_model.folder))
    assert resolve(str(run)) == expected
    assert resolve(str(adapter)).adapter == adapter


def test_a_run_with_a_whole_model_is_that_model(tiny_model: Source, tmp_path: Path) -> None:
    weights = tmp_path / "first" / "weights"
    shutil.copytree(tiny_model.folder, weights)
    assert resolve(str(weights.parent)) == Source(str(weights.parent), "run", weights)


def test_an_adapter_brings_its_own_tokenizer_and_template(tiny_model: Source, adapter: Path) -> None:
    assert load_tokenizer(resolve(str(adapter))).chat_template == load_tokenizer(tiny_model).chat_template
    own = load_tokenizer(tiny_model)
    own.chat_template = "{{ messages[0]['content'] }}"
    own.save_pretrained(adapter)
    assert load_tokenizer(resolve(str(adapter))).chat_template == "{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("base", "said"),
    [("nothing-like-it", "no such model"), (None, "names no base model"), (".", "names itself")],
)
def test_an_adapter_without_its_base_is_refused(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, base: str | None, said: str
) -> None:
    monkeypatch.chdir(adapter)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    with pytest.raises(UserError, match=said):
        resolve(str(adapter))


def test_an_adapter_on_an_adapter_is_refused(adapter: Path, tmp_path: Path) -> None:
    second = Path(shutil.copytree(adapter, tmp_path / "second"))
    (second / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(adapter)}))
    with pytest.raises(UserError, match="is itself an adapter"):
        resolve(str(second))


def test_an_adapter_with_missing_or_cut_weights_is_refused(adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UserError, match="cut or damaged"):
        resolve(str(adapter))
    weights.unlink()
    with pytest.raises(UserError, match="weights are missing"):
        resolve(str(adapter))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("smollm2-135m", "did you mean smollm2-135m-instruct?"),
        ("SmolLM2_135M_Instruct", "did you mean smollm2-135m-instruct?"),
        ("zzz", "one of: smollm2-135m-instruct; or a packaged model, a hub id"),
        ("", "one of: smollm2-135m-instruct"),
        ("/nowhere/zzz", "check the path"),
        ("zzz.gguf", "check the path"),
    ],
)
def test_an_unknown_name_is_told_what_there_is(name: str, remedy: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(name)
    (found,) = error.value.mistakes
    assert "no such" in found.message
    assert found.where == name
    assert remedy in found.remedy


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    for name, said in (("rows.jsonl", r"not a \.gguf file"), ("model.gguf", "does not begin with GGUF")):
        (tmp_path / name).write_text("{}")
        with pytest.raises(UserError, match=said):
            resolve(str(tmp_path / name))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "not on this machine, and HF_HUB_OFFLINE is set"),
        ({"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}, "could not be fetched from the hub"),
    ],
)
def test_a_hub_model_that_cannot_be_had_names_a_way(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    code = (
        "import sys; from luthier.errors import UserError; from luthier.models import resolve\n"
        "try:\n    resolve('HuggingFaceTB/SmolLM2-135M-Instruct')\nexcept UserError as error:\n    print(error)\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    environment |= {"HF_HOME": str(tmp_path), "LUTHIER_HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert said in done.stdout, done.stderr
    assert "hf download HuggingFaceTB/SmolLM2-135M-Instruct" in done.stdout
    assert "model: smollm2-135m-instruct" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_the_packaged_models_are_listed_before_they_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path))
    (first, *_) = cached()
    assert (first.name, first.kind, first.folder, first.bytes) == ("smollm2-135m-instruct", "packaged", None, 0)
