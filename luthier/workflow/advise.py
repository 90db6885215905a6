"""`luthier advise`: rows, machine and untouched model looked at -> which method, why, with which settings."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from statistics import mean, median
from typing import Any

from luthier.advice.advise import Advice, left_out
from luthier.advice.advise import advise as by_rules
from luthier.advice.facts import Facts, Option, Prompting, Setting
from luthier.advice.rules import values
from luthier.advice.rules.method import RANK, USUAL_RANK
from luthier.data import checks
from luthier.data.check import look
from luthier.data.quality import Quality
from luthier.data.sampled import sampled, strided
from luthier.engine.tree import lay_out
from luthier.errors import Mistake, UserError, mistake
from luthier.evaluation.labels import labels_of, not_labels
from luthier.flow import Conversation, Event, Note, Progress
from luthier.report.numbers import count, size
from luthier.runs.whole import to_disk, write_bytes
from luthier.settings import mission
from luthier.settings.loading import AUTO, Loaded, require_rows, resolve
from luthier.settings.mission import TuningMethod
from luthier.settings.schema import DataFile
from luthier.settings.writing import to_yaml
from luthier.workflow import run_file
from luthier.workflow.check import rows_measured
from luthier.workflow.estimate import Estimated, data_of, estimate
from luthier.workflow.evidence import evidence
from luthier.workflow.loaded_model import Named, find
from luthier.workflow.prepare import Prepared, prepare, said
from luthier.workflow.prompting import MEASURED_ROWS, Prompted, prompted

LOOKED_AT = 2_000
"""Rows whose answers are looked at, and from which examples and measured rows are taken."""
LAID_OUT = 64
LONG = 1.5
"""Times the mean row: a longest row beyond that is what memory is worked out for."""
ADVICE = "advise"
MEASURABLE = '--set "targets.rouge_l=> 0.4"'


@dataclass(frozen=True, slots=True)
class RowsSeen:
    """The rows in numbers. Lengths are in tokens of this model under this template; `distinct_tokens` a row are what
    goes through the model once beginnings are shared. `labels` counts fixed answers, 0 where answers are free."""

    read: int
    kept: int
    dropped: Mapping[str, int]
    train: int
    validation: int
    dataset_size: str
    form: str
    categories: Mapping[str, int]
    labels: int
    mean_tokens: float
    longest_tokens: int
    distinct_tokens: float
    answer_tokens: float
    trained_tokens: int


@dataclass(frozen=True, slots=True)
class Advised:
    """What `advise` found: the advice, its settings, the estimate of the run, the rows, what `luthier check` says of
    them, and what prompting reached. `messages` is the prompt that was tried; `expect` says what to expect in words,
    `notes` what else should be known; `written` is the run file."""

    advice: Advice
    settings: tuple[Setting, ...]
    estimate: Estimated
    rows: RowsSeen
    quality: Quality
    facts: Facts
    prompted: Prompted
    expect: tuple[str, ...]
    notes: tuple[str, ...] = ()
    written: Path | None = None

    @property
    def fine_tune(self) -> bool:
        return self.advice.fine_tune


def advise(
    files: Sequence[str] = (),
    *,
    data: str | None = None,
    model: str | None = None,
    compute_budget: str | None = None,
    overrides: Sequence[str] = (),
    write: str | None = None,
    quick: bool = False,
    device: str = "cpu",
    root: Path = Path("runs"),
) -> Generator[Event, None, Advised]:
    """Advice on tuning a model on these rows; `write` is a file that `luthier train` takes as it is.

    `quick` leaves out what the untouched model is asked. Raises `UserError` for rows, a model or settings that cannot
    be used, and where no method fits this machine.
    """
    if write is not None and Path(write).exists():
        raise mistake("the file exists, and is left as it is", write, "name another file with --write")
    given = [f"model={model}"] if model is not None else []
    given += [f"compute_budget={compute_budget}"] if compute_budget is not None else []
    typed = [*overrides, *given]
    loaded = run_file.read(files, data, typed)
    require_rows(loaded.settings)
    base = yield from find(loaded.settings.model)
    bad_rows = [] if run_file.written(loaded, "data.bad_rows") else ["data.bad_rows=drop"]
    prepared = yield from prepare(
        run_file.read(files, data, [*typed, *bad_rows]), base.tokenizer, base.context_length, base.eos
    )
    if prepared.pairs:
        raise mistake(
            "advice is for rows with one wanted answer, and these have a better and a worse one",
            "objective",
            "add `--set objective=supervised` for advice on the better answers, which are learned first; then prefer: "
            "luthier train FILE --set model=runs/THAT",
        )
    yield from said(prepared.account, prepared.problems)
    quality = yield from _checked(loaded)
    pool, held_out = _pool(loaded, prepared)
    rows = _seen(prepared, pool)
    facts = _facts(loaded, rows, quality, pool, root)
    options, estimates, facts = yield from _options(files, typed, loaded, rows, facts, device)
    asked = Prompted(None, why="--quick leaves it out")
    if not quick:
        asked = yield from _prompted(loaded, base, facts, held_out, pool)
    facts = replace(facts, options=options, prompting=asked.measured)
    advice = by_rules(facts)
    if advice is None:
        known = yield from _what_fits(files, typed, estimates, device)
        raise UserError(_nothing_possible(facts, known, loaded))
    facts, settings = _all_settings(facts, advice.tuning_method)
    known = estimates[advice.tuning_method]
    if facts.decided.get(RANK, USUAL_RANK) != USUAL_RANK:  # larger than what was estimated
        known = yield from _estimated(files, _overrides(typed, advice.tuning_method, settings), rows, device)
    known = _whole(known, facts, rows)
    found = Advised(
        advice,
        (*settings, *_bad_rows(loaded, rows)),
        known,
        rows,
        quality,
        facts,
        asked,
        _expect(advice, asked, known),
        tuple(_notes(loaded, rows, facts, advice, asked)),
    )
    return (yield from _written(found, loaded, write))


def _checked(loaded: Loaded) -> Generator[Event, None, Quality]:
    """What `luthier check` finds in the rows."""
    data = loaded.settings.data
    apart = [path for path in (data.validation, data.test) if isinstance(path, str)]
    files = [run_file.shown(file.path) for file in data.train or ()]
    return (yield from rows_measured(files, [run_file.shown(path) for path in apart], checks.chosen(), data))


def _pool(loaded: Loaded, prepared: Prepared) -> tuple[list[Conversation], list[Conversation]]:
    """Rows that may be shown as examples, and those that are held out of that: validation rows, and where these are
    fewer than are measured up to half of the others, which nothing was trained on yet."""
    data = loaded.settings.data
    sources, _ = look([(run_file.shown(file.path), 1.0) for file in data.train or ()], data.format, data.columns)
    pool = sampled(sources, LOOKED_AT)
    if isinstance(data.validation, str):
        apart, _ = look([(run_file.shown(data.validation), 1.0)], data.format, data.columns)
        return pool, sampled(apart, LOOKED_AT)
    validated = prepared.validation
    held = {(validated[at].place.file, validated[at].place.line) for at in strided(len(validated), LOOKED_AT * 2)}
    held_out = [row for row in pool if (row.place.file, row.place.line) in held]
    left = [row for row in pool if (row.place.file, row.place.line) not in held]
    middle = max(len(left) // 2, len(left) - max(0, MEASURED_ROWS - len(held_out)))
    return left[:middle], [*held_out, *left[middle:]]


def _seen(prepared: Prepared, pool: Sequence[Conversation]) -> RowsSeen:
    total, settings = prepared.account.total, prepared.loaded.settings
    looked = [prepared.train[at] for at in strided(len(prepared.train), LOOKED_AT)]
    batch = settings.training_config.hyperparameters.batch_size
    some = looked[:: max(1, len(looked) // LAID_OUT)][:LAID_OUT]
    steps = [some[at : at + batch] for at in range(0, len(some), batch)]
    distinct = sum(len(lay_out(rows).tokens) for rows in steps) / len(some)
    wanted = [row.messages[-1].content for row in pool]
    return RowsSeen(
        read=total.read,
        kept=total.kept,
        dropped=dict(total.dropped),
        train=len(prepared.train),
        validation=len(prepared.validation),
        dataset_size=mission.dataset_size(total.kept),
        form=", ".join(sorted({row.form for row in pool})),
        categories={name: tally.kept for name, tally in prepared.account.categories().items() if name is not None},
        labels=0 if not_labels(wanted) else len(labels_of(wanted)),
        mean_tokens=mean(len(row.tokens) for row in looked),
        longest_tokens=prepared.longest,
        distinct_tokens=distinct,
        answer_tokens=median(row.trained_tokens for row in looked),
        trained_tokens=total.trained_tokens,
    )


def _facts(loaded: Loaded, rows: RowsSeen, quality: Quality, pool: Sequence[Conversation], root: Path) -> Facts:
    settings = loaded.settings
    written = [
        path for path in loaded.provenance if path.startswith("training_config.") and run_file.written(loaded, path)
    ]
    return Facts(
        budget=settings.compute_budget,
        rows=rows.train,
        trained_tokens=rows.trained_tokens,
        labels=rows.labels,
        same_answer=same_answer(pool),
        answer_tokens=rows.answer_tokens,
        verdict=quality.verdict,
        changes=tuple(change.what for change in quality.changes()),
        evidence=evidence(settings, root),
        decided={path: _value_of(settings, path) for path in written},
    )


def same_answer(rows: Sequence[Conversation]) -> bool:
    """Whether several rows that ask something all want the same text and the same calls of tools."""
    last = [next(message for message in reversed(row.messages) if message.role == "assistant") for row in rows]
    answers = {(message.content.strip().casefold(), str(message.tool_calls)) for message in last}
    return len(rows) > 1 and len(answers) == 1 and any(row.form != "text" for row in rows)


def _value_of(settings: Any, path: str) -> Any:
    """The value of a setting by its path."""
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


def _options(
    files: Sequence[str], typed: Sequence[str], loaded: Loaded, rows: RowsSeen, facts: Facts, device: str
) -> Generator[Event, None, tuple[dict[TuningMethod, Option], dict[TuningMethod, Estimated], Facts]]:
    """What each method that the budget allows would take, with the settings that it would be given."""
    options: dict[TuningMethod, Option] = {}
    estimates: dict[TuningMethod, Estimated] = {}
    allowed = mission.allowed_methods(facts.budget)
    for done, name in enumerate(allowed):
        yield Progress("estimating methods", done, len(allowed))
        if lacking := run_file.lacking(run_file.method(name)):
            options[name] = Option(refused=f"{lacking.message}: {lacking.remedy}")
            continue
        _, shape = values.decided(values.SHAPE, facts, name)
        try:
            known = yield from _estimated(files, _overrides(typed, name, shape), rows, device)
        except UserError as refused:
            options[name] = Option(refused="; ".join(one.message for one in refused.mistakes))
            continue
        if known.cost is None:
            raise mistake(known.why, f"model: {loaded.settings.model}", "name a model that writes on: luthier models")
        estimates[name] = known
        facts = replace(facts, memory_bytes=known.machine.memory_bytes)
        options[name] = Option("", known.trainable_parameters, known.cost.peak_bytes, known.cost.step_seconds)
    return options, estimates, facts


def _overrides(typed: Sequence[str], method: TuningMethod, settings: Sequence[Setting]) -> list[str]:
    return [*typed, f"tuning_method={method}", *(f"{one.path}={one.value}" for one in settings)]


def _estimated(
    files: Sequence[str], overrides: Sequence[str], rows: RowsSeen, device: str
) -> Generator[Event, None, Estimated]:
    """Time by what goes through the model on average; memory by the longest row, where that is far longer."""
    usual = max(2, ceil(rows.distinct_tokens))
    known = yield from estimate(files, overrides=overrides, row_tokens=usual, device=device, largest=None)
    if known.cost is None or rows.longest_tokens <= LONG * usual:
        return known
    most = yield from estimate(files, overrides=overrides, row_tokens=rows.longest_tokens, device=device, largest=None)
    assert most.cost is not None
    if most.cost.peak_bytes <= known.cost.peak_bytes:
        return known
    cost = replace(known.cost, training=most.cost.training, evaluation=most.cost.evaluation)
    return replace(known, cost=cost)


def _prompted(
    loaded: Loaded, base: Named, facts: Facts, held_out: Sequence[Conversation], pool: Sequence[Conversation]
) -> Generator[Event, None, Prompted]:
    """What prompting reaches, where the plain model can be in memory at all."""
    if facts.same_answer:
        return Prompted(None, why="every row wants the same answer")
    import torch

    from luthier.engine.memory import available_bytes
    from luthier.workflow.prompting import precision

    weights, free = base.parameters * getattr(torch, precision()).itemsize, available_bytes(torch.device("cpu"))
    if free is not None and weights > 0.9 * free:
        return Prompted(None, why=f"the model's weights take {size(weights)} and {size(free)} are free")
    return (yield from prompted(loaded, base, held_out, pool))


def _what_fits(
    files: Sequence[str], typed: Sequence[str], estimates: Mapping[TuningMethod, Estimated], device: str
) -> Generator[Event, None, Estimated | None]:
    """The method that takes least, with what of it would fit at most; None where none could be estimated."""
    costs = {name: known.cost.peak_bytes for name, known in estimates.items() if known.cost is not None}
    if not costs:
        return None
    least = min(costs, key=lambda name: costs[name])
    cost = estimates[least].cost
    assert cost is not None
    overrides, tokens = _overrides(typed, least, ()), cost.load.row_tokens
    return (yield from estimate(files, overrides=overrides, row_tokens=tokens, device=device, largest=True))


def _nothing_possible(facts: Facts, known: Estimated | None, loaded: Loaded) -> list[Mistake]:
    """Why no method is possible, each with its reason, and what fits instead of the one that takes least."""
    where = f"model: {loaded.settings.model}"
    allowed = mission.allowed_methods(facts.budget)
    reasons = {name: reason for name, reason in left_out(facts).items() if name in allowed}
    fitting = known.largest.model if known and known.largest else None
    instead = f"a model of the size of {fitting} fits" if fitting else "name a smaller model"
    other = ""
    if known and known.cost:
        other = f", or a machine with {size(known.cost.peak_bytes)}: luthier estimate --model M --device 80GiB"
    remedy = f"{instead}: --model smollm2-135m-instruct{other}"
    return [Mistake(f"{name} is not possible: {reason}", where, remedy) for name, reason in reasons.items()]


def _all_settings(facts: Facts, method: TuningMethod) -> tuple[Facts, tuple[Setting, ...]]:
    facts, shape = values.decided(values.SHAPE, facts, method)
    facts, course = values.decided(values.COURSE, facts, method)
    return facts, (*shape, *course)


def _bad_rows(loaded: Loaded, rows: RowsSeen) -> tuple[Setting, ...]:
    bad = rows.read - rows.kept
    if not bad or run_file.written(loaded, "data.bad_rows"):
        return ()
    reason = f"{count(bad, 'row')} of {rows.read:,} cannot be used: luthier check lists them"
    return (Setting("data.bad_rows", "drop", reason, "the rows"),)


def _whole(known: Estimated, facts: Facts, rows: RowsSeen) -> Estimated:
    """The estimate with the steps and seconds of the whole run."""
    from luthier.training.schedule import count_steps

    assert known.cost is not None
    batch, epochs = (facts.decided[f"{values.HYPER}.{name}"] for name in ("batch_size", "epochs"))
    steps = count_steps(rows.train, batch, epochs, facts.decided.get(f"{values.HYPER}.max_steps"))
    seconds = None if known.cost.step_seconds is None else steps * known.cost.step_seconds
    return replace(known, steps=steps, seconds=seconds)


def _expect(advice: Advice, asked: Prompted, known: Estimated) -> tuple[str, ...]:
    """What to expect, of what is known before training."""
    lines = []
    if asked.measured is not None:
        lines += _reached(asked.measured)
    quality = mission.METHODS[advice.tuning_method].quality
    lines.append(
        f"what {advice.tuning_method} reaches is known once it is trained (the mission calls its quality {quality}): "
        "the first validation, after a tenth of the run, is the first thing to look at"
    )
    if known.cost is not None and known.cost.step_seconds is None:
        lines.append(f"no time is known: {known.machine.source}")
    return tuple(lines)


def _reached(measured: Prompting) -> list[str]:
    """The untouched model's numbers, in words."""
    lines = []
    for name in ("accuracy", "loss", *(target.metric for target in measured.few_targets)):
        none, few = measured.none.get(name), measured.few.get(name)
        if none is None or few is None or none.value is None or few.value is None:
            continue
        line = f"base, {name} on {none.n} rows: {_interval(none)} without examples, "
        line += f"{_interval(few)} behind {measured.shown} of them"
        difference = measured.difference.get(name)
        if difference is not None and difference.value is not None:
            line += f"; the difference, row by row: {_interval(difference)}"
        lines.append(line)
    return list(dict.fromkeys(lines))


