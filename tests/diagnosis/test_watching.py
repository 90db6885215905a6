"""Trouble while a run trains: said once, and not before two looks found it; healthy runs hear nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from luthier import diagnosis
from luthier.diagnosis.made import falling, healthy, made
from luthier.diagnosis.seen import Seen
from luthier.diagnosis.symptoms import broken_loss, overfitting, rate_too_high
from luthier.diagnosis.watching import Watch, stops
from luthier.flow import EvaluationLog, Finding, StepLog


def in_order(seen: Seen) -> list[StepLog | EvaluationLog]:
    entries: list[StepLog | EvaluationLog] = [*seen.steps, *seen.evaluations]
    return sorted(entries, key=lambda entry: entry.step)


def begun(seen: Seen) -> Seen:
    """What is known of the run before its first step."""
    return replace(seen, steps=(), evaluations=(), status=None)


def heard(seen: Seen) -> Iterator[tuple[int, Finding]]:
    watch = Watch(begun(seen))
    for entry in in_order(seen):
        for finding in watch.add(entry):
            yield entry.step, finding


def test_overfitting_is_said_once_and_before_the_end() -> None:
    seen = overfitting.sick()
    said = [(step, finding) for step, finding in heard(seen) if finding.symptom == "overfitting"]
    assert len(said) == 1
    step, finding = said[0]
    assert step < seen.steps[-1].step * 0.8
    assert finding.step is not None
    assert finding.step < step
    assert stops(finding)


def test_an_estimate_is_said_at_the_second_look() -> None:
    seen = overfitting.sick()
    watch, looks = Watch(begun(seen)), []
    for entry in in_order(seen):
        found = watch.add(entry)
        if isinstance(entry, EvaluationLog):
            looks.append({finding.symptom for finding in found})
    first = next(at for at, found in enumerate(looks) if "overfitting" in found)
    at_look = seen.evaluations[first - 1].step
    until = replace(
        seen,
        evaluations=seen.evaluations[:first],
        steps=[step for step in seen.steps if step.step <= at_look],
    )
    assert [finding.symptom for finding in diagnosis.diagnose(until, ["overfitting"]).findings] == ["overfitting"]
    earlier = Watch(begun(seen))
    alone = replace(seen, evaluations=seen.evaluations[:first])  # the look before found it and was silent
    assert not [
        finding for entry in in_order(alone) for finding in earlier.add(entry) if finding.symptom == "overfitting"
    ]


def test_a_rate_too_high_is_heard_without_validation() -> None:
    seen = replace(rate_too_high.sick(), evaluations=())
    assert "rate_too_high" in {finding.symptom for _, finding in heard(seen)}


def test_a_step_that_was_not_taken_is_said_when_there_are_enough() -> None:
    seen = broken_loss.sick()
    watch = Watch(replace(begun(seen), status=seen.status))
    said = [finding.symptom for entry in in_order(seen) for finding in watch.add(entry)]
    assert said == ["broken_loss"]


def test_healthy_runs_hear_nothing() -> None:
    for noise in (0.05, 0.15, 0.3):
        seen = made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), step_noise=noise)
        assert list(heard(seen)) == []
    assert list(heard(healthy())) == []


def test_a_run_that_goes_on_remembers_what_it_had() -> None:
    seen = overfitting.sick()
    entries = in_order(seen)
    half = len(entries) * 6 // 10
    watch = Watch(begun(seen), entries[:half])
    said = [finding.symptom for entry in entries[half:] for finding in watch.add(entry)]
    assert "overfitting" in said
