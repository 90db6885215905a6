"""Training speed, loss and memory beside TRL: the same model, rows, adapter and batch, A and B interleaved.

`make bench-train`, or `python benchmarks/train.py [--rounds 3] [--steps 4] [--out FILE]`

Each side runs in a process of its own, in turn, so that a busy machine slows both. Counted are the rows' own tokens a
second, as if each row stood alone. TRL is set by hand: no activation checkpointing, loss on answers only, bf16 weights;
and once more with float32 weights, which is the faster on a CPU without bfloat16 instructions.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODEL = "smollm2-135m-instruct"
BATCH = 8
LEARNING_RATE = 1e-4
SEED = 0
SIDES = ("luthier", "trl-bfloat16", "trl-float32")


def rows(steps: int) -> list[dict[str, Any]]:
    """Mixed chat rows, `steps` batches of them: real instructions and answers, 10 to 160 words long together."""
    data = ROOT.parent / "shared" / "data" / "llama_factory" / "alpaca_en_demo.json"
    if not data.is_file():
        raise SystemExit(f"the benchmark's rows are absent: {data}")
    found = json.loads(data.read_text(encoding="utf-8"))
    chosen = [row for row in found if 10 < len(f"{row['instruction']} {row['input']} {row['output']}".split()) < 160]
    return [
        {
            "prompt": [{"role": "user", "content": f"{row['instruction']}\n\n{row['input']}".strip()}],
            "completion": [{"role": "assistant", "content": row["output"].strip()}],
        }
        for row in chosen[: steps * BATCH]
    ]


def tokenized(chat_rows: list[dict[str, Any]], tokenizer: Any) -> list[tuple[list[int], int]]:
    """Each row's tokens up to and with the end mark, and how many of them are its prompt."""
    made = []
    for row in chat_rows:
        prompt = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answer = tokenizer(row["completion"][0]["content"], add_special_tokens=False)["input_ids"]
        made.append(([*before, *answer, tokenizer.eos_token_id], len(before)))
    return made


def run_luthier(steps: int, adapter: Path) -> dict[str, Any]:
    """The steps through Luthier's own loop."""
    import numpy as np
    import torch

    from luthier import models
    from luthier.engine.forward import Engine
    from luthier.engine.precision import fast_precision
    from luthier.flow import Place, StepLog, Tokenized
    from luthier.methods import lora
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training

    source = models.resolve(MODEL)
    precision = fast_precision(torch.device("cpu"))[0]
    model = models.load_model(source, getattr(torch, precision))
    settings = lora.Settings(r=16, alpha=32, dropout=0.0, target_modules=("q_proj", "v_proj"))
    tuned = lora.attach(model, settings, 0)
    if adapter.is_dir():
        lora.load(tuned, adapter)
    else:
        adapter.mkdir()
        for name, write in lora.files(tuned, settings, str(source.folder)).items():
            write(adapter / name)
    batch_rows = [
        Tokenized(
            np.array(tokens, dtype=np.int32),
            np.array([0.0] * prompt + [1.0] * (len(tokens) - prompt), dtype=np.float32),
            Place("rows", number),
        )
        for number, (tokens, prompt) in enumerate(tokenized(rows(steps), models.load_tokenizer(source)), 1)
    ]
    hyper = Hyperparameters(batch_size=BATCH, epochs=1, warmup_ratio=0.0, schedule="constant", max_grad_norm=1.0)
    plan = Plan(hyper, LEARNING_RATE, evaluate_every=10**6, save_every=10**6, keep=1, metric="loss", seed=SEED)
    training = Training(Engine(tuned), batch_rows, [], plan)
    logs = [entry for entry in training.run() if isinstance(entry, StepLog)]
    return {
        "precision": precision,
        "losses": [entry.train_loss for entry in logs],
        "seconds": sum(entry.seconds for entry in logs),
        "row_tokens": sum(entry.row_tokens for entry in logs),
        "peak_memory_bytes": logs[-1].memory_bytes,
    }