def _interval(measure: Any) -> str:
    ends = "" if measure.low is None else f" [{measure.low:.3g}, {measure.high:.3g}]"
    return f"{measure.value:.3g}{ends}"


def _notes(loaded: Loaded, rows: RowsSeen, facts: Facts, advice: Advice, asked: Prompted) -> Generator[str, None, None]:
    """What should be known beside the advice."""
    settings = loaded.settings
    if asked.measured is None:
        yield f"what prompting reaches was not measured: {asked.why}"
    elif not any(target.verdict != "not_measured" for target in asked.measured.few_targets):
        reasons = "; ".join(f"{one.metric}: {one.reason}" for one in asked.measured.few_targets) or "none names a value"
        yield (
            f"no target can be measured before training ({reasons}), so nothing says whether prompting is enough: "
            f"set one, such as {MEASURABLE}"
        )
    written = settings.tuning_method
    if written != AUTO and run_file.written(loaded, "tuning_method") and written != advice.tuning_method:
        yield f"tuning_method: {written} is written and stays; by these rules it would be {advice.tuning_method}"
    if settings.dataset_size not in (AUTO, rows.dataset_size):
        yield f"dataset_size: {settings.dataset_size} is written, and {rows.kept:,} rows are {rows.dataset_size}"
    step = facts.option(advice.tuning_method).step_seconds
    if step and facts.minutes and facts.minutes * 60 < 20 * step:
        yield f"{facts.minutes} minutes hold fewer than 20 steps by the estimate: luthier estimate --probe corrects it"
    if len(rows.categories) == 1 and not facts.same_answer:
        yield f"all rows have one category, {next(iter(rows.categories))!r}: nothing can be said by category"


