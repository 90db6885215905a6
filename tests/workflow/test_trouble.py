"""A run that overfits, by `luthier train --on-trouble` and `luthier diagnose`: said, ended, saved, kept, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

import luthier
from luthier.errors import UserError
from luthier.flow import Diagnosis, Finding, Measure, Note, Remedy
from luthier.models import Source
from luthier.runs import Run
from luthier.workflow.diagnose import diagnose
from luthier.workflow.remedied_training import trained_and_remedied
from luthier.workflow.remedy import remedy
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
    blind = ["data.validation=0.0", "name=none"]
    for on_trouble, overrides in (("panic", ["name=none"]), ("remedy", blind)):
        work = trained_and_remedied([str(by_heart)], overrides=overrides, on_trouble=on_trouble, root=tmp_path)
        with pytest.raises(UserError) as refused:
            worked(work)
        assert refused.value.mistakes[0].where == "--on-trouble"
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_trouble_is_remedied_where_that_is_asked_for(by_heart: Path, tmp_path: Path) -> None:
    work = trained_and_remedied([str(by_heart)], name="ended", on_trouble="remedy", root=tmp_path)
    trained, events = worked(work)
    assert trained.trouble == "overfitting"
    found = trained.remedied
    assert found is not None
    assert found.original == str(trained.folder)
    assert "overfitting" in found.before.symptoms
    in_full = [one for one in found.tried if one.run is not None]
    assert in_full
    assert all(Run.open(Path(one.run)).require_weights().is_dir() for one in in_full if one.run)
    assert 0 < found.times <= found.at_most
    assert any(isinstance(event, Note) and event.text.startswith("ended is put right") for event in events)


def test_what_remedies_of_a_run_cost_that_trouble_ended_is_counted_in_its_whole(by_heart: Path, tmp_path: Path) -> None:
    """200 steps were to be taken: 10 steps are a twentieth, however few were taken before trouble."""
    trained, _ = worked(train([str(by_heart)], name="ended", on_trouble="stop", root=tmp_path))
    short = Remedy("fewer_steps", {"training_config.hyperparameters.max_steps": 10}, "trouble came later")

    def find(run: Run) -> Diagnosis:
        found = Finding("overfitting", 0.99, "small_dataset", "It overfits.", {"x": Measure(1.0)}, (short,))
        return Diagnosis(run.name, (found,) if run.name == "ended" else ())

    found, events = worked(remedy(str(trained.folder), at_most="1x", find=find))
    assert found.times == pytest.approx(10 / 200, rel=0.02)
    assert sum(isinstance(event, Note) and "all its steps" in event.text for event in events) == 1


def test_a_diagnosis_that_cannot_be_kept_is_given_all_the_same(by_heart: Path, tmp_path: Path) -> None:
    settings = ["training_config.hyperparameters.max_steps=6"]
    trained, _ = worked(train([str(by_heart)], name="short", overrides=settings, root=tmp_path))
    (trained.folder / "reports").write_text("in the way", encoding="utf-8")
    diagnosed, events = worked(diagnose("short", root=tmp_path))
    assert diagnosed.run == str(trained.folder)
    assert any(isinstance(event, Note) and "is not kept" in event.text for event in events)
