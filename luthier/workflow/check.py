"""`luthier check`: what would be read, kept and trained on, before any training. The dry run of a run file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from luthier import plugins
from luthier.data import checks, llama_factory
from luthier.data.account import Account
from luthier.data.check import Gathered, Problems, Source, look
from luthier.data.convert import Converted, convert
from luthier.data.detect import FORMS, Detection
from luthier.data.mend import Mending
from luthier.data.openai_guide import Guide, guide
from luthier.data.own_classifier import check_of
from luthier.data.quality import Fill, Quality, measure
from luthier.data.redact import finders
from luthier.data.tokenize import shown_first
from luthier.errors import Stopped, UserError, mistake
from luthier.flow import Event, Marked, Note
from luthier.report.numbers import count
from luthier.runs.whole import to_disk
from luthier.settings.loading import is_rows_file
from luthier.settings.schema import Data
from luthier.workflow import run_file
from luthier.workflow.prepare import prepare
from luthier.workflow.signals import caught


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `mask` holds rows with their tokens marked; `account` is what rows.json would hold;
    `written` is what became of `write`; `quality` the six criteria; `stopped_by` the signal that ended it, or 0;
    `page` the page's file; `openai` what OpenAI's guide says."""

    read: int
    kept: int
    dropped: Mapping[str, int]
    problems: Problems
    mask: tuple[Marked, ...]
    account: Account
    written: Converted | None = None
    quality: Quality | None = None
    stopped_by: int = 0
    page: Path | None = None
    openai: Guide | None = None


def check(
    files: Sequence[str],
    *,
    mask: int = 0,
    data: str | None = None,
    overrides: Sequence[str] = (),
    write: str | None = None,
    format: str | None = None,
    skip: Sequence[str] = (),
    held_out: Sequence[str] = (),
    benchmark: Sequence[str] = (),
    redact: Sequence[str] = (),
    classifier: Sequence[str] = (),
    page: str | None = None,
    openai: bool = False,
    deep: bool = False,
    model: str | None = None,
) -> Generator[Event, None, Checked]:
    """Checks files of rows, or a run file with its settings, rows, template and masks.

    Files of rows are checked without a model unless `mask` rows are to be shown; LLaMA-Factory's `dataset_info.json`
    stands for the files that it names beside it, and one of its names for that file. Bad rows are problems here, not
    errors. All rows go through the checks of the six criteria but those in `skip`; `held_out` are files of validation
    and test rows, which must not stand in the others, nor may runs of words of the files in `benchmark`. With `write`
    the rows that can be used and that no check leaves out go into that file, as rows of the form `format` or of their
    own, and the others into one beside it; `redact` names what placeholders then stand for. `classifier` names the
    user's own functions, `module:function`. `page` is a file for the page; `openai` checks by OpenAI's guide
    too. `deep` also looks for names and addresses of people, for rows of the same meaning, and for answers that do not
    fit their prompts by the losses of `model`, which is the packaged one where none is named.
    Ctrl-C ends it with what was found so far. Raises `UserError` for a run file that cannot be used.
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
    if redact and write is None:
        raise mistake("--redact says what is written otherwise", "--redact", "name the file to write: --write G")
    if openai and not of_rows:
        raise mistake("--openai takes files of rows alone", "--openai", "luthier check rows.jsonl --openai")
    if model is not None and not deep:
        raise mistake("--model reads rows with --deep alone", "--model", f"luthier check {files[0]} --deep --model M")
    finders(redact)
    to_page = page_file(page, files) if page is not None else None
    chosen = [*checks.chosen(skip, deep), *map(check_of, classifier)]
    if of_rows:
        to = Path(write) if write is not None else None
        found = yield from _rows_checked(files, (held_out, benchmark), (chosen, model), to, format, redact)
        if openai and not found.stopped_by:
            found = replace(found, openai=(yield from guide([Path(file) for file in files])))
        return (yield from _shown(found, skip, files, to_page))
    loaded = run_file.read(files, data, [*overrides, "data.bad_rows=drop"])
    from luthier.workflow.loaded_model import find

    named = yield from find(loaded.settings.model)
    prepared = yield from prepare(loaded, named.tokenizer, named.context_length, named.eos)
    for path, source in prepared.loaded.provenance.items():
        if source.source == "auto" and source.reason:
            yield Note("setting", f"{path} {source.value} ({source.reason})")
    masks = tuple(shown_first(prepared.train, mask, prepared.pairs, named.tokenizer))
    data_of = loaded.settings.data
    kept_apart = [path for path in (data_of.validation, data_of.test) if isinstance(path, str)]
    paths = [(run_file.shown(file.path), file.weight) for file in data_of.train or ()]
    sources, mistakes = look(paths, data_of.format, data_of.columns)
    apart = _apart([*(run_file.shown(path) for path in kept_apart), *held_out], data_of.format, data_of.columns)
    gathered = Gathered(sources, mistakes)
    quality, stopped_by = yield from _measured(gathered, apart, (chosen, model), _apart(benchmark))
    found = replace(_checked(prepared.account, prepared.problems, masks, quality), stopped_by=stopped_by)
    return (yield from _shown(found, skip, [path for path, _ in paths], to_page))


def page_file(page: str, files: Sequence[str]) -> Path:
    """The file of a page. Raises `UserError` where it cannot be one."""
    path = Path(page)
    if path.suffix.lower() not in (".html", ".htm"):
        raise mistake("a page is an HTML file", page, f"luthier check {' '.join(files)} --page check.html")
    if path.is_dir() or not path.parent.is_dir():
        raise mistake("there is no such folder, or it is one", page, "name a file in a folder that exists")
    return path


def _shown(
    found: Checked, skip: Sequence[str], files: Sequence[str], page: Path | None
) -> Generator[Event, None, Checked]:
    """What was found, with the checks that were switched off, written as a page where one is wanted."""
    if found.quality is None:
        return found
    quality = replace(found.quality, skipped=tuple(skip))
    found = replace(found, quality=quality)
    if page is None:
        return found
    from luthier.report.quality import quality_page

    of_checks = {result.check.name for result in quality.results}
    others = Problems.of(problem for problem in found.problems.listed if problem.check not in of_checks)
    with to_disk(page):
        page.write_text(quality_page(quality, files, others), encoding="utf-8")
    yield Note("file", f"the page: {page}")
    return replace(found, page=page)


def _rows_checked(
    files: Sequence[str],
    beside: tuple[Sequence[str], Sequence[str]],
    by: tuple[Sequence[checks.Check], str | None],
    write: Path | None,
    format: str | None,
    redact: Sequence[str],
) -> Generator[Event, None, Checked]:
    sources, mistakes = look([(file, 1.0) for file in files])
    apart, benchmark = (_apart(named) for named in beside)
    if format is not None:
        plugins.load(FORMS, format)
    yield from _forms({source.name: source.detection for source in (*sources, *apart) if source.detection})
    gathered = Gathered(sources, mistakes)
    quality, stopped_by = yield from _measured(gathered, apart, by, benchmark)
    if write is None or stopped_by:
        found = _checked(gathered.finish("drop"), gathered.problems, (), quality)
        return replace(found, stopped_by=stopped_by)
    with to_disk(write):
        done = convert(sources, mistakes, write, format, Mending(quality, redact))
    left_out = f", {done.account.total.read - done.rows:,} left out in {done.quarantine}" if done.quarantine else ""
    changed = f", those that were mended as they were in {done.repaired}" if done.repaired else ""
    yield Note("file", f"{count(done.rows, f'{done.form} row')} written into {write}{left_out}{changed}")
    if done.redacted:
        kinds = ", ".join(f"{many:,} {kind.replace('_', ' ')}" for kind, many in sorted(done.redacted.items()))
        yield Note("warning", f"placeholders stand for {kinds}; {done.repaired} holds them as they were: keep it safe")
    return replace(_checked(done.account, done.problems, (), quality), written=done)


def rows_measured(
    files: Sequence[str], held_out: Sequence[str], chosen: Sequence[checks.Check], data: Data
) -> Generator[Event, None, Quality]:
    """The six criteria of the rows of these files, read as `data` says, beside files that are not trained on; rows that
    cannot be used don't count where `data` drops them. Raises `Stopped` after Ctrl-C or SIGTERM."""
    sources, mistakes = look([(file, 1.0) for file in files], data.format, data.columns)
    apart = _apart(held_out, data.format, data.columns)
    quality, signal = yield from _measured(Gathered(sources, mistakes), apart, (chosen, None), ())
    if signal:
        raise Stopped(signal)
    return replace(quality, unusable=0) if data.bad_rows == "drop" else quality


