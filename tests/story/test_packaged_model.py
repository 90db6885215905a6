"""The packaged model through the command line: a short run always, the whole demo in `make test-all`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from luthier.models import Source

EXAMPLE = Path(str(files("luthier.examples") / "support_desk"))


def luthier(folder: Path, *arguments: str) -> dict[str, Any]:
    """A command's JSON; its messages show when the test fails."""
    done = subprocess.run(
        [sys.executable, "-m", "luthier", *arguments, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
    )
    print(done.stderr)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["version"] == 1
    return found


def test_a_minute_of_training_moves_the_packaged_model(packaged_model: Source, tmp_path: Path) -> None:
    lines = (EXAMPLE / "test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join(lines[:12]), encoding="utf-8")
    settings = ("training_config.hyperparameters.epochs=1", "data.limit=96", "data.validation=0.1")
    overrides = [part for setting in settings for part in ("--set", setting)]
    made = luthier(tmp_path, "train", str(EXAMPLE / "run.yaml"), *overrides, "--name", "minute")
    assert made["steps"] == 6
    log = [json.loads(line) for line in (tmp_path / "runs/minute/log.jsonl").read_text().splitlines()]
    steps = [entry for entry in log if entry["kind"] == "step"]
    assert steps[-1]["train_loss"] < steps[0]["train_loss"] / 2
    assert all(step["computed_tokens"] < step["row_tokens"] for step in steps)

    report = luthier(tmp_path, "evaluate", "minute", "--data", "few.jsonl")
    assert report["metrics"]["loss"]["value"] < report["base"]["loss"]["value"] / 2
    assert report["metrics"]["accuracy"]["n"] == 12
    answer = luthier(tmp_path, "chat", "minute", "--prompt", "Where is BH-12345?")["answer"]
    assert isinstance(answer, str)


@pytest.mark.long
def test_the_demo_passes_where_the_untouched_model_fails(packaged_model: Source, tmp_path: Path) -> None:
    started = time.monotonic()
    report = luthier(tmp_path, "demo")["evaluation"]
    print(f"{time.monotonic() - started:.0f} seconds")
    assert report["rows"] >= 100
    assert report["base"]["accuracy"]["value"] < 0.3
    assert report["metrics"]["accuracy"]["value"] >= 0.9
    verdicts = {target["metric"]: target["verdict"] for target in report["targets"]}
    assert verdicts["loss"] == verdicts["perplexity"] == "met"
