"""A flipped byte anywhere in a run: refused by name, and what can be gone on with is gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from luthier.errors import UserError
from luthier.flow import Event, Note
from luthier.runs import Run, manifest
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import Trained, train
from tests.crash.survival import assert_same, contents, timeless
from tests.workflow.conftest import worked
from tests.workflow.test_methods import METHODS, runs

__all__ = ["runs"]


@pytest.fixture
def run(runs: dict[str, Trained], memory_folder: Path) -> Run:
    return copied(runs["lora"], memory_folder)


def copied(made: Trained, folder: Path) -> Run:
    """A run of six steps with checkpoints at 3 (the best of an evaluation), 4 and 6, to be damaged."""
    return Run(Path(shutil.copytree(made.folder, folder / made.folder.name)))


def flip(path: Path, place: int) -> None:
    """Turns one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Note) and event.kind == "warning")


def every_flip_is_found(run: Run) -> None:
    newest = run.folder / "checkpoints" / "step-6"
    for path in sorted(path for path in newest.rglob("*") if path.is_file()):
        for place in (0, path.stat().st_size // 2, path.stat().st_size - 1):
            flip(path, place)
            checkpoint, warnings = run.latest_checkpoint()
            assert checkpoint is not None
            if path.name == "manifest.json":  # a byte in a hash: another file is named; in the step's number: none
                assert checkpoint.step in (4, 6)
            else:
                assert (checkpoint.step, len(warnings)) == (4, 1), f"{path.name}, byte {place}"
                assert f"step-6 is damaged and was skipped: {path.name} is not what was written" in warnings[0]
            flip(path, place)
    assert run.latest_checkpoint()[0] == run.checkpoint(6)


@pytest.mark.parametrize("method", METHODS)
def test_a_flipped_byte_in_a_checkpoint_is_found_and_the_one_before_gives_the_same_end(
    method: str, runs: dict[str, Trained], memory_folder: Path
) -> None:
    run = copied(runs[method], memory_folder)
    every_flip_is_found(run)
    flip(run.folder / "checkpoints" / "step-6" / "optimizer.safetensors", -1)
    _, events = worked(train(resume=str(run.folder)))
    assert "checkpoint step-6 is damaged and was skipped: optimizer.safetensors is not what was written" in said(events)
    assert_same(run, Run(runs[method].folder))


def test_without_hashes_a_flipped_byte_is_not_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    there = manifest._facts
    monkeypatch.setattr(manifest, "_facts", lambda path: there(path) | {"sha256": "the same for every file"})
    for step in run.checkpoint_steps():
        manifest.seal(run.folder / "checkpoints" / f"step-{step}", step=step)
    with pytest.raises(AssertionError):
        every_flip_is_found(run)


def test_where_the_best_checkpoint_is_damaged_the_best_of_what_comes_is_taken(run: Run) -> None:
    checkpoints = run.folder / "checkpoints"
    shutil.rmtree(checkpoints / "step-6")
    assert json.loads((checkpoints / "step-4" / "training.json").read_bytes())["best_step"] == 3
    flip(checkpoints / "step-3" / "training.json", 0)
    _, events = worked(train(resume=str(run.folder)))
    assert "the checkpoint is damaged: training.json is not what was written" in said(events)
    assert run.status().best_step == 6
    run.require_weights()


def test_a_damaged_newer_checkpoint_never_pushes_out_a_whole_one(run: Run) -> None:
    flip(run.folder / "checkpoints" / "step-6" / "training.json", 0)
    run.save_checkpoint(5, {"training.json": lambda path: path.touch()})
    assert run.prune_checkpoints(5, keep=1, best=None) == [3, 4, 6]
    assert run.checkpoint_steps() == [5]


def test_damaged_weights_are_refused_by_name_and_made_anew(run: Run, runs: dict[str, Trained]) -> None:
    flip(run.weights / "adapter_model.safetensors", -1)
    with pytest.raises(UserError, match=r"the tuned weights are damaged: adapter_model\.safetensors") as error:
        worked(evaluate(str(run.folder)))
    assert error.value.mistakes[0].remedy == f"luthier train --resume {run.folder} makes them anew"
    worked(train(resume=str(run.folder)))
    assert contents(run.require_weights()) == contents(Run(runs["lora"].folder).weights)


@pytest.mark.parametrize("name", ["settings.yaml", "environment.json"])
def test_a_run_whose_settings_or_environment_changed_does_not_go_on(run: Run, name: str) -> None:
    flip(run.folder / name, -2)
    with pytest.raises(UserError, match=f"the run cannot go on: {name} is not what was written"):
        worked(train(resume=str(run.folder)))


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 1}', b"[]"])
def test_a_broken_status_is_named_and_written_anew_by_going_on(
    run: Run, runs: dict[str, Trained], content: bytes
) -> None:
    status = run.folder / "run.json"
    status.write_bytes(content)
    with pytest.raises(UserError) as error:
        Run.open(run.folder)
    assert error.value.mistakes[0].where == str(status)
    _, events = worked(train(resume=str(run.folder)))
    assert f"{status} " in said(events)
    assert "it was written anew" in said(events)
    assert run.status().state == "done"
    assert timeless(run) == timeless(Run(runs["lora"].folder))


def test_the_status_of_a_later_version_is_left_as_it_is(run: Run) -> None:
    (run.folder / "run.json").write_bytes(b'{"version": 2}')
    with pytest.raises(UserError, match="is of another version than 1"):
        worked(train(resume=str(run.folder)))
    assert (run.folder / "run.json").read_bytes() == b'{"version": 2}'
