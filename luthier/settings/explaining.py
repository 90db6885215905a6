"""What pydantic found wrong -> mistakes in our words, each at its line and column with what to write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from luthier.errors import Mistake
from luthier.settings.json_schema import Path, Schema, json_schema, known_paths, may_stand_at, names_of, words
from luthier.settings.names import OTHER_VALUES, nearest, unknown_key
from luthier.settings.reading import Entry
from luthier.settings.schema import CHOICES, Section, run_file

_OURS = {"missing", "wrong", "together", "extra_forbidden"}


def mistakes_in(
    entry: Entry, sections: Mapping[str, type[Section]], choices: Mapping[str, Sequence[str]], *, merged: bool
) -> list[Mistake]:
    """Everything wrong with what is written. Whether settings fit each other is asked once `merged`."""
    errors = _errors(entry, sections)
    by_path: dict[Path, list[ErrorDetails]] = {}
    for error in errors:
        if merged or error["type"] != "together":
            by_path.setdefault(_written_path(entry, error["loc"]), []).append(error)
    mistakes = list(_unknown_names(entry, {**CHOICES, **choices}))
    if by_path:
        schema = json_schema(sections, choices)
        for path, found in by_path.items():
            deeper = any(len(other) > len(path) and other[: len(path)] == path for other in by_path)
            if not deeper or any(error["type"] in _OURS for error in found):
                mistakes.append(_explain(entry, schema, path, found))
    return sorted(mistakes, key=lambda mistake: [int(part) for part in mistake.where.split(":") if part.isdigit()])


def _errors(entry: Entry, sections: Mapping[str, type[Section]]) -> list[ErrorDetails]:
    try:
        run_file(sections).model_validate(entry.plain())
    except ValidationError as error:
        return error.errors()
    return []


def _written_path(entry: Entry, location: Path) -> Path:
    """pydantic's location without the parts that name a type: only what stands in the file."""
    path: list[str | int] = []
    for part in location:
        inner = entry.inner(part)
        if inner is not None:
            path.append(part)
            entry = inner
    return tuple(path)


def _at(entry: Entry, path: Path) -> Entry | None:
    for part in path:
        inner = entry.inner(part)
        if inner is None:
            return None
        entry = inner
    return entry


def _unknown_names(root: Entry, choices: Mapping[str, Sequence[str]]) -> Iterator[Mistake]:
    """Names that no plug-in has: as a value, in a list, or as a key."""
    for dotted, names in choices.items():
        entry = _at(root, tuple(dotted.split(".")))
        if entry is None:
            continue
        if isinstance(entry.value, dict):
            for key, inner in entry.value.items():
                if key not in names and not (dotted == "targets" and ":" in key):  # a function of the user's own
                    yield _unknown_name(f"{dotted}.{key}", dotted, key, names, inner.key_origin.where)
        for item in entry.value if isinstance(entry.value, tuple) else (entry,):
            if isinstance(item.value, str) and item.value not in names:
                yield _unknown_name(f"{dotted}: {item.value}", dotted, item.value, names, item.origin.where)


def _unknown_name(shown: str, path: str, name: str, names: Sequence[str], where: str) -> Mistake:
    near = OTHER_VALUES.get((path, name.lower())) or nearest(name, names)
    likely = f"write `{near}`; " if near else "write "
    known = ", ".join(f"`{known}`" for known in names)
    return Mistake(f"`{shown}` is not a known name", where, f"{likely}one of {known}")


def _explain(root: Entry, schema: Schema, path: Path, found: list[ErrorDetails]) -> Mistake:
    entry = _at(root, path)
    assert entry is not None, "a path is made of what stands in the entry"
    dotted = _dotted(path)
    by_type = {error["type"]: error for error in found}
    if "extra_forbidden" in by_type:
        keys = tuple(part for part in path if isinstance(part, str))
        known = [full.replace("[]", "") for full in known_paths(schema)]
        return Mistake(f"`{dotted}` is no setting", entry.key_origin.where, unknown_key(keys, known))
    if error := by_type.get("together"):
        context = error["ctx"]
        place = entry.inner(context["key"]) or entry
        return Mistake(f"`{dotted}`: {context['message']}", place.key_origin.where, context["remedy"])
    if error := by_type.get("missing"):
        missing = error["loc"][-1]
        return Mistake(f"`{dotted}` has no `{missing}`", entry.origin.where, f"write `{missing}: ...`")
    shown = f"`{dotted}: {_shown(entry)}`"
    if error := by_type.get("wrong"):
        context = error["ctx"]
        return Mistake(f"{shown} {context['message']}", entry.origin.where, context["remedy"])
    options = may_stand_at(schema, path)
    names = names_of(options)
    if isinstance(entry.value, str) and entry.value and len(names) > 1:
        return _unknown_name(shown.strip("`"), dotted, entry.value, names, entry.origin.where)
    return Mistake(f"{shown} {_why(entry.value, options)}", entry.origin.where, _remedy(entry, options))


def _why(value: Any, options: Sequence[Schema]) -> str:
    kinds = {option["type"] for option in options}
    match value:
        case "" | ():
            return "is empty"
        case None:
            return "is nothing"
        case bool():
            return "is a truth value"
        case int() | float() if kinds & {"integer", "number"}:
            if not math.isfinite(value):
                return "is not a finite number"
            return "is not a whole number" if isinstance(value, float) and "number" not in kinds else "is out of range"
        case int() | float():
            return "is a number"
        case str():
            return "is text"
        case tuple():
            return "is a list"
        case _:
            return "is a section"


def _remedy(entry: Entry, options: Sequence[Schema]) -> str:
    value, kinds = entry.value, {option["type"] for option in options}
    if isinstance(value, str) and "boolean" in kinds and value.lower() in _SWITCHES:
        return f"write `{_SWITCHES[value.lower()]}`"
    if (
        isinstance(value, str)
        and kinds & {"integer", "number"}
        and (found := re.fullmatch(r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)(%?)", value.strip()))
    ):
        return f"write {float(found[1]) / 100:g}" if found[2] else f"write {found[1]} without quotes"
    if isinstance(value, bool | int | float) and "string" in kinds and not kinds & {"integer", "number"}:
        return f'write "{entry.written}" in quotes' if not names_of(options) else f"write {words(options)}"
    return f"write {words(options)}"


_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def _dotted(path: Path) -> str:
    """`("data", "train", 0, "path")` is `data.train[0].path`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _shown(entry: Entry) -> str:
    """A value as the user wrote it, on one line and cut where it is long."""
    whole = entry.value is None or isinstance(entry.value, tuple | dict)
    text = json.dumps(entry.plain(), ensure_ascii=False) if whole else entry.written
    return text if len(text) <= 60 else f"{text[:59]}…"
