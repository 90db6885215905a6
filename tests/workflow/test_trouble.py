"""A run that overfits, by `luthier train --on-trouble` and `luthier diagnose`: said, ended, saved, kept, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

import luthier
from luthier.errors import UserError
from luthier.flow import Note
from luthier.models import Source
from luthier.runs import Run
from luthier.workflow.diagnose import diagnose
from luthier.workflow.train import train
from tests.workflow.conftest import COLOURS, worked


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory: pytest.TempPathFactory, tiny_model: Source) -> Path:
    """A run file for rows whose answers are drawn by lot: there is nothing to learn but the rows themselves."""
    folder = tmp_path_factory.mktemp("lots")
    generator = np.random.default_rng(3)
    colours = list(COLOURS.values())
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(100):
            answer = colours[int(generator.integers(4))]
            file.write(json.dumps({"input": f"which colour has lot {number * 7919}?", "output": f" {answer}"}) + "\n")
    (folder / "run.yaml").write_text(
        f"model: {tiny_model.folder}\n"
        "tuning_method: full\n"
        "data: {train: rows.jsonl, validation: 0.5}\n"
        "training_config:\n"
        "  hyperparameters: {learning_rate: 0.01, batch_size: 10, epochs: 40, precision: float32}\n",
        encoding="utf-8",
    )
    return folder / "run.yaml"


def test_trouble_ends_the_run_evaluated_and_saved(by_heart: Path, tmp_path: Path) -> None:
    trained, events = worked(train([str(by_heart)], name="stopped", on_trouble="stop", root=tmp_path))
    warnings = [event.text for event in events if isinstance(event, Note) and event.kind == "warning"]
    said = [text for text in warnings if text.startswith("overfitting at step")]
    assert len(said) == 1
    assert any("on_trouble: overfitting" in text for text in warnings)
    run = Run.open(trained.folder)
    assert trained.steps < 200
    assert trained.trouble == "overfitting"
    assert run.status().state == "done"
    assert run.evaluations()[-1].step == trained.steps
    assert trained.steps in run.checkpoint_steps()
    assert run.require_weights().is_dir()
    assert run.status().best_step is not None
    assert run.status().best_step < trained.steps  # type: ignore[operator]

    diagnosed, events = worked(diagnose("stopped", root=tmp_path))
    assert diagnosed.findings[0].symptom == "overfitting"
    assert diagnosed.findings[0].cause == "small_dataset"
    assert orjson.loads((trained.folder / "reports" / "diagnosis.json").read_bytes())["findings"][0]["says"]
    assert 'id="diagnosis"' in run.page.read_text(encoding="utf-8")
    assert luthier.diagnose("stopped", root=tmp_path) == diagnosed


def test_what_cannot_be_done_about_trouble_is_a_mistake_before_anything_is_written(
    by_heart: Path, tmp_path: Path
) -> None:
    for on_trouble in ("remedy", "panic"):
        with pytest.raises(UserError, match="--on-trouble"):
            worked(train([str(by_heart)], name="none", on_trouble=on_trouble, root=tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_diagnosis_that_cannot_be_kept_is_given_all_the_same(by_heart: Path, tmp_path: Path) -> None:
    settings = ["training_config.hyperparameters.max_steps=6"]
    trained, _ = worked(train([str(by_heart)], name="short", overrides=settings, root=tmp_path))
    (trained.folder / "reports").write_text("in the way", encoding="utf-8")
    diagnosed, events = worked(diagnose("short", root=tmp_path))
    assert diagnosed.run == str(trained.folder)
    assert any(isinstance(event, Note) and "is not kept" in event.text for event in events)
