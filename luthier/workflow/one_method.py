"""One method of a comparison, in a process of its own: its search for a learning rate, or its run and what it reached.

A process of its own starts afresh, so its high-water mark of memory is the method's; and where it fails, it alone ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any, Final

from luthier.errors import Mistake, Stopped, UserError
from luthier.flow import Event, Note, Progress, StepLog, result_of
from luthier.runs.run import Run
from luthier.workflow.signals import Caught

SEARCH_SHARE: Final = 0.1
"""Of a run's budget, for each learning rate that is tried."""
FEWEST_STEPS: Final = 5
"""A learning rate that was tried for fewer steps says nothing."""
TIMED_STEPS: Final = 6
"""Steps by whose pace the steps of a search are counted; the first one, in which libraries set themselves up, does not
count."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process does: the run `name` under `root`, as the files, the data and the settings say. `evaluate`: with
    the evaluation behind it, on the rows of `judged_on` where that is given. `general`: the general set alone is asked.
    """

    files: tuple[str, ...]
    data: str | None
    overrides: tuple[str, ...]
    name: str
    root: str
    evaluate: bool = False
    judged_on: str | None = None
    general: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may take: minutes of optimizer steps, trained tokens, or neither: then what the settings say."""

    minutes: float | None = None
    tokens: int | None = None

    def words(self) -> str:
        """`5 minutes of steps a run`."""
        if self.minutes is not None:
            return f"{self.minutes:g} minutes of steps a run"
        return f"{self.tokens:,} trained tokens a run" if self.tokens is not None else "the steps that the settings say"


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to. `rates` are the learning rates tried with the validation loss of each, None where that was
    no number; `rate` is the best one, None where none was tried, and `why` says then why not.

    `steps` is what a run of the rest of the budget takes, None for those that the settings say; `epoch_steps` is what
    going through the rows once takes, `train_rows` how many those are. `seconds` is what the search took.
    """

    rates: tuple[tuple[float, float | None], ...]
    rate: float | None
    why: str
    steps: int | None
    epoch_steps: int
    train_rows: int
    seconds: float


def worked(
    request: Mapping[str, Any], label: str, signal_came: Caught, again: str
) -> Generator[Event, None, Mapping[str, Any]]:
    """Lets a process work off what `child` reads, and gives what it came to; its warnings and progress go by `label`.

    Raises `UserError` for what it could not do, and `Stopped` where a signal came; what it did by then is kept.
    """
    command = [sys.executable, "-c", "from luthier.workflow.one_method import child; child()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        complaint: list[str] = []
        listening = threading.Thread(target=lambda: complaint.append(process.stderr.read() if process.stderr else ""))
        listening.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request))
                process.stdin.close()
            last: dict[str, Any] = {}
            total = 0
            for line in process.stdout:
                if not line.startswith('{"event"'):
                    continue
                last = json.loads(line)
                kind, values = last["event"], last["values"]
                if kind == "warning":
                    yield Note("warning", f"{label}: {values['text']}")
                elif kind == "progress":
                    total = values["total"] if values["what"] == "training" else total
                    yield Progress(f"{label}: {values['what']}", values["done"], values["total"])
                elif kind == "step":
                    yield Progress(f"{label}: training", values["step"], max(total, values["step"]))
                if signal_came.number:
                    process.send_signal(signal.SIGTERM)
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.terminate()
            process.wait()
            listening.join()
    if signal_came.number:
        raise Stopped(signal_came.number, again)
    if last.get("event") == "done":
        done: Mapping[str, Any] = last["values"]
        return done
    if last.get("event") == "failed":
        raise UserError([Mistake(**one) for one in last["values"]["mistakes"]])
    if process.returncode == -signal.SIGKILL:
        raise UserError(Mistake("its process was ended from outside, as happens where memory runs out", label))
    said = "".join(complaint).strip().rpartition("\n")[2]
    raise UserError(Mistake(f"its process ended with {process.returncode}: {said}", label))


def child() -> None:
    """What the process does: reads its request from stdin, works it off, and prints an event a line."""
    request = json.loads(sys.stdin.read())
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no event

    def tell(event: str, values: Mapping[str, Any]) -> None:
        out.write(json.dumps({"event": event, "values": values}) + "\n")

    def listen(event: Event) -> None:
        if isinstance(event, Note) and event.kind == "warning":
            tell("warning", {"text": event.text})
        elif isinstance(event, Progress):
            tell("progress", asdict(event))
        elif isinstance(event, StepLog):
            tell("step", {"step": event.step})

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        job = Job(**{**request["job"], "files": tuple(request["job"]["files"])})
        if "rates" in request:
            budget = Budget(**request["budget"])
            found = result_of(search(job, request["rates"], budget, request["seeds"]), listen)
            tell("done", asdict(found))
        else:
            result_of(run(job), listen)
            tell("done", {})
    except UserError as error:
        tell("failed", {"mistakes": [asdict(mistake) for mistake in error.mistakes]})
    except Stopped as stopped:
        sys.exit(stopped.exit_code)


def run(job: Job) -> Generator[Event, None, Run]:
    """The run to its end, begun or gone on with, and evaluated where that is asked for and not there yet."""
    from luthier.workflow.evaluate import evaluate
    from luthier.workflow.train import train

    root = Path(job.root)
    found = Run(root / job.name)
    begun = (found.folder / "run.json").is_file()
    if begun and found.damage():
        found.discard()  # killed before it began
        begun = False
    if not begun:
        yield from train(job.files, data=job.data, overrides=job.overrides, name=job.name, root=root)
    elif found.status().state != "done":
        yield from train(resume=str(found.folder), root=root)
    if job.evaluate and not evaluated(found):
        yield from evaluate(str(found.folder), data=job.judged_on, root=root)
    if job.general:
        from luthier.workflow.asked_in_general import asked_in_general

        yield from asked_in_general(str(found.folder), root)
    return found


