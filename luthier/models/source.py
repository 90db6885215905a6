"""What `model:` may name, and the local folder that it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from luthier.errors import UserError, mistake
from luthier.models import cache, gguf, hub, packaged
from luthier.models import folder as model_folder

Kind = Literal["packaged", "hub", "folder", "gguf", "run"]
ADAPTER = "adapter_config.json"
_KINDS = "a packaged model, a hub id (owner/model), a folder, a .gguf file, or a run's folder"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model stands on this machine.

    `name` is what the user wrote; `folder` holds whole, checked weights and a tokenizer. `adapter` is the folder of
    PEFT's files to put on top of them, and `base` the name that the adapter gives its base model; both are None
    where the folder is all.
    """

    name: str
    kind: Kind
    folder: Path
    adapter: Path | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that needs no search: `folder` is None where a packaged one was not fetched yet."""

    name: str
    kind: Kind
    folder: Path | None
    bytes: int


def resolve(name: str, say: Callable[[str], None] = lambda text: None) -> Source:
    """The model of that name, on this machine when it returns: fetched and converted first where need be.

    A packaged name goes before a folder of that name (write ./name for the folder), a folder before the hub.
    `say` gets a line before anything slow. Where everything is local, no network call is made. Raises `UserError` for
    an unknown name, for what cannot be fetched, and for a folder that is not whole.
    """
    if name in packaged.PACKAGED:
        return Source(name, "packaged", packaged.folder_of(packaged.PACKAGED[name], say))
    path = Path(name).expanduser()
    if name and path.is_dir():
        return _local(name, path.resolve(), say)
    if path.is_file():
        if path.suffix != ".gguf":
            raise mistake("a file that is not a .gguf file", name, f"the kinds of model: {_KINDS}")
        return Source(name, "gguf", gguf.folder_of(path, say))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith(".") and path.suffix != ".gguf":
        return _from_hub(name, say)
    raise _unknown(name)


def cached() -> list[KnownModel]:
    """The packaged models, fetched or not, then the converted .gguf files, then the hub's local copies."""
    known = [_known(name, "packaged", cache.entry(name)) for name in packaged.PACKAGED]
    for folder in sorted((cache.home() / "models").glob("gguf-*")):
        if cache.entry(folder.name):
            name = (folder / "source.txt").read_text(encoding="utf-8").strip()
            known.append(_known(name, "gguf", folder))
    return known + [_known(name, "hub", folder) for name, folder in hub.local_folders()]


def _known(name: str, kind: Kind, folder: Path | None) -> KnownModel:
    files = folder.iterdir() if folder else ()
    return KnownModel(name, kind, folder, sum(file.stat().st_size for file in files if file.is_file()))


def _local(name: str, folder: Path, say: Callable[[str], None]) -> Source:
    """A model folder, an adapter's folder, or a run: a folder whose result stands under weights/."""
    kind: Kind = "folder"
    if not (folder / "config.json").is_file() and (folder / "weights").is_dir():
        kind, folder = "run", folder / "weights"
    if not (folder / ADAPTER).is_file():
        model_folder.check(folder)
        return Source(name, kind, folder)
    base_name = _base_of(folder)
    base = resolve(base_name, say)
    if base.adapter:
        remedy = "merge the first adapter into its base and name the merged folder"
        raise mistake(f"its base {base_name} is itself an adapter", str(folder / ADAPTER), remedy)
    return Source(name, kind, base.folder, folder, base_name)


def _base_of(adapter: Path) -> str:
    path = adapter / ADAPTER
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise mistake(f"cannot be read: {error}", str(path), "copy the adapter's folder again") from error
    weights = adapter / "adapter_model.safetensors"
    try:
        model_folder.tensors(weights)
    except FileNotFoundError:
        raise mistake("the adapter's weights are missing", str(weights), "copy the adapter's folder again") from None
    except ValueError as error:
        raise mistake(
            f"the weights cannot be read: {error}", str(weights), "copy the adapter's folder again"
        ) from error
    if not isinstance(base, str) or not base:
        raise mistake("names no base model", str(path), 'write "base_model_name_or_path": "the model" into it')
    if Path(base).expanduser().resolve() in (adapter, adapter.parent):
        raise mistake("names itself as its base model", str(path), "write the base model's name into it")
    return base


def _from_hub(name: str, say: Callable[[str], None]) -> Source:
    try:
        return Source(name, "hub", hub.folder_of(name, say))
    except UserError as error:
        near = _near(name)
        if near is None or len(error.mistakes) > 1:
            raise
        (only,) = error.mistakes
        raise UserError(replace(only, remedy=f"{only.remedy}; or, on this machine: model: {near}")) from error


def _unknown(name: str) -> UserError:
    near = _near(name)
    if near:
        return mistake("no such model", name, f"did you mean {near}? {_KINDS}")
    if name.endswith(".gguf") or name.startswith((".", "/", "~")) or "/" in name:
        return mistake("no such file or folder", name, "check the path")
    return mistake("no such model", name, f"one of: {', '.join(packaged.PACKAGED)}; or {_KINDS}")


def _near(name: str) -> str | None:
    """The known name closest to a misspelt one, its owner or not."""
    names = {model.name: model.name for model in cached()}
    names |= {full.rpartition("/")[2]: full for full in names}
    lowered = {key.lower(): full for key, full in names.items()}
    for form in (name.lower(), name.rpartition("/")[2].lower()):
        if close := get_close_matches(form, lowered, n=1, cutoff=0.6):
            return lowered[close[0]]
    return None
