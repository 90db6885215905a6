"""Files of rows -> rows for the model: read, checked, rendered, tokenized, proven, split, fitted, accounted for."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.data import same_source, templates
from luthier.data.account import Account
from luthier.data.check import SHOWN, Gathered, Problems, Source, listed, look
from luthier.data.parallel import bytes_of, each_block
from luthier.data.prepared import Fit, Fitted, Mixed, PreparedRows, Recipe, Table, fit_rows, prepare_block, sweep
from luthier.data.render import stop_tokens
from luthier.data.repeats import SHORT, repeats
from luthier.data.split import HeldBack, hold_back, overlap, sample
from luthier.data.templates import Template
from luthier.engine import objectives
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Conversation, Event, Note, Progress, Tokenized
from luthier.models.cache import home
from luthier.report.numbers import count
from luthier.settings import mission
from luthier.settings.loading import Loaded, require_rows, resolve_auto
from luthier.settings.schema import Settings
from luthier.workflow import run_file
from luthier.workflow.added_rows import Asked, Replay, evenly, longest_replay, planned, with_changed


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows ready to train on, and the settings with their `auto` values about data resolved. `replay` is what base has
    to be asked first for the rows that it adds, where `data.replay` wants some."""

    loaded: Loaded
    template: Template
    train: Mixed
    validation: PreparedRows
    account: Account
    problems: Problems
    replay: Replay | None = None
    repeated: Mapping[str, Any] = field(default_factory=dict)
    """Copies, contradictions and leaks among the rows of the files, as rows.json holds them."""

    @property
    def longest(self) -> int:
        """The tokens of the longest row, with those that base's answers may have."""
        asked = self.replay.questions if self.replay else ()
        replayed = max((len(one.tokens) for one in asked), default=0) + (self.replay.limit if self.replay else 0)
        return max(self.train.longest, self.validation.longest, replayed)

    @property
    def pairs(self) -> bool:
        """Whether the rows are pairs: the better and the worse answer of a row, one after the other."""
        return bool(objectives.load(self.loaded.settings.objective).PAIRS)

    def with_replay(self, rows: Sequence[Tokenized], account: Account) -> Prepared:
        """The same with base's answers among the training rows."""
        mixed = Mixed(self.train.rows, self.train.factors, rows)
        return replace(self, train=mixed, account=account, replay=None)


def prepare(
    loaded: Loaded, tokenizer: Any, context_length: int | None, eos: Sequence[int]
) -> Generator[Event, None, Prepared]:
    """Everything between the files and the model. Raises `UserError` with the rows that cannot be used.

    `eos` are the end marks of the model's own generation settings.
    """
    require_rows(loaded.settings)
    data = loaded.settings.data
    named = [(run_file.shown(file.path), file.weight) for file in data.train or ()]
    sources, mistakes = look(named, data.format, data.columns)
    held_back_sources, more = look(_validation_file(loaded.settings), data.format, data.columns)
    every = [*sources, *held_back_sources]
    if not every:
        raise UserError([*mistakes, *more])
    for source in every:
        if source.detection:
            yield Note("rows", f"{source.name}: {source.detection.form} rows ({source.detection.reason})")
    loaded = _objective(loaded, every)
    pairs = objectives.load(loaded.settings.objective).PAIRS
    if pairs:
        _refuse_for_pairs(loaded.settings)
    template, loaded = _template(loaded, every, tokenizer)
    if data.date != "auto" and not template.prints_the_day:
        yield Note("warning", "data.date does nothing here: the template prints no day")
    recipe = Recipe(template, tokenizer, data.train_on, stop_tokens(template, tokenizer, eos), pairs)
    gathered = Gathered(every, [*mistakes, *more])
    folder = yield from _kept_in()
    table = yield from _tokenized(gathered, recipe, folder)
    account = gathered.finish(data.bad_rows)
    problems = gathered.problems

    training = table.source < len(sources)
    if data.limit is not None:
        candidates = np.flatnonzero(training)
        left = candidates[~sample(table.content[candidates], data.limit)]
        account = account.with_dropped("limit", table.cells(left[table.pieces[left] > 0]))
        training[left] = False
    validation = ~training & (table.source >= len(sources))
    if not isinstance(data.validation, str):
        candidates = np.flatnonzero(training)
        together = same_source.sources(table.asked) if data.validation else table.prompt
        held = hold_back(
            together[candidates], table.category[candidates], table.names, data.validation, loaded.settings.seed
        )
        validation[candidates[held.rows]] = True
        training &= ~validation
        if held.note:
            yield Note("warning", held.note)
        if held.leaks:
            yield Note("rows", _together(held))

    repeated = _repeated(table, training, validation)
    if data.augment:
        asked = Asked(tuple(dict.fromkeys(data.augment)), sources, loaded.settings.seed)
        table, training, account = yield from with_changed(table, training, account, recipe, folder, asked)
        validation = np.concatenate([validation, np.zeros(len(table) - len(validation), np.bool_)])
    longest = int(table.longest()[training | validation].max(initial=0))
    if data.replay:
        longest = max(longest, longest_replay(tokenizer, eos, context_length))
    loaded = resolve_auto(loaded, "data.max_length", *_max_length(data.max_length, longest, context_length))
    max_length = loaded.settings.data.max_length
    assert max_length != "auto"
    fitting = Fit(max_length, data.too_long, tokenizer.bos_token_id, pairs)
    sides = [fit_rows(table, np.flatnonzero(side), fitting) for side in (training, validation)]
    account = _fitted(account, problems, table, sides)
    train, validated = sides
    if not len(train.rows):
        raise mistake("no row is left to train on", "data", "raise data.max_length, or write data.too_long: cut_start")
    account = account.with_validation(table.cells(validated.kept))
    account = account.with_tokens(table.cells(train.kept, train.tokens), table.cells(train.kept, train.trained))
    loaded = _resolved(loaded, gathered, account)
    rows = Mixed(train.rows, (yield from evenly(table, train)) if data.balance else None)
    replay = None
    if data.replay:
        replay = planned(data.replay, len(rows), max_length, tokenizer, eos, context_length)
    return Prepared(loaded, template, rows, validated.rows, account, problems, replay, repeated)