def run_trl(steps: int, adapter: Path, precision: str) -> dict[str, Any]:
    """The same steps through TRL's SFTTrainer, set by hand, on the same adapter and the rows in Luthier's order."""
    import resource

    import datasets
    import torch
    from peft import PeftModel
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from luthier import models
    from luthier.training.schedule import rows_of_step

    source = models.resolve(MODEL)
    tokenizer = models.load_tokenizer(source)
    tokenizer.pad_token = "<|endoftext|>"
    base = models.load_model(source, getattr(torch, precision))
    model = PeftModel.from_pretrained(base, str(adapter), is_trainable=True)

    class Watch(TrainerCallback):  # type: ignore[misc]
        losses: list[float] = []  # noqa: RUF012
        started = 0.0
        seconds = 0.0

        def on_train_begin(self, *args: Any, **options: Any) -> None:
            Watch.started = time.perf_counter()

        def on_log(self, *args: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
            if logs and "loss" in logs:
                Watch.losses.append(logs["loss"])
                Watch.seconds = time.perf_counter() - Watch.started

    found = tokenized(rows(steps), tokenizer)
    made = [found[index] for step in range(steps) for index in rows_of_step(step + 1, len(found), BATCH, SEED)]
    columns = {
        "input_ids": [tokens for tokens, _ in made],
        "labels": [[-100] * prompt + tokens[prompt:] for tokens, prompt in made],
    }
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            train_sampling_strategy="sequential",
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            weight_decay=0.0,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to=[],
            gradient_checkpointing=False,
            bf16=precision == "bfloat16",
            use_cpu=True,
            max_length=None,
            disable_tqdm=True,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=datasets.Dataset.from_dict(columns),
            processing_class=tokenizer,
            callbacks=[Watch()],
        )
        trainer.train()
    return {
        "precision": precision,
        "losses": Watch.losses,
        "seconds": Watch.seconds,
        "row_tokens": sum(len(tokens) for tokens, _ in made),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def one(side: str, steps: int, adapter: Path) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--steps", str(steps), "--adapter", str(adapter)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import importlib.metadata

    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    from luthier.runs.environment import describe_environment

    described = describe_environment([], [])["machine"]
    names = ("torch", "transformers", "peft", "trl")
    return {
        "commit": commit.stdout.strip(),
        "processor": described["processor"],
        "cores": described["cores"],
        "system": platform.platform(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def main() -> None:
    """Runs the rounds, or one side of one where `--side` says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "train.json")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--adapter", type=Path)
    asked = parser.parse_args()
    if asked.side:
        kind, _, precision = asked.side.partition("-")
        result = (
            run_luthier(asked.steps, asked.adapter)
            if kind == "luthier"
            else run_trl(asked.steps, asked.adapter, precision)
        )
        print(json.dumps(result))
        return
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.rounds):
            for side in SIDES:
                result = one(side, asked.steps, Path(folder) / "adapter")
                found[side].append(result)
                rate = result["row_tokens"] / result["seconds"]
                losses = ", ".join(f"{loss:.4f}" for loss in result["losses"])
                print(f"round {number + 1}  {side:13} {rate:7.1f} tokens/s  losses {losses}", flush=True)
    report = summary(found)
    asked.out.write_text(json.dumps({**machine(), **report, "rounds": found}, indent=1) + "\n", encoding="utf-8")
    for side, row in report["beside"].items():
        print(f"luthier / {side}: {row}")
    print(f"kept in {asked.out}")


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians and ranges of ratios, round by round, and the largest loss difference."""
    ours = found["luthier"]
    beside = {}
    for side in SIDES[1:]:
        speed = [
            (one["row_tokens"] / one["seconds"]) / (other["row_tokens"] / other["seconds"])
            for one, other in zip(ours, found[side], strict=True)
        ]
        memory = [
            one["peak_memory_bytes"] / other["peak_memory_bytes"] for one, other in zip(ours, found[side], strict=True)
        ]
        apart = max(
            abs(mine - theirs) / theirs
            for one, other in zip(ours, found[side], strict=True)
            for mine, theirs in zip(one["losses"], other["losses"], strict=True)
        )
        beside[side] = {
            "speed": {"median": median(speed), "range": [min(speed), max(speed)]},
            "memory": {"median": median(memory), "range": [min(memory), max(memory)]},
            "largest_loss_difference": apart,
        }
    return {"batch": BATCH, "beside": beside}


if __name__ == "__main__":
    main()
