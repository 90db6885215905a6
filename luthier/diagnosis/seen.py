"""What a run directory tells, read once: each part may be absent and then says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from luthier.errors import UserError
from luthier.flow import EvaluationLog, Report, StepLog
from luthier.runs import LogEntry, Run, Status
from luthier.settings.loading import AUTO, DEFAULT

Value = TypeVar("Value")

FEWEST_ROWS = 10
"""Under so many validation rows nothing is tested row by row."""


_NO_LOG: tuple[list[LogEntry], list[str]] = ([], [])
_NOT_WRITTEN: frozenset[str] = frozenset()


class Missing(Exception):
    """What a symptom needs is not in the run: its text says what, and what to type where that helps."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as diagnosis sees it.

    `run` is what a person types for it. `steps` are those that were taken or skipped, `evaluations` those of the log,
    in order. `settings` maps each setting's path to its resolved value, `rows` is rows.json. `answers` are those that
    `evaluate` kept, each with `wanted`, `tuned`, `tuned_right` and more. `report` is the evaluation's. `absent` says of
    each part that is not there why. `notes` say what is odd about the folder, such as a file edited since.
    """

    run: str
    steps: Sequence[StepLog] = ()
    evaluations: Sequence[EvaluationLog] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    written: frozenset[str] = frozenset()
    rows: Mapping[str, Any] = field(default_factory=dict)
    status: Status | None = None
    report: Report | None = None
    answers: Sequence[Mapping[str, Any]] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    # ----------------------------------------------------------------------------------------- what symptoms ask for

    @property
    def taken(self) -> Sequence[StepLog]:
        """The steps that changed the weights."""
        return [step for step in self.steps if not step.skipped]

    def steps_from(self, fewest: int) -> Sequence[StepLog]:
        """The steps that changed the weights. Raises `Missing` under so many."""
        if len(self.taken) < fewest:
            self._lacks("steps")
            raise Missing(f"the run took {len(self.taken)} steps, and {fewest} are needed")
        return self.taken

    def evaluations_from(self, fewest: int) -> Sequence[EvaluationLog]:
        """The evaluations while training, each over the same rows. Raises `Missing` under so many."""
        found = [one for one in self.evaluations if len(one.row_losses)]
        if len(found) < fewest:
            self._lacks("evaluations")
            if not found and self.setting("data.validation", None) == 0:
                raise Missing("the run holds no validation rows back: write `data.validation: 0.1`")
            raise Missing(f"the run was evaluated {len(found)} times while training, and {fewest} are needed")
        rows = len(found[-1].row_losses)
        found = [one for one in found if len(one.row_losses) == rows]
        if rows < FEWEST_ROWS:
            raise Missing(f"{rows} validation rows say too little: {FEWEST_ROWS} are needed")
        return found

    def evaluated(self) -> Report:
        """The report of `luthier evaluate`. Raises `Missing` where there is none."""
        if self.report is None:
            self._lacks("report")
            raise Missing(f"the run was not evaluated yet: luthier evaluate {self.run}")
        return self.report

    def setting(self, path: str, otherwise: Any = ...) -> Any:
        """A setting's resolved value by its path in the run file. Raises `Missing` where it is not known."""
        if path in self.settings:
            return self.settings[path]
        if otherwise is not ...:
            return otherwise
        self._lacks("settings")
        raise Missing(f"the setting {path} is not known")

    def hyperparameter(self, name: str) -> Any:
        """One of `training_config.hyperparameters`."""
        return self.setting(f"training_config.hyperparameters.{name}")

    @property
    def training_rows(self) -> int | None:
        """The rows trained on; None where rows.json does not tell."""
        kept, held = self.rows.get("kept"), self.rows.get("validation")
        return kept - held if isinstance(kept, int) and isinstance(held, int) else None

    @property
    def running(self) -> bool:
        """Whether the run is still training."""
        return self.status is not None and self.status.state == "running"

    def _lacks(self, part: str) -> None:
        if part in self.absent:
            raise Missing(self.absent[part])


def read(run: Run) -> Seen:
    """All that a run directory tells. Nothing missing, edited or broken in it is an error."""
    absent: dict[str, str] = {}

    def part(name: str, of: Any, otherwise: Value) -> Value:
        try:
            found: Value = of()
        except UserError as error:
            one = error.mistakes[0]
            absent[name] = f"{one.message}: {one.remedy}" if name == "report" else f"{one.where}: {one.message}"
            return otherwise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            absent[name] = f"{run.folder}: the {name} cannot be understood ({error!r})"
            return otherwise
        return found

    nothing: dict[str, Any] = {}
    entries, faults = part("log", run.readable_log, _NO_LOG)
    steps, evaluations = latest_of(entries)
    if "log" in absent or (faults and not entries):
        absent["steps"] = absent["evaluations"] = absent.get("log", faults[0] if faults else "")
    provenance = part("settings", run.read_provenance, nothing)
    settings = part("settings", lambda: {path: entry["value"] for path, entry in provenance.items()}, nothing)
    written = part("settings", lambda: _written(provenance), _NOT_WRITTEN)
    notes = [*faults[:3], *([f"and {len(faults) - 3} more lines of the log cannot be read"] if len(faults) > 3 else [])]
    if damage := part("damage", run.damage, ""):
        notes.append(f"{run.folder} is not what it was when the run began: {damage}")
    return Seen(
        run=str(run.folder),
        steps=steps,
        evaluations=evaluations,
        settings=settings,
        written=written,
        rows=part("rows", lambda: dict(run.read_rows()), nothing),
        status=part("status", run.status, None),
        report=part("report", run.read_report, None),
        answers=part("answers", lambda: _objects(run.read_answers("evaluation")), []),
        absent=absent,
        notes=notes,
    )


def latest_of(entries: Sequence[StepLog | EvaluationLog]) -> tuple[list[StepLog], list[EvaluationLog]]:
    """Steps and evaluations in order; where one stands twice, the later line counts."""
    steps = {entry.step: entry for entry in entries if isinstance(entry, StepLog)}
    evaluations = {entry.step: entry for entry in entries if isinstance(entry, EvaluationLog)}
    return [steps[step] for step in sorted(steps)], [evaluations[step] for step in sorted(evaluations)]


def _objects(lines: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [line for line in lines if isinstance(line, dict)]


def _written(provenance: Mapping[str, Any]) -> frozenset[str]:
    """The settings that the user chose."""
    return frozenset(
        path
        for path, entry in provenance.items()
        if entry.get("source") not in (AUTO, DEFAULT) and entry.get("value") != AUTO
    )
