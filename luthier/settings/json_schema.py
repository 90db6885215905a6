"""The run file as a JSON schema: for editors, and for the words in which a mistake says what to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from luthier.settings.schema import CHOICES, Section, run_file

Schema = dict[str, Any]
Path = tuple[str | int, ...]


def json_schema(
    sections: Mapping[str, type[Section]], choices: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """The schema of a whole run file. `choices` adds names that plug-ins bring: see `schema.CHOICES`."""
    schema = run_file(sections).model_json_schema()
    for path, names in {**CHOICES, **(choices or {})}.items():
        for place in _follow(schema, tuple(path.split("."))):
            if place["type"] == "object":
                known = {"enum": list(names)}
                # A target may be set for a function of the user's own: `module:function`.
                place["propertyNames"] = {"anyOf": [known, {"pattern": ":"}]} if path == "targets" else known
            else:
                (place["items"] if place["type"] == "array" else place)["enum"] = list(names)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Luthier's run file"}


def known_paths(schema: Schema) -> list[str]:
    """Every path of a section or a value: `data`, `data.train`, `data.train[].path`, ..."""

    def walk(place: Schema, prefix: str) -> Iterator[str]:
        for option in alternatives(schema, place):
            for name, inner in option.get("properties", {}).items():
                yield prefix + name
                yield from walk(inner, f"{prefix}{name}.")
            if "items" in option:
                yield from walk(option["items"], f"{prefix[:-1]}[].")

    return list(walk(schema, ""))


def may_stand_at(schema: Schema, path: Path) -> list[Schema]:
    """Everything that may be written at a path, each a schema without alternatives; empty for an unknown path."""
    return [option for place in _follow(schema, path) for option in alternatives(schema, place)]


def alternatives(schema: Schema, place: Schema) -> Iterator[Schema]:
    """What may stand at a place of the schema, each without references and alternatives."""
    if "$ref" in place:
        yield from alternatives(schema, schema["$defs"][place["$ref"].rpartition("/")[2]])
    elif "anyOf" in place:
        for option in place["anyOf"]:
            yield from alternatives(schema, option)
    else:
        yield place


def names_of(options: Sequence[Schema]) -> list[str]:
    """The names that may be written: `["auto", "small", ...]`."""
    return [name for option in options for name in option.get("enum", [option["const"]] if "const" in option else [])]


def words(options: Sequence[Schema]) -> str:
    """What to write, in words: "`auto`, or a number above 0 and at most 1"."""
    phrases = [_phrase(option) for option in options if not names_of([option])]
    names = [f"`{name}`" for name in names_of(options)]
    if names:
        phrases.insert(0, names[0] if len(names) == 1 else f"one of {', '.join(names)}")
    return ", or ".join(dict.fromkeys(phrases))


def _phrase(option: Schema) -> str:
    match option["type"]:
        case "integer":
            return _number("a whole number", option)
        case "number":
            return _number("a number", option)
        case "string":
            return f"a {option['format']}" if "format" in option else "text"
        case "boolean":
            return "`true` or `false`"
        case "null":
            return "`null`"
        case "array":
            items = option["items"]
            return f"a list of {(items.get('anyOf') or [items])[0].get('format', 'text')}s"
        case _:
            keys = [f"{key}: ..." for key in option.get("properties", {"name": None})]
            return f"`{{{', '.join(keys)}}}`" if len(keys) < 3 else f"`key: value` lines such as `{keys[0]}`"


def _number(kind: str, option: Schema) -> str:
    low, above = option.get("minimum"), option.get("exclusiveMinimum")
    high, below = option.get("maximum"), option.get("exclusiveMaximum")
    if above is not None:
        kind += f" above {_digits(above)}"
    if low is not None:
        kind += f" from {_digits(low)} to" if high is not None or below is not None else f", {_digits(low)} or more"
    if below is not None:
        kind += f" below {_digits(below)}"
    if high is not None:
        kind += f" {_digits(high)}" if low is not None else f" and at most {_digits(high)}"
    return kind


def _digits(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _follow(schema: Schema, path: Path) -> list[Schema]:
    places = [schema]
    for part in path:
        options = [option for place in places for option in alternatives(schema, place)]
        if isinstance(part, int):
            places = [option["items"] for option in options if "items" in option]
        else:
            places = [
                option.get("properties", {}).get(part) or option["additionalProperties"]
                for option in options
                if part in option.get("properties", {}) or isinstance(option.get("additionalProperties"), dict)
            ]
    return places
