"""`luthier compare FILE`: methods, or settings, on the same rows, split, seeds and budget, up to a choice."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from luthier.errors import Mistake, UserError, mistake
from luthier.evaluation.choice import chosen
from luthier.evaluation.compare import Comparison, Method, Tried, apart
from luthier.evaluation.compare import compare as compare_lines
from luthier.evaluation.kept import Kept
from luthier.evaluation.metrics import load as load_metric
from luthier.evaluation.seeds import over_seeds
from luthier.evaluation.targets import judge
from luthier.flow import Event, Measure, Note, Report, TargetResult, Verdict
from luthier.models.cache import file_sha256
from luthier.report import numbers
from luthier.report.best_for import with_best_for
from luthier.runs.comparison import ComparisonFolder
from luthier.runs.run import Run
from luthier.settings import mission
from luthier.settings.loading import require_rows
from luthier.settings.schema import Settings
from luthier.settings.targets import parse_target
from luthier.workflow import run_file
from luthier.workflow.compare import evaluated_run, method_of_run
from luthier.workflow.one_method import Budget, Job, Searched, enough_epochs, evaluated, worked
from luthier.workflow.signals import Caught, caught

RATES: Final = (1 / 3, 1.0, 3.0)
"""What each method's own learning rate is tried times."""
EVALUATIONS: Final = 4
"""While a run of a budget trains, where the settings say nothing else."""
_WORST: Final[tuple[Verdict, ...]] = ("missed", "not_measured", "likely", "met")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One line of the comparison: its name, what a folder is called after it, and its settings over the files'."""

    label: str
    slug: str
    overrides: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """What a comparison was asked for."""

    files: tuple[str, ...]
    data: str | None
    contestants: tuple[Contestant, ...]
    seeds: tuple[int, ...]
    budget: Budget
    rates: tuple[float, ...]

    def plan(self) -> dict[str, Any]:
        """All that the runs depend on; the same plan is the same comparison."""
        files = {path for one in self.contestants for path in run_file.data_files(one.settings)}
        return {
            "rows": {str(path): _sha256(path) for path in files},
            "settings": {one.label: one.settings.model_dump(mode="json") for one in self.contestants},
            "seeds": self.seeds,
            "budget": asdict(self.budget),
            "rates": self.rates,
        }


def compare_methods(
    files: Sequence[str] = (),
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    methods: Sequence[str] = (),
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    minutes: float | None = None,
    tokens: int | None = None,
    rates: Sequence[float] = RATES,
    name: str | None = None,
    root: Path = Path("runs"),
) -> Generator[Event, None, Comparison]:
    """Trains and evaluates every method with every seed, each in a process of its own, and compares them.

    Without `methods` it is all of them; `variants` are settings (`"training_config.lora_config.r=4"`, several with
    spaces between), each compared with each other one, under the file's own method where none are named. `minutes` (of
    optimizer steps) or `tokens` (trained ones) bound each run; of that the search for each method's learning rate takes
    its part. Typed again after an end before its time, it goes on. Raises `UserError` for what the user must mend,
    `Stopped` after Ctrl-C and SIGTERM, with everything kept.
    """
    asked, left_out = _asked(files, data, overrides, methods, variants, seeds, Budget(minutes, tokens), rates)
    stem = Path(files[0] if files else data or "rows").name.partition(".")[0]
    place = ComparisonFolder.find(root, stem, asked.plan(), name)
    with place.lock(), caught() as signal:
        yield Note("file", f"the comparison is in {place.folder}; stopped, it goes on when the same is typed again")
        searched: dict[str, Searched] = {}
        for one in asked.contestants:
            try:
                searched[one.label] = yield from _searched(place, asked, one, signal)
            except UserError as error:
                left_out[one.label] = yield from _fallen_out(one.label, error)
        _require_two(searched, left_out)
        found: dict[str, list[Run]] = {label: [] for label in searched}
        for seed in asked.seeds:  # one seed of every method after another, so that a slow hour hits all alike
            for one in asked.contestants:
                if one.label in left_out:
                    continue
                try:
                    found[one.label].append((yield from _run(place, asked, one, seed, searched[one.label], signal)))
                except UserError as error:
                    left_out[one.label] = yield from _fallen_out(one.label, error)
        remaining = {label: runs for label, runs in found.items() if label not in left_out}
        _require_two(remaining, left_out)
        comparison = yield from _compared(asked, remaining, searched, left_out)
        from luthier.report.comparison import render

        path, page = place.write({"version": 1} | asdict(comparison), render(comparison))
    yield Note("file", f"the comparison is in {path}, its page is {page}")
    return comparison


# ------------------------------------------------------------------------------------------------ what is asked for


