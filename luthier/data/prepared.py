"""Rows ready for the model, kept on disk: each block of a file becomes one file of tokens, found again by its content.

So preparation goes on where it was killed, a file that grew costs only its new rows, and what stands in memory is a few
numbers a row. What makes a block's tokens is the block, how its file is read, and the recipe: template, tokenizer,
`train_on`, and the code of this package.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import msgspec
import numpy as np
from msgspec import json
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from luthier.data.account import Cell
from luthier.data.check import Checked, Problems, Source, check_block
from luthier.data.read import Block
from luthier.data.render import TrainOn, render_all
from luthier.data.same_source import Asked, asked
from luthier.data.split import content_hash
from luthier.data.templates import Template
from luthier.data.tokenize import Fitted as FittedRows
from luthier.data.tokenize import TooLong, fit, paired, proven_all
from luthier.errors import mistake
from luthier.flow import Conversation, Place, Problem, Rendered, Tokenized

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_BYTES = 10 << 30
"""What the kept files may take: beyond that those that were not used for longest go."""
OPEN_SHARDS = 8
"""Shards in memory at once: a few MB each, and a step's rows stand anywhere among millions."""
ROWS_OWN = ("line", "row_group", "pieces", "lengths", "tokens", "run_values", "run_lengths", "run_counts")
"""What of a shard makes its rows; the rest of it is in the `Table`, or was said."""


@dataclass(frozen=True)
class Recipe:
    """What makes a conversation's tokens, beside the conversation. With `pairs` each conversation makes two rows, that
    of its better answer and that of its worse one."""

    template: Template
    tokenizer: PreTrainedTokenizerBase
    train_on: TrainOn
    stops: tuple[int, ...]
    pairs: bool = False

    @cached_property
    def fingerprint(self) -> bytes:
        """Equal for recipes that make the same tokens."""
        day = (self.template.day or datetime.now().date().isoformat()) if self.template.prints_the_day else ""
        kind = f"{self.train_on} pairs" if self.pairs else self.train_on
        parts = (self.template.text, day, kind, str(self.stops), _tokenizer_text(self.tokenizer), _code())
        return _digest(*(part.encode() for part in parts))


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows of one block on disk, and what became of each row of the block (`checked`, without conversations)."""

    path: Path
    checked: Checked


def prepare_block(block: Block, source: Source, recipe: Recipe, folder: Path) -> Shard:
    """Checks, renders, tokenizes and proves the rows of a block, unless `folder` has them already.

    The file is written aside and renamed, so that it is whole or absent. Raises `UserError` where it cannot be written.
    """
    path = place_of(block, source, recipe, folder)
    try:
        checked = json.decode(read_arrays(path, ("checked",))["checked"].tobytes(), type=Checked)
        os.utime(path)
    except (OSError, SafetensorError):
        checked = check_block(block, source)
        conversations = checked.conversations
        made = list(_made(conversations, recipe))
        bad = [
            (row.category, found) for row, found in zip(conversations, made, strict=True) if isinstance(found, Problem)
        ]
        counts = [*checked.counts]
        for (category, check), count in Counter((category, found.check) for category, found in bad).items():
            counts += [(category, "", -count), (category, check, count)]
        problems = [*checked.problems, *(found for _, found in bad)]
        checked = Checked([], problems, counts, checked.unused, checked.fields)
        rows = [() if isinstance(found, Problem) else found for found in made]
        about = {"checked": np.frombuffer(json.encode(checked), np.uint8)}
        keep(path, arrays_of(conversations, rows) | about, folder)
    return Shard(path, checked)


def place_of(block: Block, source: Source, recipe: Recipe, folder: Path, *more: bytes) -> Path:
    """Where a block's rows are kept: by all that makes their tokens, and `more` that they depend on."""
    settings = (source.name, source.weight, sorted(source.columns.items()), source.detection and source.detection.form)
    own = str(block.first_line).encode(), repr(settings).encode()
    key = _digest(recipe.fingerprint, block.digest(), *own, *more).hex()
    return folder / key[:2] / f"{key}.safetensors"


