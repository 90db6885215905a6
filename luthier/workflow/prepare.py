"""Files of rows -> rows for the model: read, checked, split, rendered, tokenized, proven, and all accounted for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.data import templates
from luthier.data.account import Account
from luthier.data.check import Rows, load_rows
from luthier.data.render import render_all, stop_tokens
from luthier.data.split import overlap, split
from luthier.data.templates import Template
from luthier.data.tokenize import Fitted, fit, prove, tokenize_all
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Conversation, Event, Note, Problem, Progress, Rendered, Tokenized
from luthier.settings import mission
from luthier.settings.loading import Loaded, require_rows, resolve_auto
from luthier.settings.schema import Settings
from luthier.workflow import run_file

SHOWN = 20
BAD_ROWS = "write `data.bad_rows: drop` to leave such rows out: they are listed and counted"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows ready to train on. `validation_rows` are the conversations behind `validation`."""

    loaded: Loaded
    template: Template
    stops: tuple[int, ...]
    train: tuple[Tokenized, ...]
    validation: tuple[Tokenized, ...]
    validation_rows: tuple[Conversation, ...]
    account: Account
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """Conversations that became rows, the rows of each, and those that did not with why."""

    kept: tuple[Conversation, ...]
    rows: tuple[tuple[Tokenized, ...], ...]
    bad: tuple[tuple[Conversation, Problem], ...]


def prepare(
    loaded: Loaded, tokenizer: Any, context_length: int | None, eos: Sequence[int]
) -> Generator[Event, None, Prepared]:
    """Everything between the files and the model. Raises `UserError` with the rows that cannot be used.

    `eos` are the end marks of the model's own generation settings.
    """
    settings = loaded.settings
    require_rows(settings)
    data = settings.data
    files = [(run_file.shown(file.path), file.weight) for file in data.train or ()]
    rows = load_rows(files, data.format, data.columns, data.bad_rows, data.limit)
    account, problems = rows.account, list(rows.problems)
    for file, detection in rows.forms.items():
        yield Note("rows", f"{file}: {detection.form} rows ({detection.reason})")
    if isinstance(data.validation, str):
        more = _validation_file(settings)
        train, held_back = rows.conversations, more.conversations
        account = Account({**account.cells, **more.account.cells})
        problems += more.problems
    else:
        sides = split(rows.conversations, data.validation, settings.seed)
        train, held_back = sides.train, sides.validation
        if sides.note:
            yield Note("warning", sides.note)
    template = choose_template(settings, [*train, *held_back], tokenizer)
    reason = templates.choose(data.template, train[0].form, tokenizer)[1]
    loaded = resolve_auto(loaded, "data.template", "model" if template.name == "model" else "formats", reason)
    stops = stop_tokens(template, tokenizer, eos)
    made = []
    for side in (train, held_back):
        done = yield from _tokenized(side, template, tokenizer, settings, stops)
        made.append(done)
        problems += [problem for _, problem in done.bad]
    bad = [problem for side in made for _, problem in side.bad]
    if bad and data.bad_rows == "stop":
        raise UserError(listed(bad, BAD_ROWS))
    for conversation, problem in (pair for side in made for pair in side.bad):
        account = account.with_dropped(problem.check, [conversation])
    longest = max((len(row.tokens) for side in made for group in side.rows for row in group), default=0)
    max_length, why = _max_length(data.max_length, longest, context_length)
    loaded = resolve_auto(loaded, "data.max_length", max_length, why)
    fitted = [fit(side.rows, max_length, data.too_long, tokenizer.bos_token_id) for side in made]  # type: ignore[arg-type]
    errors = [problem for side in fitted for problem in side.problems if problem.severity == "error"]
    if errors:
        raise UserError(listed(errors, "write `data.too_long: drop`, or raise data.max_length"))
    for fit_side in fitted:
        problems += fit_side.problems
        account = account.with_dropped("too_long", fit_side.dropped).with_cut(fit_side.cuts)
    if not fitted[0].kept:
        raise mistake("no row is left to train on", "data", "raise data.max_length, or write data.too_long: cut_start")
    validation_rows = _left(made[1].kept, fitted[1])
    account = account.with_validation(validation_rows).with_tokens(fitted[0].kept)
    loaded = resolve_auto(loaded, "objective", "supervised", "the rows have answers")
    found = {detection.form: detection.reason for detection in rows.forms.values()}
    if len(found) == 1:
        loaded = resolve_auto(loaded, "data.format", *next(iter(found.items())))
    size = mission.dataset_size(account.total.kept)
    loaded = resolve_auto(loaded, "dataset_size", size, f"{account.total.kept:,} rows")
    return Prepared(
        loaded, template, stops, fitted[0].kept, fitted[1].kept, validation_rows, account.check(), tuple(problems)
    )


