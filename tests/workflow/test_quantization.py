"""What four bits did to base, measured beside its plain weights before any tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from luthier import models
from luthier.evaluation.general import general
from luthier.flow import Note, Report, result_of
from luthier.runs.run import Run
from luthier.workflow import forgetting
from luthier.workflow.evaluate import evaluate
from luthier.workflow.opened_run import Opened, open_run
from luthier.workflow.train import train
from tests.workflow.conftest import worked

HYPER = "training_config.hyperparameters"
SHORT = (f"{HYPER}.max_steps=3", f"{HYPER}.precision=float32")


def evaluated(run_file: Path, root: Path, method: str) -> tuple[Report, list[Any]]:
    made, _ = worked(train([str(run_file)], overrides=[f"tuning_method={method}", *SHORT], name=method, root=root))
    return worked(evaluate(str(made.folder)))


def loss_of(model: Any, opened: Opened) -> float:
    """Nats a token on the general set, by transformers alone, each passage for itself."""
    nats, tokens = 0.0, 0
    for row in general(opened.base.tokenizer, opened.base.eos, opened.base.context_length).rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(row.tokens[None].astype("int64"))).logits[0, :-1].double()
        picked = logits.log_softmax(-1).gather(1, torch.tensor(row.tokens[1:, None].astype("int64")))[:, 0]
        trained = torch.tensor(row.weights[1:] > 0)
        nats -= float(picked[trained].sum())
        tokens += int(trained.sum())
    return nats / tokens


def test_what_four_bits_cost_is_what_transformers_measures(run_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="qlora needs bitsandbytes")
    report, _ = evaluated(run_file, tmp_path, "qlora")
    opened = result_of(open_run("qlora", tmp_path))
    plain = loss_of(models.load_model(opened.base.source, torch.float32).eval(), opened)
    packed = loss_of(opened.open_base().eval(), opened)
    found = report.quantization
    assert abs(packed - plain) > 1e-4
    assert found["plain"].value == pytest.approx(plain, abs=2e-5)
    assert found["quantized"].value == pytest.approx(packed, abs=2e-5)
    assert found["rise"].value == pytest.approx(packed - plain, abs=2e-5)
    assert Run.open(tmp_path / "qlora").read_report().quantization == found


def test_plain_weights_have_nothing_to_measure(run_file: Path, tmp_path: Path) -> None:
    report, _ = evaluated(run_file, tmp_path, "lora")
    assert report.quantization == {}


def test_where_plain_weights_have_no_room_it_is_said(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes", reason="qlora needs bitsandbytes")
    monkeypatch.setattr(forgetting, "available_bytes", lambda device: 1000)
    report, events = evaluated(run_file, tmp_path, "qlora")
    assert report.quantization == {}
    assert any(isinstance(event, Note) and "quantization did is not measured" in event.text for event in events)
