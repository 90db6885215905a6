"""Weights, tokenizer and end marks come into memory as they were saved, and no network is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from luthier.errors import UserError
from luthier.models import Source, generation_stops, load_model, load_tokenizer, resolve

ALL_LOCAL = """
import socket, sys

def refuse(*given, **named):
    raise AssertionError(f"a network call: {given[1:]}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import torch
from luthier.models import cached, describe, generation_stops, load_model, load_tokenizer, resolve
from luthier.runs import describe_environment
for name in sys.argv[1:]:
    source = resolve(name)
    model, tokenizer = load_model(source, torch.float32), load_tokenizer(source)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], return_tensors="pt")["input_ids"]
    model.generate(ids, max_new_tokens=2, do_sample=False)
    print(source.kind, describe(source).layers, generation_stops(source))
print(len(cached()))
"""


def hub_copy(folder: Path, home: Path, name: str) -> None:
    """Lay a model's folder out as the hub's local copy of `owner/model`."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123456789abcdef0123456789abcdef01234567")
    shutil.copytree(folder, repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567")


def test_with_everything_local_no_network_call_is_made(tiny_model: Source, tmp_path: Path) -> None:
    hub_copy(tiny_model.folder, tmp_path / "hf", "owner/tiny")
    environment = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_HUB_CACHE")}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "LUTHIER_HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-W", "error::UserWarning", "-c", ALL_LOCAL, str(tiny_model.folder), "owner/tiny"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "folder 2 (2,)\nhub 2 (2,)\n2\n", done.stderr


def test_loading_says_nothing(tiny_model: Source, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(tiny_model, torch.bfloat16)
    load_tokenizer(tiny_model)
    assert capfd.readouterr() == ("", "")


def test_the_weights_are_those_of_the_file_in_the_type_asked_for(tiny_model: Source) -> None:
    saved = load_file(tiny_model.folder / "model.safetensors")
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load_model(tiny_model, dtype)
        assert not loaded.training
        assert loaded.config._attn_implementation == "sdpa"
        for name, tensor in saved.items():
            assert torch.equal(loaded.state_dict()[name], tensor.to(dtype))


def test_a_tokenizer_gives_back_the_text_and_its_template(tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    text = "the order\n has  12 é 漢"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    shown = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert shown == "<|im_start|>user\nhi<|im_end|>\n"


def test_answers_end_at_every_end_mark_the_model_names(tiny_model: Source, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model.folder, tmp_path / "model"))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 0]}))
    assert generation_stops(resolve(str(folder))) == (7, 0, 2)


def test_a_model_that_never_ends_is_refused(tiny_model: Source, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model.folder, tmp_path / "model"))
    for name in ("generation_config.json", "config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({key: content[key] for key in content if not key.startswith("eos_")}))
    with pytest.raises(UserError, match="names no end mark"):
        generation_stops(resolve(str(folder)))
