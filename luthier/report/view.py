"""What the report of a run shows, as data: read from the run directory, with what is absent said and not guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from luthier.data.account import Tally
from luthier.errors import Mistake, UserError
from luthier.flow import Diagnosis, EvaluationLog, Marked, Report, StepLog
from luthier.runs import Run, State

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Pair:
    """One test row's answers before and after. None stands for what was not asked or not judged."""

    file: str
    line: int
    category: str | None
    prompt: str
    wanted: str
    base: str | None
    tuned: str | None
    base_stopped: bool = True
    tuned_stopped: bool = True
    base_right: bool | None = None
    tuned_right: bool | None = None
    tuned_loss: float | None = None
    """Nats a token of the wanted answer."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's value, where it came from, and why where it was resolved."""

    path: str
    value: Any
    source: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The account of the rows: in all, by source file, by category (None for rows without one)."""

    total: Tally
    sources: tuple[tuple[str, Tally], ...]
    categories: tuple[tuple[str | None, Tally], ...]


@dataclass(frozen=True, slots=True)
class View:
    """A run as its report shows it. `run` is what a person types for it; parts that are not there are empty or None,
    and `absent` says which and what to type."""

    run: str
    state: State
    best_step: int | None = None
    steps: tuple[StepLog, ...] = ()
    evaluations: tuple[EvaluationLog, ...] = ()
    report: Report | None = None
    pairs: tuple[Pair, ...] = ()
    rows: Rows | None = None
    marked: tuple[Marked, ...] = ()
    settings: tuple[Setting, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None
    absent: tuple[Mistake, ...] = ()


def view(run: Run) -> View:
    """Everything that stands in the run's folder. Raises `UserError` only where run.json or the log is broken."""
    absent: list[Mistake] = []

    def found(read: Callable[[], Read], otherwise: Read) -> Read:
        try:
            return read()
        except UserError as error:
            absent.extend(error.mistakes)
            return otherwise

    status = run.status()
    report = found(run.read_report, None)
    answers: list[dict[str, Any]] = found(lambda: run.read_answers("evaluation"), []) if report else []
    provenance: dict[str, Any] = found(run.read_provenance, {})
    return View(
        run=str(run.folder),
        state=status.state,
        best_step=status.best_step,
        steps=tuple({entry.step: entry for entry in run.steps()}.values()),
        evaluations=tuple({entry.step: entry for entry in run.evaluations()}.values()),
        report=report,
        pairs=tuple(Pair(**_known(Pair, line)) for line in answers),
        rows=_rows(found(run.read_rows, None)),
        marked=found(run.read_mask, ()),
        settings=tuple(Setting(path, **_known(Setting, values)) for path, values in provenance.items()),
        environment=found(run.read_environment, {}),
        diagnosis=_diagnosis(run),
        absent=tuple(absent),
    )


def _diagnosis(run: Run) -> Diagnosis | None:
    """The diagnosis where one was made; a run need not have any."""
    try:
        return run.read_diagnosis()
    except UserError:
        return None


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a dataclass has a field for: later versions may add others."""
    return {name.name: values[name.name] for name in fields(kind) if name.name in values}


def _rows(data: Mapping[str, Any] | None) -> Rows | None:
    if data is None:
        return None
    return Rows(
        total=Tally(**_known(Tally, data)),
        sources=tuple((source, Tally(**_known(Tally, tally))) for source, tally in data["sources"].items()),
        categories=tuple((entry["category"], Tally(**_known(Tally, entry))) for entry in data["categories"]),
    )
