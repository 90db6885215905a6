"""Preference tuning beside TRL's own trainer, on the same tokens in float32: log-probabilities, losses and margins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import preference
from luthier.engine.forward import Engine
from luthier.flow import Place, Tokenized, Tuned
from luthier.methods import lora
from luthier.models import Source, load_model, load_tokenizer

# What TRL warns of is not ours.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]
SETTINGS = lora.Settings(r=4, alpha=8, dropout=0.0)


def made(count: int) -> list[preference.Answers]:
    """Pairs of random tokens: prompts that share a beginning, answers of 2 to 20 tokens."""
    random = np.random.default_rng(0)
    system = random.integers(3, 300, 26).tolist()
    return [
        (
            [*system, *random.integers(3, 300, 8).tolist()],
            [*random.integers(3, 300, random.integers(1, 20)).tolist(), 2],
            [*random.integers(3, 300, random.integers(1, 20)).tolist(), 2],
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("side", ["trl-in-step", "trl-before"])
@pytest.mark.parametrize("pairs_a_pass", [2, 8])
def test_losses_and_margins_of_every_step_are_those_of_trl(
    side: str, pairs_a_pass: int, tiny_model: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl", reason="TRL is a dependency of the benchmarks: make setup-bench")
    from peft import PeftModel

    monkeypatch.setattr(preference, "LEARNING_RATE", 0.01)
    pairs = made(3 * preference.BATCH)
    tuned = lora.attach(load_model(tiny_model, torch.float32), SETTINGS, 0)
    for name, write in lora.files(tuned, SETTINGS, str(tiny_model.folder)).items():
        write(tmp_path / name)
    ours = preference.train_luthier(tuned, pairs)

    base = load_model(tiny_model, torch.float32)
    model = PeftModel.from_pretrained(base, str(tmp_path), is_trainable=True)
    one = preference.One("", side, 3, "float32", pairs_a_pass)
    theirs = preference.train_trl(model, load_tokenizer(tiny_model), pairs, one)
    assert ours["losses"] == pytest.approx(theirs["losses"], abs=1e-4)
    assert ours["margins"] == pytest.approx(theirs["margins"], abs=1e-4)
    assert abs(ours["margins"][-1]) > 0.01
    assert ours["losses"][-1] != pytest.approx(np.log(2), abs=1e-3)


def test_log_probabilities_are_those_of_trl(tiny_model: Source) -> None:
    trl = pytest.importorskip("trl", reason="TRL is a dependency of the benchmarks: make setup-bench")
    pairs = made(8)
    rows = [
        Tokenized(
            np.array([*prompt, *answer], np.int32),
            np.array([0] * len(prompt) + [1] * len(answer), np.float32),
            Place("x", 1),
        )
        for prompt, *answers in pairs
        for answer in answers
    ]
    model = load_model(tiny_model, torch.float32)
    scores = dict(Engine(Tuned(model, None, {})).scores(rows))
    ours = -np.array([scores[row].loss for row in range(len(rows))]).reshape(-1, 2)

    collator = trl.trainer.dpo_trainer.DataCollatorForPreference(pad_token_id=0)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    batch = collator([dict(zip(names, pair, strict=True)) for pair in pairs])
    config = trl.DPOConfig(output_dir="unused", use_cpu=True, bf16=False, report_to=[])
    asked = type("Asked", (trl.DPOTrainer,), {"_prepare_dataset": lambda self, dataset, *args, **options: dataset})
    import datasets

    data = datasets.Dataset.from_list([dict(zip(names, pair, strict=True)) for pair in pairs])
    trainer = asked(model=model, args=config, train_dataset=data, processing_class=load_tokenizer(tiny_model))
    theirs = torch.stack(trainer.compute_ref_log_probs(model, batch), 1).numpy()
    assert ours == pytest.approx(theirs, abs=1e-4)
