"""Run files, `--data` and `--set` -> one frozen value, with the source of each setting and all mistakes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from luthier.errors import Mistake, UserError, mistake
from luthier.settings.explaining import mistakes_in
from luthier.settings.reading import Entry, Origin, read_file, read_text
from luthier.settings.schema import Section, Settings, run_file

DEFAULT: Final = "default (contract)"
AUTO: Final = "auto"

ROWS_ENDINGS: Final = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")
COMPRESSED_ENDINGS: Final = (".gz", ".zst")

_PATHS = {("model",), ("data", "train"), ("data", "train", "path"), ("data", "validation"), ("data", "test")}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from: `value` as written, `source` (`run.yaml:12`, `--set`, `default (contract)`, `auto`, or
    who resolved it), and the `reason` of a resolved one."""

    value: Any
    source: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and a source for the path of each value (`training_config.lora_config.r`). Paths of files are
    absolute in `settings`, and as written in `provenance`."""

    settings: Settings
    provenance: Mapping[str, Source]


def load(
    files: Sequence[str | os.PathLike[str]],
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    sections: Mapping[str, type[Section]],
    choices: Mapping[str, Sequence[str]] | None = None,
    folder: Path | None = None,
) -> Loaded:
    """Reads and merges: later files win key by key, then `--data`, then `--set key=value`.

    A file of rows among `files` means `data.train`. `sections` are the methods' (`{"lora_config": its Settings}`),
    `choices` the names that plug-ins bring (see `schema.CHOICES`). Names from the command line are relative to `folder`
    (the current one), names in a run file to that file's folder. Raises `UserError` with every mistake of all files.
    """
    folder = (folder or Path.cwd()).absolute()
    choices = choices or {}
    names = [os.fspath(name) for name in files]
    rows = [name for name in names if is_rows_file(name)]
    mistakes: list[Mistake] = []
    layers: list[Entry] = []
    for name in names:
        if name not in rows:
            layers += _kept(mistakes, *read_file(name, folder))
    if rows and data is not None:
        remedy = f"leave out {rows[0]} or --data {data}"
        mistakes.append(Mistake("the rows are named twice", "--data", remedy))
    if rows or data is not None:
        layers.append(_rows(rows or [str(data)], Origin(*(("--data",) * 2 if data else ("command line",) * 2), folder)))
    for override in overrides:
        layers += _kept(mistakes, *_override(override, folder))
    for layer in layers:
        mistakes += mistakes_in(layer, sections, choices, merged=False)
    start = Origin("", "", folder)
    root = reduce(_merged, layers, Entry({}, start, start))
    if not mistakes:
        mistakes += mistakes_in(root, sections, choices, merged=True)
    if mistakes:
        raise UserError(dict.fromkeys(mistakes))
    settings = run_file(sections).model_validate(_absolute(root))
    return Loaded(settings, dict(_sources(settings, root, "")))


def is_rows_file(name: str) -> bool:
    """Whether a name's ending is that of rows: `rows.jsonl`, `rows.csv.gz`, ..."""
    plain = name.lower()
    for ending in COMPRESSED_ENDINGS:
        plain = plain.removesuffix(ending)
    return plain.endswith(ROWS_ENDINGS)


def require_rows(settings: Settings) -> None:
    """Raises `UserError` where nothing says which rows to train on."""
    if settings.data.train is None:
        raise mistake("there are no rows to train on", "data.train", "type `--data F`, or write `data: {train: F}`")


def resolve(loaded: Loaded, path: str, value: Any, reason: str, source: str) -> Loaded:
    """The same with an `auto`, or a default that nobody wrote, replaced by what was decided, why, and after whom.

    What is written stays as written: raises `ValueError` for it.
    """
    old = loaded.provenance[path]
    if old.source not in (AUTO, DEFAULT) and old.value != AUTO:
        raise ValueError(f"{path} is written in {old.source}: it stays as it is")
    tree = loaded.settings.model_dump()
    *sections, name = path.split(".")
    reduce(lambda place, section: place[section], sections, tree)[name] = value
    settings = type(loaded.settings).model_validate(tree)
    return Loaded(settings, {**loaded.provenance, path: Source(value, source, reason)})


def resolve_auto(loaded: Loaded, path: str, value: Any, reason: str) -> Loaded:
    """The same with this setting decided where it is `auto`; what is written stays."""
    return resolve(loaded, path, value, reason, AUTO) if loaded.provenance[path].value == AUTO else loaded


def _kept(mistakes: list[Mistake], entry: Entry | None, found: list[Mistake]) -> list[Entry]:
    mistakes += found
    return [entry] if entry is not None else []


def _rows(names: list[str], origin: Origin) -> Entry:
    files = tuple(Entry(name, origin, origin, name) for name in names)
    train = files[0] if len(files) == 1 else Entry(files, origin, origin)
    return _under("data.train", train)


def _under(path: str, entry: Entry) -> Entry:
    """An entry as it would stand in a run file that holds nothing else."""
    for key in reversed(path.split(".")):
        entry = Entry({key: entry}, entry.origin, entry.origin)
    return entry


def _override(text: str, folder: Path) -> tuple[Entry | None, list[Mistake]]:
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path:
        return None, [Mistake(f"`{text}` is no setting", "--set", "type `--set key=value`, such as `--set seed=1`")]
    origin = Origin(f"--set {path}", "--set", folder)
    if value.lstrip().startswith(">"):  # a target, never YAML's block of text
        return _under(path, Entry(value.strip(), origin, origin, value.strip())), []
    entry, mistakes = read_text(value, lambda mark: origin)
    return None if mistakes else _under(path, entry or Entry(None, origin, origin)), mistakes


def _merged(base: Entry, later: Entry) -> Entry:
    """Key by key, the later wins; an empty section writes nothing."""
    if not isinstance(base.value, dict):
        return later
    if later.value is None:
        return base
    if not isinstance(later.value, dict):
        return later
    both = {key: _merged(base.value[key], entry) if key in base.value else entry for key, entry in later.value.items()}
    return replace(later, value={**base.value, **both})


def _absolute(entry: Entry, path: tuple[str, ...] = ()) -> Any:
    """The plain value with the names of files made absolute, each from the folder that it was written for."""
    if isinstance(entry.value, dict):
        return {key: _absolute(inner, (*path, key)) for key, inner in entry.value.items()}
    if isinstance(entry.value, tuple):
        return [_absolute(item, path) for item in entry.value]
    text = entry.value
    if not isinstance(text, str) or path not in _PATHS:
        return text
    if path == ("model",) and not (text.startswith(("./", "../", "~/")) or text.lower().endswith(".gguf")):
        return text
    return os.path.normpath(entry.origin.folder / os.path.expanduser(text))


def _sources(value: Any, entry: Entry | None, path: str) -> Iterator[tuple[str, Source]]:
    if isinstance(value, BaseModel) or (isinstance(value, dict) and value):
        for name, inner in value.items() if isinstance(value, dict) else value:
            yield from _sources(inner, entry.inner(name) if entry else None, f"{path}.{name}" if path else name)
    elif entry is not None:
        yield path, Source(entry.plain(), entry.origin.source)
    else:
        yield path, Source(value, AUTO if value == AUTO else DEFAULT)
