"""TensorBoard's curves of a run: a file of events that grows with the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from luthier.flow import EvaluationLog, StepLog
from luthier.runs import whole


@contextmanager
def curves(folder: Path, step: int) -> Iterator[Callable[[StepLog | EvaluationLog], None]]:
    """Gives a function that adds a log entry to the curves; what an earlier process drew after `step` is taken back.

    Each entry is written at once and here, not by a thread: where the disk is full, that is a `UserError`, and nothing
    waits for a thread that ended.
    """
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.summary import scalar

    whole.make_folder(folder)
    with whole.to_disk(folder):
        writer = EventsWriter(str(folder / "events"), f".{step}")

        def add(event: Event) -> None:
            writer.write_event(event)
            writer.flush()

        def show(entry: StepLog | EvaluationLog) -> None:
            with whole.to_disk(folder):
                for name, value in _points(entry).items():
                    add(Event(wall_time=time.time(), step=entry.step, summary=scalar(name, value)))

        add(Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START)))
    try:
        yield show
    finally:
        with suppress(OSError):  # written and flushed already, or said
            writer.close()


def _points(entry: StepLog | EvaluationLog) -> dict[str, float]:
    name = "validation" if isinstance(entry, EvaluationLog) else "train"
    held = {} if entry.kl_to_base is None else {f"{name}/kl_to_base": entry.kl_to_base}
    return held | _others(entry)


def _others(entry: StepLog | EvaluationLog) -> dict[str, float]:
    if isinstance(entry, EvaluationLog):
        points = {"validation/loss": entry.validation_loss, "validation/token_accuracy": entry.token_accuracy}
        points |= {f"validation/{name}": one.value for name, one in entry.preference.items() if one.value is not None}
        return points | {f"validation/{name}": value for name, value in entry.measured.items()}
    return {f"train/{name}": value for name, value in entry.preference.items()} | {
        "train/loss": entry.train_loss,
        "train/learning_rate": entry.learning_rate,
        "train/grad_norm": entry.grad_norm,
        "train/tokens_per_second": entry.row_tokens / entry.seconds,
    }
