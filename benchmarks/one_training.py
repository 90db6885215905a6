"""One measurement of `benchmarks.train`, in a process of its own: `python -m benchmarks.one_training --one TASK`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import MODEL
from benchmarks.rows import rows
from benchmarks.sides import hand_settings, matrix_rate, train_luthier, train_trl

Result = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One measurement: which side of which work, on which rows. `rows_a_pass` is TRL's."""

    work: str
    side: str
    kind: str = ""
    batch: int = 0
    steps: int = 0
    precision: str = ""
    rows_a_pass: int = 0
    tokens_a_pass: int | None = None
    products: tuple[int, ...] = ()
    passes: int = 0

    def key(self, number: int) -> str:
        """What it is kept under."""
        words = [self.work, self.side]
        if self.kind:
            words += [f"{self.kind} rows", f"batch {self.batch}", f"{self.steps} steps"]
        return " | ".join([*words, f"round {number}"])


def measured_here(task: Task, adapter: Path) -> Result:
    """The figures of a task, in this process."""
    import torch

    from luthier import models

    source = models.resolve(MODEL)
    dtype = getattr(torch, task.precision)
    if task.side.startswith("products"):
        return matrix_rate(models.describe(source), dtype, torch.device("cpu"), task.products, task.passes)
    tokenizer = models.load_tokenizer(source)
    made = rows(task.kind, task.batch * task.steps, tokenizer)
    if task.side.startswith("trl"):
        from peft import PeftModel

        tokenizer.pad_token = "<|endoftext|>"
        base = models.load_model(source, dtype)
        model = PeftModel.from_pretrained(base, str(adapter), is_trainable=True)
        settings = {} if task.side == "trl-defaults" else hand_settings(task.precision)
        return train_trl(model, tokenizer, made, task.batch, task.rows_a_pass, {"use_cpu": True, **settings})
    tuned = attached(task, adapter)
    if task.work in ("growth", "matrix"):  # what is only done once belongs to no step; products drop a pass as well
        first = 4 if task.work == "growth" else task.batch
        train_luthier(tuned, made[:first], first)
    return train_luthier(tuned, made, task.batch, task.tokens_a_pass)


def attached(task: Task, adapter: Path) -> Any:
    """The model with the adapter that all sides begin with."""
    import torch

    from luthier import models
    from luthier.methods import lora, qlora

    source, dtype = models.resolve(MODEL), getattr(torch, task.precision)
    if task.side == "qlora":
        tuned = qlora.attach(qlora.load_base(source, dtype, qlora.Settings()), _adapter_settings(), 0)
    else:
        tuned = lora.attach(models.load_model(source, dtype), _adapter_settings(), 0)
    if adapter.is_dir():
        lora.load(tuned, adapter)
    return tuned


def _adapter_settings() -> Any:
    from luthier.methods import lora

    return lora.Settings(r=16, alpha=32, dropout=0.0, target_modules=("q_proj", "v_proj"))


def write_adapter(folder: Path) -> Result:
    """The adapter that all sides begin with, as PEFT's files."""
    from luthier import models
    from luthier.methods import lora

    tuned = attached(Task("", "luthier", precision="float32"), folder)
    folder.mkdir()
    for name, write in lora.files(tuned, _adapter_settings(), str(models.resolve(MODEL).folder)).items():
        write(folder / name)
    return {}


def main() -> None:
    """Prints the result as its last line; a task without a side is the adapter's."""
    task = json.loads(sys.argv[2])
    adapter = Path(task.pop("adapter"))
    print(json.dumps(measured_here(Task(**task), adapter) if task else write_adapter(adapter)))


if __name__ == "__main__":
    main()