def _written(found: Advised, loaded: Loaded, write: str | None) -> Generator[Event, None, Advised]:
    """The run file, where one is asked for."""
    if write is None:
        return found
    path = Path(write)
    if not path.parent.is_dir():
        raise mistake("there is no such folder", str(path.parent), "name a file in a folder that exists")
    text = run_file_of(found, loaded, path.parent.absolute())
    with to_disk(path):
        write_bytes(path, text.encode())
    yield Note("file", f"the run file is {path}")
    return replace(found, written=path)


def run_file_of(found: Advised, loaded: Loaded, folder: Path) -> str:
    """A run file for this folder with what was advised and what the user wrote, each value with its reason."""
    method = found.advice.tuning_method
    advised = [Setting("tuning_method", method, found.advice.why, found.advice.source), *found.settings]
    for one in advised:
        if not run_file.written(loaded, one.path):
            loaded = resolve(loaded, one.path, one.value, f"{one.reason} ({one.source})", ADVICE)
    chosen = {one.path for one in advised}
    kept = [path for path in loaded.provenance if path in chosen or run_file.written(loaded, path)]
    settings = loaded.settings
    model = settings.model
    if Path(model).expanduser().exists():
        model = str(Path(model).expanduser().absolute())
    data = settings.data.model_copy(update=_beside(settings.data, folder))
    loaded = replace(loaded, settings=settings.model_copy(update={"model": model, "data": data}))
    first = [f"Advised by luthier advise for {found.rows.train:,} training rows ({found.rows.dataset_size})."]
    if found.advice.instead is not None:
        first.append(f"ADVICE: do not fine-tune now. {found.advice.instead.why}")
    head = "".join(f"# {_plain(line)}\n" for line in first)
    return head + to_yaml(loaded, {*kept, "model", "data.train", "compute_budget"})


