"""Estimated peak memory beside the high-water mark of fresh processes: 30 combinations of shape, method, rows, batch.

`make bench-estimate`, or `python -m benchmarks.estimate [--only NAME,NAME] [--smoke]`

Random models of 1 to 20 million numbers in float32. Each combination's own process loads the model, takes two steps or
more and says its high-water mark. The heap's factors in `advice/machine.py` were chosen by six other shapes (width 128,
16 layers) and the ten combinations of `CHOSEN_BY`; the other twenty are their proof, and six of those stand in a test.
QLoRA is not among them: its packed weights need a model on disk. Killed, it goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import NUMERIC, RESULTS, SCRATCH, Kept, code_of

WITHIN, WITHIN_NET = 0.10, 0.15
"""How far an estimate may be off, in all and without what the libraries take."""


@dataclass(frozen=True)
class Combination:
    """A model's sizes by name, a method with settings of its own, and a step."""

    shape: str
    method: str
    row_tokens: int
    batch_size: int
    checkpointing: bool = False
    own: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        twice = ", twice" if self.checkpointing else ""
        own = "".join(f", {key} {value}" for key, value in self.own)
        return f"{self.shape}, {self.method}{own}, {self.batch_size} x {self.row_tokens}{twice}"


def _llama(width: int, layers: int, vocabulary: int, inner: float = 3.0) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": int(inner * width),
        "num_hidden_layers": layers,
        "num_attention_heads": width // 32,
        "num_key_value_heads": max(1, width // 64),
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    }


def _qwen3(width: int, layers: int, vocabulary: int) -> dict[str, Any]:
    return {**_llama(width, layers, vocabulary), "model_type": "qwen3", "head_dim": 32}


