"""`luthier check`: what would be read, kept and trained on, before any training. The dry run of a run file."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from luthier import plugins
from luthier.data import llama_factory
from luthier.data.account import Account
from luthier.data.check import Gathered, Problems, look
from luthier.data.convert import Converted, convert
from luthier.data.detect import FORMS, Detection
from luthier.data.tokenize import shown
from luthier.errors import mistake
from luthier.flow import Event, Marked, Note, Progress
from luthier.report.numbers import count
from luthier.runs.whole import to_disk
from luthier.settings.loading import is_rows_file
from luthier.workflow import run_file
from luthier.workflow.prepare import prepare


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `mask` holds rows with their tokens marked; `account` is what rows.json would hold;
    `written` is what became of `write`."""

    read: int
    kept: int
    dropped: Mapping[str, int]
    problems: Problems
    mask: tuple[Marked, ...]
    account: Account
    written: Converted | None = None


def check(
    files: Sequence[str],
    *,
    mask: int = 0,
    data: str | None = None,
    overrides: Sequence[str] = (),
    write: str | None = None,
    format: str | None = None,
) -> Generator[Event, None, Checked]:
    """Checks files of rows, or a run file with its settings, rows, template and masks.

    Files of rows are checked without a model unless `mask` rows are to be shown; LLaMA-Factory's `dataset_info.json`
    stands for the files that it names beside it, and one of its names for that file. Bad rows are problems here, not
    errors. With `write` the rows that can be used go into that file, as rows of the form `format` or of their own, and
    the others into one beside it. Raises `UserError` for a run file that cannot be used.
    """
    if not files:
        raise mistake(
            "there is nothing to check", "FILE", "luthier check rows.jsonl, or luthier check run.yaml --mask 3"
        )
    files = yield from _expanded(files)
    of_rows = all(is_rows_file(file) for file in files) and not mask and not overrides and data is None
    if write is None and format is not None:
        raise mistake("--format says how rows are written", "--format", "name the file to write: --write G")
    if write is not None and not of_rows:
        raise mistake("--write takes files of rows alone", "--write", "luthier check rows.jsonl --write kept.jsonl")
    if write is not None:
        return (yield from _written(files, Path(write), format))
    if of_rows:
        return (yield from _rows_checked(files))
    loaded = run_file.read(files, data, [*overrides, "data.bad_rows=drop"])
    from luthier.workflow.loaded_model import find

    named = yield from find(loaded.settings.model)
    prepared = yield from prepare(loaded, named.tokenizer, named.context_length, named.eos)
    for path, source in prepared.loaded.provenance.items():
        if source.source == "auto" and source.reason:
            yield Note("setting", f"{path} {source.value} ({source.reason})")
    masks = tuple(shown(row, named.tokenizer) for row in prepared.train[:mask])
    return _checked(prepared.account, prepared.problems, masks)


def _rows_checked(files: Sequence[str]) -> Generator[Event, None, Checked]:
    sources, mistakes = look([(file, 1.0) for file in files])
    yield from _forms({source.name: source.detection for source in sources if source.detection})
    gathered = Gathered(sources, mistakes)
    for rows, of in gathered.checked():
        yield Progress("checking rows", rows, of)
    return _checked(gathered.finish("drop"), gathered.problems, ())


def _written(files: Sequence[str], path: Path, format: str | None) -> Generator[Event, None, Checked]:
    sources, mistakes = look([(file, 1.0) for file in files])
    if format is not None:
        plugins.load(FORMS, format)
    yield from _forms({source.name: source.detection for source in sources if source.detection})
    with to_disk(path):
        done = convert(sources, mistakes, path, format)
    beside = f", {done.account.total.read - done.rows:,} left out in {done.quarantine}" if done.quarantine else ""
    yield Note("file", f"{count(done.rows, f'{done.form} row')} written into {path}{beside}")
    return replace(_checked(done.account, done.problems, ()), written=done)


def _forms(forms: Mapping[str, Detection]) -> Generator[Event, None, None]:
    for file, detection in forms.items():
        yield Note("rows", f"{file}: {detection.form} rows ({detection.reason})")


def _expanded(files: Sequence[str]) -> Generator[Event, None, list[str]]:
    """The files, with those that LLaMA-Factory's `dataset_info.json` stands for."""
    expanded: list[str] = []
    for file in files:
        path = Path(file)
        if path.name == llama_factory.NAME and path.is_file():
            here, elsewhere = llama_factory.files(path)
            expanded += map(str, here)
            if elsewhere:
                yield Note("rows", f"{file}: {count(len(elsewhere), 'dataset')} not beside it: {', '.join(elsewhere)}")
        else:
            expanded.append(str(llama_factory.named(path) or file))
    return expanded


def _checked(account: Account, problems: Problems, mask: tuple[Marked, ...]) -> Checked:
    total = account.total
    return Checked(total.read, total.kept, dict(total.dropped), problems, mask, account)
