"""One number in three places: the loss that training logs, the one that evaluation measures, and a plain loop's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from luthier.models import Source
from luthier.runs import Run
from luthier.workflow.evaluate import evaluate
from luthier.workflow.train import train
from tests.workflow.conftest import worked


def test_training_evaluation_and_a_plain_loop_over_rows_give_the_same_loss(
    run_file: Path, tiny_model: Source, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # A low rate, so that the loss is far from 0.
    hyper = "training_config.hyperparameters"
    overrides = ["data.test=null", "data.validation=0.25", f"{hyper}.precision=float32", f"{hyper}.learning_rate=5e-3"]
    trained, _ = worked(train([str(run_file)], overrides=overrides, root=tmp_path))
    run = Run.open(trained.folder)
    logged = {entry.step: entry.validation_loss for entry in run.evaluations()}[run.status().best_step or 0]
    report, _ = worked(evaluate(str(trained.folder)))

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model.folder), run.weights).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model.folder)
    lines = (run_file.parent / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    losses, count = 0.0, 0
    for kept in run.read_answers("evaluation"):
        *before, last = json.loads(lines[kept["line"] - 1])["messages"]
        prompt = tokenizer.apply_chat_template(before, add_generation_prompt=True, tokenize=False)
        asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answer = [*tokenizer(last["content"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(torch.tensor([asked + answer])).logits[0].double()
        likely = logits[len(asked) - 1 : -1].log_softmax(-1)
        losses -= float(likely.gather(1, torch.tensor(answer)[:, None]).sum())
        count += len(answer)

    assert report.metrics["loss"].n == len(run.read_answers("evaluation")) > 5
    assert logged > 0.01
    assert report.metrics["loss"].value == pytest.approx(losses / count, abs=1e-5)
    assert logged == pytest.approx(losses / count, abs=1e-5)
