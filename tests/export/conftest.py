"""Small finished runs of the methods, to be exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.models import Source
from luthier.workflow.train import train
from tests.workflow.conftest import worked, write_rows

RATES = {"full": 0.005, "lora": 0.02}


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Source) -> Callable[[str], Path]:
    """`finished_run("lora")`: the folder of a short run of that method on the 2-layer model, made once. Read only."""
    made: dict[str, Path] = {}
    root = tmp_path_factory.mktemp("finished")
    rows = write_rows(root / "rows.jsonl", 24)

    def make(method: str) -> Path:
        if method not in made:
            overrides = [
                f"model={tiny_model.folder}",
                f"tuning_method={method}",
                "data.validation=0.25",
                "training_config.hyperparameters.epochs=2",
                f"training_config.hyperparameters.learning_rate={RATES.get(method, 0.05)}",
                "training_config.hyperparameters.precision=float32",
                "training_config.lora_config.target_modules=all-linear",
            ]
            made[method] = worked(train([str(rows)], overrides=overrides, root=root / "runs", name=method))[0].folder
        return made[method]

    return make