def _repeated(table: Table, training: NDArray[np.bool_], validation: NDArray[np.bool_]) -> dict[str, Any]:
    """Copies, contradictions and leaks, with the places of rows that may be left out."""
    usable = table.pieces > 0
    short = table.sums(table.trained) <= SHORT
    found = repeats(table.prompt, table.content, short, training & usable, validation & usable)
    places = {}
    for row in found.named():
        place = table.on_disk.rows(row)[0].place
        places[row] = {"file": place.file, "line": place.line, "row_group": place.row_group}
    return found.to_data(places)


def said(account: Account, problems: Problems) -> Generator[Event, None, None]:
    """The account of the rows in a line, and the first problems."""
    total = account.total
    dropped = "".join(f", {count:,} dropped ({reason})" for reason, count in total.dropped.items())
    cut = f", {total.cut:,} cut" if total.cut else ""
    made = f" ({total.made:,} of them made)" if total.made else ""
    yield Note(
        "rows",
        f"{total.read:,} rows read{made} = {total.kept:,} kept{dropped}{cut}; "
        f"{total.validation:,} held back for validation; "
        f"{total.trained_tokens:,} of {total.tokens:,} tokens are trained on",
    )
    for problem in problems.listed[:SHOWN]:
        yield Note("warning", f"{problem.place}: {problem.message}")
    if problems.total > SHOWN:
        yield Note("warning", f"and {problems.total - SHOWN:,} more: luthier check lists them all")


def leaks(trained: NDArray[np.uint64], test: Sequence[Conversation]) -> list[Note]:
    """A warning where test rows stand in training as well: `trained` is its rows' `prompt_hash`."""
    shared = overlap(trained, test)
    if not shared:
        return []
    text = f"{len(shared):,} of {len(test):,} test rows ask what a training row asks, {shared[0].place} first"
    return [Note("warning", text)]


def _together(held: HeldBack) -> str:
    return (
        f"{count(held.grouped_rows, 'row')} in {count(held.groups, 'group')} of the same or nearly the same prompt or "
        f"beginning: each group stays on one side; drawn one by one, {count(held.leaks, 'validation row')} would have "
        "had a copy in training"
    )


def _validation_file(settings: Settings) -> list[tuple[str, float]]:
    data = settings.data
    if not isinstance(data.validation, str):
        return []
    if data.validation in {file.path for file in data.train or ()}:
        raise mistake("the validation file is a training file too", "data.validation", "name another file, or a share")
    return [(run_file.shown(data.validation), 1.0)]


def _objective(loaded: Loaded, sources: Sequence[Source]) -> Loaded:
    """What is learned, by the rows' forms. Raises `UserError` where an objective cannot learn from them."""
    files = {source.form: source.name for source in sources if source.form}
    known = {name: objectives.load(name) for name in objectives.names()}
    asked = loaded.settings.objective
    if asked != "auto":
        for form, file in files.items():
            if form not in known[asked].FORMS:
                wrong, remedy = known[asked].refused(form)
                raise mistake(f"{file} holds {wrong}", "objective", remedy)
        return loaded
    name = next((name for name, one in known.items() if files.keys() <= set(one.CHOSEN_FOR)), None)
    if name is None:
        places = "; ".join(f"{file} holds {form} rows" for form, file in files.items())
        raise mistake(f"the rows ask for more than one objective: {places}", "data", "train on them in two runs")
    return resolve_auto(loaded, "objective", name, known[name].REASON)