def _apart(files: Sequence[str], format: str = "auto", columns: Mapping[str, str] | None = None) -> Sequence[Source]:
    """Files of rows that are not trained on. Raises `UserError` for those that cannot be read."""
    sources, mistakes = look([(file, 1.0) for file in files], format, columns)
    if mistakes:
        raise UserError(mistakes)
    return sources


def _measured(
    gathered: Gathered,
    held_out: Sequence[Source],
    by: tuple[Sequence[checks.Check], str | None],
    benchmark: Sequence[Source],
) -> Generator[Event, None, tuple[Quality, int]]:
    """The six criteria, by these checks and this model, of the rows so far where a signal came: then its number, else
    0."""
    chosen, model = by
    with caught() as signal:

        def stopped() -> bool:
            return bool(signal.number)

        fill = _filling(chosen, model, stopped)
        quality = yield from measure(gathered, chosen, held_out, fill, stopped, benchmark)
    if signal.number:
        yield Note("warning", f"stopped: the report is of the first {count(quality.rows, 'row')}")
    return quality, signal.number


def _filling(chosen: Sequence[checks.Check], model: str | None, stopped: Callable[[], bool]) -> Fill | None:
    """Makes the columns that these checks need of models; None where they need none."""
    needs = {name for check in chosen if check.installed for name in check.needs}
    if needs.isdisjoint(checks.FILLED):
        return None

    def fill(whole: checks.Whole) -> Generator[Event, None, Mapping[str, NDArray[Any]]]:
        columns: dict[str, NDArray[Any]] = {}
        if "meaning" in needs and not stopped():
            from luthier.workflow.meanings import meanings

            columns |= yield from meanings(whole, stopped)
        if "answer_loss" in needs and not stopped():
            from luthier.workflow.answer_losses import MODEL, answer_losses

            columns |= yield from answer_losses(whole, model or MODEL, stopped)
        return columns

    return fill


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


def _checked(account: Account, problems: Problems, mask: tuple[Marked, ...], quality: Quality | None = None) -> Checked:
    total = account.total
    if quality is not None:
        problems.merge(quality.problems)
    return Checked(total.read, total.kept, dict(total.dropped), problems, mask, account, quality=quality)
