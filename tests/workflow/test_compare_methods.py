"""`compare FILE`: what it refuses, that the same is found again, the steps of a budget, and two methods in full."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.runs.comparison import ComparisonFolder, comparisons
from luthier.runs.run import Run
from luthier.workflow.comparison import comparison
from luthier.workflow.one_method import Budget, Job, search
from tests.workflow.conftest import worked

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"minutes": 0.0}, "0 minutes are no budget"),
        ({"tokens": -5}, "-5 tokens are no budget"),
        ({"minutes": 1.0, "tokens": 5}, "the budget is named twice"),
        ({"seeds": [0, 0]}, "seeds are whole numbers from 0 on, each once"),
        ({"rates": [0.0]}, "tried times a number over 0"),
        ({"methods": ["lora", "lorra"]}, "'lorra' is no tuning method"),
        ({"methods": ["lora"]}, "two methods or settings"),
        ({"methods": ["lora", "lora"]}, "two methods or settings"),
        ({"variants": ["training_config.lora_config.rank=3", "seed=1"]}, "rank"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_made(
    asked: dict[str, Any], said: str, run_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        worked(comparison([str(run_file)], root=tmp_path / "runs", **asked))
    assert not (tmp_path / "runs").exists()


def test_runs_take_no_settings_and_files_and_runs_do_not_mix(run_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="finished runs take no settings"):
        worked(comparison(["runs/one", "runs/other"], minutes=1.0, root=tmp_path))
    with pytest.raises(UserError, match="is no file, though others are"):
        worked(comparison([str(run_file), "runs/other"], root=tmp_path))
    with pytest.raises(UserError, match="not a run"):
        worked(comparison(["one", "other"], root=tmp_path))


def test_the_same_plan_is_found_again_and_another_one_gets_the_next_number(tmp_path: Path) -> None:
    first = ComparisonFolder.find(tmp_path, "my rows", {"seeds": (0, 1)})
    assert first.folder.name == "my-rows-methods"
    assert ComparisonFolder.find(tmp_path, "my rows", {"seeds": (0, 1)}) == first
    assert ComparisonFolder.find(tmp_path, "my rows", {"seeds": (0,)}).folder.name == "my-rows-methods-2"
    with pytest.raises(UserError, match="begun with other seeds"):
        ComparisonFolder.find(tmp_path, "my rows", {"seeds": (2,)}, "my-rows-methods")
    with pytest.raises(UserError, match="cannot name a comparison"):
        ComparisonFolder.find(tmp_path, "my rows", {}, "../elsewhere")
    shutil.rmtree(first.folder / "search", ignore_errors=True)
    first.keep_search("lora", {"rate": 1e-4})
    assert first.searches() == {"lora": {"rate": 1e-4}}
    with first.lock(), pytest.raises(UserError, match="another process is at this comparison"), first.lock():
        pass


def test_a_search_pays_for_itself_and_leaves_the_rest_of_the_budget(run_file: Path, tmp_path: Path) -> None:
    """36 rows in batches of 4, 9 steps an epoch: some 14 trained tokens a step."""
    settings = ("tuning_method=lora", "training_config.hyperparameters.learning_rate=auto", "seed=0")
    job = Job((str(run_file),), None, settings, "lora", str(tmp_path))
    found, _ = worked(search(job, [1.0, 10.0], Budget(tokens=1400), 2))
    rows = Run(tmp_path / "lora-timed").read_rows()
    a_step = rows["trained_tokens"] / 9
    limit = 1400 / a_step
    assert (found.train_rows, found.epoch_steps) == (36, 9)
    tried = max(5, int(limit / 10))
    assert [len(Run(tmp_path / f"lora-rate-{number}").steps()) for number in (1, 2)] == [tried, tried]
    assert found.steps == int(limit - (6 + 2 * tried) / 2)
    losses = dict(found.rates)
    assert found.rate == min(losses, key=lambda rate: losses[rate] or 99.0)
    own, higher = losses
    assert higher == pytest.approx(10 * own, rel=0.01)


def test_a_written_rate_is_kept_and_a_small_budget_is_not_searched_away(run_file: Path, tmp_path: Path) -> None:
    job = Job((str(run_file),), None, ("tuning_method=lora",), "written", str(tmp_path))
    found, _ = worked(search(job, [1.0, 3.0], Budget(), 1))
    assert (found.rates, found.rate, found.steps) == ((), None, None)
    assert "the settings name the learning rate" in found.why
    small = Job(
        job.files, None, (*job.overrides, "training_config.hyperparameters.learning_rate=auto"), "s", str(tmp_path)
    )
    found, _ = worked(search(small, [1.0, 3.0], Budget(tokens=60), 1))
    assert "too small" in found.why
    assert found.steps is not None


@pytest.mark.long
def test_two_methods_over_two_seeds_go_on_after_a_kill_and_come_out_as_one_table(
    run_file: Path, tmp_path: Path
) -> None:
    words = ["compare", str(run_file), "--methods", "lora,prompt_tuning", "--tokens", "400", "--seeds", "0,1", "--json"]
    words += ["--set", "training_config.hyperparameters.learning_rate=auto", "--name", "both"]
    command = [sys.executable, "-m", "luthier", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    folder = tmp_path / "runs" / "both"
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as one:
        while one.poll() is None and not (folder / "lora-seed-0" / "log.jsonl").is_file():
            time.sleep(0.05)
        one.send_signal(signal.SIGTERM)
        one.communicate()
    assert one.returncode == 143
    searched = (folder / "searches.json").read_bytes()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "searches.json").read_bytes() == searched
    said = json.loads(done.stdout)
    kept = json.loads((folder / "reports" / "comparison.json").read_text(encoding="utf-8"))
    assert {name: said[name] for name in ("best", "seeds", "budget")} == {
        name: kept[name] for name in ("best", "seeds", "budget")
    }
    assert [one["tuning_method"] for one in said["methods"]] == ["lora", "prompt_tuning"]
    for method in said["methods"]:
        assert set(method) >= {"tuning_method", "trainable_share", "peak_memory_bytes", "seconds", "metrics"}
        runs = [Run.open(tmp_path / path) for path in method["runs"]]
        assert [run.folder.name for run in runs] == [f"{method['run']}-seed-{seed}" for seed in (0, 1)]
        losses = [run.read_report().metrics["loss"].value for run in runs]
        assert method["metrics"]["loss"]["details"]["seeds"] == losses
        assert method["peak_memory_bytes"] == max(run.steps()[-1].memory_bytes for run in runs)
        assert method["metrics"]["forgetting"]["value"] is not None
        assert method["best_for"]
        assert len({run.steps()[-1].step for run in runs}) == 1
    assert said["front"]["seconds"]
    assert not (folder / "search").exists()
    assert [kept.run.folder for kept in comparisons(tmp_path / "runs")] == [folder]
