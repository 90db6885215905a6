"""Text of a run file -> entries that know their line and column. YAML 1.2, one mistake for each thing wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from luthier.errors import Mistake

Scalar = None | bool | int | float | str

MOST_BYTES: Final = 1_000_000
MOST_ENTRIES: Final = 20_000

_YAML_TAG = "tag:yaml.org,2002:"
_KINDS = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
_KNOWN_TAGS = {f"{_YAML_TAG}{kind}" for kind in _KINDS}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written: `where` for a mistake (`run.yaml:7:3`), `source` for provenance (`run.yaml:7`), and
    the folder that its paths are relative to."""

    where: str
    source: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A value: a scalar, a list of entries, or entries by key. `key_origin` is where its key stands, `written` a
    scalar as the user wrote it."""

    value: Scalar | tuple[Entry, ...] | dict[str, Entry]
    origin: Origin
    key_origin: Origin
    written: str = ""

    def inner(self, part: str | int) -> Entry | None:
        """The entry under a key or at a place of a list."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, tuple) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None

    def plain(self) -> Any:
        """The value in Python's own types."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, tuple):
            return [entry.plain() for entry in self.value]
        return self.value


def read_file(path: str, folder: Path) -> tuple[Entry | None, list[Mistake]]:
    """The entries of a run file, named relative to `folder`; None where it cannot be read at all."""
    place = folder / path
    try:
        content = place.read_bytes()[: MOST_BYTES + 1]
    except FileNotFoundError:
        there = [file.name for file in place.parent.glob("*.y*ml")] if place.parent.is_dir() else []
        near = get_close_matches(place.name, there, 1, 0.5)
        remedy = f"did you mean {place.parent.joinpath(near[0]).name}?" if near else "check the path"
        return None, [Mistake("there is no such file", path, remedy)]
    except IsADirectoryError:
        return None, [Mistake("is a folder, not a run file", path, "name the YAML file in it")]
    except OSError as error:
        return None, [Mistake(f"cannot be read: {error.strerror}", path, "make it readable")]
    if len(content) > MOST_BYTES:
        remedy = "if it holds rows, name it with --data"
        return None, [Mistake(f"is over {MOST_BYTES:,} bytes, too large for a run file", path, remedy)]
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None, [Mistake("is written in UTF-16", path, "save it as UTF-8")]
    if b"\0" in content:
        return None, [Mistake("is a binary file, not a run file", path, "name a YAML file")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"is not UTF-8: byte 0x{content[error.start]:02x} in line {line}"
        return None, [Mistake(message, f"{path}:{line}", "save it as UTF-8")]

    def origin(mark: StringMark) -> Origin:
        return Origin(f"{path}:{mark.line + 1}:{mark.column + 1}", f"{path}:{mark.line + 1}", place.parent)

    entry, mistakes = read_text(text, origin)
    if entry is None:
        return None, mistakes or [
            Mistake("holds no settings", path, "write a setting, such as `data: {train: rows.jsonl}`")
        ]
    if not isinstance(entry.value, dict):
        kind = "a list" if isinstance(entry.value, tuple) else "a single value"
        mistakes.append(Mistake(f"holds {kind}", path, "a run file holds `key: value` lines; name rows with --data"))
        return None, mistakes
    return entry, mistakes


def read_text(text: str, origin: Callable[[StringMark], Origin]) -> tuple[Entry | None, list[Mistake]]:
    """The entries of one YAML document, None where it is empty or no YAML. `origin` turns a mark into a place."""
    mistakes: list[Mistake] = []
    start = origin(StringMark("", 0, 0, 0, "", 0)).where
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        entry = _Walk(origin, mistakes).entry(root) if root is not None else None
    except RecursionError:
        return None, [Mistake("is nested too deeply, or too long", start, "a run file is a few levels deep")]
    except ReaderError as error:
        line = text.count("\n", 0, error.position)
        column = error.position - text.rfind("\n", 0, error.position) - 1
        message = f"holds the control character 0x{ord(text[error.position]):02x}"
        where = origin(StringMark("", error.position, line, column, "", 0)).where
        return None, [Mistake(message, where, "delete it, or write it as an escape in double quotes")]
    except MarkedYAMLError as error:
        return None, [_syntax(error, origin)]
    except YAMLError as error:
        return None, [Mistake(f"is no YAML: {str(error).splitlines()[0]}", start, "write `key: value` lines")]
    if entry is not None and entry.value is None:
        entry = None
    return entry, mistakes


class _Walk:
    """From ruamel's nodes to entries; each duplicate key, unknown tag or odd key becomes a mistake."""

    def __init__(self, origin: Callable[[StringMark], Origin], mistakes: list[Mistake]) -> None:
        self.origin = origin
        self.mistakes = mistakes
        self.entries = 0

    def entry(self, node: Node, key_origin: Origin | None = None) -> Entry:
        origin = self.origin(node.start_mark)
        if key_origin and isinstance(node, ScalarNode) and not node.value and not node.style:
            origin = key_origin  # nothing stands after the key, and YAML's mark is somewhere below
        self.entries += 1
        if self.entries > MOST_ENTRIES:
            raise RecursionError
        if str(node.tag) not in _KNOWN_TAGS:
            tag = str(node.tag).replace(_YAML_TAG, "!!")
            self.mistakes.append(Mistake(f"the tag `{tag}` is not read", origin.where, "write the value without it"))
        value: Scalar | tuple[Entry, ...] | dict[str, Entry]
        if isinstance(node, MappingNode):
            value = self.mapping(node)
        elif isinstance(node, SequenceNode):
            value = tuple(self.entry(item) for item in node.value)
        else:
            assert isinstance(node, ScalarNode)
            whole = node.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # joins JSON's pairs
            if whole.count("\ufffd") > node.value.count("\ufffd"):
                self.mistakes.append(Mistake("holds half a character", origin.where, "write the character itself"))
            node.value = whole
            value = self.scalar(node)
        written = ""
        if isinstance(node, ScalarNode):
            written = json.dumps(node.value, ensure_ascii=False) if node.style or not node.value else node.value
        return Entry(value, origin, key_origin or origin, written)

    def mapping(self, node: MappingNode) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            key_origin = self.origin(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                self.mistakes.append(Mistake("a key is a list or a section", key_origin.where, "write a name"))
                continue
            key = key_node.value
            if key in entries:
                first = entries[key].key_origin.source.rpartition(":")[2]
                second = key_origin.source.rpartition(":")[2]
                message = f"`{key}` stands twice, in lines {first} and {second}"
                self.mistakes.append(Mistake(message, key_origin.where, "keep one of them"))
                continue
            entries[key] = self.entry(value_node, key_origin)
        return entries

    def scalar(self, node: ScalarNode) -> Scalar:
        text: str = node.value
        kind = str(node.tag).removeprefix(_YAML_TAG)
        try:
            if kind == "null":
                return None
            if kind == "bool" and text.lower() in ("true", "false"):
                return text.lower() == "true"
            if kind == "int":
                digits = text.replace("_", "")
                return int(digits, 0 if digits.lstrip("+-").lower().startswith(("0x", "0o", "0b")) else 10)
            if kind == "float":
                return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:  # a tag that does not fit its text, or thousands of digits
            return text
        return text


_SYNTAX: Final[tuple[tuple[str, str, str], ...]] = (
    (r"'\t'", "a tab stands where YAML wants spaces", "indent with spaces"),
    ("mapping values", "a `: ` stands where no key can be", "put a text that holds `: ` in quotes; line keys up"),
    ("block scalar", "`>` and `|` begin a block of text", 'put the value in quotes, such as "> 90%"'),
    ("character '>'", "`>` and `|` begin a block of text", 'put the value in quotes, such as "> 90%"'),
    ("start any token", "a text cannot begin with this character", "put the text in quotes"),
    (
        "undefined alias",
        "`*` begins a reference, and nothing has that name",
        "put a text that begins with `*` in quotes",
    ),
    ("expected ',' or ", "a bracket is not closed", "close it with `]` or `}`"),
    ("unclosed quote", "a quote is not closed", "close it"),
    ("escape", "a backslash in double quotes begins an escape", "use single quotes, or write two backslashes"),
    ("node content", "a value is missing here", "write a value, or close the bracket"),
    ("another document", "a second document begins here", "keep it in a file of its own and name both files"),
    ("<block end>", "the line is indented unlike those above it", "begin the keys of one section in one column"),
    ("<document start>", "the line is indented unlike those above it", "begin the keys of one section in one column"),
    ("expected ':'", "the line has no `: `", "write `key: value`"),
)


def _syntax(error: MarkedYAMLError, origin: Callable[[StringMark], Origin]) -> Mistake:
    """YAML's complaint in our words, at the place where the user should look."""
    complaint = f"{error.context or ''} {error.problem or ''}"
    if "quoted scalar" in complaint and "end of stream" in complaint:
        complaint = "unclosed quote"
    begins = any(sign in complaint for sign in ("expected ',' or ", "unclosed quote", "expected ':'"))
    mark = error.context_mark if begins and error.context_mark else error.problem_mark
    where = origin(mark).where if mark else ""
    for sign, message, remedy in _SYNTAX:
        if sign in complaint:
            return Mistake(message, where, remedy)
    return Mistake(f"is no YAML: {error.problem}", where, "write `key: value` lines")
