"""The sides of a comparison, each run in a process of its own: Luthier's training, TRL's, and matrix products alone."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.rows import Row

if TYPE_CHECKING:
    import torch

    from luthier.flow import Tuned
    from luthier.models import ModelShape

LEARNING_RATE = 1e-4
SEED = 0


def train_luthier(tuned: Tuned, made: Sequence[Row], batch: int, tokens_a_pass: int | None = None) -> dict[str, Any]:
    """The rows once through Luthier's own loop, `batch` rows a step; `tokens_a_pass` is its own where not given."""
    import numpy as np

    from luthier.engine.forward import Engine
    from luthier.engine.memory import available_bytes, choose_passes
    from luthier.flow import Place, StepLog, Tokenized
    from luthier.settings.schema import Hyperparameters
    from luthier.training.loop import Plan, Training

    batch_rows = [
        Tokenized(
            np.array(tokens, dtype=np.int32),
            np.array([0.0] * prompt + [1.0] * (len(tokens) - prompt), dtype=np.float32),
            Place("rows", number),
        )
        for number, (tokens, prompt) in enumerate(made, 1)
    ]
    hyper = Hyperparameters(batch_size=batch, epochs=1, warmup_ratio=0.0, schedule="constant", max_grad_norm=1.0)
    written: dict[str, Any] = {} if tokens_a_pass is None else {"tokens_a_pass": tokens_a_pass}
    plan = Plan(
        hyper, LEARNING_RATE, evaluate_every=10**6, save_every=10**6, keep=1, metric="loss", seed=SEED, **written
    )
    engine = Engine(tuned)
    longest = max(len(row.tokens) for row in batch_rows)
    passes, _ = choose_passes(engine, longest, batch, available_bytes(engine.device), plan.tokens_a_pass)
    engine, plan = passes.put_on(engine), replace(plan, tokens_a_pass=passes.tokens)
    training = Training(engine, batch_rows, [], plan)
    watch = Watch(engine.device)
    logs = []
    for entry in training.run():
        if isinstance(entry, StepLog):
            watch.step()
            logs.append(entry)
    return {
        "losses": [entry.train_loss for entry in logs],
        **watch.found(),
        "row_tokens": sum(entry.row_tokens for entry in logs),
        "trained_tokens": sum(entry.trained_tokens for entry in logs),
        "computed_tokens": sum(entry.computed_tokens for entry in logs),
        "tokens_a_pass": plan.tokens_a_pass,
        "checkpointing": engine.checkpointing,
        "weights_bytes": weights_bytes(tuned),
    }


def train_trl(
    model: Any, tokenizer: Any, made: Sequence[Row], batch: int, rows_a_pass: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The rows once through TRL's SFTTrainer, in the order that Luthier's loop takes them.

    `settings` are SFTConfig's; here are set only those that make the two comparable, and those that write or print.
    """
    import datasets
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from luthier.training.schedule import rows_of_step

    steps = len(made) // batch
    ordered = [made[index] for step in range(steps) for index in rows_of_step(step + 1, len(made), batch, SEED)]
    columns = {
        "input_ids": [tokens for tokens, _ in ordered],
        "labels": [[-100] * prompt + tokens[prompt:] for tokens, prompt in ordered],
    }
    losses: list[float] = []
    watches: list[Watch] = []

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: Any, **options: Any) -> None:
            watches.append(Watch(next(model.parameters()).device))

        def on_step_end(self, *args: Any, **options: Any) -> None:
            watches[0].step()

        def on_log(self, *args: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
            if logs and "loss" in logs:
                losses.append(logs["loss"])

    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=rows_a_pass,
            gradient_accumulation_steps=batch // rows_a_pass,
            max_steps=steps,
            train_sampling_strategy="sequential",
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            **settings,
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=datasets.Dataset.from_dict(columns),
            processing_class=tokenizer,
            callbacks=[Watching()],
        )
        trainer.train()
    return {
        "losses": losses,
        **watches[0].found(),
        "row_tokens": sum(len(tokens) for tokens, _ in ordered),
        "trained_tokens": sum(len(tokens) - prompt for tokens, prompt in ordered),
    }


class Watch:
    """The seconds of each step, and the most memory held: on a GPU what tensors took of it, else the process's own."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self.device = device
        self.step_seconds: list[float] = []
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._last = self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def step(self) -> None:
        """A step has ended."""
        now = self._now()
        self.step_seconds.append(now - self._last)
        self._last = now

    def found(self) -> dict[str, Any]:
        import torch

        on_gpu = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if on_gpu else peak_bytes()
        return {"step_seconds": self.step_seconds, "seconds": sum(self.step_seconds), "peak_memory_bytes": peak}


def peak_bytes() -> int:
    """The most memory that this process has held (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def weights_bytes(tuned: Tuned) -> int:
    """What the frozen weights take, four-bit ones with their scales."""
    trained = {id(parameter) for parameter in tuned.trainable.values()}
    total = 0
    for parameter in tuned.model.parameters():
        if id(parameter) not in trained:
            total += parameter.nbytes
            state = getattr(parameter, "quant_state", None)
            if state is not None:
                total += sum(tensor.nbytes for tensor in state.as_dict(packed=True).values())
    return total


def matrix_rate(
    shape: ModelShape, dtype: torch.dtype, device: torch.device, tokens: Sequence[int], passes: int
) -> dict[str, Any]:
    """How fast this machine multiplies tokens by all of a model's own layers, forward and back to the inputs.

    The matrices are random, of the model's number and shapes, so that they come from memory as the model's own do. For
    each number of tokens the median of `passes` is taken, and of those the fastest: what training is held against.
    """
    import torch
    from torch.nn.functional import linear

    matrices = [
        torch.randn(one.outputs, one.inputs, device=device).to(dtype) for one in shape.linears for _ in range(one.count)
    ]
    flop_a_token = 4 * sum(matrix.numel() for matrix in matrices)
    rates: dict[str, float] = {}
    for count in tokens:
        states = {width: torch.randn(count, width, device=device).to(dtype) for width in _widths(shape)}
        seconds = []
        for _ in range(passes + 1):
            watch = Watch(device)
            for matrix in matrices:
                linear(states[matrix.shape[1]], matrix)
                states[matrix.shape[0]] @ matrix
            watch.step()
            seconds.append(watch.step_seconds[0])
        rates[str(count)] = flop_a_token * count / median(seconds[1:])
    return {"flop_a_second": max(rates.values()), "by_tokens": rates, "dtype": str(dtype).removeprefix("torch.")}


def _widths(shape: ModelShape) -> set[int]:
    return {width for one in shape.linears for width in (one.inputs, one.outputs)}


def least_flop(shape: ModelShape, computed_tokens: int, trained_tokens: int) -> int:
    """What tuning an adapter cannot do without, attention left out: 2 forward and 2 back to the inputs for each weight
    outside the embedding a computed token, and as much for each of the frozen head's a trained token."""
    inner = shape.parameters - shape.embedding_parameters * (1 if shape.tied else 2)
    return 4 * inner * computed_tokens + 4 * shape.vocabulary * shape.width * trained_tokens


def hand_settings(precision: str) -> dict[str, Any]:
    """What an expert sets in TRL where memory is not short: no layer is computed twice, weights in the type given."""
    return {"gradient_checkpointing": False, "bf16": precision == "bfloat16"}


def ended_by_memory(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of some work, or that a GPU's memory did not suffice."""
    import torch

    try:
        return work()
    except torch.cuda.OutOfMemoryError as error:
        return {"out_of_memory": str(error).partition("\n")[0][:300]}
