"""Shows a verb's events to people on stderr: lines that stay, and one live line on a terminal, of what goes on now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

from luthier.app.cli.text import one_line, visible
from luthier.evaluation.metrics import load as load_metric
from luthier.flow import EvaluationLog, Event, Note, Progress, StepLog
from luthier.report import numbers

if TYPE_CHECKING:
    from rich.console import Console

TRAINING: Final = "training"
"""What the `Progress` of training is called: its `total` is the number of steps."""
SECONDS_A_LINE: Final = 5.0
_RECENT_STEPS: Final = 10
_BAR_CELLS: Final = 30
_STYLES: Final = {"warning": "yellow", "next": "cyan", "setting": "", "rows": "", "file": "dim"}


@dataclass(slots=True)
class Pace:
    """How one kind of work goes: `first` units were done when it was first heard of, at `started` (seconds)."""

    what: str
    started: float
    first: int
    done: int
    total: int | None = None
    recent: tuple[StepLog, ...] = ()

    def seconds_left(self, now: float) -> float | None:
        """10 of 40 units in 5 seconds leave 15 seconds; None while that is not known."""
        if self.total is None or self.done <= self.first:
            return None
        return (now - self.started) / (self.done - self.first) * (self.total - self.done)

    def tokens_a_second(self) -> float | None:
        """The rows' own tokens, over the last ten steps."""
        seconds = sum(step.seconds for step in self.recent)
        return sum(step.row_tokens for step in self.recent) / seconds if seconds > 0 else None

    def facts(self, now: float) -> list[str]:
        """What is worth knowing, the most important first: `step 40 of 88`, `loss 0.412`, ..."""
        of = f"{self.done:,} of {self.total:,}" if self.total is not None else f"{self.done:,}"
        facts = [f"step {of}" if self.what == TRAINING else of]
        if self.recent:
            facts.append(f"loss {numbers.number(self.recent[-1].train_loss)}")
        speed = self.tokens_a_second()
        if speed is not None:
            facts.append(f"{speed:,.0f} tokens/s")
        if self.recent:
            facts.append(numbers.size(self.recent[-1].memory_bytes))
        left = self.seconds_left(now)
        if left is not None and self.done != self.total:
            facts.append(f"{_whole(left)} left")
        return facts


class Watch:
    """What goes on, from the events: a `Pace` for each kind of work, and which of them was heard of last."""

    def __init__(self) -> None:
        self.paces: dict[str, Pace] = {}
        self.now: Pace | None = None

    def see(self, event: Progress | StepLog, now: float) -> Pace:
        """Takes in one event."""
        if isinstance(event, StepLog):
            # The step that is over began its own seconds ago: so the first one already tells how long the rest takes.
            pace = self._pace(TRAINING, event.step - 1, now - event.seconds)
            pace.done = event.step
            pace.recent = (*pace.recent, event)[-_RECENT_STEPS:]
        else:
            pace = self._pace(event.what, event.done, now)
            if event.done < pace.done and event.what != TRAINING:  # the same kind of work, once more
                del self.paces[event.what]
                pace = self._pace(event.what, event.done, now)
            pace.done, pace.total = event.done, event.total
        self.now = pace
        return pace

    def _pace(self, what: str, done: int, started: float) -> Pace:
        return self.paces.setdefault(what, Pace(what, started, done, done))


def note_line(note: Note) -> Text:
    """A note as a line that stays."""
    sign = {"warning": "warning: ", "next": "→ "}.get(note.kind, "")
    return Text(f"{sign}{visible(note.text)}", _STYLES[note.kind])


def evaluation_line(entry: EvaluationLog) -> Text:
    """An evaluation while training: `step 40  validation loss 0.412  perplexity 1.51  token accuracy 87.0%  best`."""
    facts = [
        f"step {entry.step:,}",
        f"validation loss {numbers.number(entry.validation_loss)}",
        f"perplexity {numbers.number(entry.perplexity)}",
        f"token accuracy {numbers.percent(entry.token_accuracy)}",
    ]
    if entry.kl_to_base is not None:
        facts.append(f"kl to base {numbers.number(entry.kl_to_base)}")
    preferred = {name: one.value for name, one in entry.preference.items() if one.value is not None}
    facts += [
        f"{name.replace('_', ' ')} {_value(name, value)}" for name, value in {**preferred, **entry.measured}.items()
    ]
    line = Text("  ".join(facts))
    return line.append("  best", "green") if entry.best else line


def _value(metric: str, value: float) -> str:
    return numbers.measured(value, load_metric(metric).range == (0.0, 1.0))


def live_line(pace: Pace, now: float, cells: int, ascii_only: bool = False) -> Text:
    """A line of at most so many cells: what, a bar, and the facts; the bar gives way first, then the last facts."""
    head, facts = f"{one_line(pace.what)}  ", pace.facts(now)
    while len(facts) > 1 and len(head) + len("  ".join(facts)) > cells:
        facts.pop()
    tail = "  ".join(facts)
    room = min(_BAR_CELLS, cells - len(head) - len(tail) - 2)
    line = Text(head)
    if pace.total and room >= 5:
        filled = min(room, room * pace.done // pace.total)
        done, rest = "#-" if ascii_only else "━─"
        line.append(done * filled, "green").append(rest * (room - filled), "dim").append("  ")
    line.append(tail)
    line.truncate(cells)
    return line


@contextmanager
def shown(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[Event], None]]:
    """Gives the function that shows an event; the live line is gone when it ends.

    Where the console is no terminal, work shows as a plain line every five seconds.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        with _Live(console, clock) as show:
            yield show
    else:
        yield _Plain(console, clock)


class _Plain:
    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock, self._watch = console, clock, Watch()
        self._printed = clock()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            _print(self._console, note_line(event))
        elif isinstance(event, EvaluationLog):
            _print(self._console, evaluation_line(event))
        else:
            now = self._clock()
            pace = self._watch.see(event, now)
            if now - self._printed >= SECONDS_A_LINE:
                self._printed = now
                _print(self._console, Text("  ".join([one_line(pace.what), *pace.facts(now)])))


class _Live:
    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self._console, self._clock, self._watch = console, clock, Watch()
        self._heard = clock()
        self._spinner = Spinner("line" if console.options.ascii_only else "dots")
        self._live = Live(console=console, transient=True, refresh_per_second=8, get_renderable=self._line)

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        self._heard = self._clock()
        if isinstance(event, Note):
            self._watch.now = None
            _print(self._console, note_line(event))
        elif isinstance(event, EvaluationLog):
            self._watch.now = self._watch.paces.get(TRAINING)
            _print(self._console, evaluation_line(event))
        else:
            self._watch.see(event, self._heard)

    def _line(self) -> Text:
        """What goes on now; where nothing was heard for a while, that time goes on beside a turning sign."""
        now, pace = self._clock(), self._watch.now
        silent = now - self._heard
        turning = self._spinner.render(now)
        sign = turning if isinstance(turning, Text) else Text("")
        if silent >= 2:
            sign.append(f" {_whole(silent)}")
        if pace is None:
            return sign
        room = self._console.width - sign.cell_len - 2
        return live_line(pace, now - silent, room, self._console.options.ascii_only).append("  ").append(sign)


def _whole(seconds: float) -> str:
    """Without parts of a second, which would only flicker."""
    return numbers.duration(seconds) if seconds >= 10 else f"{round(seconds)} s"


def _print(console: Console, line: Text) -> None:
    """Without breaking the line: a path or a command in it stays whole."""
    console.print(line, soft_wrap=True)