def _asked(
    files: Sequence[str],
    data: str | None,
    overrides: Sequence[str],
    methods: Sequence[str],
    variants: Sequence[str],
    seeds: Sequence[int],
    budget: Budget,
    rates: Sequence[float],
) -> tuple[Asked, dict[str, str]]:
    """What was asked for, checked; and the methods that this machine cannot run, where none were named."""
    mistakes = []
    if budget.minutes is not None and budget.tokens is not None:
        mistakes.append(Mistake("the budget is named twice", "--tokens", "leave out --minutes or --tokens"))
    if budget.minutes is not None and not budget.minutes > 0:
        mistakes.append(Mistake(f"{budget.minutes:g} minutes are no budget", "--minutes", "write a number over 0"))
    if budget.tokens is not None and budget.tokens < 1:
        mistakes.append(Mistake(f"{budget.tokens} tokens are no budget", "--tokens", "write a number from 1 on"))
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        mistakes.append(Mistake("seeds are whole numbers from 0 on, each once", "--seeds", "--seeds 0,1,2"))
    if not rates or not all(0 < rate <= 100 for rate in rates):
        remedy = "write what each method's own rate is tried times: --rates 0.3,1,3"
        mistakes.append(Mistake("learning rates are tried times a number over 0, at most 100", "--rates", remedy))
    unknown = [method for method in methods if method not in mission.METHODS]
    mistakes += [
        Mistake(f"{method!r} is no tuning method", "--methods", f"choose from {','.join(mission.METHODS)}")
        for method in unknown
    ]
    if mistakes:
        raise UserError(mistakes)
    contestants, left_out = [], {}
    for label, own in _lines(methods, variants):
        words = (*overrides, *own)
        try:
            settings = run_file.read(files, data, words).settings
            require_rows(settings)
        except UserError as error:
            if methods or variants or "is not installed" not in str(error):
                raise
            left_out[label] = error.mistakes[0].message
            continue
        contestants.append(Contestant(label, re.sub(r"[^\w.-]+", "-", label).strip("-_."), words, settings))
    if len({one.slug for one in contestants}) < max(2, len(contestants)):
        remedy = "--methods lora,full, or several --variant"
        raise mistake("a comparison needs two methods or settings, each once", "--methods", remedy)
    return Asked(tuple(files), data, tuple(contestants), tuple(seeds), budget, tuple(rates)), left_out


