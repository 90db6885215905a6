"""Folders that are no whole, safe model: each fault is named with its file and what to do, before any weight loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from luthier.errors import UserError
from luthier.models import Source, describe, load_model, resolve

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tiny_model: Source, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may harm."""
    return Path(shutil.copytree(tiny_model.folder, tmp_path / "model"))


def cut(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-100])


def garble_header(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[8:12] = b"\xff\xff\xff\xff"
    (folder / WEIGHTS).write_bytes(content)


def pickle_only(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def lose_shard(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": WEIGHTS, "b": "model-00002-of-00002.safetensors"}}))


def break_index(folder: Path) -> None:
    (folder / INDEX).write_text('{"weight_map": {"a": "../outside.safetensors"}}')


FAULTS: list[tuple[Callable[[Path], object], str, list[str]]] = [
    (cut, WEIGHTS, ["cut or damaged"]),
    (garble_header, WEIGHTS, ["header is damaged"]),
    (lambda folder: (folder / WEIGHTS).write_bytes(b""), WEIGHTS, ["cut: 0 bytes"]),
    (lambda folder: (folder / WEIGHTS).write_bytes(b"version https://git-lfs"), WEIGHTS, ["no safetensors file"]),
    (lambda folder: (folder / WEIGHTS).unlink(), "", ["no weights"]),
    (pickle_only, "", ["pickled weights (pytorch_model.bin)"]),
    (lose_shard, "", ["1 tensors that", "model-00002-of-00002.safetensors is missing"]),
    (break_index, INDEX, ["is not a file's name"]),
    (lambda folder: (folder / "config.json").write_text("{"), "config.json", ["cannot be read"]),
    (lambda folder: (folder / "config.json").write_text("[]"), "config.json", ["names no model_type"]),
    (lambda folder: (folder / "tokenizer.json").unlink(), "", ["no tokenizer"]),
]


@pytest.mark.parametrize(("harm", "file", "said"), FAULTS)
def test_a_fault_is_named_with_its_file(
    folder: Path, harm: Callable[[Path], object], file: str, said: list[str]
) -> None:
    harm(folder)
    with pytest.raises(UserError) as error:
        resolve(str(folder))
    found = error.value.mistakes
    assert len(found) == len(said)
    for mistake, text in zip(found, said, strict=True):
        assert text in mistake.message
        assert mistake.where.startswith(str(folder / file))
        assert mistake.remedy


def test_all_faults_of_a_folder_come_at_once(folder: Path) -> None:
    cut(folder)
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError) as error:
        resolve(str(folder))
    assert len(error.value.mistakes) == 3


def test_code_that_comes_with_a_model_is_never_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    (folder / "modeling_own.py").write_text(f"open({str(marker)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "modeling_own.Config", "AutoModelForCausalLM": "modeling_own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    source = resolve(str(folder))
    for attempt in (lambda: load_model(source, torch.float32), lambda: describe(source)):
        with pytest.raises(UserError, match="need code of their own"):
            attempt()
    assert not marker.exists()


def test_a_missing_tensor_is_refused_not_started_at_random(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.layers\.1\.mlp\.up_proj\.weight is missing"):
        load_model(resolve(str(folder)), torch.float32)


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["model.norm.weight"] = torch.ones(31)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.norm\.weight has shape \(31,\), not \(32,\)"):
        load_model(resolve(str(folder)), torch.float32)


def test_a_tensor_without_a_place_is_said(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["extra.weight"] = torch.ones(2)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"1 tensors have no place .*extra\.weight"):
        load_model(resolve(str(folder)), torch.float32)