def choose_template(settings: Settings, conversations: Sequence[Conversation], tokenizer: Any) -> Template:
    """The one template of a run. Raises `UserError` where the rows' forms ask for two."""
    names = {templates.choose(settings.data.template, row.form, tokenizer)[0]: row for row in conversations}
    if len(names) > 1:
        places = "; ".join(f"{row.place} is a {row.form} row" for row in names.values())
        raise mistake(
            f"the rows ask for {len(names)} templates: {places}", "data.template", "write `data.template: model`"
        )
    formats = {form: getattr(settings.formats, form).template for form in ("instruction", "chat", "completion")}
    return templates.load(next(iter(names)), formats, tokenizer)


def _validation_file(settings: Settings) -> Rows:
    data = settings.data
    assert isinstance(data.validation, str)
    if data.validation in {file.path for file in data.train or ()}:
        raise mistake("the validation file is a training file too", "data.validation", "name another file, or a share")
    return load_rows([(run_file.shown(data.validation), 1.0)], data.format, data.columns, data.bad_rows)


def _tokenized(
    conversations: Sequence[Conversation],
    template: Template,
    tokenizer: Any,
    settings: Settings,
    stops: tuple[int, ...],
) -> Generator[Event, None, _Made]:
    """Renders, tokenizes and proves each row."""
    train_on = settings.data.train_on
    rendered = list(zip(conversations, render_all(conversations, template, tokenizer, train_on), strict=True))
    bad = [(row, problem) for row, problem in rendered if isinstance(problem, Problem)]
    fine = [(row, turns) for row, turns in rendered if isinstance(turns, Rendered)]
    kept, rows = [], []
    made = tokenize_all([turns for _, turns in fine], tokenizer, train_on)
    for number, ((row, turns), tokenized) in enumerate(zip(fine, made, strict=True), 1):
        if isinstance(tokenized, Problem):
            bad.append((row, tokenized))
        elif train_on != "everything" and (failed := prove(turns, tokenized, tokenizer, stops)):
            bad.append((row, failed))
        else:
            kept.append(row)
            rows.append(tokenized)
        if number % 500 == 0 or number == len(fine):
            yield Progress("preparing rows", number, len(fine))
    return _Made(tuple(kept), tuple(rows), tuple(bad))


def _left(conversations: Sequence[Conversation], fitted: Fitted) -> tuple[Conversation, ...]:
    gone = {row.place for row in fitted.dropped}
    return tuple(row for row in conversations if row.place not in gone)


def _max_length(setting: Any, longest: int, context_length: int | None) -> tuple[int, str]:
    if setting != "auto":
        if context_length is not None and setting > context_length:
            remedy = f"write at most {context_length}"
            raise mistake(f"{setting} is more than the model's context of {context_length}", "data.max_length", remedy)
        return setting, ""
    if context_length is not None and longest > context_length:
        return context_length, "the model's context; a row is longer"
    return longest, "the longest row"


def said(account: Account, problems: Sequence[Problem]) -> Generator[Event, None, None]:
    """The account of the rows in a line, and the first problems."""
    total = account.total
    dropped = "".join(f", {count:,} dropped ({reason})" for reason, count in total.dropped.items())
    cut = f", {total.cut:,} cut" if total.cut else ""
    yield Note(
        "rows",
        f"{total.read:,} rows read = {total.kept:,} kept{dropped}{cut}; {total.validation:,} held back for validation; "
        f"{total.trained_tokens:,} of {total.tokens:,} tokens are trained on",
    )
    for problem in problems[:SHOWN]:
        yield Note("warning", f"{problem.place}: {problem.message}")
    if len(problems) > SHOWN:
        yield Note("warning", f"and {len(problems) - SHOWN:,} more: luthier check lists them all")


def listed(problems: Sequence[Problem], remedy: str) -> list[Mistake]:
    """The first problems as mistakes, and how many more there are with a remedy for all."""
    shown = [Mistake(problem.message, str(problem.place), problem.remedy) for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        shown.append(Mistake(f"and {len(problems) - SHOWN:,} more rows", "", remedy))
    return shown


def leaks(train: Sequence[Conversation], test: Sequence[Conversation]) -> list[Note]:
    """A warning where test rows stand in training as well."""
    shared = overlap(train, test)
    if not shared:
        return []
    text = f"{len(shared):,} of {len(test):,} test rows ask what a training row asks, {shared[0].place} first"
    return [Note("warning", text)]
