"""What it costs to hold a model near base (`kl_to_base`), beside the same steps without.

`python -m benchmarks.hold [--rounds 3] [--steps 3] [--only "lora mixed"]`

The packaged model: LoRA (r=16 on q and v, no dropout) in bfloat16 on mixed chat rows, of which answers alone are
trained, and on text, where all but its beginning is; all weights in float32 on the chat rows. Each measurement has a
process of its own, with and without in turn; one step goes ahead, as libraries set themselves up in it. Seconds are the
processor's, since a shared machine's own say little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

from benchmarks.measuring import MODEL, ROOT, commit, machine
from benchmarks.rows import rows

WORK = {"lora mixed": ("lora", "mixed", "bfloat16"), "lora text": ("lora", "even", "bfloat16")}
WORK["full mixed"] = ("full", "mixed", "float32")
BATCH = 8


def one(work: str, held: bool, steps: int) -> dict[str, Any]:
    """Row tokens a second of the processor, peak memory, and shares of tokens, of a training in this process."""
    import numpy as np
    import torch

    from luthier import models, plugins
    from luthier.engine.forward import Engine
    from luthier.flow import Place, StepLog, Tokenized
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training, peak_memory_bytes

    method_name, kind, precision = WORK[work]
    method: Any = plugins.load("luthier.methods", method_name)
    source = models.resolve(MODEL)
    tokenizer = models.load_tokenizer(source)
    made = [
        Tokenized(
            np.array(tokens, dtype=np.int32),
            np.array([0.0] * prompt + [1.0] * (len(tokens) - prompt), dtype=np.float32),
            Place("rows", number),
        )
        for number, (tokens, prompt) in enumerate(rows(kind, BATCH * (steps + 1), tokenizer), 1)
    ]
    settings = method.Settings(dropout=0.0) if method_name == "lora" else method.Settings()
    tuned = method.attach(models.load_model(source, getattr(torch, precision)), settings, 0, tokenizer)
    plan = Plan(
        Hyperparameters(batch_size=BATCH, epochs=1),
        1e-4,
        evaluate_every=10**6,
        save_every=10**6,
        keep=1,
        metric="loss",
        seed=0,
        kl_to_base=0.5 if held else 0.0,
    )
    base = method.base_of(tuned) if held else None
    took, logs, before = [], [], time.process_time()
    for entry in Training(Engine(tuned), made, [], plan, base=base).run():
        if isinstance(entry, StepLog):
            took.append(time.process_time() - before)
            logs.append(entry)
            before = time.process_time()
    tokens, trained = (sum(getattr(log, name) for log in logs[1:]) for name in ("row_tokens", "trained_tokens"))
    return {
        "tokens_per_second": tokens / sum(took[1:]),
        "trained_share": trained / tokens,
        "peak_bytes": peak_memory_bytes(),
        "kl_to_base": logs[-1].kl_to_base,
        "train_loss": logs[-1].train_loss,
    }


def main() -> None:
    """Prints a line a measurement, and a summary of each work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", choices=WORK)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        work, held = json.loads(asked.one)
        print(json.dumps(one(work, held, asked.steps)))
        return
    print(f"commit {commit()}, {machine()}")
    for work in [asked.only] if asked.only else WORK:
        found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for _ in range(asked.rounds):
            for held, results in found.items():
                words = ["--one", json.dumps([work, held]), "--steps", str(asked.steps)]
                command = [sys.executable, "-m", "benchmarks.hold", *words]
                ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
                results.append(json.loads(ended.stdout.splitlines()[-1]))
                print(work, "held" if held else "free", results[-1], flush=True)
        free, held_ones = ([one["tokens_per_second"] for one in found[held]] for held in (False, True))
        ratios = [held_one / other for held_one, other in zip(held_ones, free, strict=True)]
        memory = [max(one["peak_bytes"] for one in found[held]) / 1e9 for held in (False, True)]
        print(
            f"{work}: {median(free):.1f} row tokens a second free, {median(held_ones):.1f} held: "
            f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]; {memory[0]:.2f} and {memory[1]:.2f} GB"
        )


if __name__ == "__main__":
    main()
