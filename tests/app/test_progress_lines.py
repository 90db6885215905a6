"""What people see while a verb works: lines that stay, the live line, and plain lines where there is no terminal."""

from __future__ import annotations

import io

from rich.console import Console

from luthier.app.cli.progress import Pace, Watch, evaluation_line, live_line, shown
from luthier.flow import EvaluationLog, Event, Note, Progress, StepLog


def step(number: int, row_tokens: int = 300, seconds: float = 0.5) -> StepLog:
    return StepLog(
        step=number,
        epoch=0.1 * number,
        train_loss=0.4123,
        learning_rate=5e-4,
        grad_norm=1.0,
        trained_tokens=20,
        row_tokens=row_tokens,
        computed_tokens=100,
        seconds=seconds,
        memory_bytes=1_230_000_000,
    )


EVALUATION = EvaluationLog(
    step=40,
    validation_loss=0.412,
    perplexity=1.51,
    token_accuracy=0.87,
    best=True,
    seconds=1.0,
    row_losses=[],
    train_losses=[],
)


class Clock:
    """A clock that a test sets by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_ten_of_forty_units_in_five_seconds_leave_fifteen() -> None:
    watch = Watch()
    watch.see(Progress("scoring base", 0, 40), 100.0)
    pace = watch.see(Progress("scoring base", 10, 40), 105.0)
    assert pace.seconds_left(105.0) == 15.0


def test_a_resumed_run_counts_its_own_steps_for_the_time_left() -> None:
    watch = Watch()
    watch.see(Progress("training", 60, 100), 0.0)
    for number in range(61, 71):
        pace = watch.see(step(number), 2.0 * (number - 60))
    # 10 steps in 20 seconds, 30 steps to go
    assert pace.seconds_left(20.0) == 60.0


def test_the_first_unit_gives_no_time_left_and_neither_does_an_unknown_total() -> None:
    watch = Watch()
    assert watch.see(Progress("answering", 1, 40), 1.0).seconds_left(1.0) is None
    assert watch.see(step(5), 9.0).seconds_left(9.0) is None


def test_tokens_a_second_are_the_rows_own_over_the_last_ten_steps() -> None:
    watch = Watch()
    watch.see(step(1, row_tokens=1_000_000), 0.0)
    for number in range(2, 12):
        pace = watch.see(step(number, row_tokens=300, seconds=0.5), 0.0)
    assert pace.tokens_a_second() == 600.0


def test_the_same_work_done_a_second_time_starts_its_own_clock() -> None:
    watch = Watch()
    watch.see(Progress("validating", 0, 10), 0.0)
    watch.see(Progress("validating", 10, 10), 10.0)
    watch.see(Progress("validating", 1, 10), 100.0)
    # 4 units in 4 seconds since then
    assert watch.see(Progress("validating", 5, 10), 104.0).seconds_left(104.0) == 5.0


def test_training_shows_step_loss_speed_memory_and_time_left() -> None:
    watch = Watch()
    watch.see(Progress("training", 0, 88), 0.0)
    watch.see(step(40), 40.0)
    assert live_line(watch.paces["training"], 40.0, 120).plain == (
        # 40 of 88 steps are 13 of 30 cells; 40 steps in 40 seconds leave 48
        "training  ━━━━━━━━━━━━━─────────────────  step 40 of 88  loss 0.412  600 tokens/s  1.2 GB  48 s left"
    )


def test_a_narrow_terminal_loses_the_bar_first_and_then_the_last_facts() -> None:
    watch = Watch()
    watch.see(Progress("training", 0, 88), 0.0)
    pace = watch.see(step(40), 40.0)
    assert live_line(pace, 40.0, 70).plain.startswith("training  step 40 of 88  loss 0.412")
    assert live_line(pace, 40.0, 40).plain == "training  step 40 of 88  loss 0.412"
    assert live_line(pace, 40.0, 10).plain == "training  "


def test_a_terminal_without_unicode_gets_a_bar_of_signs() -> None:
    pace = Pace("scoring base", 0.0, 0, 5, 10)
    assert live_line(pace, 5.0, 43, ascii_only=True).plain == "scoring base  #####-----  5 of 10  5 s left"


def test_an_evaluation_is_one_line_that_says_when_it_is_the_best() -> None:
    text = "step 40  validation loss 0.412  perplexity 1.51  token accuracy 87.0%  best"
    assert evaluation_line(EVALUATION).plain == text


def plain(*events: tuple[float, Event]) -> list[str]:
    """The lines of events at given seconds where there is no terminal."""
    console, clock = Console(file=io.StringIO(), markup=False, highlight=False, width=60), Clock()
    with shown(console, clock) as show:
        for seconds, event in events:
            clock.seconds = seconds
            show(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_work_is_a_line_every_five_seconds() -> None:
    lines = plain(*((float(second), Progress("scoring base", second, 100)) for second in range(12)))
    assert lines == ["scoring base  5 of 100  1 min 35 s left", "scoring base  10 of 100  1 min 30 s left"]


def test_notes_and_evaluations_always_stay_whole_and_are_no_markup() -> None:
    long = "the report is " + "/".join(["folder"] * 20)
    lines = plain(
        (0.0, Note("file", long)),
        (0.1, Note("warning", "rows.jsonl:3: [red]\x1b[31m")),
        (0.2, EVALUATION),
        (0.3, Note("next", "luthier chat runs/x")),
    )
    assert lines == [
        long,
        "warning: rows.jsonl:3: [red]␛[31m",
        evaluation_line(EVALUATION).plain,
        "→ luthier chat runs/x",
    ]


def test_on_a_terminal_the_live_line_comes_back_under_a_line_that_stays_and_is_gone_at_the_end() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=120, _environ={"TERM": "xterm"})
    with shown(console, Clock()) as show:
        show(Progress("training", 0, 88))
        show(step(40))
        show(EVALUATION)
    assert isinstance(console.file, io.StringIO)
    output = console.file.getvalue()
    stays = output.index("step 40  validation loss")
    assert "step 40 of 88" in output[stays:]
    assert output.rindex("\x1b[2K") > output.rindex("step 40 of 88")  # the last thing is that the line is cleared
