"""Overfitting is seen where validation turns up, and where it rests while the training rows are learned by heart."""

from __future__ import annotations

from luthier import diagnosis
from luthier.diagnosis.made import Course, falling, made


def found(train: Course, validation: Course) -> list[str]:
    seen = made(train, validation, rows=120, epochs=8)
    return [finding.symptom for finding in diagnosis.diagnose(seen, only=["overfitting"]).findings]


def resting(done: float) -> float:
    """A validation loss that was at its best after four tenths of the run, and hardly rose since."""
    return 0.6 + 1.8 * (1 - done / 0.4) if done < 0.4 else 0.6 + 0.01 * (done - 0.4)


def test_training_rows_known_by_heart_under_a_validation_that_rests_are_overfitting() -> None:
    assert found(falling(2.4, 0.01, 9), resting) == ["overfitting"]


def test_training_rows_that_are_not_known_by_heart_are_none() -> None:
    assert found(falling(2.4, 0.5, 9), resting) == []


def test_validation_rows_that_are_known_as_well_are_none() -> None:
    def known(done: float) -> float:
        return 0.02 + 2.4 * (1 - done / 0.4) if done < 0.4 else 0.02 + 0.001 * (done - 0.4)

    assert found(falling(2.4, 0.01, 9), known) == []