def keep(path: Path, arrays: dict[str, NDArray[Any]], folder: Path) -> None:
    """Writes a block's rows. Raises `UserError` where `folder` cannot take them."""
    try:
        write_arrays(path, arrays)
    except OSError as error:
        remedy = "free some space, or export LUTHIER_HOME=/a/folder/with/space; what is prepared is kept"
        raise mistake(f"rows cannot be kept: {error.strerror or error}", str(folder), remedy) from error


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Where the rows of tokens of R conversations are: all that a run keeps of them in memory, 4 bytes each.

    `first` (shards + 1): the conversation with which each shard begins. `files`: each shard's file. `category` (R): a
    place in `names`.
    """

    shards: tuple[Path, ...]
    first: NDArray[np.int64]
    files: tuple[str, ...]
    names: Sequence[str]
    category: NDArray[np.int32]

    def rows(self, conversation: int) -> tuple[Tokenized, ...]:
        """The rows of tokens of one conversation."""
        shard = int(np.searchsorted(self.first, conversation, side="right")) - 1
        return _opened(self.shards[shard]).rows(
            conversation - int(self.first[shard]), self.files[shard], self.names[self.category[conversation]]
        )


class Table:
    """The rows of some files, in order, as numbers: R conversations, of which each gave none (a bad one), one or more
    rows of tokens. Needed to choose among them; afterwards `on_disk` is enough.

    `source`, `category` (R): places in `files` and in `names` (sorted). `prompt`, `content` (R): their hashes.
    `pieces` (R): how many rows of tokens. `lengths`, `trained` (all rows of tokens): how many tokens, and trained ones.
    """

    def __init__(self, files: Sequence[str], shards: Sequence[tuple[int, Path]]) -> None:
        self.files, self.numbered = tuple(files), tuple(shards)
        parts = [
            read_arrays(path, ("prompt", "content", "category", "pieces", "lengths", "trained", "names"))
            for _, path in shards
        ]
        names = [json.decode(part["names"].tobytes(), type=list[str]) for part in parts]
        self.names = sorted({name for known in names for name in known})
        place = {name: number for number, name in enumerate(self.names)}
        first = np.cumsum([0, *(len(part["pieces"]) for part in parts)])
        self.source = np.repeat([number for number, _ in shards], np.diff(first)).astype(np.int32)
        self.category = _joined(
            [
                np.array([place[name] for name in known], np.int32)[part["category"]]
                for known, part in zip(names, parts, strict=True)
            ]
        )
        self.prompt, self.content = (_joined([part[key] for part in parts]) for key in ("prompt", "content"))
        self.pieces, self.lengths, self.trained = (
            _joined([part[key] for part in parts]) for key in ("pieces", "lengths", "trained")
        )
        self.start = np.cumsum(self.pieces) - self.pieces
        self.on_disk = OnDisk(
            tuple(path for _, path in shards),
            first,
            tuple(self.files[number] for number, _ in shards),
            self.names,
            self.category,
        )

    def __len__(self) -> int:
        return len(self.pieces)

    def asked(self) -> Iterator[Asked]:
        """What the conversations ask, block by block, read from disk."""
        for path in self.on_disk.shards:
            part = read_arrays(path, ("prompt", "opening", "words", "word_counts"))
            yield Asked(part["prompt"], part["opening"], part["words"], part["word_counts"])

    def cells(self, conversations: NDArray[np.integer], counts: NDArray[np.integer] | None = None) -> dict[Cell, int]:
        """How many of the conversations stand in each source and category; or the sum of `counts` there."""
        numbers = self.source[conversations].astype(np.int64) * len(self.names) + self.category[conversations]
        found, where = np.unique(numbers, return_inverse=True)
        sums = np.bincount(where, weights=counts, minlength=len(found))
        return {
            (self.files[number // len(self.names)], self.names[number % len(self.names)] or None): int(total)
            for number, total in zip(found.tolist(), sums.tolist(), strict=True)
        }

    def sums(self, values: NDArray[np.integer]) -> NDArray[np.int64]:
        """The sum over the rows of tokens of each conversation."""
        total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        summed: NDArray[np.int64] = total[self.start + self.pieces] - total[self.start]
        return summed

    def longest(self) -> NDArray[np.int32]:
        """The tokens of the longest row of each conversation; 0 where it has none."""
        longest = np.zeros(len(self), np.int32)
        np.maximum.at(longest, np.repeat(np.arange(len(self)), self.pieces), self.lengths)
        return longest


@dataclass(frozen=True, slots=True)
class Fit:
    """How long a row may be and what becomes of a longer one, as `tokenize.fit` does it."""

    max_length: int
    too_long: TooLong
    begin_mark: int | None
    pairs: bool = False


class PreparedRows(Sequence[Tokenized]):
    """Rows read from disk as they are asked for: `conversations` and `pieces` (N) say which."""

    def __init__(
        self,
        on_disk: OnDisk,
        conversations: NDArray[np.integer],
        pieces: NDArray[np.integer],
        fitting: Fit,
        longest: int,
    ) -> None:
        self.on_disk, self.fitting, self.longest = on_disk, fitting, longest
        self.conversations, self.pieces = _small(conversations), _small(pieces)

    def __len__(self) -> int:
        return len(self.conversations)

    @overload
    def __getitem__(self, index: int) -> Tokenized: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tokenized]: ...
    def __getitem__(self, index: int | slice) -> Tokenized | Sequence[Tokenized]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        rows = self.on_disk.rows(int(self.conversations[index]))
        if max(len(row.tokens) for row in rows) > self.fitting.max_length:
            rows = _fit(rows, self.fitting).kept
        return rows[int(self.pieces[index])]


class Mixed(Sequence[Tokenized]):
    """Rows as they are trained on: `rows` of the files, the weights of each times its factor of `factors` (N) where
    there are some, and the `added` ones behind them."""

    def __init__(
        self, rows: PreparedRows, factors: NDArray[np.float32] | None = None, added: Sequence[Tokenized] = ()
    ) -> None:
        self.rows, self.factors, self.added = rows, factors, added
        self.longest = max([rows.longest, *(len(row.tokens) for row in added)])

    def __len__(self) -> int:
        return len(self.rows) + len(self.added)

    @overload
    def __getitem__(self, index: int) -> Tokenized: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tokenized]: ...
    def __getitem__(self, index: int | slice) -> Tokenized | Sequence[Tokenized]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        if index >= len(self.rows):
            return self.added[index - len(self.rows)]
        row = self.rows[index]
        return row if self.factors is None else replace(row, weights=row.weights * self.factors[index])


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows of at most a length. `kept` and `dropped` are conversations; `cut` those of them that lost tokens, `tokens`
    and `trained` the tokens of the kept ones."""

    rows: PreparedRows
    kept: NDArray[np.int64]
    dropped: NDArray[np.int64]
    cut: NDArray[np.int64]
    tokens: NDArray[np.int64]
    trained: NDArray[np.int64]
    problems: Problems


