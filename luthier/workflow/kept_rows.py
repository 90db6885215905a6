"""Training rows without some of them, written into files, with the rows that are held back staying the same ones."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.data.fields import DoesNotFit
from luthier.data.read import blocks
from luthier.data.row_file import row_file
from luthier.data.sides import sides
from luthier.errors import mistake
from luthier.flow import Event, Place, Record
from luthier.settings.schema import Settings
from luthier.workflow import run_file

Key = tuple[Path, int, int | None]


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The settings that name the files, and how many training rows were left out."""

    settings: dict[str, Any]
    left_out: int


def keep_rows(settings: Settings, without: Collection[Place], folder: Path) -> Generator[Event, None, KeptRows]:
    """Writes each file of training rows into `folder` without some rows, and the validation rows that a share holds
    back into a file of their own: drawn anew from fewer rows they would be others, and nothing could be compared.

    A row that is held back stays, whatever `without` says. Raises `UserError` where that cannot be done, and where no
    training row is left out: then the rows are not those that `without` speaks of.
    """
    data = settings.data
    named = [(run_file.shown(file.path), file.weight) for file in data.train or ()]
    for path, _ in named:
        if not Path(path).is_file():
            raise mistake("this file of rows is not there any more", path, "put it back as it was, and type the same")
    shared = not isinstance(data.validation, str) and data.validation > 0
    if shared and data.limit is not None:
        remedy = "train on a file that holds the rows alone, without `data.limit`"
        raise mistake("rows cannot be left out where a limit draws them", "data.limit", remedy)
    share = 0.0 if isinstance(data.validation, str) else data.validation
    found = yield from sides(named, data.format, data.columns, data.limit, share, settings.seed)
    held_back = {_key(row.place): number for number, row in enumerate(found.held_back)}
    gone = {_key(place) for place in without}
    files, left_out = [], 0
    kept_back: dict[int, Any] = {}
    for number, (path, weight) in enumerate(named, 1):
        target = folder / f"{number}-{Path(path).name.partition('.')[0]}.jsonl"
        with row_file(target) as write:
            for record in _records(path):
                key = _key(record.place)
                if key in held_back:
                    kept_back[held_back[key]] = record.values
                elif key in gone:
                    left_out += 1
                else:
                    _written(write, record)
        files.append({"path": str(target.resolve()), "weight": weight})
    if not left_out:
        remedy = "put the rows back as they were when the run was trained"
        raise mistake("none of the rows to leave out is a training row", str(named[0][0]), remedy)
    changed: dict[str, Any] = {"data.train": files}
    if shared:
        target = folder / "validation.jsonl"
        with row_file(target) as write:
            for _, values in sorted(kept_back.items()):
                write(values)
        changed["data.validation"] = str(target.resolve())
    return KeptRows(changed, left_out)


def _records(path: str) -> Generator[Record, None, None]:
    """The rows of a file that can be read; what cannot was not trained on either."""
    for block in blocks(Path(path)):
        for row in block.rows():
            if isinstance(row, Record):
                yield row


def _written(write: Any, record: Record) -> None:
    try:
        write(record.values)
    except DoesNotFit as error:
        raise mistake(f"the row cannot be written as JSON: {error}", str(record.place)) from None


def _key(place: Place) -> Key:
    return Path(place.file).resolve(), place.line, place.row_group
