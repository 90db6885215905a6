"""Sick steps and short memory in a whole run: what the user is told, what stands in the run, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.engine import memory
from luthier.errors import UserError
from luthier.flow import Event, Note, StepLog
from luthier.runs.run import Run
from luthier.workflow import train as workflow
from luthier.workflow.opened_run import open_run
from luthier.workflow.train import train
from tests.engine.test_out_of_memory import too_much
from tests.workflow.conftest import worked

SHORT = ["training_config.hyperparameters.max_steps=6", "training_config.evaluation.save_steps=2"]


def test_a_sick_step_names_its_rows_says_what_to_type_and_leaves_the_state_before(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[Any] = []
    own = workflow._get_ready

    def kept(*given: Any) -> Any:
        ready = yield from own(*given)
        broken.append(ready.tuned.model)
        return ready

    monkeypatch.setattr(workflow, "_get_ready", kept)

    def trained_until_it_breaks() -> None:
        for event in train([str(run_file)], overrides=SHORT, root=tmp_path, name="sick"):
            if isinstance(event, StepLog) and event.step == 3:
                with torch.no_grad():
                    broken[0].get_output_embeddings().weight.fill_(torch.nan)

    with pytest.raises(UserError) as caught:
        trained_until_it_breaks()
    (fault,) = caught.value.mistakes
    assert "step 4 is not taken: its loss is nan" in fault.message
    places = fault.where.split(", ")
    assert len(places) == 4
    assert all(place.partition(":")[0].endswith("rows.jsonl") for place in places)
    run = Run.open(tmp_path / "sick")
    assert f"luthier train {run.settings_path} --name sick-2 --set " in fault.remedy
    assert "training_config.hyperparameters.learning_rate=0.0067" in fault.remedy
    assert (run.status().state, run.status().last_step) == ("failed", 3)
    assert run.checkpoint_steps()[-1] == 3
    steps = run.steps()
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert [bool(step.skipped) for step in steps] == [False, False, False, True]

    monkeypatch.undo()
    worked(train(resume=str(run.folder)))
    whole, _ = worked(train([str(run_file)], overrides=SHORT, root=tmp_path, name="whole"))
    file = "adapter_model.safetensors"
    assert (run.weights / file).read_bytes() == (whole.folder / "weights" / file).read_bytes()
    assert [step.step for step in run.steps()] == [1, 2, 3, 4, 5, 6]


def test_a_run_that_goes_on_keeps_its_passes_however_much_memory_is_free(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 0)
    verb = train([str(run_file)], overrides=SHORT, root=tmp_path, name="cut")
    notes: list[Event] = []
    for event in verb:
        notes.append(event)
        if isinstance(event, StepLog) and event.step == 4:
            verb.close()
            break
    assert any(isinstance(note, Note) and "to save memory" in note.text for note in notes)
    run = Run.open(tmp_path / "cut")
    first = json.loads((run.folder / "passes.json").read_bytes())
    assert first["passes"][0]["checkpointing"] is True
    assert first["passes"][0]["tokens"] < 1024

    whole, _ = worked(train([str(run_file)], overrides=SHORT, root=tmp_path, name="whole"))
    monkeypatch.undo()
    assert memory.available_bytes(torch.device("cpu")) > 2**20
    worked(train(resume=str(run.folder)))
    assert json.loads((run.folder / "passes.json").read_bytes()) == first
    computed = [step.computed_tokens for step in run.steps()]
    assert computed == [step.computed_tokens for step in Run.open(whole.folder).steps()]
    file = "adapter_model.safetensors"
    assert (run.weights / file).read_bytes() == (whole.folder / "weights" / file).read_bytes()

    opened, _ = worked(open_run(str(run.folder), tmp_path))
    engine = opened.tuned(opened.open_base())
    assert engine.tokens_a_scoring_pass == first["passes"][0]["scoring_tokens"] < 4096


def test_a_new_layout_stands_in_the_log_and_in_the_run(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []
    own = memory.Passes.put_on

    def narrow(passes: memory.Passes, engine: Any) -> Any:
        if passes.tokens > 300 and refused.count(passes.tokens) == 0:
            refused.append(passes.tokens)
            too_much()
        return own(passes, engine)

    monkeypatch.setattr(memory.Passes, "put_on", narrow)
    done, events = worked(train([str(run_file)], overrides=SHORT, root=tmp_path, name="tight"))
    run = Run.open(done.folder)
    assert refused == [1024, 512]
    assert [step.relaid for step in run.steps()] == [True, False, False, False, False, False]
    assert [(one["from_step"], one["tokens"]) for one in run.read_passes()["passes"]] == [(0, 1024), (1, 256)]
    warned = [event.text for event in events if isinstance(event, Note) and event.kind == "warning"]
    assert sum("memory ran out at step 1: from here on 256 tokens a pass" in text for text in warned) == 1
