"""Settings -> a run file that repeats the run, with each value's source beside it; and the same as data."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from luthier.settings.loading import Loaded, Source
from luthier.settings.schema import DataFile

_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
_NOT_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def to_yaml(loaded: Loaded, only: Container[str] | None = None) -> str:
    """A run file that gives equal settings when it is read, each value with its source in a comment; of `only` these
    paths, the others at their defaults."""
    return "".join(f"{line}\n" for line in _lines(loaded.settings, loaded.provenance, "", "", only))


def to_data(provenance: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Provenance for JSON: `{"seed": {"value": 0, "source": "default (contract)", "reason": ""}, ...}`."""
    return {
        path: {
            "value": list(source.value) if isinstance(source.value, tuple) else source.value,
            "source": source.source,
            "reason": source.reason,
        }
        for path, source in provenance.items()
    }


def _lines(
    value: Any, provenance: Mapping[str, Source], path: str, indent: str, only: Container[str] | None
) -> Iterator[str]:
    for name, inner in value.items() if isinstance(value, dict) else value:
        full = f"{path}.{name}" if path else name
        if isinstance(inner, BaseModel) or (isinstance(inner, dict) and inner):
            lines = list(_lines(inner, provenance, full, f"{indent}  ", only))
            if lines:
                yield f"{indent}{_scalar(name)}:"
                yield from lines
        elif only is None or full in only:
            head, *rest = _value(inner, f"{indent}  ")
            yield f"{indent}{_scalar(name)}: {head}  # {_comment(provenance[full])}"
            yield from rest


def _comment(source: Source) -> str:
    text = f"{source.source}: {source.reason}" if source.reason else source.source
    return "".join(character if character.isprintable() else " " for character in text)


def _value(value: Any, indent: str) -> list[str]:
    """The lines of a value; all but the first come with their indentation."""
    if isinstance(value, str) and _fits_a_block(value):
        return [
            "|" if value.endswith("\n") else "|-",
            *(f"{indent}{line}".rstrip() for line in value.rstrip("\n").split("\n")),
        ]
    return [_flow(value)]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, DataFile):
        return _flow(value.path) if value.weight == 1 else _flow(value.model_dump())
    if isinstance(value, tuple):
        if len(value) == 1 and isinstance(value[0], DataFile):
            return _flow(value[0])
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(character if character.isprintable() else _escape(character) for character in quoted)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return json.dumps(value)


def _escape(character: str) -> str:
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"


def _fits_a_block(text: str) -> bool:
    """Whether a text of several lines reads the same as YAML's `|` block."""
    lines = text.removesuffix("\n").split("\n")
    return (
        "\n" in text
        and bool(lines[0])
        and bool(lines[-1])
        and not lines[0].startswith(" ")
        and all(line.isprintable() and line == line.rstrip() for line in lines)
    )