def fit_rows(table: Table, conversations: NDArray[np.int64], fitting: Fit) -> Fitted:
    """The rows of these conversations, each at most `fitting.max_length` tokens long. Bad conversations have none."""
    pieces, tokens, trained = table.pieces.copy(), table.sums(table.lengths), table.sums(table.trained)
    longest = table.longest()
    problems, dropped, cut = Problems(), [], []
    for number in conversations[longest[conversations] > fitting.max_length].tolist():
        made = _fit(table.on_disk.rows(number), fitting)
        problems.add(made.problems)
        pieces[number] = len(made.kept)
        tokens[number] = sum(len(row.tokens) for row in made.kept)
        trained[number] = sum(row.trained_tokens for row in made.kept)
        if made.dropped:
            dropped.append(number)
        if made.cuts:
            cut.append(number)
    kept = conversations[pieces[conversations] > 0]
    which = np.repeat(kept, pieces[kept])
    piece = np.arange(len(which)) - np.repeat(np.cumsum(pieces[kept]) - pieces[kept], pieces[kept])
    rows = PreparedRows(
        table.on_disk, which, piece, fitting, int(min(fitting.max_length, longest[kept].max(initial=0)))
    )
    return Fitted(
        rows, kept, np.array(dropped, np.int64), np.array(cut, np.int64), tokens[kept], trained[kept], problems
    )


def _fit(rows: tuple[Tokenized, ...], fitting: Fit) -> FittedRows:
    return fit([rows], fitting.max_length, fitting.too_long, fitting.begin_mark, fitting.pairs)