def _lines(methods: Sequence[str], variants: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each line's name and settings: every method with every variant."""
    named = methods or ([] if variants else list(mission.METHODS))
    sides: list[tuple[str, tuple[str, ...]]]
    sides = [(method, (f"tuning_method={method}",)) for method in named] or [("", ())]
    others: list[tuple[str, tuple[str, ...]]] = [
        (" ".join(part.rpartition(".")[2] for part in variant.split()), tuple(variant.split())) for variant in variants
    ] or [("", ())]
    return [(f"{one} {other}".strip(), (*own, *more)) for (one, own), (other, more) in product(sides, others)]


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""  # what is wrong with it is said where it is read


# --------------------------------------------------------------------------------------------------------- the work


def _searched(
    place: ComparisonFolder, asked: Asked, one: Contestant, signal: Caught
) -> Generator[Event, None, Searched]:
    """What the method's search came to: kept from before, or made now."""
    kept = place.searches().get(one.label)
    if kept is None:
        job = Job(asked.files, asked.data, (*one.overrides, f"seed={asked.seeds[0]}"), one.slug, str(place.search))
        request = {
            "job": asdict(job),
            "rates": asked.rates,
            "budget": asdict(asked.budget),
            "seeds": len(asked.seeds),
        }
        kept = yield from worked(request, f"{one.label}, learning rate", signal, _again(place))
        place.keep_search(one.label, kept)
    found = Searched(**{**kept, "rates": tuple((rate, loss) for rate, loss in kept["rates"])})
    steps = "" if found.steps is None else f"; {numbers.count(found.steps, 'step')} a run"
    if found.rates:
        tried = ", ".join(f"{numbers.rate(rate)}: {numbers.number(loss)}" for rate, loss in found.rates)
        text = f"{one.label}: learning rate {numbers.rate(found.rate)} (validation loss by rate: {tried}){steps}"
    else:
        text = f"{one.label}: no learning rates were tried, {found.why}{steps}"
    yield Note("setting", text)
    return found


def _run(
    place: ComparisonFolder, asked: Asked, one: Contestant, seed: int, searched: Searched, signal: Caught
) -> Generator[Event, None, Run]:
    """The method's run with a seed, evaluated: found from before, or made now."""
    name = f"{one.slug}-seed-{seed}"
    run = place.run(name)
    if run is None or run.status().state != "done" or not evaluated(run):
        overrides = (*one.overrides, f"seed={seed}", *_settled(one.settings, searched))
        job = Job(asked.files, asked.data, overrides, name, str(place.folder), evaluate=True)
        yield from worked({"job": asdict(job)}, f"{one.label}, seed {seed}", signal, _again(place))
        run = Run.open(place.folder / name)
    report = run.read_report()
    shown = ", ".join(
        f"{metric} {numbers.measured(measure.value, load_metric(metric).range == (0.0, 1.0))}"
        for metric in ("accuracy", "loss")
        if (measure := report.metrics.get(metric)) and measure.value is not None
    )
    yield Note("rows", f"{one.label}, seed {seed}: {shown} on {numbers.count(report.rows, 'row')} of {report.data}")
    return run


def _settled(settings: Settings, searched: Searched) -> list[str]:
    """What the search decided for the run, as settings."""
    found = []
    training = "training_config"
    if searched.rate is not None:
        found.append(f"{training}.hyperparameters.learning_rate={searched.rate!r}")
    if searched.steps is not None:
        every = max(1, searched.steps // EVALUATIONS)
        epochs = enough_epochs(searched.steps, searched.epoch_steps)
        found += [
            f"{training}.hyperparameters.max_steps={searched.steps}",
            f"{training}.hyperparameters.epochs={epochs}",
        ]
        for key in ("eval_steps", "save_steps"):
            if getattr(settings.training_config.evaluation, key) == "auto":
                found.append(f"{training}.evaluation.{key}={every}")
    return found


def _fallen_out(label: str, error: UserError) -> Generator[Event, None, str]:
    """Says that a method is out, and gives why."""
    why = error.mistakes[0].message
    yield Note("warning", f"{label} is left out: {why}")
    return why


def _require_two(lines: Mapping[str, Any], left_out: Mapping[str, str]) -> None:
    if len(lines) < 2:
        mistakes = [
            Mistake(why, label, "mend it, or leave the method out with --methods") for label, why in left_out.items()
        ]
        raise UserError(mistakes or [Mistake("a comparison needs two methods or more", "--methods")])


def _again(place: ComparisonFolder) -> str:
    return f"type the same again: what is done is kept in {place.folder}"


# -------------------------------------------------------------------------------------------------- what came of it


def _compared(
    asked: Asked, found: Mapping[str, list[Run]], searched: Mapping[str, Searched], left_out: Mapping[str, str]
) -> Generator[Event, None, Comparison]:
    reports: dict[str, list[Report]] = {}
    kept: dict[str, list[Kept]] = {}
    for label, runs in found.items():
        both = [evaluated_run(run) for run in runs]
        reports[label], kept[label] = [report for report, _ in both], [rows for _, rows in both]
    first = next(iter(kept))
    for label, rows in kept.items():
        for seed, one, other in zip(asked.seeds, kept[first], rows, strict=True):
            if why := apart(one, other):
                raise mistake(f"{first} and {label} were not evaluated on the same rows, seed {seed}: {why}", label)
    lines = [_line(label, found[label], reports[label], searched[label]) for label in found]
    start = reports[first][0]
    source = (
        start.data if len(asked.seeds) == 1 or start.data != "the validation rows" else f"{start.data} of each seed"
    )
    comparison = chosen((yield from compare_lines(lines, list(kept.values()), start.base, source)))
    settings = asked.contestants[0].settings
    return with_best_for(
        replace(
            comparison,
            model=settings.model,
            train_rows=searched[first].train_rows,
            budget=_said(asked),
            seeds=asked.seeds,
            left_out=dict(left_out),
            correction="Holm's, over all pairs of methods, metric by metric",
        )
    )


def _said(asked: Asked) -> str:
    words = asked.budget.words()
    if asked.budget == Budget():
        return f"{words}, and the search for a learning rate beside them"
    return f"{words}, the search for a learning rate taken from it; evaluations do not count"


def _line(label: str, runs: Sequence[Run], reports: Sequence[Report], searched: Searched) -> Method:
    """A method over its seeds: what it took, and its pooled metrics and verdicts."""
    each = [method_of_run(run.name, run, report) for run, report in zip(runs, reports, strict=True)]
    first = each[0]
    peaks = [one.peak_memory_bytes for one in each if one.peak_memory_bytes is not None]
    measures = {
        name: over_seeds([report.metrics[name] for report in reports], _limits(name))
        for name in reports[0].metrics
        if all(name in report.metrics for report in reports)
    }
    return replace(
        first,
        run=label,
        peak_memory_bytes=max(peaks, default=None),
        seconds=sum(one.seconds for one in each) / len(each),
        metrics=measures,
        targets=reports[0].targets if len(reports) == 1 else tuple(_verdicts(runs, reports, measures)),
        runs=tuple(str(run.folder) for run in runs),
        search=tuple(Tried(rate, loss) for rate, loss in searched.rates),
        search_seconds=searched.seconds,
    )


def _limits(name: str) -> tuple[float, float]:
    return load_metric(name).range


def _verdicts(
    runs: Sequence[Run], reports: Sequence[Report], measures: Mapping[str, Measure]
) -> Generator[TargetResult, None, None]:
    """Each target held against the pooled metric; where a trend is asked for, the worst seed's counts."""
    from luthier.evaluation.metrics import OTHER_NAMES

    none = Measure(None, reason="not measured for every seed")
    for target in reports[0].targets:
        name = OTHER_NAMES.get(target.metric, target.metric)
        apart_by = over_seeds([report.difference.get(name, none) for report in reports])
        judged = partial(judge, parse_target(target.target), target.metric, measures.get(name, none), apart_by)
        yield min((judged(run.evaluations()) for run in runs), key=lambda one: _WORST.index(one.verdict))