def evaluated(run: Run) -> bool:
    """Whether the run's report is there."""
    try:
        run.read_report()
    except UserError:
        return False
    return True


def search(job: Job, factors: Sequence[float], budget: Budget, seeds: int) -> Generator[Event, None, Searched]:
    """Tries the method's own learning rate times each of `factors`, each for a tenth of a run's budget from the start,
    and takes the one with the lowest validation loss at its end; says how many steps then are left for each of `seeds`
    runs.

    Nothing is tried where the settings name a rate, where there are no validation rows to judge by, or where trying
    would take over half of the budget.
    """
    from luthier.workflow import run_file

    loaded = run_file.read(job.files, job.data, job.overrides)
    hyper = loaded.settings.training_config.hyperparameters
    timed = yield from run(_short(job, "timed", TIMED_STEPS, 1))
    rows = timed.read_rows()
    train_rows = rows["kept"] - rows["validation"]
    epoch_steps = -(-train_rows // hyper.batch_size)
    paced = [step.seconds for step in timed.steps()][1:] or [step.seconds for step in timed.steps()]
    cost = sum(paced) / len(paced) if budget.minutes is not None else rows["trained_tokens"] / epoch_steps
    limit = _steps_of(budget, cost, hyper, train_rows)
    tried_steps = max(FEWEST_STEPS, int(SEARCH_SHARE * limit))
    own_rate = _rate(timed)
    why = ""
    if hyper.learning_rate != "auto":
        why = "the settings name the learning rate"
    elif len(factors) < 2:
        why = "one learning rate was asked for"
    elif not rows["validation"]:
        why = "there are no validation rows to judge by"
    elif budget != Budget() and tried_steps * len(factors) > seeds * limit / 2:
        why = "the budget is too small to try several learning rates"
    if why:
        rate = own_rate * factors[0] if hyper.learning_rate == "auto" and len(factors) == 1 else None
        left = None if budget == Budget() else max(1, int(limit))
        return Searched((), rate, why, left, epoch_steps, train_rows, _seconds([timed]))
    runs = [timed]
    rates: list[tuple[float, float | None]] = []
    for number, factor in enumerate(factors, 1):
        rate = float(f"{own_rate * factor:.3g}")
        setting = f"training_config.hyperparameters.learning_rate={rate!r}"
        try:
            tried = yield from run(_short(job, f"rate-{number}", tried_steps, epoch_steps, setting))
        except UserError:  # a rate at which the loss is no number any more
            rates.append((rate, None))
            continue
        runs.append(tried)
        loss = next((one.validation_loss for one in reversed(tried.evaluations())), nan)
        rates.append((rate, loss if isfinite(loss) else None))
    best = min(rates, key=lambda one: inf if one[1] is None else one[1])[0]
    return Searched(
        tuple(rates), best, "", _steps_left(budget, limit, runs, seeds), epoch_steps, train_rows, _seconds(runs)
    )


def _steps_left(budget: Budget, limit: float, runs: Sequence[Run], seeds: int) -> int | None:
    """The steps of each run once the search is paid for, by the pace of all that was tried."""
    if budget == Budget():
        return None
    seconds = [step.seconds for one in runs for step in one.steps()]
    if budget.minutes is not None:
        limit = 60 * budget.minutes * len(seconds) / sum(seconds)
    return max(1, int(limit - len(seconds) / seeds))


def _steps_of(budget: Budget, cost: float, hyper: Any, train_rows: int) -> float:
    """How many steps a run's budget is, at what a step costs."""
    from luthier.training.schedule import count_steps

    if budget.minutes is not None:
        return 60 * budget.minutes / cost
    if budget.tokens is not None:
        return budget.tokens / cost
    return count_steps(train_rows, hyper.batch_size, hyper.epochs, hyper.max_steps)


def _short(job: Job, kind: str, steps: int, epoch_steps: int, *more: str) -> Job:
    """A short run of a search: evaluated and saved at its end alone."""
    overrides = (
        *job.overrides,
        f"training_config.hyperparameters.max_steps={steps}",
        f"training_config.hyperparameters.epochs={enough_epochs(steps, epoch_steps)}",
        f"training_config.evaluation.eval_steps={steps}",
        f"training_config.evaluation.save_steps={steps}",
        "training_config.evaluation.keep=1",
        *more,
    )
    return Job(job.files, job.data, overrides, f"{job.name}-{kind}", job.root)


def enough_epochs(steps: int, epoch_steps: int) -> int:
    """Epochs that hold so many steps."""
    return -(-steps // epoch_steps)


def _rate(run: Run) -> float:
    """The learning rate that the run was given or found by itself."""
    from luthier.workflow import run_file

    rate = run_file.read([str(run.settings_path)]).settings.training_config.hyperparameters.learning_rate
    assert rate != "auto"
    return rate


def _seconds(runs: Sequence[Run]) -> float:
    """What the runs took, steps and evaluations."""
    return sum(
        sum(step.seconds for step in one.steps()) + sum(entry.seconds for entry in one.evaluations()) for one in runs
    )