def _refuse_for_pairs(settings: Settings) -> None:
    """Raises `UserError` with the settings of data that pairs of answers have no use for."""
    data, instead = settings.data, "or `objective: supervised`, which trains on the better answers"
    asked = [
        (
            "data.train_on",
            data.train_on == "everything",
            "two answers are compared, and the prompt is no answer",
            f"write `train_on: answers`, {instead}",
        ),
        (
            "data.too_long",
            data.too_long in ("cut_end", "split"),
            f"`{data.too_long}` would cut the two answers of a prompt to other parts than they are compared by",
            f"write `drop`, or `cut_start`, which takes the same tokens from both prompts, {instead}",
        ),
        (
            "data.replay",
            data.replay > 0,
            "the base model's own answers have no worse answer beside them",
            f"leave it out: base is what preferences are measured against; {instead}",
        ),
        (
            "data.augment",
            bool(data.augment),
            "changed rows have one answer",
            f"leave it out, {instead}",
        ),
    ]
    mistakes = [Mistake(wrong, where, remedy) for where, is_asked, wrong, remedy in asked if is_asked]
    if mistakes:
        raise UserError(mistakes)


def _template(loaded: Loaded, sources: Sequence[Source], tokenizer: Any) -> tuple[Template, Loaded]:
    """The one template of a run. Raises `UserError` where the rows' forms ask for two."""
    settings = loaded.settings
    chosen = {
        templates.choose(settings.data.template, source.form, tokenizer): source for source in sources if source.form
    }
    names = {name: source for (name, _), source in chosen.items()}
    if len(names) > 1:
        places = "; ".join(f"{source.name} holds {source.form} rows" for source in names.values())
        raise mistake(
            f"the rows ask for {len(names)} templates: {places}", "data.template", "write `data.template: model`"
        )
    name, reason = next(iter(chosen), templates.choose(settings.data.template, "chat", tokenizer))
    formats = {form: getattr(settings.formats, form).template for form in ("instruction", "chat", "completion")}
    loaded = resolve_auto(loaded, "data.template", "model" if name == "model" else "formats", reason)
    template = templates.load(name, formats, tokenizer)
    if template.prints_the_day:
        reason = "the template prints the day; going on, evaluation and chat print the same"
        loaded = resolve_auto(loaded, "data.date", date.today().isoformat(), reason)
        template = replace(template, day=loaded.settings.data.date)
    return template, loaded


def _tokenized(gathered: Gathered, recipe: Recipe, folder: Path) -> Generator[Event, None, Table]:
    """Every block of every file on disk as tokens, and what became of its rows in `gathered`."""
    sources = gathered.sources
    shards: list[tuple[int, Path]] = []
    rows = 0
    paths = [source.path for source in sources]
    bytes_before = bytes_of(paths)
    recipe.fingerprint  # noqa: B018 - worked out once, before other processes need it
    for number, end, found in each_block(
        paths, lambda number, block: prepare_block(block, sources[number], recipe, folder)
    ):
        if isinstance(found, UserError):
            gathered.mistakes += found.mistakes
            continue
        gathered.add(number, found.checked)
        shards.append((number, found.path))
        rows += sum(count for _, _, count in found.checked.counts)
        yield Progress("preparing rows", rows, round(rows * bytes_before[-1] / (bytes_before[number] + end)))
    sweep(folder, [path for _, path in shards])
    return Table([source.name for source in sources], shards)


def _kept_in() -> Generator[Event, None, Path]:
    """The folder of prepared rows, or one for this process alone where that may not be written."""
    folder = home() / "prepared"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    yield Note("warning", f"{folder} may not be written, so prepared rows are not kept: export LUTHIER_HOME=/a/folder")
    temporary = Path(tempfile.mkdtemp(prefix="luthier-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary


def _max_length(setting: Any, longest: int, context_length: int | None) -> tuple[int, str]:
    if setting != "auto":
        if context_length is not None and setting > context_length:
            remedy = f"write at most {context_length}"
            raise mistake(f"{setting} is more than the model's context of {context_length}", "data.max_length", remedy)
        return setting, ""
    if context_length is not None and longest > context_length:
        return context_length, "the model's context; a row is longer"
    return longest, "the longest row"


def _fitted(account: Account, problems: Problems, table: Table, sides: Sequence[Fitted]) -> Account:
    """The account and the problems with what `data.max_length` did. Raises `UserError` for rows that do not fit."""
    too_long = Problems()
    for side in sides:
        too_long.merge(side.problems)
    if too_long.errors:
        remedy = "write `data.too_long: drop`, or raise data.max_length"
        raise UserError(listed(too_long, f"{count(too_long.errors, 'row')} too long", remedy))
    problems.merge(too_long)
    for side in sides:
        account = account.with_dropped("too_long", table.cells(side.dropped)).with_cut(table.cells(side.cut))
    return account


def _resolved(loaded: Loaded, gathered: Gathered, account: Account) -> Loaded:
    """The settings that the rows decide."""
    found = {detection.form: detection.reason for detection in gathered.forms.values()}
    if len(found) == 1:
        loaded = resolve_auto(loaded, "data.format", *next(iter(found.items())))
    kept = sum(tally.kept for tally in account.sources().values() if not tally.made)
    return resolve_auto(loaded, "dataset_size", mission.dataset_size(kept), f"{kept:,} rows")
