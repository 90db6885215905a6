"""`kl_to_base` from the run file to the log: with every method and objective, stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.flow import StepLog
from luthier.models import Source
from luthier.runs.run import Run
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked
from tests.workflow.test_methods import CONFIG, METHODS, overrides, timeless
from tests.workflow.test_preference import pair, write

HELD = f"{CONFIG}.preference_config.kl_to_base=0.5"
LONG = ("lora", "qlora", "prompt_tuning")
FEWER = [pytest.param(method, marks=pytest.mark.long) if method in LONG else method for method in METHODS]


@pytest.mark.parametrize("method", FEWER)
def test_a_held_run_logs_its_distance_and_goes_on_bit_by_bit(method: str, run_file: Path, tmp_path: Path) -> None:
    whole, _ = worked(train([str(run_file)], overrides=overrides(method, HELD), root=tmp_path, name="whole"))
    verb = train([str(run_file)], overrides=overrides(method, HELD), root=tmp_path, name="cut")
    for event in verb:
        if isinstance(event, StepLog) and event.step == 5:
            verb.close()
            break
    worked(train(resume=str(tmp_path / "cut")))
    first, second = Run.open(whole.folder), Run.open(tmp_path / "cut")
    assert [timeless(entry) for entry in first.log()] == [timeless(entry) for entry in second.log()]
    for path in first.weights.glob("*.safetensors"):
        assert (second.weights / path.name).read_bytes() == path.read_bytes()
    distances = [entry.kl_to_base for entry in first.log()]
    assert all(one is not None and one > -1e-4 for one in distances)
    assert (distances[-1] or 0) > 1e-3


def held_less(folder: Path, settings: list[str], files: list[str]) -> tuple[Trained, Trained]:
    """The same run twice: held by next to nothing, and strongly."""
    held = [f"{CONFIG}.preference_config.kl_to_base={weight}" for weight in (1e-9, 30)]
    runs = [
        worked(train(files, overrides=[*settings, one], root=folder, name=f"run-{number}"))[0]
        for number, one in enumerate(held)
    ]
    return runs[0], runs[1]


def last_distance(run: Trained) -> float:
    return Run.open(run.folder).evaluations()[-1].kl_to_base or 0.0


@pytest.mark.parametrize(
    "objective", ["supervised", *(pytest.param(name, marks=pytest.mark.long) for name in ("text", "preference"))]
)
def test_a_strong_hold_keeps_a_run_near_base_under_every_objective(
    objective: str, tiny_model: Source, tmp_path: Path
) -> None:
    made: dict[str, Any] = {
        "supervised": [{"input": f"{number} and the sky is ", "output": "blue"} for number in range(20)],
        "text": [{"text": f"the sky is blue, said {number} of them"} for number in range(20)],
        "preference": [pair(number) for number in range(20)],
    }
    path = write(tmp_path / "rows.jsonl", made[objective])
    settings = [f"model={tiny_model.folder}", f"data.train={path}", f"{CONFIG}.hyperparameters.learning_rate=0.02"]
    settings += [f"{CONFIG}.hyperparameters.precision=float32", f"{CONFIG}.hyperparameters.epochs=4"]
    free, held = held_less(tmp_path, settings, [])
    assert json.loads((free.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])["kl_to_base"] == (
        pytest.approx(0, abs=1e-6)
    )
    assert last_distance(free) > 0.02
    assert last_distance(held) < last_distance(free) / 5
    assert objective in Run.open(free.folder).settings_path.read_text(encoding="utf-8")


def test_a_run_that_is_not_held_says_nothing_of_a_distance(trained: Trained) -> None:
    assert "kl_to_base" not in (trained.folder / "log.jsonl").read_text(encoding="utf-8")
