"""The tour of a run gone wrong: the mission's own rate for LoRA on the demo's data, found, remedied, measured again."""

from __future__ import annotations

from pathlib import Path

import pytest

from luthier.models import Source
from tests.story.test_packaged_model import EXAMPLE, luthier

RATE = "training_config.hyperparameters.learning_rate"


@pytest.mark.long
def test_the_missions_rate_is_found_too_low_and_remedied_to_meet_the_accuracy_target(
    packaged_model: Source, tmp_path: Path
) -> None:
    luthier(tmp_path, "train", str(EXAMPLE / "run.yaml"), "--set", f"{RATE}=2e-5", "--name", "slow")
    before = luthier(tmp_path, "evaluate", "slow")
    assert {one["metric"]: one["verdict"] for one in before["targets"]}["accuracy"] == "missed"

    first = luthier(tmp_path, "diagnose", "slow")["findings"][0]
    assert (first["symptom"], first["cause"]) == ("underfitting", "rate_too_low")

    found = luthier(tmp_path, "remedy", "slow")
    print(found["why"], found["times"])
    assert found["helped"]
    assert found["times"] <= 4.05
    assert {one["name"]: one["how"] for one in found["signs"]}["accuracy"] == "better"
    assert not [one["name"] for one in found["targets"] if one["how"] == "worse"]
    accuracy = found["after"]["metrics"]["accuracy"]["value"]
    assert accuracy > 0.9, found["after"]["targets"]
    assert (tmp_path / "runs" / "slow-remedy" / "reports" / "remedy.html").is_file()
