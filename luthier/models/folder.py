"""Is this folder a model that can be loaded safely and whole? Answered from names and headers, before any weight."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from luthier.errors import Mistake, UserError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_FETCH = "fetch the folder again, or copy that file whole"


def check(folder: Path) -> None:
    """Raises `UserError` with everything that keeps the folder from being loaded: no configuration, no tokenizer,
    pickled weights only, a shard that the index names and that is missing, a cut file, a damaged header."""
    found = [*_check_config(folder), *_check_weights(folder), *_check_tokenizer(folder)]
    if found:
        raise UserError(found)


def tensors(file: Path) -> set[str]:
    """The names of the tensors in a safetensors file. Raises `ValueError` with what is wrong in it.

    The file is 8 bytes of the header's length (little-endian), the header as JSON, then the data; each tensor names
    its bytes in the data. Source: https://huggingface.co/docs/safetensors (format).
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        first = opened.read(8)
        if len(first) < 8:
            raise ValueError(f"it is cut: {size} bytes are less than a header")
        (length,) = struct.unpack("<Q", first)
        if length > size - 8:
            raise ValueError(f"it is cut or no safetensors file: its header would take {length} of {size - 8} bytes")
        try:
            header = json.loads(opened.read(length))
            ends = {name: facts["data_offsets"][1] for name, facts in header.items() if name != "__metadata__"}
            wanted = 8 + length + max(ends.values(), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"its header is damaged ({error})") from error
    if wanted != size:
        raise ValueError(f"it is cut or damaged: {size} bytes where its header names {wanted}")
    return set(ends)


def _check_config(folder: Path) -> list[Mistake]:
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [Mistake("no config.json: not a model folder", str(folder), "name the folder that holds config.json")]
    except (OSError, ValueError) as error:
        return [Mistake(f"cannot be read: {error}", str(path), _FETCH)]
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        return [Mistake("names no model_type", str(path), _FETCH)]
    return []


def _check_weights(folder: Path) -> list[Mistake]:
    if (folder / INDEX).is_file():
        return _check_shards(folder)
    if (folder / WEIGHTS).is_file():
        return _check_files({folder / WEIGHTS: set()})
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        message = f"has only pickled weights ({', '.join(pickled[:3])}), which can run any code when read"
        remedy = f"convert them to {WEIGHTS} where you trust them, or take a version of the model with safetensors"
        return [Mistake(message, str(folder), remedy)]
    return [Mistake(f"no weights: neither {WEIGHTS} nor {INDEX}", str(folder), _FETCH)]


def _check_shards(folder: Path) -> list[Mistake]:
    path = folder / INDEX
    shards: dict[Path, set[str]] = {}
    try:
        for name, shard in json.loads(path.read_text(encoding="utf-8"))["weight_map"].items():
            if Path(shard).name != shard:
                raise ValueError(f"{shard!r} is not a file's name")
            shards.setdefault(folder / shard, set()).add(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Mistake(f"the index of the weights cannot be read: {error}", str(path), _FETCH)]
    return _check_files(shards)


def _check_files(wanted: dict[Path, set[str]]) -> list[Mistake]:
    """Each file and the tensors that must stand in it."""
    found = []
    for path, names in wanted.items():
        try:
            missing = sorted(names - tensors(path))
        except FileNotFoundError:
            found.append(Mistake(f"{path.name} is missing, which {INDEX} names", str(path), _FETCH))
        except (OSError, ValueError) as error:
            found.append(Mistake(f"the weights cannot be read: {error}", str(path), _FETCH))
        else:
            if missing:
                text = f"{len(missing)} tensors that {INDEX} names are not in it, {missing[0]} first"
                found.append(Mistake(text, str(path), _FETCH))
    return found


def _check_tokenizer(folder: Path) -> list[Mistake]:
    if any((folder / name).is_file() for name in _TOKENIZERS):
        return []
    return [Mistake("no tokenizer: tokenizer.json is missing", str(folder), "copy the tokenizer's files beside it")]
