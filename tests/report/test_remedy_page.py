"""The page of remedies: says what came of it, draws before and after, and takes text as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from luthier.evaluation.remedied import Attempt, Change, Remedied, State
from luthier.flow import Measure, TargetResult
from luthier.report.remedy import commands, drawn, line, render, short

HOSTILE = "<script>alert(1)</script>\u202e"


def found() -> Remedied:
    """An overfitted run, remedied by the second of three candidates."""
    before = Measure(0.92, 0.80, 1.05, 200)
    after = Measure(0.41, 0.33, 0.50, 200)
    end = Change("loss_at_the_end", before, after, Measure(-0.51, -0.60, -0.42, 200), 0.0005, "better")
    loss = Change(
        "loss",
        Measure(0.52, 0.44, 0.61, 200),
        Measure(0.43, 0.36, 0.51, 200),
        Measure(-0.09, -0.13, -0.05, 200),
        0.001,
        "better",
    )
    accuracy = Change(
        "accuracy",
        Measure(0.84, 0.78, 0.88, 200),
        Measure(0.87, 0.82, 0.91, 200),
        Measure(0.03, -0.01, 0.07, 200),
        0.21,
        "same",
    )
    rank = {"training_config.lora_config.r": 4, "training_config.lora_config.alpha": 8}
    epochs = {"training_config.hyperparameters.epochs": 2, "training_config.hyperparameters.max_steps": None}
    target = TargetResult("accuracy", "> 90%", 0.87, 0.82, 0.91, 200, "missed")
    metrics = {"loss": loss.after, "accuracy": accuracy.after}
    tried = (
        Attempt(
            *("smaller_rank", "overfitting", "less freedom to memorize single rows with", "", rank, 0),
            "worse_when_short",
            "in a short run it did worse than the settings as they were, beyond noise",
            short=replace(end, before=after, after=before, how="worse"),
            times=0.5,
            seconds=31.0,
        ),
        Attempt(
            *("fewer_epochs", "overfitting", "validation was best after 2 of 12 epochs", "Prechelt 1998", epochs, 0),
            "helped",
            "loss at the end and loss got better beyond noise, and no target got worse",
            run="runs/tickets-remedy/1-fewer-epochs",
            signs=(end, loss),
            targets=(accuracy, loss),
            times=0.17,
            seconds=12.0,
        ),
        Attempt("leave_out_rows", "overfitting", HOSTILE, "", {}, 12, "not_tried", "fewer epochs helped"),
    )
    return Remedied(
        original="runs/tickets",
        helped=True,
        why="fewer epochs helped: loss at the end and loss got better beyond noise; still missed: accuracy",
        run="runs/tickets-remedy/1-fewer-epochs",
        before=State("runs/tickets", {"overfitting": 0.9996, "duplicates": 0.993}, metrics, (target,), 12000, 71.0),
        after=State("runs/tickets-remedy/1-fewer-epochs", {}, metrics, (target,), 2000, 12.0),
        signs=(end, loss),
        targets=(accuracy, loss),
        tried=tried,
        rows=200,
        data=f"test.jsonl {HOSTILE}",
        at_most=4.0,
        times=1.17,
        seconds=74.0,
        folder="runs/tickets-remedy",
        symptom="overfitting",
        cause="small_dataset",
        says="Validation was best at step 9, at 0.5 nats a token, and has risen to 0.92 since. Few rows were gone "
        "through so often that the model learned them by heart.",
        step=9,
        curves={
            "before": [(6 * n, 1.8 / (n + 1) ** 0.8 + 0.006 * n * n) for n in range(1, 10)],
            "after": [(3 * n, 1.9 / (n + 1) ** 0.9) for n in range(1, 5)],
        },
    )


def test_it_says_what_helped_what_harmed_and_what_is_still_missed() -> None:
    page = render(found())
    for words in (
        "<h1>Remedied</h1>",
        "Overfitting: small dataset",
        "learned them by heart",
        "overfitting from step 9",
        "worse when short",
        "still missed: accuracy",
        '<span class="nowrap">0.920</span> <span class="soft small nowrap">[0.800, 1.050]</span>',
        '<span class="nowrap">−0.510</span> <span class="soft small nowrap">[−0.600, −0.420]</span>',
        '<span class="nowrap">+3.0 points</span> <span class="soft small nowrap">[−1.0, 7.0]</span>',
        "no more than noise",
        "training_config.hyperparameters.epochs: <bdi>2</bdi>",
        "training_config.hyperparameters.max_steps: <bdi>null</bdi>",
        "rows left out: <bdi>12</bdi>",
        "duplicates (99.3% sure)",
        "luthier chat runs/tickets-remedy/1-fewer-epochs",
    ):
        assert words in page, words


def test_text_of_data_is_never_markup_and_nothing_is_fetched() -> None:
    page = render(found())
    assert "<script" not in page
    # what turns the direction of text stays inside its own element
    assert page.count("\u202e") == page.count("&lt;script&gt;alert(1)&lt;/script&gt;\u202e</bdi>") == 2
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "default-src &#39;none&#39;" in page


def test_a_run_that_nothing_helped_and_a_healthy_one_say_so() -> None:
    none = replace(found(), helped=False, run=None, why="of 2 remedies run in full none helped beyond noise")
    page = render(none)
    assert "<h1>No remedy helped</h1>" in page
    assert "the nearest of the runs that did not help" in page
    assert [one.text for one in commands(none)] == ["luthier remedy runs/tickets --at-most 8x"]
    healthy = replace(none, symptom="", tried=(), signs=(), targets=(), after=None, why="nothing to remedy")
    assert "<h1>Nothing to remedy</h1>" in render(healthy)
    assert commands(healthy) == []


def test_curves_are_placed_and_their_moment_is_marked() -> None:
    curves = found().curves
    made = drawn(found())
    assert made is not None
    # 54 steps across: step 9 is a sixth of the way
    assert made.moment is not None
    assert made.moment.at == pytest.approx(100 / 6, abs=0.01)
    assert len(made.lines["before"]) == len(curves["before"])
    highest = min(range(9), key=lambda at: made.lines["before"][at][1])
    assert curves["before"][highest][1] == max(value for _, value in curves["before"])
    assert drawn(replace(found(), curves={"before": [], "after": [(1.0, float("nan"))]})) is None


def test_what_was_not_measured_gives_its_reason() -> None:
    nothing = Measure(None, reason="the rows hold other tokens")
    one = Change("loss_at_the_end", Measure(0.5), Measure(0.4), nothing, None, "not_measured")
    assert line(one).difference == "the rows hold other tokens"
    assert line(one).probability == "no test"
    assert short(replace(found().tried[0], short=one)) == "the rows hold other tokens"