def sweep(folder: Path, used: Iterable[Path], most_bytes: int = MOST_BYTES) -> None:
    """Deletes kept files until at most `most_bytes` are left: those not used for longest first, `used` never."""
    keep = set(used)
    found = sorted((state.st_mtime, state.st_size, path) for path, state in _files(folder))
    excess = sum(size for _, size, _ in found) - most_bytes
    for _, size, path in found:
        if excess > 0 and path not in keep:
            path.unlink(missing_ok=True)
            excess -= size


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*/*.safetensors"):
        try:
            yield path, path.stat()
        except OSError:  # another process deleted it
            continue


def rows_of(conversations: Sequence[Conversation], recipe: Recipe) -> Iterator[tuple[Tokenized, ...]]:
    """The rows of tokens of each conversation, proven; none where it has none."""
    return (() if isinstance(made, Problem) else made for made in _made(conversations, recipe))


def _made(conversations: Sequence[Conversation], recipe: Recipe) -> Iterator[tuple[Tokenized, ...] | Problem]:
    """The rows of tokens of each conversation, proven, or why it has none."""
    if not recipe.pairs:
        return _sides(conversations, recipe)
    worse = [msgspec.structs.replace(row, messages=row.rejected, rejected=()) for row in conversations]
    return map(paired, _sides(conversations, recipe), _sides(worse, recipe))


def _sides(conversations: Sequence[Conversation], recipe: Recipe) -> Iterator[tuple[Tokenized, ...] | Problem]:
    """The same of the answers in `messages` alone."""
    rendered = list(render_all(conversations, recipe.template, recipe.tokenizer, recipe.train_on))
    fine = [row for row in rendered if isinstance(row, Rendered)]
    proven = proven_all(fine, recipe.tokenizer, recipe.stops, recipe.train_on)
    return (row if isinstance(row, Problem) else next(proven) for row in rendered)


def arrays_of(conversations: Sequence[Conversation], rows: Sequence[tuple[Tokenized, ...]]) -> dict[str, NDArray[Any]]:
    """A block's rows as arrays. Weights are kept as runs: `run_counts` runs a row, each of a length and a weight."""
    names, category = np.unique([row.category or "" for row in conversations] or [""], return_inverse=True)
    flat = [row for made in rows for row in made]
    tokens = _joined([row.tokens for row in flat], np.int32)
    numbers = asked(conversations)
    values, lengths, counts = _runs(flat)
    return {
        "line": np.array([row.place.line for row in conversations], np.int64),
        "row_group": np.array([row.place.row_group or 0 for row in conversations], np.int32),
        "names": np.frombuffer(json.encode(names.tolist()), np.uint8),
        "category": category[: len(conversations)].astype(np.int32),
        "prompt": numbers.prompt,
        "opening": numbers.opening,
        "words": numbers.words,
        "word_counts": numbers.counts,
        "content": np.array([content_hash(row) for row in conversations], np.uint64),
        "pieces": np.array([len(made) for made in rows], np.int32),
        "lengths": np.array([len(row.tokens) for row in flat], np.int32),
        "trained": np.array([row.trained_tokens for row in flat], np.int32),
        "tokens": tokens.astype(np.uint16) if tokens.max(initial=0) < 1 << 16 else tokens,
        "run_values": values,
        "run_lengths": lengths,
        "run_counts": counts,
    }


def _runs(rows: Sequence[Tokenized]) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    weights = _joined([row.weights for row in rows], np.float32)
    begins = np.zeros(len(weights), np.bool_)
    ends = np.cumsum([len(row.weights) for row in rows], dtype=np.int64)
    begins[1:] = weights[1:] != weights[:-1]
    begins[[0, *ends[:-1]] if rows else []] = True
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=len(weights)).astype(np.int32)
    counts = np.diff(np.searchsorted(starts, ends), prepend=0).astype(np.int32)
    return weights[starts], lengths, counts


class _Opened:
    """A shard in memory."""

    def __init__(self, path: Path) -> None:
        self.arrays = read_arrays(path, ROWS_OWN)
        self.first = _ends(self.arrays["pieces"])
        self.token = _ends(self.arrays["lengths"])
        self.run = _ends(self.arrays["run_counts"])

    def rows(self, number: int, file: str, category: str) -> tuple[Tokenized, ...]:
        group = int(self.arrays["row_group"][number])
        place = Place(file, int(self.arrays["line"][number]), group or None)
        made = []
        for row in range(self.first[number], self.first[number + 1]):
            tokens = self.arrays["tokens"][self.token[row] : self.token[row + 1]].astype(np.int32)
            runs = slice(self.run[row], self.run[row + 1])
            weights = np.repeat(self.arrays["run_values"][runs], self.arrays["run_lengths"][runs])
            made.append(Tokenized(tokens, weights, place, category or None))
        return tuple(made)


@lru_cache(maxsize=OPEN_SHARDS)
def _opened(path: Path) -> _Opened:
    return _Opened(path)


def read_arrays(path: Path, names: Iterable[str]) -> Mapping[str, NDArray[Any]]:
    if not path.exists():
        raise FileNotFoundError(path)
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in names}


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    os.close(handle)
    try:
        save_file(arrays, aside)
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)


def _small(numbers: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """The same in the fewest bytes: none of them is negative."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def _ends(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    ends: NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return ends


def _joined(parts: Sequence[NDArray[Any]], type: Any = None) -> NDArray[Any]:
    if not parts:
        return np.zeros(0, type or np.int32)
    return np.concatenate(parts)


def _tokenizer_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """All that decides a tokenizer's tokens, as a text."""
    if tokenizer.is_fast:
        model = tokenizer.backend_tokenizer.to_str()
    else:
        model = repr(sorted(tokenizer.get_vocab().items())) + repr(tokenizer.init_kwargs)
    return f"{type(tokenizer).__name__} {tokenizer.special_tokens_map} {tokenizer.bos_token_id} {model}"


@lru_cache(maxsize=1)
def _code() -> str:
    """A digest of this package's part for data: other code may make other tokens."""
    here = Path(__file__).parent
    files = sorted(here.rglob("*.py"))
    return _digest(*(str(path.relative_to(here)).encode() + path.read_bytes() for path in files)).hex()


def _digest(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
