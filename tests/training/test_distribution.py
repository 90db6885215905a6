"""Processes that train together do what one process does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from luthier.training.distribution import World
from tests.engine.test_exactness import random_rows
from tests.workflow.conftest import run_file as run_file
from tests.workflow.conftest import worked
from tests.workflow.test_preference import pair_file as pair_file

SETTINGS = [
    "training_config.hyperparameters.max_steps=5",
    "training_config.evaluation.eval_steps=2",
    "training_config.evaluation.save_steps=2",
    "training_config.lora_config.dropout=0.0",
]


def together(processes: int, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`luthier train WORDS` in so many processes, in a folder."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "luthier", "train"]
    return subprocess.run(
        [sys.executable, "-m", *launcher, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_every_row_of_a_step_is_some_process_own_and_no_other_one_s(size: int) -> None:
    rows = random_rows(0)
    shares = [World(rank, size).share(rows) for rank in range(size)]
    assert sorted(index for share in shares for index in share) == list(range(len(rows)))
    if size == 2:
        first, second = (sum(len(rows[index].tokens) for index in share) for share in shares)
        assert 0.6 < first / second < 1.7


def typed(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def pair(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The same run in one process and in two, and what the two printed."""
    from luthier.workflow.train import train

    folder = tmp_path_factory.mktemp("together")
    worked(train([str(run_file)], overrides=SETTINGS, root=folder / "runs", name="one"))
    ended = together(2, folder, str(run_file), *typed(*SETTINGS), "--name", "two", "--json")
    assert ended.returncode == 0, ended.stderr
    return folder / "runs" / "one", folder / "runs" / "two", ended.stdout


def test_two_processes_train_as_one_does(pair: tuple[Path, Path, str]) -> None:
    one, two, _ = pair
    alone, shared = (load_file(run / "weights" / "adapter_model.safetensors") for run in (one, two))
    assert alone.keys() == shared.keys()
    far = torch.stack([(alone[name] - shared[name]).norm() for name in alone]).norm()
    assert 0 < far < 1e-5 * torch.stack([weight.norm() for weight in alone.values()]).norm()
    for mine, theirs in zip(log_of(one), log_of(two), strict=True):
        for name in ("step", "train_loss", "grad_norm", "validation_loss", "trained_tokens", "row_tokens"):
            assert theirs.get(name, 0) == pytest.approx(mine.get(name, 0), rel=1e-5)
        for pairs in ("row_losses", "train_losses"):
            losses = [[loss for loss, _ in entry.get(pairs, [])] for entry in (mine, theirs)]
            assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_hold_a_model_near_base_as_one_does(method: str, run_file: Path, tmp_path: Path) -> None:
    from luthier.workflow.train import train

    settings = [*SETTINGS, f"tuning_method={method}", "training_config.preference_config.kl_to_base=3"]
    worked(train([str(run_file)], overrides=settings, root=tmp_path / "runs", name="one"))
    ended = together(2, tmp_path, str(run_file), *typed(*settings), "--name", "two", "--json")
    assert ended.returncode == 0, ended.stderr
    one, two = (log_of(tmp_path / "runs" / name) for name in ("one", "two"))
    for mine, theirs in zip(one, two, strict=True):
        for name in ("step", "train_loss", "grad_norm", "validation_loss"):
            assert theirs.get(name, 0) == pytest.approx(mine.get(name, 0), rel=1e-4)
        assert theirs["kl_to_base"] == pytest.approx(mine["kl_to_base"], rel=1e-3, abs=1e-6)
    assert one[-1]["kl_to_base"] > 1e-3


def test_only_the_first_process_speaks(pair: tuple[Path, Path, str]) -> None:
    assert json.loads(pair[2])["run"] == "two"