def _gpt2(width: int, layers: int, vocabulary: int) -> dict[str, Any]:
    sizes = {"vocab_size": vocabulary, "n_embd": width, "n_layer": layers, "n_head": width // 32, "n_positions": 4096}
    return {"model_type": "gpt2", **sizes}


SHAPES: Mapping[str, Mapping[str, Any]] = {
    "llama 192 x 12": _llama(192, 12, 8000),
    "llama 320 x 6": _llama(320, 6, 2000),
    "llama 96 x 24": _llama(96, 24, 16000, 2.67),
    "qwen3 192 x 10": _qwen3(192, 10, 6000),
    "gpt2 192 x 10": _gpt2(192, 10, 6000),
}
WIDE = (("r", 16), ("target_modules", "all-linear"))
QUERY = (("r", 16), ("target_modules", "[c_attn]"))
VIRTUAL = (("num_virtual_tokens", 20),)
COMBINATIONS = (
    Combination("llama 192 x 12", "lora", 100, 8),
    Combination("llama 192 x 12", "lora", 300, 8),
    Combination("llama 192 x 12", "lora", 400, 2, own=WIDE),
    Combination("llama 192 x 12", "lora", 1500, 1, own=WIDE),
    Combination("llama 192 x 12", "lora", 1500, 1, True, WIDE),
    Combination("llama 192 x 12", "full", 200, 4),
    Combination("llama 192 x 12", "full", 900, 1),
    Combination("llama 192 x 12", "full", 900, 2, True),
    Combination("llama 192 x 12", "prompt_tuning", 200, 4, own=VIRTUAL),
    Combination("llama 192 x 12", "prompt_tuning", 700, 3, own=VIRTUAL),
    Combination("llama 192 x 12", "prefix_tuning", 300, 3, own=VIRTUAL),
    Combination("llama 320 x 6", "lora", 250, 4),
    Combination("llama 320 x 6", "lora", 3000, 1, True),
    Combination("llama 320 x 6", "full", 150, 6),
    Combination("llama 320 x 6", "full", 600, 4),
    Combination("llama 320 x 6", "prefix_tuning", 250, 4, own=VIRTUAL),
    Combination("llama 320 x 6", "prompt_tuning", 1200, 1, own=VIRTUAL),
    Combination("llama 96 x 24", "lora", 200, 5, own=WIDE),
    Combination("llama 96 x 24", "lora", 800, 4, own=WIDE),
    Combination("llama 96 x 24", "full", 500, 2),
    Combination("llama 96 x 24", "full", 2000, 1, True),
    Combination("llama 96 x 24", "prompt_tuning", 2000, 1, True, VIRTUAL),
    Combination("qwen3 192 x 10", "lora", 250, 4),
    Combination("qwen3 192 x 10", "lora", 600, 4, own=WIDE),
    Combination("qwen3 192 x 10", "full", 400, 2),
    Combination("qwen3 192 x 10", "prefix_tuning", 500, 2, own=VIRTUAL),
    Combination("gpt2 192 x 10", "lora", 300, 3, own=QUERY),
    Combination("gpt2 192 x 10", "full", 300, 3),
    Combination("gpt2 192 x 10", "prompt_tuning", 500, 2, own=VIRTUAL),
    Combination("gpt2 192 x 10", "lora", 1000, 2, own=QUERY),
)
CHOSEN_BY = (1, 2, 5, 6, 7, 8, 10, 16, 23, 29)
"""The numbers, from 1, of those by which the heap's factors were chosen; the others prove them."""
HELD = tuple(COMBINATIONS[number - 1] for number in (3, 13, 14, 17, 26, 28))
"""Of the others, those that a test holds to the limits: every method, a long row computed twice, every family."""


def one(combination: Combination, folder: Path) -> dict[str, Any]:
    """Estimated and measured bytes of a combination, and both without the libraries' part."""
    from luthier.advice import probe
    from luthier.advice.estimate import Load, cost
    from luthier.advice.machine import this_cpu
    from luthier.settings.loading import load
    from luthier.workflow import run_file
    from luthier.workflow.estimate import candidate_of

    method = run_file.method(combination.method)
    path = folder / "config.json"
    path.write_text(json.dumps(SHAPES[combination.shape]), encoding="utf-8")
    given = [f"tuning_method={combination.method}", "training_config.hyperparameters.precision=float32"]
    given += [f"training_config.{method.SECTION}.{key}={value}" for key, value in combination.own]
    settings = load([], overrides=given, sections=run_file.sections()).settings
    here = this_cpu(combination.method)
    step = Load(combination.row_tokens, combination.batch_size, combination.checkpointing)
    expected = cost(candidate_of(path, settings, method), step, here)
    own = run_file.method_settings(settings, method)
    if hasattr(method, "without_tokenizer"):
        own = method.without_tokenizer(own)
    request = {
        "place": str(path),
        "method": combination.method,
        "settings_of": combination.method,
        "settings": own.model_dump(mode="json"),
        "section": {},
        "precision": "float32",
        "row_tokens": step.row_tokens,
        "batch_size": step.batch_size,
        "checkpointing": step.checkpointing,
        "kl_to_base": 0.0,
    }
    found = probe.probe(request, expected, seconds=0.1)
    if found.peak_bytes is None:
        raise SystemExit(f"{combination.name}: {found}")
    estimated, held, libraries = expected.training.total, found.peak_bytes, here.library_bytes
    return {
        "estimated": estimated,
        "held": held,
        "libraries": libraries,
        "of_held": estimated / held,
        "of_held_net": (estimated - libraries) / (held - libraries),
        "passes": step.passes,
        "memory": asdict(expected.training),
    }


def is_within(result: Mapping[str, Any]) -> bool:
    """Whether an estimate is within both limits."""
    in_all, net = float(result["of_held"]), float(result["of_held_net"])
    return abs(in_all - 1) <= WITHIN and abs(net - 1) <= WITHIN_NET


def main() -> None:
    """Measures what is not kept yet, and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="the numbers of combinations, from 1, with commas between them")
    parser.add_argument("--smoke", action="store_true", help="the first combination alone")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    kept = Kept(asked.out or (SCRATCH / "smoke" / "estimate.json" if asked.smoke else RESULTS / "estimate.json"))
    code = code_of(*NUMERIC, "luthier/advice", "benchmarks/estimate.py")
    numbers = [int(text) for text in (asked.only or ("1" if asked.smoke else "")).split(",") if text]
    chosen = [COMBINATIONS[number - 1] for number in numbers] or list(COMBINATIONS)
    results = {}
    for combination in chosen:
        result = kept.result(combination.name, code)
        if result is None:
            with tempfile.TemporaryDirectory() as folder:
                result = one(combination, Path(folder))
            kept.keep(combination.name, code, result)
        results[combination.name] = result
        print(
            f"| {combination.name} | {result['estimated'] / 1e6:.0f} | {result['held'] / 1e6:.0f} | "
            f"{result['of_held']:.3f} | {result['of_held_net']:.3f} | {'yes' if is_within(result) else 'NO'} |",
            flush=True,
        )
    within = sum(is_within(result) for result in results.values())
    others = {one.name for number, one in enumerate(COMBINATIONS, 1) if number not in CHOSEN_BY}
    proof = [is_within(result) for name, result in results.items() if name in others]
    kept.summarize(
        "peak memory",
        {"combinations": len(results), "within": within, "of the proof": len(proof), "of these within": sum(proof)},
    )
    print(f"\n{sum(proof)} of the {len(proof)} by which no factor was chosen are within the limits")
    print(f"\n{within} of {len(results)} within {WITHIN:.0%}, and {WITHIN_NET:.0%} without the libraries; {kept.path}")


if __name__ == "__main__":
    main()
