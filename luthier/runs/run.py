"""One run's folder: every file of it is read and written here, and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from hashlib import sha256
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from luthier.errors import UserError, mistake
from luthier.flow import (
    Diagnosis,
    EvaluationLog,
    Finding,
    Marked,
    Measure,
    Place,
    Remedy,
    Report,
    StepLog,
    TargetResult,
)
from luthier.runs import checkpoints, status, whole
from luthier.runs.checkpoints import Checkpoint
from luthier.runs.manifest import MANIFEST, damage, seal
from luthier.runs.status import State, Status

LogEntry = StepLog | EvaluationLog
VERSION = 1
SEALED = ("settings.yaml", "environment.json")
"""What going on with a run goes by; it never changes after the run began."""
REPLAY = "answers/replay.jsonl"
"""Sealed with these where a run trains on base's own answers."""
REFERENCE = "reference.safetensors"
"""Sealed with these where a run goes by what base finds the answers likely."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder. Made by `create`, `create_numbered`, `open` or `find`.

    All writing raises `UserError` where the disk is full or the folder may not be written.
    """

    folder: Path

    # ------------------------------------------------------------------------------------------ making and finding

    @classmethod
    def create(cls, root: Path, name: str) -> Run:
        """A new run `root/name`. Raises `UserError` where it exists already or the name is no folder's name."""
        if not re.fullmatch(r"[^\W_][\w. +-]*", name):
            remedy = "letters, digits, and . _ + - after the first: --name my-run"
            raise mistake(f"{name!r} cannot name a run", "name", remedy)
        run = cls(root / name)
        if not run._made():
            remedy = f"go on with it: luthier train --resume {run.folder}; or take another: --name {name}-2"
            raise mistake("a run of this name exists, and is left as it is", str(run.folder), remedy)
        return run

    @classmethod
    def create_numbered(cls, root: Path, stem: str, method: str) -> Run:
        """A new run `root/<stem>-<method>-<n>`, with the first number above those there are: `tickets-lora-3`."""
        plain = whole.folder_name(stem, "run")
        prefix = f"{plain}-{method}-"
        taken = [path.name.removeprefix(prefix) for path in root.glob(f"{prefix}*")]
        number = max((int(text) for text in taken if text.isdecimal()), default=0) + 1
        while not (run := cls(root / f"{prefix}{number}"))._made():
            number += 1
        return run

    def copied(self, root: Path, name: str, settings: str, provenance: Any) -> Run:
        """A new run `root/name` that stands where this one ended, with settings of its own: rows, log and checkpoints
        are this one's; result, answers and reports are to be made. Its checkpoints take no room of their own where the
        disk can hold a file under two names. Cut short, it is damaged and can be discarded."""
        run = type(self).create(root, name)
        with whole.to_disk(run.folder):
            for part in ("rows.json", "mask.json", "environment.json", "passes.json", "log.jsonl", REPLAY, REFERENCE):
                if (self.folder / part).is_file():
                    whole.make_folder((run.folder / part).parent)
                    whole.write_bytes(run.folder / part, (self.folder / part).read_bytes())
            shutil.copytree(self._checkpoints, run._checkpoints, copy_function=_same_file)
        run.write_settings(settings, provenance)
        before = self.status()
        run.update(state="stopped", last_step=before.last_step, best_step=before.best_step)
        run.seal()
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """The run in a folder. Raises `UserError` with the nearest runs where it is none."""
        run = cls(path)
        if not run._status_path.is_file():
            raise _no_run(str(path), path.parent)
        run.status()
        return run

    @classmethod
    def find(cls, name: str, root: Path = Path("runs"), *, to_mend: bool = False) -> Run:
        """A run by its folder's path, or by its name under `root`; with `to_mend` also one whose run.json is broken."""
        for path in (Path(name).expanduser(), root / name):
            if cls(path)._status_path.is_file():
                return cls(path) if to_mend else cls.open(path)
        raise _no_run(name, root)

    @classmethod
    def all(cls, root: Path = Path("runs")) -> list[Run]:
        """Every run under a folder, the newest first."""
        paths = sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [cls(path.parent) for path in paths]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    # ------------------------------------------------------------------------------------------------------ status

    def status(self) -> Status:
        """run.json, and whether the run is dead. Raises `UserError` where it is broken or of a later version."""
        return status.read(self._status_path)

    def update(
        self,
        *,
        state: State | None = None,
        last_step: int | None = None,
        best_step: int | None = None,
        stopped_because: str | None = None,
    ) -> None:
        """Write run.json anew: what is given changes; pid and heartbeat become those of now."""
        given = {"state": state, "last_step": last_step, "best_step": best_step, "stopped_because": stopped_because}
        status.update(self._status_path, **{key: value for key, value in given.items() if value is not None})

    def beating(self) -> AbstractContextManager[None]:
        """Inside, run.json is written anew every few seconds, so that readers see that this process lives."""
        return status.beating(self._status_path)

    def mend(self) -> list[str]:
        """Write run.json anew where it is broken; gives a line for that."""
        return status.mend(self._status_path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process writes a run: a second one gets a `UserError`. A killed process holds nothing, and what it
        left half-made is cleared away first."""

        def busy() -> UserError:
            who = "another process"
            with suppress(UserError):
                who = f"process {self.status().pid}"
            remedy = "wait until it ends, or stop it with Ctrl-C there"
            return mistake(f"{who} is writing this run", str(self.folder), remedy)

        with whole.locked(self.folder / ".lock", self.folder, busy):
            whole.recover(self.folder)
            whole.recover(self._checkpoints)
            yield

    # ---------------------------------------------------------------------------------- settings, rows, environment

    @property
    def settings_path(self) -> Path:
        return self.folder / "settings.yaml"

    def write_settings(self, text: str, provenance: Any) -> None:
        """settings.yaml, a run file that repeats the run, and provenance.json, the same as data."""
        whole.write_bytes(self.settings_path, text.encode())
        whole.write_json(self.folder / "provenance.json", provenance)

    def read_provenance(self) -> Any:
        return _read_json(self.folder / "provenance.json")

    def write_rows(self, account: Any) -> None:
        """rows.json: read = kept + dropped by reason."""
        whole.write_json(self.folder / "rows.json", account)

    def read_rows(self) -> Any:
        return _read_json(self.folder / "rows.json")

    def write_mask(self, rows: Iterable[Marked]) -> None:
        """mask.json: rows with their tokens, each trained on or not, and what inference sends for them."""
        content = [
            {
                "file": row.place.file,
                "line": row.place.line,
                "row_group": row.place.row_group,
                "tokens": [{"text": text, "trained": trained} for text, trained in row.tokens],
                "marks": row.marks,
                "sent": row.sent,
                "side": row.side,
            }
            for row in rows
        ]
        whole.write_json(self.folder / "mask.json", content)

    def read_mask(self) -> tuple[Marked, ...]:
        """mask.json; empty for a run that has none."""
        path = self.folder / "mask.json"
        return tuple(
            Marked(
                tuple((token["text"], token["trained"]) for token in row["tokens"]),
                tuple(row["marks"]),
                row["sent"],
                Place(row["file"], row["line"], row["row_group"]),
                row.get("side", ""),
            )
            for row in (_read_json(path) if path.exists() else ())
        )

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        whole.write_json(self.folder / "environment.json", environment)

    def read_environment(self) -> Any:
        return _read_json(self.folder / "environment.json")

    def write_passes(self, passes: Mapping[str, Any]) -> None:
        """passes.json: how much goes through the model at once, by the first step that it is for."""
        whole.write_json(self.folder / "passes.json", {"version": VERSION} | dict(passes))

    def read_passes(self) -> Any:
        """passes.json; None for a run that has none."""
        path = self.folder / "passes.json"
        return _read_json(path) if path.exists() else None

    def write_replay(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """answers/replay.jsonl: what base said before training, which is trained on."""
        self.write_answers("replay", lines)

    def read_replay(self) -> list[dict[str, Any]] | None:
        """answers/replay.jsonl; None for a run that trains on none."""
        return self.read_answers("replay") if (self.folder / REPLAY).is_file() else None

    def write_reference(self, reference: Mapping[str, NDArray[np.float64]]) -> None:
        """reference.safetensors: what base finds each answer of the preference rows likely, which tuning goes by."""
        whole.write_bytes(self.folder / REFERENCE, save(dict(reference)))

    def read_reference(self) -> dict[str, NDArray[np.float64]] | None:
        """reference.safetensors; None where there is none, or it is not whole: it can be computed again."""
        try:
            return load((self.folder / REFERENCE).read_bytes())
        except (OSError, SafetensorError):
            return None

    def seal(self) -> None:
        """Keep the hashes of the settings, the environment and what base said before training, where the run goes by
        that: from here on the run can be gone on with."""
        with whole.to_disk(self.folder):
            seal(self.folder, [*SEALED, *(name for name in (REPLAY, REFERENCE) if (self.folder / name).is_file())])

    def damage(self) -> str:
        """What is wrong with the settings or the environment that the run began with, empty where they are whole."""
        if not (self.folder / MANIFEST).is_file():
            return "the process ended before the run began"
        return damage(self.folder)

    def discard(self) -> None:
        """Delete the whole run: for one that could not begin."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # --------------------------------------------------------------------------------------------------------- log

    def append(self, entry: LogEntry) -> None:
        """Add a line to log.jsonl; half a line that a killed process left is cut off first. NaN becomes null, and what
        was not measured is left out.

        It is forced to the disk by the next checkpoint, which is what a run goes on from.
        """
        kind = "step" if isinstance(entry, StepLog) else "evaluation"
        every = {field.name: getattr(entry, field.name) for field in fields(entry)}
        values = {name: value for name, value in every.items() if value is not None}
        line = orjson.dumps({"kind": kind} | values, option=orjson.OPT_APPEND_NEWLINE)
        whole.append(self._log_path, line)

    def log(self) -> list[LogEntry]:
        """The log as it was yielded; half a line at its end is left out, null becomes NaN."""
        return [_entry(line, number, self._log_path) for number, line in enumerate(self._log_lines(), 1)]

    def readable_log(self) -> tuple[list[LogEntry], list[str]]:
        """The entries of the log that can be read, and a line for each one that cannot."""
        entries, faults = [], []
        for number, line in enumerate(self._log_lines(), 1):
            try:
                entries.append(_entry(line, number, self._log_path))
            except UserError as error:
                faults.append(f"{error.mistakes[0].where}: {error.mistakes[0].message}")
        return entries, faults

    def steps(self) -> list[StepLog]:
        return [entry for entry in self.log() if isinstance(entry, StepLog)]

    def evaluations(self) -> list[EvaluationLog]:
        return [entry for entry in self.log() if isinstance(entry, EvaluationLog)]

    def truncate_log(self, step: int, evaluated_step: int | None = None) -> None:
        """Keep the steps up to `step` and the evaluations up to `evaluated_step` (`step` where none is given), so that
        a resumed run goes on from its checkpoint. Lines after these may be broken: a power cut leaves such."""
        last = {StepLog: step, EvaluationLog: step if evaluated_step is None else evaluated_step}
        kept, awaited = [], {(StepLog, step), (EvaluationLog, evaluated_step or 0)} - {(StepLog, 0), (EvaluationLog, 0)}
        for number, line in enumerate(self._log_lines(), 1):
            try:
                entry = _entry(line, number, self._log_path)
            except UserError:
                if awaited:
                    raise
                break
            if entry.step <= last[type(entry)]:
                kept.append(line + b"\n")
                awaited.discard((type(entry), entry.step))
        whole.write_bytes(self._log_path, b"".join(kept))

    def fingerprint(self) -> str:
        """A digest of the settings and of the log: the same run, trained the same way."""
        parts = [path.read_bytes() for path in (self.settings_path, self._log_path) if path.is_file()]
        return sha256(b"\0".join(parts)).hexdigest()

    # ----------------------------------------------------------------------------------------- checkpoints, weights

    def save_checkpoint(self, step: int, writers: Mapping[str, Callable[[Path], None]]) -> Checkpoint:
        """checkpoints/step-N, whole or absent: `writers` maps a name to what makes the file or folder at its path.

        The log up to here is forced to the disk first.
        """
        with whole.to_disk(self._log_path):
            if self._log_path.is_file():
                whole.sync(self._log_path)
                whole.sync(self.folder)
        return checkpoints.save(self._checkpoints, step, writers)

    def checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of a step, its hashes checked. Raises `UserError` where it is absent or damaged."""
        return checkpoints.load(self._checkpoints, step)

    def latest_checkpoint(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest whole checkpoint, and a warning for each newer one that is damaged and was skipped."""
        return checkpoints.latest(self._checkpoints)

    def checkpoint_steps(self) -> list[int]:
        return checkpoints.steps(self._checkpoints)

    def prune_checkpoints(self, step: int, keep: int, best: int | None) -> list[int]:
        """Delete all but the last `keep` checkpoints up to `step`, the newest, and the best; gives the steps deleted.

        What stands after the newest is damaged and was skipped.
        """
        return checkpoints.prune(self._checkpoints, step, keep, best)

    @property
    def weights(self) -> Path:
        """The folder of the result: PEFT's adapter files or a model folder, and the template."""
        return self.folder / "weights"

    def save_weights(self, write: Callable[[Path], None]) -> None:
        """Replace the result by what `write(empty folder)` puts there; when that fails the old one stays."""

        def sealed(folder: Path) -> None:
            write(folder)
            seal(folder)

        whole.write_folder(self.weights, sealed)

    def require_weights(self) -> Path:
        """weights/, its hashes checked. Raises `UserError` where there are none yet or they are damaged."""
        remedy = f"luthier train --resume {self.folder}"
        if not self.weights.is_dir():
            state = self.status().state
            raise mistake(f"the run has no tuned weights yet: it is {state}", str(self.folder), remedy)
        if fault := damage(self.weights):
            raise mistake(f"the tuned weights are damaged: {fault}", str(self.weights), f"{remedy} makes them anew")
        return self.weights

    # ------------------------------------------------------------------------------------------- answers, reports

    def write_answers(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        """answers/<name>.jsonl, a line a row; gives its path."""
        path = self.folder / "answers" / f"{name}.jsonl"
        whole.make_folder(path.parent)
        whole.write_bytes(path, b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
        return path

    def read_answers(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / "answers" / f"{name}.jsonl"
        if not path.is_file():
            raise mistake("no such answers", str(path), f"luthier evaluate {self.folder}")
        return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]

    def write_report(self, report: Report) -> None:
        """reports/evaluation.json."""
        whole.make_folder(self.page.parent)
        whole.write_json(self.folder / "reports" / "evaluation.json", {"version": VERSION} | asdict(report))

    @property
    def evaluated(self) -> bool:
        """Whether there is a reports/evaluation.json."""
        return (self.folder / "reports" / "evaluation.json").is_file()

    def read_report(self) -> Report:
        """reports/evaluation.json. Raises `UserError` where the run was not evaluated yet."""
        path = self.folder / "reports" / "evaluation.json"
        if not path.is_file():
            raise mistake("the run was not evaluated yet", str(path), f"luthier evaluate {self.folder}")
        return _report(_read_json(path))

    def write_diagnosis(self, diagnosis: Mapping[str, Any]) -> Path:
        """reports/diagnosis.json; gives its path."""
        return self.write_other_report("diagnosis", {"version": VERSION, **diagnosis})

    def read_diagnosis(self) -> Diagnosis:
        """reports/diagnosis.json. Raises `UserError` where the run was not diagnosed yet."""
        path = self.page.with_name("diagnosis.json")
        if not path.is_file():
            raise mistake("the run was not diagnosed yet", str(path), f"luthier diagnose {self.folder}")
        try:
            return _diagnosis(_read_json(path))
        except (KeyError, TypeError, AttributeError) as error:
            raise mistake(f"is no diagnosis: {error}", str(path), f"luthier diagnose {self.folder}") from error

    @property
    def page(self) -> Path:
        """reports/report.html, the one offline page."""
        return self.folder / "reports" / "report.html"

    def write_page(self, html: str) -> None:
        whole.make_folder(self.page.parent)
        whole.write_bytes(self.page, html.encode())

    def write_other_report(self, name: str, content: Mapping[str, Any]) -> Path:
        """reports/<name>.json, such as `judge` and `lm_eval`; gives its path."""
        path = self.page.with_name(f"{name}.json")
        whole.make_folder(path.parent)
        whole.write_json(path, content)
        return path

    def read_other_report(self, name: str) -> dict[str, Any] | None:
        """reports/<name>.json; None where there is none."""
        path = self.page.with_name(f"{name}.json")
        return _read_json(path) if path.is_file() else None

    def write_comparison(self, comparison: Mapping[str, Any], html: str) -> tuple[Path, Path]:
        """reports/comparison.json and comparison.html: this run beside others. Gives their paths."""
        data, page = self.page.with_name("comparison.json"), self.page.with_name("comparison.html")
        whole.make_folder(page.parent)
        whole.write_json(data, comparison)
        whole.write_bytes(page, html.encode("utf-8", "backslashreplace"))
        return data, page

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.folder / "tensorboard"

    # ------------------------------------------------------------------------------------------------------- paths

    @property
    def _status_path(self) -> Path:
        return self.folder / "run.json"

    @property
    def _log_path(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def _made(self) -> bool:
        """Make the folder with a status; False where something of its name exists."""
        if not whole.make_folder(self.folder, above=True):
            return False
        try:
            status.begin(self._status_path)
        except BaseException:
            self.folder.rmdir()
            raise
        return True

    def _log_lines(self) -> list[bytes]:
        """The complete lines of the log: none where there is no log yet."""
        if not self._log_path.is_file():
            return []
        return self._log_path.read_bytes().split(b"\n")[:-1]


def _same_file(source: str, target: str) -> str:
    """A second name for a file that nobody changes, or a copy where the disk has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _entry(line: bytes, number: int, path: Path) -> LogEntry:
    try:
        values: dict[str, Any] = orjson.loads(line)
        if values.pop("kind") == "step":
            values["preference"] = _with_nan(values.get("preference", {}))
            return StepLog(**_with_nan(values))
        for name in ("row_losses", "train_losses"):
            values[name] = [(nan if loss is None else loss, tokens) for loss, tokens in values[name]]
        values["preference"] = {name: Measure(**found) for name, found in values.get("preference", {}).items()}
        return EvaluationLog(**_with_nan(values))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "delete that line; the checkpoints do not need it"
        raise mistake(f"a line of the log cannot be read: {error}", f"{path}:{number}", remedy) from error


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: nan if value is None else value for name, value in values.items()}


def _report(content: Any) -> Report:
    def measures(found: Mapping[str, Any]) -> dict[str, Measure]:
        return {name: Measure(**values) for name, values in found.items()}

    values = {name: value for name, value in content.items() if name != "version"}
    return Report(
        **values
        | {
            "metrics": measures(content["metrics"]),
            "base": measures(content["base"]),
            "targets": tuple(TargetResult(**target) for target in content["targets"]),
            "difference": measures(content.get("difference", {})),
            "gaps": measures(content.get("gaps", {})),
            "distances": measures(content.get("distances", {})),
            "quantization": measures(content.get("quantization", {})),
        }
        | {
            part: {name: measures(found) for name, found in content.get(part, {}).items()}
            for part in ("categories", "forgetting", "changes")
        }
    )


def _diagnosis(content: Any) -> Diagnosis:
    def finding(values: Mapping[str, Any]) -> Finding:
        return Finding(
            **dict(values)
            | {
                "evidence": {name: Measure(**measure) for name, measure in values["evidence"].items()},
                "curves": {name: [(x, y) for x, y in points] for name, points in values["curves"].items()},
                "remedies": tuple(
                    Remedy(**remedy | {"without": tuple(Place(**place) for place in remedy["without"])})
                    for remedy in values["remedies"]
                ),
            }
        )

    return Diagnosis(content["run"], tuple(finding(one) for one in content["findings"]), content["unknown"])


def _read_json(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise mistake("this file of the run is missing", str(path), "copy the run's folder again") from None
    except (OSError, ValueError) as error:
        raise mistake(f"cannot be read: {error}", str(path), "copy the run's folder again") from error


def _no_run(name: str, root: Path) -> UserError:
    names = [run.name for run in Run.all(root)]
    near = get_close_matches(Path(name).name, names, n=3, cutoff=0.5) or names[:3]
    paths = ", ".join(str(root / other) for other in near)
    remedy = f"did you mean: {paths}" if paths else "luthier train FILE makes one"
    return mistake("not a run: a run is a folder with a run.json", name, remedy)
