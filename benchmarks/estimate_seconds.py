"""Estimated seconds beside those of real runs: 20 combinations of model, method, rows and batch.

`make bench-estimate`, or `python -m benchmarks.estimate_seconds [--only 1,2] [--smoke]`

Each combination, in a process of its own and one after another: `luthier estimate` as it is on a machine that was never
probed, `luthier estimate --probe`, then `luthier train` on real text cut to rows of one length, and the seconds of its
steps together. The packaged model, and a random one of a quarter of its size. Killed, it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.measuring import MODEL, NUMERIC, RESULTS, SCRATCH, Kept, code_of, measure
from benchmarks.rows import cut

STEPS = 8
PROBED, UNPROBED = (0.15, 0.30), (0.20, 1.0)
"""Wanted: how far the middle estimate may be off at most, and the one at nine tenths; a factor of 2 is off by 1."""
LIMIT_SECONDS = 3600.0
SMALL = {
    "model_type": "llama",
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Combination:
    """A model (the packaged one, or the small random one), a method, and a step."""

    model: str
    method: str
    row_tokens: int
    batch_size: int

    @property
    def name(self) -> str:
        return f"{self.model}, {self.method}, {self.batch_size} x {self.row_tokens}"


METHODS = ("full", "lora", "qlora", "prompt_tuning", "prefix_tuning")
COMBINATIONS = tuple(
    Combination(model, method, *step)
    for model, steps in ((MODEL, ((96, 8), (400, 4))), ("small", ((64, 16), (1000, 2))))
    for step in steps
    for method in METHODS
)


def one(task: Mapping[str, Any]) -> dict[str, Any]:
    """What is estimated of a combination, before and after a probe, and what its run takes."""
    import luthier

    asked, folder = Combination(**task["combination"]), Path(task["folder"])
    place = _model(asked.model, folder)
    row_tokens = _rows(asked, place, folder / "rows.jsonl")
    given = [
        f"model={place}",
        f"tuning_method={asked.method}",
        f"data.train={folder / 'rows.jsonl'}",
        "data.validation=0",
        "objective=text",
        f"training_config.hyperparameters.batch_size={asked.batch_size}",
        f"training_config.hyperparameters.max_steps={STEPS}",
    ]
    rows = STEPS * asked.batch_size

    def estimated(probe: bool) -> float:
        found = luthier.estimate(overrides=given, row_tokens=row_tokens, rows=rows, probe=probe)
        assert found.seconds is not None
        return found.seconds

    before, after = estimated(False), estimated(True)
    trained = luthier.train(overrides=given, root=folder / "runs")
    lines = [
        json.loads(line)
        for line in (folder / "runs" / trained.run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    steps = [line for line in lines if line["kind"] == "step"]
    took = sum(line["seconds"] for line in steps)
    return {
        "row_tokens": row_tokens,
        "unprobed": before,
        "probed": after,
        "took": took,
        "steps": len(steps),
        "computed": mean(line["computed_tokens"] for line in steps),
        "unprobed_over": before / took,
        "probed_over": after / took,
    }


def _model(name: str, folder: Path) -> str:
    """The folder of a model: the packaged one's, or a random one with its tokenizer."""
    from luthier.models import resolve

    packaged = resolve(MODEL).folder
    if name == MODEL:
        return str(packaged)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    place = folder / name
    tokenizer = AutoTokenizer.from_pretrained(packaged)
    torch.manual_seed(0)
    tokens = {key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = AutoConfig.for_model(**SMALL, vocab_size=len(tokenizer), **tokens)
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return str(place)


def _rows(asked: Combination, place: str, path: Path) -> int:
    """Writes real text cut to rows; gives how many tokens they have in the middle."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place)
    texts = [tokenizer.decode(tokens) for tokens, _ in cut(asked.row_tokens, STEPS * asked.batch_size + 1, tokenizer)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return round(median(len(tokens) for tokens in tokenizer(texts)["input_ids"]))


def errors(results: Sequence[Mapping[str, Any]], which: str) -> dict[str, float]:
    """How far estimates are off: over or under by a factor of 1.2 are both 0.2."""
    off = [max(one[which], 1 / one[which]) - 1 for one in results]
    return {"median": median(off), "nine_tenths": quantiles(off, n=10, method="inclusive")[-1] if off[1:] else off[0]}


def main() -> None:
    """Measures what is not kept yet, and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="the numbers of combinations, from 1, with commas between them")
    parser.add_argument("--smoke", action="store_true", help="one combination of the small model alone")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(json.loads(asked.one))))
        return
    place = SCRATCH / "smoke" if asked.smoke else RESULTS
    kept = Kept(asked.out or place / "estimate_seconds.json")
    code = code_of(*NUMERIC, "luthier/advice", "benchmarks/estimate_seconds.py")
    numbers = [int(text) for text in (asked.only or ("11" if asked.smoke else "")).split(",") if text]
    results = {}
    with tempfile.TemporaryDirectory() as home:
        _never_probed(Path(home))
        for combination in [COMBINATIONS[number - 1] for number in numbers] or COMBINATIONS:
            result = kept.result(combination.name, code)
            if result is None:
                with tempfile.TemporaryDirectory() as folder:
                    task = {"combination": asdict(combination), "folder": folder}
                    result = measure("benchmarks.estimate_seconds", task, LIMIT_SECONDS)
                kept.keep(combination.name, code, result)
            results[combination.name] = result
            print(
                f"| {combination.name} | {result['took']:.1f} | {result['unprobed_over']:.2f} | "
                f"{result['probed_over']:.2f} |",
                flush=True,
            )
    off = {which: errors(list(results.values()), f"{which}_over") for which in ("probed", "unprobed")}
    kept.summarize("seconds", {"combinations": len(results), **off})
    for (which, found), wanted in zip(off.items(), (PROBED, UNPROBED), strict=True):
        print(
            f"{which}: off by {found['median']:.0%} in the middle (wanted: {wanted[0]:.0%}), "
            f"by {found['nine_tenths']:.0%} at nine tenths ({wanted[1]:.0%}); of {len(results)}, kept in {kept.path}"
        )


def _never_probed(home: Path) -> None:
    """A home with the models that are here, and nothing that was measured before."""
    from luthier.models.cache import home as usual

    models = usual() / "models"
    if models.is_dir():
        (home / "models").symlink_to(models)
    os.environ["LUTHIER_HOME"] = str(home)


if __name__ == "__main__":
    main()
