"""Parquet: a record for every row, row group by row group."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from luthier.data import text
from luthier.errors import UserError, mistake
from luthier.flow import Place, Problem, Record

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS = 2000
BATCH_BYTES = 8 << 20
UNPACKED = 100
"""How many times its packed size a compressed Parquet file may take: it is compressed inside too, a bomb is not."""


def read(file: BufferedReader, name: str) -> Iterator[Record | Problem]:
    """A record for every row, placed by its number in the file and its row group's.

    A null is a field that the row does not have, at any depth: a column cannot be left out of a row otherwise. Bytes
    that are UTF-8 are a text; what JSON does not have (times, decimals) comes as its text. Raises `UserError` where the
    file or a row group is broken.
    """
    from pyarrow import parquet

    head = file.peek(4)[:4]
    if head and head != b"PAR1":
        raise mistake("this is no Parquet file, whatever its name says", name, "give it the ending of what it holds")
    if not head:
        return
    with ExitStack() as stack:
        whole: IO[bytes] = file if file.seekable() else stack.enter_context(_spilled(file, name))
        try:
            opened = parquet.ParquetFile(whole, pre_buffer=False, buffer_size=1 << 20)
            columns = opened.schema_arrow.names
        except _faults() as error:
            raise _broken("the file is cut short or damaged", error, name) from None
        for column in columns:
            if columns.count(column) > 1:
                raise mistake(f"{columns.count(column)} columns are named {column!r}", name, "name each its own")
        before = 0
        for number in range(opened.num_row_groups):
            try:
                group = opened.metadata.row_group(number)
                rows = max(1, min(BATCH_ROWS, BATCH_BYTES * group.num_rows // max(1, group.total_byte_size)))
                batches = opened.iter_batches(rows, [number], use_threads=False)
                for batch in batches:
                    yield from _rows(batch, Place(name, before + 1, number + 1))
                    before += batch.num_rows
            except _faults() as error:
                place = str(Place(name, before + 1, number + 1))
                raise _broken("the row group cannot be read from here on", error, place) from None


def _rows(batch: pyarrow.RecordBatch, place: Place) -> Iterator[Record | Problem]:
    """The rows of a batch that begins at `place`: in halves where it takes much memory or holds a row at fault."""
    alone = batch.num_rows == 1
    if alone and batch.nbytes > text.ROW_BYTES:
        yield text.too_long(batch.nbytes, place)
        return
    if alone or batch.nbytes <= 4 * BATCH_BYTES:
        try:
            columns = [_values(column) for column in batch.columns]
        except UnicodeDecodeError as error:
            if alone:
                message = f"byte {error.start + 1} of a text is 0x{error.object[error.start]:02x}, which is not UTF-8"
                yield Problem("encoding", "error", place, message, "write the column's texts as UTF-8")
                return
        else:
            names = batch.schema.names
            for row, values in enumerate(zip(*columns, strict=True)) if columns else ():
                present = {name: value for name, value in zip(names, values, strict=True) if value is not None}
                yield Record(present, Place(place.file, place.line + row, place.row_group))
            return
    half = batch.num_rows // 2
    yield from _rows(batch.slice(0, half), place)
    yield from _rows(batch.slice(half), Place(place.file, place.line + half, place.row_group))


def _values(column: pyarrow.Array) -> list[Any]:
    """A column's values as JSON has them. Raises `UnicodeDecodeError` for a text that is none."""
    readable = _readable(column.type)
    values: list[Any] = (column if readable == column.type else column.cast(readable)).to_pylist()
    mend = _mender(readable)
    return [None if value is None else mend(value) for value in values] if mend else values


def _readable(kind: pyarrow.DataType) -> pyarrow.DataType:
    """The type to cast a column to: texts for what Python reads with loss or not at all, nanoseconds for one."""
    import pyarrow
    from pyarrow import types

    if types.is_duration(kind):
        return pyarrow.int64()
    if types.is_temporal(kind) or types.is_decimal(kind):
        return pyarrow.string()
    if types.is_dictionary(kind):
        return _readable(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return pyarrow.large_list(kind.value_field.with_type(_readable(kind.value_type)))
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(_readable(field.type)) for field in kind.fields])
    return kind


def _mender(kind: pyarrow.DataType) -> Callable[[Any], Any] | None:
    """What makes JSON's of a value that is not null, or nothing where it is JSON's already."""
    from pyarrow import types

    if types.is_struct(kind):
        inside = {field.name: _mender(field.type) for field in kind.fields}
        if not any(inside.values()):
            return lambda value: {name: each for name, each in value.items() if each is not None}
        return lambda value: {
            name: mend(each) if (mend := inside[name]) else each for name, each in value.items() if each is not None
        }
    if types.is_map(kind):
        mend_item, mend_name = _or_as_it_is(kind.item_type), _or_as_it_is(kind.key_type)
        return lambda value: {str(mend_name(name)): mend_item(each) for name, each in value if each is not None}
    if types.is_large_list(kind) or types.is_fixed_size_list(kind):
        mend_element = _mender(kind.value_type)
        if mend_element is None:
            return None
        return lambda value: [None if each is None else mend_element(each) for each in value]
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _text_or_bytes
    plain = types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind) or types.is_boolean(kind)
    return None if plain or types.is_floating(kind) or types.is_null(kind) else str


def _or_as_it_is(kind: pyarrow.DataType) -> Callable[[Any], Any]:
    return _mender(kind) or (lambda value: value)


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


@contextmanager
def _spilled(file: BufferedReader, name: str) -> Iterator[IO[bytes]]:
    """What a stream holds, in a file without a name: a Parquet file is read from its end."""
    left = UNPACKED * Path(name).stat().st_size
    with tempfile.TemporaryFile() as whole:
        try:
            while piece := file.read(1 << 20):
                whole.write(piece)
                left -= len(piece)
                if left < 0:
                    message = f"unpacked it takes more than {UNPACKED} times its size"
                    raise mistake(message, name, f"type: {text.packer(name)} -d {shlex.quote(name)}")
        except UserError as error:
            raise UserError([replace(each, where=name) for each in error.mistakes]) from None
        yield whole


def _faults() -> tuple[type[Exception], ...]:
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, MemoryError)


def _broken(message: str, error: Exception, where: str) -> UserError:
    """Raises what concerns the disk, not the file's content, as it is."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return mistake(f"{message}: {reason}", where, "fetch or write it again")