def differ(one: Path, two: Path) -> float:
    """How far the weights of two runs lie apart, as a share of their own size."""
    first, second = (load_file(run / "weights" / "adapter_model.safetensors") for run in (one, two))
    assert first.keys() == second.keys()
    apart, size = (
        float(torch.stack([weight.norm() for weight in weights]).norm())
        for weights in ([first[name] - second[name] for name in first], list(first.values()))
    )
    return apart / size


@pytest.mark.long
def test_two_processes_learn_what_is_preferred_as_one_does(pair_file: Path, tmp_path: Path) -> None:
    """A pair's two answers are one process's own, and so is its reference; the last step has an odd number of pairs."""
    settings = ["training_config.lora_config.dropout=0.0", "data.limit=39", "training_config.evaluation.eval_steps=6"]
    from luthier.workflow.train import train

    worked(train([str(pair_file)], overrides=settings, root=tmp_path / "runs", name="one"))
    ended = together(2, tmp_path, str(pair_file), *typed(*settings), "--name", "two", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["run"] == "two"
    one, two = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    assert 0 < differ(one, two) < 1e-5
    mine, theirs = log_of(one), log_of(two)
    assert len(mine) == len(theirs)
    assert any(entry["kind"] == "evaluation" for entry in mine)
    compared = 0
    for alone, shared in zip(mine, theirs, strict=True):
        for name in (
            "step",
            "train_loss",
            "grad_norm",
            "validation_loss",
            "perplexity",
            "trained_tokens",
            "row_tokens",
        ):
            assert shared.get(name, 0) == pytest.approx(alone.get(name, 0), rel=1e-5, abs=1e-7), name
        margins = sides_of(alone, "preference_margin")
        assert sides_of(shared, "preference_margin") == pytest.approx(margins, rel=1e-5, abs=1e-6)
        if abs(margins[0]) > 1e-5:  # before the first step every margin is 0, and rounding says on which side
            accuracies = sides_of(alone, "preference_accuracy")
            assert sides_of(shared, "preference_accuracy") == pytest.approx(accuracies)
            compared += 1
    assert compared >= len(mine) - 1
    references = [load_file(run / "reference.safetensors") for run in (one, two)]
    assert references[0].keys() == references[1].keys()
    for name, values in references[0].items():
        assert torch.allclose(values, references[1][name], rtol=1e-6, atol=1e-6)


def sides_of(entry: dict[str, Any], name: str) -> list[float]:
    """What a line of the log says of pairs under this name: a number in a step, with its interval in an evaluation."""
    measure = entry["preference"][name]
    return [measure[end] for end in ("value", "low", "high", "n")] if isinstance(measure, dict) else [measure]


@pytest.mark.long
def test_a_run_of_two_goes_on_bit_by_bit_with_dropout_and_refuses_to_go_on_with_one(
    run_file: Path, tmp_path: Path
) -> None:
    settings = [*SETTINGS[:-1], "training_config.lora_config.dropout=0.2"]
    assert together(2, tmp_path, str(run_file), *typed(*settings), "--name", "whole").returncode == 0
    whole, cut = tmp_path / "runs" / "whole", tmp_path / "runs" / "cut"
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints" / "step-5")
    shutil.rmtree(cut / "checkpoints" / "step-4")
    alone = subprocess.run(
        [sys.executable, "-m", "luthier", "train", "--resume", str(cut)], capture_output=True, text=True, check=False
    )
    assert alone.returncode == 2
    assert "torchrun --nproc-per-node 2" in alone.stderr
    ended = together(2, tmp_path, "--resume", str(cut))
    assert ended.returncode == 0, ended.stderr
    first, second = ((run / "weights" / "adapter_model.safetensors").read_bytes() for run in (whole, cut))
    assert first == second


@pytest.mark.long
def test_processes_end_with_words_when_one_of_them_ends(run_file: Path, tmp_path: Path) -> None:
    ended = together(2, tmp_path, str(run_file), "--set", "training_config.lora_config.target_modules=[nowhere]")
    assert ended.returncode != 0
    assert "nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr.partition("ChildFailedError")[0].rpartition("torch/distributed/run.py")[0]