def _beside(data: Any, folder: Path) -> dict[str, Any]:
    """Names of files as they are read from this folder: relative where they stand below it."""

    def named(path: str) -> str:
        return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path

    files = tuple(DataFile(path=named(file.path), weight=file.weight) for file in data.train or ())
    changed: dict[str, Any] = {"train": files}
    for name in ("validation", "test"):
        if isinstance(getattr(data, name), str):
            changed[name] = named(getattr(data, name))
    return changed


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def data_of_advice(found: Advised) -> dict[str, Any]:
    """Advice as JSON holds it."""
    advice, asked = found.advice, found.prompted.measured
    return {
        "tuning_method": advice.tuning_method,
        "why": advice.why,
        "runner_up": advice.runner_up,
        "flips_when": list(advice.flips_when),
        "fine_tune": advice.fine_tune,
        "settings": {
            one.path: {"value": one.value, "reason": one.reason, "source": one.source} for one in found.settings
        },
        "estimate": data_of(found.estimate),
        "parameters": {
            "tuning_method": advice.tuning_method,
            "dataset_size": found.rows.dataset_size,
            "compute_budget": found.facts.budget,
        },
        "instead": None
        if advice.instead is None
        else {
            "why": advice.instead.why,
            "do": list(advice.instead.do),
            "messages": [{"role": one.role, "content": one.content} for one in found.prompted.messages]
            if advice.instead.prompt
            else [],
        },
        "left_out": dict(advice.left_out),
        "rows": asdict(found.rows),
        "data_verdict": found.quality.verdict,
        "prompting": asdict(asked) if asked else {"reason": found.prompted.why},
        "evidence": [asdict(one) for one in found.facts.evidence],
        "expect": list(found.expect),
        "notes": list(found.notes),
        "written": str(found.written) if found.written else None,
    }
