"""`luthier check`: what would be read, kept and trained on, before any training. The dry run of a run file."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from luthier.data.account import Account
from luthier.data.check import load_rows
from luthier.data.tokenize import marked
from luthier.errors import mistake
from luthier.flow import Event, Note, Problem
from luthier.settings.loading import is_rows_file
from luthier.workflow import run_file
from luthier.workflow.prepare import prepare

Marked = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `mask` holds rows as (text, trained) a token; `account` is what rows.json would hold."""

    read: int
    kept: int
    dropped: Mapping[str, int]
    problems: tuple[Problem, ...]
    mask: tuple[Marked, ...]
    account: Account


def check(
    files: Sequence[str], *, mask: int = 0, data: str | None = None, overrides: Sequence[str] = ()
) -> Generator[Event, None, Checked]:
    """Checks files of rows, or a run file with its settings, rows, template and masks.

    Files of rows are checked without a model unless `mask` rows are to be shown. Bad rows are problems here, not
    errors. Raises `UserError` for a run file that cannot be used.
    """
    if not files:
        raise mistake(
            "there is nothing to check", "FILE", "luthier check rows.jsonl, or luthier check run.yaml --mask 3"
        )
    if all(is_rows_file(file) for file in files) and not mask and not overrides and data is None:
        rows = load_rows([(file, 1.0) for file in files], bad_rows="drop")
        for file, detection in rows.forms.items():
            yield Note("rows", f"{file}: {detection.form} rows ({detection.reason})")
        return _checked(rows.account, rows.problems, ())
    loaded = run_file.read(files, data, [*overrides, "data.bad_rows=drop"])
    from luthier.workflow.loaded_model import find

    named = yield from find(loaded.settings.model)
    prepared = yield from prepare(loaded, named.tokenizer, named.context_length, named.eos)
    for path, source in prepared.loaded.provenance.items():
        if source.source == "auto" and source.reason:
            yield Note("setting", f"{path} {source.value} ({source.reason})")
    shown = tuple(tuple(marked(row, named.tokenizer)) for row in prepared.train[:mask])
    return _checked(prepared.account, prepared.problems.listed, shown)


def _checked(account: Account, problems: Sequence[Problem], mask: tuple[Marked, ...]) -> Checked:
    total = account.total
    return Checked(total.read, total.kept, dict(total.dropped), tuple(problems), mask, account)
