"""LLaMA-Factory's `dataset_info.json`: what it says about a file of rows that lies beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.data.detect import Detection, kto
from luthier.data.json_text import explain
from luthier.errors import mistake

NAME = "dataset_info.json"
ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "history": "history"}
SHAREGPT = {"messages": "conversations"}
BOTH = {"system": "system", "tools": "tools"}
ANSWERS = {"chosen": "chosen", "rejected": "rejected"}
"""Its names for columns, and ours; `ANSWERS` where it says `ranking`."""
TAGS = {
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""Its names for roles, and ours, which are its own where an entry names none."""
HUBS = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
MEDIA = ("images", "videos", "audios")


@dataclass(frozen=True, slots=True)
class Described:
    """How `dataset_info.json` says that a file's rows are to be read: their form and why, and their `data.columns`."""

    detection: Detection
    columns: Mapping[str, str]


def described(path: Path, format: str = "auto", columns: Mapping[str, str] | None = None) -> Described | None:
    """What the `dataset_info.json` beside a file says about it; None where there is none, where it does not name the
    file, and where the user's own `data.format` or `data.columns` say otherwise.

    Raises `UserError` for what the entry asks for and is not done here.
    """
    beside = path.parent / NAME
    if columns or path.name == NAME or not beside.is_file():
        return None
    for name, entry in entries(beside).items():
        if entry.get("file_name") == path.name and not any(entry.get(key) for key in HUBS):
            found = _described(name, entry, path)
            return found if format in ("auto", found.detection.form) else None
    return None


def files(path: Path) -> tuple[list[Path], list[str]]:
    """The files that a `dataset_info.json` names and that lie beside it; and the names of its other datasets, which are
    on a hub or not there."""
    here: list[Path] = []
    elsewhere: list[str] = []
    for name, entry in entries(path).items():
        file = path.parent / str(entry.get("file_name"))
        if any(entry.get(key) for key in HUBS) or not file.is_file():
            elsewhere.append(name)
        else:
            here.append(file)
    if not here:
        raise mistake("none of the datasets that it names lies beside it", str(path), "put a dataset's file beside it")
    return list(dict.fromkeys(here)), elsewhere


def named(path: Path) -> Path | None:
    """The file of a dataset that is named as LLaMA-Factory names it: `data/identity` is `data/identity.json` where
    `data/dataset_info.json` says so. None where it says nothing."""
    beside = path.parent / NAME
    if path.exists() or not beside.is_file():
        return None
    entry = entries(beside).get(path.name, {})
    return path.parent / str(entry["file_name"]) if entry.get("file_name") else None


def entries(path: Path) -> dict[str, Mapping[str, Any]]:
    """What the file says, by the datasets' names. Raises `UserError` where it is broken."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise mistake(*_broken(error, path)) from None
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise mistake("this is no object of datasets by name", str(path), 'write {"name": {"file_name": "rows.json"}}')
    return content


def _broken(error: ValueError | RecursionError, path: Path) -> tuple[str, str, str]:
    if isinstance(error, UnicodeDecodeError):
        return "the text is not UTF-8", str(path), "save it as UTF-8"
    message, remedy = explain(error)
    return message, f"{path}:{getattr(error, 'lineno', 1)}", remedy


def _described(name: str, entry: Mapping[str, Any], path: Path) -> Described:
    where = f"{path.parent / NAME}: {name}"
    formatting, ranking = entry.get("formatting") or "alpaca", bool(entry.get("ranking"))
    if formatting not in ("alpaca", "sharegpt"):
        raise mistake(f"the formatting {formatting!r} is not read", where, "write alpaca or sharegpt")
    theirs = _texts(entry, "columns", where)
    if theirs.get("kto_tag"):
        raise kto(str(path), theirs["kto_tag"])
    if media := next((key for key in MEDIA if theirs.get(key)), None):
        remedy = "take it out of the columns to train on the texts alone"
        raise mistake(f"its rows have `{media}`, and models are trained on text alone here", where, remedy)
    if entry.get("num_samples"):
        remedy = f"take it out, and write under `data`: limit: {entry['num_samples']}"
        raise mistake("`num_samples` is not read", where, remedy)
    known = (SHAREGPT if formatting == "sharegpt" else ALPACA) | BOTH | (ANSWERS if ranking else {})
    columns = {known[key]: column for key, column in theirs.items() if key in known}
    if ranking:
        form = "preference"
    elif formatting == "sharegpt":
        form = "sharegpt"
    elif theirs and not theirs.get("response"):
        form, columns = "text", {"text": theirs.get("prompt", "text")}
    else:
        form = "instruction"
    if formatting == "sharegpt":
        columns |= _tags(entry, ["conversations", *(ANSWERS if ranking else ())], where)
    columns = {ours: column for ours, column in columns.items() if ours != column}
    says = f"{formatting}, ranking" if ranking else str(formatting)
    return Described(Detection(form, f"{NAME} beside it says {says} of {name}"), columns)


def _texts(entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    """The names under `columns` or `tags`, those that are null left out."""
    given = entry.get(key) or {}
    if not isinstance(given, dict) or not all(isinstance(text, str | None) for text in given.values()):
        raise mistake(f"`{key}` is no object of texts", where, f'write "{key}": {{"...": "..."}}')
    return {name: text for name, text in given.items() if text}


def _tags(entry: Mapping[str, Any], fields: Sequence[str], where: str) -> dict[str, str]:
    """The tags as columns inside of the fields that hold messages."""
    tags = _texts(entry, "tags", where)
    inner = {"from": tags.get("role_tag", "from"), "value": tags.get("content_tag", "value")}
    inner |= {f"from.{ours}": tags[name] for name, ours in TAGS.items() if name in tags}
    changed = {ours: theirs for ours, theirs in inner.items() if ours.rpartition(".")[2] != theirs}
    return {f"{field}.{ours}": theirs for field in fields for ours, theirs in changed.items()}
