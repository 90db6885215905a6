"""Estimated peak memory beside the high-water mark of a fresh process that takes the same steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.advice import probe
from luthier.advice.estimate import Load, cost
from luthier.advice.machine import this_cpu
from luthier.settings.loading import load
from luthier.workflow import run_file
from luthier.workflow.estimate import candidate_of

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 4000,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 16,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
GPT2 = {"model_type": "gpt2", "vocab_size": 4000, "n_embd": 128, "n_layer": 16, "n_head": 8, "n_positions": 2048}
ALL = {"r": 16, "target_modules": "all-linear"}
COMBINATIONS: dict[str, tuple[dict[str, Any], str, dict[str, Any], Load]] = {
    "LoRA on short rows": (LLAMA, "lora", {}, Load(128, 8)),
    "LoRA on all layers": (LLAMA | {"vocab_size": 16000}, "lora", ALL, Load(512, 2)),
    "LoRA, one long row computed twice": (LLAMA, "lora", ALL, Load(2048, 1, checkpointing=True)),
    "full tuning": (LLAMA, "full", {}, Load(256, 4)),
    "prefix tuning of a GPT-2": (GPT2, "prefix_tuning", {"num_virtual_tokens": 20}, Load(256, 2)),
    "prompt tuning in two passes": (LLAMA, "prompt_tuning", {"num_virtual_tokens": 20}, Load(512, 4)),
}
MISSED = {
    "LoRA, one long row computed twice": "80 MB estimated beside the libraries, 101 held",
    "full tuning": "804 MB estimated, 710 held: the heap held 1.1 times what is alive, not 1.45",
    "prefix tuning of a GPT-2": "186 MB estimated beside the libraries, 128 held",
}
"""Where the heap of the C library holds more or less than one factor says (docs/log.md): not within the limit yet."""


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=MISSED[name], strict=False) if name in MISSED else ())
        for name in COMBINATIONS
    ],
)
def test_a_fresh_process_holds_what_was_estimated(name: str, tmp_path: Path) -> None:
    sizes, method, own, step = COMBINATIONS[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(sizes), encoding="utf-8")
    section = run_file.method(method).SECTION
    given = [f"tuning_method={method}", "training_config.hyperparameters.precision=float32"]
    given += [f"training_config.{section}.{key}={value}" for key, value in own.items()]
    settings = load([], overrides=given, sections=run_file.sections()).settings
    chosen = run_file.method(method)
    here = this_cpu()
    expected = cost(candidate_of(path, settings, chosen), step, here)
    made = run_file.method_settings(settings, chosen)
    if hasattr(chosen, "without_tokenizer"):
        made = chosen.without_tokenizer(made)
    request = {
        "place": str(path),
        "method": method,
        "settings_of": method,
        "settings": made.model_dump(mode="json"),
        "section": {},
        "precision": "float32",
        "row_tokens": step.row_tokens,
        "batch_size": step.batch_size,
        "checkpointing": step.checkpointing,
    }
    found = probe.probe(request, expected, seconds=0.1)
    assert found.peak_bytes is not None, found
    assert expected.training.total == pytest.approx(found.peak_bytes, rel=0.10)
    before = here.library_bytes
    assert expected.training.total - before == pytest.approx(found.peak_bytes - before, rel=0.15)
